"""Hubs in buckets: published by conditional writes, on a server of the protocol on loopback."""

import dataclasses
import json
import runpy
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from time import time
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
    LimitExceeded,
    ModelNotFound,
    Offline,
    ReadOnlyHub,
    RevisionNotFound,
    RevisionTagged,
    SignatureError,
    TagMoved,
)
from dc_hub.format.filenames import MANIFEST, SIGNATURE
from dc_hub.format.signatures import parse_signatures
from dc_hub.remote import buckets as buckets_module
from dc_hub.remote import http, retrying
from dc_hub.remote import s3 as s3_module
from dc_hub.remote.buckets import Refused
from dc_hub.remote.s3 import S3Store
from dc_hub.remote.store import RangesUnsupported

botocore = pytest.importorskip("botocore", reason="boto3 is not installed")
web = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("web.py"))))
boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
server = pytest.importorskip("moto.server", reason="moto's server is not installed")


@pytest.fixture
def bucket(buckets):
    """A bucket of the test's own; the client of it."""
    client = buckets
    client.create_bucket(Bucket="models")
    yield client
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="models"):
        for found in page.get("Contents", ()):
            client.delete_object(Bucket="models", Key=found["Key"])
    client.delete_bucket(Bucket="models")


URL = "s3://models/team"


@pytest.fixture
def s3(bucket):
    return open_hub(URL)


def keys(bucket):
    return sorted(found["Key"] for found in bucket.list_objects_v2(Bucket="models")["Contents"])


def test_a_model_is_published_to_a_bucket_and_loaded_from_it(bucket, linear, dataset, monkeypatch):
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", URL)
    published = publish(linear, "lab/m", tag="v1")
    model = from_pretrained("lab/m@v1")
    np.testing.assert_array_equal(model.predict(dataset), linear.predict(dataset))
    base = f"team/lab/m/revisions/{published.revision}/"
    assert f"{base}{MANIFEST}" in keys(bucket)
    assert {key for key in keys(bucket) if not key.startswith(base)} == {
        "team/lab/m/refs/main.json",
        "team/lab/m/refs/v1.json",
    }


def test_a_revision_has_the_same_digest_in_every_kind_of_hub(s3, hub, linear):
    in_bucket = publish(linear, "m", hub=s3).revision
    assert publish(linear, "m", hub=hub).revision == in_bucket
    assert publish(linear, "m", hub=s3).revision == in_bucket
    assert s3.manifest(s3.resolve("m")) == hub.manifest(hub.resolve("m"))


def test_what_a_bucket_holds_is_listed(s3, linear, models, dataset):
    first = publish(linear, "lab/m", hub=s3, tag="v1").revision
    second = publish(models["Linear"](5.0).fit(dataset), "lab/m", hub=s3).revision
    publish(linear, "other", hub=s3)
    assert s3.names() == ["lab/m", "other"]
    assert s3.tags("lab/m") == {"main": second, "v1": first}
    assert s3.revisions("lab/m") == sorted([first, second])
    assert s3.resolve("lab/m", first[:12]).revision == first
    for call in (lambda: s3.tags("none"), lambda: s3.revisions("none")):
        with pytest.raises(ModelNotFound, match="'none'"):
            call()
    with pytest.raises(RevisionNotFound):
        from_pretrained("none", hub=s3)


def test_a_large_file_comes_by_chunks(s3, models):
    model = models["Linear"]()
    model.coefficients, model.intercept = np.zeros((5_000_000, 1)), np.zeros(1)
    publish(model, "big", hub=s3)
    assert from_pretrained("big", hub=s3)["linear/coefficients/0"].shape == (5_000_000, 1)


def test_a_revision_without_its_manifest_is_not_there(s3, bucket, linear):
    revision = publish(linear, "m", hub=s3, tag="v1").revision
    bucket.delete_object(Bucket="models", Key=f"team/m/revisions/{revision}/{MANIFEST}")
    assert s3.names() == []
    with pytest.raises(RevisionNotFound):
        from_pretrained("m", hub=s3)
    publish(linear, "m", hub=s3)
    from_pretrained("m", hub=s3)


def test_a_publication_that_fails_moves_no_tag(s3, bucket, linear, models, dataset, monkeypatch):
    first = publish(linear, "m", hub=s3).revision

    def fail(self, path, data, **options):
        raise HubUnavailable("The network is gone.")

    with monkeypatch.context() as patch:
        patch.setattr(S3Store, "write", fail)
        with pytest.raises(HubUnavailable):
            publish(models["Linear"](3.0).fit(dataset), "m", hub=s3)
    assert s3.revisions("m") == [first]
    assert s3.resolve("m").revision == first


def test_of_two_that_move_a_tag_at_once_one_is_told(s3, linear, models, dataset, monkeypatch):
    publish(linear, "m", hub=s3)
    other = open_hub(URL)
    sealed = type(s3)._upload
    published = []

    def meanwhile(self, directory, base):
        sealed(self, directory, base)
        if self is s3:
            published.append(publish(models["Linear"](7.0).fit(dataset), "m", hub=other).revision)

    monkeypatch.setattr(type(s3), "_upload", meanwhile)
    with pytest.raises(TagMoved, match="'main'"):
        publish(models["Linear"](3.0).fit(dataset), "m", hub=s3)
    assert s3.resolve("m").revision == published[0]
    assert len(s3.revisions("m")) == 3


def test_many_that_publish_at_once_lose_nothing(s3, models, dataset):
    fitted = [models["Linear"](float(i + 1)).fit(dataset) for i in range(4)]
    told = []

    def go(model):
        try:
            publish(model, "m", hub=open_hub(URL))
        except TagMoved:
            told.append(model)

    threads = [threading.Thread(target=go, args=(model,)) for model in fitted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(s3.revisions("m")) == 4
    assert s3.resolve("m").revision in s3.revisions("m")
    assert len(told) < 4


def test_tags_are_set_moved_and_deleted(s3, linear, models, dataset):
    first = publish(linear, "m", hub=s3).revision
    second = publish(models["Linear"](5.0).fit(dataset), "m", hub=s3).revision
    dc_hub.set_tag(f"m@{first}", "lts", hub=s3)
    with pytest.raises(TagMoved):
        dc_hub.set_tag(f"m@{second}", "lts", hub=s3)
    dc_hub.move_tag(f"m@{second}", "lts", hub=s3)
    assert s3.tags("m") == {"lts": second, "main": second}
    dc_hub.delete_tag("m", "lts", hub=s3)
    assert s3.tags("m") == {"main": second}
    with pytest.raises(RevisionNotFound):
        dc_hub.delete_tag("m", "lts", hub=s3)
    with pytest.raises(RevisionNotFound):
        s3.move_tag("m", "x", "a" * 64, expected=None)


def second_of(hub):
    """The same hub, as another process has it."""
    return open_hub(hub.store.url)


def test_what_is_removed_while_it_is_published_is_stored_again(s3, linear, dataset, monkeypatch):
    publish(linear, "m", hub=s3, tag="v1")
    revision = s3.resolve("m").revision
    dc_hub.rm("m", hub=s3)
    move = s3._move

    def meanwhile(name, tag, digest, before):
        if tag == "main":
            second_of(s3).remove("m", digest)
        move(name, tag, digest, before)

    monkeypatch.setattr(s3, "_move", meanwhile)
    publish(linear, "m", hub=s3)
    assert s3.tags("m") == {"main": revision}
    assert from_pretrained("m", hub=s3).predict(dataset).shape == (20, 2)


def test_what_is_removed_with_its_tags_while_it_is_published_is_stored_again(
    s3, linear, dataset, monkeypatch
):
    upload, removals = s3._repair, [1]

    def meanwhile(*arguments):
        if removals.pop():
            second_of(s3).remove("m", remove_tags=True)
            removals.append(0)
        upload(*arguments)

    monkeypatch.setattr(s3, "_repair", meanwhile)
    revision = publish(linear, "m", hub=s3).revision
    assert s3.tags("m") == {"main": revision}
    assert from_pretrained("m", hub=s3).predict(dataset).shape == (20, 2)


def test_a_publish_that_is_removed_again_and_again_is_a_typed_error(s3, linear, monkeypatch):
    monkeypatch.setattr(retrying, "PAUSE", 0.0)
    upload = s3._upload

    def removed(directory, base):
        upload(directory, base)
        s3.store.delete(f"{base}/{MANIFEST}")

    monkeypatch.setattr(s3, "_upload", removed)
    with pytest.raises(HubUnavailable, match=r"somebody else removes MANIFEST\.json"):
        publish(linear, "m", hub=s3)


def test_a_revision_that_is_tagged_while_it_is_removed_is_kept(s3, linear, monkeypatch):
    revision = publish(linear, "m", hub=s3).revision
    dc_hub.delete_tag("m", "main", hub=s3, force=True)
    delete = s3.store.delete

    def meanwhile(path, **options):
        if path.endswith(MANIFEST):
            second_of(s3).move_tag("m", "v1", revision, expected=None)
        delete(path, **options)

    monkeypatch.setattr(s3.store, "delete", meanwhile)
    with pytest.raises(RevisionTagged, match="v1"):
        s3.remove("m", revision)
    assert from_pretrained("m@v1", hub=s3) is not None


@pytest.mark.parametrize("before", [False, True])
def test_a_tag_is_not_left_on_what_is_removed_meanwhile(
    s3, linear, models, dataset, monkeypatch, before
):
    first = publish(linear, "m", hub=s3).revision
    second = publish(models["Linear"](5.0).fit(dataset), "m", hub=s3).revision
    if before:
        s3.move_tag("m", "v1", second, expected=None)
    move = s3._move

    def meanwhile(name, tag, digest, then):
        if digest == first:
            second_of(s3).remove("m", first)
        move(name, tag, digest, then)

    monkeypatch.setattr(s3, "_move", meanwhile)
    with pytest.raises(RevisionNotFound):
        s3.move_tag("m", "v1", first, expected=second if before else None)
    assert s3.tags("m") == {"main": second} | ({"v1": second} if before else {})


def test_a_revision_that_is_published_again_while_it_is_removed_is_kept(
    s3, linear, dataset, monkeypatch
):
    revision = publish(linear, "m", hub=s3).revision
    dc_hub.delete_tag("m", "main", hub=s3, force=True)
    delete, again = s3.store.delete, [True]

    def meanwhile(path, **options):
        delete(path, **options)
        if not path.endswith(MANIFEST) and again.pop():
            publish(linear, "m", hub=second_of(s3))
            again.append(False)

    monkeypatch.setattr(s3.store, "delete", meanwhile)
    s3.remove("m", revision)
    assert s3.resolve("m").revision == revision
    assert from_pretrained("m", hub=s3).predict(dataset).shape == (20, 2)


def test_a_bucket_is_listed_by_one_request_and_one_for_each_tag(s3, linear):
    for name in ("a", "b/c"):
        publish(linear, name, hub=s3, tag=("v1", "v2"))
    asked = []
    s3.store._client.meta.events.register(
        "before-call.s3", lambda model, **_: asked.append(model.name)
    )
    found = dc_hub.ls(hub=s3)
    assert [(listing.name, sorted(listing.tags)) for listing in found] == [
        ("a", ["main", "v1", "v2"]),
        ("b/c", ["main", "v1", "v2"]),
    ]
    assert sorted(asked) == ["GetObject"] * 6 + ["ListObjectsV2"]


def test_revisions_and_models_are_removed(s3, bucket, linear, models, dataset):
    first = publish(linear, "m", hub=s3, tag="v1").revision
    second = publish(models["Linear"](5.0).fit(dataset), "m", hub=s3).revision
    with pytest.raises(RevisionTagged, match="v1"):
        dc_hub.rm("m@v1", hub=s3)
    assert dc_hub.rm("m@v1", hub=s3, remove_tags=True) == [first]
    assert s3.tags("m") == {"main": second}
    assert dc_hub.rm("m", hub=s3) == [second]
    assert s3.names() == []
    assert "Contents" not in bucket.list_objects_v2(Bucket="models")


def test_a_bucket_in_which_bytes_changed_is_a_typed_error(s3, bucket, linear, cache):
    revision = publish(linear, "m", hub=s3).revision
    key = f"team/m/revisions/{revision}/params.json"
    data = bucket.get_object(Bucket="models", Key=key)["Body"].read()
    bucket.put_object(Bucket="models", Key=key, Body=data.replace(b"0.1", b"0.2"))
    with pytest.raises(HashMismatch):
        from_pretrained("m", hub=s3)
    key = f"team/m/revisions/{revision}/{MANIFEST}"
    bucket.put_object(Bucket="models", Key=key, Body=json.dumps({}).encode())
    with pytest.raises(HashMismatch):
        from_pretrained("m", hub=s3)
    with pytest.raises(HashMismatch, match="another model"):
        publish(linear, "m", hub=s3)
    assert list((cache / "models").glob("*")) == []


def test_conditions_hold_and_limits_too(bucket):
    store = S3Store(URL)
    store.write("a", b"one", new=True)
    with pytest.raises(Refused):
        store.write("a", b"two", new=True)
    data, entity = store.read_tagged("a", 10)
    assert data == b"one"
    store.write("a", b"two", expected=entity)
    with pytest.raises(Refused):
        store.write("a", b"three", expected=entity)
    with pytest.raises(LimitExceeded):
        store.read("a", 2)
    assert b"".join(store.stream("a", 3, 1, 3)) == b"wo"
    with pytest.raises(FileMissing):
        store.read("b", 10)


@pytest.mark.parametrize("url", ["s3://", "s3:///x", "s3://b/x?y", "s3://b/#z"])
def test_a_url_that_is_not_that_of_a_bucket_is_a_typed_error(url):
    with pytest.raises(HubUnavailable, match="URL of a hub"):
        open_hub(url)


def test_a_bucket_that_is_not_there_is_a_typed_error(bucket):
    with pytest.raises((HubUnavailable, FileMissing)):
        open_hub("s3://nobody-has-this").names()
    with pytest.raises(ParameterError, match="'token'"):
        open_hub(URL, token="x")


def test_a_tag_cannot_point_at_a_revision_that_only_the_cache_has(s3, bucket, linear):
    revision = publish(linear, "m", hub=s3).revision
    from_pretrained("m", hub=s3)
    dc_hub.rm("m", hub=s3)
    with pytest.raises(RevisionNotFound):
        s3.move_tag("m", "v1", revision, expected=None)
    assert "Contents" not in bucket.list_objects_v2(Bucket="models")


def test_a_tag_that_was_moved_while_a_revision_is_removed_stays(
    s3, linear, models, dataset, monkeypatch
):
    first = publish(linear, "m", hub=s3, tag="v1", move_main=False).revision
    second = publish(models["Linear"](5.0).fit(dataset), "m", hub=s3).revision
    listed = type(s3).tags

    def then_moved(self, name):
        found = listed(self, name)
        open_hub(URL).move_tag("m", "v1", second, expected=first)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(type(s3), "tags", then_moved)
        assert s3.remove("m", first, remove_tags=True) == [first]
    assert s3.tags("m") == {"main": second, "v1": second}


def test_models_are_listed_by_one_request_for_every_thousand_objects(s3, bucket, linear):
    for name in ("a", "b/c", "b/d"):
        publish(linear, name, hub=s3)
    bucket.put_object(Bucket="models", Key="team/B AD/x", Body=b"")
    asked = []
    s3.store._client.meta.events.register(
        "before-call.s3", lambda model, **_: asked.append(model.name)
    )
    assert s3.names() == ["a", "b/c", "b/d"]
    assert asked == ["ListObjectsV2"]


@pytest.fixture
def naughty(bucket, tmp_path, monkeypatch):
    """A server that misbehaves when told to, and its store, which holds the object ``a``."""
    monkeypatch.setattr(retrying, "PAUSE", 0.0)
    (tmp_path / "store" / "models" / "team").mkdir(parents=True)
    (tmp_path / "store" / "models" / "team" / "a").write_bytes(b"content" * 100)
    tagged(monkeypatch)
    with web.serve(tmp_path / "store") as server:
        yield server, S3Store(URL, endpoint_url=server.url)


def tagged(monkeypatch):
    """Let the web server send the header that every store of the protocol sends."""

    def end_headers(handler):
        handler.send_header("ETag", '"one"')
        BaseHTTPRequestHandler.end_headers(handler)

    monkeypatch.setattr(web.Handler, "end_headers", end_headers, raising=False)


def test_a_body_that_is_cut_is_asked_for_again(naughty):
    server, store = naughty
    server.faults["team/a"] = web.times(3, web.cut)
    assert store.read("a", 1000) == b"content" * 100
    server.faults["team/a"] = web.times(3, web.cut)
    assert b"".join(store.stream("a", 700)) == b"content" * 100
    server.faults["team/a"] = web.times(3, web.broken_at(2))
    assert b"".join(store.stream("a", 700, 1, 3)) == b"on"


def test_a_body_that_breaks_is_asked_for_from_there_on(naughty):
    server, store = naughty
    server.faults["team/a"] = web.times(1, web.broken_at(300))
    assert b"".join(store.stream("a", 700)) == b"content" * 100
    assert [wanted for _, wanted, _ in server.requests] == [None, "bytes=300-699"]


def test_a_store_that_sends_whole_objects_only_is_told_from_one_that_sends_other_ranges(naughty):
    server, store = naughty
    server.ranges = False
    with pytest.raises(RangesUnsupported):
        next(store.stream("a", 700, 1))
    server.faults["team/a"] = web.other_range
    with pytest.raises(HubUnavailable, match="bytes 0-9/700"):
        next(store.stream("a", 700, 1))


def test_an_object_of_another_size_is_a_typed_error(naughty):
    _, store = naughty
    for size in (699, 701):
        with pytest.raises(HubUnavailable, match=f"700 bytes for {size}"):
            list(store.stream("a", size))


def test_a_body_that_is_always_cut_is_a_typed_error(naughty):
    server, store = naughty
    server.faults["team/a"] = web.cut
    with pytest.raises(HubUnavailable, match="350"):
        store.read("a", 1000)
    with pytest.raises(HubUnavailable, match="350"):
        list(store.stream("a", 700))


def test_a_store_that_drips_is_given_up(naughty, monkeypatch):
    server, store = naughty
    monkeypatch.setattr(http, "GRACE", 0.2)
    monkeypatch.setattr(http, "SLOWEST", 10_000)
    server.faults["team/a"] = web.dripping
    with pytest.raises(HubUnavailable, match="slower than"):
        store.read("a", 1000)


def sends(head, body=b"", **headers):
    """Answer with these bytes, and close the connection."""
    lines = [
        f"HTTP/1.1 {head}",
        *(f"{name.replace('_', '-')}: {headers[name]}" for name in headers),
    ]
    answer = "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body

    def fault(handler, data):
        handler.wfile.write(answer)
        handler.close_connection = True
        return True

    return fault


NONSENSE = {
    "no entity tag": sends("200 OK", b"abc", Content_Length=3),
    "no length": sends("200 OK", b"abc", ETag="x"),
    "a length in words": sends("200 OK", b"abc", ETag="x", Content_Length="three"),
    "a date that is none": sends(
        "200 OK", b"abc", ETag="x", Content_Length=3, Last_Modified="never"
    ),
    "no content": sends("204 No Content"),
    "redirects in a circle": sends("307 Moved", Content_Length=0),
}


@pytest.mark.parametrize("fault", NONSENSE)
def test_an_object_with_headers_that_make_no_sense_is_a_typed_error(naughty, fault, monkeypatch):
    server, store = naughty
    monkeypatch.setattr(web.Handler, "do_HEAD", web.Handler.do_GET, raising=False)
    server.faults["models"] = NONSENSE[fault]
    with pytest.raises(HubUnavailable, match="makes no sense"):
        store.read("a", 10)


@pytest.mark.parametrize(
    ("head", "body"),
    [("206 Partial", b"abc"), ("200 OK", b"<L><Contents><Size>1</Size></Contents></L>")],
)
def test_a_list_that_makes_no_sense_is_a_typed_error(naughty, head, body):
    server, store = naughty
    server.faults["list-type"] = sends(head, body, Content_Length=len(body))
    with pytest.raises(HubUnavailable, match="makes no sense"):
        store.files("folder")


def test_a_list_without_end_is_a_typed_error(naughty, monkeypatch):
    monkeypatch.setattr(s3_module, "_MAX_PAGES", 3)
    server, store = naughty
    pages = []

    def fault(handler, data):
        pages.append(handler.path)
        handler.answer(
            200,
            b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>%d"
            b"</NextContinuationToken><Contents><Key>team/%d</Key></Contents></ListBucketResult>"
            % (len(pages), len(pages)),
        )
        return True

    server.faults["list-type"] = fault
    with pytest.raises(LimitExceeded, match="3 pages"):
        list(store.below(""))
    assert len(pages) == 4


@pytest.mark.parametrize("code", [200, 400])
def test_a_list_or_an_error_of_any_length_is_not_read_to_its_end(naughty, monkeypatch, code):
    monkeypatch.setattr(s3_module, "_MAX_ANSWER", 1 << 16)
    server, store = naughty

    def endless(handler, data):
        handler.send_response(code)
        handler.send_header("Connection", "close")
        handler.end_headers()
        with suppress(OSError):  # the client has closed the connection
            while True:
                handler.wfile.write(bytes(1 << 16))
        handler.close_connection = True
        return True

    server.faults["list-type"] = endless
    with pytest.raises(HubUnavailable, match="more than 65536 bytes"):
        store.files("folder")


@pytest.mark.parametrize("url", ["http://me:secret@127.0.0.1:1", "http://127.0.0.1:1/?key=secret"])
def test_credentials_in_the_url_of_an_endpoint_are_in_no_message(bucket, monkeypatch, url):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(HubUnavailable) as caught:
        open_hub(URL, endpoint_url=url).names()
    assert "127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_removing_from_a_store_that_lists_what_was_deleted_ends(s3, linear, monkeypatch):
    revision = publish(linear, "m", hub=s3).revision
    monkeypatch.setattr(s3.store, "files", lambda path: ["a"] if "revisions" in path else [])
    assert s3.remove("m") == [revision]


def test_a_write_that_meets_another_is_repeated(bucket, monkeypatch):
    store = S3Store(URL)
    monkeypatch.setattr(retrying, "PAUSE", 0.0)
    put, conflicts = store._client.put_object, [2]

    def conflict(**options):
        conflicts[0] -= 1
        if conflicts[0] >= 0:
            told = {"Error": {"Code": "ConditionalRequestConflict"}}
            raise botocore.exceptions.ClientError(told, "PutObject")
        return put(**options)

    monkeypatch.setattr(store._client, "put_object", conflict)
    store.write("a", b"one", new=True)
    assert store.read("a", 10) == b"one"


def test_who_must_not_upload_is_told_so(bucket, tmp_path, monkeypatch):
    store = S3Store(URL)
    (tmp_path / "file").write_bytes(b"x")

    def deny(**options):
        raise botocore.exceptions.ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")

    monkeypatch.setattr(store._client, "put_object", deny)
    with pytest.raises(ReadOnlyHub):
        store.upload("a", tmp_path / "file")


@pytest.mark.parametrize("options", [{"profile": "none"}, {"endpoint_url": "nonsense"}])
def test_a_configuration_that_is_none_is_a_typed_error(bucket, options):
    with pytest.raises(HubUnavailable, match="cannot be opened"):
        open_hub(URL, **options)


@pytest.mark.parametrize("variables", [{}, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}])
def test_no_credentials_and_no_store_are_typed_errors(bucket, monkeypatch, variables):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if not variables:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    hub = open_hub(URL)
    for call in (hub.names, lambda: hub.resolve("m"), lambda: hub.tags("m")):
        with pytest.raises(HubUnavailable, match="cannot be reached"):
            call()


def test_offline_a_bucket_is_not_asked(s3, linear, monkeypatch):
    revision = publish(linear, "m", hub=s3).revision
    from_pretrained("m", hub=s3)
    monkeypatch.setenv("DEEPCHEM_OFFLINE", "1")
    from_pretrained("m", hub=s3, revision=revision)
    for call in (
        s3.names,
        lambda: s3.tags("m"),
        lambda: s3.revisions("m"),
        lambda: s3.resolve("m", revision[:12]),
        lambda: publish(linear, "m", hub=s3),
    ):
        with pytest.raises(Offline):
            call()


def test_the_index_of_a_bucket_is_written_and_reads_known_revisions_once(
    s3, linear, models, dataset, monkeypatch
):
    publish(linear, "lab/m", hub=s3, metadata={"task": "regression"})
    with pytest.raises(HubUnavailable, match=r"index\.json"):
        s3.index()
    assert dc_hub.write_index(URL) == f"{URL}/index.json"
    first = s3.index()
    assert first["lab/m"].summary("lab/m").task == ("regression",)
    new = publish(models["Linear"](5.0).fit(dataset), "lab/m", hub=s3)
    assert s3.listed()["lab/m"].tags == {"main": new.revision}
    read = []
    original = s3.read_chunk
    monkeypatch.setattr(
        s3, "read_chunk", lambda m, *of: read.append(m.revision) or original(m, *of)
    )
    dc_hub.write_index(s3)
    assert {*read} == {new.revision}
    assert s3.index()["lab/m"].summary("lab/m").revision == new.revision


@pytest.fixture
def alice():
    pytest.importorskip("cryptography", reason="cryptography is not installed")
    return dc_hub.new_key("alice")


def signers(bucket, published):
    key = f"team/m/revisions/{published.revision}/{SIGNATURE}"
    data = bucket.get_object(Bucket="models", Key=key)["Body"].read()
    return {signature.key_id for signature in parse_signatures(data)}


def test_a_model_in_a_bucket_has_its_signature_before_it_is_there(s3, bucket, linear, alice):
    written = []
    write, upload = s3.store.write, s3.store.upload
    s3.store.write = lambda path, *a, **k: (written.append(path), write(path, *a, **k))[1]
    s3.store.upload = lambda path, *a, **k: (written.append(path), upload(path, *a, **k))[1]
    published = publish(linear, "m", hub=s3, sign="alice")
    names = [path.rsplit("/")[-1] for path in written]
    assert names.index(SIGNATURE) < names.index(MANIFEST) == len(names) - 2
    assert signers(bucket, published) == {alice.id}


def test_a_model_in_a_bucket_is_signed_later_and_keeps_its_signatures(s3, bucket, linear, alice):
    bob = dc_hub.new_key("bob")
    published = publish(linear, "m", hub=s3, sign="alice")
    dc_hub.sign("m", hub=s3, key="bob")
    assert signers(bucket, published) == {alice.id, bob.id}
    publish(linear, "m", hub=s3)
    assert signers(bucket, published) == {alice.id, bob.id}
    from_pretrained("m", hub=s3)
    found = parse_signatures((s3.resolve("m").path / SIGNATURE).read_bytes())
    assert {one.key_id for one in found} == {alice.id, bob.id}


def test_a_signature_that_another_adds_meanwhile_is_kept(s3, bucket, linear, alice, monkeypatch):
    monkeypatch.setattr(retrying, "PAUSE", 0.0)
    bob = dc_hub.new_key("bob")
    published = publish(linear, "m", hub=s3)
    read = s3.store.read_tagged
    raced = []

    def read_then_race(path, limit):
        try:
            return read(path, limit)
        finally:
            if path.endswith(SIGNATURE) and not raced:
                raced.append(path)
                dc_hub.sign("m", hub=open_hub(URL), key="bob")

    monkeypatch.setattr(s3.store, "read_tagged", read_then_race)
    dc_hub.sign("m", hub=s3, key="alice")
    assert raced
    assert signers(bucket, published) == {alice.id, bob.id}


def test_a_revision_that_is_not_in_the_bucket_cannot_be_signed(s3, linear, alice):
    publish(linear, "m", hub=s3)
    with pytest.raises(RevisionNotFound):
        dc_hub.sign("m", hub=s3, key="alice", revision="0" * 64)


def test_the_trust_policy_holds_for_buckets(s3, linear, alice, tmp_path):
    config = tmp_path / "config" / "trust.toml"
    config.write_text(f"version = 1\n[hubs.'{URL}']\nrequire_signature = ['alice']\n")
    publish(linear, "m", hub=s3)
    with pytest.raises(SignatureError, match="no such signature"):
        from_pretrained("m", hub=s3)
    dc_hub.sign("m", hub=s3, key="alice")
    from_pretrained("m", hub=s3)


@pytest.fixture
def abandoned(s3, linear, monkeypatch):
    """What a publisher that crashed has left, as (hub, revision); ``published`` is beside it."""
    publish(linear, "published", hub=s3)
    with monkeypatch.context() as patch:
        patch.setattr(s3.store, "write", failing)
        with pytest.raises(HubUnavailable):
            publish(linear, "lab/m", hub=s3)
    (left,) = s3.unfinished(older_than=-60)
    return s3, left


def failing(*arguments, **options):
    raise HubUnavailable("the machine is switched off")


def a_day_later(monkeypatch):
    monkeypatch.setattr(buckets_module, "time", SimpleNamespace(time=lambda: time() + 86_500))


def test_files_of_an_abandoned_publish_are_removed_after_a_day(abandoned, run, monkeypatch):
    s3, left = abandoned
    there = {one.path for one in s3.store.below("")}
    assert dc_hub.gc(hub=s3) == []
    assert {one.path for one in s3.store.below("")} == there
    a_day_later(monkeypatch)
    code, out, _ = run("gc", "--dry-run", "--hub", s3.store.url)
    assert (code, out.split()[0], "would be removed" in out) == (0, "leftover", True)
    assert {one.path for one in s3.store.below("")} == there
    code, out, _ = run("gc", "--json", "--hub", s3.store.url)
    (removed,) = json.loads(out)
    assert removed["path"] == f"{s3.store.url}/lab/m/revisions/{left.revision}"
    assert (removed["name"], removed["revision"]) == ("lab/m", left.revision)
    assert there - {one.path for one in s3.store.below("")} == {
        path for path in there if path.startswith("lab/m/")
    }
    assert from_pretrained("published", hub=s3) is not None


def test_what_is_being_published_is_not_removed(abandoned, linear, monkeypatch):
    s3, _ = abandoned
    now = max(one.written for one in s3.store.below(""))
    objects = s3.store.below

    def old_but_one(path):
        found = list(objects(path))
        for one in found[1:]:
            yield dataclasses.replace(one, written=now - 1e6)
        yield from found[:1]

    monkeypatch.setattr(s3.store, "below", old_but_one)
    assert s3.unfinished() == []


def test_a_revision_that_is_finished_while_it_is_collected_is_kept(
    abandoned, linear, dataset, monkeypatch
):
    """It is published again just before the second file is deleted."""
    s3, left = abandoned
    delete, deleted = s3.store.delete, []

    def meanwhile(path, **options):
        delete(path, **options)
        deleted.append(path)
        if len(deleted) == 1:
            publish(linear, "lab/m", hub=second_of(s3))

    monkeypatch.setattr(s3.store, "delete", meanwhile)
    assert not s3.remove_unfinished(left, older_than=-60)
    assert len(deleted) == 1
    assert from_pretrained("lab/m", hub=s3).predict(dataset).shape == (20, 2)


def test_other_objects_in_a_bucket_are_not_collected(s3, linear, monkeypatch):
    publish(linear, "m", hub=s3)
    for path in ("notes.txt", f"a/b/c/revisions/{'a' * 64}/x", f"m/revisions/{'a' * 64}/x/y"):
        s3.store.write(path, b"x")
    a_day_later(monkeypatch)
    assert s3.unfinished() == []
