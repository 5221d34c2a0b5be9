"""The figures and tables of reports: their numbers are those of the libraries."""

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from dc_core import Failure, FailureReport, NumpyDataset
from dc_core.errors import DatasetError, EmptyDataset, ParameterError
from dc_pipeline import (
    CSVLoader,
    chemical_space_plot,
    confusion_plot,
    errors_by_scaffold,
    failure_tables,
    interval_coverage_plot,
    learning_curve_plot,
    molecule_svg,
    parity_plot,
    precision_recall_plot,
    reliability_plot,
    residual_plot,
    roc_plot,
    scaffold_plot,
    scaffold_smiles,
    worst_predictions,
)
from dc_pipeline.reporting.palette import COLOURS
from dc_pipeline.reporting.svg import figure_svg
from dc_pipeline.reporting.text import number, on_one_line

SMILES = ["CCO", "c1ccccc1C", "c1ccccc1CC", "C1CCCCC1", "c1ccncc1", "CC(=O)O", "CCN", "OCC"]


def texts(figure):
    """Return all texts of a figure, as they are in the SVG."""
    tree = ElementTree.fromstring(figure_svg(figure, "f"))
    return ["".join(element.itertext()) for element in tree.iter() if element.tag.endswith("text")]


def classes(n=400, k=2, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(k), n)
    y = np.array([rng.choice(k, p=row) for row in p], float)
    return y, p, rng.integers(1, 4, n).astype(float)


def lines(figure):
    return figure.axes[0].get_lines()


def test_a_parity_plot_has_every_finite_row_and_equal_axes():
    y, prediction = np.array([1.0, 2, np.nan, 4]), np.array([1.5, np.inf, 3, 9])
    figure = parity_plot(y, prediction, task="t", units="kcal/mol")
    points = lines(figure)[0]
    assert points.get_xdata().tolist() == [1, 4]
    assert points.get_ydata().tolist() == [1.5, 9]
    axes = figure.axes[0]
    assert axes.get_xlim() == axes.get_ylim()
    assert "2 rows (2 left out)" in figure.get_label()
    assert {"Parity: t", "measured (kcal/mol)", "predicted (kcal/mol)"} <= set(texts(figure))


def test_bars_are_the_central_interval_of_the_normal_distribution():
    figure = parity_plot(np.zeros(3), np.zeros(3), np.full(3, 2.0), level=0.95)
    (bars,) = figure.axes[0].collections
    assert bars.get_segments()[0][:, 1] == pytest.approx([-3.919928, 3.919928])


def test_the_coverage_of_right_distributions_is_the_diagonal():
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=20_000), rng.uniform(0.5, 2, 20_000)
    figure = interval_coverage_plot(mean + std * rng.normal(size=20_000), mean, std)
    stated, observed = lines(figure)[2].get_data()
    assert np.abs(np.asarray(stated) - observed).max() < 0.015
    over = interval_coverage_plot(mean + 3 * std * rng.normal(size=20_000), mean, std)
    stated, observed = lines(over)[2].get_data()
    assert (np.asarray(observed) < stated).all()


def test_residuals_are_prediction_minus_label():
    figure = residual_plot(np.array([1.0, 2, 3]), np.array([2.0, 3, 4.5]))
    assert "mean 1.17" in figure.get_label()
    assert sum(patch.get_height() for patch in figure.axes[0].patches) == 3


@pytest.mark.parametrize(
    "name", ["$", "$a", r"\frac{$x^2_", "{%", "a_b^c", "\\", "溶媒", "x" * 1000]
)
def test_names_are_never_read_as_mathematics(name):
    y, p, _ = classes(50)
    for figure in (
        parity_plot(y, y, task=name, units=name),
        roc_plot(y, p, task=name, classes=[name] * 2),
        confusion_plot(y, p, task=name, classes=[name] * 2),
        learning_curve_plot({name: [1.0, 2.0]}),
    ):
        assert any(name[:10] in text for text in texts(figure))


def test_many_points_are_an_image_and_the_file_stays_small():
    rng = np.random.default_rng(0)
    y = rng.normal(size=100_000)
    big = figure_svg(parity_plot(y, y + rng.normal(size=100_000), np.ones(100_000)), "f")
    assert "data:image/png;base64," in big
    assert len(big) < 500_000
    assert "<image" not in figure_svg(parity_plot(y[:1000], y[1000:2000]), "f")
    assert len(figure_svg(residual_plot(y, y + rng.normal(size=100_000)), "f")) < 100_000


def test_curves_of_many_rows_stay_small():
    y, p, w = classes(100_000)
    for plot in (roc_plot, precision_recall_plot, reliability_plot, confusion_plot):
        assert len(figure_svg(plot(y, p, w), "f")) < 100_000


@pytest.mark.parametrize(
    ("plot", "score", "name"),
    [
        (roc_plot, roc_auc_score, "AUC"),
        (precision_recall_plot, average_precision_score, "AP"),
    ],
)
def test_areas_are_those_of_scikit_learn(plot, score, name):
    y, p, w = classes()
    expected = score(y, p[:, 1], sample_weight=w)
    assert f"{name} {number(expected)}" in texts(plot(y, p, w))


def test_several_classes_have_a_curve_each_against_the_rest():
    y, p, w = classes(k=3)
    shown = texts(roc_plot(y, p, w, classes=["red", "green", "blue"]))
    for c, name in enumerate(["red", "green", "blue"]):
        area = roc_auc_score(y == c, p[:, c], sample_weight=w)
        assert f"{name}: AUC {number(area)}" in shown


def test_the_confusion_matrix_is_that_of_scikit_learn():
    y, p, w = classes(k=3)
    expected = confusion_matrix(y, p.argmax(axis=1), sample_weight=w).astype(int).ravel()
    shown = " ".join(texts(confusion_plot(y, p, w)))
    found = re.findall(r"(\d+) \d+%", shown) or re.findall(r"(\d+)\s*\d+%", shown)
    assert [int(value) for value in found] == expected.tolist()


def test_calibration_bars_are_wilsons_intervals():
    y = np.r_[np.ones(7), np.zeros(3)]
    p = np.tile([0.35, 0.65], (10, 1))
    figure = reliability_plot(y, p)
    (bars,) = figure.axes[0].collections
    low, high = bars.get_segments()[0][:, 1]
    expected = binomtest(7, 10).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert "Off by 0.0500 on average" in figure.get_label()


def test_labels_of_one_class_have_no_curve_and_a_matrix():
    y, p, _ = classes()
    with pytest.raises(DatasetError, match="one class"):
        roc_plot(np.zeros_like(y), p)
    confusion_plot(np.zeros_like(y), p)
    reliability_plot(np.zeros_like(y), p)


def test_labels_and_shapes_that_do_not_fit_are_typed_errors():
    y, p, w = classes()
    with pytest.raises(DatasetError, match="not all classes"):
        roc_plot(y + 0.5, p)
    with pytest.raises(DatasetError, match="not those of one task"):
        roc_plot(y, p[:, 0])
    with pytest.raises(DatasetError, match="not those of one task"):
        roc_plot(y, p, w[:3])
    with pytest.raises(EmptyDataset):
        roc_plot(y * np.nan, p)
    with pytest.raises(EmptyDataset):
        parity_plot(np.array([np.nan]), np.array([1.0]))
    for level in (0, 1, 1.5, "0.9"):
        with pytest.raises(ParameterError, match="level"):
            parity_plot(np.zeros(2), np.zeros(2), np.ones(2), level=level)


def test_a_learning_curve_marks_the_best_epoch_of_a_history():
    figure = learning_curve_plot({"training": [3, 2, 1], "validation": [2.0, 1.5, np.nan]})
    assert [line.get_ydata().tolist() for line in lines(figure)[:2]] == [[3, 2, 1], [2, 1.5]]
    assert list(lines(figure)[2].get_xdata()) == [2, 2]
    wide = learning_curve_plot({"loss": [1000.0, 1.0]})
    assert wide.axes[0].get_yscale() == "log"
    assert not any("$" in text for text in texts(wide))
    for empty in ([], {}, {"loss": [np.nan]}):
        with pytest.raises(DatasetError, match="no loss"):
            learning_curve_plot(empty)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_a_map_has_every_molecule_and_similar_ones_are_close(method, freesolv):
    smiles = CSVLoader("smiles", tasks=["expt"]).load(freesolv).dataset.X.tolist()[:120]
    parts = {
        "train": NumpyDataset(smiles),
        "test": NumpyDataset(smiles[:20]),
        "none": NumpyDataset(np.array([], dtype="T")),
    }
    train, test = (
        np.c_[line.get_data()] for line in lines(chemical_space_plot(parts, method=method))
    )
    assert (len(train), len(test)) == (120, 20)
    assert np.array_equal(test, train[:20])
    generator = GetMorganGenerator(radius=2, fpSize=2048)
    prints = [generator.GetFingerprint(Chem.MolFromSmiles(s)) for s in smiles]
    nearest = [
        int(np.argsort(DataStructs.BulkTanimotoSimilarity(prints[i], prints))[-2])
        for i in range(120)
    ]
    near = np.linalg.norm(train - train[nearest], axis=1)
    far = np.linalg.norm(train - np.roll(train, 7, axis=0), axis=1)
    assert np.median(near) < 0.4 * np.median(far)


def test_equal_seeds_give_equal_maps_and_large_parts_are_sampled():
    data = {"train": NumpyDataset([f"{'C' * n}O" for n in range(1, 61)])}
    one, same, other = (
        figure_svg(chemical_space_plot(data, max_rows=20, seed=seed), "f") for seed in (0, 0, 1)
    )
    assert one == same != other
    assert "drawn at random from 60" in chemical_space_plot(data, max_rows=20).get_label()


def test_a_map_needs_five_molecules_and_a_known_method():
    few = {"train": NumpyDataset(["C", "CC", "CCC"])}
    with pytest.raises(DatasetError, match="at least 5"):
        chemical_space_plot(few)
    with pytest.raises(ParameterError, match="tsne, pca"):
        chemical_space_plot(few, method="umap")


def test_equal_molecules_alone_have_a_map_too():
    figure = chemical_space_plot({"train": NumpyDataset(["CCO"] * 6)})
    assert np.ptp(lines(figure)[0].get_data(), axis=1).tolist() == [0, 0]


def test_every_known_error_is_in_one_group_of_its_scaffold(freesolv):
    smiles = CSVLoader("smiles", tasks=["expt"]).load(freesolv).dataset.X.tolist()
    errors = np.arange(len(smiles), dtype=float)
    errors[7] = np.nan
    groups = errors_by_scaffold(smiles, errors, largest=5)
    found = np.concatenate([group.errors for group in groups])
    assert sorted(found) == [e for e in errors if not np.isnan(e)]
    cores = scaffold_smiles(smiles).scaffolds
    for group in groups[:5]:
        assert [cores[int(e)] for e in group.errors] == [group.scaffold] * len(group.errors)
    sizes = [len(group.errors) for group in groups[:5]]
    assert sizes == sorted(sizes, reverse=True)
    assert [group.name for group in groups] == ["A", "B", "C", "D", "E", "no ring", "others"]
    assert len(scaffold_plot(groups).axes[0].get_xticks()) == 7


def test_the_worst_predictions_come_first_with_their_nearest_neighbour():
    test = NumpyDataset(SMILES, np.arange(8.0), ids=[f"m{i}" for i in range(8)])
    prediction = test.y + np.array([0, 1, -5, 2, 0, 0, 0, 3.0])[:, None]
    train = NumpyDataset(["CCCO", "c1ccccc1CCC"])
    cards = worst_predictions(test, prediction, train=train, count=3, units="pK").cards
    assert [card.heading for card in cards] == ["m2", "m7", "m3"]
    assert cards[0].facts["error"] == "−5.00 pK"
    generator = GetMorganGenerator(radius=2, fpSize=2048)
    print_of = [generator.GetFingerprint(Chem.MolFromSmiles(s)) for s in ("CCCO", "c1ccccc1CCC")]
    for card in cards:
        query = generator.GetFingerprint(Chem.MolFromSmiles(card.smiles))
        best = max(DataStructs.BulkTanimotoSimilarity(query, print_of))
        assert card.facts["nearest in train"] == f"{best:.2f}"


def test_errors_of_tasks_are_compared_in_units_of_their_spread():
    y = np.c_[np.arange(8.0), 1000 * np.arange(8.0)]
    test = NumpyDataset(SMILES, y, tasks=["small", "large"])
    prediction = y.copy()
    prediction[2, 0] += 3
    prediction[5, 1] += 1000
    cards = worst_predictions(test, prediction, count=2).cards
    assert [(card.smiles, card.facts["task"]) for card in cards] == [
        (SMILES[2], "small"),
        (SMILES[5], "large"),
    ]


def test_rows_without_a_label_are_not_among_the_worst():
    test = NumpyDataset(SMILES, [1.0, *[np.nan] * 7])
    assert len(worst_predictions(test, np.full((8, 1), 99.0)).cards) == 1


def test_drawings_have_the_colours_of_the_page_and_no_ids():
    drawing = molecule_svg("CC(=O)Nc1ccc(S)cc1Cl")
    ElementTree.fromstring(drawing)
    for name in ("ink", "blue", "vermillion", "purple", "green"):
        assert f"var(--{name})" in drawing
    assert not re.search(r"#[0-9A-Fa-f]{6}", drawing)
    assert " id=" not in drawing


@pytest.mark.parametrize("smiles", ["", "C1CC", "C" * 200, "<script>", "\x00"])
def test_what_cannot_be_drawn_is_empty(smiles):
    assert molecule_svg(smiles) == ""


def test_text_that_cannot_be_seen_is_escaped_and_long_text_is_cut():
    assert on_one_line("a\x00b\u202ec\nd\u2028") == "a\\x00b\\u202ec d\\u2028"
    assert on_one_line("x" * 500) == "x" * 200 + "…"
    assert on_one_line("溶媒 é") == "溶媒 é"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.123456, "0.123"),
        (-5.0, "−5.00"),
        (12345.6, "12,346"),
        (1e9, "1.00e+09"),
        (2e-9, "2.00e−09"),
        (0, "0.00"),
        (float("nan"), "–"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_have_three_digits(value, shown):
    assert number(value) == shown


def test_failures_are_counted_by_status_with_the_first_examples_of_each():
    one = FailureReport(tuple(Failure(i, "C1", "parse", "ring", "") for i in range(9)))
    two = FailureReport((Failure(3, "CC", "label", "not a number", "logP"),))
    counts, examples = failure_tables({"loader": one, "test": two})
    assert counts.rows == [["parse", 9, 0], ["label", 0, 1]]
    assert [row[2] for row in examples.rows] == [0, 1, 2, 3, 4, 3]
    assert failure_tables({}) == failure_tables({"loader": FailureReport()}) == ()


def test_figures_take_the_colours_of_the_page():
    drawing = figure_svg(parity_plot(np.arange(5.0), np.arange(5.0)), "f")
    assert "var(--ink)" in drawing
    assert not set(COLOURS.values()) & set(re.findall(r"#[0-9a-f]{6}", drawing))


def test_a_figure_saved_by_the_user_is_not_changed_by_the_report():
    figure = parity_plot(np.arange(5.0), np.arange(5.0))
    figure_svg(figure, "f")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert file.getvalue().startswith(b"\x89PNG")
