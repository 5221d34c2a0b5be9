"""``DEEPCHEM_OFFLINE``: no hub elsewhere is asked, and no tag is answered from memory."""

import runpy
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

import dc_hub
from dc_hub import from_pretrained, open_hub, publish
from dc_hub.errors import Offline

web = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("web.py"))))


@pytest.fixture
def offline(hub, linear, dataset, models, tmp_path, monkeypatch):
    """A server whose model is in the cache and pinned, and has moved since; its old revision."""
    old = publish(linear, "lab/m", hub=hub, tag="v1")
    dc_hub.write_index(hub.path)
    with web.serve(hub.path) as server:
        from_pretrained("lab/m", hub=server.url)
        dc_hub.pin("lab/m", hub=server.url, lock=tmp_path / "dchub.lock")
        publish(models["Linear"](5.0).fit(dataset), "lab/m", hub=hub)
        monkeypatch.setenv("DEEPCHEM_OFFLINE", "1")
        server.revision, server.asked = old.revision, len(server.requests)
        server.lock = tmp_path / "dchub.lock"
        yield server
        assert len(server.requests) == server.asked


NEEDS_THE_HUB = {
    "load a name": lambda url, s: from_pretrained("lab/m", hub=url),
    "load a tag": lambda url, s: from_pretrained("lab/m@v1", hub=url),
    "load a prefix": lambda url, s: from_pretrained(f"lab/m@{s.revision[:12]}", hub=url),
    "load another digest": lambda url, s: from_pretrained("lab/m", hub=url, revision="a" * 64),
    "load a tag with a lock": lambda url, s: from_pretrained("lab/m@main", hub=url, lock=s.lock),
    "list": lambda url, s: dc_hub.ls(hub=url),
    "list tags": lambda url, s: dc_hub.list_tags("lab/m", hub=url),
    "describe": lambda url, s: dc_hub.info("lab/m", hub=url),
    "compare": lambda url, s: dc_hub.diff("lab/m", "lab/m@v1", hub=url),
    "verify": lambda url, s: dc_hub.verify("lab/m", hub=url),
    "verify all": lambda url, s: dc_hub.verify_models(hub=url, everything=True),
    "pull": lambda url, s: dc_hub.pull("lab/m", hub=url),
    "pin": lambda url, s: dc_hub.pin("lab/m", hub=url, lock=s.lock),
    "check pins": lambda url, s: dc_hub.check_pins(hub=url, lock=s.lock),
    "update pins": lambda url, s: dc_hub.update_pins(hub=url, lock=s.lock),
    "bundle": lambda url, s: dc_hub.bundle(["lab/m"], s.lock.with_name("b.tar"), hub=url),
    "bundle all": lambda url, s: dc_hub.bundle(
        [], s.lock.with_name("b.tar"), hub=url, everything=True
    ),
}


@pytest.mark.parametrize("action", NEEDS_THE_HUB.values(), ids=NEEDS_THE_HUB)
def test_what_needs_the_hub_is_an_error_and_asks_nobody(offline, action):
    with pytest.raises(Offline):
        action(offline.url, offline)


NEEDS_THE_CACHE = {
    "load a digest": lambda url, s: from_pretrained(f"lab/m@{s.revision}", hub=url),
    "load what is pinned": lambda url, s: from_pretrained("lab/m", hub=url, lock=s.lock),
    "describe": lambda url, s: dc_hub.info(f"lab/m@{s.revision}", hub=url),
    "verify": lambda url, s: dc_hub.verify(f"lab/m@{s.revision}", hub=url),
    "pull": lambda url, s: dc_hub.pull("lab/m", revision=s.revision, hub=url),
    "pull what is pinned": lambda url, s: dc_hub.pull_pins(hub=url, lock=s.lock),
    "bundle": lambda url, s: dc_hub.bundle(
        [f"lab/m@{s.revision}"], s.lock.with_name("b.tar"), hub=url
    ),
    "verify the cache": lambda url, s: dc_hub.verify_cache(),
    "collect": lambda url, s: dc_hub.gc(hub=url, cache=True),
}


@pytest.mark.parametrize("action", NEEDS_THE_CACHE.values(), ids=NEEDS_THE_CACHE)
def test_what_is_in_the_cache_is_used_by_its_digest_or_pin(offline, action):
    action(offline.url, offline)


def test_the_pinned_model_is_the_one_that_is_loaded(offline, linear):
    assert from_pretrained("lab/m", hub=offline.url, lock=offline.lock).alpha == linear.alpha


def test_a_hub_in_a_directory_is_used_offline(offline, hub):
    assert from_pretrained("lab/m", hub=hub).alpha == 5.0


@pytest.mark.parametrize("value", ["", "0"])
def test_an_empty_variable_or_0_is_online(offline, monkeypatch, value):
    monkeypatch.setenv("DEEPCHEM_OFFLINE", value)
    assert from_pretrained("lab/m", hub=offline.url).alpha == 5.0
    offline.asked = len(offline.requests)


@pytest.fixture
def bucket(buckets):
    """The URL of a hub in a bucket of the test's own."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    buckets.create_bucket(Bucket=name)
    return f"s3://{name}/team"


def test_a_bucket_is_not_asked_offline(bucket, linear, monkeypatch):
    revision = publish(linear, "m", hub=bucket).revision
    from_pretrained("m", hub=bucket)
    monkeypatch.setenv("DEEPCHEM_OFFLINE", "1")
    remote = open_hub(bucket)
    for action in (
        remote.names,
        lambda: remote.tags("m"),
        lambda: remote.resolve("m"),
        lambda: publish(linear, "m", hub=remote),
        lambda: dc_hub.set_tag("m", "v1", hub=remote, revision=revision),
        lambda: remote.remove("m"),
    ):
        with pytest.raises(Offline):
            action()
    from_pretrained("m", hub=remote, revision=revision)
