"""Hubs on web servers: what arrives is verified, bounded and resumed, whatever the server does."""

import os
import runpy
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dc_hub
from dc_core.errors import ParameterError
from dc_hub import from_pretrained, open_hub, publish
from dc_hub.errors import (
    FileMissing,
    HashMismatch,
    HubUnavailable,
    ModelNotFound,
    Offline,
    ParamsError,
    ReadOnlyHub,
    RevisionNotFound,
)
from dc_hub.format.manifest import CHUNK
from dc_hub.hubs.index import parse_index, write_index
from dc_hub.remote import http
from dc_hub.remote.cache import Cache
from dc_hub.remote.http import HTTPStore
from dc_hub.remote.hub import RemoteHub

web = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("web.py"))))


@pytest.fixture
def served(hub, linear):
    """A server of a hub that holds one small model, ``lab/m``."""
    publish(linear, "lab/m", hub=hub, tag="v1")
    with web.serve(hub.path) as server:
        yield server


@pytest.fixture
def large(hub, models):
    """A server of a hub that holds a model of three chunks, ``big``."""
    X = np.random.default_rng(0).normal(size=(2, 5_000_000))
    model = models["Linear"]()
    model.coefficients, model.intercept = X[:1].T, np.zeros(1)
    publish(model, "big", hub=hub)
    with web.serve(hub.path) as server:
        yield server


@pytest.fixture(autouse=True)
def brisk(monkeypatch):
    monkeypatch.setattr(http, "READ", 2.0)
    monkeypatch.setattr(http, "PAUSE", 0.0)


def weights_of(server, name="big"):
    (file,) = server.root.glob(f"{name}/revisions/*/model.safetensors")
    return file


def test_a_model_is_loaded_from_a_server_as_from_its_directory(served, hub, linear, dataset):
    model = from_pretrained("lab/m", hub=served.url)
    np.testing.assert_array_equal(model.predict(dataset), linear.predict(dataset))
    assert open_hub(served.url).resolve("lab/m").revision == hub.resolve("lab/m").revision


def test_the_default_hub_can_be_a_server(served, dataset, monkeypatch):
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", served.url)
    assert from_pretrained("lab/m@v1").predict(dataset).shape == (20, 2)


def test_a_model_is_fetched_once_and_tags_are_looked_up_each_time(served, dataset):
    for _ in range(3):
        from_pretrained("lab/m", hub=served.url)
    assert served.counts["lab/m/refs/main.json"] == 3
    assert {n for path, n in served.counts.items() if "/revisions/" in path} == {1}


def test_a_full_digest_in_the_cache_needs_no_server(served, hub):
    revision = hub.resolve("lab/m").revision
    from_pretrained("lab/m", hub=served.url, revision=revision)
    asked = len(served.requests)
    from_pretrained("lab/m", hub=served.url, revision=revision)
    assert len(served.requests) == asked


def test_what_a_hub_holds_is_known_without_fetching_files(served, hub):
    remote = open_hub(served.url)
    manifest = remote.manifest(remote.resolve("lab/m", "v1"))
    assert manifest == hub.manifest(hub.resolve("lab/m"))
    assert not remote.cache.has(manifest.revision)
    assert [path.rsplit("/")[-1] for path, _, _ in served.requests] == ["v1.json", "MANIFEST.json"]


def test_a_hub_with_an_index_is_listed_and_takes_prefixes(served, hub):
    write_index(hub.path)
    remote = open_hub(served.url)
    revision = hub.resolve("lab/m").revision
    assert remote.names() == ["lab/m"]
    assert remote.tags("lab/m") == {"main": revision, "v1": revision}
    assert remote.revisions("lab/m") == [revision]
    assert remote.resolve("lab/m", revision[:12]).revision == revision
    assert [listing.name for listing in dc_hub.ls(hub=served.url)] == ["lab/m"]
    with pytest.raises(ModelNotFound, match="lab/other"):
        remote.tags("lab/other")


def test_a_hub_without_an_index_says_how_to_write_one(served):
    with pytest.raises(HubUnavailable, match=r"has no index\.json.*dc-hub index"):
        open_hub(served.url).names()


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"{}",
        b'{"format": "dc-index", "format_version": [1, 0], "models": []}',
        b'{"format": "dc-index", "format_version": [1, 0], "models": {"../x": {}}}',
        b'{"format": "dc-index", "format_version": [1, 0], "models": {"m": {"tags": {}}}}',
        b'{"format": "dc-index", "format_version": [1, 0], "models": {"m": {"tags": [], "x": 1}}}',
        b'{"format": "dc-index", "models": {"m": {"tags": {"main": "7"}, "revisions": []}}}',
        b'{"format": "dc-index", "format_version": [9, 0], "models": {}}',
    ],
)
def test_a_malformed_index_is_a_typed_error(content):
    with pytest.raises(dc_hub.errors.HubError):
        parse_index(content, "index.json")


def test_a_hub_on_a_server_is_read_only(served, linear):
    with pytest.raises(ReadOnlyHub, match="can only be read"):
        publish(linear, "lab/m", hub=served.url)
    for change in (
        lambda: dc_hub.set_tag("lab/m", "v9", hub=served.url),
        lambda: dc_hub.delete_tag("lab/m", "v1", hub=served.url),
        lambda: dc_hub.rm("lab/m", hub=served.url),
    ):
        with pytest.raises(ReadOnlyHub):
            change()


@pytest.mark.parametrize(("name", "revision"), [("lab/m", "v9"), ("none", None), ("m", "a" * 64)])
def test_what_is_not_there_is_a_typed_error(served, name, revision):
    with pytest.raises(RevisionNotFound, match=f"'{name}'"):
        from_pretrained(name, hub=served.url, revision=revision)


# A large file


def test_a_large_file_comes_by_chunks(large, models):
    model = from_pretrained("big", hub=large.url)
    assert isinstance(model, models["Linear"])
    ranges = [wanted for _, wanted, _ in large.requests if wanted]
    assert sorted(int(r[6:].split("-")[0]) for r in ranges) == [0, CHUNK, 2 * CHUNK]


def test_a_server_without_ranges_sends_the_file_once(large):
    large.ranges = False
    from_pretrained("big", hub=large.url)
    whole = [p for p, wanted, _ in large.requests if p.endswith(".safetensors") and not wanted]
    assert len(whole) == 1


def test_a_download_that_was_cut_goes_on_with_the_missing_chunks(large):
    large.faults["model.safetensors"] = lambda handler, data: (
        handler.headers["Range"].startswith(f"bytes={2 * CHUNK}-")
        and web.status(404)(handler, data)
    )
    with pytest.raises(FileMissing):
        from_pretrained("big", hub=large.url)
    large.faults.clear()
    before = large.sent
    from_pretrained("big", hub=large.url)
    assert large.sent - before < CHUNK


def test_a_chunk_that_was_damaged_in_the_cache_is_fetched_again(large, cache):
    large.faults["params.json"] = web.status(404)
    with pytest.raises(FileMissing):
        from_pretrained("big", hub=large.url)
    (partial,) = (cache / "partial").glob("*/model.safetensors")
    with partial.open("r+b") as file:
        file.seek(CHUNK + 5)
        file.write(b"damaged")
    large.faults.clear()
    before = large.sent
    from_pretrained("big", hub=large.url, verify="full")
    assert CHUNK < large.sent - before < 2 * CHUNK


@pytest.mark.needs("process numbers")
def test_a_killed_download_leaves_nothing_that_loads_and_goes_on(large, cache):
    held = threading.Event()

    def hold(handler, data):
        if handler.headers["Range"].startswith(f"bytes={2 * CHUNK}-") and not held.is_set():
            held.set()
            time.sleep(0.3)

    large.faults["model.safetensors"] = hold
    code = f"import dc_hub; h = dc_hub.open_hub({large.url!r}); h.fetch(h.resolve('big'))"
    program = subprocess.Popen([sys.executable, "-c", code])
    assert held.wait(30)
    program.kill()
    program.wait()
    assert list((cache / "models").glob("*")) == []
    (partial,) = (cache / "partial").glob("*/model.safetensors")
    kept, whole = partial.read_bytes(), weights_of(large).read_bytes()
    missing = [
        i for i in range(0, len(whole), CHUNK) if kept[i : i + CHUNK] != whole[i : i + CHUNK]
    ]
    assert 2 * CHUNK in missing
    before = len(large.requests)
    from_pretrained("big", hub=large.url, verify="full")
    assert list((cache / "partial").glob("*")) == []
    asked = [wanted for _, wanted, _ in large.requests[before:] if wanted]
    assert sorted(int(r[6:].split("-")[0]) for r in asked) == missing


def test_processes_that_want_one_model_fetch_it_once(large):
    code = f"import dc_hub; h = dc_hub.open_hub({large.url!r}); h.fetch(h.resolve('big'))"
    programs = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [program.wait(60) for program in programs] == [0] * 4
    assert large.counts["big/refs/main.json"] == 4
    assert sum(wanted is not None for _, wanted, _ in large.requests) == 3


def test_two_that_fetch_side_by_side_leave_one_whole_model(large, cache):
    """Nothing depends on the lease: here each has its own, as if it could not be taken."""
    hub = RemoteHub(HTTPStore(large.url), Cache(cache))
    model = hub.resolve("big")
    partial = cache / "partial" / model.revision
    partial.mkdir(parents=True)

    class NoLease:
        def renew(self):
            pass

    threads = [
        threading.Thread(target=hub._fill, args=(model, None, partial, NoLease())) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hub.cache.path("").mkdir(parents=True)
    hub.cache._move(partial, hub.cache.path(model.revision))
    from_pretrained("big", hub=hub, verify="full")


def test_a_pull_reports_its_progress_and_the_model_then_loads_without_the_server(large):
    told = []
    pulled = dc_hub.pull("big", hub=large.url, report=lambda *numbers: told.append(numbers))
    total = sum(entry.size for entry in open_hub(large.url).manifest(pulled).entries)
    assert {of for _, of in told} == {total}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == total
    before = len(large.requests)
    from_pretrained("big", hub=large.url, revision=pulled.revision)
    assert len(large.requests) == before


def test_the_command_pulls_and_writes_the_index(served, hub, cache):
    def dc_hub_command(*words):
        program = Path(sys.executable).with_name("dc-hub")
        return subprocess.run([program, *words], capture_output=True, text=True)

    assert dc_hub_command("ls", "--hub", served.url).returncode == 2
    assert dc_hub_command("index", str(hub.path)).returncode == 0
    assert dc_hub_command("ls", "--hub", served.url).stdout.split()[3] == "lab/m"
    done = dc_hub_command("pull", "lab/m@v1", "--hub", served.url)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    revision = hub.resolve("lab/m").revision
    assert done.stdout.splitlines()[-1] == str(cache / "models" / revision)


# Servers that misbehave


FAULTS = {
    "another page": (web.page, HubUnavailable),
    "one bit": (web.flipped, HashMismatch),
    "compressed": (web.gzipped, HubUnavailable),
    "denied": (web.status(403), HubUnavailable),
    "failing": (web.status(500), HubUnavailable),
    "no content": (web.status(204), HubUnavailable),
    "cut": (web.cut, HubUnavailable),
    "endless": (web.endless, HashMismatch),
    "redirected to a file": (web.redirect("file:///etc/passwd"), HubUnavailable),
    "redirected in a circle": (web.redirect(lambda handler: handler.path), HubUnavailable),
    "redirected with a password": (web.redirect("http://u:p@127.0.0.1/"), HubUnavailable),
}


@pytest.mark.parametrize(("fault", "error"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("file", ["MANIFEST.json", "params.json", "model.safetensors"])
def test_an_answer_that_is_not_the_file_is_a_typed_error(served, cache, file, fault, error):
    served.faults[file] = fault
    with pytest.raises((error, dc_hub.errors.LimitExceeded, HashMismatch)):
        from_pretrained("lab/m", hub=served.url)
    assert list((cache / "models").glob("*")) == []
    served.faults.clear()
    from_pretrained("lab/m", hub=served.url)


@pytest.mark.parametrize("fault", [web.page, web.gzipped, web.endless])
def test_a_tag_that_is_not_one_is_a_typed_error(served, fault):
    served.faults["main.json"] = fault
    with pytest.raises((ParamsError, HubUnavailable, dc_hub.errors.LimitExceeded)):
        from_pretrained("lab/m", hub=served.url)


def test_another_range_than_was_asked_for_is_a_typed_error(large):
    large.faults["model.safetensors"] = web.other_range
    with pytest.raises(HubUnavailable, match="range 'bytes 0-9/"):
        from_pretrained("big", hub=large.url)


def test_failures_that_pass_are_tried_again(served):
    served.faults["params.json"] = web.times(2, web.status(503))
    served.faults["MANIFEST.json"] = web.times(1, web.cut)
    from_pretrained("lab/m", hub=served.url)


def test_a_server_that_drips_is_given_up(served, monkeypatch):
    monkeypatch.setattr(http, "SLOWEST", 1e12)
    monkeypatch.setattr(http, "GRACE", 0.2)
    served.faults["params.json"] = web.dripping
    with pytest.raises(HubUnavailable, match="slower than"):
        from_pretrained("lab/m", hub=served.url)


def test_a_server_that_is_not_there_is_a_typed_error():
    with pytest.raises(HubUnavailable, match="cannot be read"):
        from_pretrained("lab/m", hub="http://127.0.0.1:9")


@pytest.mark.parametrize("url", ["http://", "http://h/?q", "http://h/#f", "http://u:p@h/"])
def test_a_url_that_is_not_that_of_a_hub_is_a_typed_error(url):
    with pytest.raises(HubUnavailable, match="URL of a hub"):
        open_hub(url)


def test_options_that_servers_do_not_have_are_a_typed_error(served):
    with pytest.raises(ParameterError, match="'token'"):
        open_hub(served.url, token="x")


def test_a_redirect_is_followed_without_the_credentials_of_the_first_host(served, hub):
    with web.serve(hub.path) as other:
        other.faults["params.json"] = web.redirect(lambda handler: f"{served.url}{handler.path}")
        secret = {"Authorization": "Bearer secret"}
        from_pretrained("lab/m", hub=open_hub(other.url, headers=secret))
    sent = {path: "Authorization" in headers for path, _, headers in other.requests}
    assert all(sent.values())
    assert [(p.rsplit("/")[-1], "Authorization" in h) for p, _, h in served.requests] == [
        ("params.json", False)
    ]


@pytest.mark.parametrize(
    "target",
    ["http://hub.example/x", "https://127.0.0.1/x", "https://[::1]/x", "https://localhost/x"],
)
def test_a_public_server_cannot_redirect_into_this_network_or_to_plain_http(target):
    store = HTTPStore("https://hub.example/models")
    with pytest.raises(HubUnavailable, match="redirect"):
        store._redirected("https://hub.example/models/a", target, "a")


# Offline


def test_offline_a_tag_is_an_error_and_a_digest_in_the_cache_is_not(served, hub, monkeypatch):
    revision = hub.resolve("lab/m").revision
    from_pretrained("lab/m", hub=served.url)
    monkeypatch.setenv("DEEPCHEM_OFFLINE", "1")
    asked = len(served.requests)
    with pytest.raises(Offline, match="full digest"):
        from_pretrained("lab/m", hub=served.url)
    from_pretrained("lab/m", hub=served.url, revision=revision)
    with pytest.raises(Offline):
        from_pretrained("lab/m", hub=served.url, revision="b" * 64)
    assert len(served.requests) == asked


def test_a_pinned_model_loads_offline(served, tmp_path, monkeypatch):
    lock = tmp_path / "dchub.lock"
    dc_hub.pin("lab/m@v1", hub=served.url, lock=lock)
    from_pretrained("lab/m", hub=served.url, lock=lock)
    monkeypatch.setenv("DEEPCHEM_OFFLINE", "1")
    from_pretrained("lab/m", hub=served.url, lock=lock)


# The cache


def test_what_was_never_finished_is_collected(cache):
    old, new = cache / "partial" / "a", cache / "partial" / "b"
    for path in (old, new):
        path.mkdir(parents=True)
        (path / "file").write_bytes(b"x")
    for path in (old / "file", old):
        os.utime(path, (1, 1))
    assert Cache(cache).gc() == [old]
    assert not old.exists()
    assert new.exists()


@pytest.mark.needs("a user without rights")
def test_a_cache_that_cannot_be_written_is_a_typed_error(served, cache):
    cache.mkdir()
    cache.chmod(0o500)
    with pytest.raises(ReadOnlyHub):
        from_pretrained("lab/m", hub=served.url)


def test_models_of_equal_content_are_one_in_the_cache(served, hub, linear):
    publish(linear, "copy", hub=hub)
    from_pretrained("lab/m", hub=served.url)
    before = len(served.requests)
    from_pretrained("copy", hub=served.url)
    assert [path for path, _, _ in served.requests[before:]] == ["copy/refs/main.json"]
