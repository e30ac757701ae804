"""From a description to the prompt that the network is given (golden README, fact 8)."""

from __future__ import annotations

import re

__all__ = ["caption_to_prompt", "description_to_prompt"]

_OPENER_WORDS = 3  # "The image features"
_SENTENCES = 2
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def caption_to_prompt(caption: str) -> str:
    """A LLaVA caption -> the prompt, as the reference makes it.

    Drops the first three words (LLaVA nearly always opens with "The image features"), capitalises the next, and keeps the first
    two sentences. Unlike the reference it takes a caption of any length: one of three words or fewer is kept whole, an empty
    one gives "".
    """
    words = caption.split()
    if len(words) > _OPENER_WORDS:
        words = words[_OPENER_WORDS:]
        words[0] = words[0][:1].upper() + words[0][1:]
    return " ".join(_SENTENCE_END.split(" ".join(words))[:_SENTENCES])


def description_to_prompt(description: str) -> str:
    """An archivist's own description -> the prompt: every word is kept, white space is folded.

    The rule for LLaVA would cut the subject off ("Grandmother in the garden").
    """
    return " ".join(description.split())
