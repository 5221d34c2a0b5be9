"""Transformers of some columns each: their estimators are stored, their columns are derived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, Final

import numpy as np
from sklearn.base import clone
from sklearn.compose import make_column_selector
from sklearn.preprocessing import FunctionTransformer

from dc_core import charge
from dc_core.errors import NotSerializable, StructureError
from dc_sklearn import values
from dc_sklearn.kinds import DictOf, Flag, Kind, Labels, Size, Sizes
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Restoring, State, Storing, schema
from dc_sklearn.slots import Reader, Slots

_WORDS: Final = ("drop", "passthrough")
_PER_COLUMN: Final = 128
"""How many bytes the lists and sets of indices take per column."""


class _Transformers:
    """The attribute ``transformers_``: (name, estimator, columns), of which estimators are stored.

    An estimator without columns is not fitted, and has no weights. The columns are stored too, at
    ``columns/<i>``, where a selector has chosen them.
    """

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of each transformer."""
        chosen = [callable(columns) for *_, columns in storing.owner.transformers]
        if any(
            callable(columns) and not isinstance(columns, make_column_selector)
            for *_, columns in storing.owner.transformers
        ):
            raise NotSerializable(
                "The columns of a ColumnTransformer are given as a function, which has no stored "
                "form.",
                hint="Give their names or indices, or a make_column_selector.",
            )
        yield f"{path}/list/0", values.count(len(value))
        for i, (name, part, columns) in enumerate(value):
            if i < len(chosen) and chosen[i]:
                yield from values.encode(f"{path}/columns/{i}", np.array(columns))
            yield from Nested(_prototype(name), _WORDS).encode(f"{path}/{i}", part, storing)

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> list[tuple[Any, ...]]:
        """Return the names, estimators and columns, in the order of the parameters.

        The columns of the remainder are None.
        """
        owner, state = restoring.owner, restoring.state
        names = [name for name, *_ in owner.transformers] + ["remainder"]
        length = reader.take_length(f"{path}/list/0")
        if length not in (len(names), len(names) - 1):
            raise StructureError(f"{path!r} holds {length} transformers for {len(names) - 1}.")
        columns = [
            values.decode(reader, f"{path}/columns/{i}").tolist() if callable(given) else given
            for i, (*_, given) in enumerate(owner.transformers)
        ]
        found = []
        for i, (name, given) in enumerate(zip(names, [*columns, None], strict=True)):
            if i == length:  # there is no remainder
                break
            prototype, at = _prototype(name), f"{path}/{i}"
            part = (
                Nested(prototype, _WORDS).decode(reader, at, restoring)
                if reader.holds(at)
                else prototype(owner, state)
            )
            if part is None or (isinstance(part, str) and part != _parameter(owner, name)):
                raise StructureError(f"{path!r} has {part!r} for the transformer {name!r}.")
            found.append((name, part, given))
        return found


class _Slice(Kind):
    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is a slice of step 1 from one count to another."""
        if not isinstance(value, slice) or value.step is not None:
            return False
        whole = all(type(end) is int for end in (value.start, value.stop))
        return whole and 0 <= value.start <= value.stop

    def __str__(self) -> str:
        return "a slice"


def _prototype(name: str) -> Callable[[Any, State], Any]:
    """Return the prototype of the transformer ``name``."""

    def prototype(owner: Any, state: State) -> Any:
        given = _parameter(owner, name)
        if given == "passthrough":
            return FunctionTransformer(
                accept_sparse=True, check_inverse=False, feature_names_out="one-to-one"
            )
        return None if isinstance(given, str) else clone(given)

    return prototype


def _parameter(owner: Any, name: str) -> Any:
    """Return the transformer ``name`` from the parameters."""
    given = {n: part for n, part, *_ in owner.transformers} | {"remainder": owner.remainder}
    return given[name]


def _indices(columns: Any, n: int, names: Sequence[str]) -> list[int]:
    """Return the indices of the columns that ``columns`` selects of ``n``, as ``fit`` does.

    They are given by name, by index, as a mask, or as a slice of names (with the last one) or of
    indices; ``names`` is empty if the columns have none.
    """
    if isinstance(columns, slice):
        if isinstance(columns.start, str) or isinstance(columns.stop, str):
            start = 0 if columns.start is None else names.index(columns.start)
            stop = n if columns.stop is None else names.index(columns.stop) + 1
            return list(range(n))[start:stop]
        return list(range(n))[columns]
    given = np.atleast_1d(np.asarray(columns))
    if given.ndim != 1:
        raise StructureError(f"{columns!r} does not select columns.")
    if not len(given):
        return []
    if given.dtype.kind in "OU":
        return [names.index(name) for name in given.tolist()]
    found: list[int] = np.arange(n)[given].tolist()
    return found


def _rebuild(owner: Any, state: State) -> State:
    """Return what ``fit`` derives from the parameters and the names of the columns.

    scikit-learn selects columns by indices for DataFrames and by the given columns for arrays; both
    have to be the same for what comes after, which may be native code.
    """
    n, names = state["n_features_in_"], list(state.get("feature_names_in_", ()))
    charge(_PER_COLUMN * n, "n_features_in_")
    columns = [given for *_, given in state["transformers_"]][: len(owner.transformers)]
    indices = {
        name: _indices(given, n, names)
        for (name, *_), given in zip(owner.transformers, columns, strict=True)
    }
    shell = copy(owner)
    vars(shell).update(state, _columns=columns, _transformer_to_input_indices=indices)
    shell._validate_remainder(None)
    remainder = shell._remainder
    selected = [*columns, *([remainder[2]] if remainder[2] else [])]
    if len(state["transformers_"]) != len(selected):
        raise StructureError(
            f"transformers_ holds {len(state['transformers_'])} transformers for {len(selected)}."
        )
    gives = any(part != "drop" and indices[name] for name, part, _ in state["transformers_"])
    if gives and not {"output_indices_", "sparse_output_"} <= state.keys():
        raise StructureError("output_indices_ or sparse_output_ is missing.")
    return {
        "_columns": columns,
        "_remainder": remainder,
        "_transformer_to_input_indices": indices,
        "transformers_": [
            (name, part, given)
            for (name, part, _), given in zip(state["transformers_"], selected, strict=True)
        ],
    }


def _check(owner: Any, state: State) -> None:
    """Check that the outputs of the transformers lie side by side, in the transformers' order."""
    if "output_indices_" not in state:  # there is no output
        return
    outputs = state["output_indices_"]
    if set(outputs) != {*(name for name, *_ in owner.transformers), "remainder"}:
        raise StructureError("output_indices_ does not have the names of the transformers.")
    slices = [outputs[name] for name, *_ in state["transformers_"] if outputs[name] != slice(0, 0)]
    starts = [0, *(part.stop for part in slices)]
    if [part.start for part in slices] != starts[:-1]:
        raise StructureError("output_indices_ does not have the outputs side by side.")


SCHEMAS: Final = {
    "compose.ColumnTransformer": schema(
        {
            "n_features_in_": Size("n"),
            "transformers_": _Transformers(),
        },
        {
            "sparse_output_": Flag(),
            "output_indices_": DictOf(_Slice()),
            "_n_features": Size("n"),
            "_feature_names_in": Labels("n"),
            "_transformers_feature_names_out": DictOf(Labels("_")),
        },
        rebuilt="_columns _remainder _transformer_to_input_indices",
        rebuild=_rebuild,
        check=_check,
    ),
}
