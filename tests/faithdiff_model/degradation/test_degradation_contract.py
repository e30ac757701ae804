"""What holds for every degradation: type, size, range, untouched input, and the same result for the same seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faithdiff_model.degradation.archive.breaks import cracks, film_scratches, tears, torn_corners
from faithdiff_model.degradation.archive.emulsion import grain, halftone
from faithdiff_model.degradation.archive.fibres import fibres, hairs, specks
from faithdiff_model.degradation.archive.film import flicker, gate_weave
from faithdiff_model.degradation.archive.growth import fingerprints, mould, stains
from faithdiff_model.degradation.archive.rescan import rescan
from faithdiff_model.degradation.archive.surface import crease, dust, scratches
from faithdiff_model.degradation.archive.tone import (
    colour_cast,
    density_loss,
    fade,
    grey,
    sepia,
    silver_mirroring,
    yellow,
)
from faithdiff_model.degradation.blur import blur, plateau_kernel, sinc_kernel, soften
from faithdiff_model.degradation.codec import jpeg
from faithdiff_model.degradation.noise import gaussian_noise, poisson_noise

Step = Callable[[np.ndarray, np.random.Generator], np.ndarray]
STEPS: dict[str, Step] = {
    "blur": lambda image, rng: blur(image, plateau_kernel(21, 2, 1, 1.5, 0.4)),
    "sinc": lambda image, rng: blur(image, sinc_kernel(21, 1.0)),
    "soften": lambda image, rng: soften(image, 1.1),
    "gaussian noise": lambda image, rng: gaussian_noise(image, rng, 12),
    "grey gaussian noise": lambda image, rng: gaussian_noise(image, rng, 12, grey=True),
    "poisson noise": lambda image, rng: poisson_noise(image, rng, 1.5),
    "grey poisson noise": lambda image, rng: poisson_noise(image, rng, 1.5, grey=True),
    "jpeg": lambda image, rng: jpeg(image, 35),
    "grey": lambda image, rng: grey(image),
    "sepia": lambda image, rng: sepia(image, 0.8),
    "fade": lambda image, rng: fade(image, 0.1, 0.85),
    "cyan loss": lambda image, rng: colour_cast(image, 0.5),
    "yellow loss": lambda image, rng: colour_cast(image, 0.5, "yellow"),
    "density loss": lambda image, rng: density_loss(image, 0.5, "magenta"),
    "yellowed": lambda image, rng: yellow(image, 0.7),
    "silver mirroring": lambda image, rng: silver_mirroring(image, rng, 0.8),
    "grain": lambda image, rng: grain(image, rng, 0.06),
    "colour grain": lambda image, rng: grain(image, rng, 0.06, colour=True),
    "halftone": lambda image, rng: halftone(image, 4.0, 30.0),
    "colour halftone": lambda image, rng: halftone(image, 4.0, 30.0, colour=True),
    "dust": lambda image, rng: dust(image, rng, 400),
    "scratches": lambda image, rng: scratches(image, rng, 100, (10, 60)),
    "crease": crease,
    "specks": lambda image, rng: specks(image, rng, 400).image,
    "hairs": lambda image, rng: hairs(image, rng, 60, 0.7).image,
    "fibres": lambda image, rng: fibres(image, rng, 200).image,
    "film scratches": lambda image, rng: film_scratches(image, rng, 20).image,
    "cracks": lambda image, rng: cracks(image, rng, 1.0, 0.5).image,
    "tears": lambda image, rng: tears(image, rng, 100).image,
    "torn corners": lambda image, rng: torn_corners(image, rng, 0.3).image,
    "fingerprints": lambda image, rng: fingerprints(image, rng, 100).image,
    "mould": lambda image, rng: mould(image, rng, 100).image,
    "stains": lambda image, rng: stains(image, rng, 100).image,
    "gate weave": lambda image, rng: gate_weave([image, image], rng, 1.5)[1],
    "flicker": lambda image, rng: flicker([image, image], rng, 0.2)[1],
    "rescan": lambda image, rng: rescan(image, rng, 1, 60),
}
# A small image may have none of these.
UNCHANGED_BY_CHANCE = {
    *("dust", "scratches", "specks", "hairs", "fibres", "film scratches", "cracks", "tears"),
    *("fingerprints", "mould", "stains"),
}


def random_image(seed: int, height: int, width: int) -> np.ndarray:
    """Soft colours with edges, reaching 0 and 1."""
    rng = np.random.default_rng(seed)
    image = np.kron(rng.random((-(-height // 8), -(-width // 8), 3)), np.ones((8, 8, 1)))[:height, :width]
    return np.clip(1.4 * image - 0.2, 0, 1).astype(np.float32)


@pytest.mark.parametrize("name", STEPS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), height=st.integers(16, 90), width=st.integers(16, 90))
def test_contract(name: str, seed: int, height: int, width: int) -> None:
    image = random_image(seed, height, width)
    before = image.copy()
    done = STEPS[name](image, np.random.default_rng(seed))
    again = STEPS[name](image, np.random.default_rng(seed))
    assert done.dtype == np.float32
    assert done.shape == image.shape
    assert 0 <= done.min() <= done.max() <= 1
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(done, again)
    if name not in UNCHANGED_BY_CHANCE:
        assert not np.array_equal(done, image)


@pytest.mark.parametrize("name", STEPS)
def test_seeds_matter_where_there_is_chance(name: str) -> None:
    image = random_image(0, 64, 80)
    first, second = (STEPS[name](image, np.random.default_rng(seed)) for seed in (1, 2))
    by_rule = {"blur", "sinc", "soften", "jpeg", "grey", "sepia", "fade", "cyan loss", "yellow loss", "halftone"}
    assert np.array_equal(first, second) == (name in by_rule | {"colour halftone", "density loss", "yellowed"})


@pytest.mark.parametrize(
    "call",
    [
        lambda image, rng: soften(image, 0.05),
        lambda image, rng: soften(image, float("nan")),
        lambda image, rng: gaussian_noise(image, rng, -1),
        lambda image, rng: gaussian_noise(image, rng, 101),
        lambda image, rng: poisson_noise(image, rng, 10.1),
        lambda image, rng: jpeg(image, 0),
        lambda image, rng: jpeg(image, 101),
        lambda image, rng: sepia(image, 1.1),
        lambda image, rng: fade(image, 0.6, 0.9),
        lambda image, rng: fade(image, 0.1, 0.4),
        lambda image, rng: colour_cast(image, -0.1),
        lambda image, rng: colour_cast(image, 0.1, "black"),
        lambda image, rng: silver_mirroring(image, rng, 2),
        lambda image, rng: grain(image, rng, 0.4),
        lambda image, rng: grain(image, rng, 0.1, 0.2),
        lambda image, rng: halftone(image, 1.5),
        lambda image, rng: halftone(image, 4, 200),
        lambda image, rng: dust(image, rng, -1),
        lambda image, rng: scratches(image, rng, 101),
        lambda image, rng: scratches(image, rng, 5, (50, 10)),
        lambda image, rng: scratches(image, rng, 5, (1, 10)),
        lambda image, rng: crease(image, rng, 1.5),
        lambda image, rng: specks(image, rng, 401).image,
        lambda image, rng: specks(image, rng, 4, 5).image,
        lambda image, rng: hairs(image, rng, 61).image,
        lambda image, rng: fibres(image, rng, -1).image,
        lambda image, rng: film_scratches(image, rng, 21).image,
        lambda image, rng: cracks(image, rng, 1.1).image,
        lambda image, rng: tears(image, rng, 101).image,
        lambda image, rng: torn_corners(image, rng, 0.6).image,
        lambda image, rng: fingerprints(image, rng, 101).image,
        lambda image, rng: mould(image, rng, 1, 0.1).image,
        lambda image, rng: stains(image, rng, float("nan")).image,
        lambda image, rng: gate_weave([image], rng, 11)[0],
        lambda image, rng: flicker([image], rng, 0.6)[0],
        lambda image, rng: rescan(image, rng, 0, 50),
        lambda image, rng: rescan(image, rng, 2, 50, blur=6),
        lambda image, rng: rescan(image, rng, 2, 50, noise=-1),
        lambda image, rng: rescan(image, rng, 2, 50, halo=3),
        lambda image, rng: rescan(image, rng, 2, 0),
    ],
)
def test_parameters_out_of_range_are_refused(call: Step) -> None:
    with pytest.raises(ValueError, match="choose"):
        call(random_image(0, 32, 32), np.random.default_rng(0))
