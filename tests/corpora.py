"""What becomes of every file of a folder here, beside what other readers say: Pillow, OpenCV, tifffile, PyAV, ffprobe.

    python tests/corpora.py FOLDER [--seconds 30] [--all]

Prints a table of outcomes by format, and each file of which we and the others do not say the same. Readers that are not
installed are left out. Files are read in a process of its own, which a crash or a file that takes too long ends alone.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

RESTORABLE, NOT_TAKEN, SLOW, CRASHED = "restorable", "not taken", "too slow", "crashed"
DAMAGE = {"truncated", "corrupt", "missing_frames"}  # codes that call a file damaged
_MOST_BYTES = 200 << 20


def ours(path: Path) -> tuple[str, str]:
    """Our outcome, an error code where it is one, and why."""
    from pipelines.errors import ItemError
    from pipelines.media.film.container.reader import open_container
    from pipelines.media.film.facts import FilmOptions
    from pipelines.media.kinds import FRAME_SUFFIXES, kind_of, suffix
    from pipelines.media.limits import DecodeLimits
    from pipelines.media.not_taken import other_kind
    from pipelines.media.photo.decode import decode

    kind = kind_of(path.name.replace("%", ""))
    if kind is None:
        return NOT_TAKEN, other_kind(path.name).name
    try:
        if kind == "photo":
            photo = decode(path.read_bytes(), path.name, DecodeLimits(max_pixels=100_000_000))
            height, width, _ = photo.pixels.shape
            return RESTORABLE, f"{width}x{height}" + "".join(f"; {line}" for line in photo.warnings)
        if suffix(path.name) in FRAME_SUFFIXES:
            from pipelines.media.film.sequence.formats import read_frame

            read_frame(path.read_bytes(), path.name, DecodeLimits())
            return RESTORABLE, ""
        reader = open_container(lambda: path.open("rb"), path.name, FilmOptions(deinterlace="keep"))
        frames = sum(1 for _ in reader.scan())
        return RESTORABLE, f"{frames} frames" + "".join(f"; {line}" for line in reader.facts.warnings)
    except ItemError as error:
        return error.code, error.reason


def pillow(path: Path) -> str:
    """ "" where the reader has no say, else `read` or `refused`; the others likewise."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = 200_000_000
    with Image.open(path) as image:
        image.load()
    return "read"


def opencv(path: Path) -> str:
    import cv2
    import numpy as np

    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    return "refused" if pixels is None else "read"


def of_tifffile(path: Path) -> str:
    import tifffile

    data = path.read_bytes()
    if data[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return ""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        file.pages[0].asarray(maxworkers=1)
    return "read"


def pyav(path: Path) -> str:
    import av

    with av.open(str(path)) as container:
        next(container.decode(video=0))
    return "read"


def ffprobe(path: Path) -> str:
    program = shutil.which("ffprobe")
    if program is None:
        return ""
    command = [program, "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width", "-of", "csv=p=0"]
    done = subprocess.run([*command, str(path)], capture_output=True, timeout=30, stdin=subprocess.DEVNULL, check=False)
    return "read" if done.returncode == 0 and done.stdout.strip() else "refused"


PICTURES: dict[str, Callable[[Path], str]] = {"Pillow": pillow, "OpenCV": opencv, "tifffile": of_tifffile}
FILMS: dict[str, Callable[[Path], str]] = {"PyAV": pyav, "ffprobe": ffprobe}


def others(path: Path) -> dict[str, str]:
    """What each other reader says of a file: `read`, `refused` or nothing."""
    from pipelines.media.kinds import FILM_SUFFIXES, suffix

    found = {}
    for name, reader in (FILMS if suffix(path.name) in FILM_SUFFIXES else PICTURES).items():
        try:
            said = reader(path)
        except ImportError:
            said = ""
        except Exception:
            said = "refused"
        if said:
            found[name] = said
    return found


def work(pipe: Connection) -> None:
    """Answer paths with what is said of them, in a process of its own, whose libraries' remarks go nowhere."""
    warnings.simplefilter("ignore")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    with contextlib.suppress(EOFError):
        while True:
            path = Path(pipe.recv())
            pipe.send((*ours(path), others(path)))


def each(files: list[Path], seconds: float) -> Iterator[tuple[Path, str, str, dict[str, str]]]:
    """Outcomes of files, one after the other; the process is begun again after a crash."""
    context = multiprocessing.get_context("spawn")
    process = pipe = None
    for path in files:
        if process is None or pipe is None:
            pipe, end = context.Pipe()
            process = context.Process(target=work, args=(end,), daemon=True)
            process.start()
            end.close()
        try:
            pipe.send(str(path))
            outcome = pipe.recv() if pipe.poll(seconds) else (SLOW, f"after {seconds:.0f} s", {})
        except (EOFError, OSError):
            outcome = (CRASHED, "the process died", {})
        yield (path, *outcome)
        if outcome[0] in (SLOW, CRASHED):
            process.kill()
            process.join()
            process = pipe = None
    if process is not None:
        process.kill()
        process.join()


def disagree(outcome: str, said: dict[str, str]) -> bool:
    """Whether a person should look: we refuse what another reads, or read what all others refuse, or did not come to an end."""
    if outcome in (SLOW, CRASHED):
        return True
    read = [answer == "read" for answer in said.values()]
    return any(read) if outcome != RESTORABLE else bool(read) and not any(read)


def table(counts: Counter[tuple[str, str]]) -> str:
    """Files by ending and outcome, as Markdown."""
    outcomes = sorted({outcome for _, outcome in counts}, key=lambda name: (name != RESTORABLE, name))
    endings = sorted({ending for ending, _ in counts}, key=lambda name: -sum(counts[name, each] for each in outcomes))
    lines = [f"| | {' | '.join(outcomes)} |", f"| --- |{' --- |' * len(outcomes)}"]
    for ending in endings:
        lines.append(f"| {ending} | " + " | ".join(str(counts[ending, name] or "") for name in outcomes) + " |")
    total = [str(sum(counts[ending, name] for ending in endings)) for name in outcomes]
    return "\n".join([*lines, f"| all | {' | '.join(total)} |"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=30.0, help="of one file")
    parser.add_argument("--all", action="store_true", help="list files that are not taken in the table, too")
    parser.add_argument("--jsonl", type=Path, help="also write a line of JSON a file")
    chosen = parser.parse_args()
    files = [path for path in sorted(chosen.folder.rglob("*")) if path.is_file() and path.stat().st_size <= _MOST_BYTES]
    counts: Counter[tuple[str, str]] = Counter()
    with chosen.jsonl.open("w") if chosen.jsonl else contextlib.nullcontext() as record:
        for path, outcome, reason, said in each(files, chosen.seconds):
            name = str(path.relative_to(chosen.folder))
            if outcome != NOT_TAKEN or chosen.all:
                counts[path.suffix.lower() or path.name, outcome] += 1
            if outcome != NOT_TAKEN and disagree(outcome, said):
                answers = ", ".join(f"{reader} {answer}" for reader, answer in said.items()) or "nobody asked"
                print(f"{name}: {outcome}: {reason} ({answers})", flush=True)
            if record:
                record.write(json.dumps({"file": name, "outcome": outcome, "reason": reason, "others": said}) + "\n")
    print(f"\n{len(files)} files\n\n{table(counts)}")


if __name__ == "__main__":
    main()
