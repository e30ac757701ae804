"""Where a network's parts lie: chosen by memory, the same bits everywhere, one step down when memory runs out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from faithdiff_model.build import build_restorer
from faithdiff_model.memory import (
    PLACEMENTS,
    RESERVE,
    PlacedParts,
    Weights,
    available_memory,
    choose_placement,
    needed,
    store_as_float8,
)
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets import DEFAULTS, PRESETS
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec

GIB = 1 << 30
SDXL = PRESETS["sdxl"]
# Of the published network in float16.
WEIGHTS = Weights(core=5_134_904_328, text=1_635_440_640, rest=256_000_000)
OPTIONS = RestoreOptions(steps=2, window_batch=2)


def tiny(**choices: Any) -> Restorer:
    return build_restorer(ModelSpec(preset="tiny", device="cpu", **choices), OPTIONS)


def restored(restorer: Restorer, prompt: str = "a garden") -> np.ndarray:
    image = np.random.default_rng(0).random((136, 144, 3), np.float32)
    return restorer.restore([image], [prompt], [7])[0]


@pytest.mark.parametrize(
    ("gib", "chosen"),
    [(80, ("resident", 4)), (24, ("resident", 4)), (16, ("resident", 4)), (12, ("resident", 4)), (8, ("model_offload", 4)),
     (5, ("group_offload", 4)), (0, ("group_offload", 4))],
)  # fmt: skip
def test_the_fastest_placement_that_fits(gib: int, chosen: tuple[str, int]) -> None:
    found = choose_placement(WEIGHTS, SDXL, memory=gib * GIB, windows=4, fewer=False, width=2)
    assert found == chosen


def test_fewer_windows_keep_the_network_on_the_device_where_they_may() -> None:
    sizes = [needed("resident", WEIGHTS, SDXL, windows=windows, width=2) for windows in (16, 8)]
    between = sum(sizes) // 2
    assert sizes[0] > between > sizes[1]
    assert choose_placement(WEIGHTS, SDXL, memory=between, windows=16, fewer=True, width=2) == ("resident", 8)
    assert choose_placement(WEIGHTS, SDXL, memory=between, windows=16, fewer=False, width=2)[0] == "model_offload"


def test_placements_need_less_one_after_the_other() -> None:
    sizes = [needed(placement, WEIGHTS, SDXL, windows=4, width=2) for placement in PLACEMENTS]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[1] > WEIGHTS.text
    assert sizes[2] > RESERVE + WEIGHTS.rest


def test_a_cpu_keeps_everything_where_it_was() -> None:
    assert available_memory(ModelSpec(), torch.device("cpu")) == float("inf")
    assert available_memory(ModelSpec(memory="12"), torch.device("cpu")) == 12 * GIB
    restorer = tiny()
    assert restorer.parts is not None
    assert restorer.parts.placement == "resident"
    assert not any(hasattr(module, "_hf_hook") for module in restorer.unet.modules())


def test_every_placement_gives_the_same_bits() -> None:
    restorer = tiny()
    parts = restorer.parts
    assert parts is not None
    whole = restored(restorer)
    seen = [parts.placement]
    while parts.fall_back():
        seen.append(parts.placement)
        assert np.array_equal(restored(restorer), whole), parts.placement
        assert not np.array_equal(restored(restorer, "another prompt, encoded there"), whole)
    assert tuple(seen) == PLACEMENTS
    assert not parts.fall_back()
    parts.reset()
    assert parts.placement == "resident"
    assert np.array_equal(restored(restorer), whole)
    assert not any(
        module._diffusers_hook.hooks for module in restorer.unet.modules() if hasattr(module, "_diffusers_hook")
    )


def test_the_unet_comes_to_the_device_when_it_is_called() -> None:
    restorer = tiny()
    assert restorer.prompt_encoder is not None
    PlacedParts(restorer.unet, restorer.vae, restorer.prompt_encoder, torch.device("meta"), "model_offload")
    core = restorer.unet.core
    assert next(restorer.unet.lq_encoder.parameters()).is_meta
    assert not next(core.parameters()).is_meta
    core._hf_hook.pre_forward(core)
    assert next(core.parameters()).is_meta


def test_compiled_code_holds_its_weights() -> None:
    restorer = tiny()
    with pytest.raises(ValueError, match="leave compile, feature reuse and float8 arithmetic out"):
        PlacedParts(restorer.unet, restorer.vae, None, torch.device("cpu"), "model_offload", movable=False)
    assert not PlacedParts(restorer.unet, restorer.vae, None, torch.device("cpu"), movable=False).fall_back()


def test_nano_is_small_enough_for_any_device() -> None:
    restorer = build_restorer(ModelSpec(preset="nano", device="cpu", memory="8"), DEFAULTS["nano"])
    assert restorer.parts is not None
    assert restorer.parts.placement == "resident"
    assert not restorer.parts.fall_back()


def test_float8_storage_keeps_a_quarter_of_float32_and_is_seen_in_results() -> None:
    exact, stored = tiny(), tiny(float8_storage=True)
    before, after = (Weights.of(each.unet, each.vae, each.prompt_encoder) for each in (exact, stored))
    assert (after.text, after.rest) == (before.text, before.rest)
    assert before.core / 4 <= after.core < before.core / 3.5  # all but the normalisation
    difference = np.abs(restored(stored) - restored(exact))
    assert 0 < difference.max() < 0.2
    assert np.array_equal(restored(stored), restored(stored))
    assert stored.parts is not None
    whole = restored(stored)
    while stored.parts.fall_back():  # offloading keeps what is stored
        assert np.array_equal(restored(stored), whole)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of auto, 8, 12, 16, 24, 80"):
        ModelSpec(memory="7")
    with pytest.raises(ValueError, match="preset nano has no weights to store as float8"):
        ModelSpec(preset="nano", float8_storage=True)
    with pytest.raises(ValueError, match="choose one of the two"):
        ModelSpec(float8_storage=True, compile=True)
    with pytest.raises(ValueError, match="float8 storage"):
        store_as_float8(build_restorer(ModelSpec(preset="nano", device="cpu"), DEFAULTS["nano"]).unet, torch.float32)
