"""The schedule of a network that restores in one step: no noise, and the change is added to the scan's latent."""

from __future__ import annotations

import pytest
import torch

from faithdiff_model.presets.nano import NANO
from faithdiff_model.sampling.denoise import OneStep, make_scheduler, start_latent


def test_nano_has_it_whatever_the_sampler() -> None:
    for sampler in ("euler", "ddim", "dpmpp_2m", "unipc"):
        assert isinstance(make_scheduler(sampler, NANO.noise_schedule, 1), OneStep)


def test_it_takes_one_step_alone() -> None:
    with pytest.raises(ValueError, match="steps is 4: this network restores in 1 step"):
        make_scheduler("euler", NANO.noise_schedule, 4)


def test_the_start_is_the_scan_without_noise() -> None:
    scan = torch.randn(48, 5, 6)
    schedule = OneStep()
    start = start_latent(scan, torch.randn(48, 5, 6), schedule)
    assert torch.equal(start, scan)
    assert torch.equal(schedule.scale_model_input(start, schedule.timesteps[0]), start)


def test_the_change_is_added() -> None:
    scan, change = torch.randn(1, 48, 5, 6), torch.randn(1, 48, 5, 6)
    assert len(OneStep().timesteps) == 1
    assert torch.equal(OneStep().step(change, torch.tensor(999), scan)[0], scan + change)
