"""Full addresses of models: the URL of a hub, a slash and a name."""

import runpy
from pathlib import Path

import pytest

import dc_hub
from dc_hub import errors, from_pretrained, info, pin, publish, pull, read_pins
from dc_hub.hubs.reference import Reference, parse

DIGEST = "0123456789ab" * 3


@pytest.fixture
def url(served, hub, linear):
    publish(linear, "lab/m", hub=hub, tag="v1")
    publish(linear, "n", hub=hub)
    return served


@pytest.fixture
def served(tmp_path):
    web = runpy.run_path(str(Path(__file__).with_name("web.py")))
    with web["serve"](tmp_path / "hub") as server:
        yield server.url


@pytest.mark.parametrize(
    ("address", "hub", "name", "revision"),
    [
        ("hf://org/net", "hf://org", "net", None),
        ("hf://org/ChemBERTa-77M-MLM@v2", "hf://org", "ChemBERTa-77M-MLM", "v2"),
        ("hf://gpt2", "hf://", "gpt2", None),
        ("s3://bucket/hub/lab/net@main", "s3://bucket/hub/lab", "net", "main"),
        (f"https://host:8443/hub/net@{DIGEST}", "https://host:8443/hub", "net", DIGEST),
    ],
)
def test_an_address_is_the_url_of_a_hub_a_slash_and_a_name(address, hub, name, revision):
    found = parse(address)
    assert found == Reference(name=name, revision=revision, hub=hub)
    assert found.model == address.partition("@")[0]


@pytest.mark.parametrize(
    "address",
    [
        "hf://org/",
        "hf://org/..",
        "hf://org/-x",
        "hf://org/a b",
        "https://h/m?token=secret",
        "s3://",
    ],
)
def test_a_malformed_address_is_a_typed_error_without_secrets(address):
    with pytest.raises(errors.UnsafePath, match="not the address") as caught:
        parse(address)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["hf://org/net@", "hf://org/net@v1@v2"])
def test_an_address_names_at_most_one_revision(address):
    with pytest.raises(errors.UnsafePath):
        parse(address, "main")


def test_a_model_is_loaded_described_pulled_and_verified_by_its_address(url, linear):
    for address in (f"{url}/lab/m", f"{url}/lab/m@v1", f"{url}/n"):
        assert from_pretrained(address).alpha == linear.alpha
        assert info(address).revision == pull(address).revision == dc_hub.verify(address).revision
    assert dc_hub.diff(f"{url}/lab/m", f"{url}/n").identical


def test_an_address_and_another_hub_contradict_each_other(url, hub):
    with pytest.raises(errors.ParamsError, match="hub="):
        from_pretrained(f"{url}/lab/m", hub=hub)


def test_an_address_is_pinned_as_it_is(url, tmp_path, linear):
    lock = tmp_path / "dchub.lock"
    revision = pin(f"{url}/lab/m@v1", lock=lock)
    assert read_pins(lock) == {f"{url}/lab/m": revision}
    assert from_pretrained(f"{url}/lab/m", lock=lock).alpha == linear.alpha


def test_publishing_to_an_address_is_publishing_to_its_hub(url, linear):
    with pytest.raises(errors.ReadOnlyHub):
        publish(linear, f"{url}/lab/m")
    with pytest.raises(errors.ReadOnlyHub):
        linear.to_pretrained(f"{url}/lab/m")
    with pytest.raises(errors.UnsafePath, match="one revision"):
        publish(linear, f"{url}/lab/m@v1")


def test_the_pin_of_an_address_is_checked_updated_and_pulled_where_it_is(url, hub, tmp_path):
    lock = tmp_path / "dchub.lock"
    dc_hub.pin_models([f"{url}/lab/m@v1", f"{url}/n"], lock=lock)
    states = dc_hub.check_pins(lock=lock, hub=tmp_path / "another")
    assert [(state.name, state.unchanged) for state in states] == [
        (f"{url}/lab/m", True),
        (f"{url}/n", True),
    ]
    assert dc_hub.update_pins(lock=lock) == states
    assert [model.name for model in dc_hub.pull_pins(lock=lock)] == ["m", "n"]
