"""Text measures: cases counted by hand, and the real Tesseract on rendered text."""

from __future__ import annotations

import builtins
import shutil
import sys
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from faithdiff_model.evaluation.labels import OCR
from faithdiff_model.evaluation.ocr import (
    OcrUnavailableError,
    common_length,
    tesseract_reader,
    tesseract_version,
    text_reader,
    text_scores,
    words_of,
)


def test_words_with_their_multiplicity_by_hand() -> None:
    scores = text_scores("be or be the question be", "To be, or not to be:\nthat is the QUESTION!")
    assert list(scores) == [label.name for label in OCR]
    # Read: be or be the question be (6); there: to be or not to be that is the question (10); common: be be or the question.
    assert scores["ocr_word_precision"] == 5 / 6
    assert scores["ocr_word_recall"] == 5 / 10


def test_characters_in_their_order_by_hand() -> None:
    scores = text_scores("Berlin 1942", "Berlin, 1924!")
    # Common in order: "Berlin 19", and of "42" and "24" one.
    assert scores["ocr_char_precision"] == 10 / 11
    assert scores["ocr_char_recall"] == 10 / 13
    assert scores["ocr_word_precision"] == scores["ocr_word_recall"] == 1 / 2


def test_case_line_breaks_and_encoding_do_not_matter() -> None:
    assert text_scores("CAFE\u0301 am\n\nSee", "café  Am see") == dict.fromkeys((label.name for label in OCR), 1.0)


def test_without_a_denominator_there_is_no_figure() -> None:
    nothing_read = text_scores(" \n", "two words")
    assert nothing_read["ocr_word_precision"] is nothing_read["ocr_char_precision"] is None
    assert nothing_read["ocr_word_recall"] == nothing_read["ocr_char_recall"] == 0
    invented = text_scores("two words", "")
    assert invented["ocr_word_precision"] == invented["ocr_char_precision"] == 0
    assert invented["ocr_word_recall"] is invented["ocr_char_recall"] is None
    assert set(text_scores("", "").values()) == {None}


def test_words_lose_the_signs_around_them() -> None:
    assert words_of("«Don't!» -- (No. 7) Straße x-ray …") == ["don't", "no", "7", "strasse", "x-ray"]


def slow_common_length(one: str, other: str) -> int:
    table = np.zeros((len(one) + 1, len(other) + 1), int)
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            table[i + 1, j + 1] = table[i, j] + 1 if a == b else max(table[i, j + 1], table[i + 1, j])
    return int(table[-1, -1])


@given(one=st.text("abc ", max_size=40), other=st.text("abc ", max_size=40))
def test_common_length_is_that_of_the_plain_table(one: str, other: str) -> None:
    assert common_length(one, other) == slow_common_length(one, other)


@pytest.mark.parametrize(
    ("one", "other", "length"), [("", "", 0), ("", "abc", 0), ("ABCBDAB", "BDCABA", 4), ("kitten", "sitting", 4)]
)
def test_common_length_known(one: str, other: str, length: int) -> None:
    assert common_length(one, other) == length


def test_pages_of_text_are_quick() -> None:
    page = "the quick brown fox jumps over the lazy dog " * 500
    assert common_length(page, page[3:]) == len(page) - 3


WORDS = "GRAND HOTEL\nParis, Rue de Rivoli 228\nOpen the 14 July 1912"


def rendered(text: str = WORDS) -> np.ndarray:
    image = Image.new("RGB", (760, 220), "white")
    ImageDraw.Draw(image).multiline_text((30, 25), text, "black", ImageFont.load_default(40), spacing=16)
    return np.asarray(image)


@pytest.fixture(scope="module")
def tesseract() -> Any:
    if shutil.which("tesseract") is None:
        pytest.skip("the program tesseract is not installed here (Debian: apt-get install tesseract-ocr)")
    pytest.importorskip("pytesseract", reason="the extra ocr is not installed here")
    return tesseract_reader("eng")


def test_tesseract_reads_what_was_written(tesseract: Any) -> None:
    scores = text_scores(tesseract(rendered()), WORDS)
    assert min(filter(None, scores.values())) > 0.9
    assert None not in scores.values()
    assert tesseract(np.full((100, 200, 3), 255, np.uint8)).strip() == ""
    assert tesseract_version()[0].isdigit()


def test_rapidocr_reads_what_was_written_and_loses_what_is_damaged() -> None:
    pytest.importorskip("rapidocr", reason="the extra ocr is not installed here")
    reader, facts = text_reader("rapidocr", "eng")
    small = cv2.resize(rendered(), (760 // 8, 220 // 8), interpolation=cv2.INTER_AREA)
    damaged = cv2.resize(small, (760, 220), interpolation=cv2.INTER_CUBIC)
    recalls = [text_scores(reader(image), WORDS)["ocr_word_recall"] for image in (rendered(), damaged)]
    assert recalls[0] is not None
    assert recalls[0] > 0.9
    assert recalls[1] is not None
    assert recalls[1] < 0.5
    assert reader(np.full((100, 200, 3), 255, np.uint8)).strip() == ""
    assert facts["rapidocr"][0].isdigit()


def test_wrong_choices_of_a_reader_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ValueError, match=r"--ocr-program paper: there is no such program; choose rapidocr or tesseract"
    ):
        text_reader("paper", "eng")
    with pytest.raises(ValueError, match=r"rapidocr has no languages to choose; add --ocr-program tesseract"):
        text_reader("rapidocr", "deu")
    monkeypatch.setitem(sys.modules, "rapidocr", None)  # as if it were not installed
    with pytest.raises(OcrUnavailableError, match=r"OCR needs rapidocr, which is not installed: pip install"):
        text_reader("rapidocr", "eng")


def test_damage_costs_recall(tesseract: Any) -> None:
    small = cv2.resize(rendered(), (760 // 8, 220 // 8), interpolation=cv2.INTER_AREA)
    damaged = cv2.resize(small, (760, 220), interpolation=cv2.INTER_CUBIC)
    recalls = [text_scores(tesseract(image), WORDS)["ocr_word_recall"] for image in (rendered(), damaged)]
    assert recalls[0] > 0.9
    assert recalls[1] < 0.5


def test_a_language_is_missing(tesseract: Any) -> None:
    with pytest.raises(OcrUnavailableError, match=r"OCR language 'xyz' is not installed.*tesseract-ocr-xyz.*eng"):
        tesseract_reader("eng+xyz")


def test_pytesseract_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def importing(name: str, *rest: Any) -> Any:
        if name == "pytesseract":
            raise ModuleNotFoundError("No module named 'pytesseract'", name=name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "pytesseract", raising=False)
    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(OcrUnavailableError) as caught:
        tesseract_reader()
    assert str(caught.value) == 'OCR needs pytesseract, which is not installed: pip install "faitharchive[ocr]"'


def test_the_program_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("pytesseract")

    def get_languages() -> list[str]:
        raise FileNotFoundError("tesseract is not installed or it's not in your PATH.")

    module.get_languages = get_languages  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pytesseract", module)
    with pytest.raises(OcrUnavailableError, match=r"needs the program tesseract.*apt-get install tesseract-ocr"):
        tesseract_reader()
