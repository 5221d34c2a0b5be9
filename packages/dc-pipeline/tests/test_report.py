"""The report of a model: one page that is whole, safe, and says what evaluate says."""

import re
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from xml.etree import ElementTree

import html5lib
import numpy as np
import pytest

from dc_core import Failure, FailureReport, NormalDistribution, NumpyDataset
from dc_core.errors import DatasetError, EmptyDataset, ParameterError, Unsupported
from dc_pipeline import (
    ECFP,
    MAE,
    R2,
    RMSE,
    CSVLoader,
    GaussianNLL,
    Pipeline,
    Report,
    ScaffoldSplitter,
    SpearmanR,
    report,
)
from dc_pipeline.errors import PipelineError

WHEN = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)
HOSTILE = "<script>alert('$x_1$')</script>&\"\x00\u202e溶媒"
NAMES = {"metrics": [RMSE(), MAE(), R2(), SpearmanR()]}


def parsed(page):
    """Parse a page strictly: any error of syntax raises."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)


def sections(page):
    return [heading.text for heading in parsed(page).iter("h2")]


def text_of(page):
    return re.sub(r"\s+", " ", " ".join(parsed(page).itertext()))


def table(page, caption):
    """Return the cells of the table with that caption, row by row."""
    for found in parsed(page).iter("table"):
        if found.find("caption").text.startswith(caption):
            return [["".join(cell.itertext()) for cell in row] for row in found.iter("tr")]
    raise AssertionError(f"there is no table {caption!r}")


@pytest.fixture(scope="module")
def split(freesolv):
    whole = CSVLoader("smiles", tasks=["expt"]).load(freesolv).dataset
    return ScaffoldSplitter((0.6, 0.2, 0.2)).split(whole[::8])


@pytest.fixture
def classifier(ridge):
    class Classifier(ridge):
        predicts_classes = True

        def predict(self, dataset):
            p = 1 / (1 + np.exp(-4 * (super().predict(dataset) - 0.5)))
            return np.stack([1 - p, p], axis=-1)

    return Classifier


@pytest.fixture
def sure(ridge):
    class Sure(ridge):
        def predict_distribution(self, dataset):
            mean = self.predict(dataset)
            return NormalDistribution(mean, np.full_like(mean, 1.5))

    return Sure


@pytest.fixture(scope="module")
def pipeline(ridge, split):
    return Pipeline(ridge(1.0), ECFP(size=256)).fit(split.train)


@pytest.fixture(scope="module")
def page(pipeline, split):
    return report(pipeline, split, None, units="kcal/mol", when=WHEN).html()


def test_the_page_is_html_and_every_drawing_is_xml(page):
    parsed(page)
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) > 5
    for drawing in drawings:
        assert ElementTree.fromstring(drawing).get("role") == "img"


def test_names_are_unique_and_every_reference_has_its_target(page):
    tree = parsed(page)
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in tree.iter():
        for key, value in element.items():
            if key == "aria-labelledby":
                assert value in ids
            referred = value[1:] if str(key).endswith("href") and value[0] == "#" else ""
            for name in [*re.findall(r"url\(#(.*?)\)", value), *([referred] if referred else [])]:
                assert name in ids


def test_nothing_is_loaded_from_elsewhere_and_no_script_runs(page):
    tree = parsed(page)
    (policy,) = [m.get("content") for m in tree.iter("meta") if m.get("http-equiv")]
    assert policy.startswith("default-src 'none'")
    assert not {"script", "link", "iframe", "object", "embed"} & {e.tag for e in tree.iter()}
    for element in tree.iter():
        for key, value in element.items():
            assert not str(key).startswith("on")
            if str(key).endswith(("href", "src")):
                assert value.startswith(("#", "data:image/png;base64,"))
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_figures_are_described_and_tables_have_headers(page):
    tree = parsed(page)
    captions = {e.get("id"): "".join(e.itertext()) for e in tree.iter("figcaption")}
    named = [e.get("aria-labelledby") for e in tree.iter() if str(e.tag).endswith("svg")]
    assert all(len(captions[name]) > 20 for name in named if name)
    assert all("without a description" not in text for text in captions.values())
    for found in tree.iter("table"):
        assert all(cell.get("scope") == "col" for cell in found.iter("th") if cell.text in captions)
        assert found.find("caption").text
        assert {cell.get("scope") for cell in found.iter("th")} == {"col", "row"}


def test_a_regression_of_molecules_has_its_sections_and_no_others(page):
    assert sections(page) == [
        "Scores",
        "Predictions on test",
        "Errors by scaffold",
        "Worst predictions on test",
        "The split in chemical space",
        "Model, data and versions",
    ]


def test_the_scores_are_those_of_evaluate(pipeline, split):
    page = report(pipeline, split, None, **NAMES).html()
    header, *rows = table(page, "Each score")
    assert header == ["metric", "train", "valid", "test"]
    expected = [pipeline.evaluate(part, NAMES["metrics"], allow_train=True) for part in split]
    assert [row[0] for row in rows] == list(expected[0])
    for name, *cells in rows:
        shown = [float(cell.split(" ")[0].replace("−", "-")) for cell in cells]
        assert shown == [pytest.approx(found[name], rel=5e-3) for found in expected]


def test_intervals_contain_their_scores(page):
    for _, *cells in table(page, "Each score")[1:]:
        for cell in cells:
            value, low, high = (float(x.replace("−", "-")) for x in re.findall(r"−?[\d.]+", cell))
            assert low <= value <= high


def test_equal_arguments_give_equal_bytes_whatever_the_users_settings(pipeline, split, page):
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 20, "svg.fonttype": "path", "axes.grid": False}):
        again = report(pipeline, split, None, units="kcal/mol", when=WHEN).html()
    assert again == page


def test_only_the_date_differs_from_one_day_to_the_next(pipeline, split, page):
    later = report(
        pipeline, split, None, units="kcal/mol", when=datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
    )
    assert later.html().replace("2026-12-01", "2026-11-30") == page


def test_the_settings_of_matplotlib_stay_and_pyplot_is_not_imported(pipeline, split):
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 7, "text.parse_math": True}):
        report(pipeline, split, None)
        assert (mpl.rcParams["font.size"], mpl.rcParams["text.parse_math"]) == (7, True)
    assert "matplotlib.pyplot" not in sys.modules


def test_the_file_is_the_page(pipeline, split, page, tmp_path):
    report(pipeline, split, tmp_path / "report.html", units="kcal/mol", when=WHEN)
    assert (tmp_path / "report.html").read_text("utf-8") == page
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_deviations_give_prediction_intervals_and_their_coverage(sure, split):
    model = Pipeline(sure(1.0), ECFP(size=256)).fit(split.train)
    page = report(model, split, None, when=WHEN).html()
    assert "90% prediction intervals" in text_of(page)
    assert "Coverage of central prediction intervals" in text_of(page)
    assert "regression_calibration_error" in [row[0] for row in table(page, "Each score")]
    assert "±" in text_of(page)


def test_without_deviations_there_is_nothing_about_intervals(page):
    assert "prediction interval" not in text_of(page)


def test_a_classification_has_its_figures(classifier, split):
    train, _, test = (
        NumpyDataset(
            part.X, np.where(part.y < -3, "soluble", "insoluble"), ids=part.ids, tasks=["water"]
        )
        for part in split
    )
    model = Pipeline(classifier(1.0), ECFP(size=256)).fit(train)
    page = report(model, {"train": train, "test": test}, None, when=WHEN).html()
    shown = text_of(page)
    for figure in ("ROC curve", "Precision–recall curve", "Confusion matrix", "Calibration"):
        assert f"{figure}: water" in shown
    expected = model.evaluate(test, [])
    assert expected == {}
    assert [row[0] for row in table(page, "Each score")[1:]][:2] == ["roc_auc", "average_precision"]
    assert "soluble" in shown
    assert "probability of true" in shown


def test_missing_labels_of_several_tasks_are_left_out(ridge, split):
    rng = np.random.default_rng(0)

    def twice(part):
        y = np.c_[part.y, part.y * 2, np.full(len(part), np.nan)]
        y[rng.random(y.shape) < 0.3] = np.nan
        return NumpyDataset(part.X, y, tasks=["one", "two", "none"])

    class Filled(ridge):
        def fit(self, dataset, *, valid=None):
            y = np.nan_to_num(dataset.y)
            return super().fit(NumpyDataset(dataset.X, y, tasks=dataset.tasks))

    parts = {name: twice(part) for name, part in split._asdict().items()}
    model = Pipeline(Filled(1.0), ECFP(size=256)).fit(parts["train"])
    page = report(model, parts, None, when=WHEN, **NAMES).html()
    expected = model.evaluate(parts["test"], NAMES["metrics"])
    found = {(row[0], row[1]): row[4].split(" ")[0] for row in table(page, "Each score")[1:]}
    assert len(found) == len(expected) == 16
    for name, value in expected.items():
        metric, _, task = name.partition("/")
        cell = found[metric, task or "mean"].replace("−", "-")
        assert cell == "–" if np.isnan(value) else float(cell) == pytest.approx(value, rel=5e-3)
    assert "Parity: one" in text_of(page)
    assert "Parity: none" not in text_of(page)


def test_rows_that_fail_are_listed_and_not_scored(pipeline, split):
    X = np.concatenate([split.test.X, np.array(["C1CC", "溶媒"], split.test.X.dtype)])
    y = np.r_[split.test.y, [[9.0], [9.0]]]
    test = NumpyDataset(X, y, tasks=["expt"])
    page = report(pipeline, {"train": split.train, "test": test}, None, **NAMES).html()
    assert "Failures" in sections(page)
    assert [row[3] for row in table(page, "The first")[1:]] == ["C1CC", "溶媒"]
    assert "2 rows could not be predicted" in text_of(page)
    rmse = float(table(page, "Each score")[1][2].split(" ")[0])
    assert rmse == pytest.approx(pipeline.evaluate(test, [RMSE()])["rmse"], rel=5e-3)


def test_rows_that_the_model_was_trained_on_are_pointed_out(pipeline, split, page):
    assert "was trained on" not in text_of(page)
    again = {"train": split.train, "test": split.train[:5]}
    assert "test: the model was trained on 5 of these rows." in text_of(
        report(pipeline, again, None).html()
    )


def test_training_rows_of_a_single_dataset_are_pointed_out(pipeline, split):
    page = report(pipeline, split.train, None).html()
    assert f"data: the model was trained on {len(split.train)} of these rows." in text_of(page)


def test_a_part_of_which_every_row_fails_has_no_scores(pipeline, split):
    bad = NumpyDataset(["C1CC", "not"], [1.0, 2.0], tasks=["expt"])
    page = report(pipeline, {"train": split.train, "test": bad}, None).html()
    assert table(page, "Each score")[0] == ["metric", "train"]
    assert table(page, "Failures")[1] == ["parse", "2"]


def test_if_every_row_of_every_part_fails_the_failures_are_the_report(pipeline):
    bad = NumpyDataset(["C1CC", "not"], [1.0, 2.0], tasks=["expt"])
    assert sections(report(pipeline, bad, None).html()) == ["Failures", "Model, data and versions"]


def test_data_without_molecules_has_no_section_of_molecules(ridge):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    data = NumpyDataset(X, X @ [1.0, 2.0, 3.0] + rng.normal(size=60))
    parts = {"train": data[:40], "test": data[40:]}
    page = report(ridge(1.0).fit(data[:40]), parts, None).html()
    assert sections(page) == ["Scores", "Predictions on test", "Model, data and versions"]


def test_data_without_labels_has_no_scores(pipeline, split):
    page = report(pipeline, NumpyDataset(split.test.X), None).html()
    assert sections(page) == ["Model, data and versions"]


def test_the_history_of_a_nested_model_is_drawn(ridge, split):
    class Trained(ridge):
        history = (
            SimpleNamespace(loss=2.0, valid_loss=2.5),
            SimpleNamespace(loss=1.0, valid_loss=1.5),
        )

    model = Pipeline(Trained(1.0), ECFP(size=256)).fit(split.train)
    page = report(model, split, None).html()
    assert "Training" in sections(page)
    assert "validation: 1.50 at the end, lowest 1.50 in epoch 2" in text_of(page)
    given = report(model, split, None, history={"loss": [7.0, 8.0]}).html()
    assert "loss: 8.00 at the end, lowest 7.00 in epoch 1" in text_of(given)


def test_everything_that_comes_from_data_is_escaped(ridge, split):
    hostile = "C" + HOSTILE
    X = [*split.test.X.tolist(), hostile]
    ids = [f"{HOSTILE}{i}" for i in range(len(X))]
    test = NumpyDataset(X, np.r_[split.test.y, [[1.0]]], ids=ids, tasks=[HOSTILE])
    train = NumpyDataset(split.train.X, split.train.y, tasks=[HOSTILE])
    model = Pipeline(ridge(1.0), ECFP(size=256)).fit(train)
    failures = {HOSTILE: FailureReport((Failure(0, HOSTILE, "parse", HOSTILE, HOSTILE),))}
    page = report(
        model,
        {f"train{HOSTILE}": train, f"test{HOSTILE}": test},
        None,
        title=HOSTILE,
        units=HOSTILE,
        failures=failures,
        history={HOSTILE: [1.0, 2.0]},
    ).html()
    assert not [e for e in parsed(page).iter() if "script" in str(e.tag)]
    assert "<script" not in page
    assert not set("\x00\u202e") & set(page)
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(drawing)
    assert text_of(page).count("<script>alert('$x_1$')</script>") > 20


def test_parts_above_the_limit_are_sampled_and_the_page_says_so(pipeline, split):
    page = report(pipeline, split, None, max_rows=10).html()
    assert f"test: a random sample of 10 of {len(split.test)} rows." in text_of(page)


def test_the_page_shows_parameters_seed_digests_and_versions(page, split):
    parts = {row[0]: row[1:] for row in table(page, "Model")[1:]}
    assert parts["model"] == ["Ridge", "alpha=1.0"]
    assert parts["featurizer"][0] == "ECFP"
    assert "size=256" in parts["featurizer"][1]
    digests = [row[3] for row in table(page, "Data")[1:]]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
    assert len(set(digests)) == 3
    assert {"Python", "dc-pipeline", "rdkit"} <= {row[0] for row in table(page, "Packages")}


def test_a_label_that_changes_changes_the_digest(split):
    from dc_core import dataset_digest

    data = split.test
    y = data.y.copy()
    same = NumpyDataset(data.X.tolist(), y, ids=data.ids, tasks=data.tasks)
    assert dataset_digest(same) == dataset_digest(data)
    y[3, 0] += 1e-9
    assert dataset_digest(NumpyDataset(data.X, y, ids=data.ids, tasks=data.tasks)) != (
        dataset_digest(data)
    )
    moved = NumpyDataset(["CC", "C"], ids=["a", "b"]), NumpyDataset(["C", "CC"], ids=["a", "b"])
    assert len({*map(dataset_digest, moved)}) == 2


def test_arguments_that_cannot_be_used_are_typed_errors(pipeline, split, tmp_path):
    with pytest.raises(ParameterError, match="not an estimator"):
        report(ECFP(), split, None)
    with pytest.raises(ParameterError, match="There is no directory"):
        report(pipeline, split, tmp_path / "missing" / "report.html")
    with pytest.raises(DatasetError, match="needs a dataset"):
        report(pipeline, [1, 2], None)
    with pytest.raises(EmptyDataset):
        report(pipeline, split.test[:0], None)
    with pytest.raises(ParameterError, match="not a list"):
        report(pipeline, split, None, metrics=RMSE())
    with pytest.raises(ParameterError, match="not a report"):
        report(pipeline, split, None, failures={"a": 1})
    other = NumpyDataset(split.test.X, split.test.y, tasks=["other"])
    with pytest.raises(DatasetError, match="different tasks"):
        report(pipeline, {"train": split.train, "test": other}, None)
    with pytest.raises(Unsupported):
        report(pipeline, split, None, metrics=[GaussianNLL()])


def test_without_matplotlib_the_error_says_how_to_install_it(pipeline, split, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ParameterError, match=r'pip install "dc-pipeline\[plots\]"'):
        report(pipeline, split, None)


def test_a_report_is_composed_of_text_figures_and_what_notebooks_show():
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_subplot().plot([1, 2])
    figure.set_label("A line.")
    shown = NumpyDataset([[1.0]], [2.0])
    composed = Report("Mine", subtitle="<b>").add("First", "a < b", figure, figure, shown)
    composed.add("Nothing")
    page = composed.html()
    assert sections(page) == ["First"]
    assert "a < b" in text_of(page)
    assert text_of(page).count("A line.") == 2
    assert "&lt;b&gt;" in page
    assert repr(composed) == "Report('Mine': First)"
    ids = re.findall(r'\bid="(.*?)"', page)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("content", [None, 3, object(), NumpyDataset, b"x"])
def test_what_cannot_be_shown_is_refused(content):
    with pytest.raises(ParameterError, match="cannot show"):
        Report("Mine").add("Section", content)


def test_notebooks_show_the_page_in_a_frame_without_scripts():
    frame = Report("<i>").add("Section", 'quoted "text"')._repr_html_()
    (element,) = parsed(f"<!DOCTYPE html><title>t</title>{frame}").iter("iframe")
    assert element.get("sandbox") == ""
    assert element.get("srcdoc") == Report("<i>").add("Section", 'quoted "text"').html()


def test_a_report_that_cannot_be_written_leaves_what_was_there(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("kept")
    with pytest.raises(PipelineError, match="cannot be written"):
        Report("Mine").save(tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    assert (tmp_path / "taken" / "file").read_text() == "kept"
