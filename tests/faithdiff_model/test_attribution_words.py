"""A word of the prompt is found in its tokens, or the reason why not is one line."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from attention_probes import PROMPT, picture
from diffusers import UNet2DConditionModel
from tokenizers import pre_tokenizers
from transformers import CLIPTokenizer

from faithdiff_model.attribution import attribute
from faithdiff_model.build import build_restorer
from faithdiff_model.network.text import byte_tokenizer
from faithdiff_model.options import RestoreOptions
from faithdiff_model.prompt_words import find_tokens
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return build_restorer(ModelSpec(preset="tiny"), RestoreOptions(steps=2))


@pytest.fixture(scope="module")
def merging_tokenizer() -> Iterator[CLIPTokenizer]:
    """CLIP's kind of tokenizer, which knows "dog" as one token and the beginning of "grass"."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("d", "o"), ("do", "g</w>"), ("g", "r"), ("gr", "a"), ("i", "n</w>")]
    words = [*alphabet, *(letter + "</w>" for letter in alphabet), *("".join(pair) for pair in merges)]
    vocabulary = {word: number for number, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    yield CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def tokens_at(tokenizer: CLIPTokenizer, prompt: str, word: str) -> list[str]:
    tokens = tokenizer(prompt, padding="max_length", max_length=77, truncation=True).input_ids
    return tokenizer.convert_ids_to_tokens([tokens[at] for at in find_tokens([tokenizer, tokenizer], prompt, word)])


@pytest.mark.parametrize(
    ("prompt", "word", "positions", "tokens"),
    [
        ("A dog in grass", "dog", [2], ["dog</w>"]),
        ("A dog in grass", "grass", [4, 5, 6], ["gra", "s", "s</w>"]),
        ("A dog in grass", "A", [1], ["a</w>"]),
        ("A DOG in grass", "dog", [2], ["dog</w>"]),
        ("A dog in grass", "DOG", [2], ["dog</w>"]),
        ("dogs, a dog, a dog", "dog", [6], ["dog</w>"]),  # a whole word, the first one; "dogs" is do-g-s
        ("(dog)", "dog", [2], ["dog</w>"]),
        ("the\n\n  dog's", "dog", [4], ["dog</w>"]),
        ("A dog in grass", "dog  in", [2, 3], ["dog</w>", "in</w>"]),
        ("in, dog in dog", "in dog", [4, 5], ["in</w>", "dog</w>"]),
        ("dog, grass", "dog,", [1, 2], ["dog</w>", ",</w>"]),
        ("a dog-in-grass", "in", [4], ["in</w>"]),
        ("a d.o.g (dog+)", "dog+", [8, 9], None),
    ],
)
def test_a_word_is_found(
    merging_tokenizer: CLIPTokenizer, prompt: str, word: str, positions: list[int], tokens: list[str] | None
) -> None:
    assert find_tokens([merging_tokenizer, merging_tokenizer], prompt, word) == positions
    if tokens:
        assert tokens_at(merging_tokenizer, prompt, word) == tokens


def test_letters_of_several_bytes(merging_tokenizer: CLIPTokenizer) -> None:
    assert find_tokens([merging_tokenizer], "ein Süße Bär", "süße") == [3, 4, 5, 6, 7, 8]
    assert find_tokens([merging_tokenizer], "ein Süße Bär", "BÄR") == [9, 10, 11, 12]


@pytest.mark.parametrize("word", ["cat", "gras", "og", "", " ", ".", "in dog"])
def test_a_word_that_is_not_there(word: str) -> None:
    with pytest.raises(ValueError, match="is not a word of the prompt") as caught:
        find_tokens([byte_tokenizer()], PROMPT, word)
    assert str(caught.value).startswith(repr(word))
    assert str(caught.value).endswith("its words: A, Dog, in, the, grass, by, dog's, house")


def test_an_empty_prompt() -> None:
    with pytest.raises(ValueError, match="'dog' is not a word of the prompt; its words: none"):
        find_tokens([byte_tokenizer()], "", "dog")


def test_a_word_beyond_the_tokens_that_are_read() -> None:
    tokenizer = byte_tokenizer()
    start = "ab " * 36  # tokens 1 to 72
    assert find_tokens([tokenizer], start + "dog", "dog") == [73, 74, 75]
    for beyond in ("a dog", "dogs", " ab dog"):
        with pytest.raises(ValueError, match="lies beyond the 77 tokens") as caught:
            find_tokens([tokenizer], start + beyond, beyond.split()[-1])
        assert "words up to there: ab" in str(caught.value)
        assert "dog," not in str(caught.value)


def test_tokenizers_that_disagree(merging_tokenizer: CLIPTokenizer) -> None:
    with pytest.raises(ValueError, match="differently before or at 'in'"):
        find_tokens([merging_tokenizer, byte_tokenizer()], "dog in grass", "in")


def test_no_words(restorer: Restorer) -> None:
    with pytest.raises(ValueError, match="no words"):
        attribute(restorer, picture(64, 64), PROMPT, [], 0)


def test_a_preset_without_text(restorer: Restorer) -> None:
    core = UNet2DConditionModel(
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        mid_block_type="UNetMidBlock2D",
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    mute = restorer.with_options()
    mute.unet, mute.config = SimpleNamespace(core=core), SimpleNamespace(name="mute")
    assert mute.prompt_encoder is not None  # what counts is the UNet
    with pytest.raises(ValueError, match=r"^preset mute takes no text: .*choose a preset with text input"):
        attribute(mute, picture(64, 64), PROMPT, ["dog"], 0)
