"""Single decision trees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from dc_core.errors import StructureError
from dc_sklearn import trees
from dc_sklearn.kinds import Classes, Count, Integers, Kind, ListOf, Size
from dc_sklearn.schema import Restoring, State, Storing, schema
from dc_sklearn.slots import Reader, Slots

_MOST_OUTPUTS: Final = 1 << 20


def classes_per_output(state: State) -> list[int]:
    """Return the number of classes of each output: 1 for regression.

    Raises :class:`StructureError` where ``n_outputs_``, ``n_classes_`` and ``classes_`` disagree.
    """
    outputs = state.get("n_outputs_")
    if type(outputs) is not int or not 0 < outputs <= _MOST_OUTPUTS:
        raise StructureError(f"n_outputs_ is {outputs!r}, which is not a number of outputs.")
    if "classes_" not in state:
        return [1] * outputs
    labels = state["classes_"] if outputs > 1 else [state["classes_"]]
    counts: list[int] = np.atleast_1d(np.asarray(state.get("n_classes_"))).tolist()
    single = np.ndim(state["n_classes_"]) == 0
    if not isinstance(labels, list) or not outputs == len(labels) == len(counts):
        raise StructureError(f"classes_ and n_classes_ do not hold {outputs} outputs.")
    if single != (outputs == 1) or [np.shape(known) for known in labels] != [(n,) for n in counts]:
        raise StructureError(f"classes_ and n_classes_ ({counts}) do not fit {outputs} outputs.")
    if not all(type(n) is int and n > 0 for n in counts):
        raise StructureError(f"n_classes_ is {counts}, which are not numbers of classes.")
    return counts


class _SingleTree:
    """The attribute ``tree_``."""

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the tree's nodes."""
        return trees.encode(path, [value])

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the tree, checked."""
        state = restoring.state
        found = trees.decode(reader, path, state["n_features_in_"], classes_per_output(state))
        if len(found) != 1:
            raise StructureError(f"{path} holds {len(found)} trees instead of one.")
        return found[0]


CLASSES: Final[Mapping[str, Kind]] = {
    "classes_": Classes("_") | ListOf(Classes("_")),
    "n_classes_": Count(1) | Integers("_", minimum=1) | ListOf(Count(1)),
}
"""The classes of a tree or forest, of one output or of several."""

_REGRESSOR: Final = schema(
    {
        "n_features_in_": Size("n"),
        "n_outputs_": Count(1),
        "max_features_": Count(1),
        "tree_": _SingleTree(),
    }
)
_CLASSIFIER: Final = schema(
    {
        "n_features_in_": Size("n"),
        "n_outputs_": Count(1),
        "max_features_": Count(1),
        **CLASSES,
        "tree_": _SingleTree(),
    }
)

SCHEMAS: Final = {
    "tree.DecisionTreeClassifier": _CLASSIFIER,
    "tree.DecisionTreeRegressor": _REGRESSOR,
    "tree.ExtraTreeClassifier": _CLASSIFIER,
    "tree.ExtraTreeRegressor": _REGRESSOR,
}
