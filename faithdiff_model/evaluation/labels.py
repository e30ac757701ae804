"""Every figure by name: its column in Parquet, its heading in tables, which way is better, and what exactly it is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LEARNED", "LEARNED_OF_SETS", "METRIC_NAMES", "OCR", "OWN", "Label"]


@dataclass(frozen=True, kw_only=True)
class Label:
    """What a figure is called and how it is shown.

    Attributes:
        name: on the command line, and its column in Parquet.
        title: in tables, with the unit if there is one.
        about: one line for the summary.
        lower_is_better: which way is better.
        digits: after the point, in tables.
    """

    name: str
    title: str
    about: str
    lower_is_better: bool = False
    digits: int = 4

    @property
    def heading(self) -> str:
        """The title with an arrow to the better side."""
        return f"{self.title} {'↓' if self.lower_is_better else '↑'}"


# Own code, nothing to download.
OWN = (
    Label(
        name="psnr_y",
        title="PSNR-Y dB",
        about="Y of ITU-R BT.601 in studio swing, peak 255, no border cut off; 100 for equal images",
        digits=2,
    ),
    Label(
        name="psnr_rgb",
        title="PSNR-RGB dB",
        about="the three channels together, peak 255, no border cut off; 100 for equal images",
        digits=2,
    ),
    Label(
        name="ssim_y",
        title="SSIM-Y",
        about="Wang et al. 2004 on the same Y, Gaussian window of 11 pixels and sigma 1.5, no border cut off",
    ),
    Label(name="ssim_rgb", title="SSIM-RGB", about="mean of the three channels' SSIM"),
    Label(
        name="ms_ssim_y",
        title="MS-SSIM-Y",
        about="Wang et al. 2003 on the same Y, five sizes (fewer where a side is below 161 pixels)",
    ),
    Label(
        name="gmsd",
        title="GMSD",
        about="gradient magnitude similarity deviation, Xue et al. 2014, on grey",
        lower_is_better=True,
    ),
    Label(name="fsim", title="FSIM", about="feature similarity, Zhang et al. 2011, on grey"),
)

# Through pyiqa, by its own names and with its default weights; figures of an image.
LEARNED = (
    Label(name="lpips", title="LPIPS", about="Zhang et al. 2018, AlexNet 0.1, by pyiqa", lower_is_better=True),
    Label(name="dists", title="DISTS", about="Ding et al. 2020, by pyiqa", lower_is_better=True),
    Label(name="musiq", title="MUSIQ", about="Ke et al. 2021, KonIQ-10k, without reference, by pyiqa", digits=2),
    Label(name="clipiqa+", title="CLIPIQA+", about="Wang et al. 2023, without reference, by pyiqa"),
    Label(
        name="niqe",
        title="NIQE",
        about="Mittal et al. 2013, on Y, without reference, by pyiqa",
        lower_is_better=True,
        digits=3,
    ),
)

# Likewise, figures of a set of images.
LEARNED_OF_SETS = (
    Label(
        name="fid",
        title="FID",
        about="Heusel et al. 2017, clean-fid's resizing, by pyiqa; sets of thousands are wanted, small ones only compare",
        lower_is_better=True,
        digits=2,
    ),
)

# Text, read by Tesseract; empty without a denominator: precision with nothing read, recall with nothing to read.
OCR = (
    Label(
        name="ocr_word_precision",
        title="OCR words, precision",
        about="share of the words read in the result that the reference has, with their multiplicity",
        digits=3,
    ),
    Label(
        name="ocr_word_recall",
        title="OCR words, recall",
        about="share of the reference's words that are read in the result",
        digits=3,
    ),
    Label(
        name="ocr_char_precision",
        title="OCR characters, precision",
        about="share of the characters read that the longest common subsequence has",
        digits=3,
    ),
    Label(
        name="ocr_char_recall",
        title="OCR characters, recall",
        about="share of the reference's characters that the longest common subsequence has",
        digits=3,
    ),
)

METRIC_NAMES: tuple[str, ...] = tuple(label.name for label in (*OWN, *LEARNED, *LEARNED_OF_SETS))
