"""What training does with the rows, and what it makes of those that do not fit."""

import numpy as np
import pytest
import torch
from torch import nn

from dc_core import Batch, Dataset, NumpyDataset
from dc_core.errors import (
    DatasetError,
    EmptyDataset,
    OutOfDeviceMemory,
    ParameterError,
    TrainingDiverged,
)
from dc_torch import (
    Callback,
    MultitaskClassifier,
    MultitaskRegressor,
    TorchModel,
    trainer,
)
from dc_torch.stepping import Buffers


def regressor(**options):
    settings = {"layer_sizes": (16,), "epochs": 8, "batch_size": 16, **options}
    return MultitaskRegressor(1, 8, **settings)


def steps(model):
    return [epoch.steps for epoch in model.history]


def same_weights(first, second):
    pairs = zip(first.get_weights().values(), second.get_weights().values(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_training_learns(rows, more_rows):
    model = regressor(epochs=100, learning_rate=0.01, dropout=0.0).fit(rows)
    error = model.predict(more_rows) - more_rows.y
    assert np.sqrt(np.mean(error**2)) < 0.2 * more_rows.y.std()
    assert model.history[-1].loss < 0.05 * model.history[0].loss


def test_a_linear_module_finds_the_least_squares_solution(rows):
    model = TorchModel(nn.Linear(8, 1), learning_rate=0.1, epochs=300, schedule="cosine").fit(rows)
    design = np.column_stack([rows.X, np.ones(len(rows))])
    solution, *_ = np.linalg.lstsq(design, rows.y, rcond=None)
    weights = np.append(model.module.weight.detach().numpy(), model.module.bias.detach().numpy())
    np.testing.assert_allclose(weights, solution[:, 0], atol=2e-3)


def test_equal_seeds_give_equal_losses_and_weights(rows):
    first, second = regressor().fit(rows), regressor().fit(rows)
    assert steps(first) == steps(second)
    assert same_weights(first, second)


def test_other_seeds_give_other_losses(rows):
    assert steps(regressor().fit(rows)) != steps(regressor(seed=1).fit(rows))


def test_training_neither_uses_nor_changes_the_programs_random_numbers(rows):
    def draw():
        return torch.rand(2).tolist(), np.random.random_sample(2).tolist()  # noqa: NPY002

    def seed():
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002

    seed()
    expected = draw()
    first = regressor().fit(rows)
    seed()
    second = regressor().fit(rows)
    second.predict(rows)
    assert draw() == expected
    assert steps(first) == steps(second)


@pytest.mark.parametrize("missing", [np.nan, 1e30])
def test_labels_without_a_weight_do_not_count(rows, missing):
    y = np.hstack([rows.y, rows.y])
    w = np.ones_like(y)
    y[::2, 1], w[::2, 1] = missing, 0
    other = np.where(w == 0, -5.0, y)
    models = []
    for labels in (y, other):
        dataset = NumpyDataset(rows.X, labels, w)
        models.append(MultitaskRegressor(2, 8, epochs=3, batch_size=16).fit(dataset, valid=dataset))
    assert same_weights(*models)
    assert models[0].history == models[1].history
    assert np.isfinite(models[0].history[-1].valid_loss)


def test_a_missing_label_is_not_a_label_of_zero(rows):
    y = rows.y.copy()
    y[30:] = np.nan
    model = TorchModel(nn.Linear(8, 1), batch_size=60, epochs=1, seed=3)
    model.module.weight.data.zero_()
    model.module.bias.data.zero_()
    model.fit(NumpyDataset(rows.X, y))
    assert model.history[0].loss == pytest.approx(np.mean(y[:30] ** 2), rel=1e-5)


def test_label_weights_weight_the_loss(rows):
    w = np.linspace(0.1, 2, len(rows))
    model = TorchModel(nn.Linear(8, 1), batch_size=60, epochs=1, loss="mae")
    before = np.abs(model.predict(rows) - rows.y)[:, 0]
    model.fit(NumpyDataset(rows.X, rows.y, w))
    assert model.history[0].loss == pytest.approx(np.average(before, weights=w), rel=1e-5)


def test_a_batch_without_labels_is_skipped(rows):
    y = np.full((60, 1), np.nan)
    y[0] = 1
    model = regressor(batch_size=10, epochs=1).fit(NumpyDataset(rows.X, y))
    assert len(model.history[0].steps) == 1


@pytest.mark.parametrize("n", [1, 2, 17, 33])
def test_every_row_is_used_and_no_batch_has_a_single_row(rows, n):
    seen = []

    class Watching(nn.Linear):
        def forward(self, x):
            seen.append(x[:, 0].tolist())
            return super().forward(x)

    dataset = rows.select(np.arange(n))
    counted = []
    model = TorchModel(Watching(8, 1), batch_size=16, epochs=1)
    model.fit(dataset, callbacks=[Steps(counted)])
    assert sorted(value for batch in seen for value in batch) == sorted(dataset.X[:, 0].tolist())
    assert min(map(len, seen)) > 1 or n == 1
    assert counted == [(i + 1, len(seen)) for i in range(len(seen))]


class Steps(Callback):
    def __init__(self, steps):
        self.steps = steps

    def on_step(self, model, step, steps):
        self.steps.append((step, steps))


def test_batches_of_size_one_are_kept(rows):
    model = regressor(batch_size=1, epochs=1).fit(rows.select(np.arange(5)))
    assert len(model.history[0].steps) == 5


def test_batch_normalization_trains_for_any_number_of_rows(rows):
    module = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    TorchModel(module, batch_size=16, epochs=1).fit(rows.select(np.arange(33)))


@pytest.mark.parametrize(
    "dtype", [bool, "u1", "i1", "u2", "u4", "i4", "i8", "f2", "f8", ">f4", ">i4"]
)
def test_features_of_any_numeric_dtype_are_accepted(rows, dtype):
    dataset = NumpyDataset((rows.X > 0).astype(dtype), rows.y)
    expected = regressor(epochs=1).fit(NumpyDataset((rows.X > 0).astype(np.float32), rows.y))
    assert steps(regressor(epochs=1).fit(dataset)) == steps(expected)


def test_tokens_reach_an_embedding_as_integers():
    tokens = np.random.default_rng(0).integers(0, 5, (30, 4))
    module = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(12, 1))
    model = TorchModel(module, input_dtype="int64", epochs=2)
    model.fit(NumpyDataset(tokens.astype(np.uint8), tokens[:, :1]))
    assert model.predict(tokens).shape == (30, 1)


def test_a_module_of_doubles_trains_and_predicts_in_doubles(rows):
    model = TorchModel(nn.Linear(8, 1).double(), epochs=1).fit(rows)
    assert model.predict(rows).dtype == np.float64


def test_frozen_parameters_do_not_change(rows):
    module = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 1))
    module[0].requires_grad_(False)
    before = module[0].weight.clone()
    TorchModel(module, epochs=2).fit(rows)
    assert torch.equal(module[0].weight, before)


def test_the_gradient_is_clipped(rows):
    far = NumpyDataset(rows.X, rows.y * 1e6)
    model = TorchModel(
        nn.Linear(8, 1),
        optimizer="sgd",
        learning_rate=1,
        gradient_clip=0.5,
        epochs=1,
        batch_size=60,
    )
    before = model.get_weights()
    model.fit(far)
    moved = sum(np.sum((model[name] - before[name]) ** 2) for name in model)
    assert np.sqrt(moved) == pytest.approx(0.5, rel=1e-4)


def test_the_learning_rate_follows_the_schedule(rows):
    rates = [
        epoch.learning_rate
        for epoch in regressor(schedule="linear", learning_rate=0.1, epochs=4).fit(rows).history
    ]
    steps_of_all = 16
    last = [(4 * (i + 1) - 0.5) / steps_of_all for i in range(4)]
    np.testing.assert_allclose(rates, [0.1 * (1 - progress) for progress in last])


def test_mixed_precision_trains_and_leaves_float32_weights(rows):
    model = regressor(precision="bf16-mixed", epochs=20, learning_rate=0.01).fit(rows)
    assert model.history[-1].loss < model.history[0].loss
    assert {array.dtype for array in model.get_weights().values()} == {np.dtype(np.float32)}
    assert steps(model) != steps(regressor(epochs=20, learning_rate=0.01).fit(rows))


def test_validation_has_the_precision_of_training_and_predictions_the_modules_own(rows):
    class Watching(nn.Linear):
        def forward(self, x):
            output = super().forward(x)
            seen.append((self.training, output.dtype))
            return output

    seen = []
    model = TorchModel(Watching(8, 1), precision="bf16-mixed", epochs=1)
    model.fit(rows, valid=rows)
    assert set(seen) == {(True, torch.bfloat16), (False, torch.bfloat16)}
    seen.clear()
    model.predict(rows)
    assert set(seen) == {(False, torch.float32)}


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", "adagrad"])
def test_every_optimizer_lowers_the_loss(rows, optimizer):
    model = regressor(optimizer=optimizer, learning_rate=0.01, epochs=20, dropout=0.0).fit(rows)
    assert model.history[-1].loss < model.history[0].loss


def test_several_tasks_are_learned_at_once(rows):
    dataset = NumpyDataset(rows.X, np.hstack([rows.y, -rows.y]))
    model = MultitaskRegressor(2, 8, epochs=60, learning_rate=0.01, dropout=0.0).fit(dataset)
    prediction = model.predict(dataset)
    assert np.corrcoef(prediction[:, 0], prediction[:, 1])[0, 1] < -0.95


def test_classes_are_learned(rows):
    classes = np.digitize(rows.y, [-1, 1])
    dataset = NumpyDataset(rows.X, np.hstack([classes, 2 - classes]))
    model = MultitaskClassifier(2, 8, n_classes=3, epochs=60, learning_rate=0.01, dropout=0.0)
    probability = model.fit(dataset).predict(dataset)
    assert probability.shape == (60, 2, 3)
    np.testing.assert_allclose(probability.sum(-1), 1, rtol=1e-5)
    assert np.mean(probability.argmax(-1) == dataset.y) > 0.9


class OnDisk(Dataset):
    """Rows that are only ever read batch by batch, as from a file, and cannot be written."""

    tasks = ("task0",)

    def __init__(self, dataset):
        self.dataset, self.largest = dataset, 0

    def __len__(self):
        return len(self.dataset)

    def rows(self, indices, parts=("X", "y", "w", "ids")):
        self.largest = max(self.largest, len(indices))
        batch = self.dataset.rows(indices, parts)
        for part in batch:
            if part is not None:
                part.flags.writeable = False
        return Batch(*batch)

    def select(self, indices):
        return OnDisk(self.dataset.select(indices))


def test_a_dataset_is_streamed(rows):
    streamed = OnDisk(rows)
    model = regressor(epochs=2).fit(streamed, valid=streamed)
    assert streamed.largest == 16
    prediction = model.predict(streamed)
    assert streamed.largest < len(rows)
    assert steps(model) == steps(regressor(epochs=2).fit(rows, valid=rows))
    assert np.array_equal(prediction, model.predict(rows))


def test_an_empty_dataset_is_refused(rows):
    empty = rows.select([])
    with pytest.raises(EmptyDataset, match="train"):
        regressor().fit(empty)
    with pytest.raises(EmptyDataset, match="validate"):
        regressor().fit(rows, valid=empty)


def test_fitting_to_an_array_is_an_error(rows):
    for arguments in ((rows.X, None), (rows, rows.X)):
        with pytest.raises(DatasetError, match=r"ndarray was given.*NumpyDataset\(X, y\)"):
            regressor().fit(arguments[0], valid=arguments[1])


def test_unlabelled_rows_are_refused(rows):
    with pytest.raises(DatasetError, match="no labels"):
        regressor().fit(NumpyDataset(rows.X))
    nothing = NumpyDataset(rows.X, np.full(60, np.nan))
    with pytest.raises(DatasetError, match="No row of the dataset has a label"):
        regressor().fit(nothing)
    with pytest.raises(DatasetError, match="No validation row"):
        regressor().fit(rows, valid=nothing)


def test_features_of_another_shape_are_refused(rows):
    narrow = NumpyDataset(rows.X[:, :5], rows.y)
    with pytest.raises(DatasetError, match=r"\(8,\).*\(5,\)"):
        regressor().fit(narrow)
    with pytest.raises(DatasetError, match=r"\(8,\).*\(5,\)"):
        regressor().fit(rows, valid=narrow)
    with pytest.raises(DatasetError, match=r"\(8,\).*\(5,\)"):
        regressor().predict(narrow)


def test_text_is_refused_with_a_hint(rows):
    smiles = NumpyDataset(np.array(["CCO"] * 60), rows.y)
    with pytest.raises(DatasetError, match="Featurize"):
        TorchModel(nn.Linear(8, 1)).fit(smiles)


def test_outputs_of_another_shape_than_the_labels_are_refused(rows):
    with pytest.raises(DatasetError, match=r"\(60, 3\).*\(60, 1\)"):
        TorchModel(nn.Linear(8, 3), batch_size=60).fit(rows)
    two_tasks = nn.Sequential(nn.Linear(8, 8), nn.Unflatten(1, (2, 4)))
    with pytest.raises(DatasetError, match="rows, tasks, classes"):
        TorchModel(two_tasks, loss="cross_entropy").fit(rows)


class Pair(nn.Linear):
    def forward(self, x):
        return super().forward(x), x


def test_an_output_that_is_not_a_tensor_is_refused(rows):
    with pytest.raises(ParameterError, match="output is a tuple"):
        TorchModel(Pair(8, 1)).fit(rows)
    with pytest.raises(ParameterError, match="output is a tuple"):
        TorchModel(Pair(8, 1)).predict(rows)


class Rooted(nn.Linear):
    """Its gradient is infinite for a row of zeros, where its output is finite."""

    def forward(self, x):
        return torch.sqrt(torch.abs(super().forward(x)))


def networks(optimizer, options):
    """Two equal models of a batch norm and dropout, and one with a root of no finite slope at 0."""

    def model(module):
        settings = {"epochs": 5, "batch_size": 15, "learning_rate": 0.02}
        return TorchModel(module, optimizer=optimizer, optimizer_options=options, **settings)

    made = []
    for last in (nn.Linear, nn.Linear, Rooted):
        torch.manual_seed(0)
        first = [nn.BatchNorm1d(8), nn.Dropout(0.2)] if last is nn.Linear else []
        made.append(model(nn.Sequential(*first, last(8, 1, bias=last is nn.Linear))))
    return made


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", "adagrad"])
@pytest.mark.parametrize("options", [{}, {"foreach": True}], ids=["default", "foreach"])
@pytest.mark.parametrize("on_device", [False, True])
def test_a_step_whose_loss_is_not_finite_is_as_if_its_batch_had_no_labels(
    rows, optimizer, options, on_device, monkeypatch
):
    skipping, without, _ = networks(optimizer, options)
    bad = np.random.default_rng([0, 1]).permutation(60)[15:30]  # the second batch of epoch 1
    y, w = rows.y.copy(), np.ones_like(rows.y)
    y[bad[0]] = np.inf
    w[bad] = 0
    if on_device:
        decide_on_the_device(monkeypatch)
    skipping.fit(NumpyDataset(rows.X, y), epochs=1)
    without.fit(NumpyDataset(rows.X, rows.y, w), epochs=1)
    assert same_weights(skipping, without)
    assert skipping.history[0].skipped == 1
    assert np.isnan(skipping.history[0].steps[1])
    assert skipping.history[0].loss == pytest.approx(without.history[0].loss, rel=1e-6)
    first, second = skipping.get_training_state(), without.get_training_state()
    moments = [name for name in first if name.startswith("optimizer/")]
    assert all(np.array_equal(first[name], second[name]) for name in moments)


def decide_on_the_device(monkeypatch):
    """Take the way of a GPU on the CPU, for the optimizers that torch has fused for both."""
    make = trainer.ModuleTrainer.__init__

    def made(self, module, config):
        make(self, module, config)
        self._decides = bool(self._optimizer.defaults.get("fused"))

    monkeypatch.setattr(trainer.ModuleTrainer, "__init__", made)


@pytest.mark.parametrize("on_device", [False, True])
def test_a_step_whose_gradient_is_not_finite_is_not_applied_and_is_logged(
    rows, on_device, monkeypatch, caplog
):
    if on_device:
        decide_on_the_device(monkeypatch)
    *_, rooted = networks("adam", {})
    X = rows.X.copy()
    X[7] = 0
    rooted.fit(NumpyDataset(X, rows.y), epochs=2)
    assert [epoch.skipped for epoch in rooted.history] == [1, 1]
    assert all(np.isfinite(array).all() for array in rooted.get_weights().values())
    assert "epoch 2: the loss or the gradient" in caplog.text
    assert "was not applied" in caplog.text


def test_a_large_table_among_the_buffers_is_copied_once_and_changing_ones_each_time():
    module = nn.BatchNorm1d(2)
    module.register_buffer("table", torch.zeros(1 << 16))
    module.register_buffer("memory", torch.zeros(1 << 16))
    buffers = Buffers(module)
    with buffers.restored_on_error(keep=True):
        module.memory[0] = 1.0
    buffers.drop_constants()

    def change():
        with buffers.restored_on_error(keep=True):
            module.memory += 1.0
            module.table += 1.0
            module.running_mean += 1.0
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    assert (module.memory[0], module.running_mean[0], module.table[0]) == (1.0, 0.0, 1.0)


def test_a_first_step_that_is_not_applied_does_not_make_a_large_buffer_a_constant(rows):
    class Counted(nn.Linear):
        def __init__(self):
            super().__init__(8, 1)
            self.register_buffer("runs", torch.zeros(1 << 16))

        def forward(self, x):
            if self.training:
                self.runs += 1
            return super().forward(x)

    module, order = Counted(), np.random.default_rng([0, 1]).permutation(60)
    y = rows.y.copy()
    y[order[[0, 45]]] = np.inf
    model = TorchModel(module, epochs=1, batch_size=15).fit(NumpyDataset(rows.X, y))
    assert np.isnan(model.history[0].steps).tolist() == [True, False, False, True]
    assert (module.runs == 2).all()


@pytest.mark.parametrize("on_device", [False, True])
def test_momentum_does_not_depend_on_whether_the_first_step_is_applied(
    rows, on_device, monkeypatch
):
    if on_device:
        decide_on_the_device(monkeypatch)
    skipping, without, _ = networks("sgd", {"momentum": 0.9})
    bad = np.random.default_rng([0, 1]).permutation(60)[:15]  # the first batch of epoch 1
    y, w = rows.y.copy(), np.ones_like(rows.y)
    y[bad[0]] = np.inf
    w[bad] = 0
    skipping.fit(NumpyDataset(rows.X, y), epochs=1)
    without.fit(NumpyDataset(rows.X, rows.y, w), epochs=1)
    assert skipping.history[0].skipped == 1
    assert same_weights(skipping, without)


def test_an_optimizer_that_cannot_make_its_step_is_a_typed_error():
    class Looked(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(5, 1, sparse=True)

        def forward(self, x):
            return self.table(x).sum(dim=1)

    tokens = NumpyDataset(np.arange(30).reshape(10, 3) % 5, np.zeros((10, 1)))
    model = TorchModel(Looked(), optimizer="sgd", input_dtype="int64", epochs=1)
    with pytest.raises(ParameterError, match=r"optimizer 'sgd' fails.*sparse"):
        model.fit(tokens)
    plain = {"optimizer_options": {"fused": False}}
    TorchModel(Looked(), optimizer="sgd", input_dtype="int64", epochs=1, **plain).fit(tokens)


class Wide(nn.Module):
    """Needs more memory than there is for more than so many rows."""

    def __init__(self, limit):
        super().__init__()
        self.norm, self.layer, self.limit = nn.BatchNorm1d(8), nn.Linear(8, 1), limit

    def forward(self, x):
        x = self.norm(x)
        if len(x) > self.limit:
            raise torch.OutOfMemoryError("Tried to allocate 2.00 GiB")
        return self.layer(x)


def test_a_step_that_does_not_fit_in_memory_says_what_does_and_changes_nothing(rows):
    module = Wide(limit=11)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    model = TorchModel(module, batch_size=32, epochs=1)
    with pytest.raises(OutOfDeviceMemory, match=r"32 rows .* 8 do\. \(Tried to") as caught:
        model.fit(rows)
    assert "accumulate=4" in caught.value.hint
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
    assert model.position == (0, 0)
    TorchModel(module, batch_size=32, epochs=1, accumulate=4).fit(rows)


def test_predictions_that_do_not_fit_in_memory_are_a_typed_error(rows):
    model = TorchModel(Wide(limit=11), batch_size=16)
    with pytest.raises(OutOfDeviceMemory, match="at once do not fit") as caught:
        model.predict(rows)
    assert "batch_size" in caught.value.hint


def test_parameters_that_the_output_does_not_depend_on_are_refused(rows):
    class Unused(nn.Linear):
        def forward(self, x):
            return super().forward(x).detach()

    with pytest.raises(ParameterError, match="does not depend"):
        TorchModel(Unused(8, 1)).fit(rows)


def test_an_epoch_without_a_step_that_can_be_applied_is_an_error(rows):
    y = np.full_like(rows.y, np.inf)
    with pytest.raises(TrainingDiverged, match=r"1 step in a row.*epoch 1"):
        regressor(batch_size=60).fit(NumpyDataset(rows.X, y))


def test_a_diverging_validation_loss_is_an_error(rows, more_rows):
    y = more_rows.y.copy()
    y[0] = np.inf
    with pytest.raises(TrainingDiverged, match="validation loss is inf after epoch 1"):
        regressor().fit(rows, valid=NumpyDataset(more_rows.X, y))


def test_a_module_without_parameters_cannot_be_trained(rows):
    with pytest.raises(ParameterError, match="no parameter to train"):
        TorchModel(nn.Identity()).fit(rows)


def test_a_lazy_module_must_run_first(rows):
    with pytest.raises(ParameterError, match="'weight' has no shape"):
        TorchModel(nn.LazyLinear(1)).fit(rows)


@pytest.mark.parametrize("epochs", [0, -1, True, 1.5, "2"])
def test_the_number_of_epochs_must_be_positive(rows, epochs):
    with pytest.raises(ParameterError, match="epochs"):
        regressor().fit(rows, epochs=epochs)


class Watched(Dataset):
    """Notes which parts of its rows are gathered."""

    def __init__(self, dataset):
        self._dataset, self.gathered = dataset, set()

    @property
    def tasks(self):
        return self._dataset.tasks

    def __len__(self):
        return len(self._dataset)

    def rows(self, indices, parts=("X", "y", "w", "ids")):
        self.gathered |= set(parts)
        return self._dataset.rows(indices, parts)

    def select(self, indices):
        return Watched(self._dataset.select(indices))


def test_only_the_parts_that_are_used_are_gathered(rows, more_rows):
    train, valid, new = Watched(rows), Watched(more_rows), Watched(more_rows)
    regressor(epochs=1).fit(train, valid=valid).predict(new)
    assert train.gathered == valid.gathered == {"X", "y", "w"}
    assert new.gathered == {"X"}
