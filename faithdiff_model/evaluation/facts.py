"""What figures were measured with: software, machine, device."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path

_PACKAGES = ("faitharchive", "torch", "diffusers", "transformers", "numpy", "opencv-python-headless", "pillow")
_OPTIONAL = ("scikit-image", "scipy", "pyiqa", "pytesseract")  # named where they are installed


def software() -> dict[str, str]:
    """Versions by package, and Python's."""
    versions = {"python": platform.python_version()}
    for name in (*_PACKAGES, *_OPTIONAL):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if name in _PACKAGES:
                versions[name] = "not installed"
    return versions


def machine() -> dict[str, str | int]:
    """Platform, processor and cores."""
    return {"platform": platform.platform(), "cpu": cpu_name(), "cores": os.cpu_count() or 1}


def device_name(device: str) -> str:
    """A torch device in words: the GPU's name, or the processor's with the number of threads.

    Args:
        device: "cpu", "cuda", "cuda:1", "mps".
    """
    import torch

    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(torch.device(device)))
    if device.startswith("cpu"):
        threads = torch.get_num_threads()
        return f"{cpu_name()}, {threads} thread{'s' if threads != 1 else ''}"
    return device


def cpu_name() -> str:
    """The processor as it calls itself."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.+)$", info.read_text(), re.MULTILINE) if info.is_file() else None
    return found[1].strip() if found else platform.processor() or platform.machine()
