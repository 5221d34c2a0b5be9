"""Prediction records nothing, changes nothing, and has one row per row."""

import numpy as np
import pytest
import torch
from torch import nn

from dc_core import PARTS, NumpyDataset, plugins
from dc_core.errors import DatasetError, EmptyDataset, ParameterError
from dc_torch import MultitaskRegressor, TorchModel


def test_an_array_and_a_dataset_give_the_same(rows):
    model = MultitaskRegressor(1, 8, batch_size=16)
    assert np.array_equal(model.predict(rows), model.predict(rows.X))


def test_there_is_one_row_per_row_in_order(rows):
    model = TorchModel(nn.Linear(8, 3).double(), batch_size=7)
    with torch.no_grad():
        expected = model.module(torch.from_numpy(rows.X).double()).numpy()
    np.testing.assert_allclose(model.predict(rows), expected, rtol=1e-12)


def test_predicting_for_no_rows_is_an_error():
    with pytest.raises(EmptyDataset, match="no row to predict"):
        MultitaskRegressor(3, 8).predict(np.zeros((0, 8), np.float32))


def test_features_that_the_module_does_not_take_are_a_typed_error(rows):
    with pytest.raises(DatasetError, match=r"Linear fails on X of shape \(60, 8\) and dtype"):
        TorchModel(nn.Linear(5, 1)).predict(rows)
    with pytest.raises(DatasetError, match="Linear fails on X"):
        TorchModel(nn.Linear(5, 1)).fit(rows)
    with pytest.raises(DatasetError, match="index out of range"):
        TorchModel(nn.Embedding(5, 2), input_dtype="int64").predict(np.array([9]))
    with pytest.raises(DatasetError, match="complex"):
        TorchModel(nn.Linear(8, 1)).predict(np.zeros((2, 8), complex))


def test_typed_errors_inside_a_module_are_not_wrapped(rows):
    class Refusing(nn.Linear):
        def forward(self, x):
            raise ParameterError("not today")

    with pytest.raises(ParameterError, match="not today"):
        TorchModel(Refusing(8, 1)).predict(rows)


def test_an_output_without_a_task_axis_has_one_task(rows):
    model = TorchModel(nn.Sequential(nn.Linear(8, 1), nn.Flatten(0)))
    assert model.predict(rows).shape == (60, 1)
    model = TorchModel(nn.Linear(8, 4), loss="cross_entropy")
    assert model.predict(rows).shape == (60, 1, 4)


@pytest.mark.parametrize("flat", [nn.Flatten(0), nn.Unflatten(0, (-1, 1))])
def test_an_output_with_another_number_of_rows_is_a_typed_error(rows, flat):
    with pytest.raises(DatasetError, match="For 60 rows the Sequential returned"):
        TorchModel(nn.Sequential(flat, nn.Flatten(0)), loss="mse").predict(rows)


def test_every_error_in_forward_is_typed(rows):
    for module in (nn.PixelShuffle(0), nn.ModuleList([nn.Linear(8, 1)]), nn.Softmax(10**20)):
        with pytest.raises(DatasetError, match=f"The {type(module).__name__} fails"):
            TorchModel(module).predict(np.zeros((2, 8, 2, 2), np.float32))


class Watching(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(8, 1), nn.Dropout(0.5))
        self.frozen = nn.BatchNorm1d(1)
        self.seen = []

    def forward(self, x):
        self.seen.append(
            (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), self.training)
        )
        return self.frozen(self.inner(x))


def test_predicting_records_no_gradient_and_restores_every_mode(rows):
    module = Watching()
    module.frozen.eval()
    modes = [part.training for part in module.modules()]
    first, second = TorchModel(module).predict(rows), TorchModel(module).predict(rows)
    assert set(module.seen) == {(False, True, False)}
    assert [part.training for part in module.modules()] == modes
    assert np.array_equal(first, second)
    module(torch.from_numpy(rows.X)).sum().backward()


def sizes_of_calls(X, **options):
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.ones(1))

        def forward(self, x):
            sizes.append(len(x))
            return self.factor * x.flatten(1).sum(1)

    sizes = []
    model = TorchModel(Counting(), batch_size=4, **options)
    np.testing.assert_allclose(model.predict(X)[:, 0], X.reshape(len(X), -1).sum(1), rtol=1e-5)
    return sizes


def test_vectors_are_predicted_in_larger_batches_once_their_width_is_known():
    assert sizes_of_calls(np.ones((90, 3), np.float32)) == [4, 64, 22]
    assert sizes_of_calls(np.ones((3, 3), np.float32)) == [3]
    wide = np.ones((30, 1 << 17), np.float32)  # sixteen rows of half a MiB are 8 MiB
    assert sizes_of_calls(wide) == [4, 16, 10]


def test_rows_that_are_not_vectors_of_numbers_are_predicted_in_batches_of_training():
    assert sizes_of_calls(np.ones((9, 2, 2), np.float32)) == [4, 4, 1]
    assert sizes_of_calls(np.ones((9, 3), np.int64), input_dtype="int64") == [4, 4, 1]


def test_modes_are_restored_after_an_error():
    module = nn.Sequential(nn.Linear(8, 1))
    with pytest.raises(DatasetError):
        TorchModel(module).predict(np.zeros((2, 5), np.float32))
    assert module.training
    assert module[0].training


def test_predicting_leaves_the_random_numbers_alone(rows):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    MultitaskRegressor(1, 8).predict(rows)
    assert torch.equal(torch.rand(1), expected)


def test_probabilities_are_those_of_the_logits(rows):
    module = nn.Linear(8, 2)
    with torch.no_grad():
        logits = module(torch.from_numpy(rows.X)).numpy().astype(float)
    binary = TorchModel(module, loss="bce").predict(rows)
    np.testing.assert_allclose(binary[..., 1], 1 / (1 + np.exp(-logits)), rtol=1e-5)
    np.testing.assert_allclose(binary.sum(-1), 1, rtol=1e-6)
    classes = TorchModel(module, loss="cross_entropy").predict(rows)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(classes[:, 0], expected, rtol=1e-5)


def test_a_half_precision_module_predicts_float32(rows):
    model = TorchModel(nn.Linear(8, 1).bfloat16())
    assert model.predict(rows).dtype == np.float32


def test_the_device_is_not_stored_with_the_model():
    model = MultitaskRegressor(1, 8, device="cpu")
    assert "device" not in model.get_parameters()["options"]
    assert model.unfitted().config.device == "cpu"
    with pytest.raises(ParameterError, match="cuda:63"):
        model.to("cuda:63")
    assert model.config.device == "cpu"


def test_moving_a_model_keeps_its_training(rows):
    model = MultitaskRegressor(1, 8, epochs=3).fit(rows, epochs=2)
    whole = MultitaskRegressor(1, 8, epochs=3).fit(rows)
    model.to("cpu").fit(rows, resume=True)
    assert [epoch.loss for epoch in model.history] == [epoch.loss for epoch in whole.history]


def test_a_wrapped_module_is_a_model(rows):
    module = nn.Linear(8, 1)
    model = plugins.backend("torch").wrap(module)
    assert isinstance(model, TorchModel)
    assert model.native is module
    assert list(model) == ["torch_model/0", "torch_model/1"]
    assert model.weight_table()["torch_model/0"].native == "weight"


def test_only_modules_are_wrapped():
    with pytest.raises(ParameterError, match=r"torch\.nn\.Module, not a dict"):
        TorchModel({})


def test_passing_a_class_instead_of_a_module_gives_a_hint():
    with pytest.raises(ParameterError, match="and not its class"):
        TorchModel(nn.Linear)


def test_evaluation_ignores_missing_labels(rows):
    from dc_core import Metric

    class MeanError(Metric):
        greater_is_better = False

        def compute(self, y, prediction, w):
            return float(np.mean(y - prediction))

    y = np.hstack([rows.y, rows.y])
    y[:30, 1] = np.nan
    model = MultitaskRegressor(2, 8)
    scores = model.evaluate(NumpyDataset(rows.X, y), [MeanError()])
    expected = (y - model.predict(rows))[30:, 1].mean()
    assert scores["mean_error/task1"] == pytest.approx(expected)


class Changing(NumpyDataset):
    """Gives other rows than it is asked for, or has another length afterwards."""

    def __init__(self, X, change):
        super().__init__(X)
        self.change, self.read = change, 0

    def __len__(self):
        return super().__len__() - (3 if self.change == "shrinks" and self.read else 0)

    def rows(self, indices, parts=PARTS):
        self.read += 1
        if self.change == "gives none":
            indices = indices[:0]
        if self.change == "gives more":
            indices = np.concatenate([indices, indices])
        return super().rows(indices, parts)


@pytest.mark.parametrize("change", ["shrinks", "gives none", "gives more"])
def test_a_dataset_that_changes_while_it_is_read_is_a_typed_error(change):
    model = TorchModel(nn.Linear(3, 1), batch_size=2, device="cpu")
    with pytest.raises(DatasetError, match="changes while it is read"):
        model.predict(Changing(np.ones((5, 3, 3)), change))


@pytest.mark.parametrize("X", [np.ones((1, 3)), {"x": np.ones((1, 3))}])
def test_training_a_batch_norm_on_one_row_says_why_it_fails(X):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

        def forward(self, x):
            return self.layers(x)

    model = TorchModel(Net(), device="cpu")
    with pytest.raises(DatasetError, match="a batch norm has no statistics"):
        model.fit(NumpyDataset(X, np.ones((1, 1))), progress=False)
    assert model.predict(NumpyDataset(X)).shape == (1, 1)
