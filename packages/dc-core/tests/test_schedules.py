"""Learning-rate schedules: pure functions of progress and losses."""

import pytest

from dc_core.errors import ParameterError
from dc_core.training import SCHEDULES, TrainingConfig, make_schedule


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("constant", {}, [1, 1, 1]),
        ("linear", {}, [1, 0.5, 0]),
        ("linear", {"floor": 0.2}, [1, 0.6, 0.2]),
        ("cosine", {}, [1, 0.5, 0]),
        ("cosine", {"floor": 0.5}, [1, 0.75, 0.5]),
        ("exponential", {"floor": 0.01}, [1, 0.1, 0.01]),
        ("constant", {"warmup": 0.5}, [0, 1, 1]),
        ("linear", {"warmup": 0.5}, [0, 1, 0]),
    ],
)
def test_schedules_have_the_expected_start_middle_and_end(name, options, expected):
    schedule = make_schedule(name, options)
    found = [schedule.factor(progress, ()) for progress in (0, 0.5, 1)]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_keep_their_last_value_beyond_the_end(name):
    schedule = make_schedule(name, {})
    assert schedule.factor(1.5, (1, 2)) == schedule.factor(1, (1, 2))


def test_the_learning_rate_falls_at_each_plateau():
    schedule = make_schedule("plateau", {"by": 0.1, "patience": 2, "floor": 0.005})
    losses = [5, 4, 4, 4, 3, 3, 3, 3, 3, 3]
    factors = [schedule.factor(0.5, losses[:i]) for i in range(len(losses) + 1)]
    assert factors == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.005, 0.005])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cosine", {"warmup": 1}),
        ("linear", {"floor": 2}),
        ("exponential", {"floor": 0}),
        ("plateau", {"by": 1}),
        ("plateau", {"patience": 0}),
        ("plateau", {"floor": -1}),
        ("cosine", {"floor": "low"}),
    ],
)
def test_invalid_schedule_options_are_refused(name, options):
    with pytest.raises(ParameterError, match=next(iter(options))):
        TrainingConfig(schedule=name, schedule_options=options)
