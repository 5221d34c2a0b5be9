"""Hugging Face's hub keeps the laws of every hub."""

import runpy
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

from dc_hub.remote.cache import Cache
from dc_hub.testing import HubSuite

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")

from dc_hub.remote.huggingface.client import Client
from dc_hub.remote.huggingface.hub import HFHub
from dc_hub.remote.huggingface.store import HFStore

server = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("huggingface.py"))))


@pytest.fixture(scope="module")
def endpoint():
    with server.serve() as served:
        yield served


# The client passes files to its HTTP library in a way that this does not want any more.
@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Warnings while validating metadata")  # the suite's cards
class TestHuggingFace(HubSuite):
    name = "model"
    other_name = "other"
    interrupts = 10
    upper_case = True

    @pytest.fixture(autouse=True)
    def client(self, endpoint, monkeypatch):
        self.served = endpoint
        # The endpoint speaks the protocol of git's large files, as self-hosted ones do.
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)

    def opened(self, organisation, folder):
        store = HFStore(self.served.url, server.TOKEN)
        client = Client(self.served.url, server.TOKEN, private=False)
        return HFHub(store, client, organisation, Cache(folder))

    def make(self, folder):
        return self.opened(f"org-{uuid.uuid4()}", folder)

    def reopen(self, hub, folder):
        return self.opened(hub.url.removeprefix("hf://"), folder)

    def change(self, hub, name, revision, file, new):
        repository = self.served.repositories[f"{hub.url.removeprefix('hf://')}/{name}"]
        commit = repository.tags[f"sha256-{revision}"]
        old = repository.commits[commit][file]
        repository.commits[commit][file] = server.File(new(old.data), old.large)
