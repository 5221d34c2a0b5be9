"""What a user does every day, from publishing to another process."""

import subprocess
import sys
import textwrap
from contextlib import nullcontext

import numpy as np
import pytest

import dc_core
from dc_hub import (
    HubWarning,
    errors,
    from_pretrained,
    info,
    load,
    load_weights,
    open_hub,
    publish,
    publish_directory,
    save,
    verify,
)


def test_a_published_model_comes_back_with_equal_predictions(hub, linear, dataset):
    published = publish(linear, "solubility", hub=hub)
    back = from_pretrained("solubility", hub=hub)
    assert type(back) is type(linear)
    assert back.get_parameters() == linear.get_parameters()
    np.testing.assert_array_equal(back.predict(dataset), linear.predict(dataset))
    assert hub.resolve("solubility") == published


def test_a_whole_chain_comes_back_and_predicts_from_strings_alone(hub, chain):
    publish(chain, "lab/chain", hub=hub)
    back = from_pretrained("lab/chain", hub=hub)
    np.testing.assert_array_equal(back.predict(["CCO", "N"]), chain.predict(["CCO", "N"]))
    np.testing.assert_array_equal(back.weights, np.arange(3.0))


def test_models_publish_and_load_by_their_own_methods(tmp_path, chain, models):
    where = chain.to_pretrained(tmp_path / "model").path
    assert list(models["Chain"].from_pretrained(where)) == list(chain)
    chain.to_pretrained("by-name")
    assert list(dc_core.Model.from_pretrained("by-name@main")) == list(chain)


def test_saving_a_loaded_model_gives_the_same_bytes_and_revision(tmp_path, chain):
    metadata = {"task": "solubility", "rmse": np.float32(0.5)}
    first = save(chain, tmp_path / "first", metadata=metadata, golden=["CCO"])
    second = save(load(first.path), tmp_path / "second", metadata=metadata, golden=["CCO"])
    assert first.revision == second.revision
    for file in first.path.iterdir():
        assert file.read_bytes() == (second.path / file.name).read_bytes()


def test_a_new_process_gets_the_model_and_predicts_the_same_bits(hub, linear, dataset, tmp_path):
    publish(linear, "linear", hub=hub)
    np.save(tmp_path / "X.npy", dataset.X)
    script = textwrap.dedent("""
        import sys
        import numpy as np
        from dc_core import Estimator

        class Linear(Estimator):
            fitted = ("coefficients", "intercept")

            def __init__(self, alpha=1.0, seed=None):
                pass

            def fit(self, dataset):
                return self

            def predict(self, X):
                return X @ self.coefficients + self.intercept

        import dc_core
        dc_core.register_model("test/Linear")(Linear)
        model = Linear.from_pretrained("linear", hub=sys.argv[1])
        np.save(sys.argv[3], model.predict(np.load(sys.argv[2])))
    """)
    arguments = [hub.path, tmp_path / "X.npy", tmp_path / "y.npy"]
    subprocess.run([sys.executable, "-W", "error", "-c", script, *arguments], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), linear.predict(dataset))


def test_a_class_without_a_registered_name_comes_back_by_the_callers_class(hub, models, dataset):
    cls = models["Unregistered"]
    model = cls(alpha=3.0).fit(dataset)
    publish(model, "mine", hub=hub)
    assert info("mine", hub=hub).cls == "local/Unregistered"
    np.testing.assert_array_equal(
        cls.from_pretrained("mine", hub=hub).predict(dataset), model.predict(dataset)
    )
    with pytest.raises(errors.UnknownClass, match=r"Unregistered\.from_pretrained"):
        from_pretrained("mine", hub=hub)


def test_a_revision_is_named_by_a_tag_a_digest_or_the_unique_beginning_of_one(hub, models, dataset):
    first = publish(models["Linear"](1.0).fit(dataset), "m", hub=hub, tag="v1")
    second = publish(models["Linear"](2.0).fit(dataset), "m", hub=hub)
    for revision, alpha in (
        ("v1", 1.0),
        (first.revision, 1.0),
        (first.revision[:12], 1.0),
        ("main", 2.0),
        (None, 2.0),
        (second.revision[:20], 2.0),
    ):
        assert from_pretrained("m", hub=hub, revision=revision).alpha == alpha
    assert from_pretrained("m@v1", hub=hub).alpha == 1.0
    assert hub.tags("m") == {"main": second.revision, "v1": first.revision}
    assert hub.revisions("m") == sorted([first.revision, second.revision])
    assert hub.names() == ["m"]


def test_the_hub_is_the_argument_then_the_variable_then_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert open_hub(tmp_path / "mine").path == tmp_path / "mine"
    assert open_hub().path == tmp_path / "default-hub"
    monkeypatch.delenv("DEEPCHEM_MODEL_HUB")
    assert open_hub().path == tmp_path / "data" / "deepchem" / "hub"


def test_weights_are_loaded_into_an_object_of_the_callers(hub, linear, models, dataset):
    publish(linear, "m", hub=hub)
    mine = models["Other"]()
    assert load_weights("m", into=mine, hub=hub) is mine
    np.testing.assert_array_equal(mine.predict(dataset), linear.predict(dataset))


def test_a_published_directory_keeps_its_revision(hub, linear, tmp_path):
    saved = save(linear, tmp_path / "model")
    published = publish_directory(tmp_path / "model", "m", hub=hub, tag="v1")
    assert published.revision == saved.revision == hub.resolve("m", "v1").revision


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize(
    "name",
    ["params.json", "model.safetensors", "golden.safetensors", "training.safetensors"],
)
def test_a_directory_with_a_file_that_would_not_load_is_not_published(
    hub, linear, dataset, tmp_path, reseal, name, sealed
):
    saved = save(linear, tmp_path / "model", golden=dataset.X, training=True)
    file = saved.path / name
    file.write_bytes(file.read_bytes()[:-9])
    reseal(saved.path)
    if not sealed:
        (saved.path / "MANIFEST.json").unlink()
    warning = nullcontext() if sealed else pytest.warns(HubWarning, match="not verified")
    with warning, pytest.raises(errors.HubError, match=name):
        publish_directory(saved.path, "m", hub=hub)
    assert not hub.path.exists()


def test_a_directory_without_a_manifest_loads_with_a_warning(linear, tmp_path):
    path = save(linear, tmp_path / "model").path
    (path / "MANIFEST.json").unlink()
    with pytest.warns(HubWarning, match="not verified"):
        load(path)
    with pytest.raises(errors.FileMissing, match=r"MANIFEST\.json"):
        verify(path)


def test_loaded_weights_can_be_trained_on_without_touching_the_file(hub, linear, dataset):
    published = publish(linear, "m", hub=hub)
    before = (published.path / "model.safetensors").read_bytes()
    back = from_pretrained("m", hub=hub)
    back.coefficients += 1.0
    assert (published.path / "model.safetensors").read_bytes() == before
    np.testing.assert_array_equal(
        from_pretrained("m", hub=hub).predict(dataset), linear.predict(dataset)
    )


def test_weights_larger_than_a_shard_come_back(hub, chain):
    published = publish(chain, "m", hub=hub, shard_size=16)
    assert (published.path / "model.safetensors.index.json").is_file()
    np.testing.assert_array_equal(
        from_pretrained("m", hub=hub).predict(["CCO"]), chain.predict(["CCO"])
    )


def test_the_weights_file_is_useful_to_the_safetensors_package(hub, linear):
    numpy_reader = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    published = publish(linear, "m", hub=hub)
    arrays = numpy_reader.load_file(published.path / "model.safetensors")
    np.testing.assert_array_equal(arrays["coefficients"], linear.coefficients)
