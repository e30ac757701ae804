"""Films that begin with B-frames or amid a group of pictures: no frame that can be decoded is dropped, no other is shown."""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from film_files import film, make_clip

from pipelines.media.film.container.reader import ContainerReader, open_container
from pipelines.media.film.facts import FilmOptions, Timeline

GOP = 12
MPEG2 = {"codec": "mpeg2video", "pix_fmt": "yuv420p", "gop": GOP, "b_frames": 2,
         "options": {"sc_threshold": "1000000000", "qmin": "2", "qmax": "2"}}  # fmt: skip
HEVC = {"codec": "libx265", "pix_fmt": "yuv420p", "gop": GOP}
H264 = {"codec": "libx264", "pix_fmt": "yuv420p", "gop": GOP, "b_frames": 2}


def pictures(count: int) -> list[np.ndarray]:
    """Another scene from the leading B-frames of each group on, which show what its I-frame does: these need nothing that was
    before."""
    scenes = [film(GOP, 96, 128, seed=number, speed=5) for number in range(-(-count // GOP) + 1)]
    return [scenes[(number + 2) // GOP][max((number + 2) % GOP - 2, 0)] for number in range(count)]


def packets_of(path: Path) -> list[av.Packet]:
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def cut_before_key(
    whole: Path, cut: Path, *, key: int, closed: bool | None = None, from_pts: int | None = None
) -> None:
    """Copy the packets of a film from its key frame `key` on, as an editor does.

    Args:
        whole, cut: what is copied, and the copy.
        key: number of the key frame, from 0.
        closed: what the group headers shall say; as they were if None.
        from_pts: times count from this one on, in the stream's time base, so that an edit list leaves out what is before.
    """
    with av.open(str(whole)) as container, av.open(str(cut), "w") as out:
        stream = container.streams.video[0]
        copy = out.add_stream_from_template(stream)
        packets = [packet for packet in container.demux(stream) if packet.size]
        start = [number for number, packet in enumerate(packets) if packet.is_keyframe][key]
        packets = packets[start:]
        first = min(packet.pts for packet in packets if packet.pts is not None) if from_pts is None else from_pts
        for packet in packets:
            data = bytearray(bytes(packet))
            place = data.find(b"\0\0\1\xb8")
            if closed is not None and place >= 0:
                data[place + 7] = data[place + 7] & ~64 | 64 * closed
            own = av.Packet(bytes(data))
            assert packet.pts is not None and packet.dts is not None
            own.pts, own.dts, own.time_base = packet.pts - first, packet.dts - first, packet.time_base
            own.duration, own.is_keyframe, own.stream = packet.duration, packet.is_keyframe, copy
            out.mux(own)


def scan(path: Path, **options: Any) -> tuple[ContainerReader, list[np.ndarray], Timeline]:
    reader = open_container(partial(str, path), path.name, FilmOptions(**options))
    frames = [frame.pixels for frame in reader.scan()]
    return reader, frames, reader.timeline()


def counted(path: Path) -> int:
    """Frames as FFmpeg counts them: by ffprobe where it is installed, else by its libraries."""
    if probe := shutil.which("ffprobe"):
        command = [
            probe,
            "-v",
            "error",
            "-count_frames",
            "-select_streams",
            "v:0",
            "-show_streams",
            "-of",
            "json",
            str(path),
        ]
        shown = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=60).stdout
        return int(json.loads(shown)["streams"][0]["nb_read_frames"])
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_leading_frames_of_a_closed_group_are_not_dropped(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mov"
    make_clip(whole, pictures(3 * GOP + 1), **MPEG2)
    _, reference, _ = scan(whole)
    for suffix in ("mov", "mp4", "mkv", "mxf", "ts"):
        cut = tmp_path / f"closed.{suffix}"
        cut_before_key(whole, cut, key=1, closed=True)
        reader, frames, timeline = scan(cut)
        packets = packets_of(cut)
        assert packets[0].pts > packets[1].pts, "the clip begins with B-frames"
        assert len(frames) == len(timeline) == len(packets) == counted(cut), suffix
        np.testing.assert_array_equal(frames, reference[-len(frames) :])  # and they are what the whole film shows
        assert not any("left out" in warning for warning in reader.facts.warnings)
        for start in (0, 1, GOP, len(frames) - 3):  # after a seek, too
            again = [frame.pixels for frame in reader.frames(timeline, start, 3)]
            np.testing.assert_array_equal(again, frames[start : start + 3])


def test_leading_frames_of_an_open_group_are_left_out_with_a_word(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.mov", tmp_path / "open.mov"
    make_clip(whole, film(3 * GOP + 1, 96, 128), **MPEG2)
    cut_before_key(whole, cut, key=1, closed=False)
    reader, frames, _ = scan(cut)
    assert len(frames) == counted(cut) == len(packets_of(cut)) - 2
    assert any(warning.startswith("2 frames at its start refer to frames") for warning in reader.facts.warnings)


def test_leading_frames_of_hevc_that_refer_to_nothing_before_are_not_dropped(tmp_path: Path) -> None:
    settings = {"x265-params": "radl=2:bframes=3:keyint=12:min-keyint=12:scenecut=0:open-gop=0"}
    whole = tmp_path / "whole.mp4"
    make_clip(whole, film(3 * GOP + 1, 96, 128), **HEVC, options=settings)
    _, reference, _ = scan(whole)
    for suffix in ("mp4", "mkv", "ts"):
        cut = tmp_path / f"cut.{suffix}"
        cut_before_key(whole, cut, key=1)
        _, frames, timeline = scan(cut)
        packets = packets_of(cut)
        assert packets[0].pts > min(packet.pts for packet in packets), "the clip begins with leading pictures"
        assert len(frames) == len(timeline) == len(packets) == counted(cut)
        np.testing.assert_array_equal(frames, reference[-len(frames) :])


@pytest.mark.parametrize("settings", [H264, MPEG2, HEVC], ids=["h264", "mpeg2", "hevc"])
def test_frames_after_the_start_of_an_edit_list_are_not_dropped(tmp_path: Path, settings: dict[str, Any]) -> None:
    whole = tmp_path / "whole.mov"
    make_clip(whole, film(3 * GOP + 1, 96, 128), **settings)
    _, reference, _ = scan(whole)
    for left_out in (1, 3, 5):
        cut = tmp_path / f"edited-{left_out}.mov"
        with av.open(str(whole)) as container:
            stream = container.streams.video[0]
            unit = round(1 / (Fraction(25) * stream.time_base))
        cut_before_key(whole, cut, key=0, from_pts=left_out * unit)
        packets = packets_of(cut)
        assert sum(packet.is_discard for packet in packets) == left_out, "the edit list begins within a group"
        _, frames, timeline = scan(cut)
        assert len(frames) == len(timeline) == counted(cut) == len(packets) - left_out
        np.testing.assert_array_equal(frames, reference[left_out:])
        reader, *_ = scan(cut)
        again = [frame.pixels for frame in reader.frames(timeline, GOP - left_out - 2, 4)]
        np.testing.assert_array_equal(again, frames[GOP - left_out - 2 : GOP - left_out + 2])


@pytest.mark.parametrize("flags", ["+cgop", "-cgop"])
@pytest.mark.parametrize("suffix", ["mov", "mp4", "mkv", "ts", "mpg", "mxf"])
def test_as_many_frames_come_out_as_ffmpeg_counts(tmp_path: Path, suffix: str, flags: str) -> None:
    path = tmp_path / f"clip.{suffix}"
    make_clip(path, film(25, 96, 128), **{**MPEG2, "options": {**MPEG2["options"], "flags": flags}})  # type: ignore[dict-item]
    assert len(scan(path)[1]) == counted(path) == 25
