"""What figures were measured with: software, machine, device."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path

__all__ = ["cpu_name", "device_name", "machine", "software", "version"]

_PACKAGES = ("faitharchive", "torch", "diffusers", "transformers", "numpy", "opencv-python-headless", "pillow")
_OPTIONAL = ("scikit-image", "scipy", "pyiqa", "pytesseract")  # named where they are installed
_ABSENT = "not installed"


def software() -> dict[str, str]:
    """Versions by package, and Python's."""
    versions = {name: version(name) for name in (*_PACKAGES, *_OPTIONAL)}
    named = {name: found for name, found in versions.items() if name in _PACKAGES or found != _ABSENT}
    return {"python": platform.python_version(), **named}


def version(package: str) -> str:
    """A package's version, or "not installed"."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return _ABSENT


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
