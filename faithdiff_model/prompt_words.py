"""Words of a prompt and their tokens: which positions of the encoded prompt a word has."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from transformers import CLIPTokenizer

__all__ = ["find_tokens"]

_SIGNS = string.punctuation + "…“”„‘’«»"  # around words


def find_tokens(tokenizers: Sequence[CLIPTokenizer], prompt: str, word: str) -> list[int]:
    """Positions of a word's tokens in the encoded prompt, the start token being 0.

    Args:
        tokenizers: CLIP's, of both text encoders.
        prompt: as the encoders get it.
        word: a whole word or a phrase, in any case; its first place in the prompt counts.

    Raises:
        ValueError: the prompt does not have the word, or has it beyond what the encoders read; tokenizers that disagree.
    """
    # Not \b: a word may begin or end with a sign, and white space may be folded.
    pattern = r"(?<!\w)" + r"\s+".join(map(re.escape, word.split())) + r"(?!\w)"
    match = re.search(pattern, prompt, re.IGNORECASE) if word.split() else None
    if match is None:
        raise ValueError(f"{word!r} is not a word of the prompt; its words: {_list_words(prompt)}")
    positions, *others = (_positions(tokenizer, prompt, match.span(), word) for tokenizer in tokenizers)
    if any(other != positions for other in others):
        raise ValueError(
            f"the tokenizers of the text encoders split the prompt differently before or at {word!r} ({positions}, {others}): "
            "a position in their joined embeddings has no one word; use a base model whose tokenizers agree, as SDXL's do"
        )
    return positions


def _positions(tokenizer: CLIPTokenizer, prompt: str, span: tuple[int, int], word: str) -> list[int]:
    spans = tokenizer(prompt, return_offsets_mapping=True, verbose=False).offset_mapping  # all, however long
    positions = [i for i, (start, end) in enumerate(spans) if start < min(end, span[1]) and end > span[0]]
    assert positions, "a byte-level tokenizer has tokens for any text"
    last = tokenizer.model_max_length - 2  # the end token has the last place
    if positions[-1] > last:
        raise ValueError(
            f"{word!r} lies beyond the {tokenizer.model_max_length} tokens of the prompt that the text encoders read; "
            f"its words up to there: {_list_words(prompt, spans[last][1])}"
        )
    return positions


def _list_words(prompt: str, end: int | None = None) -> str:
    """The words that end before a character, each once, for a message."""
    words = dict.fromkeys(
        match[0].strip(_SIGNS) for match in re.finditer(r"\S+", prompt) if match.end() <= (end or len(prompt))
    )
    return ", ".join(word for word in words if word) or "none, it is empty"
