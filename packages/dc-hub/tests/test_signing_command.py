"""The commands that sign models and manage keys, as a user calls them."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dc_hub
from dc_hub import publish, save
from dc_hub.errors import SignatureError
from dc_hub.format.filenames import SIGNATURE
from dc_hub.trust.keyring import keys_folder, list_keys, new_key
from dc_hub.trust.keys import SigningKey

pytest.importorskip("cryptography", reason="cryptography is not installed")


@pytest.fixture
def published(linear, hub, monkeypatch):
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", str(hub.path))
    return publish(linear, "m")


def test_a_key_is_made_listed_trusted_and_removed(run, tmp_path, monkeypatch):
    code, out, _ = run("key", "list")
    assert (code, "no key" in out) == (0, True)
    code, out, _ = run("key", "new", "alice")
    (key,) = list_keys().values()
    assert code == 0
    assert key.id in out
    their = tmp_path / "their.pub"
    their.write_text(SigningKey.generate().public.to_text())
    code, out, _ = run("key", "trust", their, "--name", "bob", "--json")
    assert code == 0
    fact = json.loads(out)
    assert (fact["name"], fact["own"], fact["public_key"]) == ("bob", False, their.read_text())
    code, out, _ = run("key", "list", "--json")
    assert [(one["name"], one["own"]) for one in json.loads(out)] == [
        ("alice", True),
        ("bob", False),
    ]
    _, out, _ = run("key", "list")
    assert "alice  Ed25519, your own" in " ".join(out.split(" ")).replace("  ", "  ")
    assert run("key", "remove", "bob")[0] == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert run("key", "remove", "alice")[0] == 1
    assert list(list_keys()) == ["alice"]
    assert run("key", "remove", "alice", "--yes")[0] == 0
    assert list_keys() == {}
    code, _, err = run("key", "remove", "alice")
    assert (code, err.startswith("FileMissing")) == (2, True)


def test_a_model_is_signed_shown_and_verified(run, published):
    alice = new_key("alice")
    code, out, _ = run("sign", "m", "--key", "alice")
    assert code == 0
    assert published.revision in out
    for command in ("info", "verify"):
        code, out, _ = run(command, "m")
        assert code == 0
        assert f"valid: alice ({alice.id})" in " ".join(out.split())
        _, out, _ = run(command, "m", "--json")
        (signature,) = json.loads(out)["signatures"]
        assert signature == {
            "file": SIGNATURE,
            "key_id": alice.id,
            "name": "alice",
            "verdict": "valid",
            "required": False,
        }


def test_info_tells_whether_the_policy_counts_a_key(run, published, tmp_path):
    new_key("alice")
    run("sign", "m", "--key", "alice")
    config = tmp_path / "config" / "trust.toml"
    config.write_text("version = 1\n[default]\nrequire_signature = ['alice']\n")
    _, out, _ = run("info", "m")
    assert "which the trust policy counts here" in out


def test_a_signature_of_a_stranger_is_shown_as_unknown(run, published):
    stranger = SigningKey.generate()
    dc_hub.sign("m", key=stranger)
    for command in ("info", "verify"):
        code, out, _ = run(command, "m")
        assert code == 0
        assert f"unknown key: {stranger.public.id}" in " ".join(out.split())


def test_an_invalid_or_malformed_signature_fails_verify_and_is_shown(run, published, chain):
    new_key("alice")
    other = publish(chain, "n", sign="alice")
    file = published.path / SIGNATURE
    for data, word in (((other.path / SIGNATURE).read_bytes(), "invalid"), (b"x", "malformed")):
        file.write_bytes(data)
        code, _, err = run("verify", "m")
        assert code == 2
        assert err.startswith("SignatureError")
        assert word in err
        code, out, _ = run("info", "m")
        assert code == 0
        assert f"{word}: " in out


def test_without_the_library_known_keys_are_not_checked_and_verify_says_so(
    run, published, monkeypatch
):
    new_key("alice")
    dc_hub.sign("m", key="alice")
    for module in ("cryptography", *(m for m in sys.modules if m.startswith("cryptography."))):
        monkeypatch.setitem(sys.modules, module, None)
    _, out, _ = run("info", "m")
    assert "not checked" in out
    with pytest.raises(SignatureError, match=r"dc-hub\[sign\]"):
        dc_hub.verify("m")


def test_a_model_that_the_policy_refuses_is_an_error_with_the_next_step(run, published, tmp_path):
    alice = new_key("alice")
    config = tmp_path / "config" / "trust.toml"
    config.write_text("version = 1\n[default]\nrequire_signature = ['alice']\n")
    for command in ("info", "verify", "pull"):
        code, out, err = run(command, "m")
        assert (code, out) == (2, "")
        assert err.startswith("SignatureError")
        assert alice.id in err
        assert "dc-hub sign" in err


def test_what_signed_a_refused_model_can_be_seen(published, tmp_path):
    new_key("alice")
    stranger = SigningKey.generate()
    dc_hub.sign("m", key=stranger)
    config = tmp_path / "config" / "trust.toml"
    config.write_text("version = 1\n[default]\nrequire_signature = ['alice']\n")
    (found,) = dc_hub.signatures("m")
    assert (found.key_id, found.verdict, found.required) == (
        stranger.public.id,
        "unknown key",
        False,
    )
    with pytest.raises(SignatureError):
        dc_hub.info("m")


def test_publish_signs_a_directory(run, linear, published, tmp_path):
    new_key("alice")
    save(linear, tmp_path / "saved")
    assert run("publish", tmp_path / "saved", "n", "--sign", "alice")[0] == 0
    assert dc_hub.signatures("n")[0].verdict == "valid"


def test_a_passphrase_is_asked_for_at_a_terminal_and_read_from_the_environment(
    run, published, monkeypatch
):
    monkeypatch.setenv("DEEPCHEM_PASSPHRASE", "correct horse")
    assert run("key", "new", "alice", "--passphrase")[0] == 0
    assert b"ENCRYPTED" in (keys_folder() / "alice.key").read_bytes()
    assert run("sign", "m", "--key", "alice", "--json")[0] == 0
    monkeypatch.delenv("DEEPCHEM_PASSPHRASE")
    code, _, err = run("sign", "m", "--key", "alice")
    assert code == 2
    assert "no passphrase was given" in err


@pytest.mark.parametrize("key", ["nobody", "./none.key", "A"])
def test_an_unknown_key_is_one_line_and_the_next_step(run, published, key):
    code, out, err = run("sign", "m", "--key", key)
    assert (code, out) == (2, "")
    assert err.startswith(("FileMissing", "KeyFileError"))
    assert not (published.path / SIGNATURE).exists()


def test_the_installed_command_signs_and_refuses(published, tmp_path):
    program = Path(sys.executable).with_name("dc-hub")

    def call(*arguments):
        command = [program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
        return done.returncode, done.stdout, done.stderr

    assert call("key", "new", "alice")[0] == 0
    assert call("sign", "m", "--key", "alice")[0] == 0
    code, out, err = call("verify", "m")
    assert (code, err) == (0, "")
    assert "valid: alice" in out
