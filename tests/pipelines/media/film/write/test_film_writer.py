"""Films are written with every frame at its time, and what went wrong is noticed."""

from __future__ import annotations

import errno
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from traced_memory import peak_bytes
from written_films import HEIGHT, KINDS, WIDTH, decoded, facts, packets, picture, sound_of, source, timeline, write

from pipelines.errors import ItemError
from pipelines.media.film.write.check import Expected, check_film
from pipelines.media.film.write.writer import FilmWriter

TIMES = {
    "24": ("24/1", "1/24", timeline(range(30), 1)),
    "24000/1001": ("24000/1001", "1001/24000", timeline(range(30), 1)),
    "25": ("25/1", "1/12800", timeline(np.arange(30) * 512, 512)),
    "29.97": ("30000/1001", "1/30000", timeline(np.arange(30) * 1001 + 1001, 1001)),
    "milliseconds": ("24000/1001", "1/1000", timeline(np.rint(np.arange(30) * 1001 / 24).astype(int), 42)),
    "16": ("16/1", "1/16", timeline(range(17), 1)),
    "variable": ("20/1", "1/90000", timeline([0, 3000, 9001, 9002, 12000, 30000, 33333, 90000], 4321)),
    "one frame": ("24/1", "1/24", timeline([0], 1)),
}


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("kind", KINDS)
def test_frames_and_times_are_the_sources(tmp_path: Path, kind: str, times: str) -> None:
    rate, base, wanted = TIMES[times]
    write(tmp_path / "film", kind, wanted, facts(rate=rate, time_base=base))
    found = packets(tmp_path / "film", "video")
    seconds = [int(pts) * Fraction(base) for pts in wanted.pts]
    if kind == "ffv1":  # Matroska counts milliseconds
        assert [time for time, _, _ in found] == [Fraction(int(each * 1000 + Fraction(1, 2)), 1000) for each in seconds]
    else:
        assert [time for time, _, _ in found] == seconds
        with av.open(str(tmp_path / "film")) as container:
            assert container.streams.video[0].time_base == Fraction(1, Fraction(base).denominator)
        assert [each for _, each, _ in found] == [int(each) * Fraction(base) for each in wanted.durations]
    assert len(decoded(tmp_path / "film")) == len(wanted)
    with av.open(str(tmp_path / "film")) as container:
        if times not in ("variable", "one frame", "milliseconds") or kind == "ffv1":
            assert container.streams.video[0].average_rate == Fraction(rate)
        # Matroska says when the film ends, the others how long it is.
        until = wanted.seconds(base) + (float(seconds[0]) if kind == "ffv1" else 0)
        assert abs(container.duration / 1e6 - until) < 0.0021


def test_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    original = source(tmp_path / "source", "matroska", "aac")
    for kind in KINDS:
        for name in ("a", "b"):
            write(tmp_path / name, kind, timeline(range(30), 1), carried=original)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes(), kind


def test_missing_frames_are_an_error_and_so_is_a_source_that_is_gone(tmp_path: Path) -> None:
    options = {"width": WIDTH, "height": HEIGHT, "timeline": timeline(range(3), 1), "name": "reels/film.mov"}
    with (
        pytest.raises(ItemError, match=r"reels/film.mov: 2 of 3 frames") as caught,
        FilmWriter(tmp_path / "film", "ffv1", facts(), carried=None, **options) as writer,
    ):
        writer.write(picture(0))
        writer.write(picture(1))
    assert caught.value.code == "encode_error"
    gone = partial(str, tmp_path / "gone")
    with pytest.raises(FileNotFoundError), FilmWriter(tmp_path / "film", "ffv1", facts(), carried=gone, **options):
        pass
    (tmp_path / "text").write_bytes(b"no film at all" * 100)
    text = partial(str, tmp_path / "text")
    with pytest.raises(ItemError) as caught, FilmWriter(tmp_path / "film", "ffv1", facts(), carried=text, **options):
        pass
    assert caught.value.code == "unreadable"


def test_an_error_while_writing_stays_the_error(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyError, match="mine"),
        FilmWriter(
            tmp_path / "film",
            "h264",
            facts(),
            width=64,
            height=48,
            timeline=timeline(range(9), 1),
            carried=None,
            name="a",
        ) as writer,
    ):
        writer.write(picture(0))
        raise KeyError("mine")


def expected(path: Path, **given: object) -> Expected:
    sound = {1: sound_of(path)}
    values = {
        "pts": np.arange(30),
        "last_duration": 1,
        "time_base": Fraction(1, 25),
        "milliseconds": True,
        "sound": sound,
    }
    return Expected(**{**values, **given})


def test_the_check_sees_what_is_wrong(tmp_path: Path) -> None:
    original = source(tmp_path / "source", "matroska", "pcm_s16le")
    write(tmp_path / "film", "ffv1", timeline(range(30), 1), carried=original)
    film = tmp_path / "film"
    check_film(film, expected(film), "film.mov")
    late = np.arange(30)
    late[20:] += 1
    digest, start = sound_of(film)
    wrong = {
        "31 frames were written and 30 are in the file": {"pts": np.arange(31)},
        "frame 20 is shown -0.0400 seconds from where": {"pts": late},
        "the film lasts 1.2000 seconds and should last 1.2800": {"last_duration": 3},
        "the sound of stream 1 is not what was carried": {"sound": {1: ("0" * 64, start)}},
        "the sound of stream 1 slipped by -0.1000 seconds": {"sound": {1: (digest, start + Fraction(1, 10))}},
    }
    for reason, given in wrong.items():
        with pytest.raises(ItemError, match=f"film.mov: {reason}") as caught:
            check_film(film, expected(film, **given), "film.mov")
        assert caught.value.code == "encode_error"
    film.write_bytes(film.read_bytes()[:-9000])
    with pytest.raises(ItemError):
        check_film(film, expected(original), "film.mov")


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_film_takes_no_more_memory(tmp_path: Path, kind: str) -> None:
    original = tmp_path / "source"
    with (
        av.open(str(source(tmp_path / "sound", "matroska", "aac", frames=240, seconds=9.6))) as old,
        av.open(str(original), "w", format="matroska" if kind == "ffv1" else "mp4") as new,
    ):
        streams = [new.add_stream_from_template(each, opaque=True) for each in old.streams]
        # Without a single line: the muxer would wait for one before it writes what it has.
        text = new.add_mux_stream("subrip" if kind == "ffv1" else "mov_text")
        text.time_base = Fraction(1, 1000)
        for packet in old.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    frames = [picture(number, 192, 256) for number in range(10)]

    def run(count: int) -> Callable[[], object]:
        times = timeline(range(count), 1)
        return lambda: write(tmp_path / "film", kind, times, carried=original, frame=lambda number: frames[number % 10])

    run(40)()  # loads what is loaded once, and fills what has a fixed size
    short, long = peak_bytes(run(40)), peak_bytes(run(240))
    assert long - short < 20 * frames[0].nbytes  # of 200 more


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_from_before_zero_is_shown_whole(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "film", kind, timeline(np.arange(5) - 2, 1))
    assert [time for time, _, _ in packets(tmp_path / "film", "video")] == [Fraction(23 + n, 25) for n in range(5)]
    assert len(decoded(tmp_path / "film")) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_is_said_to_be_one(kind: str) -> None:
    with pytest.raises(OSError) as caught:
        write(Path("/dev/full"), kind, timeline(range(30), 1))
    assert caught.value.errno == errno.ENOSPC


def test_what_is_in_the_file_in_the_end_is_checked(tmp_path: Path) -> None:
    write(tmp_path / "other", "ffv1", timeline(range(4), 1))
    with (
        pytest.raises(ItemError, match=r"reels/film.mov: 5 frames were written and 4 are in the file") as caught,
        FilmWriter(
            tmp_path / "film", "ffv1", facts(), width=64, height=48, timeline=timeline(range(5), 1), carried=None,
            name="reels/film.mov",
        ) as writer,
    ):  # fmt: skip
        for number in range(5):
            writer.write(picture(number))
        (tmp_path / "other").replace(tmp_path / "film")  # the writer goes on into the file that has no name any more
    assert caught.value.code == "encode_error"


def test_players_can_begin_before_they_have_the_whole_mp4(tmp_path: Path) -> None:
    write(tmp_path / "film", "h264", timeline(range(30), 1))
    data = (tmp_path / "film").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
