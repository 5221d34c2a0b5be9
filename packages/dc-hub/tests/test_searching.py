"""A search finds the models that words and facts describe, in any kind of hub, and orders them."""

import json

import pytest

from dc_hub import errors, publish, search, set_tag, write_index
from dc_hub.hubs.index import parse_index

DIGEST = "cd" * 32

FACTS = {
    "lab/solubility": {
        "task": "regression",
        "dataset": {"name": "ESOL", "sha256": DIGEST},
        "metrics": {"test": {"rmse": {"value": 0.6, "low": 0.5, "high": 0.7}}},
        "licence": "MIT",
        "description": "Predicts aqueous solubility of small molecules.",
    },
    "lab/solubility-old": {
        "task": "regression",
        "dataset": "ESOL",
        "metrics": {"valid": {"rmse": 0.2}, "test": {"rmse": 1.1}},
        "licence": "Apache-2.0",
        "derived_from": [f"lab/base@{DIGEST}"],
    },
    "toxicity": {
        "task": "classification",
        "tasks": ["NR-AR", "solubility class"],
        "dataset": "Tox21",
        "metrics": {"roc_auc": 0.84},
        "description": 'A "quoted" model with a \\ backslash.',
    },
    "plain": {},
}


@pytest.fixture
def filled(hub, models, dataset):
    for number, (name, facts) in enumerate(FACTS.items()):
        cls = models["Ridge" if name == "plain" else "Linear"]
        publish(cls(float(number + 1)).fit(dataset), name, hub=hub, metadata=facts)
    return hub


@pytest.fixture(params=["cold", "remembered"])
def found(filled, request):
    """Return the names that a search finds, before and after the hub is remembered."""
    if request.param == "remembered":
        search(hub=filled)

    def names(*words, **filters):
        return [summary.name for summary in search(*words, hub=filled, **filters)]

    return names


def test_without_words_and_filters_all_models_are_found_by_name(found):
    assert found() == sorted(FACTS)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("solubility", ["lab/solubility", "lab/solubility-old", "toxicity"]),
        ("SOLUB", ["lab/solubility", "lab/solubility-old", "toxicity"]),
        ("regression", ["lab/solubility", "lab/solubility-old"]),
        ("aqueous", ["lab/solubility"]),
        ("tox21", ["toxicity"]),
        ("RidgeOf", ["plain"]),
        ("esol solubility", ["lab/solubility", "lab/solubility-old"]),
        ("esol toxicity", []),
        ('"quoted"', ["toxicity"]),
        ("\\", ["toxicity"]),
        ("nothing-like-it", []),
    ],
)
def test_every_word_is_in_name_class_task_dataset_or_description(found, words, names):
    assert found(words) == names


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"task": "Regression"}, ["lab/solubility", "lab/solubility-old"]),
        ({"task": "NR-AR"}, ["toxicity"]),
        ({"cls": "test/RidgeOfLinear"}, ["plain"]),
        ({"cls": "ridgeoflinear"}, ["plain"]),
        ({"cls": "Linear", "task": "classification"}, ["toxicity"]),
        ({"licence": "mit"}, ["lab/solubility"]),
        ({"dataset": "esol"}, ["lab/solubility", "lab/solubility-old"]),
        ({"dataset": DIGEST[:12]}, ["lab/solubility"]),
        ({"dataset": DIGEST[:11]}, []),
        ({"metrics": "rmse<1.0"}, ["lab/solubility"]),
        ({"metrics": "rmse <= 1.1"}, ["lab/solubility", "lab/solubility-old"]),
        ({"metrics": "valid/rmse<1"}, ["lab/solubility-old"]),
        ({"metrics": ["roc_auc>0.8", "roc_auc<0.9"]}, ["toxicity"]),
        ({"metrics": ["roc_auc>0.8", "rmse<9"]}, []),
        ({"derived_from": "lab/base"}, ["lab/solubility-old"]),
        ({"derived_from": f"lab/base@{DIGEST[:12]}"}, ["lab/solubility-old"]),
        ({"derived_from": "lab/bas"}, []),
        ({"backend": "torch"}, []),
    ],
    ids=str,
)
def test_filters_are_exact_whatever_the_case(found, filters, names):
    assert found(**filters) == names


def test_a_limit_keeps_the_most_relevant(found):
    assert found("solubility", limit=1) == ["lab/solubility"]
    assert len(found(limit=None)) == len(FACTS)


@pytest.mark.parametrize("bound", ["", "rmse", "rmse<", "<1", "rmse=1", "rmse<1.2.3", "rmse<x", 5])
def test_a_malformed_bound_is_a_typed_error(filled, bound):
    with pytest.raises(errors.ParamsError, match="bound"):
        search(hub=filled, metrics=[bound])


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": 5},
        {"task": ["regression"]},
        {"metrics": 5},
        {"metrics": [None]},
        {"derived_from": 5},
        {"derived_from": "lab/base@main"},
        {"derived_from": "lab/base@"},
    ],
    ids=str,
)
def test_a_malformed_argument_is_a_typed_error(filled, arguments):
    with pytest.raises(errors.ParamsError):
        search(hub=filled, **arguments)


def test_an_origin_with_capitals_is_found(hub, linear):
    publish(linear, "m", hub=hub, derived_from=f"Org/Base@{DIGEST}")
    assert [found.name for found in search(hub=hub, derived_from="Org/Base")] == ["m"]


def test_the_summary_is_that_of_main_or_else_of_the_last_tag(hub, models, dataset):
    first = publish(models["Linear"](1.0).fit(dataset), "m", hub=hub, tag="v1", move_main=False)
    publish(models["Linear"](2.0).fit(dataset), "m", hub=hub, tag="v0", move_main=False)
    (found,) = search(hub=hub)
    assert (found.revision, found.tags) == (first.revision, ("v1",))
    set_tag("m@v0", "main", hub=hub)
    (found,) = search(hub=hub)
    assert found.tags == ("main", "v0")


def test_an_index_answers_as_the_hub_does(filled):
    write_index(filled)

    class OnTheWeb:
        def __getattr__(self, name):
            return getattr(filled, name)

        def index(self):
            return parse_index((filled.path / "index.json").read_bytes(), "index.json")

        listed = index

    for query in ({}, {"text": "solubility"}, {"metrics": "rmse<1"}, {"licence": "MIT"}):
        assert search(hub=OnTheWeb(), **query) == search(hub=filled, **query)


def test_a_table_in_a_notebook_escapes_what_models_say(hub, linear):
    publish(linear, "evil", hub=hub, metadata={"task": "<script>", "description": "<b>x"})
    shown = search(hub=hub)._repr_html_()
    assert "evil" in shown
    assert "<script>" not in shown
    assert "<b>" not in shown


# The command


@pytest.fixture
def run(run, filled):
    return lambda *arguments: run("search", *arguments, "--hub", filled.path)


def test_the_command_prints_a_table_or_json(run):
    code, out, _ = run("solubility", "--metric", "rmse<1.0", "--task", "regression")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["model", "lab/solubility"]
    assert "test/rmse 0.6 (0.5 to 0.7)" in out
    code, out, _ = run("--class", "Linear", "--json")
    assert [found["name"] for found in json.loads(out)] == [*sorted(FACTS)[:2], "toxicity"]


def test_the_command_exits_with_1_if_nothing_is_found_and_2_on_an_error(run):
    assert run("nothing-like-it")[:2] == (1, "No model matches.\n")
    assert run("nothing-like-it", "--json")[:2] == (1, "[]\n")
    code, _, err = run("--metric", "rmse")
    assert code == 2
    assert "ParamsError" in err
