"""The step loop: which windows share a call, and that nothing in it waits for the device."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from faithdiff_model.image.windows import Rect, WindowGrid
from faithdiff_model.network.unet import FaithDiffUNet, assemble_unet
from faithdiff_model.options import SAMPLERS, RestoreOptions, Sampler
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.sampling.denoise import Canvas, batch_windows, call_sizes, denoise, make_scheduler

WAITS = {"_local_scalar_dense", "is_nonzero", "nonzero", "_linalg_check_errors", "masked_select", "equal"}


# --- calls ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "shares_calls", "sizes"),
    [
        (1, True, [4]), (3, True, [4]), (4, True, [4]), (9, True, [4, 4, 1]), (7, True, [4, 2, 1]), (8, False, [4, 4]),
        (1, False, [1]), (3, False, [2, 1]),
    ],
)  # fmt: skip
def test_call_sizes(count: int, shares_calls: bool, sizes: list[int]) -> None:
    assert call_sizes(count, 4, shares_calls=shares_calls) == sizes


@given(st.integers(1, 400), st.integers(1, 64), st.booleans())
def test_calls_hold_all_windows_and_none_is_empty(count: int, window_batch: int, shares_calls: bool) -> None:
    sizes = call_sizes(count, window_batch, shares_calls=shares_calls)
    assert max(sizes) <= window_batch
    assert sum(sizes) == (window_batch if count < window_batch and shares_calls else count)


def stub_canvas(count: int, *, copies: int = 1, side: int = 16, shares_calls: bool = True) -> Canvas:
    found = SimpleNamespace(
        windows=[Rect(0, number, side, side) for number in range(count)], window_shape=(side, side), copies=copies,
        shares_calls=shares_calls,
    )  # fmt: skip
    return cast(Canvas, found)


def shapes_of(canvases: Sequence[Canvas], window_batch: int) -> dict[tuple[int, int], int]:
    """The size of the call of each window, by numbers of canvas and window."""
    numbers = {id(canvas): number for number, canvas in enumerate(canvases)}
    calls = batch_windows(canvases, window_batch)
    return {(numbers[id(canvas)], index): call.size for call in calls for canvas, index in call.work}


def test_company_does_not_change_a_windows_call() -> None:
    canvases = [stub_canvas(1), stub_canvas(9), stub_canvas(6), stub_canvas(3, side=12, shares_calls=False)]
    together = shapes_of(canvases, 4)
    assert len(together) == 19
    for number, canvas in enumerate(canvases):
        assert shapes_of([canvas], 4) == {(0, i): size for (n, i), size in together.items() if n == number}


def test_small_photographs_share_calls_and_nothing_is_filled_up_without_need() -> None:
    calls = batch_windows([stub_canvas(1) for _ in range(4)], 4)
    assert [(len(call.work), call.size) for call in calls] == [(4, 4)]
    calls = batch_windows([stub_canvas(9), stub_canvas(7)], 4)
    assert sorted((len(call.work), call.size) for call in calls) == [(1, 1), (1, 1), (2, 2), (4, 4), (4, 4), (4, 4)]


def test_other_shapes_and_copies_never_share_a_call() -> None:
    calls = batch_windows([stub_canvas(2), stub_canvas(2, copies=2), stub_canvas(2, side=12)], 4)
    assert [[canvas.copies for canvas, _ in call.work] for call in calls] == [[1, 1], [2, 2], [1, 1]]


# --- guidance in an interval ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "steps", "guided"),
    [(0.0, 1.0, 20, range(20)), (0.25, 0.5, 20, range(5, 10)), (0.3, 0.7, 4, range(2, 3)), (0.0, 0.01, 4, range(1))],
)
def test_guided_steps(start: float, end: float, steps: int, guided: range) -> None:
    assert RestoreOptions(steps=steps, guidance_start=start, guidance_end=end).guided_steps == guided


def test_an_interval_that_does_not_begin_before_it_ends_is_refused() -> None:
    with pytest.raises(ValueError, match=r"starts at 0\.5 and ends at 0\.5: choose parts of the steps from 0 to 1"):
        RestoreOptions(guidance_start=0.5, guidance_end=0.5)


class TextAlone:
    """A network whose noise is its row's text; counts its rows."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def alignment(self, latents: torch.Tensor, _embeddings: torch.Tensor) -> torch.Tensor:
        return latents

    def predict(self, aligned: torch.Tensor, _timestep: object, text: torch.Tensor, *_: object) -> torch.Tensor:
        self.rows.append(len(text))
        return text[:, :1, :1, None].expand_as(aligned)


class Kept:
    """A schedule of three steps that keeps the noises and leaves the latent."""

    timesteps = torch.tensor([3.0, 2.0, 1.0])

    def __init__(self) -> None:
        self.noises: list[float] = []

    def scale_model_input(self, latent: torch.Tensor, _timestep: object) -> torch.Tensor:
        return latent

    def step(self, noise: torch.Tensor, _timestep: object, latent: torch.Tensor, **_: object) -> tuple[torch.Tensor]:
        self.noises.append(round(float(noise.mean()), 5))
        return (latent,)


@pytest.mark.parametrize(
    ("guided_steps", "noises", "rows"),
    [(None, [7, 7, 7], [4, 4, 4]), (range(1, 2), [3, 7, 3], [2, 4, 2]), (range(0), [3, 3, 3], [2, 2, 2])],
)
def test_outside_its_interval_nothing_is_guided(guided_steps: range | None, noises: list[int], rows: list[int]) -> None:
    network = TextAlone()
    canvas = Canvas(
        latent=torch.zeros(4, 16, 24), windows=WindowGrid(height=16, width=24, window=16, overlap=0.5).windows(),
        lq_embeddings=torch.zeros(2, 1), text=torch.tensor([2.0, 3.0])[:, None, None].expand(2, 5, 6),
        pooled=torch.zeros(2, 3), time_ids=torch.zeros(2, 6), scheduler=Kept(),
    )  # fmt: skip
    heard: list[int] = []
    denoise(
        cast(FaithDiffUNet, network), [canvas], guidance_scale=5.0, window_batch=2, guided_steps=guided_steps,
        observe=lambda _work, first: heard.append(first),
    )  # fmt: skip
    assert canvas.scheduler.noises == noises  # 2 + 5 * (3 - 2), and 3 alone
    assert network.rows == rows
    assert heard == [count - 2 for count in rows]  # where the prompt's copies begin


# --- waiting for the device -----------------------------------------------------------------------------------------------


class WatchWaits(TorchDispatchMode):
    """Notes every operation that makes the host wait for `device`: reading one of its values, or copying from or to it."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        with self:  # inference mode hands on whole functions: look into them
            parts = func.decompose(*args, **(kwargs or {}))
        if parts is not NotImplemented:
            return parts
        result = func(*args, **(kwargs or {}))
        given = [value.device.type for value in (*args, *(kwargs or {}).values()) if isinstance(value, torch.Tensor)]
        made = [result.device.type] if isinstance(result, torch.Tensor) else []
        copied = name in ("_to_copy", "copy_") and len({*given, *made}) == 2
        if copied or (name in WAITS and self.device in given):
            self.found.append(name)
        return result


def meta_canvas(sampler: Sampler, copies: int, device: str = "meta") -> Canvas:
    grid = WindowGrid(height=16, width=40, window=16, overlap=0.5).windows()
    scheduler = make_scheduler(sampler, TINY.noise_schedule, 3)
    with torch.device(device):
        return Canvas(
            latent=torch.zeros(4, 16, 40), windows=grid, lq_embeddings=torch.zeros(len(grid), 16, 16, 16),
            text=torch.zeros(copies, 77, 48), pooled=torch.zeros(copies, 24), time_ids=torch.zeros(len(grid), 6),
            scheduler=scheduler,
        )  # fmt: skip


@pytest.fixture(scope="module")
def unet() -> FaithDiffUNet:
    with torch.device("meta"):
        return assemble_unet(TINY).eval()


@pytest.mark.parametrize(("sampler", "copies"), [("euler", 1), *((sampler, 2) for sampler in SAMPLERS)])
def test_a_step_waits_for_nothing(unet: FaithDiffUNet, sampler: Sampler, copies: int) -> None:
    """Here the meta device stands for a GPU: the loop may copy its timesteps there once, and no more."""
    canvas = meta_canvas(sampler, copies)
    with WatchWaits("meta") as watch:
        denoise(unet, [canvas], guidance_scale=5.0, window_batch=2)
    assert canvas.latent.device.type == "meta"
    if sampler == "unipc":
        assert watch.found[0] == "_to_copy"
        assert len(watch.found) > 1
    else:
        assert watch.found == ["_to_copy"]


def test_reusing_features_waits_for_nothing(unet: FaithDiffUNet) -> None:
    canvas = meta_canvas("euler", 2)
    with WatchWaits("meta") as watch:
        denoise(unet, [canvas], guidance_scale=5.0, window_batch=2, feature_reuse=2)
    assert watch.found == ["_to_copy"]


def test_waiting_is_noticed() -> None:
    """The measure above can fail."""
    there = torch.zeros(2, device="meta")
    with WatchWaits("meta") as watch:
        torch.ones(2).to("meta")
        there.copy_(torch.ones(2))
        there + torch.ones(())  # a number of the CPU goes along with the kernel
    assert watch.found == ["_to_copy", "copy_"]
    with WatchWaits("cpu") as watch:
        assert torch.ones(()).item() == 1
    assert watch.found == ["_local_scalar_dense"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "unipc"])
def test_a_step_waits_for_nothing_on_a_gpu(sampler: Sampler) -> None:
    unet = assemble_unet(TINY).eval().to("cuda")
    canvas = meta_canvas(sampler, 2, "cuda")
    real, moved = torch.Tensor.to, []

    def to(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The one copy before the steps is allowed."""
        torch.cuda.set_sync_debug_mode("default" if not moved else "error")
        moved.append(args)
        try:
            return real(tensor, *args, **kwargs)
        finally:
            torch.cuda.set_sync_debug_mode("error")

    torch.cuda.set_sync_debug_mode("error")
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.Tensor, "to", to)
            denoise(unet, [canvas], guidance_scale=5.0, window_batch=2)
    finally:
        torch.cuda.set_sync_debug_mode("default")
