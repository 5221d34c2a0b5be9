"""Models leave a hub as they are, or their weights as one file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dc_hub import export, from_pretrained, load, publish, read_tensors, verify
from dc_hub.errors import AlreadyExists, NotSerializable, ParamsError


@pytest.fixture
def published(chain, hub):
    return publish(chain, "lab/chain", hub=hub, golden=["CCO"])


def content(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_an_exported_directory_is_the_model_byte_for_byte(published, hub, tmp_path):
    found = export("lab/chain", tmp_path / "out" / "chain", hub=hub)
    assert (found.name, found.revision) == ("lab/chain", published.revision)
    assert content(found.path) == content(published.path)
    verify(found.path)
    expected = from_pretrained("lab/chain", hub=hub).predict(["CCO"])
    assert np.array_equal(load(found.path).predict(["CCO"]), expected)
    assert export("lab/chain", found.path, hub=hub).revision == published.revision


def test_the_signatures_of_a_model_are_exported_with_it(linear, hub, tmp_path):
    pytest.importorskip("cryptography", reason="needs cryptography")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = tmp_path / "key.pem"
    key.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    key.chmod(0o600)
    published = publish(linear, "net", hub=hub, sign=key)
    signature = published.path / "MANIFEST.json.sig"
    assert signature.is_file()
    found = export("net", tmp_path / "net", hub=hub)
    assert (found.path / signature.name).read_bytes() == signature.read_bytes()


@pytest.mark.parametrize("form", ["safetensors", "npz"])
def test_a_single_file_holds_the_weights_and_is_never_replaced(published, hub, tmp_path, form):
    path = tmp_path / f"weights.{form}"
    export("lab/chain", path, format=form, hub=hub)
    with np.load(path, allow_pickle=False) if form == "npz" else path.open() as loaded:
        found = dict(loaded) if form == "npz" else read_tensors(path)
    expected = read_tensors(published.path / "model.safetensors")
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    before = path.read_bytes()
    with pytest.raises(AlreadyExists):
        export("lab/chain", path, format=form, hub=hub)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".tmp")] == []
    export("lab/chain", tmp_path / "again", format=form, hub=hub)
    assert (tmp_path / "again").read_bytes() == before


def test_what_npz_lacks_is_a_typed_error_that_leaves_no_file(linear, hub, tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="needs ml_dtypes")
    linear.coefficients = linear.coefficients.astype(ml_dtypes.bfloat16)
    publish(linear, "net", hub=hub)
    with pytest.raises(NotSerializable, match="bfloat16"):
        export("net", tmp_path / "net.npz", format="npz", hub=hub)
    assert not (tmp_path / "net.npz").exists()
    export("net", tmp_path / "net.safetensors", format="safetensors", hub=hub)


def test_a_weight_may_be_named_like_an_argument_of_numpy(hub, tmp_path, models):
    class Named(models["Linear"]):
        fitted = ("file", "allow_pickle")

    model = Named()
    model.file, model.allow_pickle = np.ones(2), np.zeros(3)
    model.coefficients = np.ones(2)
    publish(model, "net", hub=hub, unfitted=True)
    export("net", tmp_path / "net.npz", format="npz", hub=hub)
    with np.load(tmp_path / "net.npz") as found:
        assert sorted(found) == ["allow_pickle", "file"]


def test_the_command_exports_and_refuses_formats_that_are_unknown(
    published, hub, tmp_path, monkeypatch, run
):
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", str(hub.path))
    code, out, err = run("export", "lab/chain", "-o", tmp_path / "chain", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["revision"] == published.revision
    code, out, _ = run("export", "lab/chain", "-o", tmp_path / "w.npz", "--format", "npz")
    assert code == 0
    assert published.revision in out
    assert run("export", "lab/chain", "-o", tmp_path / "x", "--format", "pickle")[0] == 2
    with pytest.raises(ParamsError):
        export("lab/chain", tmp_path / "x", format="pickle", hub=hub)
