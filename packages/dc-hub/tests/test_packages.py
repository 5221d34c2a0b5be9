"""A stored model names the packages that it needs, and loading compares them with the installed."""

import logging

import numpy as np
import pytest

import dc_core
from dc_core import plugins, register_component
from dc_core.registry import components
from dc_core.registry import models as registered_models
from dc_hub import Golden, check_golden, errors, from_pretrained, info, load_weights, publish


def created_with(name, hub):
    return info(name, hub=hub).metadata["created_with"]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution of one module for one test, with a list of its files."""

    def install(name, version, module, source, entry_points=""):
        site = tmp_path / f"site-{name}"
        dist = site / f"{name.replace('-', '_')}-{version}.dist-info"
        dist.mkdir(parents=True)
        (site / f"{module}.py").write_text(source)
        (dist / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (dist / "RECORD").write_text(f"{module}.py,,\n")
        (dist / "entry_points.txt").write_text(entry_points)
        monkeypatch.syspath_prepend(site)
        refresh()

    def refresh():
        plugins.refresh()
        registered_models.refresh()
        components.refresh()

    yield install
    monkeypatch.undo()
    refresh()


BASES = """
from enum import Enum
from dc_core import Component

class Mode(Enum):
    FAST = 1

class Acme(Component):
    def __init__(self, mode=None):
        self.mode = mode

    def featurize(self, inputs):
        return inputs
"""
PART = "[dc.components]\npart/Part = part_module:Acme\n"


def test_what_defines_the_classes_and_their_bases_is_named_and_nothing_else(hub, models, install):
    install("acme-base", "1.2", "acme_module", BASES)
    install("part-plugin", "3.4", "part_module", BASES, PART)
    install("bystander", "5.6", "bystander_module", BASES)
    from acme_module import Acme, Mode

    @register_component("test/Mine")
    class Mine(Acme):
        requires = ("safetensors",)

    import bystander_module  # noqa: F401
    from part_module import Acme as Part

    always = {"dc-core", "dc-hub", "numpy"}
    publish(models["Letters"](), "plain", hub=hub)
    assert created_with("plain", hub).keys() == always
    register_component("test/Mode")(Mode)
    publish(Part(Mode.FAST), "mode", hub=hub)
    assert created_with("mode", hub).keys() == always | {"acme-base", "part-plugin"}
    publish(Mine(Part()), "mine", hub=hub)
    found = created_with("mine", hub)
    assert found["acme-base"] == "1.2"
    assert found["part-plugin"] == "3.4"
    assert found["numpy"] == np.__version__
    assert found.keys() <= always | {"acme-base", "part-plugin", "safetensors"}
    card = (info("mine", hub=hub).path / "README.md").read_text()
    assert "```sh\npip install dc-hub acme-base part-plugin\n```" in card


def test_equal_models_have_equal_revisions_whatever_else_is_installed(hub, linear, install):
    first = publish(linear, "m", hub=hub)
    install("bystander", "5.6", "bystander_module", BASES, "[dc.components]\nby/By = by:By\n")
    assert publish(linear, "m", hub=hub) == first


def say_other_versions(content, **versions):
    content["metadata"]["created_with"] |= versions


@pytest.fixture
def stored(hub, linear, dataset, edit_params):
    """Publish a model that says it was stored with other versions, and return its directory."""

    def stored(golden=None, **versions):
        path = publish(linear, "m", hub=hub, golden=golden).path
        return edit_params(path, lambda content: say_other_versions(content, **versions))

    return stored


OLDER = "0.1.9"
INSTALLED = ".".join(np.__version__.split(".")[:2])


@pytest.mark.parametrize("version", [OLDER, "999.0", "1", "2.4.0rc1+local.5"])
def test_another_major_or_minor_version_is_recorded(stored, caplog, version):
    path = stored(numpy=version)
    same = version.startswith(f"{INSTALLED}.")
    expected = {} if same else {"numpy": (version, np.__version__)}
    assert info(path).version_changes == expected
    with caplog.at_level(logging.INFO, "dc_hub"):
        from_pretrained(path)
    assert any(version in record.message for record in caplog.records) is not same


@pytest.mark.parametrize(
    "load",
    [
        lambda path, linear: from_pretrained(path),
        lambda path, linear: from_pretrained(path, allow_missing=["intercept/0"]),
        lambda path, linear: from_pretrained(path, allow_changed_predictions=True),
        lambda path, linear: load_weights(path, into=linear),
    ],
    ids=["from_pretrained", "allow_missing", "allow_changed_predictions", "load_weights"],
)
def test_however_a_model_is_loaded_other_versions_are_logged_once(stored, linear, caplog, load):
    path = stored(numpy=OLDER)
    with caplog.at_level(logging.INFO, "dc_hub"):
        load(path, linear)
    (message,) = caplog.messages
    assert message.startswith(f"{path} was stored with numpy {OLDER} (now {np.__version__})")


@pytest.mark.parametrize("version", [np.__version__, f"{INSTALLED}.999", f"{INSTALLED}.0rc1"])
def test_another_patch_release_is_not_recorded(stored, caplog, version):
    path = stored(numpy=version)
    assert info(path).version_changes == {}
    with caplog.at_level(logging.INFO, "dc_hub"):
        from_pretrained(path)
    assert not caplog.records


@pytest.mark.parametrize(
    "said",
    [
        {"numpy": 5, "dc-core": ["1.0"], "": "1.0", "../numpy": "1.0", "x" * 999: "1.0"},
        {"numpy": "", "dc-hub": "not a version", "dc-core": "1" * 999},
        {f"nothing-{i}": "1.0" for i in range(5000)},
        "1.0",
        None,
    ],
)
def test_versions_that_are_none_are_ignored(hub, linear, edit_params, said):
    path = publish(linear, "m", hub=hub).path
    edit_params(path, lambda content: content["metadata"].update(created_with=said))
    assert info(path).version_changes == {}
    from_pretrained(path)


def test_with_other_versions_golden_rows_are_checked_when_loading(
    stored, linear, dataset, caplog, monkeypatch
):
    path = stored(golden=Golden(dataset.X, rtol=0.0, atol=0.01), numpy=OLDER)
    with caplog.at_level(logging.INFO, "dc_hub"):
        from_pretrained(path)
    assert "predicted as stored" in caplog.text

    cls = type(linear)
    predict = cls.predict
    monkeypatch.setattr(cls, "predict", lambda self, data: predict(self, data) + 0.1)
    with pytest.raises(errors.PredictionsChanged, match=r"by up to 0\.1") as caught:
        from_pretrained(path)
    assert f"numpy {OLDER} (now {np.__version__})" in str(caught.value)
    assert '"numpy==0.1.*"' in caught.value.hint
    assert caught.value.path.endswith("golden.safetensors")
    assert from_pretrained(path, allow_changed_predictions=True).alpha == linear.alpha
    assert not check_golden(path).passed


def test_golden_rows_that_cannot_be_predicted_any_more_are_a_typed_error(
    stored, linear, dataset, monkeypatch
):
    path = stored(golden=dataset, numpy=OLDER)

    def predict(self, data):
        raise ZeroDivisionError("not with this release")

    monkeypatch.setattr(type(linear), "predict", predict)
    with pytest.raises(errors.PredictionsChanged, match="cannot be predicted: ZeroDivisionError"):
        from_pretrained(path)
    assert from_pretrained(path, allow_changed_predictions=True).alpha == linear.alpha


def test_loading_predicts_no_more_golden_rows_than_take_bounded_time(
    stored, linear, dataset, caplog, monkeypatch
):
    path = stored(golden=np.zeros((1001, 4)), numpy=OLDER)
    monkeypatch.setattr(type(linear), "predict", None)
    with caplog.at_level(logging.INFO, "dc_hub"):
        from_pretrained(path)
    assert "dc_hub.check_golden checks its rows" in caplog.text


def test_with_the_same_versions_golden_rows_are_not_computed_when_loading(
    hub, linear, dataset, monkeypatch
):
    publish(linear, "m", hub=hub, golden=dataset)
    monkeypatch.setattr(type(linear), "predict", None)
    from_pretrained("m", hub=hub)


def missing(*bodies):
    """Return an edit of params.json after which the model's parts are of these classes."""
    parts = [
        {"$component": {"class": cls, "class_version": 1, "backend": backend, "params": {}}}
        for cls, backend in bodies
    ]

    def edit(content):
        content["params"]["transformers"] = parts
        say_other_versions(content, **{"acme-nets": "1.2", "evil; rm -rf": "1"})

    return edit


NEEDED = [("torch/Net", "torch"), ("pipeline/ECFP", None), ("xgboost/Trees", "xgboost")]


def test_all_missing_packages_are_named_with_one_command(hub, chain, edit_params, monkeypatch):
    path = publish(chain, "m", hub=hub).path
    monkeypatch.setattr(plugins.BACKENDS, "_entries", {})
    monkeypatch.setattr(components, "_entries", {})
    monkeypatch.setattr(dc_core.distributions, "version", lambda name: "")
    edit_params(path, missing(*NEEDED))
    with pytest.raises(errors.BackendNotInstalled) as caught:
        from_pretrained(path)
    assert "not installed: dc-pipeline, dc-torch, dc-xgboost." in str(caught.value)
    assert caught.value.hint == "Run: pip install dc-pipeline dc-torch dc-xgboost"
    assert caught.value.path.endswith("params.json")


def test_packages_of_others_are_named_and_never_put_into_the_command(
    hub, chain, edit_params, monkeypatch
):
    path = publish(chain, "m", hub=hub).path
    monkeypatch.setattr(components, "_entries", {})
    edit_params(path, missing(("pipeline/ECFP", None), ("acme/Net", None)))
    with pytest.raises(errors.UnknownClass, match="No installed package registers acme/Net") as got:
        from_pretrained(path)
    command, _, advice = got.value.hint.partition(". ")
    assert command.startswith("Run: pip install ")
    assert command.endswith("dc-pipeline")
    assert "acme-nets 1.2" in advice
    assert "evil" not in str(got.value)


def test_one_missing_package_is_named_as_before(hub, chain, edit_params, monkeypatch):
    path = publish(chain, "m", hub=hub).path
    monkeypatch.setattr(components, "_entries", {})
    edit_params(path, missing(("pipeline/ECFP", None)))
    with pytest.raises(errors.UnknownClass, match="No class is registered as 'pipeline/ECFP'"):
        from_pretrained(path)
