"""The training state: five epochs and five more are ten, to the bit."""

import numpy as np
import pytest
import torch
from torch import nn

from dc_core import NumpyDataset
from dc_core.errors import TrainingStateError
from dc_torch import Callback, Checkpoint, MultitaskRegressor, TorchModel


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
        "no generator": lambda s: s.pop("rng/torch"),
        "broken generator": lambda s: s.update({"rng/torch": np.zeros(3, np.uint8)}),
        "position": lambda s: s.update({"rng/numpy/position": np.array([10**6, 0])}),
        "broken key": lambda s: s.update({"rng/numpy/key": np.zeros(3, np.uint32)}),
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


class Kept(MultitaskRegressor):
    """Keeps what is stored of it in memory; a hub is another package's."""

    def __init__(self, stored, **options):
        super().__init__(1, 8, layer_sizes=(16,), epochs=6, batch_size=16, **options)
        self.stored = stored

    def to_pretrained(self, where, **options):
        self.stored[where] = (self.get_weights(), self.get_training_state(), options)


class Drawing(Callback):
    def on_epoch_end(self, model, epoch):
        torch.rand(epoch.number)


def test_training_resumes_from_any_checkpoint(rows, more_rows):
    stored = {}
    whole = Kept(stored).fit(
        rows, valid=more_rows, callbacks=[Checkpoint("run-{epoch:02}", every=2, tag="x"), Drawing()]
    )
    assert list(stored) == ["run-02", "run-04", "run-06"]
    for epochs, (weights, state, options) in zip((2, 4, 6), stored.values(), strict=True):
        assert options == {"training": True, "tag": "x"}
        again = Kept({})
        again.set_weights(weights)
        again.set_training_state(state)
        again.fit(rows, valid=more_rows, resume=True)
        assert_same_end(whole, again, since=epochs)


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
