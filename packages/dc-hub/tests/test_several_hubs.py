"""Several hubs in order: the first that has a name answers for it, and none is skipped."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

import dc_hub
from dc_core.errors import ParameterError
from dc_hub import LocalHub, from_pretrained, open_hub, publish, write_index
from dc_hub.errors import (
    HubUnavailable,
    ModelNotFound,
    Offline,
    ReadOnlyHub,
    RevisionNotFound,
    UnsafePath,
)
from dc_hub.hubs.several import HubsInOrder
from dc_hub.testing import HubSuite

web = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("web.py"))))


class TestHubsInOrder(HubSuite):
    """Several hubs keep every law of one."""

    interrupts = 20

    def make(self, folder):
        hubs = HubsInOrder([LocalHub(folder / "first"), LocalHub(folder / "second")])
        for hub in hubs.hubs:
            hub.path.mkdir()
        return hubs

    def reopen(self, hub, folder):
        return HubsInOrder(LocalHub(each.path) for each in hub.hubs)

    def change(self, hub, name, revision, file, new):
        path = hub.hubs[0].path / name / "revisions" / revision / file
        path.write_bytes(new(path.read_bytes()))


@pytest.fixture
def first(tmp_path):
    (tmp_path / "first").mkdir()
    return LocalHub(tmp_path / "first")


@pytest.fixture
def second(tmp_path):
    (tmp_path / "second").mkdir()
    return LocalHub(tmp_path / "second")


@pytest.fixture
def other(models, dataset):
    return models["Linear"](5.0).fit(dataset)


def test_the_first_hub_that_has_a_name_answers(first, second, linear, other):
    mine = publish(linear, "m", hub=first).revision
    publish(other, "m", hub=second)
    theirs = publish(other, "n", hub=second).revision
    both = open_hub([first, second])
    assert both.resolve("m").revision == mine
    assert both.resolve("n").revision == theirs
    assert both.tags("m") == {"main": mine}
    assert both.revisions("n") == [theirs]
    assert from_pretrained("n", hub=[first, second.path])["linear/intercept/0"].shape == (2,)


def test_a_later_hub_cannot_take_over_a_tag_or_digest_of_a_name(first, second, linear, other):
    publish(linear, "m", hub=first)
    theirs = publish(other, "m", hub=second, tag="v2").revision
    both = open_hub([first, second])
    for revision in ("v2", theirs, theirs[:12]):
        with pytest.raises(RevisionNotFound):
            both.resolve("m", revision)


def test_a_name_without_main_is_not_looked_up_in_a_later_hub(first, second, linear, other):
    publish(linear, "m", hub=first, tag="v1")
    dc_hub.delete_tag("m", "main", hub=first, force=True)
    publish(other, "m", hub=second)
    with pytest.raises(RevisionNotFound):
        from_pretrained("m", hub=[first, second])
    from_pretrained("m@v1", hub=[first, second])


def test_a_name_that_no_hub_has_is_an_error(first, second):
    with pytest.raises(ModelNotFound):
        from_pretrained("m", hub=[first, second])


def test_a_hub_that_fails_is_never_skipped(tmp_path, second, linear):
    publish(linear, "m", hub=second)
    with pytest.raises(HubUnavailable, match=r"no hub at .*missing"):
        from_pretrained("m", hub=[tmp_path / "missing", second])
    with pytest.raises(HubUnavailable):
        dc_hub.ls(hub=[tmp_path / "missing", second])
    with web.serve(tmp_path) as server:
        server.faults["main.json"] = web.status(403)
        with pytest.raises(HubUnavailable, match="denies access"):
            from_pretrained("m", hub=[server.url, second])


def test_a_damaged_tag_of_the_first_hub_is_an_error(first, second, linear):
    publish(linear, "m", hub=first)
    publish(linear, "m", hub=second)
    (first.path / "m" / "refs" / "main.json").write_text("{}")
    with pytest.raises(dc_hub.errors.ParamsError):
        from_pretrained("m", hub=[first, second])


def test_publishing_goes_to_the_first_hub(first, second, linear, other):
    publish(linear, "m", hub=second)
    publish(other, "m", hub=[first, second])
    publish(linear, "n", hub=[first, second])
    assert (first.names(), second.names()) == (["m", "n"], ["m"])
    with web.serve(second.path) as server, pytest.raises(ReadOnlyHub):
        publish(linear, "m", hub=[server.url, first])


def test_a_bundle_is_unpacked_into_the_first_hub(first, second, linear, other, tmp_path):
    publish(linear, "m", hub=second)
    publish(other, "m", hub=(elsewhere := LocalHub(tmp_path / "elsewhere")))
    dc_hub.bundle(["m"], tmp_path / "m.tar", hub=elsewhere)
    dc_hub.unbundle(tmp_path / "m.tar", hub=[first, second])
    assert first.tags("m") == elsewhere.tags("m") != second.tags("m")


def test_tags_and_models_change_in_the_hub_that_answers(first, second, linear):
    publish(linear, "m", hub=second)
    both = [first, second]
    dc_hub.set_tag("m", "v1", hub=both)
    assert set(dc_hub.list_tags("m", hub=both)) == {"main", "v1"} == set(second.tags("m"))
    dc_hub.delete_tag("m", "v1", hub=both)
    assert set(second.tags("m")) == {"main"}
    dc_hub.rm("m", hub=both)
    assert second.names() == []


def test_lists_are_merged(first, second, linear, other):
    mine = publish(linear, "m", hub=first).revision
    publish(other, "m", hub=second)
    theirs = publish(other, "a", hub=second).revision
    found = dc_hub.ls(hub=[first, second])
    assert [(listing.name, listing.tags["main"]) for listing in found] == [
        ("a", theirs),
        ("m", mine),
    ]
    assert open_hub([first, second]).names() == ["a", "m"]


def test_the_variable_holds_several_hubs(first, second, linear, monkeypatch):
    publish(linear, "m", hub=second)
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", f"{first.path}; {second.path.as_uri()};")
    from_pretrained("m")
    publish(linear, "n")
    assert first.names() == ["n"]
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", str(first.path))
    assert open_hub().path == first.path


def test_one_hub_in_a_list_is_that_hub(first):
    assert open_hub([first]) is first
    with pytest.raises(ParameterError, match="There is no hub"):
        open_hub([])
    with pytest.raises(ParameterError, match="headers"):
        open_hub([first, first], headers={})
    with pytest.raises(HubUnavailable, match="is not a hub"):
        open_hub([first, 7])


def test_a_web_server_with_an_index_says_which_names_it_has(first, second, linear, other):
    publish(linear, "m", hub=first, tag="v1")
    dc_hub.delete_tag("m", "main", hub=first, force=True)
    theirs = publish(other, "n", hub=second).revision
    publish(other, "m", hub=second)
    write_index(first.path)
    with web.serve(first.path) as server:
        both = open_hub([server.url, second])
        assert both.resolve("n").revision == theirs
        with pytest.raises(RevisionNotFound):
            both.resolve("m")


def test_a_web_server_without_an_index_answers_for_names_that_have_main(first, second, linear):
    mine = publish(linear, "m", hub=first, tag="v1").revision
    with web.serve(first.path) as server:
        both = open_hub([server.url, second])
        assert both.resolve("m", "v1").revision == mine
        from_pretrained("m", hub=both)


def test_a_web_server_that_cannot_tell_is_an_error(first, second, linear, other):
    publish(linear, "m", hub=first, tag="v1")
    dc_hub.delete_tag("m", "main", hub=first, force=True)
    publish(other, "m", hub=second)
    with web.serve(first.path) as server:
        with pytest.raises(HubUnavailable, match=r"cannot tell whether it has a model 'm'.*last"):
            from_pretrained("m", hub=[server.url, second])
        from_pretrained("m@v1", hub=[LocalHub(first.path), server.url])
        from_pretrained("m", hub=[second, server.url])


def test_a_pinned_model_in_the_cache_needs_no_server(first, second, linear, monkeypatch):
    revision = publish(linear, "m", hub=first).revision
    with web.serve(first.path) as server:
        both = [server.url, second]
        from_pretrained("m", hub=both)
        asked = len(server.requests)
        from_pretrained("m", revision=revision, hub=both)
        assert len(server.requests) == asked
    monkeypatch.setenv("DEEPCHEM_OFFLINE", "1")
    from_pretrained("m", revision=revision, hub=both)
    with pytest.raises(Offline):
        from_pretrained("m", hub=both)


def test_a_name_that_a_hub_cannot_hold_is_not_in_it(first, second):
    class Other(LocalHub):
        def resolve(self, name, revision=None):
            return dc_hub.StoredModel(name, "a" * 64, self.path)

    assert open_hub([first, Other(second.path)]).resolve("Org/Net").name == "Org/Net"
    with pytest.raises(UnsafePath):
        open_hub([first, Other(second.path)]).resolve("../m")


def test_an_unsafe_hub_is_an_error(first, second, linear, tmp_path):
    publish(linear, "m", hub=second)
    (first.path / "m").symlink_to(tmp_path)
    with pytest.raises(UnsafePath, match="link"):
        from_pretrained("m", hub=[first, second])


def test_a_policy_is_that_of_the_hub_that_answers(first, second, linear, tmp_path, monkeypatch):
    publish(linear, "m", hub=second)
    key = dc_hub.new_key("alice")
    policy = tmp_path / "trust.toml"
    policy.write_text(
        f'version = 1\n[hubs."{second.path.as_posix()}"]\nrequire_signature = ["alice"]\n'
    )
    policy.chmod(0o600)
    monkeypatch.setenv("DEEPCHEM_TRUST", str(policy))
    with pytest.raises(dc_hub.errors.SignatureError):
        from_pretrained("m", hub=[first, second])
    dc_hub.sign("m", key="alice", hub=[first, second])
    from_pretrained("m", hub=[first, second])
    assert key
