"""Weights files that would run code are refused in one line, by any name and in any of torch's formats, and are not run."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from archive_steps import picture, save_photo

from faithdiff_model.weights.checkpoint import read_tensors
from faithdiff_model.weights.download import WeightsError


class _Attack:
    """Unpickling it makes a file."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple:
        return Path.touch, (self.proof,)


def _save(path: Path, kind: str, proof: Path) -> None:
    attack = _Attack(proof)
    if kind == "pickle":
        path.write_bytes(pickle.dumps(attack))
    elif kind == "state_dict":
        torch.save({"state_dict": {"a": torch.zeros(1), "b": attack}}, path)
    else:
        torch.save({"a": attack}, path, _use_new_zipfile_serialization=kind == "zip")


@pytest.mark.parametrize("kind", ["zip", "old", "pickle", "state_dict"])
@pytest.mark.parametrize("name", ["evil.bin", "evil.pt", "evil.pth", "evil.ckpt", "evil.safetensors", "evil"])
def test_every_way_to_pack_code_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    proof = tmp_path / "it ran"
    _save(tmp_path / name, kind, proof)
    with pytest.raises(WeightsError) as caught:
        read_tensors(tmp_path / name)
    text = str(caught.value)
    assert name in text
    assert "\n" not in text
    if name != "evil.safetensors":
        assert "would run code when loaded; convert it to safetensors" in text
    assert not proof.exists()


@pytest.mark.parametrize("name", ["good.bin", "good.pt", "good.ckpt"])
def test_tensors_alone_are_read_whatever_the_name(tmp_path: Path, name: str) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / name)
    assert read_tensors(tmp_path / name)["a"].tolist() == [1.0, 1.0]


@pytest.mark.ray
def test_a_restoration_with_such_weights_ends_with_one_line(tmp_path: Path) -> None:
    proof = tmp_path / "it ran"
    _save(tmp_path / "evil.ckpt", "state_dict", proof)
    save_photo(tmp_path / "scans" / "a.png", picture(20, 24))
    flags = ["--preset", "nano", "--faithdiff", "evil.ckpt", "--cpus", "1", "--object-store-mb", "80"]
    command = [sys.executable, "-c", "from jobs.cli.main import main; main()", "restore", "scans", "out", *flags]
    environment = {**os.environ, "COLUMNS": "300", "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=280, env=environment, cwd=tmp_path, check=False
    )
    assert done.returncode not in (0, 1)
    told = [line for line in (done.stdout + done.stderr).splitlines() if "evil.ckpt" in line]
    assert len(told) == 1, done.stdout + done.stderr
    assert "holds more than tensors and would run code when loaded; convert it to safetensors" in told[0]
    assert "Traceback" not in done.stdout + done.stderr
    assert not proof.exists()
    assert not list((tmp_path / "out").glob("*.png"))
