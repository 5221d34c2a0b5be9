"""The trust policy: what it requires, where, and that nothing gets around it."""

import ast
import os
import runpy
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dc_hub
from dc_hub import from_pretrained, load_weights, open_hub, publish, publish_directory, save
from dc_hub.errors import (
    HashMismatch,
    HubError,
    HubUnavailable,
    LimitExceeded,
    Offline,
    PolicyError,
    SignatureError,
)
from dc_hub.format.filenames import BUNDLE, MANIFEST, SIGNATURE
from dc_hub.format.record import Record
from dc_hub.format.signatures import parse_signatures, signature_bytes
from dc_hub.hubs.local import LocalHub
from dc_hub.loading import opening
from dc_hub.remote import retrying
from dc_hub.site.serving import HubServer
from dc_hub.trust.keyring import keys_folder, new_key
from dc_hub.trust.keys import SigningKey
from dc_hub.trust.policy import load_policy, parse_policy, place_of

pytest.importorskip("cryptography", reason="cryptography is not installed")
web = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("web.py"))))


@pytest.fixture
def alice():
    return new_key("alice")


@pytest.fixture
def policy(tmp_path):
    """Return a function that writes the user's trust policy."""

    def write(text):
        file = tmp_path / "config" / "trust.toml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"version = 1\n{text}", encoding="utf-8")
        return file

    return write


@pytest.fixture
def strict(policy, hub, alice):
    """A policy that requires Alice's signature of every model in ``hub``."""
    return policy(f"[hubs.'{hub.path}']\nrequire_signature = ['alice']\n")


def loads(name="m", **options):
    return from_pretrained(name, **options)


def refused(call, *parts):
    with pytest.raises(SignatureError) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)
    assert caught.value.hint
    return caught.value


def test_a_signed_model_loads_and_an_unsigned_one_is_refused(hub, linear, chain, strict, dataset):
    publish(linear, "m", hub=hub, sign="alice")
    publish(chain, "n", hub=hub)
    np.testing.assert_array_equal(loads(hub=hub).predict(dataset), linear.predict(dataset))
    error = refused(lambda: loads("n", hub=hub), "alice", "no such signature")
    assert error.path == f"{hub.path}/n"
    dc_hub.sign("n", hub=hub, key="alice")
    loads("n", hub=hub)


def test_the_error_names_the_keys_and_the_revision(hub, linear, strict, alice):
    revision = publish(linear, "m", hub=hub).revision
    refused(lambda: loads(hub=hub), f"alice ({alice.id})", revision, "dc-hub sign", str(hub.path))


@pytest.fixture
def served(hub, linear, alice, policy, monkeypatch):
    """A server of a hub with one signed model, whose signature the policy requires."""
    monkeypatch.setattr(retrying, "PAUSE", 0.0)
    publish(linear, "m", hub=hub, sign="alice")
    with web.serve(hub.path) as server:
        policy(f"[hubs.'{server.url}']\nrequire_signature = ['alice']\n")
        yield server


ROUTES = {
    "from_pretrained": lambda hub, linear: from_pretrained("m", hub=hub),
    "the class": lambda hub, linear: type(linear).from_pretrained("m", hub=hub),
    "load_weights": lambda hub, linear: load_weights("m", linear, hub=hub),
    "training": lambda hub, linear: from_pretrained("m", hub=hub, training=True),
    "allow_missing": lambda hub, linear: from_pretrained("m", hub=hub, allow_missing={"x"}),
    "verify": lambda hub, linear: dc_hub.verify("m", hub=hub),
    "verify=full": lambda hub, linear: from_pretrained("m", hub=hub, verify="full"),
    "info": lambda hub, linear: dc_hub.info("m", hub=hub),
    "card": lambda hub, linear: dc_hub.card("m", hub=hub),
    "set_card": lambda hub, linear: dc_hub.set_card("m", "# Mine", hub=hub),
    "summary": lambda hub, linear: dc_hub.summary("m", hub=hub),
    "check_golden": lambda hub, linear: dc_hub.check_golden("m", hub=hub),
    "diff": lambda hub, linear: dc_hub.diff("m", "m", hub=hub),
    "pull": lambda hub, linear: dc_hub.pull("m", hub=hub),
    "a digest": lambda hub, linear: from_pretrained("m", hub=hub, revision=digest(hub)),
    "a prefix": lambda hub, linear: from_pretrained(f"m@{digest(hub)[:12]}", hub=hub),
    "the hub's path": lambda hub, linear: from_pretrained("m", hub=str(hub.path)),
    "the hub's URL": lambda hub, linear: from_pretrained("m", hub=hub.path.as_uri()),
    "another hub object": lambda hub, linear: from_pretrained("m", hub=LocalHub(hub.path)),
    "the directory": lambda hub, linear: dc_hub.load(directory(hub)),
    "a link to it": lambda hub, linear: dc_hub.load(linked(directory(hub))),
    "a link to the hub": lambda hub, linear: from_pretrained("m", hub=linked(hub.path)),
    "a path with ..": lambda hub, linear: dc_hub.load(f"{directory(hub)}/../{digest(hub)}"),
    "bundle": lambda hub, linear: dc_hub.bundle("m", hub.path.parent / "m.tar", hub=hub),
    "publish_directory": lambda hub, linear: publish_directory(directory(hub), "n", hub=hub),
}


def digest(hub):
    return hub.resolve("m").revision


def directory(hub):
    return hub.resolve("m").path


def linked(path):
    """Return a link to ``path``, beside the hub."""
    beside = next(folder for folder in (path, *path.parents) if folder.name == "hub").parent
    link = beside / "a-link"
    link.symlink_to(path)
    return link


@pytest.mark.parametrize("route", ROUTES)
def test_every_way_to_a_model_is_checked(route, hub, linear, strict, monkeypatch):
    publish(linear, "m", hub=hub)
    monkeypatch.setattr(Record, "from_bytes", lambda *_, **__: pytest.fail("it was parsed"))
    refused(lambda: ROUTES[route](hub, linear), "alice")


def test_nothing_fetches_or_opens_a_model_but_what_checks_it():
    source = Path(dc_hub.__file__).parent
    fetching, opening = set(), set()
    for file in source.rglob("*.py"):
        if "testing" in file.relative_to(source).parts:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if isinstance(called, ast.Attribute) and called.attr == "fetch":
                fetching.add(str(file.relative_to(source)))
            if isinstance(called, ast.Name) and called.id == "open_contents":
                opening.add(str(file.relative_to(source)))
    passing_on = {"hubs/several.py", "remote/huggingface/hub.py"}
    assert fetching == {"hubs/fetching.py", *passing_on}
    assert opening == {"loading/opening.py", "publishing/bundles.py"}


def test_a_signature_of_another_model_is_refused(hub, linear, chain, strict):
    signed = publish(linear, "m", hub=hub, sign="alice")
    other = publish(chain, "n", hub=hub)
    shutil.copy(signed.path / SIGNATURE, other.path / SIGNATURE)
    refused(lambda: loads("n", hub=hub), "is not one of this model", "alice")


def test_a_signature_made_before_publishing_again_is_refused(hub, models, dataset, strict):
    first = publish(models["Linear"](1.0).fit(dataset), "m", hub=hub, sign="alice")
    second = publish(models["Linear"](2.0).fit(dataset), "m", hub=hub)
    shutil.copy(first.path / SIGNATURE, second.path / SIGNATURE)
    refused(lambda: loads(hub=hub), "is not one of this model")
    loads(hub=hub, revision=first.revision)


def test_a_signature_of_a_key_that_is_not_required_is_refused(hub, linear, strict):
    mallory = new_key("mallory")
    publish(linear, "m", hub=hub, sign="mallory")
    refused(lambda: loads(hub=hub), f"mallory ({mallory.id})", "does not count here")
    stranger = SigningKey.generate()
    dc_hub.sign("m", hub=hub, key=stranger)
    refused(lambda: loads(hub=hub), stranger.public.id)


def test_a_key_id_that_is_claimed_does_not_count(hub, linear, strict, alice):
    path = publish(linear, "m", hub=hub, sign=SigningKey.generate()).path
    (made,) = parse_signatures((path / SIGNATURE).read_bytes())
    forged = signature_bytes([type(made)(alice.id, made.value)])
    (path / SIGNATURE).write_bytes(forged)
    refused(lambda: loads(hub=hub), "is not one of this model")


def test_the_prefix_of_a_key_id_does_not_count(hub, linear, policy, alice):
    for wanted in (alice.id[:12], alice.id[:63], alice.id.upper(), ""):
        policy(f"[hubs.'{hub.path}']\nrequire_signature = ['{wanted}']\n")
        publish(linear, "m", hub=hub, sign="alice")
        with pytest.raises(PolicyError, match="not known"):
            loads(hub=hub)
    policy(f"[hubs.'{hub.path}']\nrequire_signature = ['{alice.id}']\n")
    loads(hub=hub)


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"{}", b"x" * (1 << 17), b"[" * 60_000],
    ids=["empty", "null", "object", "huge", "deep"],
)
def test_a_malformed_signature_file_is_refused(data, hub, linear, strict):
    path = publish(linear, "m", hub=hub).path
    (path / SIGNATURE).write_bytes(data)
    with pytest.raises((SignatureError, LimitExceeded), match=r"MANIFEST\.json\.sig"):
        loads(hub=hub)


def test_several_keys_count_up_to_the_threshold(hub, linear, policy, alice):
    new_key("bob"), new_key("carol")
    policy(f"[hubs.'{hub.path}']\nrequire_signature = ['alice', 'bob', 'carol']\nthreshold = 2\n")
    publish(linear, "m", hub=hub, sign="alice")
    refused(lambda: loads(hub=hub), "2 of these keys", "only 1 of them")
    dc_hub.sign("m", hub=hub, key="carol")
    loads(hub=hub)


def test_two_names_of_one_key_count_once(hub, linear, policy, alice, tmp_path):
    publish(linear, "m", hub=hub, sign="alice")
    dc_hub.trust_key(keys_folder() / "alice.pub", "again")
    policy(f"[hubs.'{hub.path}']\nrequire_signature = ['alice', 'again']\nthreshold = 2\n")
    with pytest.raises(PolicyError, match="threshold"):
        loads(hub=hub)


def test_the_longest_prefix_decides(hub, linear, policy, alice, tmp_path):
    publish(linear, "lab/m", hub=hub)
    publish(linear, "lab/n", hub=hub)
    publish(linear, "labs", hub=hub)
    policy(
        f"[hubs.'{hub.path}']\nrequire_signature = false\n"
        f"[hubs.'{hub.path}/lab']\nrequire_signature = ['alice']\n"
        f"[hubs.'{hub.path}/lab/n']\nrequire_signature = false\n"
        "[default]\nrequire_signature = ['alice']\n"
    )
    loads("labs", hub=hub)
    loads("lab/n", hub=hub)
    refused(lambda: loads("lab/m", hub=hub))
    refused(lambda: dc_hub.load(save(linear, tmp_path / "elsewhere").path))


def test_without_a_policy_nothing_is_required(hub, linear):
    publish(linear, "m", hub=hub)
    assert load_policy() is None
    loads(hub=hub)


def test_a_directory_without_a_manifest_cannot_satisfy_a_policy(linear, policy, alice, tmp_path):
    path = save(linear, tmp_path / "m", sign="alice").path
    policy("[default]\nrequire_signature = ['alice']\n")
    dc_hub.load(path)
    (path / MANIFEST).unlink()
    refused(lambda: dc_hub.load(path), "no MANIFEST.json")


def test_the_manifest_that_is_signed_is_the_one_that_is_read(
    linear, chain, policy, alice, tmp_path, monkeypatch
):
    good = save(linear, tmp_path / "good", sign="alice").path
    evil = save(chain, tmp_path / "evil").path
    policy("[default]\nrequire_signature = ['alice']\n")
    check = opening.trusted_directory

    def exchanged(directory):
        source = check(directory)
        good.rename(tmp_path / "aside")
        evil.rename(good)
        return source

    monkeypatch.setattr(opening, "trusted_directory", exchanged)
    with pytest.raises(HashMismatch, match="is not the manifest of revision"):
        dc_hub.load(good)


def test_a_link_that_is_turned_after_the_check_is_not_followed(
    linear, chain, policy, alice, tmp_path, monkeypatch
):
    good = save(linear, tmp_path / "good").path
    evil = save(chain, tmp_path / "evil").path
    policy(
        f"[hubs.'{good}']\nrequire_signature = false\n[default]\nrequire_signature = ['alice']\n"
    )
    link = tmp_path / "link"
    link.symlink_to(good)
    check = opening.trusted_directory

    def turned(directory):
        source = check(directory)
        link.unlink()
        link.symlink_to(evil)
        return source

    monkeypatch.setattr(opening, "trusted_directory", turned)
    assert type(dc_hub.load(link)) is type(linear)


def test_a_file_changed_under_a_signed_manifest_is_refused(hub, linear, strict):
    path = publish(linear, "m", hub=hub, sign="alice").path
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    with pytest.raises(HashMismatch):
        loads(hub=hub)


def test_without_the_library_a_required_signature_is_an_error(hub, linear, strict, monkeypatch):
    publish(linear, "m", hub=hub, sign="alice")
    for module in ("cryptography", *(m for m in sys.modules if m.startswith("cryptography."))):
        monkeypatch.setitem(sys.modules, module, None)
    refused(lambda: loads(hub=hub), 'pip install "dc-hub[sign]"')


def test_no_file_of_a_model_changes_the_policy(hub, linear, strict, tmp_path, monkeypatch):
    path = publish(
        linear, "m", hub=hub, metadata={"DEEPCHEM_TRUST": "/dev/null", "require_signature": False}
    ).path
    lax = "version = 1\n[default]\nrequire_signature = false\n"
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, hub.path, hub.path / "m"):
        (folder / "trust.toml").write_text(lax)
    refused(lambda: loads(hub=hub))
    monkeypatch.chdir(path)
    refused(lambda: loads(hub=hub))
    (path / "trust.toml").write_text(lax)
    refused(lambda: loads(hub=hub))


def test_the_variable_names_the_policy(hub, linear, policy, alice, tmp_path, monkeypatch):
    policy("[default]\nrequire_signature = false\n")
    publish(linear, "m", hub=hub)
    loads(hub=hub)
    file = tmp_path / "site.toml"
    file.write_text(
        f"version = 1\n[keys]\nboss = '''{alice.to_text()}'''\n"
        "[default]\nrequire_signature = ['boss']\n"
    )
    monkeypatch.setenv("DEEPCHEM_TRUST", str(file))
    refused(lambda: loads(hub=hub), alice.id)
    file.unlink()
    with pytest.raises(PolicyError, match="does not exist"):
        loads(hub=hub)


MALFORMED = [
    "version = 2",
    "version = '1'",
    "version = true",
    "",
    "not TOML",
    "version = 1\nversion = 1",
    "version = 1\nrequire_signature = ['alice']",
    "version = 1\n[default]",
    "version = 1\n[default]\nrequire_signatures = ['alice']",
    "version = 1\n[default]\nrequire_signature = ['alice']\nmore = 1",
    "version = 1\n[default]\nrequire_signature = true",
    "version = 1\n[default]\nrequire_signature = []",
    "version = 1\n[default]\nrequire_signature = 'alice'",
    "version = 1\n[default]\nrequire_signature = [1]",
    "version = 1\n[default]\nrequire_signature = ['nobody']",
    "version = 1\n[default]\nrequire_signature = ['alice']\nthreshold = 0",
    "version = 1\n[default]\nrequire_signature = ['alice']\nthreshold = 2",
    "version = 1\n[default]\nrequire_signature = ['alice']\nthreshold = true",
    "version = 1\n[default]\nrequire_signature = ['alice']\nthreshold = 1.0",
    "version = 1\n[default]\nrequire_signature = false\nthreshold = 1",
    "version = 1\ndefault = 1",
    "version = 1\nhubs = 1",
    "version = 1\n[hubs.relative]\nrequire_signature = false",
    "version = 1\n[hubs.'http://']\nrequire_signature = false",
    "version = 1\n[hubs.'http://h:x/']\nrequire_signature = false",
    "version = 1\n[hubs.'s3://']\nrequire_signature = false",
    "version = 1\n[hubs.'http://h/a/../b']\nrequire_signature = false",
    "version = 1\n[hubs.'']\nrequire_signature = false",
    "version = 1\n[hubs.'/a']\nrequire_signature = false\n[hubs.'/a/']\nrequire_signature = false",
    "version = 1\nhubs.'/a' = false",
    "version = 1\nkeys = []",
    "version = 1\n[keys]\nalice = 1",
    "version = 1\n[keys]\nalice = 'no key'",
    "version = 1\n[keys]\n'../x' = 'no key'",
    "version = 1\nx = " + "[" * 5000,
    "version = 1\nx = '\ud800'",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_policy_is_an_error_and_never_ignored(text, hub, linear, alice, tmp_path):
    publish(linear, "m", hub=hub, sign="alice")
    file = tmp_path / "config" / "trust.toml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(PolicyError) as caught:
        loads(hub=hub)
    assert caught.value.path == str(file)


@pytest.mark.needs("file owners")
def test_a_policy_that_others_can_write_is_refused(hub, linear, strict):
    publish(linear, "m", hub=hub, sign="alice")
    strict.chmod(0o666)
    with pytest.raises(PolicyError, match="Others can write"):
        loads(hub=hub)
    strict.chmod(0o600)
    strict.parent.chmod(0o777)
    with pytest.raises(PolicyError, match="Others can write"):
        loads(hub=hub)
    strict.parent.chmod(0o700)
    loads(hub=hub)


@pytest.mark.needs("file owners")
def test_a_policy_in_a_folder_where_others_can_replace_a_link_is_refused(hub, linear, strict):
    publish(linear, "m", hub=hub, sign="alice")
    target = strict.parent / "dotfiles" / "trust.toml"
    target.parent.mkdir(mode=0o700)
    strict.rename(target)
    strict.symlink_to(target)
    loads(hub=hub)
    strict.parent.chmod(0o777)
    with pytest.raises(PolicyError, match="Others can write"):
        loads(hub=hub)


def test_a_policy_that_is_a_link_to_nothing_is_not_ignored(hub, linear, strict, tmp_path):
    publish(linear, "m", hub=hub)
    strict.unlink()
    strict.symlink_to(tmp_path / "unmounted" / "trust.toml")
    with pytest.raises(PolicyError, match="does not exist"):
        loads(hub=hub)


@pytest.mark.needs("FIFOs")
def test_a_policy_that_is_no_file_is_refused_at_once(hub, linear, strict):
    publish(linear, "m", hub=hub, sign="alice")
    strict.unlink()
    os.mkfifo(strict)
    with pytest.raises(HubError):
        loads(hub=hub)
    strict.unlink()
    strict.mkdir()
    with pytest.raises(HubError):
        loads(hub=hub)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://Host/hub", "HTTPS://host:443/hub/"),
        ("http://host/a/b", "http://host:80/a/b//"),
        ("http://host/a%2Db", "http://host/a-b"),
        ("https://host./x", "https://host/x"),
        ("s3://bucket/models/", "S3://bucket/models"),
        ("hf://Org/Net", "hf://org/net/"),
        ("hf://models/org/net", "hf://org/net"),
        ("file:///srv/x", "/srv/y/../x"),
    ],
)
def test_equal_places_are_equal_however_they_are_written(one, other):
    assert place_of(one) == place_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://host/hub", "http://host/hub"),
        ("https://host/hub", "https://host:444/hub"),
        ("https://host/hub", "https://host.evil/hub"),
        ("https://host/hub", "https://evil/host/hub"),
        ("s3://bucket/hub", "s3://buckets/hub"),
        ("s3://bucket/hub", "/bucket/hub"),
        ("s3://bucket/a%2Db", "s3://bucket/a-b"),
        ("s3://bucket/Hub", "s3://bucket/hub"),
        ("https://host/Hub", "https://host/hub"),
    ],
)
def test_different_places_stay_apart(one, other):
    assert place_of(one) != place_of(other)


@pytest.mark.parametrize(
    "where",
    [
        "https://host/theirs//../ours",  # which clients make https://host/theirs/ours of
        "https://host/theirs/../ours",
        "https://host/theirs/%2e%2e/ours",
        "https://host/theirs%2F..%2Fours",
        "https://host/./ours",
        "https://host//ours",
        "https://host/ou\nrs",
        "https://host/ours?x",
        "https://host/ours#x",
        "https://host/theirs\\..\\ours",
        "https://h\N{LATIN SMALL LETTER O WITH DIAERESIS}st/ours",
        "https://host:99999/ours",
        "s3://bucket/theirs/../ours",  # which is a key of its own
        "s3://bucket//ours",
        "s3://bucket/ou\trs",
    ],
)
def test_a_place_that_can_be_read_in_two_ways_satisfies_no_rule(where, tmp_path):
    text = "version = 1\n"
    for trusted in ("https://host/ours", "s3://bucket/ours"):
        text += f"[hubs.'{trusted}']\nrequire_signature = false\n"
    policy = parse_policy(text.encode(), tmp_path, {})
    with pytest.raises(PolicyError, match="cannot tell which rule holds"):
        policy.rule(where)


def test_a_rule_for_hugging_faces_hub_holds_for_all_organisations(tmp_path):
    text = b"version = 1\n[hubs.'hf://']\nrequire_signature = false\n"
    assert parse_policy(text, tmp_path, {}).rule("hf://org/net") is not None


def test_a_prefix_ends_where_a_name_ends(tmp_path):
    text = b"version = 1\n[hubs.'https://host/hub']\nrequire_signature = false\n"
    policy = parse_policy(text, tmp_path, {})
    assert policy.rule("https://host/hub") is not None
    assert policy.rule("https://host/hub/lab/m") is not None
    for elsewhere in ("https://host/hub2", "https://host/", "https://host/x/hub", "/hub"):
        assert policy.rule(elsewhere) is None


def missing(handler, data):
    handler.answer(404, b"nothing here")
    return True


def drop_signatures(served):
    served.faults[SIGNATURE] = missing


def test_a_signed_model_of_a_server_comes_with_its_signature(served, hub):
    loads(hub=served.url)
    fetched = open_hub(served.url).resolve("m").path
    assert (fetched / SIGNATURE).read_bytes() == (hub.resolve("m").path / SIGNATURE).read_bytes()
    asked = len(served.requests)
    loads(hub=served.url, revision=fetched.name)
    assert len(served.requests) == asked


def test_a_mirror_that_drops_signatures_is_refused_before_anything_is_fetched(served, hub):
    drop_signatures(served)
    for call in (lambda: loads(hub=served.url), lambda: dc_hub.pull("m", hub=served.url)):
        refused(call, "no such signature", f"{served.url}/m")
    asked = {path.rsplit("/")[-1] for path, _, _ in served.requests}
    assert asked == {"main.json", SIGNATURE, BUNDLE}
    assert not open_hub(served.url).cache.has(digest(hub))
    refused(lambda: dc_hub.info("m", hub=served.url))


def test_of_several_hubs_the_one_that_has_the_name_decides_what_a_cached_digest_needs(
    served, hub, linear, policy, tmp_path
):
    """The cache does not tell which of the hubs a model is of."""
    free = LocalHub(tmp_path / "free")
    free.path.mkdir()
    policy("")
    drop_signatures(served)
    with web.serve(free.path) as other:
        dc_hub.write_index(free)
        loads(hub=[other.url, served.url])
        policy(f"[hubs.'{served.url}']\nrequire_signature = ['alice']\n")
        refused(lambda: loads(hub=[other.url, served.url], revision=digest(hub)), served.url)
        policy(f"[hubs.'{other.url}']\nrequire_signature = ['alice']\n")
        loads(hub=[other.url, served.url], revision=digest(hub))


def test_a_served_hub_passes_on_no_model_that_the_policy_refuses(hub, linear, strict):
    publish(linear, "m", hub=hub)
    with HubServer(hub, 0) as server:
        for file in (MANIFEST, "params.json"):
            refused(lambda file=file: server.answer(f"/m/revisions/{digest(hub)}/{file}"), "alice")
        dc_hub.sign("m", hub=hub, key="alice")
        assert server.answer(f"/m/revisions/{digest(hub)}/{MANIFEST}").size


REMOTE = {
    "from_pretrained": lambda url, linear, folder: from_pretrained("m", hub=url),
    "the address": lambda url, linear, folder: from_pretrained(f"{url}/m"),
    "load_weights": lambda url, linear, folder: load_weights("m", linear, hub=url),
    "info": lambda url, linear, folder: dc_hub.info("m", hub=url),
    "summary": lambda url, linear, folder: dc_hub.summary("m", hub=url),
    "card": lambda url, linear, folder: dc_hub.card("m", hub=url),
    "lineage": lambda url, linear, folder: dc_hub.lineage("m", hub=url),
    "diff": lambda url, linear, folder: dc_hub.diff("m", "m", hub=url),
    "diff, fetched": lambda url, linear, folder: dc_hub.diff("m", "m", hub=url, fetch=True),
    "pull": lambda url, linear, folder: dc_hub.pull("m", hub=url),
    "verify": lambda url, linear, folder: dc_hub.verify("m", hub=url),
    "check_golden": lambda url, linear, folder: dc_hub.check_golden("m", hub=url),
    "export": lambda url, linear, folder: dc_hub.export("m", folder / "copy", hub=url),
    "bundle": lambda url, linear, folder: dc_hub.bundle("m", folder / "m.tar", hub=url),
}


@pytest.mark.parametrize("route", REMOTE)
def test_nothing_of_an_unsigned_model_of_a_server_is_asked_for_but_signatures(
    route, served, linear, tmp_path
):
    drop_signatures(served)
    refused(lambda: REMOTE[route](served.url, linear, tmp_path), "no such signature")
    asked = {path.rsplit("/")[-1] for path, _, _ in served.requests}
    assert asked <= {"main.json", "index.json", SIGNATURE, BUNDLE}
    assert not (tmp_path / "copy").exists()


def test_all_models_that_lack_signatures_are_listed_with_those_that_are_damaged(
    hub, linear, chain, strict, tmp_path
):
    good = publish(linear, "good", hub=hub, sign="alice")
    unsigned = publish(chain, "bad", hub=hub)
    found = dc_hub.verify_models([unsigned.path], hub=hub)
    found += dc_hub.verify_models(hub=hub, everything=True, repair=True)
    assert [(one.name, one.intact) for one in found] == [
        ("", False),
        ("bad", False),
        ("good", True),
    ]
    assert all(one.error.startswith("SignatureError") for one in found if not one.intact)
    assert (found[1].revision, found[2].revision) == (unsigned.revision, good.revision)


def test_an_unsigned_model_has_neither_a_page_nor_a_card_on_a_site(served, hub, linear, tmp_path):
    dc_hub.write_index(hub)
    drop_signatures(served)
    site = dc_hub.write_site(served.url, to=tmp_path / "site")
    page = (site.path / "models" / "m.html").read_text()
    assert "must be signed" in page
    assert {"MANIFEST.json", "params.json"}.isdisjoint(
        path.rsplit("/")[-1] for path, _, _ in served.requests
    )


@pytest.mark.parametrize(
    "data",
    [b'{"format": "dc-signatures", "format_version": [2, 0]}', b"[" * 60_000, b"{}"],
    ids=["version", "deep", "malformed"],
)
def test_what_another_hub_left_in_the_cache_does_not_hide_the_signature_of_this_one(
    data, served, hub
):
    def answer(handler, _):
        handler.answer(200, data)
        return True

    with web.serve(hub.path) as other:
        other.faults[SIGNATURE] = answer
        loads(hub=other.url)
    loads(hub=served.url)


def test_a_model_in_the_cache_without_its_signature_gets_it_when_it_is_needed(served, policy, hub):
    rule = policy("").read_text()
    drop_signatures(served)
    loads(hub=served.url)
    fetched = open_hub(served.url).resolve("m").path
    assert not (fetched / SIGNATURE).exists()
    policy(f"[hubs.'{served.url}']\nrequire_signature = ['alice']\n")
    assert rule == "version = 1\n"
    refused(lambda: loads(hub=served.url))
    served.faults.clear()
    loads(hub=served.url)
    assert (fetched / SIGNATURE).exists()


def test_a_cached_model_of_a_hub_that_is_not_trusted_is_checked_for_the_one_that_is(
    served, linear, tmp_path, monkeypatch
):
    """The cache is shared by all hubs: another may have brought the model, unsigned."""
    other = LocalHub(tmp_path / "other")
    publish(linear, "m", hub=other)
    with web.serve(other.path) as plain:
        loads(hub=plain.url)
    drop_signatures(served)
    refused(lambda: loads(hub=served.url))
    monkeypatch.setenv("DEEPCHEM_OFFLINE", "1")
    with pytest.raises(Offline):
        loads(hub=served.url, revision=open_hub(other.path).resolve("m").revision)


def test_offline_a_signature_in_the_cache_is_enough(served, hub, monkeypatch):
    loads(hub=served.url)
    monkeypatch.setenv("DEEPCHEM_OFFLINE", "1")
    loads(hub=served.url, revision=digest(hub))


def test_a_server_that_fails_for_a_required_signature_is_an_error(served):
    served.faults[SIGNATURE] = web.status(500)
    with pytest.raises(HubUnavailable):
        loads(hub=served.url)
    served.faults[SIGNATURE] = web.page
    with pytest.raises(SignatureError, match="not valid JSON"):
        loads(hub=served.url)


@pytest.mark.parametrize("fault", ["endless", "huge", "deep"])
def test_a_signature_file_without_end_is_not_read(fault, served):
    def answer(data):
        return lambda handler, _: handler.answer(200, data) or True

    faults = {
        "endless": web.endless,
        "huge": answer(bytes(1 << 20)),
        "deep": answer(b"[" * 60_000),
    }
    served.faults[SIGNATURE] = faults[fault]
    with pytest.raises(LimitExceeded):
        loads(hub=served.url)
    assert served.sent < 1 << 22


@pytest.mark.parametrize("code", [403, 401])
def test_a_server_that_denies_what_it_does_not_have_serves_unsigned_models(
    code, served, policy, caplog
):
    policy("")
    served.faults[SIGNATURE] = served.faults[BUNDLE] = web.status(code)
    assert dc_hub.info("m", hub=served.url).signatures == ()
    loads(hub=served.url)
    assert "comes without its signatures" in caplog.text


def test_a_signature_planted_as_a_link_in_the_cache_is_refused(served, hub, tmp_path):
    loads(hub=served.url)
    file = open_hub(served.url).resolve("m").path / SIGNATURE
    target = tmp_path / "elsewhere"
    file.rename(target)
    file.symlink_to(target)
    with pytest.raises(HubError, match=r"MANIFEST\.json\.sig"):
        loads(hub=served.url)


def test_a_hub_on_a_web_server_is_signed_where_it_is(served):
    new_key("bob")
    with pytest.raises(dc_hub.errors.ReadOnlyHub):
        dc_hub.sign("m", hub=served.url, key="bob")
