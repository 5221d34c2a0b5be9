"""Forests: their trees packed into a few arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.ensemble._iforest import _average_path_length
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import ExtraTreeRegressor

from dc_core.errors import NotSerializable, StructureError
from dc_sklearn import trees, values
from dc_sklearn.families.tree import CLASSES, classes_per_output
from dc_sklearn.kinds import MISSING, Count, Floats, Integers, ListOf, Number, Reals, Size
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Field, Restoring, Schema, State, Storing, schema
from dc_sklearn.slots import Reader, Slot, Slots

_SHARED: Final = ("n_features_in_", "n_outputs_", "max_features_", "classes_", "n_classes_")
"""Attributes that are the same in all trees of a forest, and stored once."""


@dataclass(frozen=True, slots=True)
class Forest:
    """The attribute ``estimators_`` of a forest: fitted trees of one kind."""

    template: Callable[[Any], Any]
    """Returns one tree of the owner, not fitted."""
    outputs: Callable[[State], list[int]]
    """Returns the number of classes of each output of the owner's trees."""
    features: str = "n_features_in_"
    """The owner's attribute that says how many features a tree sees."""
    staged: bool = False
    """Whether they are an array ``(stages, trees per stage)`` of objects, whose shape is stored."""

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of what the trees have in common, of their seeds and of their nodes."""
        members = list(np.ravel(value))
        kind = type(self.template(storing.owner))
        if not members or any(type(member) is not kind for member in members):
            raise NotSerializable(f"{path!r} does not hold trees of {kind.__name__} alone.")
        first = vars(members[0])
        for name in _SHARED:
            if name in first:
                common = first[name]
                others = [vars(member)[name] for member in members]
                if not all(other is common or _same(common, other) for other in others):
                    raise NotSerializable(f"The trees of {path!r} differ in {name!r}.")
                yield from values.encode(f"{path}/{name}", common)
        seeds = [member.random_state for member in members]
        whole = all(isinstance(seed, int | np.integer) for seed in seeds)
        yield from values.encode(
            f"{path}/random_state", np.array(seeds, np.int64) if whole else None
        )
        if self.staged:
            yield f"{path}/shape/0", Slot.made(np.array(value.shape, np.int64))
        yield from trees.encode(path, [member.tree_ for member in members])

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the fitted trees, checked."""
        state, template = restoring.state, self.template(restoring.owner)
        names = _SHARED if isinstance(template, ClassifierMixin) else _SHARED[:-2]
        shared: State = {n: values.decode(reader, f"{path}/{n}") for n in names}
        counts = self.outputs(state)
        n_features = state[self.features]
        if shared.get("n_features_in_") != n_features:
            raise StructureError(f"The trees of {path!r} and their owner differ in their features.")
        labels = shared.get("classes_")
        if labels is not None and not CLASSES["classes_"].accepts(labels, {}):
            raise StructureError(f"The trees of {path!r} do not have classes in rising order.")
        if classes_per_output(shared) != counts:
            raise StructureError(f"The trees of {path!r} and their owner differ in their outputs.")
        built = trees.decode(reader, path, n_features, counts)
        given = values.decode(reader, f"{path}/random_state")
        seeds: list[Any] = [None] * len(built) if given is None else np.asarray(given).tolist()
        if given is not None and (
            np.shape(given) != (len(built),) or np.asarray(given).dtype != np.int64
        ):
            raise StructureError(f"{path!r} does not have an integer for each of its trees.")
        common = vars(template) | shared
        members = [
            _member(type(template), common, tree, seed)
            for tree, seed in zip(built, seeds, strict=True)
        ]
        if not self.staged:
            return members
        shape = tuple(reader.take(f"{path}/shape/0", dtype=np.int64, ndim=1).tolist())
        if len(shape) != 2 or min(shape) < 1 or shape[0] * shape[1] != len(members):
            raise StructureError(f"{path!r} holds {len(members)} trees in the shape {shape}.")
        grid = np.empty(len(members), dtype=object)
        grid[:] = members
        return grid.reshape(shape)


def _member(cls: type[Any], common: State, tree: Any, seed: int | None) -> Any:
    """Return a fitted tree; writing its attributes is ten times as fast as cloning the template."""
    member = object.__new__(cls)
    vars(member).update(common, tree_=tree, random_state=seed)
    return member


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and bool(np.array_equal(a, b))


def _forest_tree(owner: Any) -> Any:
    parameters = {name: getattr(owner, name) for name in owner.estimator_params}
    return type(owner.estimator)(**parameters)


def _isolation_tree(owner: Any) -> Any:
    return ExtraTreeRegressor(max_features=1, splitter="random")


def one_output(state: State) -> list[int]:
    """Return what :func:`classes_per_output` would for a single regression output."""
    return [1]


def _isolation_check(owner: Any, state: State) -> None:
    """Check that it is known of each tree which features it sees."""
    if len(state["estimators_features_"]) != len(state["estimators_"]):
        raise StructureError("estimators_features_ does not hold one array per tree.")


def _isolation_rebuild(owner: Any, state: State) -> State:
    """Make the path lengths again, as ``IsolationForest.fit`` does."""
    found = [member.tree_ for member in state["estimators_"]]
    return {
        "estimator_": _isolation_tree(owner),
        "_average_path_length_per_tree": tuple(
            _average_path_length(tree.n_node_samples) for tree in found
        ),
        "_decision_path_lengths": tuple(tree.compute_node_depths() for tree in found),
    }


def _rebuild(owner: Any, state: State) -> State:
    return {"estimator_": owner.estimator}


_SAMPLES: Final[Mapping[str, Field]] = {
    "_n_samples": Count(),
    "_n_samples_bootstrap": Count() | MISSING,
    "_sample_weight": Reals("_") | MISSING,
    "oob_score_": Number(),
}


def _forest(required: Mapping[str, Field], optional: Mapping[str, Field]) -> Schema:
    return schema(
        {
            "n_features_in_": Size("n"),
            "n_outputs_": Count(1),
            **required,
            "estimators_": Forest(_forest_tree, classes_per_output),
        },
        {**_SAMPLES, **optional},
        rebuilt="estimator_",
        rebuild=_rebuild,
    )


def _leaf_encoder(owner: Any, state: State) -> Any:
    return OneHotEncoder(sparse_output=owner.sparse_output)


class _LeafEncoder(Nested):
    """The attribute ``one_hot_encoder_``: it reads the number of one leaf of each tree."""

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the encoder, checked."""
        before = len(restoring.commits)
        found = super().decode(reader, path, restoring)
        for _, state in restoring.commits[before:]:
            if state["n_features_in_"] != len(restoring.state["estimators_"]):
                raise StructureError(f"{path!r} does not encode one leaf of each tree.")
        return found


_REGRESSOR: Final = _forest({}, {"oob_prediction_": Floats("_") | Floats("_ _")})
_CLASSIFIER: Final = _forest(
    CLASSES, {"oob_decision_function_": Floats("_ _") | Floats("_ _ _") | ListOf(Floats("_ _"))}
)
_ISOLATION: Final = schema(
    {
        "n_features_in_": Size("n"),
        "max_samples_": Count(1),
        "offset_": Number(),
        "_max_features": Size("seen", 1),
        "_max_samples": Count(1),
        "estimators_features_": ListOf(Integers("seen", minimum=0, below="n")),
        "estimators_": Forest(_isolation_tree, one_output, "_max_features"),
    },
    {
        "_n_samples": Count(),
        "_sample_weight": Reals("_") | MISSING,
        "_seeds": Integers("_"),
    },
    rebuilt="estimator_ _average_path_length_per_tree _decision_path_lengths",
    rebuild=_isolation_rebuild,
    check=_isolation_check,
)

SCHEMAS: Final = {
    "ensemble.ExtraTreesClassifier": _CLASSIFIER,
    "ensemble.ExtraTreesRegressor": _REGRESSOR,
    "ensemble.IsolationForest": _ISOLATION,
    "ensemble.RandomForestClassifier": _CLASSIFIER,
    "ensemble.RandomForestRegressor": _REGRESSOR,
    "ensemble.RandomTreesEmbedding": schema(
        {
            "n_features_in_": Size("n"),
            "n_outputs_": Count(1),
            "estimators_": Forest(_forest_tree, classes_per_output),
            "one_hot_encoder_": _LeafEncoder(_leaf_encoder),
            "_n_features_out": Count(1),
        },
        _SAMPLES,
        rebuilt="estimator_",
        rebuild=_rebuild,
    ),
}
