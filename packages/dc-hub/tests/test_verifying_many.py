"""Verifying many models: all damaged ones are listed, and cached ones are repaired."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

import dc_hub
from dc_hub import publish, save, verify_cache, verify_models
from dc_hub.errors import HubUnavailable, ModelNotFound
from dc_hub.remote.cache import Cache

web = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("web.py"))))


def damage(path, file="model.safetensors"):
    data = (path / file).read_bytes()
    (path / file).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.fixture
def three(hub, models, dataset):
    """Three revisions of two models; two of them are damaged, each in its own way."""
    old = publish(models["Linear"](1.0).fit(dataset), "a", hub=hub)
    new = publish(models["Linear"](2.0).fit(dataset), "a", hub=hub)
    other = publish(models["Linear"](3.0).fit(dataset), "lab/b", hub=hub)
    damage(old.path)
    (other.path / "params.json").unlink()
    return old, new, other


def test_every_damaged_model_of_a_hub_is_listed(hub, three):
    old, new, other = three
    counted = []
    found = verify_models(hub=hub, everything=True, report=lambda *n: counted.append(n))
    errors = {model.revision: model.error for model in found}
    assert errors[new.revision] == ""
    assert errors[old.revision].startswith("HashMismatch")
    assert errors[other.revision].startswith("FileMissing")
    assert [model.intact for model in found].count(False) == 2
    assert counted == [(1, 3), (2, 3), (3, 3)]


def test_names_and_directories_are_verified_together(hub, three, linear, tmp_path):
    saved = save(linear, tmp_path / "model")
    found = verify_models(["a", "lab/b", str(tmp_path / "model")], hub=hub)
    assert [model.intact for model in found] == [True, False, True]
    assert found[2].revision == saved.revision


def test_what_does_not_exist_is_an_error_and_no_damage(hub, three):
    with pytest.raises(ModelNotFound):
        verify_models(["a", "none"], hub=hub)
    with pytest.raises(HubUnavailable):
        verify_models(everything=True, hub="/no/such/hub")


@pytest.fixture
def cached(hub, models, dataset):
    """A server, and two models of it in the cache."""
    for alpha, name in ((1.0, "a"), (2.0, "lab/b")):
        publish(models["Linear"](alpha).fit(dataset), name, hub=hub)
    with web.serve(hub.path) as server:
        server.pulled = [dc_hub.pull(name, hub=server.url) for name in ("a", "lab/b")]
        yield server


def test_a_damaged_model_in_the_cache_is_fetched_again_from_where_it_came(cached):
    damage(cached.pulled[1].path)
    assert sorted(m.name for m in verify_cache() if m.intact) == ["a"]
    found = {model.name: model for model in verify_cache(repair=True)}
    assert (found["lab/b"].repaired, found["a"].repaired) == (True, False)
    assert all(model.intact for model in verify_cache())


def test_a_damaged_model_is_fetched_again_from_the_hub_that_is_given(cached, hub):
    damage(cached.pulled[0].path)
    with web.serve(hub.path) as other:
        assert all(model.intact for model in verify_cache(hub=other.url, repair=True))
        assert any(path.endswith("model.safetensors") for path in other.counts)


def test_a_model_that_cannot_be_fetched_again_stays_and_the_others_are_repaired(cached, hub):
    for pulled in cached.pulled:
        damage(pulled.path)
    dc_hub.rm("a", hub=hub)
    found = {model.name: model for model in verify_cache(repair=True)}
    assert found["lab/b"].repaired
    assert not found["a"].intact
    assert "It was not repaired" in found["a"].error


def test_nothing_is_lost_by_a_repair_offline(cached, cache, monkeypatch):
    damage(cached.pulled[0].path)
    monkeypatch.setenv("DEEPCHEM_OFFLINE", "1")
    (damaged,) = (model for model in verify_cache(repair=True) if not model.intact)
    assert "Offline" in damaged.error
    assert cached.pulled[0].path.is_dir()


@pytest.mark.parametrize("note", [b"", b"x", b"http://h\n../x\n", b"\x1b[2J\na\n", b"\xff\n\xff\n"])
def test_a_note_of_an_origin_that_makes_no_sense_is_ignored(cached, cache, note):
    revision = cached.pulled[0].revision
    (cache / "used" / revision).write_bytes(note)
    damage(cached.pulled[0].path)
    (damaged,) = (model for model in verify_cache(repair=True) if not model.intact)
    assert "not known where" in damaged.error
    assert Cache(cache).has(revision)


def test_a_name_in_a_remote_hub_is_repaired_too(cached):
    damage(cached.pulled[0].path)
    assert not verify_models(["a"], hub=cached.url)[0].intact
    assert verify_models(["a"], hub=cached.url, repair=True)[0].repaired


def test_what_a_server_sends_wrong_is_damage(hub, linear):
    damage(publish(linear, "m", hub=hub).path)
    with web.serve(hub.path) as server:
        (found,) = verify_models(["m"], hub=server.url)
    assert found.error.startswith("HashMismatch")


# The command


def test_the_command_lists_all_that_is_damaged_and_exits_with_one(run, hub, three):
    code, out, err = run("verify", "--all", "--hub", hub.path)
    assert (code, err) == (1, "")
    assert out.count("failed") == 2
    assert out.count("verified") == 1
    code, out, _ = run("verify", "--all", "--json", "--hub", hub.path)
    assert code == 1
    assert [model["intact"] for model in json.loads(out)].count(False) == 2
    assert run("verify", "a", "--hub", hub.path)[0] == 0
    assert run("verify", "none", "--hub", hub.path)[0] == 2
    assert run("verify", "--hub", hub.path)[0] == 2


def test_the_command_repairs_the_cache(run, cached):
    damage(cached.pulled[0].path)
    assert run("verify", "--cache")[0] == 1
    code, out, _ = run("verify", "--cache", "--repair")
    assert code == 0
    assert "repaired  a" in out
    assert run("verify", "--cache")[0] == 0
