"""What a stored model can and cannot make the loading program do."""

import sys
from pathlib import Path

import numpy as np
import pytest

import dc_core
from dc_core import Component, Estimator, NumpyDataset, register_component, register_model
from dc_core.registry import models as registered_models
from dc_hub import errors, from_pretrained, load, load_weights, publish, save, write_tensors


@pytest.fixture
def directory(chain, tmp_path):
    return save(chain, tmp_path / "model").path


def change(*path, to):
    """Return a function that sets one place of params.json."""

    def edit(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = to

    return edit


HOSTILE_CLASSES = [
    "os.system",
    "os/system",
    "builtins:eval",
    "builtins.eval",
    "subprocess/Popen",
    "__main__/x",
    "test/../Linear",
    "",
    5,
    ["test/Linear"],
    "test/linear",
    "torch/NoSuchNet",
    "test/Linear\n",
]


@pytest.mark.parametrize("name", HOSTILE_CLASSES)
@pytest.mark.parametrize("place", ["model", "nested model", "component"])
def test_a_class_that_is_not_registered_is_never_looked_for(directory, edit_params, name, place):
    path = {
        "model": ("class",),
        "nested model": ("params", "model", "$model", "class"),
        "component": ("params", "featurizer", "$component", "class"),
    }[place]
    loaded = set(sys.modules)
    edit_params(directory, change(*path, to=name))
    with pytest.raises((errors.UnknownClass, errors.ParamsError)):
        load(directory)
    assert not set(sys.modules) - loaded


def test_an_entry_point_that_is_not_a_model_is_refused(
    directory, edit_params, tmp_path, monkeypatch
):
    info = tmp_path / "site" / "bad-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dc.models]\nbad/System = os:system\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    registered_models.refresh()
    try:
        edit_params(directory, change("class", to="bad/System"))
        with pytest.raises(errors.ClassMismatch, match="not a Model"):
            load(directory)
    finally:
        monkeypatch.undo()
        registered_models.refresh()


def test_a_component_cannot_stand_in_for_a_model(models, tmp_path):
    path = save(models["Letters"](), tmp_path / "letters").path
    with pytest.raises(errors.ClassMismatch, match="Letters"):
        load(path)


def test_only_the_requested_class_and_its_subclasses_are_returned(hub, models, dataset):
    publish(models["Ridge"]().fit(dataset), "m", hub=hub)
    for cls in ("Ridge", "Linear"):
        assert type(models[cls].from_pretrained("m", hub=hub)) is models["Ridge"]
    assert type(dc_core.Model.from_pretrained("m", hub=hub)) is models["Ridge"]
    for cls in ("Other", "Chain", "Unregistered"):
        with pytest.raises(errors.ClassMismatch, match="test/RidgeOfLinear"):
            models[cls].from_pretrained("m", hub=hub)


HOSTILE_PARAMS = [
    "trust_remote_code",
    "verify",
    "__class__",
    "self",
    "cls",
    "allow_missing",
    "hub",
    "training",
]


@pytest.mark.parametrize("name", HOSTILE_PARAMS)
def test_an_argument_that_the_class_does_not_take_is_refused(directory, edit_params, name):
    edit_params(directory, change("params", name, to=True))
    with pytest.raises(errors.UnknownParameter, match=name) as caught:
        load(directory)
    assert caught.value.path.endswith("params.json")


@pytest.mark.parametrize("name", HOSTILE_PARAMS)
def test_a_setting_beside_the_arguments_is_refused(directory, edit_params, name):
    edit_params(directory, change(name, to=True))
    with pytest.raises(errors.ParamsError, match=name):
        load(directory)


def test_an_argument_that_is_missing_is_refused_by_its_name(directory, edit_params):
    edit_params(directory, lambda content: content["params"].pop("model"))
    with pytest.raises(errors.MissingParameter, match="model"):
        load(directory)


@pytest.mark.parametrize(
    "array",
    ["no.such", "params.weights.x", "", "../model.safetensors", 5, {"$array": "params.weights"}],
)
def test_an_argument_that_refers_to_no_array_is_refused(directory, edit_params, array):
    both = [{"$array": "params.weights"}, {"$array": array}]
    edit_params(directory, change("params", "weights", to=both))
    with pytest.raises(errors.ParamsError, match="weights"):
        load(directory)


def test_arguments_that_the_constructor_refuses_are_a_typed_error(tmp_path, edit_params, dataset):
    @register_model("test/Sized")
    class Sized(Estimator):
        fitted = ("mean",)

        def __init__(self, hidden=4):
            if hidden == 0:
                raise dc_core.errors.ParameterError("hidden=0 is too small.")
            self.scratch = np.zeros(hidden)

        def fit(self, dataset):
            self.mean = dataset.X.mean(axis=0)
            return self

        def predict(self, dataset):
            return self.mean

    path = save(Sized().fit(dataset), tmp_path / "sized").path
    for hidden in (10**12, 10**15, -1, 0, "four"):
        edit_params(path, change("params", "hidden", to=hidden))
        with pytest.raises(errors.ParamsError, match="test/Sized") as caught:
            load(path)
        assert caught.value.path.endswith("params.json")


def test_weights_that_the_record_does_not_name_are_refused(directory, edit_params):
    def forget(content):
        del content["weights"]["chain/model/intercept/0"]

    edit_params(directory, forget)
    with pytest.raises(errors.WeightsMismatch, match=r"model\.intercept"):
        load(directory)


def test_a_weight_that_the_file_lacks_is_refused_by_its_name(directory, edit_params):
    edit_params(
        directory, change("weights", "chain/model/extra/0", to={"native": "no.such", "aliases": []})
    )
    with pytest.raises(errors.WeightsMismatch, match=r"no\.such"):
        load(directory)


def test_a_weight_that_the_model_lacks_is_refused_by_its_name(hub, linear, edit_params):
    published = publish(linear, "m", hub=hub)

    def rename(content):
        content["weights"]["linear/slope/0"] = content["weights"].pop("linear/intercept/0")

    edit_params(published.path, rename)
    with pytest.raises(errors.WeightsMismatch, match="slope"):
        load(published.path)


def test_weights_named_after_two_models_are_refused(directory, edit_params):
    def move(content):
        weights = content["weights"]
        weights["other/model/intercept/0"] = weights.pop("chain/model/intercept/0")

    edit_params(directory, move)
    with pytest.raises(errors.ParamsError, match="other/model"):
        load(directory)


def test_a_newer_version_of_the_class_says_what_to_upgrade(directory, edit_params):
    edit_params(directory, change("class_version", to=2))
    with pytest.raises(errors.FormatVersionError, match="Chain"):
        load(directory)


def test_arguments_and_weights_of_an_older_class_version_are_upgraded(tmp_path, edit_params):
    @register_component("test/Scale")
    class Scale(Component):
        fitted = ("factor",)

        def __init__(self, power=1):
            self.power = power

    @register_model("test/Scaled")
    class Scaled(Estimator):
        fitted = ("offset",)

        def __init__(self, scale):
            self.scale = scale

        def fit(self, dataset):
            self.scale.factor, self.offset = np.ones(2), np.zeros(2)
            return self

        def predict(self, dataset):
            return self.scale.factor + self.offset

    path = save(Scaled(Scale(3)).fit(None), tmp_path / "scaled").path
    Scale.fitted, Scale.class_version = ("gain",), 2
    Scale.upgrade = classmethod(
        lambda cls, version, params: ({"power": params["power"] + version}, {"factor/0": "gain/0"})
    )
    model = load(path)
    assert model.scale.power == 4
    np.testing.assert_array_equal(model["scaled/scale/gain/0"], np.ones(2))


@pytest.mark.parametrize("place", ["model", "nested model", "component"])
@pytest.mark.parametrize(
    ("backend", "line"),
    [("xgboost", r"pip install (--upgrade )?dc-xgboost"), ("nosuchframework", "nosuchframework")],
)
def test_a_missing_backend_is_named_with_the_line_that_installs_it(
    directory, edit_params, monkeypatch, place, backend, line
):
    monkeypatch.setattr(dc_core.plugins.BACKENDS, "_entries", {})
    body = {"class": f"{backend}/Thing", "class_version": 1, "backend": backend, "params": {}}
    edit = {
        "model": lambda content: content.update(
            body, params={"weights": content["params"]["weights"]}
        ),
        "nested model": change("params", "model", to={"$model": body}),
        "component": change("params", "featurizer", to={"$component": body}),
    }[place]
    edit_params(directory, edit)
    with pytest.raises(errors.BackendNotInstalled, match=line) as caught:
        load(directory)
    assert isinstance(caught.value, dc_core.errors.BackendNotInstalled)
    assert caught.value.path.endswith("params.json")


def test_a_model_that_is_refused_leaves_the_callers_object_untouched(hub, linear, models, dataset):
    publish(linear, "m", hub=hub)
    other = models["Linear"]().fit(NumpyDataset(dataset.X[:, :2], dataset.y))
    before = other.get_weights()
    with pytest.raises(errors.WeightsMismatch, match="coefficients"):
        load_weights("m", into=other, hub=hub)
    for name, array in before.items():
        np.testing.assert_array_equal(other[name], array)


def test_allow_missing_given_as_one_name_is_refused_with_the_list_to_give(hub, linear, models):
    publish(linear, "m", hub=hub)
    for get in (
        lambda: load_weights("m", into=models["Linear"](), hub=hub, allow_missing="intercept/0"),
        lambda: from_pretrained("m", hub=hub, allow_missing="intercept/0"),
    ):
        with pytest.raises(errors.ParamsError, match="list of names") as caught:
            get()
        assert caught.value.hint == "Give a list: allow_missing=['intercept/0']."


def test_dtypes_are_never_cast(hub, linear, dataset):
    publish(linear, "m", hub=hub)
    linear.coefficients = linear.coefficients.astype(np.float32)
    with pytest.raises(errors.WeightsMismatch, match="float32"):
        load_weights("m", into=linear, hub=hub)


def test_rename_maps_changed_names_and_allow_missing_names_absent_ones(hub, dataset):
    class Before(Estimator):
        fitted = ("slope", "bias")

        def __init__(self):
            self.slope, self.bias = np.ones(3), np.ones(1)

        def fit(self, dataset):
            return self

        def predict(self, dataset):
            return self.bias

    class After(Before):
        fitted = ("gain", "bias", "extra")

        def __init__(self):
            self.gain, self.bias, self.extra = np.zeros(3), np.zeros(1), np.zeros(2)

    publish(Before(), "m", hub=hub)
    for rename, extra in (
        ({"slope": "gain"}, "extra"),
        ({"before/slope/0": "after/gain/0"}, "after/extra/0"),
    ):
        model = load_weights("m", into=After(), hub=hub, rename=rename, allow_missing=[extra])
        assert model.gain.sum() == 3
        assert model.bias == 1
        assert model.extra.sum() == 0
    with pytest.raises(errors.WeightsMismatch, match="extra"):
        load_weights("m", into=After(), hub=hub, rename={"slope": "gain"})
    with pytest.raises(errors.WeightsMismatch, match="slope"):
        load_weights("m", into=After(), hub=hub, allow_missing=["extra", "gain"])
    with pytest.raises(errors.WeightsMismatch, match="nonsense"):
        load_weights("m", into=After(), hub=hub, rename={"nonsense": "gain"})


def test_two_stored_weights_cannot_be_loaded_as_one(hub, linear):
    publish(linear, "m", hub=hub)
    with pytest.raises(errors.WeightsMismatch, match="Both"):
        load_weights("m", into=linear, hub=hub, rename={"coefficients": "intercept"})


def test_training_is_resumed_if_its_state_was_stored(hub, dataset):
    @register_model("test/Counting")
    class Counting(Estimator):
        fitted = ("total",)

        def __init__(self):
            self.steps = 0

        def fit(self, dataset):
            self.steps += 1
            self.total = np.array([self.steps])
            return self

        def predict(self, dataset):
            return self.total

        def get_training_state(self):
            return {"steps": np.array(self.steps)}

        def set_training_state(self, state):
            self.steps = int(state["steps"])

    model = Counting().fit(dataset).fit(dataset)
    publish(model, "with", hub=hub, training=True)
    publish(model, "without", hub=hub)
    assert from_pretrained("with", hub=hub, training=True).fit(dataset).total == 3
    assert from_pretrained("with", hub=hub).fit(dataset).total == 1
    with pytest.raises(errors.FileMissing, match="training=True"):
        from_pretrained("without", hub=hub, training=True)


def test_an_object_that_no_backend_claims_is_refused(hub, linear):
    publish(linear, "m", hub=hub)
    with pytest.raises(dc_core.errors.NotClaimed):
        load_weights("m", into=object(), hub=hub)
    with pytest.raises(dc_core.errors.NotClaimed):
        publish(object(), "n", hub=hub)


FORBIDDEN = {
    "compile",
    "exec",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.system",
    "pickle.find_class",
    "marshal.loads",
    "subprocess.Popen",
    "socket.connect",
    "import",
}


def test_loading_executes_imports_and_unpickles_nothing(hub, chain):
    publish(chain, "m", hub=hub, golden=["CCO"])
    from_pretrained("m", hub=hub)
    seen = []
    watching = True
    sys.addaudithook(lambda event, args: seen.append((event, args)) if watching else None)
    from_pretrained("m", hub=hub, verify="full")
    watching = False
    assert any(event == "open" for event, _ in seen)
    assert not [(event, args) for event, args in seen if event in FORBIDDEN]


def test_loading_a_small_model_opens_each_file_at_most_twice(hub, linear):
    published = publish(linear, "m", hub=hub)
    from_pretrained("m", hub=hub)
    opened = []
    watching = True
    sys.addaudithook(
        lambda event, args: opened.append(args[0]) if watching and event == "open" else None
    )
    from_pretrained("m", hub=hub)
    watching = False
    names = [Path(str(path)).name for path in opened]
    for file in published.path.iterdir():
        assert 1 <= names.count(file.name) <= 2


def test_a_directory_that_is_missing_is_told_how_hubs_are_loaded_from(tmp_path):
    with pytest.raises(errors.FileMissing, match=r"dc_hub\.from_pretrained\('raw'\)"):
        load(tmp_path / "raw")
    with pytest.raises(errors.FileMissing, match="Correct the path"):
        load(tmp_path / "so raw")


def test_a_directory_with_weights_alone_is_loaded_into_an_object(tmp_path, linear, models, dataset):
    tensors = {"coefficients": linear.coefficients, "intercept": linear.intercept}
    with (tmp_path / "model.safetensors").open("wb") as file:
        write_tensors(file, tensors)
    mine = models["Linear"]().fit(dataset)
    with pytest.warns(errors.HubWarning, match="not verified"):
        load_weights(tmp_path, into=mine)
    np.testing.assert_array_equal(mine.coefficients, linear.coefficients)
    with pytest.raises(errors.FileMissing, match=r"params\.json"), pytest.warns(errors.HubWarning):
        from_pretrained(tmp_path)


def test_pickled_weights_are_not_loaded_and_the_error_says_what_to_do(tmp_path, linear):
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(errors.FileMissing) as caught, pytest.warns(errors.HubWarning):
        load_weights(tmp_path, into=linear)
    assert "dc-hub convert" in caught.value.hint
