"""Sound, subtitles, chapters, fonts and titles arrive as they were, or are listed as left out."""

from __future__ import annotations

import io
import math
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from written_films import KINDS, facts, packets, picture, sound_of, source, timeline, write

from pipelines.media.film.write.writer import FilmWriter


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("format", "sound"),
    [
        ("mov", "pcm_s16le"),
        ("matroska", "pcm_s16le"),
        ("avi", "pcm_s16le"),
        ("mp4", "aac"),
        ("mpegts", "aac"),
        ("matroska", "flac"),
        ("mp4", "libmp3lame"),
        ("matroska", "ac3"),
    ],
)
def test_sound_is_carried_packet_by_packet(tmp_path: Path, kind: str, format: str, sound: str) -> None:
    original = source(tmp_path / "source", format, sound)
    shown = sorted(time for time, _, _ in packets(original, "video"))
    times = timeline([int(time * 90000) for time in shown], 3600)
    writer = write(tmp_path / "film", kind, times, facts(time_base="1/90000"), carried=original)
    if (kind, sound) == ("prores", "flac"):
        assert writer.left_out == ["audio stream 1 (flac, fra): mov cannot hold it, --film-format ffv1 keeps it"]
        assert not [each for each in av.open(str(tmp_path / "film")).streams if each.type == "audio"]
        return
    before, after = sound_of(original), sound_of(tmp_path / "film")
    assert after[0] == before[0]
    # Offset between picture and sound, which a shift of both leaves as it is.
    offset = packets(tmp_path / "film", "video")[0][0] - after[1]
    assert abs(offset - (shown[0] - before[1])) <= Fraction(1, 1000 if kind == "ffv1" else 20000)
    with av.open(str(tmp_path / "film")) as container:
        (audio,) = container.streams.audio
        assert audio.language in ((None, "und") if format == "avi" else ("fra",))
        assert container.duration > 1_990_000  # the sound's two seconds; the picture has one and a fifth


def test_sound_and_picture_alternate_in_the_file(tmp_path: Path) -> None:
    original = source(tmp_path / "source", "matroska", "pcm_s16le", frames=150, seconds=6)
    for kind in KINDS:
        write(tmp_path / "film", kind, timeline(range(150), 1), carried=original)
        with av.open(str(tmp_path / "film")) as container:
            wanted = [*container.streams.video, *container.streams.audio]
            by_place = sorted(
                (packet.pos, packet.dts * packet.time_base) for packet in container.demux(wanted) if packet.size
            )
        times = np.array([float(time) for _, time in by_place])
        # Nothing lies far behind what is shown with it.
        assert (np.maximum.accumulate(times) - times).max() < 0.7, kind


@pytest.mark.parametrize(("kind", "exact"), [("ffv1", False), ("prores", True), ("h264", True)])
def test_a_picture_that_begins_after_its_sound_still_does(tmp_path: Path, kind: str, exact: bool) -> None:
    original = source(tmp_path / "source", "matroska", "pcm_s16le", start=7)
    write(
        tmp_path / "film",
        kind,
        timeline(np.arange(30) * 1001 + 7007, 1001),
        facts(time_base="1/24000"),
        carried=original,
    )
    first = packets(tmp_path / "film", "video")[0][0]
    assert first == (Fraction(7007, 24000) if exact else Fraction(292, 1000))
    assert packets(tmp_path / "film", "audio")[0][0] == 0


def test_the_source_is_read_from_an_open_file_that_is_closed(tmp_path: Path) -> None:
    data = source(tmp_path / "source", "mov", "pcm_s16le").read_bytes()
    opened: list[io.BytesIO] = []

    def opener() -> io.BytesIO:
        opened.append(io.BytesIO(data))
        return opened[-1]

    with FilmWriter(
        tmp_path / "film",
        "ffv1",
        facts(),
        width=64,
        height=48,
        timeline=timeline(range(30), 1),
        carried=opener,
        name="a",
    ) as writer:
        for number in range(30):
            writer.write(picture(number))
    assert sound_of(tmp_path / "film")[0] == sound_of(tmp_path / "source")[0]
    assert opened and all(file.closed for file in opened)


def with_extras(path: Path, format: str, subtitle: str) -> Path:
    """A clip with two languages of subtitles, chapters, and in Matroska a font and a cover."""
    inner = source(path.with_suffix(".inner"), "matroska", "aac")
    with av.open(str(inner)) as old, av.open(str(path), "w", format=format) as new:
        streams = [new.add_stream_from_template(each, opaque=True) for each in old.streams]
        texts = [new.add_mux_stream(subtitle) for _ in range(2)]
        for text, language in zip(texts, ("eng", "spa"), strict=True):
            text.metadata["language"] = language
            text.time_base = Fraction(1, 1000)
        texts[1].disposition = av.stream.Disposition.forced
        chapters = [
            {
                "id": n,
                "start": n * 500,
                "end": n * 500 + 500,
                "time_base": Fraction(1, 1000),
                "metadata": {"title": f"Act {n}"},
            }
            for n in range(2)
        ]
        new.set_chapters(chapters)
        if format == "matroska":
            new.add_attachment("Font.ttf", "font/ttf", b"\0\1\0\0 a font")
        new.start_encoding()
        for packet in old.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
        for number, text in enumerate(texts):
            for line in range(3):
                words = f"line {line} of {number}".encode()
                packet = av.Packet(len(words).to_bytes(2, "big") + words if subtitle == "mov_text" else words)
                packet.stream, packet.time_base = text, Fraction(1, 1000)
                packet.pts = packet.dts = line * 600
                packet.duration = 400
                new.mux(packet)
    return path


def lines_of(path: Path) -> list[list[tuple[str, bytes]]]:
    """Language, and words of each stream of subtitles; MOV has empty ones in between."""
    with av.open(str(path)) as container:
        found: dict[int, list[tuple[str, bytes]]] = {each.index: [] for each in container.streams.subtitles}
        for packet in container.demux(container.streams.subtitles):
            if packet.size > 2:
                time = f"{packet.stream.language} {float(packet.pts * packet.time_base):.3f}"
                found[packet.stream_index].append((time, bytes(packet)))
    return list(found.values())


@pytest.mark.parametrize(
    ("format", "subtitle", "kind"),
    [("matroska", "subrip", "ffv1"), ("mp4", "mov_text", "h264"), ("mov", "mov_text", "prores")],
)
def test_subtitles_chapters_and_fonts_are_carried(tmp_path: Path, format: str, subtitle: str, kind: str) -> None:
    original = with_extras(tmp_path / "source", format, subtitle)
    writer = write(tmp_path / "film", kind, timeline(range(30), 1), carried=original)
    assert lines_of(tmp_path / "film") == lines_of(original)
    assert [len(lines) for lines in lines_of(original)] == [3, 3]
    assert sound_of(tmp_path / "film")[0] == sound_of(original)[0]
    with av.open(str(original)) as before, av.open(str(tmp_path / "film")) as after:
        old, new = ([float(each["start"] * each["time_base"]) for each in film.chapters()] for film in (before, after))
        assert old == new == [0, 0.5]
        assert [each["metadata"]["title"] for each in after.chapters()] == ["Act 0", "Act 1"]
        old, new = ([int(each.disposition) for each in film.streams.subtitles] for film in (before, after))
        assert old == new
        fonts = [(each.name, each.mimetype, each.data) for each in after.streams.attachments]
        assert fonts == ([("Font.ttf", "font/ttf", b"\0\1\0\0 a font")] if format == "matroska" else [])
    assert writer.left_out == []


@pytest.mark.parametrize("kind", ["prores", "h264"])
def test_what_a_container_cannot_hold_is_listed(tmp_path: Path, kind: str) -> None:
    original = with_extras(tmp_path / "source", "matroska", "subrip")
    writer = write(tmp_path / "film", kind, timeline(range(30), 1), carried=original)
    target = "mov" if kind == "prores" else "mp4"
    assert writer.left_out == [
        f"{what}: {target} cannot hold it, --film-format ffv1 keeps it"
        for what in ("subtitle stream 2 (srt, eng)", "subtitle stream 3 (srt, spa)", "attachment stream 4 (Font.ttf)")
    ]
    with av.open(str(tmp_path / "film")) as container:
        assert not [each for each in container.streams if each.type in ("subtitle", "attachment")]


def test_a_lost_disposition_is_listed(tmp_path: Path) -> None:
    original = with_extras(tmp_path / "source", "mp4", "mov_text")
    writer = write(tmp_path / "film", "prores", timeline(range(30), 1), carried=original)
    assert writer.left_out == ['"forced" of stream 3: mov cannot hold it, --film-format ffv1 keeps it']


@pytest.mark.parametrize("kind", KINDS)
def test_titles_languages_timecode_and_pixel_aspect(tmp_path: Path, kind: str) -> None:
    original = source(tmp_path / "source", "matroska", "aac")
    given = facts(timecode="10:59:58:23", pixel_aspect="16/15")
    writer = write(tmp_path / "film", kind, timeline(range(30), 1), given, carried=original)
    with av.open(str(tmp_path / "film")) as container:
        tags = {name.lower(): value for name, value in container.metadata.items()}
        assert {name: tags[name] for name in ("title", "date", "comment")} == {
            "title": "Die Brücke",
            "date": "1931-05-01",
            "comment": "reel 2",
        }
        video = container.streams.video[0]
        of_video = {name.lower(): value for name, value in video.metadata.items()}
        assert of_video["timecode"] == "10:59:58:23"
        assert video.sample_aspect_ratio == Fraction(16, 15)
        # MOV knows German by its other code.
        assert (video.language, container.streams.audio[0].language) == ("ger" if kind == "prores" else "deu", "fra")
        assert container.streams.audio[0].disposition & av.stream.Disposition.default
    assert writer.left_out == []


def test_lost_tags_are_listed(tmp_path: Path) -> None:
    original = source(tmp_path / "source", "matroska", None)
    with av.open(str(original)) as old, av.open(str(tmp_path / "tagged"), "w", format="matroska") as new:
        new.metadata["inventory"] = "A 17"
        stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    for kind in KINDS:
        given = facts(timecode="no timecode")
        writer = write(tmp_path / "film", kind, timeline(range(30), 1), given, carried=tmp_path / "tagged")
        target = {"prores": "mov", "h264": "mp4"}.get(kind)
        wanted = ["INVENTORY (A 17) of the film", "timecode (no timecode) of stream 0"] if target else []
        assert writer.left_out == [f"{each}: {target} cannot hold it, --film-format ffv1 keeps it" for each in wanted]


def copied(
    old: av.container.InputContainer, new: av.container.OutputContainer, streams: list[av.stream.Stream]
) -> None:
    for packet in old.demux():
        if packet.size:
            packet.stream = streams[packet.stream_index]
            new.mux(packet)


@pytest.mark.parametrize("format", ["matroska", "mp4"])
def test_covers_are_carried(tmp_path: Path, format: str) -> None:
    jpeg = cv2.imencode(".jpg", np.full((40, 30, 3), 90, np.uint8))[1].tobytes()
    with (
        av.open(str(source(tmp_path / "bare", "matroska", "aac"))) as old,
        av.open(str(tmp_path / "source"), "w", format=format) as new,
    ):
        streams = [new.add_stream_from_template(each, opaque=True) for each in old.streams]
        if format == "matroska":
            new.add_attachment("poster.jpg", "image/jpeg", jpeg)
        else:
            cover = new.add_mux_stream("mjpeg", width=30, height=40)
            cover.disposition = av.stream.Disposition.attached_pic
            packet = av.Packet(jpeg)
            packet.stream, packet.pts, packet.dts = cover, 0, 0
            new.start_encoding()
            new.mux(packet)
        copied(old, new, streams)
    for kind in KINDS:
        writer = write(tmp_path / "film", kind, timeline(range(30), 1), carried=tmp_path / "source")
        with av.open(str(tmp_path / "film")) as container:
            covers = [each for each in container.streams.video if each.disposition & av.stream.Disposition.attached_pic]
            data = [bytes(next(container.demux(each))) for each in covers]
        assert data == ([] if kind == "prores" else [jpeg])
        if kind == "prores":
            assert writer.left_out == ["cover stream 2 (mjpeg): mov cannot hold it, --film-format ffv1 keeps it"]


def test_a_second_picture_is_left_out_and_listed(tmp_path: Path) -> None:
    with (
        av.open(str(source(tmp_path / "one", "matroska", None))) as old,
        av.open(str(tmp_path / "source"), "w", format="matroska") as new,
    ):
        streams = [new.add_stream_from_template(old.streams.video[0], opaque=True) for _ in range(2)]
        for packet in old.demux():
            if packet.size:
                for stream in streams:
                    packet.stream = stream
                    new.mux(packet)
    writer = write(tmp_path / "film", "ffv1", timeline(range(30), 1), carried=tmp_path / "source")
    assert writer.left_out == ["video stream 1 (h264): a second picture, which would stand unrestored beside the first"]
    with av.open(str(tmp_path / "film")) as container:
        assert len(container.streams) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_clock_that_jumps_back_loses_no_sound(tmp_path: Path, kind: str) -> None:
    """Two recordings one behind the other in a broadcast stream, as after a tape was stopped."""
    clip = source(tmp_path / "clip", "mpegts", "mp2").read_bytes()
    (tmp_path / "source").write_bytes(clip + clip)
    writer = write(tmp_path / "film", kind, timeline(range(60), 1), carried=tmp_path / "source")
    assert sound_of(tmp_path / "film")[0] == sound_of(tmp_path / "source")[0]
    assert "stream 1: its clock runs backwards in places; there it follows what came before" in writer.warnings
    times = np.array([float(time) for time, _, _ in packets(tmp_path / "film", "audio")])
    assert 4 <= times[-1] - times[0] + 0.024 < 4.2  # two clips of two seconds, one after the other
    assert np.diff(times).min() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_broadcast_clock_is_moved_by_whole_seconds(tmp_path: Path, kind: str) -> None:
    original = source(tmp_path / "source", "mpegts", "mp2", start=7, hours=10)
    first, heard = (min(time for time, _, _ in packets(original, kind)) for kind in ("video", "audio"))
    assert first > 36000
    moved = math.floor(min(first, heard))
    times = timeline(np.arange(30) * 3600 + int(first * 90000), 3600)
    write(tmp_path / "film", kind, times, facts(time_base="1/90000"), carried=original)
    near = Fraction(1, 1000 if kind == "ffv1" else 20000)
    assert abs(packets(tmp_path / "film", "video")[0][0] - (first - moved)) <= near
    assert abs(packets(tmp_path / "film", "audio")[0][0] - (heard - moved)) <= near


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_without_packets(tmp_path: Path, kind: str) -> None:
    with av.open(str(tmp_path / "source"), "w", format="matroska") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        container.add_stream("pcm_s16le", rate=48000, layout="stereo")
        container.mux(video.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(video.encode(None))
    writer = write(tmp_path / "film", kind, timeline(range(30), 1), carried=tmp_path / "source")
    with av.open(str(tmp_path / "film")) as container:
        there = len(container.streams.audio)
    assert there == (kind == "ffv1")
    assert bool(writer.left_out) == (not there)
