"""Class weights: against torch and scikit-learn, by task, and learned from the training data."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn import functional

from dc_core import NumpyDataset, construct
from dc_core.errors import DatasetError, ParameterError
from dc_torch import MultitaskClassifier, SequenceGenerator, TorchModel

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype(np.float32)
Y = np.where(RNG.random((50, 2)) < 0.2, 1.0, 0.0)


def first_loss(y, w=None, valid=None, **options):
    """Return the loss of the first step, on all rows, before any weight has changed."""
    torch.manual_seed(0)
    model = TorchModel(nn.Linear(4, 2), loss="bce", batch_size=len(y), epochs=1, **options)
    output = torch.from_numpy(model.module(torch.from_numpy(X)).detach().numpy())
    model.fit(NumpyDataset(X, y, w), valid=valid)
    return model.history[0].loss, output


def weighted_mean(output, y, w):
    losses = functional.binary_cross_entropy_with_logits(
        output, torch.from_numpy(y).float(), reduction="none"
    )
    return float((losses * torch.from_numpy(w)).sum() / w.sum())


def test_given_weights_are_factors_of_the_labels_weights():
    loss, output = first_loss(Y, class_weight=[1.0, 7.5])
    assert loss == pytest.approx(weighted_mean(output, Y, np.where(Y == 1, 7.5, 1.0)), rel=1e-5)


def test_weights_of_classes_give_the_loss_of_torch():
    labels = RNG.integers(0, 3, 50)
    torch.manual_seed(0)
    model = TorchModel(
        nn.Linear(4, 3), loss="cross_entropy", class_weight=(1, 2, 4), batch_size=50, epochs=1
    )
    expected = functional.cross_entropy(
        model.module(torch.from_numpy(X)),
        torch.from_numpy(labels),
        weight=torch.tensor([1.0, 2.0, 4.0]),
    )
    model.fit(NumpyDataset(X, labels.astype(float)))
    assert model.history[0].loss == pytest.approx(expected.item(), rel=1e-5)


def test_balanced_weights_are_scikit_learns_for_each_task():
    w = np.empty(Y.shape)
    for t in range(2):
        factors = compute_class_weight("balanced", classes=np.array([0, 1]), y=Y[:, t])
        w[:, t] = factors[Y[:, t].astype(int)]
    loss, output = first_loss(Y, class_weight="balanced")
    assert loss == pytest.approx(weighted_mean(output, Y, w), rel=1e-5)


def test_balanced_classes_have_equal_weights_with_missing_labels_and_weights():
    w = RNG.uniform(0.5, 2, Y.shape)
    y = Y.copy()
    y[:10, 0] = np.nan
    w[10:15] = 0
    used = np.where(np.isnan(y), 0, w)
    balanced = np.zeros(Y.shape)
    for t in range(2):
        for label in (0, 1):
            rows = (y[:, t] == label) & (used[:, t] > 0)
            balanced[rows, t] = used[rows, t] / used[rows, t].sum() * used[:, t].sum() / 2
    loss, output = first_loss(y, w, class_weight="balanced")
    assert loss == pytest.approx(weighted_mean(output, np.nan_to_num(y), balanced), rel=1e-5)


def test_tasks_have_weights_by_name_and_others_keep_theirs():
    loss, output = first_loss(Y, class_weight={"task1": [1, 3]})
    factors = np.where(Y == 1, [1.0, 3.0], 1.0)
    assert loss == pytest.approx(weighted_mean(output, Y, factors), rel=1e-5)


def test_the_validation_loss_has_the_factors_of_the_training_data():
    valid = NumpyDataset(X[:20], 1 - Y[:20])
    torch.manual_seed(0)
    model = TorchModel(nn.Linear(4, 2), loss="bce", class_weight="balanced", batch_size=50)
    model.fit(NumpyDataset(X, Y), valid=valid, epochs=1)
    output = model.module(torch.from_numpy(X[:20])).detach()
    w = np.empty((20, 2))
    for t in range(2):
        factors = compute_class_weight("balanced", classes=np.array([0, 1]), y=Y[:, t])
        w[:, t] = factors[valid.y[:, t].astype(int)]
    assert model.history[0].valid_loss == pytest.approx(weighted_mean(output, valid.y, w), rel=1e-5)


def test_a_class_that_the_training_data_lacks_in_one_task_counts_as_it_is():
    y = Y.copy()
    y[:, 1] = 0
    model = TorchModel(nn.Linear(4, 2), loss="bce", class_weight="balanced", epochs=1)
    model.fit(NumpyDataset(X, y), valid=NumpyDataset(X, Y))
    assert np.isfinite(model.history[0].valid_loss)


def test_tasks_without_a_class_weight_may_have_any_label_that_the_loss_takes():
    y, valid_y = Y.copy(), Y.copy()
    y[:, 1] = np.linspace(0, 1, 50)  # probabilities
    valid_y[:, 1] = 0.3
    model = TorchModel(nn.Linear(4, 2), loss="bce", class_weight={"task0": [1, 3]}, epochs=1)
    model.fit(NumpyDataset(X, y), valid=NumpyDataset(X, valid_y))
    assert np.isfinite(model.history[0].valid_loss)


@pytest.mark.parametrize("given", [{"task0": [1, 2, 3]}, {"task0": "balanced"}, "balanced"])
def test_validation_rows_may_have_classes_that_the_training_data_lacks(given):
    valid_y = Y.copy()
    valid_y[:, 1] = 3
    model = MultitaskClassifier(2, 4, n_classes=4, class_weight=given, epochs=1)
    model.fit(NumpyDataset(X, Y), valid=NumpyDataset(X, valid_y))
    assert np.isfinite(model.history[0].valid_loss)


def test_training_with_class_weights_resumes_exactly():
    def model():
        return MultitaskClassifier(2, 4, layer_sizes=(4,), epochs=2, class_weight="balanced")

    rows = NumpyDataset(X, Y)
    whole, first, second = model().fit(rows), model().fit(rows, epochs=1), model()
    second.set_weights(first.get_weights())
    second.set_training_state(first.get_training_state())
    second.fit(rows, resume=True)
    for weight, expected in zip(second.values(), whole.values(), strict=True):
        assert np.array_equal(weight, expected)


@pytest.mark.parametrize("given", ["balanced", [1, 2], {"task0": "balanced", "task1": (1, 2)}])
def test_class_weights_are_options_that_make_an_equal_model(given):
    model = MultitaskClassifier(2, 4, class_weight=given)
    other = construct(MultitaskClassifier, model.get_parameters())
    assert other.config == model.config


def test_weights_in_an_array_are_those_in_a_list():
    first, second = (
        MultitaskClassifier(1, 4, class_weight=given) for given in ([1.0, 2.0], np.array([1.0, 2]))
    )
    assert first.config == second.config


@pytest.mark.parametrize(
    "given", ["balance", [], [0, 1], [-1, 1], ["a"], 3, [np.nan, 1], {"task0": 2}, {"task0": {}}]
)
def test_what_is_no_class_weight_is_refused(given):
    with pytest.raises(ParameterError, match="class_weight"):
        MultitaskClassifier(1, 4, class_weight=given)


def test_a_task_that_the_dataset_lacks_is_named_with_those_that_it_has():
    model = MultitaskClassifier(2, 4, class_weight={"tox": "balanced"})
    with pytest.raises(ParameterError, match=r"'tox'.*'task0', 'task1'"):
        model.fit(NumpyDataset(X, Y))


def test_a_label_without_a_class_weight_is_refused():
    model = MultitaskClassifier(1, 4, n_classes=3, class_weight=[1, 2])
    with pytest.raises(DatasetError, match="label 2 is not one of the classes"):
        model.fit(NumpyDataset(X, np.full(50, 2.0)))


def test_validation_rows_of_other_tasks_are_refused():
    model = MultitaskClassifier(2, 4, class_weight="balanced")
    with pytest.raises(DatasetError, match="the same tasks in the same order"):
        model.fit(NumpyDataset(X, Y), valid=NumpyDataset(X, Y[:, :1]))


def test_losses_of_numbers_have_no_class_weights():
    model = TorchModel(nn.Linear(4, 2), loss="mse", class_weight="balanced")
    with pytest.raises(ParameterError, match="class_weight is for classifiers"):
        model.fit(NumpyDataset(X, Y))
    with pytest.raises(ParameterError, match="class_weight is for classifiers"):
        SequenceGenerator(8, class_weight="balanced")
