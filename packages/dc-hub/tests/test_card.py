"""The model card says what the metadata says, and nothing in it can be more than text."""

import json

import pytest

from dc_core import escape_controls
from dc_hub import publish


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
    assert "| metrics / test / rmse | 1.5 |" in text
    assert "| units | kcal/mol |" in text


def test_text_cannot_leave_its_place(card):
    evil = "x\n---\nlicense: other | <script>alert(1)</script> \x85\u2028 'µ\""
    text = card(licence=evil, title=evil, description="<b>bold</b>", task=evil, note=evil)
    found = front_matter(text)
    assert found["license"] == escape_controls(evil.lower())
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
    assert 'license: "mit 🧪"' in text


def test_the_card_names_neither_hub_nor_day(card, hub):
    text = card()
    assert str(hub.path) not in text
    assert "20" + "2" not in text
