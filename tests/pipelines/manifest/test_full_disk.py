"""A full disk leaves a manifest that reads, and rows that are written once there is room again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[2] / "support"
_FILL = """
import json, os, sys
sys.path[:0] = [sys.argv[2]]
from archive_steps import full_row
from pipelines.manifest.reader import current_rows
from pipelines.manifest.writer import ManifestWriter
from pipelines.store.store import PARTIAL, Store

folder = sys.argv[1]
store = Store(folder)
with open(f"{folder}/ballast", "wb") as file:
    file.write(bytes(64 << 10))
writer, written, said = ManifestWriter(store, "one"), 0, ""
while not said:
    row = full_row(item_id=f"{written:024}", source_path=f"{written}.png", error_reason=os.urandom(4000).hex())
    writer.add(row)
    try:
        writer.flush()
        written += 1
    except OSError as error:
        said = str(error)
found = [len(current_rows(Store(folder)))]
os.remove(f"{folder}/ballast")
writer.flush()
found.append(len(current_rows(Store(folder))))
left = [name for _, _, names in os.walk(folder) for name in names if PARTIAL in name]
print(json.dumps([written, said, found, left]))
"""


def test_a_full_disk_leaves_a_manifest_that_reads(tmp_path: Path) -> None:
    """A file system of 256 kB, and rows until it takes no more."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("needs the right to mount a small file system of its own")
    script = 'mount -t tmpfs -o size=256k tmpfs "$0" && exec "$1" -c "$2" "$0" "$3"'
    command = ["unshare", "-m", "sh", "-c", script, str(tmp_path), sys.executable, _FILL, str(SUPPORT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    written, said, found, left = json.loads(done.stdout)
    assert written > 3
    assert "No space left on device" in said
    assert found == [written, written + 1]  # what was whole reads, and the row that did not fit is not lost
    assert left == []
