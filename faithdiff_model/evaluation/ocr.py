"""Text in restored images: how much of it can be read (recall), and how much of what is read stood there (precision).

A restoration that invents letters reads well and is wrong, so both count. The reference is a text file beside the HQ image, or
else what the same program reads in the HQ image. Read by PP-OCR, whose weights travel in the wheel `rapidocr`, or by Tesseract
through pytesseract: the extra `ocr` brings both packages.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version

import numpy as np
from PIL import Image

__all__ = [
    "OcrUnavailableError",
    "TextReader",
    "common_length",
    "tesseract_reader",
    "tesseract_version",
    "text_scores",
    "words_of",
]

TextReader = Callable[[np.ndarray], str]  # uint8 RGB [H, W, 3] -> its text, "" where there is none


class OcrUnavailableError(ValueError):
    """Text cannot be read here: a package, a program or a language is missing. The message says what to do."""


def text_scores(found: str, expected: str) -> dict[str, float | None]:
    """Compare what was read with what stands there: figures in [0, 1] by the names of `labels.OCR`.

    None stands for no denominator: precision with nothing read, recall with nothing to read.

    Words count with their multiplicity, wherever they stand: "to be or not to be" has two "be", and reading columns in another
    order is no fault. Characters count in their order, as in the longest common subsequence (the edit distance of insertions
    and deletions). Case, accents' encoding and line breaks do not matter; signs are parts of characters but not of words.
    """
    word_hits = sum((Counter(words_of(found)) & Counter(words_of(expected))).values())
    found_line, expected_line = _folded(found), _folded(expected)
    char_hits = common_length(found_line, expected_line)
    return {
        "ocr_word_precision": _share(word_hits, len(words_of(found))),
        "ocr_word_recall": _share(word_hits, len(words_of(expected))),
        "ocr_char_precision": _share(char_hits, len(found_line)),
        "ocr_char_recall": _share(char_hits, len(expected_line)),
    }


def words_of(text: str) -> list[str]:
    """Lower-case words without the signs around them; what is signs alone is no word."""
    stripped = (_without_signs(word) for word in _folded(text).split())
    return [word for word in stripped if word]


def common_length(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence; both lengths less twice this is the edit distance without substitutions.

    A bit of an integer stands for each place of `one` (Hyyrö 2004), so that pages of text take milliseconds.
    """
    places: dict[str, int] = {}
    for position, sign in enumerate(one):
        places[sign] = places.get(sign, 0) | 1 << position
    everywhere = (1 << len(one)) - 1
    unmatched = everywhere
    for sign in other:
        hits = unmatched & places.get(sign, 0)
        unmatched = ((unmatched + hits) | (unmatched - hits)) & everywhere
    return len(one) - unmatched.bit_count()


def tesseract_reader(language: str = "eng") -> TextReader:
    """Tesseract, checked to be there with its language.

    Args:
        language: Tesseract's codes, joined by `+`: "eng", "deu+frk".

    Raises:
        OcrUnavailableError: pytesseract, the program or a language is missing.
    """
    try:
        import pytesseract
    except ImportError as error:
        raise OcrUnavailableError(
            'OCR needs pytesseract, which is not installed: pip install "faitharchive[ocr]"'
        ) from error
    try:
        known = pytesseract.get_languages()
    except (OSError, RuntimeError) as error:  # TesseractNotFoundError, TesseractError
        raise OcrUnavailableError(
            "OCR needs the program tesseract, which cannot be run: install it (Debian: apt-get install tesseract-ocr)"
        ) from error
    missing = [code for code in language.split("+") if code not in known]
    if missing:
        raise OcrUnavailableError(
            f"OCR language {missing[0]!r} is not installed: install it (Debian: apt-get install tesseract-ocr-{missing[0]}), "
            f"or choose from {', '.join(sorted(known))}"
        )

    def read(image_HW3: np.ndarray) -> str:
        return str(pytesseract.image_to_string(Image.fromarray(image_HW3), lang=language))

    return read


def text_reader(program: str, language: str) -> tuple[TextReader, dict[str, str]]:
    """What reads text, checked to be there, and what of it belongs in a report.

    Args:
        program: "rapidocr" or "tesseract".
        language: Tesseract's codes; PP-OCR's weights read what they read.

    Raises:
        OcrUnavailableError: a package, the program or a language is missing.
        ValueError: no such program.
    """
    if program == "rapidocr":
        if language != "eng":
            raise ValueError(
                f"--ocr-language {language}: rapidocr has no languages to choose; add --ocr-program tesseract"
            )
        return rapidocr_reader(), {"rapidocr": rapidocr_version()}
    if program == "tesseract":
        return tesseract_reader(language), {"tesseract": tesseract_version(), "ocr_language": language}
    raise ValueError(f"--ocr-program {program}: there is no such program; choose rapidocr or tesseract")


def rapidocr_reader() -> TextReader:
    """PP-OCR by `rapidocr` on ONNX Runtime, on the CPU; reads Latin and Chinese script. Nothing is downloaded.

    Raises:
        OcrUnavailableError: rapidocr or onnxruntime is missing.
    """
    try:
        import onnxruntime  # noqa: F401 (rapidocr finds out only when it reads)
        from rapidocr import RapidOCR
    except ImportError as error:
        raise OcrUnavailableError(
            f'OCR needs {error.name}, which is not installed: pip install "faitharchive[ocr]"'
        ) from error
    engine = RapidOCR(params={"Global.log_level": "error"})

    def read(image_HW3: np.ndarray) -> str:
        lines = engine(np.ascontiguousarray(image_HW3[..., ::-1])).txts  # it takes BGR
        return "\n".join(lines or ())

    return read


def rapidocr_version() -> str:
    """The package's version. It must be there (`rapidocr_reader`)."""
    return version("rapidocr")


def tesseract_version() -> str:
    """The program's version. Tesseract must be there (`tesseract_reader`)."""
    import pytesseract

    return str(pytesseract.get_tesseract_version())


def _folded(text: str) -> str:
    """One line in one encoding and lower case, spaces single."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _without_signs(word: str) -> str:
    letters = [i for i, sign in enumerate(word) if unicodedata.category(sign)[0] in "LNM"]
    return word[letters[0] : letters[-1] + 1] if letters else ""


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
