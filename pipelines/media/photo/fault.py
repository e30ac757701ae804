"""What is wrong with a picture that a decoder would give out without a word: the fault, and how many of its rows it costs."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.errors import ItemError
from pipelines.media.photo.header import RECOPY

__all__ = ["Fault", "refusal", "remark"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault in coded pixels.

    Attributes:
        code: "truncated" or "corrupt".
        what: what was found, in the words of the decoder's library where it has some.
        lost: share of the picture's rows that cannot be trusted, 0 to 1; 0 where whole rows are there and only detail is lost.
        slight: so little that the picture counts as sound: a few lines of a fax, each of which is read by itself.
    """

    code: str
    what: str
    lost: float
    slight: bool = False


def refusal(fault: Fault) -> ItemError:
    """The error of a picture that is not to be restored."""
    reason = f"the picture is damaged: {fault.what}{_share(fault.lost)}"
    return ItemError(fault.code, f"{reason}; {RECOPY}, or restore what is left with --damaged restore")


def remark(fault: Fault) -> str:
    """The warning of a picture that is restored nevertheless."""
    return f"the picture is damaged: {fault.what}{_share(fault.lost) or ', detail is lost'}; what is left was restored"


def _share(lost: float) -> str:
    if not lost:
        return ""
    return f", {lost:.0%} of its rows are lost" if lost >= 0.01 else ", less than 1% of its rows is lost"
