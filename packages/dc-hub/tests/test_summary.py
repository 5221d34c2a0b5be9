"""A summary says what a stored model is, and whatever a file says is text or left out."""

import json

import numpy as np
import pytest

from dc_core import Estimator, register_model
from dc_hub import (
    DataSource,
    LocalHub,
    Score,
    Summary,
    errors,
    publish,
    read_tensors,
    save,
    summary,
)
from dc_hub.format.manifest import verify_directory
from dc_hub.format.summary import first_paragraph, read_origins

DIGEST = "ab" * 32

FACTS = {
    "title": "Hydration",
    "description": "Predicts hydration free energies.\n\nAnd more.",
    "task": "regression",
    "tasks": ["dG", "dH"],
    "units": {"dG": "kcal/mol", "dH": "kJ/mol"},
    "dataset": {"name": "freesolv", "sha256": DIGEST},
    "split": {"name": "scaffold", "seed": 7},
    "metrics": {
        "test": {"rmse": {"value": 1.25, "low": 1.0, "high": 1.5, "level": 0.95}, "r2": 0.5},
        "valid": {"rmse": 1},
    },
    "licence": "MIT",
    "derived_from": [f"lab/base@{DIGEST}"],
    "anything": {"else": [1, 2]},
}


@pytest.fixture
def stored(hub, chain):
    return publish(chain, "lab/net", hub=hub, tag="v1", metadata=FACTS)


def test_a_summary_says_what_record_manifest_and_card_say(hub, stored, chain):
    found = summary("lab/net", hub=hub)
    assert (found.name, found.revision, found.tags) == ("lab/net", stored.revision, ("main", "v1"))
    assert (found.cls, found.backend, found.title) == ("test/Chain", None, "Hydration")
    assert found.description == "Predicts hydration free energies."
    assert (found.task, found.tasks) == (("regression",), ("dG", "dH"))
    assert found.units == {"dG": "kcal/mol", "dH": "kJ/mol"}
    assert found.datasets == (DataSource("freesolv", DIGEST),)
    assert found.split == "scaffold (seed 7)"
    assert found.metrics == {
        "test/rmse": Score(1.25, 1.0, 1.5, 0.95),
        "test/r2": Score(0.5),
        "valid/rmse": Score(1.0),
    }
    assert found.featurizer == "test/Letters"
    assert found.parameters == sum(array.size for array in chain.export_weights().values())
    sizes = {file.name: file.stat().st_size for file in stored.path.iterdir()}
    assert found.size == sum(sizes.values()) - sizes["MANIFEST.json"]
    assert found.licence == "MIT"
    assert found.derived_from == (f"lab/base@{DIGEST}",)
    assert "numpy" in found.created_with


@register_model("test/Remembering")
class Remembering(Estimator):
    """Has three parameters, and remembers its rows as pipelines do."""

    fitted = ("slope", "training_rows")

    def __init__(self):
        self.slope = np.ones(3)
        self.training_rows = np.arange(1000, dtype=np.uint64)

    def fit(self, dataset):
        return self

    def predict(self, dataset):
        return np.zeros((len(dataset), 1))


def test_digests_of_training_rows_are_no_parameters(hub):
    stored = publish(Remembering(), "m", hub=hub)
    assert summary("m", hub=hub).parameters == 3
    assert read_tensors(stored.path / "model.safetensors")["training_rows"].size == 1000


def test_a_summary_survives_the_index(hub, stored):
    found = summary("lab/net", hub=hub)
    stored_form = json.loads(json.dumps(found.to_json()))
    assert Summary.from_json(found.name, found.revision, found.tags, stored_form) == found


def test_no_weights_are_read(hub, stored):
    (stored.path / "model.safetensors").write_bytes(b"x")
    assert summary("lab/net", hub=hub).cls == "test/Chain"


def test_a_directory_has_a_summary_too(linear, tmp_path):
    path = save(linear, tmp_path / "net", metadata={"task": "regression"}).path
    found = summary(path)
    assert (found.name, found.tags, found.task) == ("", (), ("regression",))
    assert len(found.revision) == 64


@pytest.mark.parametrize("file", ["params.json", "README.md", "MANIFEST.json"])
def test_a_small_file_that_was_changed_is_an_error(hub, stored, file):
    path = stored.path / file
    path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))
    with pytest.raises(errors.HubError) as caught:
        summary("lab/net", hub=hub)
    assert file in str(caught.value)


@pytest.mark.parametrize(
    "evil",
    [
        None,
        True,
        -1,
        1e308,
        "x" * 40_000,
        ["y"] * 3_000,
        {str(i): i for i in range(2_000)},
        {"a": {"a": {"a": {"a": {"a": {"a": 1.0}}}}}},
        {"name": {"value": []}, "sha256": 5, "value": "1", "low": "x"},
        [{"name": ["x"], "sha256": "Z" * 64}, 1, None, [[]]],
        "\x1b]0;x\x07 \u202e <script>",
    ],
    ids=lambda value: ascii(value)[:24],
)
def test_whatever_metadata_hold_is_bounded_and_never_an_error(hub, linear, edit_params, evil):
    model = publish(linear, "evil", hub=hub)
    edit_params(model.path, lambda content: content["metadata"].update(dict.fromkeys(FACTS, evil)))
    found = summary(model.path)
    assert len(json.dumps(found.to_json())) < 100_000
    assert "<script>" not in found._repr_html_()
    assert Summary.from_json("evil", found.revision, (), dict.fromkeys(FACTS, evil)) is not None


def test_origins_are_links_to_models_that_some_hub_can_have():
    names = ["", "net", "lab/net", "Org/Net", "../x", "a/../b", "a//b", "a/b/c", "/a", "con", "é"]
    found = read_origins([f"{name}@{DIGEST}" for name in names])
    assert [link.partition("@")[0] for link in found] == ["", "net", "lab/net", "Org/Net"]
    assert read_origins([DIGEST, f"net@{DIGEST[:-1]}", f"net@main@{DIGEST}", "net", "@"]) == ()


def test_a_score_is_found_by_the_metrics_name_alone():
    found = Summary("m", DIGEST, metrics={"valid/rmse": Score(1.0), "test/RMSE": Score(2.0)})
    assert found.score("rmse") == Score(2.0)
    assert found.score("valid/rmse") == Score(1.0)
    assert found.score("mae") is None


@pytest.mark.parametrize(
    ("card", "text"),
    [
        ("", ""),
        ("---\na: 1\n---\n\n# Title\n\nOne\nline.\n\nAnother.", "One line."),
        ("# Title\n\n| | |\n|---|---|\n\nAfter the table.", ""),
        ("<!-- a\ncomment -->\nText.", "Text."),
        ("<!-- a\n\nlong\n\ncomment -->\nText.", "Text."),
        ("<!-- never closed\n\nText.", ""),
        ("# A\n## B\n\nText.", ""),
        ("---\nnever closed", ""),
        ("a &lt;b&gt; &amp;c", "a <b&gt; &c"),
        ("z" * 1_000_000, "z" * 599 + "…"),
    ],
)
def test_the_description_is_the_first_paragraph_of_the_card(card, text):
    assert first_paragraph(card) == text


def test_the_files_are_the_ones_that_the_manifest_names(hub, stored):
    verify_directory(stored.path, LocalHub(hub.path).manifest(stored))
    assert summary(f"lab/net@{stored.revision[:12]}", hub=hub).revision == stored.revision


def test_numbers_of_numpy_are_scores(hub, linear):
    publish(linear, "m", hub=hub, metadata={"metrics": {"rmse": np.float32(0.5)}})
    assert summary("m", hub=hub).metrics == {"rmse": Score(0.5)}
