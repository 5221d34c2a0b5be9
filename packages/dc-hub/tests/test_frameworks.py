"""Objects of a framework, served by a backend that is found through its entry point."""

import textwrap
from importlib import import_module

import numpy as np
import pytest

from dc_core import Model, plugins, register_component, register_model
from dc_hub import check_golden, errors, from_pretrained, info, load_weights, publish

FRAMEWORK = '''
    import numpy as np

    made = 0

    class Net:
        def __init__(self, size=3):
            global made
            made += 1
            self.size = size
            self.arrays = {"out.weight": np.full(size, 7.0), "out.bias": np.zeros(())}

    class Bare(Net):
        """One that the backend cannot make by name."""

        def __call__(self, x):
            return x

    class Hollow(Net):
        """One that has no values yet, as on torch's meta device."""
'''

PLUGIN = """
    import numpy as np
    import toyframe
    from dc_core import Estimator, WeightInfo, check_weights, hookimpl, number_by_layer, plugins
    from dc_core.errors import NotSerializable, UnknownClass

    skeletons = 0

    class Wrapped(Estimator):
        backend = "toyframe"

        def __init__(self, net=None):
            self.net = toyframe.Net() if net is None else net

        @property
        def native(self):
            return self.net

        def fit(self, dataset):
            return self

        def predict(self, X):
            return X @ self.net.arrays["out.weight"] + self.net.arrays["out.bias"]

    @hookimpl
    def dc_backend_info():
        return plugins.BackendInfo({"toyframe": "1.0"})

    @hookimpl
    def dc_describe_weights(obj):
        names = number_by_layer(obj.arrays)
        return {names[n]: WeightInfo(n, a.shape, a.dtype) for n, a in obj.arrays.items()}

    @hookimpl
    def dc_export_weights(obj, names, copy):
        table = dc_describe_weights(obj)
        wanted = table if names is None else names
        if type(obj) is toyframe.Hollow:
            if names is None:
                return {}
            raise NotSerializable("The weight 'out.weight' has no value.")
        return {name: obj.arrays[table[name].native].copy() for name in wanted}

    @hookimpl
    def dc_import_weights(obj, weights, allow_missing, copy):
        table = dc_describe_weights(obj)
        check_weights(table, weights, allow_missing)
        obj.arrays |= {table[n].native: a.copy() for n, a in weights.items()}
        return obj

    @hookimpl
    def dc_skeleton(build):
        global skeletons
        skeletons += 1
        return build()

    @hookimpl
    def dc_describe_component(obj):
        return ("toyframe/Net", {"size": obj.size}) if type(obj) is toyframe.Net else None

    @hookimpl
    def dc_build_component(name, params):
        if name != "toyframe/Net":
            raise UnknownClass(f"No class is called {name!r}.")
        return toyframe.Net(**params)

    @hookimpl
    def dc_wrap(obj):
        return Wrapped(obj)
"""


def install(name, site):
    """Write a framework of two arrays called ``name``, and its backend, to ``site``."""
    for file, source in ((name, FRAMEWORK), (f"dc_{name}", PLUGIN)):
        (site / f"{file}.py").write_text(textwrap.dedent(source).replace("toyframe", name))
    metadata = site / f"dc_{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dc-{name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[dc.backends.v1]\n{name} = dc_{name}\n")


@pytest.fixture(scope="module")
def toyframe(tmp_path_factory):
    """Install two frameworks and their backends, for this module's tests; return the first."""
    site = tmp_path_factory.mktemp("site")
    for name in ("toyframe", "otherframe"):
        install(name, site)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        plugins.refresh()
        import toyframe

        yield toyframe
    plugins.refresh()


@pytest.fixture
def net(toyframe):
    made = toyframe.Net(2)
    made.arrays["out.weight"] = np.array([1.0, 2.0])
    return made


def test_a_frameworks_object_comes_back_wrapped_in_a_model(hub, net):
    publish(net, "net", hub=hub)
    model = from_pretrained("net", hub=hub)
    assert type(model).__name__ == "Wrapped"
    assert model.native is not net
    np.testing.assert_array_equal(model.predict(np.eye(2)), [1.0, 2.0])
    assert info("net", hub=hub).weights["net/out/0"].native == "out.weight"


def test_weights_of_an_unregistered_object_are_loaded_into_one_of_the_callers(hub, toyframe, net):
    bare = toyframe.Bare(2)
    bare.arrays["out.weight"] = np.array([3.0, 4.0])
    publish(bare, "bare", hub=hub)
    assert info("bare", hub=hub).cls is None
    with pytest.raises(errors.ClassMismatch, match="load_weights"):
        from_pretrained("bare", hub=hub)
    load_weights("bare", into=net, hub=hub)
    np.testing.assert_array_equal(net.arrays["out.weight"], [3.0, 4.0])


def test_weights_without_values_are_refused_with_the_backends_error(hub, toyframe):
    with pytest.raises(errors.NotSerializable, match=r"out\.weight.*no value"):
        publish(toyframe.Hollow(2), "hollow", hub=hub)
    assert not hub.path.exists()


def test_an_unregistered_argument_is_refused_with_both_ways_to_store_it(hub, toyframe):
    import dc_toyframe

    with pytest.raises(errors.NotSerializable, match="argument net") as caught:
        publish(dc_toyframe.Wrapped(toyframe.Bare(2)), "bare", hub=hub)
    for way in ("dc_core.register_component", "dc_hub.publish", "dc_hub.load_weights"):
        assert way in caught.value.hint


def test_a_reordered_part_is_found_by_its_name(hub, toyframe, net):
    publish(net, "net", hub=hub)
    reordered = toyframe.Net(2)
    reordered.arrays = {"out.bias": np.ones(()), "out.weight": np.zeros(2)}
    load_weights("net", into=reordered, hub=hub)
    np.testing.assert_array_equal(reordered.arrays["out.weight"], [1.0, 2.0])
    assert reordered.arrays["out.bias"] == 0


def test_weights_are_never_matched_by_position(hub, toyframe):
    net = toyframe.Bare(2)
    net.arrays = {"norm.weight": np.array([1.0, 2.0]), "norm.bias": np.array([3.0, 4.0])}
    publish(net, "net", hub=hub)
    renamed = toyframe.Net(2)
    renamed.arrays = {"norm.shift": np.zeros(2), "norm.scale": np.zeros(2)}
    with pytest.raises(errors.WeightsMismatch, match=r"norm\.shift") as caught:
        load_weights("net", into=renamed, hub=hub)
    assert caught.value.missing == ("norm/0", "norm/1")
    assert caught.value.unexpected == ("norm.weight", "norm.bias")
    assert not any(array.any() for array in renamed.arrays.values())
    rename = {"norm.weight": "norm.scale", "norm.bias": "norm.shift"}
    load_weights("net", into=renamed, hub=hub, rename=rename)
    np.testing.assert_array_equal(renamed.arrays["norm.scale"], [1.0, 2.0])
    np.testing.assert_array_equal(renamed.arrays["norm.shift"], [3.0, 4.0])


def test_the_error_names_stored_weights_as_the_framework_does(hub, toyframe):
    net = toyframe.Bare(2)
    net.arrays = {"norm.weight": np.zeros(2), "out.weight": np.zeros(2)}
    publish(net, "net", hub=hub)
    with pytest.raises(errors.WeightsMismatch) as caught:
        load_weights("net", into=toyframe.Net(2), hub=hub)
    assert str(caught.value) == (
        "Weights of the model that are not stored: out.bias. Stored weights that the model does "
        "not have: norm.weight. Check that it is the right model; load_weights() takes rename= and "
        "allow_missing=."
    )


def test_the_error_proposes_a_rename_where_only_one_is_possible(hub, toyframe, net):
    publish(net, "net", hub=hub)
    renamed = toyframe.Net(2)
    renamed.arrays = {"out.kernel": np.zeros(2), "out.bias": np.ones(())}
    with pytest.raises(errors.WeightsMismatch, match=r"rename={'out\.weight': 'out\.kernel'}"):
        load_weights("net", into=renamed, hub=hub)


def test_a_new_weight_before_the_others_is_missing_and_none_takes_its_place(hub, toyframe, net):
    publish(net, "net", hub=hub)
    grown = toyframe.Net(2)
    grown.arrays = {"out.scale": np.zeros(2), **grown.arrays}
    with pytest.raises(errors.WeightsMismatch, match=r"out\.scale"):
        load_weights("net", into=grown, hub=hub)
    load_weights("net", into=grown, hub=hub, allow_missing=["out.scale"])
    np.testing.assert_array_equal(grown.arrays["out.weight"], [1.0, 2.0])
    assert grown.arrays["out.scale"].sum() == 0


@pytest.fixture
def stored(hub, toyframe):
    """A stored model around an object of a registered class, and the class of the model."""
    import dc_toyframe

    @register_component("toy/Sub")
    class Sub(toyframe.Net):
        pass

    return publish(dc_toyframe.Wrapped(Sub(2)), "model", hub=hub).path, dc_toyframe.Wrapped


def test_weights_are_initialised_only_after_a_skeleton_has_shown_that_the_stored_ones_fit(
    stored, toyframe, edit_params
):
    path, cls = stored
    made = toyframe.made
    cls.from_pretrained(path)
    assert toyframe.made == made + 1
    cls.from_pretrained(path, allow_missing=["out.bias"])
    assert toyframe.made == made + 3
    edit_params(
        path, lambda content: content["params"]["net"]["$component"]["params"].update(size=5)
    )
    with pytest.raises(errors.WeightsMismatch, match="out/0"):
        cls.from_pretrained(path, allow_missing=["out.bias"])
    assert toyframe.made == made + 4


def test_a_file_cannot_choose_that_weights_are_initialised(stored, edit_params):
    import dc_toyframe

    path, cls = stored
    edit_params(path, lambda content: content["params"]["net"]["$component"].update(backend=None))
    before = dc_toyframe.skeletons
    cls.from_pretrained(path)
    assert dc_toyframe.skeletons == before + 2


def test_the_backends_versions_are_stored(hub, net):
    publish(net, "net", hub=hub)
    created_with = info("net", hub=hub).metadata["created_with"]
    assert created_with["toyframe"] == created_with["dc-toyframe"] == "1.0"


def test_a_component_that_the_backend_does_not_know_is_refused(hub, net, edit_params):
    path = publish(net, "net", hub=hub).path
    edit_params(path, lambda content: content.update({"class": "toyframe/System"}))
    with pytest.raises(errors.UnknownClass, match="toyframe/System"):
        from_pretrained(path)


def test_an_object_without_training_state_says_so(hub, net):
    with pytest.raises(errors.NotSerializable, match="training state"):
        publish(net, "net", hub=hub, training=True)
    assert not hub.path.exists()


def test_golden_rows_of_a_frameworks_object_are_those_of_the_model_that_loading_makes(hub, net):
    publish(net, "net", hub=hub, golden=np.eye(2))
    assert check_golden("net", hub=hub).passed


def test_golden_rows_that_could_never_be_checked_are_refused(hub, toyframe):
    with pytest.raises(errors.NotSerializable, match="only load_weights"):
        publish(toyframe.Bare(2), "bare", hub=hub, golden=np.eye(2))
    assert not hub.path.exists()


def test_an_object_that_does_not_fit_is_untouched(hub, toyframe, net):
    publish(toyframe.Net(3), "net", hub=hub)
    with pytest.raises(errors.WeightsMismatch, match="shape"):
        load_weights("net", into=net, hub=hub)
    np.testing.assert_array_equal(net.arrays["out.weight"], [1.0, 2.0])


@pytest.fixture
def anywhere(toyframe):
    """The class of a model that several backends can serve: the instance chooses."""

    class Anywhere(Model):
        framework = "toyframe"

        def __init__(self, size):
            self.backend = self.framework
            self.net = import_module(self.framework).Net(size)

        @property
        def native(self):
            return self.net

    return Anywhere


def test_a_class_that_any_backend_serves_loads_into_another_than_it_was_stored_from(hub, anywhere):
    model = anywhere(2)
    model["anywhere/out/0"] = np.array([1.0, 2.0])
    publish(model, "anywhere", hub=hub)
    assert info("anywhere", hub=hub).backend is None

    anywhere.framework = "otherframe"
    loaded = anywhere.from_pretrained("anywhere", hub=hub)
    assert type(loaded.native).__module__ == loaded.backend == "otherframe"
    np.testing.assert_array_equal(loaded["anywhere/out/0"], [1.0, 2.0])


@pytest.mark.parametrize("framework", ["toyframe", "otherframe"])
def test_the_backend_that_an_instance_chose_is_in_created_with(hub, anywhere, framework):
    class Pair(Model):
        def __init__(self, part):
            self.part = part

    anywhere.framework = framework
    register_model("toy/Anywhere")(anywhere)
    for name, model in (("one", anywhere(2)), ("nested", Pair(anywhere(2)))):
        publish(model, name, hub=hub)
        stored = info(name, hub=hub)
        assert stored.backend is None
        named = {n for n in stored.metadata["created_with"] if n.endswith("frame")}
        assert named == {framework, f"dc-{framework}"}
        assert f"pip install dc-hub dc-{framework}\n" in (stored.path / "README.md").read_text()
