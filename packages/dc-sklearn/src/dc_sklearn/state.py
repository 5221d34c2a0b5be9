"""An estimator's fitted state as named arrays: describe it, export it, give it to another.

One walk over the attributes, led by the class's schema, serves all three.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import numpy as np
from scipy import sparse

from dc_core import WeightInfo, check_weights, uninterrupted
from dc_core.errors import DCError, NotSerializable, StructureError
from dc_core.structures import incomplete
from dc_sklearn import values
from dc_sklearn.estimators import constructed, schema_of
from dc_sklearn.kinds import Labels, Record, Word
from dc_sklearn.schema import Field, Restoring, Schema, State, Storing
from dc_sklearn.slots import Reader, Slots, info

_DEEPEST: Final = 32
_COUNT: Final = "attributes"
"""How many attributes an estimator stores, so that none that may be absent is missing unnoticed."""
COMMON: Final[Mapping[str, Field]] = {
    "feature_names_in_": Labels("n"),
    "_sklearn_output_config": Record({"transform": Word(("default", "pandas", "polars"))}),
}
"""What any estimator may have: the names of columns, and where ``set_output`` keeps its choice."""


def describe(estimator: Any) -> dict[str, WeightInfo]:
    """Describe every array of the fitted state by its relative name; {} before ``fit``.

    Raises :class:`NotSerializable` where an attribute has no stored form, naming it.
    """
    return {name: info(name, slot) for name, slot in slots(estimator)}


def export(
    estimator: Any, names: Collection[str] | None = None, *, copy: bool = True
) -> dict[str, np.ndarray]:
    """Return the arrays in ``names``, or all; without ``copy`` they may share memory."""
    return {
        name: slot.read(copy) for name, slot in slots(estimator) if names is None or name in names
    }


def restore(
    estimator: Any,
    arrays: Mapping[str, np.ndarray],
    allow_missing: Collection[str] = (),
    *,
    copy: bool = True,
) -> None:
    """Give ``estimator`` this state, all or nothing.

    A fitted estimator takes arrays of its present names, shapes and dtypes; one that is not fitted
    takes a complete state, or nothing. Raises :class:`WeightsMismatch` and :class:`StructureError`
    with the estimator untouched.
    """
    table = describe(estimator)
    if table:
        check_weights(table, arrays, allow_missing)
        arrays = {**export(estimator, table.keys() - arrays.keys(), copy=False), **arrays}
    elif not arrays:
        return
    reader = Reader(arrays, copy=copy)
    commits: list[tuple[Any, State]] = []
    try:
        nested(estimator, reader, "", commits)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, DCError):
            raise
        # A value of a kind that the class never has there; every check may stumble over one.
        raise StructureError(
            f"These weights are not those of a {type(estimator).__name__}: "
            f"{type(error).__name__}: {error}.",
            hint="They are damaged, or of another class.",
        ) from error
    reader.finish()
    with uninterrupted():
        for target, state in commits:
            vars(target).update(state)


def slots(estimator: Any, path: str = "") -> Slots:
    """Yield the slots of the fitted state, named below ``path``."""
    schema = schema_of(estimator)
    for name, part in schema.parts(estimator).items():
        yield from slots(part, _join(path, name))
    storing = Storing(estimator, slots)
    fitted = list(_fitted(estimator, schema))
    if fitted:
        yield f"{_join(path, _COUNT)}/0", values.count(len(fitted))
    for name, value, field in fitted:
        yield from field.encode(_join(path, name), value, storing)


def nested(estimator: Any, reader: Reader, path: str, commits: list[tuple[Any, State]]) -> State:
    """Read and check the state below ``path`` that ``estimator`` is to have, and return it.

    What is to be set is added to ``commits``.
    """
    if path.count("/") > _DEEPEST:
        raise StructureError(f"{path!r} is nested more than {_DEEPEST} deep.")
    schema = schema_of(estimator)
    parts = schema.parts(estimator)
    for name, part in parts.items():
        nested(part, reader, _join(path, name), commits)
    given = {name: part for name, part in parts.items() if reader.holds(_join(path, name))}
    if adopted := schema.adopt(estimator, given):
        commits.append((estimator, adopted))
    own = reader.below(path) - parts.keys()
    if not own and not schema.required:
        return {}
    state: State = {}
    restoring = Restoring(estimator, state, commits, nested)
    for name, field in _fields(schema).items():
        if name in own:
            state[name] = field.decode(reader, _join(path, name), restoring)
        elif name in schema.required:
            raise incomplete(f"{_join(path, name)}/0")
    counted = f"{_join(path, _COUNT)}/0"
    if int(reader.take(counted, dtype=np.int64, ndim=0)) != len(state):
        raise incomplete(f"{_join(path, '…')}/0")
    for name, holder in schema.mirrored.items():
        inner = next((given for target, given in commits if target is state[holder]), {})
        if name in state and not _same(inner.get(name), state[name]):
            raise StructureError(f"{_join(path, name)!r} is not that of {_join(path, holder)!r}.")
    schema.check(estimator, state)
    for name, value in schema.derived.items():
        state[name] = value(estimator, state)
    state |= schema.rebuild(estimator, state)
    commits.append((estimator, state))
    return state


def _fitted(estimator: Any, schema: Schema) -> Iterator[tuple[str, Any, Field]]:
    """Yield the fitted attributes that are stored, with their fields, in the schema's order."""
    present, fields = vars(estimator), _fields(schema)
    unstored = schema.training | schema.rebuilt | schema.derived.keys() | constructed(estimator)
    for name in sorted(present.keys() - fields.keys() - unstored):
        raise NotSerializable(
            f"{type(estimator).__name__} has an attribute {name!r} that is not known here.",
            hint="It was set by the caller or by another version of scikit-learn; "
            "remove it, or upgrade dc-sklearn.",
        )
    if any(name in present for name in schema.required or fields):
        _check_derived(estimator, schema)
        for name, field in fields.items():
            if name in present:
                yield name, present[name], field


def _check_derived(estimator: Any, schema: Schema) -> None:
    """Check that no derived attribute was changed after fitting: the change would get lost."""
    present = vars(estimator)
    for name, value in schema.derived.items():
        if name in present and not _same(present[name], value(estimator, present)):
            raise NotSerializable(
                f"{type(estimator).__name__} has an attribute {name!r} that does not follow from "
                "its others, as it does after fitting.",
                hint="Change the attributes that it is computed from.",
            )


def _same(a: Any, b: Any) -> bool:
    """Tell whether two attributes, arrays or sparse matrices or lists of arrays, are equal."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if sparse.issparse(a) and sparse.issparse(b):
        return bool(a.shape == b.shape and (a != b).nnz == 0)
    return np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f")


def _fields(schema: Schema) -> dict[str, Field]:
    return {**schema.required, **schema.optional, **COMMON}


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
