"""Faces and text are found where they are, and not in a still life or in noise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from faithdiff_model.trust import sensitive
from faithdiff_model.trust.sensitive import Region, find_sensitive
from jobs.samples.archive import original


def page() -> np.ndarray:
    image = np.full((300, 400, 3), 240, np.uint8)
    for line, text in enumerate(("Family album", "Summer 1924")):
        cv2.putText(image, text, (40, 90 + 100 * line), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (30, 30, 30), 3)
    return image


def test_a_face_is_found_where_it_is() -> None:
    found = find_sensitive(original("astronaut.png")).regions
    face = found["face"][0]
    assert face.left < 0.44 < face.right  # her nose, as shares of the picture
    assert face.top < 0.23 < face.bottom
    assert len(found["face"]) == 1


def test_lines_of_text_are_found() -> None:
    pytest.importorskip("rapidocr")
    found = find_sensitive(page()).regions
    assert set(found) == {"text"}
    assert len(found["text"]) == 2
    lines = sorted(found["text"], key=lambda region: region.top)
    assert lines[0].top < 70 / 300 < lines[0].bottom < lines[1].top < 170 / 300 < lines[1].bottom
    assert all(line.left < 0.3 and line.right > 0.6 for line in lines)


def test_a_still_life_and_noise_have_neither() -> None:
    assert find_sensitive(original("coffee.png")).regions == {}
    noise = np.random.default_rng(0).integers(0, 65536, (200, 300, 1)).astype(np.uint16)
    assert find_sensitive(noise).regions == {}


def test_without_the_extra_no_text_is_looked_for_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    find = sensitive.find_spec
    monkeypatch.setattr(sensitive, "find_spec", lambda name: None if name == "rapidocr" else find(name))
    found = find_sensitive(page())
    assert found.regions == {}
    assert found.missing == ['text was not looked for: pip install "faitharchive[ocr]"']


@pytest.mark.parametrize("size", [(1, 1), (20, 3000)])
def test_pictures_of_any_shape_are_searched(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensitive, "find_spec", lambda name: None)
    assert find_sensitive(np.zeros((*size, 4), np.float32)).regions == {}


def test_what_is_searched_is_of_bounded_size() -> None:
    assert sensitive._copy(np.zeros((3000, 6000, 2), np.uint16), 512).shape == (256, 512, 3)


def test_a_region_has_its_share_of_the_picture() -> None:
    assert Region(0.5, 0.25, 1, 0.75).share == pytest.approx(0.25)
