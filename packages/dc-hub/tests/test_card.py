"""The model card says what the metadata says, and nothing in it can be more than text."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dc_hub
from dc_core import NumpyDataset, dataset_digest
from dc_hub import card as read_card
from dc_hub import errors, from_pretrained, publish, save, set_card, set_tag, summary, verify
from dc_hub.format.summary import BEGIN, END, DataSource, Score
from dc_hub.publishing.card import Card, with_author


def front_matter(text):
    """Return the front matter's lines: JSON strings, alone or in sequences."""
    _, front, _ = text.split("---\n", 2)
    found = {}
    for line in front.splitlines():
        if line.startswith("- "):
            found[key].append(json.loads(line[2:]))  # noqa: F821
        else:
            key, _, value = line.partition(":")
            found[key] = json.loads(value) if value.strip() else []
    return found


@pytest.fixture
def card(hub, linear):
    def make(**metadata):
        return (publish(linear, "m", hub=hub, metadata=metadata).path / "README.md").read_text()

    return make


def test_the_front_matter_names_licence_task_dataset_and_metrics(card):
    found = front_matter(
        card(licence="MIT", task="regression", dataset="lab/freesolv", metrics={"rmse": 1.5})
    )
    assert found == {
        "library_name": "dc-hub",
        "license": "mit",
        "tags": ["dc-model", "test/Linear", "regression"],
        "datasets": ["lab/freesolv"],
        "metrics": ["rmse"],
    }


def test_what_the_front_matter_cannot_say_is_in_the_table(card):
    text = card(dataset="FreeSolv (measured)", metrics={"test": {"rmse": 1.5}}, units="kcal/mol")
    assert "datasets" not in front_matter(text)
    assert "| dataset | FreeSolv (measured) |" in text
    assert "| test/rmse | 1.5 |  |" in text
    assert "| units | kcal/mol |" in text


def test_text_cannot_leave_its_place(card):
    evil = "x\n---\nlicense: other | <script>alert(1)</script> \x85\u2028 'µ\""
    text = card(licence=evil, title=evil, description="<b>bold</b>", task=evil, note=evil)
    found = front_matter(text)
    assert found["license"] == "other"
    assert found["license_name"] == "x-license-other-script-alert-1-script"
    body = text.split("---\n", 2)[2]
    assert "<script>" not in body
    assert "<b>" not in body
    rows = [line for line in text.splitlines() if line.startswith("| note |")]
    assert rows[0].count(" | ") == 1


def test_nothing_in_a_card_is_invisible_or_steers_a_terminal(card):
    evil = "a\x1b]0;x\x07\x9b31m\u202eb\x08"
    text = card(title=evil, description=f"{evil}\n\tcode", task=evil, note=evil, licence="MIT 🧪")
    assert all(line.isprintable() for line in text.split("\n"))
    assert "a\\x1b]0;x\\x07\\x9b31m\\u202eb\\x08\n    code\n" in text
    assert 'license_name: "mit"' in text


def test_the_card_names_neither_hub_nor_day(card, hub):
    text = card()
    assert str(hub.path) not in text
    assert "20" + "2" not in text


# What the publisher says

CYCLE: list = []
CYCLE.append(CYCLE)


def test_scores_dataset_and_licence_are_arguments(hub, linear, dataset):
    interval = SimpleNamespace(value=np.float64(1.5), low=1.0, high=float("nan"), level=0.95)
    publish(
        linear,
        "m",
        hub=hub,
        metrics={"test": {"rmse": interval, "r2": np.float32(0.5)}},
        dataset=("freesolv", dataset),
        licence="MIT",
        metadata={"task": "regression"},
    )
    found = summary("m", hub=hub)
    assert found.metrics == {"test/rmse": Score(1.5, 1.0, None, 0.95), "test/r2": Score(0.5)}
    assert found.datasets == (DataSource("freesolv", dataset_digest(dataset)),)
    assert (found.licence, found.task) == ("MIT", ("regression",))


def test_equal_rows_have_the_same_digest_and_others_another(dataset):
    same = NumpyDataset(dataset.X.copy(), dataset.y.copy())
    assert dataset_digest(same) == dataset_digest(dataset)
    assert dataset_digest(NumpyDataset(dataset.X, dataset.y + 1)) != dataset_digest(dataset)


@pytest.mark.parametrize(
    "facts",
    [
        {"metrics": 1.0},
        {"metrics": {"rmse": "low"}},
        {"metrics": {"rmse": float("nan")}},
        {"metrics": {"rmse": True}},
        {"metrics": {"": 1.0}},
        {"metrics": {1: 1.0}},
        {"dataset": ""},
        {"dataset": 5},
        {"dataset": []},
        {"dataset": [["nested"]]},
        {"dataset": CYCLE},
        {"metadata": {"a": CYCLE}},
        {"metrics": {"a": {"b": {"c": {"d": {"e": 1.0}}}}}},
        {"metrics": {"rmse": SimpleNamespace(value=1.0, low="x", high=2.0)}},
        {"derived_from": "a/../b@" + "0" * 64},
        {"card": f"Text.\n\n{BEGIN}\nNo end."},
        {"card": f"Text.\n\n{BEGIN} \n{END}"},
        {"card": f"{BEGIN}\n{BEGIN}\n{END}"},
        {"card": f"{BEGIN}\nours\n{END}\n\n{BEGIN}\n{END}"},
        {"dataset": {"name": "x", "sha256": "5"}},
        {"dataset": {"name": "x", "url": "y"}},
        {"licence": ""},
        {"licence": "a\nb"},
        {"licence": 5},
        {"metrics": {"rmse": 1.0}, "metadata": {"metrics": {"rmse": 2.0}}},
        {"derived_from": 5},
        {"derived_from": ""},
        {"derived_from": "Not A Name@" + "0" * 64},
        {"card": 5},
        {"card": "a\x1bb"},
        {"card": "\u202eb"},
        {"card": "---\nnever closed"},
    ],
    ids=ascii,
)
def test_what_cannot_be_meant_is_a_typed_error_before_anything_is_written(hub, linear, facts):
    with pytest.raises(errors.HubError):
        publish(linear, "m", hub=hub, **facts)
    assert not hub.path.exists()


# The author's part


AUTHOR = """---
language: en
tags:
- "mine"
thumbnail: "https://example.org/x: #1"
---

# Solubility

Predicts *solubility*.

## Intended use

Screening.
"""


def test_the_authors_text_is_around_the_generated_part(hub, linear):
    publish(linear, "m", hub=hub, card=AUTHOR, metadata={"task": "regression"})
    text = read_card("m", hub=hub)
    front = front_matter(text.replace("language: en", 'language: "en"'))
    assert front["language"] == "en"
    assert front["tags"] == ["dc-model", "test/Linear", "regression"]
    assert front["thumbnail"] == "https://example.org/x: #1"
    above, _, rest = text.partition(BEGIN)
    assert above.split("---\n")[2].strip() == AUTHOR.split("---\n")[2].strip()
    assert "| task | regression |" in rest.partition(END)[0]
    assert "## Limitations" in rest.partition(END)[2]
    assert summary("m", hub=hub).description == "Predicts *solubility*."


def test_a_card_without_a_title_gets_that_of_the_model(hub, linear):
    publish(linear, "m", hub=hub, card="Some words.", metadata={"title": "Net"})
    for text in (read_card("m", hub=hub), "---\nlanguage: en\n---\nOther words."):
        set_card("m", text, hub=hub)
        titles = [line for line in read_card("m", hub=hub).split("\n") if line.startswith("# ")]
        assert titles == ["# Net"]


def test_a_first_line_that_is_no_title_is_not_kept_for_one():
    assert "Old" not in with_author(f"Old.\n\n{BEGIN}\nours\n{END}\n", "New.")


def test_a_name_and_a_dataset_are_one_dataset_and_a_list_of_them_is_two(hub, linear, dataset):
    publish(linear, "m", hub=hub, dataset=("esol", dataset))
    assert [found.name for found in summary("m", hub=hub).datasets] == ["esol"]
    publish(linear, "m", hub=hub, dataset=["esol", dataset])
    assert [found.name for found in summary("m", hub=hub).datasets] == ["esol", "unnamed"]


def test_hand_written_text_survives_when_the_rest_is_written_again(hub, linear, models, dataset):
    publish(linear, "m", hub=hub, metrics={"rmse": 1.0})
    text = read_card("m", hub=hub)
    text = text.replace("## Limitations", "Not for peptides.\n\n## Limits").replace(
        "# test", "# My"
    )
    set_card("m", text, hub=hub)
    better = models["Linear"](5.0).fit(dataset)
    publish(better, "m", hub=hub, card=read_card("m", hub=hub), metrics={"rmse": 0.5})
    after = read_card("m", hub=hub)
    assert "Not for peptides.\n\n## Limits" in after
    assert "# My/Linear" in after
    assert "| rmse | 0.5 |  |" in after
    assert "| rmse | 1 |  |" not in after
    assert after.count(BEGIN) == after.count(END) == 1


def test_a_changed_card_is_a_new_revision_with_the_same_weights(hub, linear, dataset):
    before = publish(linear, "m", hub=hub, tag="v1", golden=dataset)
    after = set_card("m", "# Title\n\nText.", hub=hub, tag="v2")
    assert after.revision != before.revision
    assert hub.tags("m") == {"main": after.revision, "v1": before.revision, "v2": after.revision}
    for file in before.path.iterdir():
        if file.name not in ("README.md", "MANIFEST.json"):
            assert (after.path / file.name).read_bytes() == file.read_bytes()
    verify("m", hub=hub)
    np.testing.assert_array_equal(
        from_pretrained("m", hub=hub).predict(dataset), linear.predict(dataset)
    )
    assert set_card("m", read_card("m", hub=hub), hub=hub).revision == after.revision


def test_the_card_of_an_old_revision_does_not_move_main(hub, linear, models, dataset):
    publish(linear, "m", hub=hub, tag="v1")
    main = publish(models["Linear"](5.0).fit(dataset), "m", hub=hub).revision
    changed = set_card("m@v1", "Better words.", hub=hub)
    assert hub.tags("m")["main"] == main
    set_tag(f"m@{changed.revision}", "v3", hub=hub)
    assert "Better words." in read_card("m@v3", hub=hub)


def test_the_generated_part_cannot_be_edited(hub, linear):
    publish(linear, "m", hub=hub, metrics={"rmse": 1.0})
    text = read_card("m", hub=hub)
    set_card(
        "m", text.replace("| rmse | 1 |", "| rmse | 0 |").replace("dc-model", "other"), hub=hub
    )
    assert read_card("m", hub=hub) == text


def test_a_card_without_comments_belongs_to_the_author(hub, linear, reseal):
    stored = publish(linear, "m", hub=hub)
    (stored.path / "README.md").write_text("# All mine\n")
    reseal(stored.path)
    assert with_author("# All mine\n", "# Mine\n\nText.").endswith("# Mine\n\nText.\n")


@pytest.mark.parametrize(
    "front",
    [
        "a: b: c",
        "a: &anchor b",
        "a: *alias",
        "a: !!python/object x",
        "a: {b: c}",
        "a: | \n text",
        "a: 'x'",
        "a: b #c",
        "a: b\n- c",
        "a:\n- b\n  - c",
        "a:\n  b: c",
        "- a",
        "a: 1\na: 2",
        "a: [b, [c]]",
        'a: "x" y',
        "a: b\tc: d",
        "? a",
        "%YAML 1.2",
    ],
)
def test_front_matter_that_parsers_could_read_differently_is_refused(hub, linear, front):
    with pytest.raises(errors.ParamsError):
        publish(linear, "m", hub=hub, card=f"---\n{front}\n---\nText.")


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=60), st.text(max_size=20), st.lists(st.text(max_size=20), max_size=3))
def test_front_matter_that_is_accepted_is_valid_yaml_with_our_keys(value, key, items):
    yaml = pytest.importorskip("yaml")
    listed = "".join(f"\n- {item}" for item in items)
    ours = '---\nlibrary_name: "dc-hub"\n---\n\n# T\n'
    for front in (f"key: {value}", f"{key}: x", f"list:{listed}"):
        try:
            text = with_author(ours, f"---\n{front}\n---\n\nText.")
        except errors.ParamsError:
            continue
        _, found, _ = text.split("---\n", 2)
        assert yaml.safe_load(found)["library_name"] == "dc-hub"


def test_the_parts_of_a_card_make_the_card_again(hub, linear):
    publish(linear, "m", hub=hub, card=AUTHOR)
    text = read_card("m", hub=hub)
    assert str(Card.parse(text)) == text


def test_the_card_of_a_directory_is_read_with_or_without_a_manifest(linear, tmp_path):
    path = save(linear, tmp_path / "net", card="Words.").path
    assert "Words." in read_card(path)
    (path / "MANIFEST.json").unlink()
    assert "Words." in read_card(path)
    (path / "README.md").unlink()
    with pytest.raises(errors.FileMissing):
        read_card(path)


def test_the_command_prints_sets_and_edits_the_card(hub, linear, tmp_path):
    publish(linear, "m", hub=hub)
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import sys, pathlib\n"
        "p = pathlib.Path(sys.argv[1])\n"
        "p.write_text(p.read_text().replace('First.', 'Second.'))\n"
    )

    def command(*words, text=None):
        program = Path(sys.executable).with_name("dc-hub")
        return subprocess.run(
            [program, "card", "m", "--hub", hub.path, *words],
            input=text,
            capture_output=True,
            text=True,
            env={**os.environ, "VISUAL": f"{sys.executable} {editor}"},
        )

    assert command().stdout == read_card("m", hub=hub)
    assert command("--set", "-", text="First.").returncode == 0
    assert command("--edit").returncode == 0
    assert "Second." in command().stdout
    assert json.loads(command("--json").stdout) == read_card("m", hub=hub)
    assert command("--edit").returncode == 1
    failed = command("--set", str(tmp_path / "nothing"))
    assert failed.returncode == 2
    assert "FileMissing" in failed.stderr


def test_the_card_of_a_model_on_the_web_is_read_alone(hub, linear, monkeypatch):
    publish(linear, "m", hub=hub, card="Words.")
    read = []
    original = dc_hub.LocalHub.read_chunk

    def noted(self, model, entry, index):
        read.append(entry.path)
        return original(self, model, entry, index)

    monkeypatch.setattr(dc_hub.LocalHub, "read_chunk", noted)
    assert "Words." in read_card("m", hub=hub)
    assert read == ["README.md"]


@pytest.mark.parametrize(
    ("licence", "identifier", "name"),
    [
        ("Apache-2.0", "apache-2.0", None),
        ("GPL-3.0-or-later", "gpl-3.0", None),
        ("CC-BY-NC-4.0", "cc-by-nc-4.0", None),
        ("Our Own Licence, v2", "other", "our-own-licence-v2"),
        ("\u00b5", "other", "unnamed"),
    ],
)
def test_a_licence_is_one_that_hugging_face_knows_or_has_a_name(card, licence, identifier, name):
    found = front_matter(card(licence=licence))
    assert (found["license"], found.get("license_name")) == (identifier, name)
