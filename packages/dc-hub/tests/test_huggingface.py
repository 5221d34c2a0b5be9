"""Hubs in Hugging Face's hub: an endpoint on loopback, its own client, and the real cache."""

import json
import pickle
import runpy
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dc_hub
from dc_core.errors import ParameterError
from dc_hub import errors, from_pretrained, info, load_weights, open_hub, publish, pull
from dc_hub.format.manifest import CHUNK, Manifest
from dc_hub.format.signatures import Signature, parse_signatures, signature_bytes
from dc_hub.remote import retrying

hf = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")

server = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("huggingface.py"))))

# The client passes files to its HTTP library in a way that this does not want any more.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

unversioned = pytest.mark.filterwarnings("ignore:.*unversioned:dc_hub.errors.HubWarning")


@pytest.fixture(scope="module")
def endpoint():
    with server.serve() as served:
        yield served


@pytest.fixture
def site(endpoint, monkeypatch, tmp_path):
    """The endpoint, empty, with a user who may write to it."""
    for kept in (endpoint.repositories, endpoint.large, endpoint.faults, endpoint.before):
        kept.clear()
    endpoint.requests.clear()
    endpoint.storage_requests.clear()
    monkeypatch.setenv("HF_ENDPOINT", endpoint.url)
    monkeypatch.setenv("HF_TOKEN", server.TOKEN)
    monkeypatch.setattr(retrying, "PAUSE", 0.0)
    # The endpoint speaks the protocol of git's large files, as self-hosted ones do.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    return endpoint


@pytest.fixture
def org(site):
    return open_hub("hf://org")


@pytest.fixture
def other(models, dataset):
    return models["Linear"](5.0).fit(dataset)


def main(site, name="org/m"):
    """Return the files of the branch ``main`` of a repository."""
    repository = site.repositories[name]
    return repository.commits[repository.branches["main"]]


# --- reading and publishing models of ours ---


def test_a_model_is_published_to_a_repository_and_loaded_from_it(site, org, linear, dataset):
    published = publish(linear, "m", hub="hf://org", tag="v1")
    for address in ("hf://org/m", "hf://org/m@v1", f"hf://org/m@{published.revision}"):
        model = from_pretrained(address)
        np.testing.assert_array_equal(model.predict(dataset), linear.predict(dataset))
    assert org.tags("m") == {"main": published.revision, "v1": published.revision}


def test_a_model_is_named_in_three_ways(site, linear):
    revision = linear.to_pretrained("hf://org/m").revision
    for name, hub in (("m", "hf://org"), ("org/m", "hf://"), ("hf://org/m", None)):
        assert from_pretrained(name, hub=hub).alpha == linear.alpha
        assert info(name, hub=hub).revision == pull(name, hub=hub).revision == revision
    assert dc_hub.verify("hf://org/m").revision == revision
    assert dc_hub.diff("hf://org/m", f"hf://org/m@{revision[:12]}").identical


def test_publishing_makes_the_repository_and_one_commit_with_all_files(site, org, linear):
    revision = publish(linear, "m", hub=org).revision
    repository = site.repositories["org/m"]
    assert len(repository.history) == 2  # that of a new repository, and ours
    commit = repository.branches["main"]
    assert repository.tags == {f"sha256-{revision}": commit}
    manifest = Manifest.from_bytes(main(site)["MANIFEST.json"].data)
    assert set(main(site)) == {
        ".gitattributes",
        "MANIFEST.json",
        *(entry.path for entry in manifest.entries),
    }
    publish(linear, "m", hub=org)
    assert len(repository.history) == 2


def test_a_published_model_is_one_for_those_who_know_only_hugging_face(
    site, linear, tmp_path, dataset
):
    publish(linear, "hf://org/m", metadata={"task": "regression", "licence": "MIT"})
    file = hf.hf_hub_download(
        "org/m", "model.safetensors", cache_dir=tmp_path / "theirs", endpoint=site.url
    )
    weights = safetensors.load_file(file)
    np.testing.assert_array_equal(weights["coefficients"], linear.coefficients)
    card = hf.ModelCard.load(
        Path(hf.hf_hub_download("org/m", "README.md", cache_dir=tmp_path, endpoint=site.url))
    )
    assert card.data.library_name == "dc-hub"
    assert card.data.license == "mit"
    assert "dc-model" in card.data.tags


def test_a_card_is_accepted_whatever_is_in_the_metadata(site, linear):
    metadata = {"licence": "Our own", "dataset": "Free Solv!", "derived_from": ["hf://a b@x"]}
    publish(linear, "hf://org/m", metadata=metadata)
    card = hf.ModelCard(main(site)["README.md"].data.decode())
    assert (card.data.license, card.data.license_name) == ("other", "our-own")
    assert card.data.datasets is None


def test_what_their_client_downloads_is_a_model_directory(site, linear, tmp_path):
    revision = publish(linear, "hf://org/m").revision
    directory = hf.snapshot_download("org/m", local_dir=tmp_path / "m", endpoint=site.url)
    assert {".cache", ".gitattributes"} < {path.name for path in Path(directory).iterdir()}
    assert dc_hub.load(directory).alpha == linear.alpha
    assert dc_hub.verify(Path(directory)).revision == revision
    assert dc_hub.publish_directory(directory, "copy", hub=tmp_path / "hub").revision == revision
    (tmp_path / "m" / ".hidden").touch()
    with pytest.raises(errors.UnexpectedFile):
        dc_hub.load(directory)


def test_signatures_are_joined_to_a_revision_that_is_there_and_found_with_it(site, org, linear):
    publish(linear, "m", hub=org)
    model = org.resolve("m")
    assert org.signatures(model) == {}
    one, two = (signature_bytes([Signature(key * 64, bytes(64))]) for key in ("a", "b"))
    org.add_signatures(model, {"MANIFEST.json.sig": one})
    org.add_signatures(model, {"MANIFEST.json.sig": two})
    other = open_hub("hf://org")
    found = other.signatures(other.resolve("m"))["MANIFEST.json.sig"]
    assert [signature.key_id[0] for signature in parse_signatures(found)] == ["a", "b"]
    assert org.tags("m") == {"main": model.revision}
    commits = len(site.repositories["org/m"].history)
    org.add_signatures(model, {"MANIFEST.json.sig": one})
    assert len(site.repositories["org/m"].history) == commits
    from_pretrained("hf://org/m")
    assert org.remove("m", model.revision, remove_tags=True) == [model.revision]
    assert set(site.repositories["org/m"].branches) == {"main"}


def test_pytorch_weights_are_loaded_by_the_safetensors_package(site, tmp_path):
    torch = pytest.importorskip("torch")
    load_file = pytest.importorskip("safetensors.torch").load_file
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    publish(module, "hf://org/m")
    file = hf.hf_hub_download(
        "org/m", "model.safetensors", cache_dir=tmp_path / "theirs", endpoint=site.url
    )
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    theirs.load_state_dict(load_file(file))
    X = torch.arange(8.0).reshape(2, 4)
    assert torch.equal(theirs(X), module(X))


def test_a_card_that_was_edited_on_the_website_does_not_hide_the_model(site, org, linear):
    revision = publish(linear, "m", hub=org).revision
    edited = {**main(site), "README.md": server.File(b"# Better words\n", False)}
    site.repositories["org/m"].commit("main", edited, "Update README.md")
    assert from_pretrained("hf://org/m").alpha == linear.alpha
    assert open_hub("hf://org").resolve("m").revision == revision


def test_files_of_others_stay_and_those_of_the_model_before_go(site, org, linear, models):
    site.add("org/m", {"LICENSE": b"MIT", "model-00001-of-00002.safetensors": b"x"})
    publish(linear, "m", hub=org, golden=[[1.0, 2.0, 3.0, 4.0]])
    assert {"LICENSE", "golden.safetensors"} <= set(main(site))
    publish(linear, "m", hub=org)
    assert "LICENSE" in main(site)
    assert not {"golden.safetensors", "model-00001-of-00002.safetensors"} & set(main(site))


def test_a_model_that_is_not_the_default_leaves_main_as_it_is(site, org, linear, other):
    first = publish(linear, "m", hub=org).revision
    head = site.repositories["org/m"].branches["main"]
    second = publish(other, "m", hub=org, tag="next", move_main=False).revision
    assert org.tags("m") == {"main": first, "next": second}
    assert site.repositories["org/m"].branches["main"] == head
    assert set(site.repositories["org/m"].branches) == {"main", "next"}


def test_who_is_overtaken_is_told_and_loses_nothing(site, org, linear, other):
    first = publish(linear, "m", hub=org).revision
    revisions = []

    def overtake():
        del site.before["POST /api/models/org/m/commit/main"]
        revisions.append(publish(other, "m", hub=open_hub("hf://org")).revision)

    site.before["POST /api/models/org/m/commit/main"] = overtake
    mine = linear.unfitted()
    mine.coefficients, mine.intercept = linear.coefficients + 1, linear.intercept
    with pytest.raises(errors.TagMoved, match="'main'"):
        publish(mine, "m", hub=org)
    assert org.resolve("m").revision == revisions[0]
    assert len(org.revisions("m")) == 3
    assert first in org.revisions("m")
    assert set(site.repositories["org/m"].branches) == {"main"}


def test_main_goes_back_by_a_commit_of_the_old_files(site, org, linear, other):
    first = publish(linear, "m", hub=org).revision
    second = publish(other, "m", hub=org).revision
    before = main(site)
    org.move_tag("m", "main", first, expected=second)
    assert from_pretrained("hf://org/m").alpha == linear.alpha
    assert main(site)["model.safetensors"] != before["model.safetensors"]
    assert len(site.repositories["org/m"].history) == 4


def test_a_git_tag_of_another_program_is_read_and_moved(site, org, linear, other):
    first = publish(linear, "m", hub=org).revision
    hf.HfApi(endpoint=site.url, token=server.TOKEN).create_tag("org/m", tag="v1")
    second = publish(other, "m", hub=org).revision
    assert org.tags("m") == {"main": second, "v1": first}
    org.move_tag("m", "v1", second, expected=first)
    assert open_hub("hf://org").tags("m") == {"main": second, "v1": second}
    org.delete_tag("m", "v1")
    assert open_hub("hf://org").tags("m") == {"main": second}


def test_a_repository_that_was_uploaded_without_us_is_read(site, linear, tmp_path):
    directory = dc_hub.save(linear, tmp_path / "model").path
    api = hf.HfApi(endpoint=site.url, token=server.TOKEN)
    api.create_repo("org/m")
    api.upload_folder(repo_id="org/m", folder_path=directory)
    revision = from_pretrained("hf://org/m") and info("hf://org/m").revision
    assert from_pretrained(f"hf://org/m@{revision}").alpha == linear.alpha


def test_files_are_fetched_at_the_commit_that_was_found(site, org, linear, other):
    publish(linear, "m", hub=org)
    reader = open_hub("hf://org")
    found = reader.resolve("m")
    publish(other, "m", hub=org)
    reader.fetch(found)
    assert from_pretrained(f"hf://org/m@{found.revision}").alpha == linear.alpha


def test_a_commit_names_its_revision(site, org, linear, other):
    first = publish(linear, "m", hub=org).revision
    commit = site.repositories["org/m"].branches["main"]
    publish(other, "m", hub=org)
    assert org.resolve("m", commit).revision == first


def test_the_models_of_an_organisation_are_listed(site, linear):
    for name in ("a", "b", "c", "d"):
        publish(linear, name, hub="hf://org")
    site.add("org/plain", {"model.safetensors": b""})
    site.add("another/m", {"MANIFEST.json": b""})
    assert open_hub("hf://org").names() == ["a", "b", "c", "d"]
    assert [listing.name for listing in dc_hub.ls(hub="hf://org")] == ["a", "b", "c", "d"]
    with pytest.raises(errors.HubUnavailable, match="cannot be listed"):
        open_hub("hf://").names()


@pytest.mark.parametrize("private", [False, True])
def test_new_repositories_are_private_if_asked_for(site, linear, private):
    publish(linear, "m", hub=open_hub("hf://org", private=private))
    assert site.repositories["org/m"].private == private


def test_what_a_tag_of_ours_cannot_be_is_refused(site, org, linear):
    for tag in ("sha256-x", "dc-hub-unfinished-x", "V1"):
        with pytest.raises(errors.UnsafePath):
            publish(linear, "m", hub=org, tag=tag)
    assert site.repositories == {}


def test_a_name_in_folders_is_refused_where_there_are_none(org, linear):
    with pytest.raises(errors.UnsafePath, match="folders"):
        publish(linear, "lab/m", hub=org)
    with pytest.raises(errors.ModelNotFound, match="folders"):
        org.resolve("lab/m")


def test_a_name_in_folders_is_looked_up_in_the_next_hub(org, hub, linear):
    publish(linear, "lab/m", hub=hub)
    assert from_pretrained("lab/m", hub=["hf://org", hub]).alpha == linear.alpha


# --- weights of others ---


@pytest.fixture
def arrays(linear):
    return {"coefficients": linear.coefficients, "intercept": linear.intercept}


def shards(arrays):
    names = [f"model-{i:05d}-of-{len(arrays):05d}.safetensors" for i in range(1, len(arrays) + 1)]
    files = {
        name: safetensors.save({key: array})
        for name, (key, array) in zip(names, arrays.items(), strict=True)
    }
    index = {"metadata": {"total_size": 8}, "weight_map": dict(zip(arrays, names, strict=True))}
    return {**files, "model.safetensors.index.json": json.dumps(index).encode()}


@pytest.mark.parametrize("sharded", [False, True])
def test_weights_of_others_are_loaded_into_a_model_of_the_caller(
    site, models, arrays, dataset, linear, sharded
):
    files = shards(arrays) if sharded else {"model.safetensors": safetensors.save(arrays)}
    site.add("org/ChemBERTa-77M-MLM", {**files, "config.json": b"{", "README.md": b"Hello"})
    mine = models["Linear"]().fit(dataset)
    with pytest.warns(errors.HubWarning, match="unversioned"):
        loaded = load_weights("hf://org/ChemBERTa-77M-MLM", into=mine)
    np.testing.assert_array_equal(loaded.predict(dataset), linear.predict(dataset))
    assert not any("config.json" in path for path in site.paths())


@unversioned
def test_weights_of_others_are_loaded_into_a_module_of_pytorch(site):
    torch = pytest.importorskip("torch")
    saved, mine = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)
    arrays = {name: tensor.numpy() for name, tensor in saved.state_dict().items()}
    site.add("gpt2", {"model.safetensors": safetensors.save(arrays)})
    load_weights("hf://gpt2", into=mine)
    assert torch.equal(mine.weight, saved.weight)
    site.add("org/less", {"model.safetensors": safetensors.save({"weight": arrays["weight"]})})
    with pytest.raises(errors.WeightsMismatch, match="bias"):
        load_weights("hf://org/less", into=mine)


@unversioned
def test_weights_of_others_are_fetched_once_and_by_commit(site, linear, arrays, models, dataset):
    repository = site.add("org/M", {"model.safetensors": safetensors.save(arrays)})
    commit = repository.branches["main"]
    mine = models["Linear"]().fit(dataset)
    load_weights("hf://org/M", into=mine)
    fetched = len(site.storage_requests)
    assert fetched == 1
    changed = safetensors.save({key: array + 1 for key, array in arrays.items()})
    load_weights(f"hf://org/M@{commit}", into=mine)
    assert len(site.storage_requests) == fetched
    repository.commit("main", {"model.safetensors": server.File(changed, True)}, "more")
    load_weights(f"hf://org/M@{commit}", into=mine)
    np.testing.assert_array_equal(mine.coefficients, linear.coefficients)
    load_weights("hf://org/M", into=mine)
    np.testing.assert_array_equal(mine.coefficients, linear.coefficients + 1)


@unversioned
def test_weights_of_others_in_the_cache_are_verified_and_mended(site, arrays, models, dataset):
    site.add("org/M", {"model.safetensors": safetensors.save(arrays)})
    found = pull("hf://org/M")
    file = found.path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    mine = models["Linear"]().fit(dataset)
    with pytest.raises(errors.HashMismatch):
        load_weights("hf://org/M", into=mine)
    pull("hf://org/M")
    load_weights("hf://org/M", into=mine)
    np.testing.assert_array_equal(mine.coefficients, arrays["coefficients"])


@pytest.mark.parametrize("large", [True, False])
def test_weights_with_another_digest_than_is_listed_are_refused(site, arrays, linear, large):
    data = safetensors.save(arrays)
    repository = site.add("org/m", {"model.safetensors": data})
    repository.commit("main", {"model.safetensors": server.File(data, large)}, "again")
    changed = data[:-1] + bytes([data[-1] ^ 1])
    part = "storage" if large else "resolve"
    site.faults[part] = lambda path: (changed, 200) if large or path.endswith("tensors") else None
    with pytest.raises(errors.HashMismatch, match="listed"):
        load_weights("hf://org/m", into=linear)
    site.faults.clear()
    with pytest.warns(errors.HubWarning):
        load_weights("hf://org/m", into=linear)


@unversioned
def test_a_download_of_weights_goes_on_after_its_last_chunk(site, tmp_path):
    array = np.arange(5 * CHUNK // 16).view(np.float64)  # 2.5 chunks
    data = safetensors.save({"array": array})
    site.add("org/big", {"model.safetensors": data})
    served = []

    def break_off(oid):
        served.append(oid)
        part = iter([data[: CHUNK + 1000]])
        return ("gone", 404) if len(served) == 2 else (part, 200, {"Content-Length": len(data)})

    site.faults["storage"] = break_off
    with pytest.raises(errors.FileMissing):
        pull("hf://org/big")
    site.storage_requests.clear()
    site.faults.clear()
    path = pull("hf://org/big").path / "model.safetensors"
    np.testing.assert_array_equal(safetensors.load_file(path)["array"], array)
    wanted = [headers["Range"] for _, _, headers in site.storage_requests]
    assert wanted == [f"bytes={CHUNK}-{len(data) - 1}"]


@unversioned
def test_a_storage_without_ranges_will_do(site):
    array = np.arange(5 * CHUNK // 16).view(np.float64)
    data = safetensors.save({"array": array})
    site.add("org/big", {"model.safetensors": data})
    site.faults["storage"] = lambda oid: (data, 200)
    path = pull("hf://org/big").path / "model.safetensors"
    assert path.read_bytes() == data


def test_pickles_are_never_fetched(site, linear):
    site.add("org/old", {"pytorch_model.bin": b"\x80\x04cos\nsystem\n", "config.json": b"{}"})
    with pytest.raises(errors.FileMissing, match="pickle") as caught:
        load_weights("hf://org/old", into=linear)
    assert "dc-hub convert" in caught.value.hint
    assert site.storage_requests == []


def test_a_model_is_not_made_of_weights_alone_and_nothing_is_fetched_to_find_out(
    site, arrays, tmp_path
):
    site.add("org/m", {"model.safetensors": safetensors.save(arrays), "config.json": b"{}"})
    for call in (from_pretrained, info, dc_hub.verify):
        with pytest.raises(errors.FileMissing, match="weights alone") as caught:
            call("hf://org/m")
        assert "load_weights" in caught.value.hint
    with pytest.raises(errors.FileMissing, match="weights alone"):
        dc_hub.pin("hf://org/m", lock=tmp_path / "dchub.lock")
    assert site.storage_requests == []


@pytest.mark.parametrize(
    "index",
    [
        b"[]",
        b'{"weight_map": {"a": "../../etc/passwd"}}',
        b'{"weight_map": {"a": "model-00001-of-00002.safetensors"}}',
        b'{"weight_map": {"a": "model-00001-of-00001.safetensors"}}',
    ],
)
def test_a_malformed_index_of_others_is_a_typed_error(site, linear, index):
    site.add("org/m", {"model.safetensors.index.json": index})
    with pytest.raises(errors.WeightsFileError):
        load_weights("hf://org/m", into=linear)


# --- who may, and what goes wrong ---


def test_the_token_goes_to_the_endpoint_alone(site, linear):
    publish(linear, "hf://org/m")
    from_pretrained("hf://org/m")
    assert {"PUT", "GET"} == {method for method, _, _ in site.storage_requests}
    assert not any("Authorization" in headers for _, _, headers in site.storage_requests)
    asked = [headers.get("Authorization") for _, path, headers in site.requests if "/m" in path]
    assert set(asked) == {f"Bearer {server.TOKEN}"}


def test_without_a_token_what_is_public_is_read_and_nothing_is_written(site, linear, monkeypatch):
    publish(linear, "hf://org/m")
    for hub in (open_hub("hf://org", token=False), None):
        site.requests.clear()
        if hub is None:
            monkeypatch.setenv("HF_TOKEN", "")
            monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nonexistent")
            hub = open_hub("hf://org")
        assert from_pretrained("m", hub=hub).alpha == linear.alpha
        with pytest.raises(errors.ReadOnlyHub) as caught:
            publish(linear, "new", hub=hub)
        assert "HF_TOKEN" in caught.value.hint
        with pytest.raises(errors.ReadOnlyHub):
            hub.move_tag("m", "v2", hub.resolve("m").revision, expected=None)
        assert not any("Authorization" in headers for _, _, headers in site.requests)


def test_private_and_missing_repositories_are_not_found(site, linear):
    site.add("org/secret", {"model.safetensors": b""}, private=True)
    anonymous = open_hub("hf://org", token=False)
    for name in ("secret", "missing"):
        for call in (anonymous.resolve, anonymous.tags, anonymous.revisions):
            with pytest.raises(errors.ModelNotFound, match="private") as caught:
                call(name)
            assert "HF_TOKEN" in caught.value.hint
    with pytest.raises(errors.ModelNotFound):
        open_hub("hf://org").remove("missing")


def test_a_gated_repository_says_where_to_ask(site, linear):
    site.add("org/gated", {"model.safetensors": b""}, gated=True)
    with pytest.raises(errors.HubUnavailable, match="gated") as caught:
        load_weights("gated", into=linear, hub=open_hub("hf://org", token=False))
    assert "conditions" in caught.value.hint


def test_a_token_that_is_not_accepted_is_in_no_message(site, linear):
    site.faults["refs"] = lambda path: ("who are you?", 401)
    hub = open_hub("hf://org", token="hf_very_secret")
    with pytest.raises(errors.HubUnavailable, match="token") as caught:
        hub.resolve("m")
    site.faults["create"] = lambda path: ("who are you?", 401)
    site.faults.pop("refs")
    with pytest.raises(errors.ReadOnlyHub) as more:
        publish(linear, "m", hub=hub)
    for error in (caught.value, more.value):
        assert "hf_very_secret" not in f"{error} {error.hint} {error.path} {error!r}"
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_busy_endpoint_is_asked_again_when_it_says(site, linear):
    publish(linear, "hf://org/m")
    told = []

    def busy(path):
        told.append(path)
        return ("slow down", 429, {"Retry-After": "1"}) if len(told) == 1 else None

    site.faults["refs"] = busy
    before = time.monotonic()
    from_pretrained("hf://org/m")
    assert time.monotonic() - before >= 1
    site.faults["refs"] = lambda path: ("slow down", 429, {"Retry-After": "600"})
    with pytest.raises(errors.HubUnavailable, match="wait 600 s"):
        from_pretrained("hf://org/m")


@pytest.mark.parametrize(
    "answer",
    [
        "<html>Please log in</html>",
        "[]",
        '{"branches": [5]}',
        '{"branches": [{"name": "main", "targetCommit": "../../x"}]}',
        '{"branches": [{"name": 3, "targetCommit": "' + "a" * 40 + '"}]}',
        "[" * 100,
    ],
)
def test_references_that_make_no_sense_are_a_typed_error(site, answer):
    site.faults["refs"] = lambda path: answer
    with pytest.raises((errors.HubUnavailable, errors.LimitExceeded)):
        open_hub("hf://org").resolve("m")


@pytest.mark.parametrize(
    "entry",
    [
        {"size": -1, "oid": "a" * 40},
        {"size": 5, "oid": "b"},
        {"size": "5", "oid": "a" * 40},
        {"size": 5, "oid": "a" * 40, "lfs": {"oid": "c", "size": 5}},
        {"size": 1 << 40, "oid": "a" * 40},
    ],
)
def test_files_that_make_no_sense_are_a_typed_error(site, linear, entry):
    site.add("org/m", {"model.safetensors": b"x"})
    listed = json.dumps([{"type": "file", "path": "model.safetensors", **entry}])
    site.faults["tree"] = lambda path: listed
    with pytest.raises((errors.HubUnavailable, errors.LimitExceeded)):
        load_weights("hf://org/m", into=linear)


@unversioned
def test_a_list_of_files_is_read_page_by_page(site, linear, arrays, models, dataset):
    others = {f"{number:04}.txt": b"x" for number in range(2 * server.PAGE)}
    site.add("org/m", {**others, "model.safetensors": safetensors.save(arrays)})
    mine = models["Linear"]().fit(dataset)
    load_weights("hf://org/m", into=mine)
    np.testing.assert_array_equal(mine.coefficients, linear.coefficients)
    assert sum("/tree/" in path for path in site.paths()) == 3


@pytest.mark.parametrize(
    ("link", "error"),
    [
        ("<{url}{path}?cursor=1>", errors.LimitExceeded),
        ("<{url}{path}>", errors.HubUnavailable),
        ("<{url}{path}?cursor=\x7f>", errors.HubUnavailable),
        ("<{url}{path}?" + 5_000 * "x" + ">", errors.HubUnavailable),
    ],
    ids=["without end", "without a query", "with controls", "long"],
)
def test_a_list_of_files_that_is_not_whole_is_a_typed_error(site, linear, arrays, link, error):
    site.add("org/m", {"model.safetensors": safetensors.save(arrays)})
    site.faults["tree"] = lambda path: (
        "[]",
        200,
        {"Link": f'{link.format(url=site.url, path=path)}; rel="next"'},
    )
    with pytest.raises(error):
        load_weights("hf://org/m", into=linear)
    assert sum("/tree/" in path for path in site.paths()) <= 100


def test_a_link_to_the_next_page_does_not_lead_elsewhere(site, linear, arrays):
    site.add("org/m", {"model.safetensors": safetensors.save(arrays)})
    link = '<http://127.0.0.1:9/elsewhere?cursor=7>; rel="next"'
    answers = [("[]", 200, {"Link": link})]
    site.faults["tree"] = lambda path: answers.pop() if answers else None
    with pytest.raises(errors.ModelNotFound):
        load_weights("hf://org/m", into=linear)
    assert sum("/tree/" in path for path in site.paths()) == 2


def test_an_upload_that_fails_names_no_signed_url_and_changes_nothing(site, org, linear):
    site.faults["put"] = lambda oid: ("no", 403)
    with pytest.raises(errors.HubUnavailable, match="Forbidden") as caught:
        publish(linear, "m", hub=org)
    assert "secret" not in str(caught.value)
    assert set(main(site)) == {".gitattributes"}
    site.faults.clear()
    publish(linear, "m", hub=org)


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "DEEPCHEM_OFFLINE"])
def test_offline_nothing_is_asked_and_what_was_fetched_loads(
    site, org, linear, monkeypatch, variable
):
    revision = publish(linear, "m", hub=org).revision
    from_pretrained("hf://org/m")
    monkeypatch.setenv(variable, "1")
    site.requests.clear()
    assert from_pretrained(f"hf://org/m@{revision}").alpha == linear.alpha
    hub = open_hub("hf://org")
    for call in (
        lambda: from_pretrained("hf://org/m"),
        lambda: from_pretrained("hf://org/m@v1"),
        lambda: publish(linear, "m", hub=hub),
        lambda: hub.remove("m"),
        lambda: hub.names(),
        lambda: hub.move_tag("m", "v1", revision, expected=None),
        lambda: hub.delete_tag("m", "main"),
    ):
        with pytest.raises(errors.Offline, match=variable):
            call()
    assert site.requests == []


@pytest.mark.parametrize(
    "url",
    ["hf://org/net", "hf://datasets/org", "hf://spaces", "hf://-x", "hf://a b", "hf://org?x=1"],
)
def test_what_is_no_hub_of_models_is_a_typed_error(url):
    with pytest.raises(errors.HubUnavailable, match="not the URL of a hub"):
        open_hub(url)


def test_models_may_be_said_to_be_models(site, linear):
    publish(linear, "hf://models/org/m")
    assert from_pretrained("hf://org/m").alpha == linear.alpha


def test_an_unknown_option_is_an_error():
    with pytest.raises(ParameterError, match="'profile'"):
        open_hub("hf://org", profile="x")


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(errors.HubUnavailable) as caught:
        open_hub("hf://org")
    assert 'pip install "dc-hub[hf]"' in caught.value.hint


@unversioned
def test_it_is_one_of_several_hubs_in_order(site, linear, other, arrays, tmp_path, monkeypatch):
    publish(linear, "mine", hub=tmp_path / "hub")
    publish(other, "mine", hub="hf://org")
    publish(other, "theirs", hub="hf://org")
    site.add("org/Plain", {"model.safetensors": safetensors.save(arrays)})
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", f"{tmp_path / 'hub'};hf://org")
    assert from_pretrained("mine").alpha == linear.alpha
    assert from_pretrained("theirs").alpha == other.alpha
    load_weights("Plain", into=linear)
    assert [listing.name for listing in dc_hub.ls()] == ["mine", "theirs"]
