"""Losses against torch, scikit-learn, SciPy and analytic values; missing labels and weights."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import mean_pinball_loss
from torch.nn import functional

from dc_core.errors import DatasetError, ParameterError, UnknownParameter, Unsupported
from dc_torch.losses import LOSSES, Loss, make_loss

TASKS, CLASSES = 3, 4


def outputs(loss, n=7, seed=0):
    torch.manual_seed(seed)
    third = (loss.outputs or CLASSES,) if loss.axes == 3 else ()
    return torch.randn(n, TASKS, *third, dtype=torch.float64)


def labels(loss, n=7, seed=1):
    torch.manual_seed(seed)
    if not loss.predicts_classes:
        return torch.randn(n, TASKS, dtype=torch.float64)
    return torch.randint(CLASSES if loss.axes == 3 else 2, (n, TASKS)).double()


def close(found, expected):
    torch.testing.assert_close(found, torch.as_tensor(expected), rtol=1e-9, atol=1e-12)


def test_losses_equal_their_analytic_values():
    output, y = torch.tensor([[2.0, -1.0]]), torch.tensor([[0.5, 0.0]])
    expected = {
        "mse": [2.25, 1.0],
        "mae": [1.5, 1.0],
        "huber": [1.0, 0.5],
        "bce": [math.log1p(math.exp(2)) - 1, math.log1p(math.exp(-1))],
    }
    for name, values in expected.items():
        found = make_loss(name, {}).elementwise(output, y)
        assert found[0].tolist() == pytest.approx(values), name
    logits, classes = torch.tensor([[[0.0, 1.0, 2.0]]]), torch.tensor([[1.0]])
    found = make_loss("cross_entropy", {}).elementwise(logits, classes)
    assert found.item() == pytest.approx(math.log(1 + math.e + math.e**2) - 1)


def test_huber_has_the_given_threshold():
    loss = make_loss("huber", {"delta": 0.5})
    found = loss.elementwise(torch.tensor([[0.4, 2.0]]), torch.zeros(1, 2))
    assert found[0].tolist() == pytest.approx([0.08, 0.5 * (2 - 0.25)])


def test_mean_variance_is_the_negative_log_likelihood():
    loss = make_loss("mean_variance", {"minimum_variance": 0.01})
    output, y = outputs(loss), labels(loss)
    variance = np.log1p(np.exp(output[..., 1].numpy())) + 0.01
    expected = -stats.norm.logpdf(y.numpy(), output[..., 0].numpy(), np.sqrt(variance))
    close(loss.elementwise(output, y), expected)
    torchs = functional.gaussian_nll_loss(
        output[..., 0], y, torch.from_numpy(variance), full=True, reduction="none"
    )
    close(loss.elementwise(output, y), torchs)


def test_mean_variance_predicts_means_and_their_deviations():
    loss = make_loss("mean_variance", {})
    output = torch.tensor([[[3.0, 0.0], [-1.0, 30.0]]], dtype=torch.float64)
    mean, std = loss.distribution(output)
    assert mean.tolist() == loss.predictions(output).tolist() == [[3, -1]]
    expected = [[math.log(2) + 1e-6, 30 + math.log1p(math.exp(-30)) + 1e-6]]
    close(std**2, torch.tensor(expected, dtype=torch.float64))


def test_extreme_variances_stay_finite():
    loss = make_loss("mean_variance", {})
    for raw in (-1e4, 1e4):
        output = torch.tensor([[[0.0, raw]]], requires_grad=True)
        found = loss.elementwise(output, torch.tensor([[1.0]]))
        found.sum().backward()
        assert torch.isfinite(found).all()
        assert torch.isfinite(output.grad).all()


def test_quantile_is_the_mean_pinball_loss():
    levels = [0.05, 0.5, 0.8]
    loss = make_loss("quantile", {"quantiles": levels})
    output, y = outputs(loss, n=50), labels(loss, n=50)
    found = loss.elementwise(output, y).mean(0)
    for t in range(TASKS):
        each = [mean_pinball_loss(y[:, t], output[:, t, i], alpha=q) for i, q in enumerate(levels)]
        assert found[t].item() == pytest.approx(np.mean(each))


def test_the_best_constant_for_the_quantile_loss_is_the_quantile():
    loss = make_loss("quantile", {"quantiles": [0.9]})
    y = torch.arange(101, dtype=torch.float64)[:, None]
    candidates = torch.linspace(0, 100, 1001, dtype=torch.float64)
    sums = [loss.elementwise(c.expand(101, 1, 1), y).sum() for c in candidates]
    assert candidates[int(torch.stack(sums).argmin())].item() == pytest.approx(90)


def test_the_prediction_is_the_median_and_quantiles_never_cross():
    loss = make_loss("quantile", {"quantiles": (0.1, 0.5, 0.9)})
    output = torch.tensor([[[3.0, 1.0, 2.0]]])
    assert loss.quantiles_of(output).tolist() == [[[1, 2, 3]]]
    assert loss.predictions(output).tolist() == [[2]]
    assert make_loss("quantile", {"quantiles": [0.9]}).predictions(output[..., :1]).item() == 3


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_label_smoothing_of_classes_is_torchs(smoothing):
    loss = make_loss("cross_entropy", {"label_smoothing": smoothing})
    output, y = outputs(loss), labels(loss)
    for t in range(TASKS):
        expected = functional.cross_entropy(
            output[:, t], y[:, t].long(), reduction="none", label_smoothing=smoothing
        )
        close(loss.elementwise(output, y)[:, t], expected)


def test_label_smoothing_of_one_logit_is_that_of_two_classes():
    output = outputs(make_loss("bce", {}))
    y = labels(make_loss("bce", {}))
    pairs = torch.stack((torch.zeros_like(output), output), dim=-1)
    close(
        make_loss("bce", {"label_smoothing": 0.2}).elementwise(output, y),
        make_loss("cross_entropy", {"label_smoothing": 0.2}).elementwise(pairs, y),
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_losses_equal_the_published_formula(gamma):
    loss = make_loss("focal", {"gamma": gamma})
    output, y = outputs(loss), labels(loss)
    chance = torch.softmax(output, -1).gather(-1, y.long()[..., None])[..., 0]
    close(loss.elementwise(output, y), -((1 - chance) ** gamma) * chance.log())
    loss = make_loss("binary_focal", {"gamma": gamma})
    output, y = outputs(loss), labels(loss)
    chance = torch.where(y == 1, torch.sigmoid(output), torch.sigmoid(-output))
    close(loss.elementwise(output, y), -((1 - chance) ** gamma) * chance.log())


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_losses_of_certain_outputs_stay_finite(gamma):
    for sign in (-1, 1):
        for name, output in (
            ("focal", torch.tensor([[[200.0 * sign, 0.0]]], requires_grad=True)),
            ("binary_focal", torch.tensor([[200.0 * sign]], requires_grad=True)),
        ):
            found = make_loss(name, {"gamma": gamma}).elementwise(output, torch.tensor([[1.0]]))
            found.sum().backward()
            assert torch.isfinite(found).all()
            assert torch.isfinite(output.grad).all()


def test_focal_losses_with_gamma_0_are_cross_entropies():
    for name, plain in (("focal", "cross_entropy"), ("binary_focal", "bce")):
        loss = make_loss(name, {"gamma": 0})
        output, y = outputs(loss), labels(loss)
        close(loss.elementwise(output, y), make_loss(plain, {}).elementwise(output, y))


def pairwise(output, y, w, minimum_difference=0.0):
    """Return the weighted sum of the losses of labels, pair by pair."""
    total = 0.0
    for t in range(y.shape[1]):
        for i in range(len(y)):
            pairs = [
                (w[j, t].item(), (y[i, t] - y[j, t]).sign(), output[i, t] - output[j, t])
                for j in range(len(y))
                if abs(y[i, t] - y[j, t]) > minimum_difference and w[j, t] > 0
            ]
            weight = sum(pair[0] for pair in pairs)
            for v, sign, difference in pairs:
                loss = functional.soft_margin_loss(difference, sign)
                total += w[i, t].item() * v * loss.item() / weight
    return total


@pytest.mark.parametrize("minimum_difference", [0.0, 0.7])
def test_pairwise_logistic_is_the_logistic_loss_of_all_pairs(minimum_difference):
    loss = make_loss("pairwise_logistic", {"minimum_difference": minimum_difference})
    output, y = outputs(loss), labels(loss).round(decimals=1)
    y[3] = y[2]
    w = torch.rand(y.shape, dtype=torch.float64)
    w[0, 0] = w[5, 1] = 0
    expected = pairwise(output, y, w, minimum_difference)
    assert loss.weighted_sum(output, y, w).item() == pytest.approx(expected)
    every = pairwise(output, y, torch.ones_like(w), minimum_difference)
    assert loss.elementwise(output, y).sum().item() == pytest.approx(every)


def test_pairwise_logistic_does_not_compare_tasks():
    loss = make_loss("pairwise_logistic", {})
    output, y = outputs(loss), labels(loss)
    shifted = output + torch.tensor([0.0, 50.0, -50.0])
    close(loss.elementwise(shifted, y), loss.elementwise(output, y))


def test_labels_without_a_pair_have_no_ranking_loss():
    loss = make_loss("pairwise_logistic", {})
    y = torch.tensor([[1.0], [1.0], [2.0]])
    w = torch.tensor([[1.0], [1.0], [0.0]])
    assert loss.weighted_sum(torch.randn(3, 1), y, w).item() == 0


@pytest.mark.parametrize("name", LOSSES)
def test_missing_labels_change_neither_the_loss_nor_its_gradient(name):
    loss = make_loss(name, {})
    output, y = outputs(loss), labels(loss)
    w = torch.rand(y.shape, dtype=torch.float64)
    missing = torch.zeros(y.shape, dtype=torch.bool)
    missing[1:3, 0] = missing[4] = True
    w[missing] = 0
    found = []
    for value in (0.0, 1.0):
        other = output.clone().requires_grad_()
        total = loss.weighted_sum(other, torch.where(missing, value, y), w)
        total.backward()
        assert not other.grad[missing].any()
        found.append((total.item(), other.grad))
    assert found[0][0] == pytest.approx(found[1][0])
    close(found[0][1], found[1][1])


@pytest.mark.parametrize("name", set(LOSSES) - {"pairwise_logistic"})
def test_the_weighted_sum_is_that_of_the_labels_losses(name):
    loss = make_loss(name, {})
    output, y = outputs(loss), labels(loss)
    w = torch.rand(y.shape, dtype=torch.float64)
    losses = loss.elementwise(output, y)
    expected = sum(
        losses[i, t].item() * w[i, t].item()
        for i, t in itertools.product(range(len(y)), range(TASKS))
    )
    assert loss.weighted_sum(output, y, w).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_the_loss(name):
    loss = make_loss(name, {})
    output, y = outputs(loss).requires_grad_(), labels(loss)
    w = torch.rand(y.shape, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda o: loss.weighted_sum(o, y, w), (output,))


@pytest.mark.parametrize("name", LOSSES)
def test_predictions_have_a_value_or_probabilities_per_task(name):
    loss = make_loss(name, {})
    found = loss.predictions(outputs(loss))
    assert found.shape[:2] == (7, TASKS)
    assert found.ndim == (3 if loss.predicts_classes else 2)
    if loss.predicts_classes:
        close(found.sum(-1), torch.ones(7, TASKS, dtype=torch.float64))


@pytest.mark.parametrize("name", LOSSES)
def test_a_single_task_needs_no_axis(name):
    loss = make_loss(name, {})
    output = outputs(loss)[:, :1]
    assert torch.equal(loss.with_tasks(output[:, 0]), output)


@pytest.mark.parametrize(
    ("loss", "output", "label"),
    [
        ("bce", torch.zeros(2, 1), 1.5),
        ("binary_focal", torch.zeros(2, 1), -1),
        ("cross_entropy", torch.zeros(2, 1, 3), 3),
        ("focal", torch.zeros(2, 1, 3), -1),
        ("cross_entropy", torch.zeros(2, 1, 3), 0.5),
    ],
)
def test_labels_that_a_loss_does_not_allow_are_refused_unless_they_are_missing(loss, output, label):
    y = np.array([[1.0], [label]])
    with pytest.raises(DatasetError, match=f"The label {label:g}"):
        make_loss(loss, {}).check(output, y, np.array([[True], [True]]))
    make_loss(loss, {}).check(output, y, np.array([[True], [False]]))


@pytest.mark.parametrize(
    ("name", "shape", "told"),
    [
        ("mse", (2, 3), r"\(rows, tasks\)"),
        ("mean_variance", (2, 1, 3), r"\(rows, tasks, 2\)"),
        ("mean_variance", (2, 1), r"\(rows, tasks, 2\)"),
        ("quantile", (2,), r"\(rows, tasks, 3\)"),
        ("cross_entropy", (2, 3, 2), r"\(rows, tasks, classes\)"),
    ],
)
def test_an_output_of_another_shape_is_refused_and_the_axes_are_named(name, shape, told):
    loss, y = make_loss(name, {}), np.zeros((2, 1))
    with pytest.raises(DatasetError, match=told):
        loss.check(loss.with_tasks(torch.zeros(shape)), y, y == 0)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("huber", {"delta": 0}),
        ("huber", {"delta": math.inf}),
        ("huber", {"delta": True}),
        ("mean_variance", {"minimum_variance": -1.0}),
        ("quantile", {"quantiles": 0.5}),
        ("quantile", {"quantiles": []}),
        ("quantile", {"quantiles": "0.5"}),
        ("quantile", {"quantiles": [0, 0.5]}),
        ("quantile", {"quantiles": [0.5, 0.1]}),
        ("quantile", {"quantiles": [0.5, 0.5]}),
        ("quantile", {"quantiles": [0.1, 0.9]}),
        ("bce", {"label_smoothing": 1.0}),
        ("cross_entropy", {"label_smoothing": math.nan}),
        ("focal", {"gamma": -1}),
        ("binary_focal", {"gamma": "2"}),
        ("pairwise_logistic", {"minimum_difference": -0.1}),
    ],
)
def test_invalid_loss_options_are_refused_by_name(name, options):
    with pytest.raises(ParameterError, match=next(iter(options))):
        make_loss(name, options)


def test_an_option_that_a_loss_does_not_have_lists_those_that_it_has():
    with pytest.raises(UnknownParameter, match=r"'threshold'.*delta"):
        make_loss("huber", {"threshold": 2})


def test_losses_that_learn_no_distribution_say_so():
    for name in set(LOSSES) - {"mean_variance"}:
        loss = make_loss(name, {})
        with pytest.raises(Unsupported, match="mean_variance"):
            loss.distribution(outputs(loss))
    with pytest.raises(Unsupported, match="'quantile'"):
        make_loss("mse", {}).quantiles_of(torch.zeros(1, 1))


class Margin(Loss):
    def __init__(self, margin):
        self.margin = margin

    def elementwise(self, output, y):
        return (output - y).abs().sub(self.margin).clamp(min=0)


def test_a_loss_of_ones_own_is_used_as_it_is():
    loss = Margin(0.5)
    assert make_loss(loss, {}) is loss
    found = loss.weighted_sum(torch.tensor([[2.0], [1.0]]), torch.zeros(2, 1), torch.ones(2, 1))
    assert found.item() == 2


@pytest.mark.parametrize(
    "function",
    [functional.smooth_l1_loss, lambda output, y: 0.0, lambda output, y: output[:, :1]],
    ids=["mean", "number", "shape"],
)
def test_a_loss_that_is_not_one_per_label_is_refused(function):
    with pytest.raises(
        ParameterError, match=f"The loss {function.__name__} returned .* each label"
    ):
        make_loss(function, {}).weighted_sum(*3 * [torch.ones(2, TASKS)])


@pytest.mark.parametrize(
    ("loss", "options", "told"),
    [
        ("hinge", {}, "'mse'"),
        (3, {}, "'mse'"),
        (Margin, {}, r"make an instance: Margin\(\)|Make an instance: Margin\(\)"),
        (Margin(1.0), {"margin": 2.0}, "its own arguments"),
    ],
)
def test_what_is_no_loss_is_refused(loss, options, told):
    with pytest.raises(ParameterError, match=told):
        make_loss(loss, options)
