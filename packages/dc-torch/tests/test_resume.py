"""The training state: five epochs and five more are ten, to the bit."""

import itertools
import signal

import numpy as np
import pytest
import torch
from torch import nn

from dc_core import Dataset, NumpyDataset
from dc_core.errors import DatasetError, TrainingStateError
from dc_core.training import step_seed
from dc_torch import Callback, MultitaskRegressor, TorchModel
from dc_torch.rng import isolated_rng, seed_rng


def regressor(**options):
    settings = {
        "layer_sizes": (16,),
        "epochs": 10,
        "batch_size": 16,
        "dropout": 0.3,
        "learning_rate": 0.02,
        **options,
    }
    return MultitaskRegressor(1, 8, **settings)


@pytest.fixture
def misleading_rows(more_rows):
    """Validation rows of another law: the best epoch comes early, long before the last one."""
    return NumpyDataset(more_rows.X, -more_rows.y)


def carried_over(model, build):
    """Return a new model with the weights and the training state of ``model``, as stored arrays."""
    other = build()
    other.set_weights({name: array.copy() for name, array in model.get_weights().items()})
    state = model.get_training_state()
    stored = {name: (a.shape, a.dtype, a.tobytes()) for name, a in state.items()}
    other.set_training_state(
        {
            name: np.frombuffer(raw, dtype).reshape(shape)
            for name, (shape, dtype, raw) in stored.items()
        }
    )
    return other


def assert_same_end(whole, parts, since):
    assert [e.steps for e in parts.history[since:]] == [e.steps for e in whole.history[since:]]
    assert [e.loss for e in parts.history] == [e.loss for e in whole.history]
    np.testing.assert_array_equal(
        [e.valid_loss for e in parts.history], [e.valid_loss for e in whole.history]
    )
    assert [e.learning_rate for e in parts.history] == [e.learning_rate for e in whole.history]
    for name in whole:
        assert whole[name].tobytes() == parts[name].tobytes()
    first, second = whole.get_training_state(), parts.get_training_state()
    assert list(first) == list(second)
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "adamw", "schedule": "cosine", "schedule_options": {"warmup": 0.2}},
        {"optimizer": "sgd", "optimizer_options": {"momentum": 0.9}, "gradient_clip": 1.0},
        {"optimizer": "rmsprop", "schedule": "plateau", "schedule_options": {"patience": 1}},
        {"optimizer": "adagrad", "schedule": "exponential"},
        {"optimizer": "adam", "optimizer_options": {"amsgrad": True}, "patience": 4},
    ],
    ids=lambda options: "-".join(map(str, options.values())) or "default",
)
def test_resuming_from_arrays_equals_uninterrupted_training(
    rows, misleading_rows, options, validated
):
    if "patience" in options and not validated:
        options = {**options, "patience": None}
    valid = misleading_rows if validated else None
    whole = regressor(**options).fit(rows, valid=valid)
    first = regressor(**options).fit(rows, valid=valid, epochs=5)
    second = carried_over(first, lambda: regressor(**options))
    assert not validated or "last/layers.0.weight" in first.get_training_state()
    second.fit(rows, valid=valid, resume=True)
    assert_same_end(whole, second, since=min(5, len(whole.history)))


def test_resuming_in_place_equals_uninterrupted_training(rows, misleading_rows):
    whole = regressor().fit(rows, valid=misleading_rows)
    parts = regressor().fit(rows, valid=misleading_rows, epochs=1)
    for epochs in (2, 3):
        parts.fit(rows, valid=misleading_rows, epochs=epochs, resume=True)
    parts.fit(rows, valid=misleading_rows, resume=True)
    assert_same_end(whole, parts, since=0)


def test_resuming_finished_training_changes_nothing(rows):
    model = regressor().fit(rows)
    before = model.get_weights()
    model.fit(rows, resume=True)
    assert len(model.history) == 10
    assert all(np.array_equal(model[name], array) for name, array in before.items())


def test_resuming_can_exceed_the_configs_epochs(rows):
    model = regressor().fit(rows).fit(rows, epochs=2, resume=True)
    assert len(model.history) == 12


def test_buffers_are_resumed_too(rows, more_rows):
    def build():
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Dropout(0.2), nn.Linear(6, 1))
        return TorchModel(module, epochs=6, batch_size=16, learning_rate=0.05)

    whole = build().fit(rows, valid=more_rows)
    first = build().fit(rows, valid=more_rows, epochs=3)
    second = carried_over(first, build).fit(rows, valid=more_rows, resume=True)
    assert_same_end(whole, second, since=3)


def test_a_bfloat16_module_is_resumed(rows):
    def build():
        torch.manual_seed(0)
        return TorchModel(nn.Linear(8, 1).bfloat16(), epochs=4, batch_size=16)

    second = carried_over(build().fit(rows, epochs=2), build).fit(rows, resume=True)
    assert_same_end(build().fit(rows), second, since=2)


def test_a_model_that_was_not_trained_has_no_state(rows):
    model = regressor()
    assert model.get_training_state() == {}
    model.fit(rows, epochs=1)
    model.set_training_state({})
    assert model.history == ()


def test_the_training_state_is_plain_arrays_without_the_weights(rows, more_rows):
    model = regressor().fit(rows, valid=more_rows, epochs=2)
    state = model.get_training_state()
    assert all(type(array) is np.ndarray and not array.dtype.hasobject for array in state.values())
    kept = {name: array.copy() for name, array in state.items()}
    model.fit(rows, valid=more_rows, resume=True)
    assert all(np.array_equal(state[name], kept[name], equal_nan=True) for name in kept)


def test_a_given_training_state_is_never_written_to(rows, misleading_rows):
    state = regressor().fit(rows, valid=misleading_rows, epochs=2).get_training_state()
    kept = {name: array.copy() for name, array in state.items()}
    model = regressor()
    model.set_training_state(state)
    model.fit(rows, valid=misleading_rows, resume=True)
    assert all(np.array_equal(state[name], kept[name], equal_nan=True) for name in kept)


def changed(state, change):
    state = dict(state)
    change(state)
    return state


@pytest.mark.parametrize(
    "change",
    {
        "part": lambda s: s.update({"momentum/x": np.zeros(1)}),
        "parameter": lambda s: s.update({"optimizer/layers.9.weight/exp_avg": np.zeros(1)}),
        "no step": lambda s: s.pop("optimizer/layers.0.bias/step"),
        "no moment": lambda s: s.pop("optimizer/layers.0.bias/exp_avg"),
        "other moment": lambda s: s.update({"optimizer/layers.0.bias/sum": np.zeros(16)}),
        "list": lambda s: s.update({"history/loss": [1.0, 2.0]}),
        "shape": lambda s: s.update({"optimizer/layers.0.bias/exp_avg": np.zeros(3, np.float32)}),
        "no history": lambda s: s.pop("history/loss"),
        "ragged history": lambda s: s.update({"history/loss": np.zeros(7)}),
        "no step count": lambda s: s.pop("partial/steps"),
        "negative steps": lambda s: s.update({"partial/steps": np.array(-1)}),
        "infinite loss": lambda s: s.update(
            {
                "partial/steps": np.array(1),
                "partial/losses": np.array([np.inf]),
                "partial/weights": np.ones(1),
            }
        ),
        "name that is a number": lambda s: s.update({3: np.zeros(1)}),
        "more losses than steps": lambda s: s.update(
            {"partial/losses": np.zeros(2), "partial/weights": np.ones(2)}
        ),
        "a weight of nothing": lambda s: s.update(
            {
                "partial/steps": np.array(2),
                "partial/losses": np.zeros(2),
                "partial/weights": np.array([1.0, np.nan]),
            }
        ),
        "half a skipped step": lambda s: s.update({"history/skipped": np.array([0.5, 0.0])}),
        "no factor": lambda s: s.pop("control/factor"),
        "negative factor": lambda s: s.update({"control/factor": np.array(-1.0)}),
        "rate of nothing": lambda s: s.update({"control/rate": np.array(np.nan)}),
        "digest": lambda s: s.update({"data/rows": np.zeros(31, np.uint8)}),
        "negative step of Adam": lambda s: s.update(
            {"optimizer/layers.0.bias/step": np.array(-1, np.float32)}
        ),
        "half a step of Adam": lambda s: s.update(
            {"optimizer/layers.0.bias/step": np.array(1.5, np.float32)}
        ),
        "infinite moment": lambda s: s.update(
            {"optimizer/layers.0.bias/exp_avg": np.full(16, np.inf, np.float32)}
        ),
        "negative second moment": lambda s: s.update(
            {"optimizer/layers.0.bias/exp_avg_sq": np.full(16, -1, np.float32)}
        ),
        "best": lambda s: s.pop("best/layers.0.bias"),
        "best shape": lambda s: s.update({"best/layers.0.bias": np.zeros(2, np.float32)}),
        "best dtype": lambda s: s.update({"best/layers.0.bias": np.zeros(16, np.float64)}),
    }.items(),
    ids=lambda change: change[0].replace(" ", "-"),
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(rows, more_rows, change):
    model = regressor().fit(rows, valid=more_rows, epochs=2)
    before = model.get_training_state()
    with pytest.raises(TrainingStateError):
        model.set_training_state(changed(before, change[1]))
    after = model.get_training_state()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    with pytest.raises(TrainingStateError):
        model.set_training_state(changed(before, change[1]))
    assert torch.equal(torch.rand(1), expected)


class Noisy(nn.Module):
    """Has what a step may change besides parameters: statistics, a count, and random numbers."""

    def __init__(self, fails_at=None):
        super().__init__()
        self.norm, self.dropout = nn.BatchNorm1d(8), nn.Dropout(0.3)
        self.layer = nn.Linear(8, 1)
        self.register_buffer("runs", torch.zeros(()))
        self.calls, self.fails_at = 0, fails_at

    def forward(self, x):
        if self.training:
            self.runs = self.runs + 1  # in the place of the old one
            x = x + 0.1 * np.random.random_sample()  # noqa: NPY002
        output = self.layer(self.dropout(self.norm(x)))
        self.calls += 1
        if self.calls == self.fails_at:
            raise RuntimeError("out of memory")
        return output


def noisy(fails_at=None, **options):
    torch.manual_seed(0)
    settings = {"epochs": 4, "batch_size": 16, "learning_rate": 0.05, "seed": 3, **options}
    return TorchModel(Noisy(fails_at), **settings)


class StopAfter(Callback):
    """Interrupts training after so many steps."""

    def __init__(self, steps, interrupt):
        self.left, self.interrupt = steps, interrupt

    def on_step(self, model, step, steps):
        self.left -= 1
        if self.left == 0:
            self.interrupt()


def pressed():
    raise KeyboardInterrupt


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 11])
@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("interrupt", [pressed, ctrl_c])
def test_training_that_is_interrupted_after_any_step_goes_on_with_the_next(
    rows, misleading_rows, steps, validated, interrupt
):
    valid = misleading_rows if validated else None
    whole = noisy().fit(rows, valid=valid)
    first = noisy()
    with pytest.raises(KeyboardInterrupt):
        first.fit(rows, valid=valid, callbacks=[StopAfter(steps, interrupt)])
    assert int(first.get_training_state()["partial/steps"]) == steps - 4 * len(first.history)
    second = carried_over(first, noisy)
    second.fit(rows, valid=valid, resume=True)
    assert_same_end(whole, second, since=len(first.history) + 1)


@pytest.mark.parametrize("call", [1, 2, 6, 13])
def test_a_step_that_fails_changes_nothing_and_is_done_again(rows, call):
    whole, failing = noisy().fit(rows), noisy(fails_at=call)
    with pytest.raises(DatasetError, match="out of memory"):
        failing.fit(rows)
    assert int(failing.module.runs) == call - 1
    failing.fit(rows, resume=True)
    assert_same_end(whole, failing, since=4)


def test_the_end_of_the_process_is_taken_between_steps(rows):
    def terminate():
        signal.raise_signal(signal.SIGTERM)

    model = noisy()
    with pytest.raises(SystemExit) as ended:
        model.fit(rows, callbacks=[StopAfter(6, terminate)])
    assert ended.value.code == 128 + signal.SIGTERM
    model.fit(rows, resume=True)
    assert_same_end(noisy().fit(rows), model, since=4)


def test_an_interruption_during_validation_costs_no_step(rows, more_rows):
    class Slow(Dataset):
        tasks = more_rows.tasks

        def __len__(self):
            return len(more_rows)

        def rows(self, indices, parts=("X", "y", "w", "ids")):
            if model.position == (0, 4):
                ctrl_c()
            return more_rows.rows(indices, parts)

        def select(self, indices):
            return more_rows.select(indices)

    options = {"schedule": "cosine"}
    model = noisy(**options)
    with pytest.raises(KeyboardInterrupt):
        model.fit(rows, valid=Slow())
    assert (model.history, model.position) == ((), (0, 4))
    again = carried_over(model, lambda: noisy(**options))
    again.fit(rows, valid=more_rows, resume=True)
    assert_same_end(noisy(**options).fit(rows, valid=more_rows), again, since=4)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.select(range(59)),
        lambda rows: rows.select([*range(1, 60), 0]),
        lambda rows: NumpyDataset(rows.X, rows.y + 1),
        lambda rows: NumpyDataset(rows.X, rows.y, 2 * rows.w),
        lambda rows: NumpyDataset(rows.X.astype(np.float64), rows.y),
        lambda rows: NumpyDataset(rows.X, rows.y, tasks=["other"]),
    ],
    ids=["fewer", "order", "labels", "weights", "dtype", "task"],
)
def test_training_is_not_resumed_with_other_data(rows, change):
    model = carried_over(noisy().fit(rows, epochs=2), noisy)
    before = model.get_weights()
    with pytest.raises(TrainingStateError, match="other data"):
        model.fit(change(rows), resume=True)
    assert all(np.array_equal(model[name], array) for name, array in before.items())
    assert len(model.fit(rows, resume=True).history) == 4


def test_an_epoch_with_more_steps_than_the_data_have_is_not_resumed(rows):
    model = noisy().fit(rows, epochs=1)
    model.set_training_state({**model.get_training_state(), "partial/steps": np.array(5)})
    with pytest.raises(TrainingStateError, match="only 4"):
        model.fit(rows, resume=True)


def test_what_is_not_a_mapping_is_no_training_state():
    with pytest.raises(TrainingStateError, match="not a list"):
        noisy().set_training_state([1])


def test_random_numbers_of_validation_are_resumed_too(rows, more_rows):
    class Blurred(nn.Linear):
        def forward(self, x):
            return super().forward(nn.functional.dropout(x, 0.3, training=True))

    def build():
        torch.manual_seed(0)
        return TorchModel(Blurred(8, 1), epochs=3, batch_size=16)

    class Interrupting(Callback):
        def on_step(self, model, step, steps):
            if step == steps:
                raise KeyboardInterrupt

    whole, model = build().fit(rows, valid=more_rows), build()
    with pytest.raises(KeyboardInterrupt):
        model.fit(rows, valid=more_rows, callbacks=[Interrupting()])
    model.fit(rows, valid=more_rows, resume=True)
    assert_same_end(whole, model, since=3)


def test_without_validation_rows_resumed_training_ends_with_the_last_weights(rows, misleading_rows):
    model = regressor().fit(rows, valid=misleading_rows, epochs=2)
    last = {}

    class Noting(Callback):
        def on_epoch_end(self, model, epoch):
            last.update(model.get_weights())

    model.fit(rows, resume=True, callbacks=[Noting()])
    assert all(np.array_equal(model[name], last[name]) for name in model)


@isolated_rng()
def test_what_a_step_draws_depends_on_seed_epoch_and_step_alone():
    drawn = {}
    for arguments in itertools.product((0, 1, 2**63 - 1), (1, 2), (0, 1, 2)):
        seed_rng(step_seed(*arguments))
        drawn[arguments] = float(torch.rand(())), np.random.random_sample()  # noqa: NPY002
    assert len(set(drawn.values())) == len(drawn)
    for arguments, values in reversed(drawn.items()):
        seed_rng(step_seed(*arguments))
        assert (float(torch.rand(())), np.random.random_sample()) == values  # noqa: NPY002


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_training_on_a_gpu_is_resumed(rows, more_rows):
    options = {"device": "cuda", "precision": "float32"}
    whole = regressor(**options).fit(rows, valid=more_rows)
    first = regressor(**options).fit(rows, valid=more_rows, epochs=5)
    second = carried_over(first, lambda: regressor(**options))
    second.fit(rows, valid=more_rows, resume=True)
    assert_same_end(whole, second, since=5)


def test_resuming_without_a_training_state_is_an_error(rows):
    model = regressor()
    with pytest.raises(TrainingStateError, match="no training to resume"):
        model.fit(rows, resume=True)
    model.fit(rows, epochs=1).fit(rows, epochs=1, resume=True)
