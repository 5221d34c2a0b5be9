"""Restore a model from its record and its arrays, which may be in files or in memory.

Loading restores what it has read, and publishing what it is about to write, so both agree on what
loads. Names, shapes and dtypes are compared with the model's before anything is allocated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from dc_core import Component, Estimator, WeightHolder, WeightInfo, check_names, check_weights
from dc_hub.conversion import with_path
from dc_hub.errors import BackendNotInstalled, ParamsError, UnknownClass, WeightsMismatch
from dc_hub.format.filenames import PARAMS
from dc_hub.format.record import Record, StoredWeight
from dc_hub.loading.building import build_model
from dc_hub.loading.matching import Names, match, probable_renames
from dc_hub.loading.missing import with_all_missing

M = TypeVar("M", bound=Component)


@dataclass(frozen=True, slots=True)
class Stored:
    """The stored parts of a model.

    ``place`` names it in errors: a model directory, or the model that is being published.
    ``weights`` maps the names in the file to arrays.
    """

    place: str
    record: Record
    weights: Mapping[str, np.ndarray]

    @property
    def by_name(self) -> dict[str, StoredWeight]:
        """The stored weights by relative name: without the first part, the model's own name."""
        return {name.partition("/")[2]: weight for name, weight in self.record.weights.items()}

    def check_agreement(self) -> None:
        """Raise unless the arrays are exactly those that the record names: none is ever dropped."""
        canonical, by_name = self.record.weights, self.by_name
        owners = {name.partition("/")[0] for name in canonical}
        if len(owners) > 1 or not all(by_name):
            raise ParamsError(
                f"The weights belong to more than one model: {', '.join(sorted(canonical))}.",
                path=f"{self.place}/{PARAMS}",
                hint="The file was edited: download or publish the model again.",
            )
        named = {weight.native for weight in canonical.values()}
        missing = sorted(named.difference(self.weights))
        others = set(self.weights) - named
        surplus = sorted(others.difference(_referred(self.record.params)) if others else ())
        if missing or surplus:
            what = (
                f"lacks the array {missing[0]!r}, which {PARAMS} names"
                if missing
                else f"has an array {surplus[0]!r}, which {PARAMS} does not name"
            )
            raise WeightsMismatch(
                f"{self.place} {what}.",
                path=self.place,
                hint="The files belong to different models: download or publish the model again.",
                missing=missing,
                unexpected=surplus,
            )


def restore(stored: Stored, cls: type[M], allow_missing: Collection[str] = ()) -> M:
    """Build the model that ``stored`` describes, which must be a ``cls``, and give it its weights.

    It may keep the arrays themselves. Raises what :func:`build_model` raises, and
    :class:`WeightsMismatch` or :class:`StructureError`.
    """
    path = f"{stored.place}/{PARAMS}"
    try:
        built = build_model(stored.record, stored.weights, cls, path)
    except (BackendNotInstalled, UnknownClass) as error:
        raise with_all_missing(error, stored.record, path) from error
    if allow_missing:
        # A skeleton tells what does not fit before the weights that stay are allocated.
        compare(stored, built.model, allow_missing, built.renamed)
        built = build_model(stored.record, stored.weights, cls, path, initialise=True)
    assign(stored, built.model, allow_missing, built.renamed)
    return built.model


def assign(
    stored: Stored, holder: WeightHolder, allow_missing: Collection[str], renamed: Mapping[str, str]
) -> Any:
    """Compare the stored weights with those of ``holder``, hand the arrays over, return the object.

    An estimator gets the names of its classes too. ``renamed`` maps stored relative names to the
    holder's.
    """
    arrays, allowed = compare(stored, holder, allow_missing, renamed)
    with with_path(stored.place):
        loaded = holder.import_weights(arrays, allowed, copy=False)
        # Weights that are kept may be those of classes, so without new names the old ones stay.
        if isinstance(loaded, Estimator) and (stored.record.classes or not allow_missing):
            loaded.set_classes(stored.record.classes)
        return loaded


def compare(
    stored: Stored, holder: WeightHolder, allow_missing: Collection[str], renamed: Mapping[str, str]
) -> tuple[dict[str, np.ndarray], set[str]]:
    """Return the arrays for ``holder``, and the names of weights that may be missing.

    Both by the holder's relative names. Raises :class:`WeightsMismatch` if the arrays do not fit.
    """
    with with_path("allow_missing"):
        check_names("allow_missing", allow_missing)
    with with_path(stored.place):
        table = holder.describe_weights()
    weights, allowed = stored.by_name, set[str]()
    if allow_missing or renamed:
        ours = names_of(table)
        allowed = {ours.get(name) for name in allow_missing}
        renamed = {old: ours.get(new) for old, new in renamed.items()}
    found, unmatched = match(weights, table, renamed)
    arrays = {new: stored.weights[weights[old].native] for new, old in found.items()}
    missing = [name for name in table if name not in arrays and name not in allowed]
    if missing or unmatched:
        surplus = [found[name] for name in arrays if name not in table] if table else []
        unexpected = [weights[name].native or name for name in (*unmatched, *surplus)]
        raise WeightsMismatch(
            "Weights of the model that are not stored: "
            f"{_listed(table[name].native or name for name in missing)}. "
            f"Stored weights that the model does not have: {_listed(unexpected)}.",
            path=stored.place,
            hint=_advice(probable_renames(weights, unmatched, table, missing)),
            missing=missing,
            unexpected=unexpected,
        )
    with with_path(stored.place):
        known = {name: array for name, array in arrays.items() if name in table}
        check_weights(table, known, allowed)
    return arrays, allowed


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _advice(renames: Mapping[str, str]) -> str:
    if not renames:
        return "Check that it is the right model; load_weights() takes rename= and allow_missing=."
    shown = ", ".join(f"{old!r}: {new!r}" for old, new in renames.items())
    return (
        "Weights are never matched by position. If they were only renamed, load them with "
        f"load_weights(..., rename={{{shown}}})."
    )


def names_of(weights: Mapping[str, StoredWeight] | Mapping[str, WeightInfo]) -> Names:
    """Return the names of stored weights, or of those of a holder's table, by relative name."""
    return Names.of({name: (w.native, *w.aliases) for name, w in weights.items()})


def _referred(value: Any) -> Iterator[str]:
    """Yield the names of the arrays that stored arguments refer to."""
    items = value.values() if isinstance(value, dict) else value
    for item in items if isinstance(value, dict | list) else ():
        yield from _referred(item)
    if isinstance(value, dict) and isinstance(value.get("$array"), str):
        yield value["$array"]
