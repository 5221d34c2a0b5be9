"""Registered names: what a file may choose among, and nothing else."""

import sys

import pytest

from dc_core import Component, Estimator, Model, register_component, register_model, registry
from dc_core.errors import BackendBroken, ClassConflict, UnknownClass
from dc_core.registry import components, models

NET = """
from dc_core import Model

class Net(Model):
    pass

class Other:
    pass
"""


@pytest.fixture(autouse=True)
def clean():
    kept = dict(models._registered), dict(components._registered)
    yield
    models._registered, components._registered = kept


def test_a_class_registered_in_the_program_is_found_both_ways():
    @register_model("mylab/net")
    class Net(Model):
        pass

    assert models.lookup("mylab/net") is Net
    assert models.name_of(Net) == models.stored_name(Net) == "mylab/net"
    assert "mylab/net" in models.names()


def test_a_subclass_does_not_inherit_the_name():
    @register_model("mylab/net")
    class Net(Model):
        pass

    class Wider(Net):
        pass

    assert models.name_of(Wider) is None
    assert models.stored_name(Wider) == "local/Wider"


def test_a_cell_that_is_run_again_replaces_its_class():
    def cell():
        @register_model("mylab/net")
        class Net(Model):
            pass

        return Net

    first, second = cell(), cell()
    assert first is not second
    assert models.lookup("mylab/net") is second


def test_another_class_cannot_take_the_name():
    @register_model("mylab/net")
    class Net(Model):
        pass

    with pytest.raises(ClassConflict, match="taken"):

        @register_model("mylab/net")
        class Other(Model):
            pass

    assert models.lookup("mylab/net") is Net


@pytest.mark.parametrize(
    "name",
    [
        *("", "net", "a/b/c", "a b/c", "../x", "a/", "/b", "a/.b", "a/b\n", "å/b"),
        *("local/net", "numpy/net", "rdkit/net"),
    ],
)
def test_a_malformed_name_is_refused(name):
    with pytest.raises(ClassConflict, match="cannot be a registered name"):
        register_model(name)


def test_what_is_no_model_cannot_be_registered_as_one():
    with pytest.raises(ClassConflict, match="not a Model"):
        register_model("mylab/list")(list)


def test_an_entry_point_is_imported_when_it_is_looked_up(install):
    install("dist-a", {"dc.models": {"lab/Net": "lab_nets:Net"}}, {"lab_nets": NET})
    assert "lab/Net" in models.names()
    cls = models.lookup("lab/Net")
    assert cls.__name__ == "Net"
    assert models.name_of(cls) == "lab/Net"


def test_a_class_may_be_registered_by_entry_point_and_decorator_alike(install):
    source = NET.replace("class Net", "@register_model('lab/Net')\nclass Net")
    source = source.replace("import Model", "import Model, register_model")
    install("dist-a", {"dc.models": {"lab/Net": "lab_nets:Net"}}, {"lab_nets": source})
    assert models.lookup("lab/Net").__name__ == "Net"


def test_the_program_cannot_take_an_installed_name(install):
    install("dist-a", {"dc.models": {"lab/Net": "lab_nets:Net"}}, {"lab_nets": NET})
    with pytest.raises(ClassConflict, match="taken"):

        @register_model("lab/Net")
        class Net(Model):
            pass


def test_two_distributions_on_one_class_name_are_a_conflict(install):
    install("dist-a", {"dc.models": {"lab/Net": "nets_a:Net"}}, {"nets_a": NET})
    install("dist-b", {"dc.models": {"lab/Net": "nets_b:Net"}}, {"nets_b": NET})
    with pytest.raises(ClassConflict, match=r"dist-a and dist-b"):
        models.lookup("lab/Net")


@pytest.mark.parametrize("value", ["lab_nets:Other", "lab_nets", "os:system", "builtins:eval"])
def test_an_entry_point_that_is_no_model_is_refused(install, value):
    install("dist-a", {"dc.models": {"lab/Net": value}}, {"lab_nets": NET})
    with pytest.raises(ClassConflict, match="not a Model"):
        models.lookup("lab/Net")


HALT = "raise type('Halt', (BaseException,), {})"


@pytest.mark.parametrize("source", ["raise RuntimeError('boom')", "raise SystemExit(1)", HALT, ""])
def test_an_entry_point_that_cannot_be_imported_is_a_typed_error(install, source):
    install("dist-a", {"dc.models": {"lab/Net": "lab_nets:Net"}}, {"lab_nets": source})
    with pytest.raises(UnknownClass, match=r"dist-a 1\.0 cannot be imported"):
        models.lookup("lab/Net")


HOSTILE = """
class Meta(type):
    def __repr__(cls):
        raise RuntimeError("no text")

class Silent(metaclass=Meta):
    pass

class Disguised:
    @property
    def __class__(self):
        raise RuntimeError("no class")

    __repr__ = __class__.fget

disguised = Disguised()
"""


@pytest.mark.parametrize("value", ["nets:Silent", "nets:disguised"])
def test_whatever_an_entry_point_names_is_one_line_of_the_report(install, value):
    install("dist-a", {"dc.models": {"lab/Net": value}}, {"nets": HOSTILE})
    with pytest.raises(ClassConflict, match="not a Model"):
        models.lookup("lab/Net")
    (line,) = [line for line in models.report() if line.name == "lab/Net"]
    assert line.status == "broken"


def test_a_class_of_a_broken_backend_is_not_imported(install):
    names = {"dc.backends.v1": {"alpha": "alpha_plugin"}, "dc.models": {"alpha/Net": "nets:Net"}}
    install("dist-a", names, {"nets": NET, "alpha_plugin": "raise RuntimeError('boom')"})
    with pytest.raises(UnknownClass, match=r"without its backend.*boom") as caught:
        models.lookup("alpha/Net")
    assert "force-reinstall dist-a" in caught.value.hint
    (line,) = [line for line in models.report() if line.name == "alpha/Net"]
    assert line.status == "broken"
    assert "nets" not in sys.modules


def test_a_class_of_a_backend_in_conflict_is_not_imported(install):
    names = {"dc.backends.v1": {"alpha": "alpha_plugin"}, "dc.models": {"alpha/Net": "nets:Net"}}
    install("dist-a", names, {"nets": NET})
    install("dist-b", {"dc.backends.v1": {"alpha": "other_plugin"}})
    with pytest.raises(UnknownClass, match="dist-a and dist-b both provide"):
        models.lookup("alpha/Net")
    assert "nets" not in sys.modules


def test_a_broken_neighbour_does_not_hide_a_class(install):
    names = {"lab/Broken": "lab_nets:Missing", "lab/Net": "lab_nets:Net"}
    install("dist-a", {"dc.models": names}, {"lab_nets": NET})
    cls = models.lookup("lab/Net")
    assert models.name_of(cls) == "lab/Net"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("torch/NoSuchModel", "pip install --upgrade dc-torch"),
        ("pipeline/NoSuchThing", "pip install --upgrade dc-pipeline"),
        ("local/MyNet", "MyNet.from_pretrained"),
        ("elsewhere/Net", "Install the package that defines it"),
    ],
)
def test_an_unknown_name_says_how_to_get_it(name, hint):
    with pytest.raises(UnknownClass) as caught:
        models.lookup(name)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "name", ["os.system", "builtins:eval", "dc_core.model.Model", "", "__main__"]
)
def test_an_import_path_is_no_name(name):
    with pytest.raises(UnknownClass):
        models.lookup(name)


class Scaler(Component):
    class_version = 3

    def __init__(self, eps=0.1):
        pass


def test_a_component_is_described_by_name_version_and_arguments():
    register_component("mylab/Scaler")(Scaler)
    described = registry.describe(Scaler())
    assert described == registry.Description("mylab/Scaler", 3, None, {"eps": 0.1})
    made = registry.build(components.lookup(described.name), described.params, described.backend)
    assert made.get_parameters() == {"eps": 0.1}


def test_a_model_without_a_name_is_stored_as_local():
    class Mine(Estimator):
        def fit(self, dataset):
            return self

        def predict(self, dataset):
            return dataset.y

    assert registry.describe(Mine()).name == "local/Mine"


def test_an_object_without_a_stored_form_is_not_described():
    assert registry.describe(object()) is None
    assert registry.describe(3) is None


def test_a_broken_backend_is_not_taken_for_an_object_without_a_stored_form(install):
    install("dist-a", {"dc.backends.v1": {"alpha": "bad"}}, {"bad": "raise RuntimeError('boom')"})
    with pytest.raises(BackendBroken):
        registry.describe(type("Thing", (), {"__module__": "alpha"})())


def test_a_framework_object_is_described_and_built_by_its_backend(install, graveyard):
    install("tiny-backend", {"dc.backends.v1": {"tiny": "tiny_backend.plugin"}})
    tiny = graveyard("tiny")
    described = registry.describe(tiny.Net(power=2))
    assert described == registry.Description("tiny/Net", 1, "tiny", {"power": 2})


def test_a_registered_class_of_a_framework_is_built_as_a_skeleton(install, graveyard):
    install("tiny-backend", {"dc.backends.v1": {"tiny": "tiny_backend.plugin"}})
    tiny = graveyard("tiny")

    @register_component("mylab/Wide")
    class Wide(tiny.Net):
        def __init__(self, power):
            super().__init__(power=power)
            self.was_initialised = tiny.initialise

    described = registry.describe(Wide(power=3))
    assert described == registry.Description("mylab/Wide", 1, "tiny", {"power": 3})
    made = registry.build(Wide, described.params, described.backend)
    assert (made.power, made.was_initialised) == (3, False)


def test_a_class_squatted_in_a_known_namespace_loses_to_the_known_distribution(install):
    named = {"dc.models": {"xgboost/Net": "theirs:Net", "xgboost/Other": "theirs:Net"}}
    install("a-stranger", named, {"theirs": NET})
    install("dc-xgboost", {"dc.models": {"xgboost/Net": "ours:Net"}}, {"ours": NET})
    assert models.lookup("xgboost/Net").__module__ == "ours"
    with pytest.raises(UnknownClass, match="'xgboost/Other'"):
        models.lookup("xgboost/Other")
    assert "theirs" not in sys.modules
    lines = {(line.name, line.distribution): line for line in models.report()}
    assert lines["xgboost/Net", "dc-xgboost"].status == "ready"
    for name in ("xgboost/Net", "xgboost/Other"):
        assert lines[name, "a-stranger"].status == "refused"
        assert "belongs to dc-xgboost" in lines[name, "a-stranger"].detail
