"""Averaged weights: those of torch.optim.swa_utils, validated, kept and resumed exactly."""

import signal

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from dc_core import Metric
from dc_core.errors import ParameterError, TrainingStateError
from dc_torch import Callback, TorchModel, TrainingConfig
from dc_torch.trainer import ModuleTrainer

AVERAGES = {
    "ema": {"average": "ema", "average_decay": 0.9},
    "swa": {"average": "swa", "average_start": 0.4},
}


def model(**options):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(8, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 1)
    )
    settings = {"learning_rate": 0.05, "batch_size": 16, "epochs": 6}
    return TorchModel(module, **{**settings, **options})


def ema(average, new, count):
    """Return the average that the documentation of average_decay describes."""
    return average + (1 - min(0.9, (1 + float(count)) / (10 + float(count)))) * (new - average)


class Following(Callback):
    """Averages the weights as torch does, after each step or the last epochs."""

    def __init__(self, module, kind):
        self.kind = kind
        self.averaged = AveragedModel(
            module, avg_fn=ema if kind == "ema" else None, use_buffers=True
        )

    def on_step(self, model, step, steps):
        if self.kind == "ema":
            self.averaged.update_parameters(model.module)

    def on_epoch_end(self, model, epoch):
        if self.kind == "swa" and epoch.number > 0.4 * 6:
            self.averaged.update_parameters(model.module)


class Raising(Metric):
    """Fails in the validation after some epoch."""

    greater_is_better = True

    def __init__(self, calls=0):
        self.left = calls

    def compute(self, y, prediction, w):
        self.left -= 1
        if self.left == 0:
            raise ZeroDivisionError
        return float(prediction.mean())


def same(first, second):
    return all(np.array_equal(first[name], second[name]) for name in first)


def expect_same_state(found, expected):
    assert found.keys() == expected.keys()
    assert all(found[name].tobytes() == expected[name].tobytes() for name in expected)


@pytest.mark.parametrize("kind", AVERAGES)
def test_the_weights_left_are_the_average_that_torch_computes(rows, kind):
    trained = model(**AVERAGES[kind])
    following = Following(trained.module, kind)
    trained.fit(rows, callbacks=[following])
    expected = following.averaged.module.state_dict()
    for name, tensor in trained.module.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", AVERAGES)
def test_averaging_does_not_affect_training(rows, more_rows, kind):
    plain, averaged = model().fit(rows, valid=more_rows), model(**AVERAGES[kind])
    averaged.fit(rows, valid=more_rows)
    assert [e.steps for e in averaged.history] == [e.steps for e in plain.history]
    assert averaged.history[-1].valid_loss != plain.history[-1].valid_loss
    assert same(
        {name: averaged.get_training_state()[f"last/{name}"] for name in ("0.weight", "1.bias")},
        {
            name: plain.get_training_state().get(f"last/{name}", plain.module.state_dict()[name])
            for name in ("0.weight", "1.bias")
        },
    )


@pytest.mark.parametrize("kind", AVERAGES)
def test_averaged_weights_are_validated_and_the_best_are_kept(rows, more_rows, kind):
    trained = model(**AVERAGES[kind]).fit(rows, valid=more_rows)
    error = trained.predict(more_rows) - more_rows.y
    best = min(epoch.valid_loss for epoch in trained.history)
    assert np.mean(error**2) == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("kind", AVERAGES)
@pytest.mark.parametrize("epochs", [0, 2, 3, 5])
@pytest.mark.parametrize("validated", [True, False])
def test_averages_are_resumed_exactly(rows, more_rows, kind, epochs, validated):
    options, valid = AVERAGES[kind], more_rows if validated else None

    class Interrupting(Callback):
        def on_step(self, model, step, steps):
            if len(model.history) == epochs and step == 3:
                signal.raise_signal(signal.SIGINT)

    whole = model(**options).fit(rows, valid=valid)
    first, second = model(**options), model(**options)
    with pytest.raises(KeyboardInterrupt):
        first.fit(rows, valid=valid, callbacks=[Interrupting()])
    second.set_weights(first.get_weights())
    second.set_training_state(first.get_training_state())
    for resumed in (first, second):
        resumed.fit(rows, valid=valid, resume=True)
        assert same(resumed.get_weights(), whole.get_weights())
        expect_same_state(resumed.get_training_state(), whole.get_training_state())


@pytest.mark.parametrize("kind", AVERAGES)
def test_a_validation_that_fails_leaves_the_last_weights_and_is_resumed(rows, more_rows, kind):
    options = AVERAGES[kind]
    whole = model(**options).fit(rows, valid=more_rows, metrics=[Raising()])
    failing = model(**options)
    with pytest.raises(ZeroDivisionError):
        failing.fit(rows, valid=more_rows, metrics=[Raising(calls=4)])
    assert len(failing.history) == 3
    failing.fit(rows, valid=more_rows, metrics=[Raising()], resume=True)
    assert same(failing.get_weights(), whole.get_weights())
    expect_same_state(failing.get_training_state(), whole.get_training_state())


def test_an_average_is_refused_by_a_model_that_makes_none(rows):
    state = model(average="ema").fit(rows, epochs=1).get_training_state()
    with pytest.raises(TrainingStateError, match="average"):
        model().set_training_state(state)


@pytest.mark.parametrize(
    "change",
    [
        {"averaged/count": np.array(0)},
        {"averaged/count": np.array(1.5)},
        {"averaged/other": np.array(1)},
    ],
)
def test_a_count_of_averaged_weights_that_is_not_one_is_refused(rows, change):
    trained = model(average="ema").fit(rows, epochs=1)
    state = {**trained.get_training_state(), **change}
    with pytest.raises(TrainingStateError):
        model(average="ema").set_training_state(state)
    del state["averaged/count"]
    with pytest.raises(TrainingStateError):
        model(average="ema").set_training_state(state)


@pytest.mark.parametrize(
    "options",
    [{"average": "mean"}, {"average_decay": 1}, {"average_start": "half"}, {"average_start": -1}],
)
def test_an_invalid_option_is_named(options):
    with pytest.raises(ParameterError, match=next(iter(options))):
        TrainingConfig(**options)


def test_the_average_and_the_weights_are_exchanged_in_the_same_memory():
    trainer = ModuleTrainer(nn.Linear(8, 1), TrainingConfig())
    before = trainer.copied_weights({})
    average = {name: tensor + 1 for name, tensor in before.items()}
    expected = {name: tensor.clone() for name, tensor in average.items()}
    places = {name: tensor.data_ptr() for name, tensor in average.items()}
    exchanged = trainer.exchanged_weights(average)
    assert {name: tensor.data_ptr() for name, tensor in exchanged.items()} == places
    for name, tensor in trainer.module.state_dict().items():
        assert torch.equal(tensor, expected[name])
        assert torch.equal(exchanged[name], before[name])
