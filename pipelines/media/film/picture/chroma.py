"""What frames of fewer chroma samples than pixels need before libswscale interpolates them."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.filter import Graph
from av.video.format import VideoFormat

from pipelines.media.film.picture.colour import is_yuv, plane_of

__all__ = ["chroma_preparation"]


def chroma_preparation(
    frame: av.VideoFrame, time_base: Fraction, site: str
) -> Callable[[av.VideoFrame], av.VideoFrame] | None:
    """What frames need before they are converted; None if nothing.

    Chroma lies with the left pixel of each pair unless a film says otherwise; libswscale takes it to lie between both where
    nothing is said. And libswscale stretches chroma over an odd number of pixels, so that the last line or column is doubled
    there; `to_rgb`'s caller cuts it off.

    Args:
        frame: one as decoded.
        time_base: of its time.
        site: where the film says that its chroma lies, as FFmpeg names it; empty: it does not.
    """
    kind, width, height = frame.format, frame.width, frame.height
    wide, tall = kind.chroma_width(64) < 64, kind.chroma_height(64) < 64
    if not is_yuv(kind) or not (wide or tall):
        return None
    planar = re.fullmatch(r"yuv[aj]?4\d\dp(\d+le)?", kind.name)
    odd = planar is not None and ((wide and width % 2 == 1) or (tall and height % 2 == 1))
    if odd:
        width, height = width + (width % 2 if wide else 0), height + (height % 2 if tall else 0)
    elif site or not wide:
        return None
    graphs = {
        interlaced: _tagging_graph(width, height, kind, time_base, site or "left", interlaced)
        for interlaced in (False, True)
    }

    def prepared(frame: av.VideoFrame) -> av.VideoFrame:
        graph = graphs[odd and frame.interlaced_frame]
        graph.vpush(_doubled(frame, width, height) if odd else frame)
        return graph.vpull()

    return prepared


def _tagging_graph(
    width: int, height: int, kind: VideoFormat, time_base: Fraction, site: str, interlaced: bool
) -> Graph:
    """Says of frames where their chroma lies and, if so, that they are interlaced."""
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=width, height=height, format=kind, time_base=time_base)
    setparams = graph.add("setparams", f"chroma_location={site}" + (":field_mode=tff" if interlaced else ""))
    graph.link_nodes(source, setparams, graph.add("buffersink")).configure()
    return graph


def _doubled(frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """A planar frame with its last column or line doubled."""
    larger = av.VideoFrame(width, height, frame.format.name)
    larger.pts, larger.time_base = frame.pts, cast(Fraction, frame.time_base)
    larger.color_range, larger.colorspace = frame.color_range, frame.colorspace
    samples = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
    for number in range(len(frame.planes)):
        here, there = plane_of(frame, number, samples), plane_of(larger, number, samples)
        more = ((0, there.shape[0] - here.shape[0]), (0, there.shape[1] - here.shape[1]))
        there[:] = np.pad(here, more, "edge")
    return larger
