"""Learning rates by the clock: what they are at each moment, and that a stage goes on where it was."""

from __future__ import annotations

import pytest
import torch

from faithdiff_model.training import clock
from faithdiff_model.training.clock import ClockSchedule, rate_at


class Time:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    turned = Time()
    monkeypatch.setattr(clock, "time", turned)
    return turned


def optimizer() -> torch.optim.Optimizer:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    return torch.optim.AdamW([{"params": [weights[0]], "lr": 1e-3}, {"params": [weights[1]], "lr": 2e-4}])


def test_rates_rise_then_fall_to_nothing() -> None:
    assert rate_at(0) == 0
    assert rate_at(0.015) == pytest.approx(0.5)
    assert rate_at(0.03) == 1
    assert rate_at(0.515) == pytest.approx(0.5)
    assert rate_at(1) == pytest.approx(0, abs=1e-12)
    falling = [rate_at(0.03 + 0.97 * part / 20) for part in range(21)]
    assert falling == sorted(falling, reverse=True)


def test_each_group_keeps_its_ratio(time: Time) -> None:
    steps = optimizer()
    schedule = ClockSchedule(steps, minutes=10)
    assert [group["lr"] for group in steps.param_groups] == [0, 0]
    time.now += 0.03 * 600
    schedule.step()
    assert [group["lr"] for group in steps.param_groups] == pytest.approx([1e-3, 2e-4])
    time.now += 10_000
    schedule.step()
    assert schedule.share == 1
    assert [group["lr"] for group in steps.param_groups] == pytest.approx([0, 0], abs=1e-12)


def test_time_between_processes_does_not_count(time: Time) -> None:
    first = ClockSchedule(optimizer(), minutes=10)
    time.now += 240
    state = first.state_dict()
    time.now += 86_400  # the machine was off
    steps = optimizer()
    second = ClockSchedule(steps, minutes=10)
    second.load_state_dict(state)
    assert second.share == pytest.approx(0.4)
    time.now += 60
    second.step()
    assert second.share == pytest.approx(0.5)
    assert steps.param_groups[0]["lr"] == pytest.approx(1e-3 * rate_at(0.5))


def test_another_processs_time_may_be_taken(time: Time) -> None:
    steps = optimizer()
    ClockSchedule(steps, minutes=10).step(0.5)
    assert steps.param_groups[0]["lr"] == pytest.approx(1e-3 * rate_at(0.5))


def test_what_comes_before_the_beginning_is_part_of_the_minutes_but_not_of_the_curve(time: Time) -> None:
    steps = optimizer()
    schedule = ClockSchedule(steps, minutes=10)
    time.now += 200
    schedule.begin()
    assert (schedule.share, schedule.elapsed) == (0, 0)
    time.now += 200
    schedule.step()
    assert schedule.share == pytest.approx(0.5)
    assert steps.param_groups[0]["lr"] == pytest.approx(1e-3 * rate_at(0.5))
    time.now += 200  # ten minutes since it was made
    assert schedule.share == 1


def test_long_preparations_leave_a_tenth(time: Time) -> None:
    schedule = ClockSchedule(optimizer(), minutes=10)
    time.now += 3_000
    schedule.begin()
    assert schedule.share == 0
    time.now += 30
    assert schedule.share == pytest.approx(0.5)
