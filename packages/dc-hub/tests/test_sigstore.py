"""Bundles of OpenSSF model-signing over the manifest, made and checked by its library."""

import json
import subprocess
import sys

import pytest

import dc_hub
from dc_hub import publish
from dc_hub.errors import KeyFileError, LimitExceeded, SignatureError
from dc_hub.format.filenames import BUNDLE, MANIFEST, SIGNATURE
from dc_hub.trust.keys import PublicKey

pytest.importorskip("model_signing", reason="model-signing is not installed")
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


@pytest.fixture
def pair(tmp_path):
    return write_pair(tmp_path, "ec")


def write_pair(folder, name, curve=ec.SECP256R1, passphrase=None):
    """Write a key pair as openssl would; return the paths of the private and the public key."""
    key = ec.generate_private_key(curve())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    encryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase)
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    private.chmod(0o600)
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


@pytest.fixture
def strict(pair, tmp_path):
    dc_hub.trust_key(pair[1], "site")
    policy = tmp_path / "config" / "trust.toml"
    policy.write_text("version = 1\n[default]\nrequire_signature = ['site']\n")


def model_signing(*arguments):
    command = [sys.executable, "-m", "model_signing", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False).returncode


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_a_bundle_that_we_make_is_valid_for_the_library_and_for_us(curve, hub, linear, tmp_path):
    private, public = write_pair(tmp_path, "k", curve)
    key = dc_hub.trust_key(public, "site")
    path = publish(linear, "m", hub=hub, sign=private).path
    (found,) = dc_hub.signatures("m", hub=hub)
    assert (found.file, found.key_id, found.name, found.verdict) == (
        BUNDLE,
        key.id,
        "site",
        "valid",
    )
    dc_hub.verify("m", hub=hub)
    checked = ("--signature", path / BUNDLE, "--public_key", public)
    assert model_signing("verify", "key", path / MANIFEST, *checked) == 0


def test_a_bundle_that_the_library_makes_is_valid_for_us(hub, linear, pair, strict):
    path = publish(linear, "m", hub=hub).path
    with pytest.raises(SignatureError, match="no such signature"):
        dc_hub.from_pretrained("m", hub=hub)
    made = ("--signature", path / BUNDLE, "--private_key", pair[0])
    assert model_signing("sign", "key", path / MANIFEST, *made) == 0
    dc_hub.from_pretrained("m", hub=hub)


def test_the_policy_refuses_a_bundle_of_another_key_or_model(
    hub, linear, chain, pair, strict, tmp_path
):
    other, _ = write_pair(tmp_path, "other")
    publish(linear, "m", hub=hub, sign=other)
    with pytest.raises(SignatureError, match="an unknown key does not count"):
        dc_hub.from_pretrained("m", hub=hub)
    signed = dc_hub.sign("m", hub=hub, key=pair[0])
    dc_hub.from_pretrained("m", hub=hub)
    path = publish(chain, "n", hub=hub).path
    (path / BUNDLE).write_bytes((signed.path / BUNDLE).read_bytes())
    with pytest.raises(SignatureError, match="is not one of this model"):
        dc_hub.from_pretrained("n", hub=hub)


def changed(change):
    def edit(content):
        change(content)
        return json.dumps(content).encode()

    return edit


HOSTILE = {
    "another media type": changed(lambda c: c.update(mediaType="application/json")),
    "no signatures": changed(lambda c: c["dsseEnvelope"].update(signatures=[])),
    "another payload type": changed(lambda c: c["dsseEnvelope"].update(payloadType="text/plain")),
    "another payload": changed(lambda c: c["dsseEnvelope"].update(payload="e30=")),
    "a short signature": changed(lambda c: c["dsseEnvelope"]["signatures"][0].update(sig="AAAA")),
    "no envelope": changed(lambda c: c.pop("dsseEnvelope")),
    "no hint": changed(lambda c: c["verificationMaterial"].update(publicKey={})),
    "a list": changed(lambda c: c["verificationMaterial"].update(publicKey={"hint": ["x"]})),
    "no key": changed(lambda c: c["verificationMaterial"].pop("publicKey")),
    "no material": changed(lambda c: c.update(verificationMaterial=None)),
    "null": lambda _: b"null",
    "no object": lambda _: b"[]",
    "empty": lambda _: b"",
    "deep": lambda _: b"[" * 60_000,
    "huge": lambda _: bytes(1 << 17),
}


@pytest.mark.parametrize("edit", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_bundle_is_refused_and_prints_nothing(edit, hub, linear, pair, strict, capfd):
    path = publish(linear, "m", hub=hub, sign=pair[0]).path
    dc_hub.from_pretrained("m", hub=hub)
    (path / BUNDLE).write_bytes(edit(json.loads((path / BUNDLE).read_bytes())))
    with pytest.raises((SignatureError, LimitExceeded)):
        dc_hub.from_pretrained("m", hub=hub)
    assert capfd.readouterr() == ("", "")


def test_a_bundle_and_a_signature_count_together(hub, linear, pair, tmp_path):
    dc_hub.trust_key(pair[1], "site")
    dc_hub.new_key("alice")
    policy = tmp_path / "config" / "trust.toml"
    policy.write_text(
        "version = 1\n[default]\nrequire_signature = ['site', 'alice']\nthreshold = 2\n"
    )
    path = publish(linear, "m", hub=hub, sign=pair[0]).path
    with pytest.raises(SignatureError, match="only 1 of them"):
        dc_hub.from_pretrained("m", hub=hub)
    dc_hub.sign("m", hub=hub, key="alice")
    dc_hub.from_pretrained("m", hub=hub)
    assert {p.name for p in path.iterdir()} >= {SIGNATURE, BUNDLE, MANIFEST}


def test_without_the_library_a_required_bundle_is_an_error(hub, linear, pair, strict, monkeypatch):
    publish(linear, "m", hub=hub, sign=pair[0])
    for module in [m for m in sys.modules if m.split(".")[0] == "model_signing"]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "model_signing", None)
    with pytest.raises(SignatureError, match=r'pip install "dc-hub\[sigstore\]"'):
        dc_hub.from_pretrained("m", hub=hub)


def test_a_key_with_a_passphrase_signs_a_bundle(hub, linear, tmp_path):
    private, public = write_pair(tmp_path, "k", passphrase=b"correct horse")
    dc_hub.trust_key(public, "site")
    publish(linear, "m", hub=hub)
    with pytest.raises(KeyFileError, match="no passphrase"):
        dc_hub.sign("m", hub=hub, key=private)
    with pytest.raises(KeyFileError, match="passphrase is wrong"):
        dc_hub.sign("m", hub=hub, key=private, passphrase="battery staple")
    dc_hub.sign("m", hub=hub, key=private, passphrase="correct horse")
    assert dc_hub.signatures("m", hub=hub)[0].verdict == "valid"


def test_a_passphrase_is_not_shown(tmp_path):
    private, _ = write_pair(tmp_path, "k", passphrase=b"secret words")
    assert "secret" not in repr(dc_hub.load_key(private, passphrase="secret words"))


def test_keys_of_other_kinds_are_a_typed_error(hub, linear, tmp_path):
    key = rsa.generate_private_key(65537, 2048)
    private = tmp_path / "rsa.pem"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    private.chmod(0o600)
    with pytest.raises(KeyFileError, match="another kind"):
        dc_hub.load_key(private)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with pytest.raises(KeyFileError, match="not a public key"):
        PublicKey.from_text(public.decode(), what="rsa.pub")
    odd, _ = write_pair(tmp_path, "odd", ec.SECP256K1)
    with pytest.raises(KeyFileError, match="cannot sign a bundle"):
        publish(linear, "m", hub=hub, sign=odd)
