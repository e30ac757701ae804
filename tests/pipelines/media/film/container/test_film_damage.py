"""Damaged, cut and foreign files: frames that are missing are found, and whatever comes in, only `ItemError` comes out."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from film_files import film, make_clip
from PIL import Image

from pipelines.errors import ItemError
from pipelines.media.film.container.reader import ContainerReader, open_container
from pipelines.media.film.facts import SLATE, FilmOptions, Timeline
from pipelines.media.film.slate import slate

FILM = film(30, 144, 176)
H264 = {"codec": "libx264", "pix_fmt": "yuv420p", "gop": 10, "b_frames": 2,
        "options": {"x264-params": "scenecut=0:keyint=10:min-keyint=10:b-adapt=0"}}  # fmt: skip
MPEG2 = {"codec": "mpeg2video", "pix_fmt": "yuv420p", "gop": 10, "b_frames": 2}
FFV1 = {"codec": "ffv1", "gop": 1, "options": {"level": "3", "slices": "4", "slicecrc": "1"}}


def reader(path: Path, **options: Any) -> ContainerReader:
    return open_container(partial(str, path), f"reels/{path.name}", FilmOptions(**options))


def scan(path: Path, **options: Any) -> tuple[ContainerReader, list[np.ndarray], Timeline]:
    film_ = reader(path, **options)
    frames = [frame.pixels for frame in film_.scan()]
    return film_, frames, film_.timeline()


def error_of(path: Path, **options: Any) -> ItemError:
    with pytest.raises(ItemError) as caught:
        scan(path, **options)
    assert caught.value.reason.startswith(f"reels/{path.name}: ")
    assert "\n" not in caught.value.reason
    return caught.value


def spoil(path: Path, number: int) -> int:
    """Break the middle of the packet of frame `number`, in order of decoding; gives the time of its frame."""
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
        data, pts = bytes(packet), packet.pts
    whole = bytearray(path.read_bytes())
    place = whole.index(data) + len(data) // 2
    for at in range(place, min(place + 12, place + len(data) // 2)):
        whole[at] ^= 0x5A
    path.write_bytes(whole)
    assert pts is not None
    return pts


# --- damaged frames ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "settings", "packet"), [("a.mp4", H264, 13), ("a.mkv", FFV1, 12), ("a.avi", {"codec": "mjpeg",
                         "pix_fmt": "yuvj420p"}, 12)])  # fmt: skip
def test_a_damaged_frame_and_those_that_refer_to_it_are_missing(
    tmp_path: Path, name: str, settings: dict[str, Any], packet: int
) -> None:
    path = tmp_path / name
    make_clip(path, FILM, **settings)
    _, whole, _ = scan(path)
    whole_times = scan(path)[2].pts
    if name == "a.avi":  # a picture of which half is gone
        with av.open(str(path)) as container:
            data = [bytes(packet) for packet in container.demux(video=0) if packet.size][packet]
        path.write_bytes(path.read_bytes().replace(data, data[:20] + bytes(len(data) - 20)))
        pts = 12
    else:
        pts = spoil(path, packet)
    broken = np.flatnonzero(whole_times == pts)[0]
    _, frames, timeline = scan(path, tolerate_gaps=30)
    filled = timeline.filled
    assert broken in filled
    assert len(timeline) == 30
    np.testing.assert_array_equal(timeline.pts, whole_times)
    # Nothing that is handed on differs from the sound film by a single value.
    sound = [number for number in range(30) if number not in filled]
    assert len(sound) == len(frames)
    np.testing.assert_array_equal(frames, [whole[number] for number in sound])
    if name != "a.mp4":
        assert filled == [broken]
    else:  # from the broken picture to the next key frame at most
        assert set(filled) <= set(range(10, 20))
        assert len(filled) >= 5
    again = reader(path)
    np.testing.assert_array_equal(
        [f.pixels for f in again.frames(timeline, 0, 30)], [frames[n] for n in timeline.origins]
    )
    reason = error_of(path, tolerate_gaps=len(filled) - 1)
    assert (reason.code, f"--tolerate-gaps {len(filled)}" in reason.reason) == ("missing_frames", True)


@pytest.mark.parametrize("name", ["a.mpg", "a.ts"])
def test_patched_pictures_of_mpeg2_are_missing(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    make_clip(path, FILM, **MPEG2)
    _, whole, times = scan(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = bytes(range(7, 157)) * 2
    path.write_bytes(data)
    _, frames, timeline = scan(path, tolerate_gaps=20)
    assert timeline.filled
    np.testing.assert_array_equal(timeline.pts, times.pts)
    if name == "a.ts":
        sound = [number for number in range(30) if number not in timeline.filled]
    else:  # few frames have a time of their own, so that a hole may be found some frames after its place
        sound = [next((n for n in range(30) if np.array_equal(whole[n], frame)), -1) for frame in frames]
        assert sound == sorted(set(sound))
        assert len(sound) + len(timeline.filled) == 30
    np.testing.assert_array_equal(frames, [whole[number] for number in sound])


# --- holes ------------------------------------------------------------------------------------------------------------

HOLES = [0, 1, 2, 3, 4, 9, 10, *range(12, 35)]  # 5 to 8, and 11


@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_holes_are_named(tmp_path: Path, container: str) -> None:
    path = tmp_path / f"a.{container}"
    make_clip(path, FILM, pts=HOLES, **H264)
    error = error_of(path, tolerate_gaps=4)
    assert error.code == "missing_frames"
    places = "5-8 (00:00:00.200), 11 (00:00:00.440)"
    assert f"5 frames are missing or damaged, more than the 4 of --tolerate-gaps: {places}; " in error.reason
    assert error.reason.endswith("fill them with --tolerate-gaps 5")


def test_holes_are_filled_by_the_frame_before(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", FILM, pts=HOLES, **H264)
    film_, frames, timeline = scan(tmp_path / "a.mkv", tolerate_gaps=5)
    origins = [0, 1, 2, 3, 4, 4, 4, 4, 4, 5, 6, 6, *range(7, 30)]
    assert timeline.to_dict() == {
        "pts": [40 * n for n in range(35)],
        "durations": [40] * 35,
        "origins": origins,
        "repeats": [n in {5, 6, 7, 8, 11} for n in range(35)],
    }
    assert film_.facts.rate == "25/1"
    got = list(reader(tmp_path / "a.mkv").frames(timeline, 3, 12))
    np.testing.assert_array_equal([f.pixels for f in got], [frames[n] for n in origins[3:15]])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_holes_are_filled_by_slates(tmp_path: Path, dtype: Any) -> None:
    deep = {"pix_fmt": "yuv422p10le", "options": {"level": "3"}} if dtype == np.uint16 else {}
    make_clip(tmp_path / "a.mkv", FILM, pts=HOLES, **deep)
    _, frames, timeline = scan(tmp_path / "a.mkv", tolerate_gaps=5, gap_fill="slate")
    assert timeline.filled == [5, 6, 7, 8, 11]
    assert (timeline.origins[[5, 6, 7, 8, 11]] == SLATE).all()
    assert not timeline.repeats.any()
    other = reader(tmp_path / "a.mkv", tolerate_gaps=5, gap_fill="slate")
    got = list(other.frames(timeline, 4, 9))
    assert [frame.number for frame in got] == list(range(4, 13))
    for frame in got:
        origin = timeline.origins[frame.number]
        same = slate(144, 176, dtype, str(frame.number)) if origin == SLATE else frames[origin]
        np.testing.assert_array_equal(frame.pixels, same)
    alone = list(other.frames(timeline, 6, 2))
    np.testing.assert_array_equal([f.pixels for f in alone], [got[2].pixels, got[3].pixels])


# --- cut files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "settings"), [("a.mkv", FFV1), ("a.avi", {"codec": "huffyuv", "pix_fmt": "yuv422p"}),
    ("a.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le", "container_options": {"movflags": "faststart"}}),
    ("a.mp4", {**H264, "container_options": {"movflags": "faststart"}}), ("a.mxf", MPEG2)])  # fmt: skip
def test_frames_that_a_cut_took_are_missing_at_the_end(tmp_path: Path, name: str, settings: dict[str, Any]) -> None:
    path = tmp_path / name
    make_clip(path, FILM, **settings)
    _, whole, times = scan(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    error = error_of(path)
    assert error.code == "missing_frames"
    missing = int(error.reason.rsplit(" ", 1)[1])
    _, frames, timeline = scan(path, tolerate_gaps=missing)
    assert 8 <= missing <= 22
    assert (len(timeline.filled), timeline.filled[-1]) == (missing, 29)
    # A cut MXF has lost its index, and FFmpeg then counts times from another start.
    start = timeline.pts[0] if name == "a.mxf" else 0
    np.testing.assert_array_equal(timeline.pts - start, times.pts)
    np.testing.assert_array_equal(frames, [whole[number] for number in range(30) if number not in timeline.filled])
    got = list(reader(path).frames(timeline, 27, 3))
    np.testing.assert_array_equal([f.pixels for f in got], [frames[-1]] * 3)


@pytest.mark.parametrize("share", [0.6, 0.8, 0.97])
def test_a_cut_takes_no_frame_twice(tmp_path: Path, share: float) -> None:
    """Frames that are coded after the cut and shown before it are among those that are announced."""
    path = tmp_path / "a.mp4"
    fine = {"x265-params": "crf=4"}
    make_clip(path, FILM, codec="libx265", pix_fmt="yuv420p", options=fine, container_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    timeline = scan(path, tolerate_gaps=29)[2]
    np.testing.assert_array_equal(timeline.pts - timeline.pts[0], np.arange(30) * timeline.durations[0])


def test_sound_that_lasts_longer_is_no_damage(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", FILM, sound=3.0)
    make_clip(tmp_path / "b.mp4", FILM, sound=3.0, sound_codec="aac", **H264)
    assert len(scan(tmp_path / "a.mkv")[2]) == len(scan(tmp_path / "b.mp4")[2]) == 30
    # Without the note on how long the pictures last there is only how long the whole film does.
    whole = (tmp_path / "a.mkv").read_bytes().replace(b"DURATION", b"XURATION")
    (tmp_path / "c.mkv").write_bytes(whole)
    assert len(scan(tmp_path / "c.mkv")[2]) == 30
    (tmp_path / "c.mkv").write_bytes(whole[: len(whole) // 2])
    assert error_of(tmp_path / "c.mkv").code == "missing_frames"


def test_a_film_without_its_index_is_truncated(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", FILM, **H264)
    path = tmp_path / "a.mp4"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    error = error_of(path)
    assert (error.code, "moov" in error.reason) == ("truncated", True)


# --- what is no film --------------------------------------------------------------------------------------------------


def png() -> bytes:
    data = io.BytesIO()
    Image.fromarray(FILM[0]).save(data, "PNG")
    return data.getvalue()


def still(kind: str) -> bytes:
    data = io.BytesIO()
    Image.fromarray(FILM[0]).save(data, kind)
    return data.getvalue()


def sound(cover: bool) -> bytes:
    data = io.BytesIO()
    with av.open(data, "w", format="mp3") as out:
        tone = out.add_stream("libmp3lame", rate=48000)
        picture = out.add_stream("png") if cover else None
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = 176, 144, "rgb24"
            picture.disposition = av.stream.Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(FILM[0], "rgb24")
            frame.pts, frame.time_base = 0, Fraction(1, 25)
            packets = [*picture.encode(frame), *picture.encode(None)]
        for start in range(0, 48000, 1152):
            samples = np.zeros((1, 1152), np.float32)
            audio = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
            audio.sample_rate, audio.pts = 48000, start
            for packet in tone.encode(audio):
                out.mux(packet)
        for packet in tone.encode(None):
            out.mux(packet)
        if picture is not None:
            for packet in packets:
                out.mux(packet)
    return data.getvalue()


def wave() -> bytes:
    data = io.BytesIO()
    with av.open(data, "w", format="wav") as out:
        tone = out.add_stream("pcm_s16le", rate=48000)
        audio = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), "s16", "mono")
        audio.sample_rate = 48000
        for packet in tone.encode(audio):
            out.mux(packet)
    return data.getvalue()


NO_FILMS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "empty.mkv": (lambda: b"", "empty", "no bytes"),
    "random.mov": (lambda: np.random.default_rng(0).bytes(200_000), "not_a_film", "no film"),
    "text.mp4": (lambda: b"Dear reader, this is no film.\n" * 500, "not_a_film", "no film"),
    "zeros.mkv": (lambda: bytes(100_000), "not_a_film", "no film"),
    "still.avi": (png, "not_a_film", "no film"),
    "photo.mkv": (partial(still, "JPEG"), "not_a_film", "no film"),
    "scan.mov": (partial(still, "TIFF"), "not_a_film", "no film"),
    "picture.mkv": (partial(still, "GIF"), "not_a_film", "still picture"),
    "song.mp4": (partial(sound, False), "not_a_film", "sound alone"),
    "song_with_cover.mp4": (partial(sound, True), "not_a_film", "sound alone"),
    "tone.mov": (wave, "not_a_film", "sound alone"),
    "list.mkv": (lambda: b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n/etc/passwd\n#EXT-X-ENDLIST\n", "not_a_film", ""),
    "join.mkv": (lambda: b"ffconcat version 1.0\nfile a.mkv\n", "not_a_film", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_FILMS)
def test_what_is_no_film(tmp_path: Path, name: str) -> None:
    make, code, words = NO_FILMS[name]
    (tmp_path / name).write_bytes(make())
    make_clip(tmp_path / "a.mkv", FILM[:2])
    error = error_of(tmp_path / name)
    assert (error.code, words in error.reason) == (code, True), error.reason


@pytest.mark.parametrize("known", [True, False])
def test_an_encrypted_film_is_called_encrypted(tmp_path: Path, known: bool) -> None:
    path = tmp_path / "a.mp4"
    key, kid = "76a6c65c5ea762046bd749a2e632ccbb", "a7e61c373e219033c21091fa607bf3b8"
    protection = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": key, "encryption_kid": kid}
    make_clip(path, FILM[:12], **H264, container_options=protection)
    if not known:  # as with a codec that FFmpeg has no name for
        path.write_bytes(path.read_bytes().replace(b"frmaavc1", b"frmazzzz"))
    error = error_of(path)
    assert (error.code, error.reason) == ("unsupported", "reels/a.mp4: it is encrypted; get it without copy protection")


def test_a_film_of_which_most_is_gone_is_not_called_one_with_gaps(tmp_path: Path) -> None:
    """A cut MKV proposed to fill 27,105 gaps."""
    path = tmp_path / "a.mkv"
    make_clip(path, film(300), gop=1)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 4])
    error = error_of(path)
    assert error.code == "missing_frames"
    assert "the file is cut off: " in error.reason
    assert "of its 300 frames are there" in error.reason
    assert "tolerate-gaps" not in error.reason
    assert error.reason.endswith("copy it again from its origin")


def test_sound_alone_is_never_to_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    path.write_bytes(sound(cover=False))
    error = error_of(path)
    assert "sound alone, which is not restored" in error.reason
    assert "remove" not in error.reason


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.ts", FILM, **MPEG2)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{tmp_path / 'a.ts'}\n#EXT-X-ENDLIST\n"
    (tmp_path / "b.ts").write_text(playlist)
    error = error_of(tmp_path / "b.ts")
    # Refused on opening, not for what it turned out to be once the other file was read.
    assert (error.code, "(hls)" in error.reason) == ("not_a_film", False)


def test_no_frames(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", [])
    assert error_of(tmp_path / "a.mkv").code == "no_frames"
    make_clip(tmp_path / "b.mov", FILM[:3], codec="png", pix_fmt="rgb24")
    data = (tmp_path / "b.mov").read_bytes()
    (tmp_path / "b.mov").write_bytes(data.replace(b"\x89PNG\r\n\x1a\n", b"\x89PxG\r\n\x1a\n"))
    assert error_of(tmp_path / "b.mov").code in {"no_frames", "corrupt"}


def test_limits(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", FILM, **H264)
    make_clip(tmp_path / "b.mkv", FILM)
    for name in ("a.mp4", "b.mkv"):
        path = tmp_path / name
        assert len(scan(path, max_frames=30, max_pixels=176 * 144)[1]) == 30
        with pytest.raises(ItemError, match=r"^too_many_frames: .* limit of 29; raise --max-film-frames"):
            scan(path, max_frames=29)
        # Before any frame is decoded.
        with pytest.raises(ItemError, match=r"^too_many_pixels: .*176 x 144 pixels .*--max-pixels"):
            reader(path, max_pixels=176 * 144 - 1)
    with pytest.raises(ItemError, match=r"^too_many_frames"):
        reader(tmp_path / "a.mp4", max_frames=29)


def test_a_missing_file_and_a_failing_store(tmp_path: Path) -> None:
    assert error_of(tmp_path / "gone.mkv").code == "unreadable"
    make_clip(tmp_path / "a.mkv", FILM, gop=1)

    class Failing(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:  # type: ignore[override]
            if self.tell() > 300_000:
                raise OSError(5, "the network went away")
            return super().read(-1 if size is None else size)

    film_ = open_container(lambda: Failing(tmp_path / "a.mkv"), "a.mkv", FilmOptions())  # type: ignore[arg-type, return-value]
    with pytest.raises(ItemError, match=r"^unreadable: a.mkv: .*the network went away"):
        list(film_.scan())


def test_a_source_that_changed_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    make_clip(path, FILM, **FFV1)
    _, _, timeline = scan(path)
    make_clip(path, FILM[:10], **FFV1)
    with pytest.raises(ItemError, match=r"^unreadable: reels/a.mkv: .*no longer what was scanned"):
        list(reader(path).frames(timeline, 5, 10))


# --- anything at all --------------------------------------------------------------------------------------------------

FUZZED: dict[str, dict[str, Any]] = {
    "a.mkv": {"codec": "ffv1", "options": {"level": "3", "slices": "4", "slicecrc": "1"}},
    "a.mp4": {"codec": "libx264", "pix_fmt": "yuv420p", "gop": 5, "b_frames": 2},
    "a.mpg": {"codec": "mpeg2video", "pix_fmt": "yuv420p", "gop": 5, "b_frames": 2},
}


@pytest.mark.parametrize("name", FUZZED)
def test_whatever_the_bytes_only_item_errors_come_out(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    make_clip(path, film(10), sound=0.4 if name == "a.mkv" else 0, **FUZZED[name])
    whole = path.read_bytes()
    rng = np.random.default_rng(len(whole))
    ends: dict[str, int] = {}
    for case in range(50):
        data = bytearray(whole)
        if case % 3 == 0:
            for place in rng.integers(0, len(data), int(rng.integers(1, 40))):
                data[place] ^= int(rng.integers(1, 256))
        elif case % 3 == 1:
            del data[int(rng.integers(0, len(data))) :]
        else:
            first, second, size = (int(n) for n in rng.integers(0, len(data) // 2, 3))
            data[first : first + size // 4] = whole[second : second + size // 2]
        path.write_bytes(data)
        started = time.monotonic()
        end = "whole"
        try:
            _, frames, timeline = scan(path, tolerate_gaps=5)
            got = list(reader(path, tolerate_gaps=5).frames(timeline, 0, len(timeline)))
            assert len(got) == len(timeline)
            np.testing.assert_array_equal([f.pixels for f in got], [frames[n] for n in timeline.origins])
        except ItemError as error:
            end = error.code
            assert error.reason.startswith("reels/a.")
        ends[end] = ends.get(end, 0) + 1
        assert time.monotonic() - started < 2
    assert len(ends) >= 3, ends
