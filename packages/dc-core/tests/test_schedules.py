"""Learning-rate schedules: pure functions of progress and results."""

import pytest

from dc_core.errors import ParameterError
from dc_core.training import SCHEDULES, Progress, TrainingConfig, make_schedule

NEEDED = {"multistep": {"milestones": [2, 5]}}
"""The options that have no default."""


def factors(name, options, epochs, total, steps=1, results=()):
    """Return the factor after each number of ``epochs``."""
    schedule = make_schedule(name, {**NEEDED.get(name, {}), **options})
    return [
        schedule.factor(Progress(epochs=epoch, total=total, steps=steps), results)
        for epoch in epochs
    ]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("constant", {}, [1, 1, 1]),
        ("linear", {}, [1, 0.5, 0]),
        ("linear", {"floor": 0.2}, [1, 0.6, 0.2]),
        ("polynomial", {}, [1, 0.25, 0]),
        ("polynomial", {"power": 3, "floor": 0.2}, [1, 0.3, 0.2]),
        ("cosine", {}, [1, 0.5, 0]),
        ("cosine", {"floor": 0.5}, [1, 0.75, 0.5]),
        ("cosine_restarts", {"period": 20}, [1, 0.5, 1]),
        ("cosine_restarts", {"period": 20 / 3, "growth": 2, "floor": 0.5}, [1, 0.9267767, 1]),
        ("exponential", {"floor": 0.01}, [1, 0.1, 0.01]),
        ("step", {"every": 10}, [1, 0.1, 0.01]),
        ("multistep", {"milestones": [5, 7.5, 12], "by": 0.5}, [1, 0.25, 0.125]),
        ("inverse_sqrt", {"scale": 30}, [1, 2**-0.5, 3**-0.5]),
        ("inverse_sqrt", {}, [1, 11**-0.5, 21**-0.5]),
        ("inverse_sqrt", {"warmup": 30}, [0, 1, 2**-0.5]),
        ("one_cycle", {"rise": 0.5, "floor": 0.1}, [0.04, 1, 0.1]),
        ("constant", {"warmup": 0.5}, [0, 1, 1]),
        ("constant", {"warmup": 40}, [0, 0.75, 1]),
        ("linear", {"warmup": 0.5}, [0, 1, 0]),
        ("linear", {"warmup": 30}, [0, 1, 0]),
        ("linear", {"warmup": 1000}, [0, 0.03, 0.06]),
    ],
)
def test_schedules_have_the_expected_start_middle_and_end(name, options, expected):
    found = factors(name, options, (0, 10, 20), total=20, steps=3)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted({*SCHEDULES} - {"cosine_restarts", "inverse_sqrt"}))
def test_schedules_keep_their_last_value_beyond_the_end(name):
    at_the_end, later = factors(name, {}, (8, 9), total=8, results=(1, 2))
    assert later == at_the_end


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_are_between_0_and_1(name):
    epochs = [i / 7 for i in range(200)]
    assert all(0 <= f <= 1 for f in factors(name, {"warmup": 0.1}, epochs, total=20, steps=7))


def test_the_learning_rate_falls_at_each_plateau():
    options = {"by": 0.1, "patience": 2, "floor": 0.005}
    losses = [5, 4, 4, 4, 3, 3, 3, 3, 3, 3]
    found = [
        factors("plateau", options, (5,), total=10, results=losses[:i])[0]
        for i in range(len(losses) + 1)
    ]
    assert found == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.005, 0.005])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cosine", {"warmup": 1.5}),
        ("cosine", {"warmup": -1}),
        ("cosine", {"warmup": float("nan")}),
        ("cosine", {"warmup": float("inf")}),
        ("cosine", {"warmup": 10**5000}),
        ("linear", {"floor": 2}),
        ("exponential", {"floor": 0}),
        ("polynomial", {"power": 0}),
        ("polynomial", {"floor": 2}),
        ("one_cycle", {"rise": 1}),
        ("one_cycle", {"start": 2}),
        ("one_cycle", {"floor": -1}),
        ("cosine_restarts", {"period": 0}),
        ("cosine_restarts", {"growth": 0.5}),
        ("cosine_restarts", {"floor": 2}),
        ("step", {"every": 1.5}),
        ("step", {"by": 1}),
        ("multistep", {"milestones": [3, 2]}),
        ("multistep", {"milestones": []}),
        ("multistep", {"milestones": 3}),
        ("multistep", {"milestones": ["3"]}),
        ("multistep", {"by": 2, "milestones": [1]}),
        ("inverse_sqrt", {"scale": -1}),
        ("plateau", {"by": 1}),
        ("plateau", {"patience": 0}),
        ("plateau", {"floor": -1}),
        ("cosine", {"floor": "low"}),
        ("step", {"milestones": [3]}),
    ],
)
def test_invalid_schedule_options_are_refused(name, options):
    with pytest.raises(ParameterError, match=next(iter(options))):
        TrainingConfig(schedule=name, schedule_options=options)


def test_a_schedule_without_its_milestones_is_refused():
    with pytest.raises(ParameterError, match="milestones"):
        TrainingConfig(schedule="multistep")
