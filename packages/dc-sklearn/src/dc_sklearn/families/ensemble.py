"""Forests: their trees packed into a few arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from sklearn.base import clone

from dc_core.errors import NotSerializable, StructureError
from dc_sklearn import trees, values
from dc_sklearn.families.tree import classes_per_output
from dc_sklearn.schema import Restoring, State, schema
from dc_sklearn.slots import Reader, Slot, Slots

_OF_ALL: Final = ("n_features_in_", "n_outputs_", "max_features_", "classes_", "n_classes_")
"""Attributes that are the same in all trees of a forest, and stored once."""


class Forest:
    """The attribute ``estimators_`` of a forest: a list of fitted trees of one kind."""

    def encode(self, path: str, value: Any, owner: Any) -> Slots:
        """Yield the slots of what the trees have in common, of their seeds and of their nodes."""
        first = vars(value[0])
        for name in _OF_ALL:
            if name in first:
                if not all(_same(first[name], vars(tree)[name]) for tree in value):
                    raise NotSerializable(f"The trees of {path!r} differ in {name!r}.")
                yield from values.encode(f"{path}/{name}", first[name])
        seeds = [tree.random_state for tree in value]
        if all(isinstance(seed, int | np.integer) for seed in seeds):
            yield f"{path}/random_state/0", Slot.made(np.array(seeds, np.int64))
        yield from trees.encode(path, [tree.tree_ for tree in value])

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> list[Any]:
        """Return the fitted trees, checked."""
        owner, state = restoring.owner, restoring.state
        below = reader.below(path)
        shared = {n: values.decode(reader, f"{path}/{n}") for n in _OF_ALL if n in below}
        counts = classes_per_output(shared | {"n_outputs_": shared.get("n_outputs_")})
        if shared.get("n_features_in_") != state["n_features_in_"]:
            raise StructureError(
                f"The trees of {path!r} and their forest differ in their features."
            )
        if counts != classes_per_output(state):
            raise StructureError(f"The trees of {path!r} and their forest differ in their outputs.")
        built = trees.decode(reader, path, state["n_features_in_"], counts)
        template = _template(owner)
        seeds: Sequence[int] | None = None
        if "random_state" in below:
            given = reader.take(f"{path}/random_state/0", dtype=np.int64, ndim=1)
            if len(given) != len(built):
                raise StructureError(f"{path!r} has {len(built)} trees and {len(given)} seeds.")
            seeds = given.tolist()
        common = vars(template) | shared
        return [
            _member(type(template), common, tree, seeds[i] if seeds else None)
            for i, tree in enumerate(built)
        ]


def _template(owner: Any) -> Any:
    """Return one tree of the forest, not fitted, as the forest itself would make it."""
    tree = clone(owner.estimator)
    return tree.set_params(**{name: getattr(owner, name) for name in owner.estimator_params})


def _member(cls: type, common: State, tree: Any, seed: int | None) -> Any:
    """Return a fitted tree; writing its attributes is ten times as fast as cloning the template."""
    member = cls.__new__(cls)
    vars(member).update(common, tree_=tree, random_state=seed)
    return member


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and bool(np.array_equal(a, b)))


def _estimator(owner: Any, state: State) -> State:
    return {"estimator_": owner.estimator}


_PRIVATE: Final = "_n_samples _n_samples_bootstrap _sample_weight"
_COMMON: Final = {
    "fields": {"estimators_": Forest()},
    "rebuilt": "estimator_",
    "rebuild": _estimator,
}
_REGRESSOR: Final = schema("n_features_in_ n_outputs_ estimators_", _PRIVATE, **_COMMON)
_CLASSIFIER: Final = schema(
    "n_features_in_ n_outputs_ classes_ n_classes_ estimators_", _PRIVATE, **_COMMON
)

SCHEMAS: Final = {
    "ExtraTreesClassifier": _CLASSIFIER,
    "ExtraTreesRegressor": _REGRESSOR,
    "RandomForestClassifier": _CLASSIFIER,
    "RandomForestRegressor": _REGRESSOR,
}
