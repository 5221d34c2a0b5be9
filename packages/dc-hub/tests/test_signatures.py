"""Signatures over manifests: how they are made, stored, joined and read."""

import base64
import hashlib
import json
import os
import pickle
import stat
import subprocess
import sys
import threading

import pytest

import dc_hub
from dc_hub import publish, publish_directory, save
from dc_hub.errors import (
    AlreadyExists,
    FileMissing,
    FormatVersionError,
    KeyFileError,
    LimitExceeded,
    SignatureError,
    UnsafePath,
)
from dc_hub.format.filenames import MANIFEST, SIGNATURE
from dc_hub.format.signatures import (
    MAX_BYTES,
    MAX_SIGNATURES,
    Signature,
    merge_signatures,
    message,
    parse_signatures,
    signature_bytes,
)
from dc_hub.trust.keyring import keys_folder, list_keys, load_key, new_key, remove_key, trust_key
from dc_hub.trust.keys import PublicKey, SigningKey

pytest.importorskip("cryptography", reason="cryptography is not installed")


@pytest.fixture
def alice():
    return new_key("alice")


@pytest.fixture
def bob():
    return new_key("bob")


def signatures_in(path):
    return parse_signatures((path / SIGNATURE).read_bytes())


def test_a_published_model_has_its_signature_at_once(hub, linear, alice):
    path = publish(linear, "m", hub=hub, sign="alice").path
    (signature,) = signatures_in(path)
    assert signature.key_id == alice.id
    assert alice.verifies(signature, path.name)


def test_a_signature_does_not_change_the_revision(hub, linear, alice, tmp_path):
    plain = publish(linear, "m", hub=hub)
    signed = publish(linear, "n", hub=hub, sign="alice")
    assert plain.revision == signed.revision == save(linear, tmp_path / "m", sign="alice").revision
    dc_hub.verify("n", hub=hub)


def test_the_options_of_a_model_sign_it_too(hub, linear, alice, tmp_path):
    published = linear.to_pretrained("m", hub=hub, sign="alice")
    assert alice.verifies(signatures_in(published.path)[0], published.revision)
    saved = linear.to_pretrained(tmp_path / "saved", sign="alice")
    assert alice.verifies(signatures_in(saved.path)[0], saved.revision)


def test_several_signers_sign_one_revision(hub, linear, alice, bob):
    published = publish(linear, "m", hub=hub, sign="alice")
    signed = dc_hub.sign("m", hub=hub, key="bob")
    assert signed == published
    found = signatures_in(published.path)
    assert {signature.key_id for signature in found} == {alice.id, bob.id}
    keys = {key.id: key for key in (alice, bob)}
    assert all(keys[one.key_id].verifies(one, published.revision) for one in found)


def test_signing_again_changes_nothing(hub, linear, alice):
    path = publish(linear, "m", hub=hub, sign="alice").path
    before = (path / SIGNATURE).read_bytes()
    dc_hub.sign("m", hub=hub, key="alice")
    publish(linear, "m", hub=hub, sign="alice")
    assert (path / SIGNATURE).read_bytes() == before


def test_publishing_a_model_again_adds_a_signature_and_keeps_the_others(hub, linear, alice, bob):
    publish(linear, "m", hub=hub, sign="alice")
    path = publish(linear, "m", hub=hub, sign="bob").path
    assert {one.key_id for one in signatures_in(path)} == {alice.id, bob.id}
    publish(linear, "m", hub=hub)
    assert len(signatures_in(path)) == 2


def test_a_directory_is_signed_where_it_is(linear, alice, tmp_path):
    saved = save(linear, tmp_path / "m")
    signed = dc_hub.sign(saved.path, key="alice")
    assert signed.revision == saved.revision
    assert alice.verifies(signatures_in(saved.path)[0], saved.revision)
    dc_hub.load(saved.path)


def test_a_directory_without_a_manifest_cannot_be_signed(linear, alice, tmp_path):
    path = save(linear, tmp_path / "m").path
    (path / MANIFEST).unlink()
    with pytest.raises(FileMissing, match=MANIFEST):
        dc_hub.sign(path, key="alice")


def test_copying_a_directory_keeps_its_signatures(hub, linear, alice, bob, tmp_path):
    saved = save(linear, tmp_path / "m", sign="alice")
    copied = publish_directory(saved.path, "m", hub=hub, sign="bob")
    assert copied.revision == saved.revision
    assert {one.key_id for one in signatures_in(copied.path)} == {alice.id, bob.id}


def test_a_model_with_another_card_is_another_revision_and_is_not_signed(hub, linear, alice):
    signed = publish(linear, "m", hub=hub, sign="alice")
    edited = dc_hub.set_card("m", "# By hand", hub=hub)
    assert edited.revision != signed.revision
    assert not (edited.path / SIGNATURE).exists()
    assert (signed.path / SIGNATURE).exists()


def test_signers_at_the_same_time_lose_no_signature(hub, linear):
    path = publish(linear, "m", hub=hub).path
    keys = [SigningKey.generate() for _ in range(8)]
    threads = [
        threading.Thread(target=dc_hub.sign, args=("m",), kwargs={"hub": hub, "key": key})
        for key in keys
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.key_id for one in signatures_in(path)} == {key.public.id for key in keys}
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name]
    dc_hub.verify("m", hub=hub)


def test_a_crash_while_signing_leaves_the_old_signatures_or_the_new(hub, linear, alice):
    path = publish(linear, "m", hub=hub).path
    script = (
        "import os, dc_hub; from pathlib import Path\n"
        "Path.replace = lambda *_: os._exit(9)\n"
        f"dc_hub.sign('m', hub={str(hub.path)!r}, key='alice')"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == 9
    assert not (path / SIGNATURE).exists()
    dc_hub.verify("m", hub=hub)
    dc_hub.sign("m", hub=hub, key="alice")
    assert len(signatures_in(path)) == 1


def entry(key_id="a" * 64, value=bytes(64), **changes):
    text = base64.b64encode(value).decode()
    return {"algorithm": "ed25519", "key_id": key_id, "signature": text, **changes}


def file_of(*entries, **changes):
    content = {"format": "dc-signatures", "format_version": [1, 0], "signatures": list(entries)}
    return json.dumps({**content, **changes}).encode()


def test_what_is_written_is_what_is_read():
    signatures = (Signature("a" * 64, bytes(64)), Signature("b" * 64, bytes(range(64))))
    assert parse_signatures(signature_bytes(reversed(signatures))) == signatures
    assert parse_signatures(file_of()) == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"<html>Please log in</html>",
        b'{"format": "dc-signatures", "format": "dc-signatures"}',
        file_of(format="dc-manifest"),
        file_of(more=1),
        file_of(signatures={}),
        file_of(signatures=None),
        file_of("a" * 64),
        file_of(None),
        file_of(entry(algorithm="none")),
        file_of(entry(algorithm="ED25519")),
        file_of(entry(algorithm="")),
        file_of(entry(algorithm=None)),
        file_of(entry(algorithm="rsa")),
        file_of(entry(key_id="A" * 64)),
        file_of(entry(key_id="a" * 12)),
        file_of(entry(key_id=7)),
        file_of(entry(key_id=["a" * 64])),
        file_of(entry(value=bytes(63))),
        file_of(entry(value=bytes(65))),
        file_of(entry(value=b"")),
        file_of(entry(signature=None)),
        file_of(entry(signature="é" * 88)),
        file_of(entry(signature="\n" + "A" * 86 + "==")),
        file_of(entry(signature="A" * 85 + "B==")),
        file_of(entry(more=1)),
        file_of({"key_id": "a" * 64}),
        file_of(entry(), entry()),
        file_of(entry(), entry(value=bytes(range(64)))),
        file_of(*(entry(key_id=f"{i:064x}") for i in range(MAX_SIGNATURES + 1))),
    ],
)  # fmt: skip
def test_a_malformed_file_of_signatures_is_a_typed_error(data):
    with pytest.raises(SignatureError, match=r"MANIFEST\.json\.sig") as caught:
        parse_signatures(data)
    assert caught.value.path == SIGNATURE


@pytest.mark.parametrize(
    "data",
    [b"[" * 50_000, b'{"a":' * 10_000, b" " * (MAX_BYTES + 1), file_of(entry(more=[[[[]]]]))],
    ids=["deep list", "deep object", "huge", "too deep"],
)
def test_a_huge_or_deep_file_of_signatures_is_refused_before_it_is_parsed(data):
    with pytest.raises(LimitExceeded):
        parse_signatures(data)


def test_another_version_of_the_file_is_a_typed_error():
    with pytest.raises(FormatVersionError, match=r"\[2, 0\]"):
        parse_signatures(file_of(format_version=[2, 0]))


def test_joining_more_signatures_than_are_read_is_refused():
    def many(start):
        ids = (f"{start + i:064x}" for i in range(60))
        return {SIGNATURE: signature_bytes(Signature(key_id, bytes(64)) for key_id in ids)}

    with pytest.raises(SignatureError, match="more than"):
        merge_signatures(many(0), many(60))
    assert len(signature_bytes(Signature(f"{i:064x}", bytes(64)) for i in range(100))) < MAX_BYTES


def test_what_is_signed_is_nothing_but_a_manifest(alice):
    key = load_key("alice")
    revision = hashlib.sha256(b"a manifest").hexdigest()
    assert message(revision) == f"dc-manifest-signature-v1\n{revision}\n".encode()
    for other in (revision.encode(), bytes.fromhex(revision), b"a manifest"):
        forged = Signature(alice.id, key._private.sign(other))
        assert not alice.verifies(forged, revision)


def test_every_changed_bit_of_a_signature_makes_it_invalid(alice):
    revision = hashlib.sha256(b"a manifest").hexdigest()
    (good,) = parse_signatures(load_key("alice").sign(b"a manifest")[SIGNATURE])
    assert alice.verifies(good, revision)
    for bit in range(512):
        value = bytearray(good.value)
        value[bit // 8] ^= 1 << bit % 8
        assert not alice.verifies(Signature(alice.id, bytes(value)), revision)
    assert not alice.verifies(good, hashlib.sha256(b"another manifest").hexdigest())


def test_the_id_of_a_key_is_computed_by_other_tools(alice):
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )

    text = (keys_folder() / "alice.pub").read_bytes()
    der = load_pem_public_key(text).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert alice.id == hashlib.sha256(der).hexdigest()
    assert PublicKey.from_text(text.decode(), what="x") == alice
    body = "".join(text.decode().splitlines()[1:-1])
    assert PublicKey.from_text(body, what="x") == alice


@pytest.mark.parametrize("text", ["", "alice", "AAAA", "-----BEGIN PUBLIC KEY-----", "=" * 60])
def test_what_is_no_public_key_is_a_typed_error(text, tmp_path):
    (tmp_path / "x.pub").write_text(text)
    with pytest.raises(KeyFileError, match=r"x\.pub is not a public key"):
        trust_key(tmp_path / "x.pub", "x")


def test_keys_are_listed_trusted_and_removed_by_name(alice, tmp_path):
    other = SigningKey.generate().public
    (tmp_path / "their.pub").write_text(other.to_text())
    assert trust_key(tmp_path / "their.pub", "carol") == other
    assert trust_key(tmp_path / "their.pub", "carol") == other
    assert list_keys() == {"alice": alice, "carol": other}
    with pytest.raises(AlreadyExists, match="'alice'"):
        trust_key(tmp_path / "their.pub", "alice")
    remove_key("carol")
    assert list_keys() == {"alice": alice}
    with pytest.raises(FileMissing, match="'carol'"):
        remove_key("carol")


def test_a_private_key_is_removed_only_if_asked_for(alice):
    with pytest.raises(KeyFileError, match="of your own"):
        remove_key("alice")
    assert load_key("alice").public == alice
    remove_key("alice", private=True)
    assert list(keys_folder().iterdir()) == []


@pytest.mark.needs("file modes")
def test_a_folder_that_cannot_be_written_is_a_typed_error_and_leaves_no_half_key(
    tmp_path, monkeypatch
):
    (tmp_path / "config").write_text("a file")
    with pytest.raises(KeyFileError, match="cannot be written"):
        new_key("alice")
    (tmp_path / "config").unlink()
    new_key("bob")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyFileError, match="No space left"):
        new_key("alice")
    assert sorted(file.name for file in keys_folder().iterdir()) == ["bob.key", "bob.pub"]


def test_a_key_is_never_replaced_by_a_new_one(alice):
    with pytest.raises(AlreadyExists):
        new_key("alice")
    assert load_key("alice").public == alice


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", "a" * 64, "con", ".x"])
def test_a_name_that_cannot_be_a_key_is_a_typed_error(name):
    with pytest.raises(KeyFileError):
        new_key(name)


@pytest.mark.needs("file modes")
def test_a_private_key_is_readable_by_its_user_alone(alice):
    assert stat.S_IMODE((keys_folder() / "alice.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(keys_folder().stat().st_mode) == 0o700


@pytest.mark.needs("file owners")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_private_key_that_others_can_read_is_refused(alice, mode):
    (keys_folder() / "alice.key").chmod(mode)
    with pytest.raises(KeyFileError, match="Others can read"):
        load_key("alice")


@pytest.mark.needs("file owners")
def test_a_public_key_that_others_can_write_is_refused(alice):
    (keys_folder() / "alice.pub").chmod(0o666)
    with pytest.raises(KeyFileError, match="Others can write"):
        list_keys()


def test_an_empty_passphrase_is_refused_and_makes_no_key():
    with pytest.raises(KeyFileError, match="encrypts nothing"):
        new_key("alice", passphrase="")
    assert list_keys() == {}


def test_signing_with_the_public_key_of_another_says_what_is_missing(hub, linear, tmp_path):
    publish(linear, "m", hub=hub)
    (tmp_path / "bob.pub").write_text(SigningKey.generate().public.to_text())
    trust_key(tmp_path / "bob.pub", "bob")
    with pytest.raises(FileMissing, match="only the public part"):
        dc_hub.sign("m", key="bob", hub=hub)


def test_an_encrypted_key_needs_its_passphrase(monkeypatch, hub, linear):
    public = new_key("alice", passphrase="correct horse")
    assert b"ENCRYPTED" in (keys_folder() / "alice.key").read_bytes()
    with pytest.raises(KeyFileError, match="no passphrase"):
        load_key("alice")
    with pytest.raises(KeyFileError, match="passphrase is wrong"):
        load_key("alice", passphrase="battery staple")
    assert load_key("alice", passphrase="correct horse").public == public
    monkeypatch.setenv("DEEPCHEM_PASSPHRASE", "correct horse")
    publish(linear, "m", hub=hub, sign="alice")


@pytest.mark.parametrize("key", ["nobody", "./no.key", "", None, 7])
def test_a_key_that_is_not_there_is_found_out_before_anything_is_written(key, hub, linear):
    publish(linear, "m", hub=hub)
    for call in (
        lambda: dc_hub.sign("m", hub=hub, key=key),
        lambda: key is None or publish(linear, "n", hub=hub, sign=key),
    ):
        if key is None:
            continue
        with pytest.raises((KeyFileError, FileMissing)):
            call()
    with pytest.raises((KeyFileError, FileMissing)):
        load_key(key)
    assert hub.names() == ["m"]


def test_a_key_shows_nothing_of_itself_and_is_not_pickled(alice):
    key = load_key("alice")
    assert "private" not in repr(key)
    with pytest.raises(TypeError, match="private key"):
        pickle.dumps(key)


def plant_link(file, tmp_path):
    target = tmp_path / "elsewhere"
    target.write_bytes(signature_bytes([]))
    file.symlink_to(target)


def plant_hard_link(file, tmp_path):
    target = tmp_path / "elsewhere"
    target.write_bytes(signature_bytes([]))
    file.hardlink_to(target)


def plant_folder(file, tmp_path):
    file.mkdir()


@pytest.mark.parametrize("plant", [plant_link, plant_hard_link, plant_folder])
def test_a_signature_file_that_is_no_plain_file_is_refused(plant, hub, linear, alice, tmp_path):
    path = publish(linear, "m", hub=hub).path
    plant(path / SIGNATURE, tmp_path)
    with pytest.raises(UnsafePath, match=r"MANIFEST\.json\.sig"):
        dc_hub.sign("m", hub=hub, key="alice")
    with pytest.raises(UnsafePath, match=r"MANIFEST\.json\.sig"):
        dc_hub.from_pretrained("m", hub=hub)


@pytest.mark.needs("FIFOs")
def test_a_signature_file_that_is_a_fifo_is_not_waited_for(hub, linear, alice):
    path = publish(linear, "m", hub=hub).path
    os.mkfifo(path / SIGNATURE)
    with pytest.raises(UnsafePath):
        dc_hub.sign("m", hub=hub, key="alice")


def test_signing_does_not_replace_a_file_that_it_cannot_read(hub, linear, alice):
    path = publish(linear, "m", hub=hub).path
    (path / SIGNATURE).write_bytes(b"no signatures")
    with pytest.raises(SignatureError, match="not valid JSON"):
        dc_hub.sign("m", hub=hub, key="alice")
    assert (path / SIGNATURE).read_bytes() == b"no signatures"


def test_without_the_library_signing_says_what_to_install(hub, linear, alice, monkeypatch):
    for module in ("cryptography", *(m for m in sys.modules if m.startswith("cryptography."))):
        monkeypatch.setitem(sys.modules, module, None)
    publish(linear, "m", hub=hub)
    for call in (lambda: dc_hub.sign("m", hub=hub, key="alice"), lambda: new_key("bob")):
        with pytest.raises(KeyFileError, match=r'pip install "dc-hub\[sign\]"'):
            call()
    assert not (keys_folder() / "bob.pub").exists()
