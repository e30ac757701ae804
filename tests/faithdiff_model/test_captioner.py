"""The real LLaVA classes on a tiny random LLaVA."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_llava import save_tiny_llava

from faithdiff_model.captioner import LlavaCaptioner, SeededSampling
from faithdiff_model.conversation import QUESTION, VICUNA_V1
from faithdiff_model.prompts import caption_to_prompt, description_to_prompt
from faithdiff_model.weights.download import WeightsError

IMAGES = [np.random.default_rng(i).integers(0, 256, (20 + 30 * i, 50, 3), np.uint8) for i in range(4)]
SEEDS = [3, 1, 4, 1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="module")
def captioner(folder: Path) -> LlavaCaptioner:
    return LlavaCaptioner.from_pretrained(str(folder), max_new_tokens=12, temperature=1.0, top_p=0.95)


def test_a_caption_does_not_depend_on_its_batch(captioner: LlavaCaptioner) -> None:
    together = captioner.caption(IMAGES, SEEDS)
    assert len({caption.text for caption in together}) > 1
    for order in ([0], [2, 1], [3, 2, 1, 0]):
        again = captioner.caption([IMAGES[i] for i in order], [SEEDS[i] for i in order])
        assert again == [together[i] for i in order]


def test_a_seed_is_a_caption(captioner: LlavaCaptioner) -> None:
    texts = [caption.text for caption in captioner.caption([IMAGES[0]] * 8, list(range(8)))]
    assert len(set(texts)) > 3
    assert [c.text for c in captioner.caption([IMAGES[0]] * 8, list(range(8)))] == texts


def test_captions_are_text_without_question_or_special_tokens(captioner: LlavaCaptioner) -> None:
    captions = captioner.caption(IMAGES, SEEDS)
    assert any(caption.text for caption in captions)  # one may well be empty: the end is a word like others
    for caption in captions:
        assert "<" not in caption.text
        assert "Describe" not in caption.text
        assert caption.prompt == caption_to_prompt(caption.text)


def test_temperature_zero_takes_the_likeliest(folder: Path) -> None:
    greedy = LlavaCaptioner.from_pretrained(str(folder), max_new_tokens=5, temperature=0.0)
    assert len({c.text for c in greedy.caption([IMAGES[0]] * 3, [0, 1, 2])}) == 1


def test_the_question_reaches_the_model(captioner: LlavaCaptioner) -> None:
    assert QUESTION in captioner.prompt
    assert captioner.prompt.count("<image>") == 1


def test_the_conversation_is_the_references_and_not_the_folders(folder: Path, tmp_path: Path) -> None:
    """vicuna_v1 as LLaVA's own code writes it, though a template in the folder says otherwise."""
    other = tmp_path / "templated"
    shutil.copytree(folder, other)
    template = "{% for message in messages %}Say nothing. <image>{% endfor %}"
    (other / "chat_template.jinja").write_text(template)
    templated = LlavaCaptioner.from_pretrained(str(other), max_new_tokens=12, temperature=1.0, top_p=0.95)
    assert templated.processor.chat_template == template
    assert templated.prompt == (
        "A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions. "
        "USER: <image>\nDescribe this image and its style in a very detailed manner. ASSISTANT:"
    )
    assert VICUNA_V1.name == "vicuna_v1"


def test_no_images_no_captions(captioner: LlavaCaptioner) -> None:
    assert captioner.caption([], []) == []


def test_sampling_draws_from_the_distribution() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    rows = 4000
    for top_p, expected in ((1.0, [0.5, 0.3, 0.15, 0.05]), (0.7, [0.625, 0.375, 0, 0])):
        sampled = SeededSampling(range(rows), 1.0, top_p)(torch.empty(0), logits.expand(rows, 4)).argmax(-1)
        frequency = torch.bincount(sampled, minlength=4) / rows
        # Four standard errors of the largest share.
        assert (frequency - torch.tensor(expected)).abs().max() < 4 * (0.25 / rows) ** 0.5


def test_low_temperature_sharpens() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]])).expand(2000, 3)
    sampled = SeededSampling(range(2000), 0.2, 1.0)(torch.empty(0), logits).argmax(-1)
    assert (sampled == 0).float().mean() > 0.9


@pytest.mark.parametrize("remove", ["*.safetensors", "config.json", "tokenizer.json", "*processor_config.json"])
def test_incomplete_folders_are_named(folder: Path, tmp_path: Path, remove: str) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    for path in broken.glob(remove):
        path.unlink()
    with pytest.raises(WeightsError, match=r"captioner .*broken"):
        LlavaCaptioner.from_pretrained(str(broken))


def test_no_such_folder() -> None:
    with pytest.raises(WeightsError, match="no such folder"):
        LlavaCaptioner.from_pretrained("/nowhere/at/all")


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.1}, {"max_new_tokens": 0}])
def test_sampling_values_are_checked(folder: Path, wrong: dict) -> None:
    with pytest.raises(ValueError, match="temperature"):
        LlavaCaptioner.from_pretrained(str(folder), **wrong)


@pytest.mark.parametrize(
    ("caption", "prompt"),
    [
        ("The image features a barn. It is red. The sky is blue.", "A barn. It is red."),
        ("The image features\n a  barn", "A barn"),
        ("", ""),
        ("   ", ""),
        ("Barn", "Barn"),
        ("Old red barn", "Old red barn"),
        ("The image features élan vital!", "Élan vital!"),
        ("The image features a sign: 'Stop. Look.' Nobody is there. End.", "A sign: 'Stop. Look.' Nobody is there."),
        ("One two three four.", "Four."),
    ],
)
def test_caption_to_prompt(caption: str, prompt: str) -> None:
    assert caption_to_prompt(caption) == prompt


def test_descriptions_keep_every_word() -> None:
    assert (
        description_to_prompt("  Grandmother in\tthe garden.\n1924. Left. ") == "Grandmother in the garden. 1924. Left."
    )
