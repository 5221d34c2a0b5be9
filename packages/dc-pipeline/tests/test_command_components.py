"""Components from text: names and parameters, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dc_core import Estimator
from dc_core.errors import ParameterError, PluginError, UnknownClass, UnknownParameter
from dc_pipeline import (
    ECFP,
    RMSE,
    ButinaClusters,
    EnrichmentFactor,
    GroupSplitter,
    KMeansClusters,
    MaxMinSplitter,
    NormalizationTransformer,
    Pipeline,
    RandomSplitter,
    ScaffoldSplitter,
)
from dc_pipeline.command.components import ROLES, Spec, make, names_of


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("a", {}),
        ("a:x=1", {"x": 1}),
        ("a:x=1,y=2.5", {"x": 1, "y": 2.5}),
        ("a: x = 1 , y = true", {"x": 1, "y": True}),
        ("a:x=[1,2],y=[[1,2],[3]]", {"x": [1, 2], "y": [[1, 2], [3]]}),
        ("a:x=\"b,c=d\",y='e]'", {"x": "b,c=d", "y": "e]"}),
        ("a:x=rbf,y=sklearn/Ridge", {"x": "rbf", "y": "sklearn/Ridge"}),
        ("a:x={name='b', y=[1,2]}", {"x": {"name": "b", "y": [1, 2]}}),
        ("a:x=False", {"x": False}),
    ],
)
def test_a_component_is_a_name_and_toml_values(text, parameters):
    assert Spec.parse(text) == Spec("a", parameters)


@pytest.mark.parametrize(
    "text", ["a:x", "a:=1", "a:x=", "a:x=1,,y=2", "a:x=[1", "a:x y=1", "a:1=2"]
)
def test_anything_else_is_an_error(text):
    with pytest.raises(ParameterError):
        Spec.parse(text)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        st.recursive(
            st.integers(-(2**53), 2**53) | st.booleans() | st.text("ab,=:[]{} ", max_size=8),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
        max_size=4,
    )
)
def test_written_as_toml_parameters_come_back(parameters):
    import json

    written = ",".join(f"{name}={json.dumps(value)}" for name, value in parameters.items())
    assert Spec.parse(f"a:{written}" if written else "a").parameters == parameters


@pytest.mark.parametrize(
    ("role", "text", "made"),
    [
        ("featurizer", "ecfp:size=1024", ECFP(size=1024)),
        ("featurizer", "pipeline/ECFP", ECFP()),
        ("splitter", "scaffold", ScaffoldSplitter()),
        ("splitter", "max-min:seed=3", MaxMinSplitter(seed=3)),
        ("splitter", "MaxMinSplitter", MaxMinSplitter()),
        ("transformer", "normalization", NormalizationTransformer()),
        ("metric", "enrichment_factor:fraction=0.05", EnrichmentFactor(fraction=0.05)),
        ("metric", "RMSE", RMSE()),
    ],
)
def test_a_name_may_be_short(role, text, made):
    found = make(role, Spec.parse(text)).component
    assert (type(found), repr(found)) == (type(made), repr(made))


def test_a_table_among_the_parameters_is_a_component():
    spec = Spec.of(
        "splitter",
        {"name": "group", "grouping": {"name": "butina-clusters", "similarity": 0.5}},
    )
    made = make("splitter", spec).component
    assert isinstance(made, GroupSplitter)
    (grouping,) = made.children().values()
    assert isinstance(grouping, ButinaClusters)
    assert grouping.get_parameters()["similarity"] == 0.5


def test_an_estimator_of_a_framework_becomes_a_model():
    pytest.importorskip("dc_sklearn")
    made = make("model", Spec.parse("sklearn/Ridge:alpha=0.5"), seed=7)
    assert isinstance(made.component, Estimator)
    assert made.component.estimator.alpha == 0.5
    assert made.spec == Spec("sklearn/Ridge", {"alpha": 0.5, "random_state": 7})
    nested = Spec.of(
        "model", {"name": "sklearn/BaggingRegressor", "estimator": {"name": "sklearn/Ridge"}}
    )
    assert make("model", nested).component.estimator.estimator.alpha == 1


def test_the_seed_of_a_run_is_for_components_without_their_own():
    assert make("splitter", Spec("random"), seed=5).component.seed == 5
    assert make("splitter", Spec("random", {"seed": 2}), seed=5).component.seed == 2
    assert make("splitter", Spec("scaffold"), seed=5).spec.parameters == {}
    nested = {"name": "k-means-clusters", "k": 3}
    made = make("splitter", Spec("group", {"grouping": nested, "seed": 2}), seed=5)
    (grouping,) = made.component.children().values()
    assert (made.component.seed, grouping.seed) == (2, 5)
    assert made.spec.parameters["grouping"] == {
        "name": "pipeline/KMeansClusters",
        "k": 3,
        "seed": 5,
    }
    torch = pytest.importorskip("dc_torch")
    made = make("model", Spec("MultitaskRegressor"), seed=5, facts={"n_tasks": 2, "n_features": 3})
    assert isinstance(made.component, torch.MultitaskRegressor)
    assert made.spec.parameters == {"n_tasks": 2, "n_features": 3, "seed": 5}
    assert made.component.config.seed == 5


@pytest.mark.parametrize(
    ("role", "text", "error", "message"),
    [
        ("featurizer", "ecpf", UnknownClass, "Did you mean 'pipeline/ECFP'"),
        ("featurizer", "rmse", ParameterError, "pipeline/RMSE is not a featurizer"),
        ("featurizer", "ecfp:sise=3", UnknownParameter, "Did you mean 'size'"),
        ("featurizer", "os:system='id'", UnknownClass, "no featurizer 'os'"),
        ("featurizer", "os.path", UnknownClass, "no featurizer"),
        ("featurizer", "dc_pipeline.featurizers.ecfp.ECFP", UnknownClass, "no featurizer"),
        ("model", "sklearn/NoSuch", UnknownClass, "NoSuch"),
        ("model", "sklearn/SklearnModl", UnknownClass, "Did you mean 'sklearn/SklearnModel'"),
        ("model", "tensorflow/Model", (PluginError, UnknownClass), "tensorflow"),
        ("splitter", "random:seed=-1", ParameterError, "seed"),
        ("splitter", "random:fractions=big", ParameterError, "fractions"),
        (
            "transformer",
            "pipeline/FunctionFeaturizer:function='os/system'",
            ParameterError,
            "no function",
        ),
    ],
)
def test_what_cannot_be_made_is_said(role, text, error, message):
    if text.startswith("sklearn"):
        pytest.importorskip("dc_sklearn")
    with pytest.raises(error, match=message):
        make(role, Spec.parse(text))


def test_a_file_cannot_have_scikit_learn_run_a_cache_of_pickles():
    pytest.importorskip("dc_sklearn")
    spec = Spec("sklearn/Pipeline", {"steps": [["a", {"name": "sklearn/Ridge"}]], "memory": "/tmp"})
    with pytest.raises(ParameterError, match="memory"):
        make("model", spec)


@pytest.mark.parametrize(("role", "cls"), [("metric", RMSE), ("splitter", RandomSplitter)])
def test_every_public_component_of_a_role_has_a_name(role, cls):
    import dc_pipeline

    named = {found for _, found in names_of(role)}
    assert cls in named
    for name in dc_pipeline.__all__:
        thing = getattr(dc_pipeline, name)
        if (
            isinstance(thing, type)
            and issubclass(thing, ROLES[role])
            and not thing.__abstractmethods__
        ):
            assert thing in named


def test_groupings_and_pipelines_have_names():
    assert ("pipeline/Pipeline", Pipeline) in names_of("model")
    spec = Spec("group", {"grouping": {"name": "k-means-clusters", "k": 3}})
    (grouping,) = make("splitter", spec).component.children().values()
    assert isinstance(grouping, KMeansClusters)
