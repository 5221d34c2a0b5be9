"""Training in half precision, with a scaled loss; torch's own scaler is the oracle."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from dc_core import NumpyDataset
from dc_core.errors import ParameterError, TrainingDiverged, TrainingStateError
from dc_core.training import training_batches
from dc_torch import Callback, TorchModel
from dc_torch.stepping import FiniteCheck


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))


def half(**options):
    settings = {"batch_size": 16, "epochs": 3, "precision": "fp16-mixed", "device": "cpu"}
    return TorchModel(network(), **{**settings, **options})


@pytest.fixture
def large_labels(rows):
    """Sixty-four rows, whose first gradients overflow in float16."""
    X = np.vstack([rows.X, rows.X[:4]])
    return NumpyDataset(X, 300 * np.vstack([rows.y, rows.y[:4]]))


class InterruptedAt(Callback):
    def __init__(self, step):
        self.left = step

    def on_step(self, model, step, steps):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_training_is_that_of_torch_s_scaler_to_the_last_bit(large_labels):
    model = half().fit(large_labels)
    module = network()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, fused=True)
    scaler = torch.amp.GradScaler("cpu")
    for epoch in range(1, 4):
        for X, labels in training_batches(large_labels, 16, 0, epoch):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.float16):
                output = module(torch.from_numpy(X))
            y = torch.from_numpy(labels.y.astype(np.float32))
            scaler.scale(mse_loss(output.float(), y)).backward()
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
    assert sum(epoch.skipped for epoch in model.history) > 1
    state = model.get_training_state()
    assert state["optimizer/loss_scale/scale"] == scaler.get_scale() < 2**16
    for name, tensor in module.state_dict().items():
        assert torch.equal(model.module.state_dict()[name], tensor), name


def test_training_goes_on_while_the_scale_can_fall(large_labels):
    model = half(epochs=2, batch_size=64).fit(large_labels)
    assert math.isnan(model.history[0].loss)
    assert [epoch.skipped for epoch in model.history] == [1, 1]
    model.fit(large_labels, epochs=30, resume=True)
    assert math.isfinite(model.history[-1].loss)
    assert sum(epoch.skipped for epoch in model.history) > 3


def test_training_ends_if_no_scale_makes_the_gradients_finite(rows):
    X = rows.X.copy()
    X[:, 0] = np.inf
    model = half(epochs=100)
    with pytest.raises(TrainingDiverged):
        model.fit(NumpyDataset(X, rows.y))
    assert model.get_training_state()["optimizer/loss_scale/scale"] == 1
    assert all(np.isfinite(weight).all() for weight in model.values())


@pytest.mark.parametrize("step", [1, 3, 6])
def test_training_is_resumed_with_the_scale_of_the_last_step(large_labels, step):
    whole, first, second = half().fit(large_labels), half(), half()
    with pytest.raises(KeyboardInterrupt):
        first.fit(large_labels, callbacks=[InterruptedAt(step)])
    second.set_weights(first.get_weights())
    second.set_training_state(first.get_training_state())
    second.fit(large_labels, resume=True)
    for weight, expected in zip(second.values(), whole.values(), strict=True):
        assert np.array_equal(weight, expected)
    assert second.history[-1].skipped == whole.history[-1].skipped


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale", np.float32(0)),
        ("scale", np.float32(np.inf)),
        ("scale", np.float32(np.nan)),
        ("scale", np.float64(2)),
        ("applied", np.int32(-1)),
        ("applied", np.int32(2000)),
        ("applied", None),
    ],
    ids=str,
)
def test_a_scale_that_is_not_one_is_refused_and_changes_nothing(rows, name, value):
    model = half(epochs=1).fit(rows)
    before = model.get_training_state()
    state = dict(before)
    path = f"optimizer/loss_scale/{name}"
    del state[path]
    if value is not None:
        state[path] = np.asarray(value)
    with pytest.raises(TrainingStateError):
        model.set_training_state(state)
    after = model.get_training_state()
    assert all(after[each].tobytes() == before[each].tobytes() for each in before)


def test_the_learning_rate_range_is_that_of_single_precision(large_labels):
    found = half().learning_rate_range(large_labels, minimum=1e-5, maximum=1e-2, steps=20)
    single = half(precision="float32").learning_rate_range(
        large_labels, minimum=1e-5, maximum=1e-2, steps=20
    )
    np.testing.assert_allclose(found.losses, single.losses, rtol=0.05)


def test_validation_is_in_half_precision_and_prediction_is_not(rows, more_rows):
    seen = []

    class Watching(nn.Linear):
        def forward(self, x):
            output = super().forward(x)
            seen.append(output.dtype)
            return output

    model = TorchModel(Watching(8, 1), epochs=1, precision="fp16-mixed", device="cpu")
    model.fit(rows, valid=more_rows)
    assert set(seen) == {torch.float16}
    seen.clear()
    model.predict(more_rows)
    assert set(seen) == {torch.float32}


def test_gradients_are_divided_by_the_scale():
    check = FiniteCheck(torch.device("cpu"))
    scale = torch.tensor(4.0)
    dense, sparse = torch.full((2,), 8.0), torch.eye(2).mul(8).to_sparse()
    assert not check.faults([dense], scale)
    assert not check.faults([sparse], scale)
    assert dense.tolist() == [2, 2]
    assert sparse.to_dense().tolist() == [[2, 0], [0, 2]]


def test_an_unknown_precision_is_refused():
    with pytest.raises(ParameterError, match="fp16-mixed"):
        half(precision="fp16")
