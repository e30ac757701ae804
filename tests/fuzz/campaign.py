"""A fuzzing campaign: inputs decoded in batches by processes of their own, and what went wrong with which number."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

WORKER = Path(__file__).with_name("decode_worker.py")
_BATCH = 2_500
_SILENCE = 60.0  # seconds without a word after which a process hangs: its own watchdog has failed, too


@dataclass
class Campaign:
    """What came of a range of inputs.

    Attributes:
        codes: inputs by error code; "" counts photos.
        faults: a line for each input that did what none may, with its number.
        slowest: (seconds, number) of the slowest input.
        seconds: all of it took.
    """

    codes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, -1)
    seconds: float = 0.0

    def report(self) -> str:
        """A table of codes, then the faults."""
        lines = [f"{count:7d} {code or 'photo'}" for code, count in self.codes.most_common()]
        lines.append(
            f"{sum(self.codes.values())} inputs in {self.seconds:.0f} s; slowest {self.slowest[0]:.2f} s: {self.slowest[1]}"
        )
        return "\n".join([*lines, *self.faults])


def run_campaign(first: int, count: int, *, worker: Path = WORKER) -> Campaign:
    """Decode inputs `first` to `first + count - 1`; an input that ends its process costs no other its turn."""
    campaign, started = Campaign(), time.monotonic()
    at = first
    while at < first + count:
        at = _batch(campaign, at, min(_BATCH, first + count - at), worker)
    campaign.seconds = time.monotonic() - started
    return campaign


def _batch(campaign: Campaign, first: int, count: int, worker: Path) -> int:
    """One process; returns the number to go on with."""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = subprocess.Popen(
        [sys.executable, str(worker), str(first), str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # decoders complain about every broken file
        env=environment,
    )
    announced, made_of = first - 1, "nothing yet"
    finished = first - 1
    hung = False
    with process:
        for line in _lines(process):
            if line is None:
                hung = True
                process.kill()
                break
            said = json.loads(line)
            if "made_of" in said:
                announced, made_of = said["number"], said["made_of"]
                continue
            finished = said["number"]
            _judge(campaign, said, made_of)
    if finished == first + count - 1 and process.returncode == 0:
        return first + count
    assert announced > finished, f"the worker ended with {process.returncode} before an input: {worker}"
    how = (
        "hung"
        if hung
        else f"ended by {signal.Signals(-process.returncode).name}"
        if process.returncode < 0
        else "hung in C"
    )
    campaign.codes["fault"] += 1
    campaign.faults.append(f"input {announced} ({made_of}): the process {how}")
    return announced + 1


def _judge(campaign: Campaign, said: dict[str, object], made_of: str) -> None:
    code, number = str(said["code"]), said["number"]
    campaign.slowest = max(campaign.slowest, (float(str(said["seconds"])), int(str(number))))
    if ":" in code:
        campaign.faults.append(f"input {number} ({made_of}): {code}")
        code = "fault"
    elif code == "too_slow":
        campaign.faults.append(f"input {number} ({made_of}): too slow")
    if said["over"]:
        campaign.faults.append(f"input {number} ({made_of}): {said['over']} bytes of memory too many")
    campaign.codes[code] += 1


def _lines(process: subprocess.Popen[bytes]) -> object:
    """The worker's lines as they come; None when it has been silent for too long."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(_SILENCE):
                yield None
                return
            chunk = process.stdout.read()
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines


if __name__ == "__main__":
    print(run_campaign(int(sys.argv[1]), int(sys.argv[2])).report())
