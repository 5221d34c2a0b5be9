"""Hubs on web servers: what arrives is verified, bounded and resumed, whatever the server does."""

import hashlib
import os
import runpy
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
    LockTimeout,
    ModelNotFound,
    Offline,
    ParamsError,
    ReadOnlyHub,
    RevisionNotFound,
    UnsafePath,
)
from dc_hub.files import lease as lease_module
from dc_hub.files.lease import Lease
from dc_hub.format.manifest import CHUNK, Entry, Manifest
from dc_hub.hubs.catalogue import write_index
from dc_hub.hubs.index import parse_index
from dc_hub.loading.opening import look_into
from dc_hub.remote import cache as cache_module
from dc_hub.remote import http, retrying
from dc_hub.remote import hub as hub_module
from dc_hub.remote.cache import Cache
from dc_hub.remote.download import download as download_files
from dc_hub.remote.http import HTTPStore
from dc_hub.remote.store import RangesUnsupported

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
    monkeypatch.setattr(retrying, "PAUSE", 0.0)


def weights_of(server, name="big"):
    (file,) = server.root.glob(f"{name}/revisions/*/model.safetensors")
    return file


def test_a_model_is_loaded_from_a_server_as_from_its_directory(served, hub, linear, dataset):
    model = from_pretrained("lab/m", hub=served.url)
    np.testing.assert_array_equal(model.predict(dataset), linear.predict(dataset))
    assert open_hub(served.url).resolve("lab/m").revision == hub.resolve("lab/m").revision


def test_a_file_without_ranges_that_breaks_in_the_middle_is_asked_for_again(large):
    large.ranges = False
    large.faults["model.safetensors"] = web.times(2, web.cut)
    from_pretrained("big", hub=large.url)
    name = weights_of(large).relative_to(large.root).as_posix()
    assert large.counts[name] >= 3


def test_a_file_without_ranges_that_always_breaks_is_a_typed_error(large):
    large.ranges = False
    large.faults["model.safetensors"] = web.cut
    with pytest.raises(HubUnavailable, match=r"cannot be read: .*bytes"):
        from_pretrained("big", hub=large.url)


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


def test_a_hub_on_a_server_is_searched_by_its_index_alone(served, hub):
    write_index(hub.path)
    (found,) = dc_hub.search("lab", hub=served.url)
    assert found == dc_hub.summary("lab/m", hub=hub)
    assert [path.rsplit("/")[-1] for path, _, _ in served.requests] == ["index.json"]


def test_a_summary_and_a_lineage_of_a_model_on_a_server_fetch_no_weights(served, hub):
    write_index(hub.path)
    assert dc_hub.summary("lab/m", hub=served.url) == dc_hub.summary("lab/m", hub=hub)
    assert dc_hub.lineage("lab/m", hub=served.url) == dc_hub.lineage("lab/m", hub=hub)
    assert "model.safetensors" not in {path.rsplit("/")[-1] for path, _, _ in served.requests}


def test_without_an_index_a_lineage_has_ancestors_and_says_that_it_is_not_complete(served, hub):
    found = dc_hub.lineage("lab/m", hub=served.url)
    assert (found.model.name, found.complete) == ("lab/m", False)
    with pytest.raises(HubUnavailable, match=r"index\.json"):
        dc_hub.search(hub=served.url)


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


def test_a_server_that_sends_ranges_no_longer_is_counted_once(large):
    def last(handler, data):
        if handler.headers["Range"]:
            handler.server.web.ranges = handler.headers["Range"].startswith("bytes=0-")

    large.faults["model.safetensors"] = last
    told = []
    dc_hub.pull("big", hub=large.url, report=lambda *numbers: told.append(numbers))
    assert told[-1][0] == told[-1][1]


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


def test_some_that_fetch_side_by_side_leave_one_whole_model(large, monkeypatch):
    """Nothing depends on the lease: here each gets it at once, as if it had been broken."""

    @contextmanager
    def taken(path, *, wait):
        yield Lease(path, "")

    monkeypatch.setattr(cache_module, "lease", taken)
    starts = threading.Barrier(4)
    slow = iter((0.0, 0.05, 0.1, 0.4) * 20)
    large.faults["model.safetensors"] = lambda handler, data: time.sleep(next(slow))

    def go(_):
        hub = open_hub(large.url)
        model = hub.resolve("big")
        starts.wait(30)
        return hub.fetch(model).revision

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(go, range(4)))) == 1
    from_pretrained("big", hub=large.url, verify="full")


def test_a_fetch_that_ends_after_another_has_moved_the_model_is_well(cache):
    """What happens if the lease was broken between two chunks."""

    def fill(partial):
        other = Cache(cache)
        other._fill("a" * 64, lambda folder: (folder / "file").write_bytes(b"x"), None)
        (partial / "second").write_bytes(b"x")  # its directory is no longer there

    final = Cache(cache).add("a" * 64, fill, wait=1.0)
    assert [path.name for path in final.iterdir()] == ["file"]


def test_a_lease_lasts_as_long_as_a_slow_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(lease_module, "TERM", 0.2)
    with lease_module.lease(tmp_path / "lock") as mine, mine.renewed():
        with (
            pytest.raises(LockTimeout),
            lease_module.lease(tmp_path / "lock", wait=0.8),
        ):
            raise AssertionError
        assert mine.held()


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


def test_a_model_that_was_damaged_in_the_cache_is_fetched_again_by_a_pull(served, cache, caplog):
    pulled = dc_hub.pull("lab/m", hub=served.url)
    file = pulled.path / "params.json"
    file.write_bytes(file.read_bytes().replace(b"0.1", b"0.2"))
    with pytest.raises(HashMismatch):
        from_pretrained("lab/m", hub=served.url)
    dc_hub.pull("lab/m", hub=served.url)
    assert "lab/m is fetched again" in caplog.text
    from_pretrained("lab/m", hub=served.url)
    before = len(served.requests)
    dc_hub.pull("lab/m", hub=served.url, revision=pulled.revision)
    assert len(served.requests) == before
    assert Cache(cache).revisions() == [pulled.revision]


def test_a_model_that_cannot_be_fetched_again_is_not_removed_from_the_cache(
    served, cache, monkeypatch
):
    pulled = dc_hub.pull("lab/m", hub=served.url)

    def unreadable(*_):
        raise HubUnavailable("Too many open files.")

    with monkeypatch.context() as patch:
        patch.setattr(hub_module, "verify_directory", unreadable)
        with pytest.raises(HubUnavailable, match="open files"):
            dc_hub.pull("lab/m", hub=served.url)
    from_pretrained("lab/m", hub=served.url)
    (pulled.path / "params.json").write_bytes(b"{}")
    monkeypatch.setenv("DEEPCHEM_OFFLINE", "1")
    with pytest.raises(Offline):
        dc_hub.pull("lab/m", hub=served.url, revision=pulled.revision)
    assert (pulled.path / "model.safetensors").exists()


def test_the_command_pulls_and_writes_the_index(served, hub, cache):
    def dc_hub_command(*words):
        program = Path(sys.executable).with_name("dc-hub")
        return subprocess.run([program, *words], capture_output=True, text=True)

    assert dc_hub_command("index", str(hub.path)).returncode == 0
    assert [listing.name for listing in dc_hub.ls(hub=served.url)] == ["lab/m"]
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
    served.faults["model.safetensors"] = web.times(1, web.cut)
    from_pretrained("lab/m", hub=served.url)


def test_a_server_that_drips_is_given_up(served, monkeypatch):
    monkeypatch.setattr(http, "SLOWEST", 1e12)
    monkeypatch.setattr(http, "GRACE", 0.2)
    served.faults["params.json"] = web.dripping
    with pytest.raises(HubUnavailable, match="slower than"):
        from_pretrained("lab/m", hub=served.url)


def test_a_server_whose_headers_drip_is_given_up(served, monkeypatch):
    monkeypatch.setattr(http, "GRACE", 0.2)
    served.faults["params.json"] = web.dripping_headers
    before = time.monotonic()
    with pytest.raises(HubUnavailable, match="timed out"):
        from_pretrained("lab/m", hub=served.url)
    assert time.monotonic() - before < 10


def test_a_server_that_is_not_there_is_a_typed_error():
    with pytest.raises(HubUnavailable, match=r"cannot be read: 127\.0\.0\.1:9: "):
        from_pretrained("lab/m", hub="http://127.0.0.1:9")


@pytest.mark.parametrize(
    "url",
    ["http://", "http://h/?q", "http://h/#f", "http://u:p@h/", "http://[::1", "http://h:99999"],
)
def test_a_url_that_is_not_that_of_a_hub_is_a_typed_error(url):
    with pytest.raises(HubUnavailable, match="URL of a hub"):
        open_hub(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://u:secret@h/",
        "http:/u:secret@h/",
        "http://h/?token=secret",
        "ftp://u:secret@h/",
        "s3://u:secret@bucket/",
        "s3:u:secret@bucket",
        "file://u:secret@h/",
    ],
)
def test_credentials_in_a_url_are_in_no_message(url):
    with pytest.raises(HubUnavailable) as caught:
        open_hub(url)
    assert "secret" not in f"{caught.value} {caught.value.path}"


@pytest.mark.parametrize("headers", [3, {"A": "secret\r\nB: c"}, {"A": None}, {"A": "\u20ac"}])
def test_headers_that_cannot_be_sent_are_a_typed_error(headers):
    with pytest.raises(ParameterError, match="headers=") as caught:
        open_hub("http://127.0.0.1:9", headers=headers)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "target",
    [
        "http://[::1",
        "http://127.0.0.1:99999/x?signature=secret",
        "http://:secret@127.0.0.1/x",
        "//h:secret/",
    ],
)
def test_a_redirect_to_nowhere_is_a_typed_error(served, target):
    served.faults["main.json"] = web.redirect(target)
    with pytest.raises(HubUnavailable, match="redirect") as caught:
        from_pretrained("lab/m", hub=served.url)
    assert target == "//h:secret/" or "secret" not in str(caught.value)


def test_a_redirect_with_a_body_of_unknown_length_is_followed(served):
    served.faults["main.json"] = web.chunked(302, {"Location": "/lab/m/refs/v1.json"})
    from_pretrained("lab/m", hub=served.url)


def test_bodies_of_unknown_length_are_read_and_the_connection_is_used_again(served):
    served.faults["json"] = served.faults["model.safetensors"] = web.chunked(200)
    from_pretrained("lab/m", hub=served.url)
    assert max(served.counts.values()) == 1


def test_the_connection_of_an_answer_without_content_is_used_again(served):
    def redirect(handler, data):
        connections.append(handler.client_address)
        handler.answer(302, b"", {"Location": "/target"})
        return True

    connections = []
    served.faults["lab"] = redirect
    (served.root / "target").write_bytes(b"content")
    store = http.HTTPStore(served.url)
    assert [store.read("lab", 7) for _ in range(3)] == [b"content"] * 3
    assert len(set(connections)) == 1


def test_a_length_that_is_no_number_is_well_or_a_typed_error(served):
    served.faults["main.json"] = web.nonsense_length
    from_pretrained("lab/m", hub=served.url)


def test_options_that_servers_do_not_have_are_a_typed_error(served):
    with pytest.raises(ParameterError, match="'token'"):
        open_hub(served.url, token="x")
    for hub in (None, open_hub(served.url), served.root):
        with pytest.raises(ParameterError, match="'headers'"):
            open_hub(hub, headers={"A": "b"})


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
    dc_hub.pin("lab/m@v1", hub=open_hub(served.url), lock=lock)
    assert dc_hub.read_lock(lock)["lab/m"].hub == served.url
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


@pytest.mark.needs("file owners")
@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to])
@pytest.mark.parametrize("file", ["model.safetensors", "MANIFEST.json"])
def test_a_link_planted_where_a_model_is_fetched_is_not_written_through(
    served, hub, cache, tmp_path, make, file
):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    partial = cache / "partial" / hub.resolve("lab/m").revision
    partial.mkdir(parents=True)
    make(partial / file, victim)
    from_pretrained("lab/m", hub=served.url, verify="full")
    assert victim.read_bytes() == b"precious"


@pytest.mark.needs("file owners")
def test_a_link_in_the_place_of_the_folder_is_a_typed_error(served, hub, cache, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (cache / "partial").mkdir(parents=True)
    (cache / "partial" / hub.resolve("lab/m").revision).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafePath, match="is a link"):
        from_pretrained("lab/m", hub=served.url)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.needs("FIFOs")
def test_a_fifo_planted_where_a_model_is_fetched_does_not_hang(served, hub, cache):
    partial = cache / "partial" / hub.resolve("lab/m").revision
    partial.mkdir(parents=True)
    os.mkfifo(partial / "params.json")
    from_pretrained("lab/m", hub=served.url, verify="full")


def test_small_files_come_side_by_side(tmp_path):
    entries = []
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(name.encode())
        digest = hashlib.sha256(name.encode()).hexdigest()
        entries.append(Entry(name, 1, digest, (digest,)))
    (tmp_path / "there").mkdir()
    together = threading.Barrier(3)
    with web.serve(tmp_path) as server:
        server.faults[""] = lambda handler, data: together.wait(10) < 0
        store = HTTPStore(server.url)
        manifest = Manifest(tuple(entries))
        download_files(store, "", manifest, tmp_path / "there", report=lambda count: None)
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == [
        "MANIFEST.json",
        *("a", "b", "c"),
    ]


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1])
@pytest.mark.parametrize("ranges", [True, False])
def test_files_of_every_size_come(tmp_path, size, ranges):
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "file").write_bytes(data)
    digests = tuple(hashlib.sha256(data[i : i + CHUNK]).hexdigest() for i in range(0, size, CHUNK))
    entry = Entry("file", size, hashlib.sha256(data).hexdigest(), digests)
    (tmp_path / "there").mkdir()
    with web.serve(tmp_path) as server:
        server.ranges = ranges
        download_files(
            HTTPStore(server.url),
            "",
            Manifest((entry,)),
            tmp_path / "there",
            report=lambda count: None,
        )
    assert (tmp_path / "there" / "file").read_bytes() == data


class Ending(HTTPStore):
    """Sends whole files only, and ends them early without an error."""

    def stream(self, path, size, start=0, stop=None):
        if (start, stop) not in ((0, size), (0, None)):
            raise RangesUnsupported
        sent = 0
        for piece in super().stream(path, size):
            sent += len(piece)
            if sent > size // 2:
                return
            yield piece


def test_a_store_that_ends_early_leaves_no_file_with_holes(large, hub, tmp_path):
    stored = hub.resolve("big")
    base = f"big/revisions/{stored.revision}"
    with pytest.raises(HashMismatch, match="something else"):
        download_files(
            Ending(large.url),
            base,
            hub.manifest(stored),
            tmp_path,
            report=lambda count: None,
        )


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


def test_a_model_is_described_without_its_weights(large, hub):
    found = dc_hub.info("big", hub=large.url)
    assert found.weights == dc_hub.info("big", hub=hub).weights
    assert found.files == dc_hub.info("big", hub=hub).files
    assert large.sent < CHUNK + 100_000
    assert not open_hub(large.url).cache.has(found.revision)


def test_a_server_that_changes_what_is_described_is_noticed(large):
    large.faults[".safetensors"] = web.flipped
    with pytest.raises(HashMismatch):
        dc_hub.info("big", hub=large.url)


def test_a_server_without_ranges_describes_a_model_and_sends_no_more_than_it_must(large):
    large.ranges = False
    assert set(dc_hub.info("big", hub=large.url).weights) == {
        "linear/coefficients/0",
        "linear/intercept/0",
    }


def test_models_are_compared_without_their_weights(large, hub, models):
    before, after = models["Linear"](), models["Linear"]()
    before.coefficients = np.random.default_rng(0).normal(size=(5_000_000, 1))
    before.intercept = np.zeros(1)
    after.coefficients, after.intercept = before.coefficients.copy(), before.intercept
    after.coefficients[0] += 1.0
    publish(before, "before", hub=hub)
    publish(after, "after", hub=hub, metadata={"metrics": {"rmse": 1.0}})
    large.sent = 0
    found = dc_hub.diff("before", "after", hub=large.url)
    assert [change.where for change in found.record] == ["metadata.metrics"]
    assert [(c.where, c.unread) for c in found.weights] == [("linear/coefficients/0", True)]
    assert large.sent < 2 * CHUNK + 100_000
    assert dc_hub.diff("before", "before", hub=large.url).identical
    (change,) = dc_hub.diff("before", "after", hub=large.url, fetch=True).weights
    assert (change.differing, change.largest) == (1, pytest.approx(1.0))


def test_an_array_of_a_model_elsewhere_is_read_by_the_chunks_it_is_in(large, hub):
    with look_into("big", hub=large.url) as there, look_into("big", hub=hub) as here:
        name = "coefficients"
        np.testing.assert_array_equal(there.weights.read(name), here.weights[name])
        np.testing.assert_array_equal(there.weights[name], here.weights[name])


def busy(seconds):
    """Answer that there were too many requests, and when to come again."""

    def fault(handler, data):
        handler.answer(429, b"slow down", {"Retry-After": seconds})
        return True

    return fault


def test_a_server_that_asks_to_wait_is_asked_again_after_that_time(served, linear):
    served.faults["params.json"] = web.times(1, busy("1"))
    before = time.monotonic()
    assert from_pretrained("lab/m", hub=served.url).alpha == linear.alpha
    assert time.monotonic() - before >= 1


@pytest.mark.parametrize(("told", "said"), [("3600", "wait 3600 s"), ("soon", "answers 429")])
def test_nobody_waits_for_an_hour_or_for_nonsense(served, told, said):
    served.faults["refs"] = busy(told)
    before = time.monotonic()
    with pytest.raises(HubUnavailable, match=said):
        from_pretrained("lab/m", hub=served.url)
    assert time.monotonic() - before < 20
