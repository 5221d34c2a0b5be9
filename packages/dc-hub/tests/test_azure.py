"""Hubs at az://, against an emulator of Azure's storage on loopback."""

import os
import re
import shutil
import socket
import subprocess
import time
import uuid

import pytest

import dc_hub
from dc_core.errors import ParameterError
from dc_hub import from_pretrained, open_hub, publish
from dc_hub.errors import FileMissing, HubUnavailable, LimitExceeded, Offline
from dc_hub.remote import azure as module
from dc_hub.remote.azure import AzureStore
from dc_hub.remote.buckets import BucketHub, Refused
from dc_hub.remote.cache import Cache
from dc_hub.testing import HubSuite

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key that every Azurite has."""

PROGRAM = os.environ.get("AZURITE_BLOB") or shutil.which("azurite-blob")

pytestmark = [
    pytest.mark.skipif(
        PROGRAM is None, reason="azurite-blob is not on the path, and AZURITE_BLOB is not set"
    ),
    # The library sends each part of a file in one piece.
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
]
pytest.importorskip("adlfs", reason="adlfs is not installed")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_for(port, process):
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, "the emulator ended"
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the emulator does not answer")


@pytest.fixture(scope="module")
def azure(tmp_path_factory):
    """Start the emulator, and yield the options of hubs in it, which has the container suite."""
    port, folder = free_port(), tmp_path_factory.mktemp("azurite")
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--skipApiVersionCheck"]
    process = subprocess.Popen(
        [PROGRAM, *options, "--location", str(folder), "--silent"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(port, process)
    named = {
        "connection_string": "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
        f"AccountKey={KEY};BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
    }
    AzureStore("az://suite", **named)._files.mkdir("suite")
    yield named
    process.terminate()
    process.wait(10)


class TestAzure(HubSuite):
    interrupts = 20

    @pytest.fixture(autouse=True)
    def container(self, azure):
        self.options = azure

    def make(self, folder):
        return BucketHub(AzureStore(f"az://suite/{uuid.uuid4()}", **self.options), Cache(folder))

    def reopen(self, hub, folder):
        return BucketHub(AzureStore(hub.store.url, **self.options), Cache(folder))

    def change(self, hub, name, revision, file, new):
        path = f"{name}/revisions/{revision}/{file}"
        hub.store.write(path, new(hub.store.read(path, 1 << 30)))


def test_a_model_is_published_and_loaded_by_url(azure, linear, dataset, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azure["connection_string"])
    url = f"az://suite/{uuid.uuid4()}"
    revision = publish(linear, "lab/m", hub=url).revision
    assert from_pretrained("lab/m", hub=url).predict(dataset).shape == (20, 2)
    assert dc_hub.ls(hub=url)[0].tags == {"main": revision}


def test_a_blob_is_written_and_deleted_on_a_condition_only(azure):
    store = AzureStore(f"az://suite/{uuid.uuid4()}", **azure)
    store.write("a", b"one", new=True)
    with pytest.raises(Refused):
        store.write("a", b"two", new=True)
    _, entity = store.read_tagged("a", 10)
    store.write("a", b"two", expected=entity)
    for call in (
        lambda: store.write("a", b"x", expected=entity),
        lambda: store.delete("a", expected=entity),
    ):
        with pytest.raises(Refused):
            call()
    data, entity = store.read_tagged("a", 10)
    assert data == b"two"
    store.delete("a", expected=entity)
    with pytest.raises(FileMissing):
        store.read("a", 10)


def test_blobs_of_an_abandoned_publish_are_removed(azure, linear):
    hub = BucketHub(AzureStore(f"az://suite/{uuid.uuid4()}", **azure))
    publish(linear, "published", hub=hub)
    there = {one.path for one in hub.store.below("")}
    hub.store.write(f"lab/m/revisions/{'a' * 64}/model.safetensors", b"part")
    assert hub.unfinished() == []
    (left,) = hub.unfinished(older_than=-60)
    assert (left.name, left.revision, left.size) == ("lab/m", "a" * 64, 4)
    assert not hub.remove_unfinished(left)
    assert hub.remove_unfinished(left, older_than=-60)
    assert {one.path for one in hub.store.below("")} == there


def test_a_blob_over_the_limit_is_a_typed_error(azure):
    store = AzureStore(f"az://suite/{uuid.uuid4()}", **azure)
    store.write("a", b"content")
    assert store.read("a", 7) == b"content"
    with pytest.raises(LimitExceeded):
        store.read("a", 6)
    with pytest.raises(HubUnavailable, match="bytes came"):
        list(store.stream("a", 9, 5, 9))


def test_a_store_that_does_not_answer_is_a_typed_error(azure, monkeypatch):
    monkeypatch.setattr(module, "GRACE", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        named = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", azure["connection_string"])
        with pytest.raises(HubUnavailable, match="cannot be reached"):
            open_hub("az://suite/x", connection_string=named).resolve("m")


def test_a_malformed_url_or_option_is_a_typed_error(azure):
    with pytest.raises(HubUnavailable, match="is not the URL of a hub"):
        open_hub("az://user@container/x")
    with pytest.raises(ParameterError, match="has no option 'region'"):
        open_hub("az://container/x", region="x")


def test_offline_a_container_is_not_asked(azure, monkeypatch):
    monkeypatch.setenv("DEEPCHEM_OFFLINE", "1")
    with pytest.raises(Offline):
        open_hub("az://suite/x", **azure).names()
