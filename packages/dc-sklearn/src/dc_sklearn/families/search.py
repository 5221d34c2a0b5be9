"""Searches for parameters: the best estimator, and the scores of all candidates.

The candidates follow from the parameters of a grid search. Of other searches they are stored: a
value that was chosen from a list as its position in the list, a value that was drawn as itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid
from sklearn.model_selection._search import _yield_masked_array_for_each_param

from dc_core import charge
from dc_core.errors import NotSerializable, StructureError
from dc_sklearn import values
from dc_sklearn.kinds import Count, Floats, Integers, ListOf, Number, Size, Sizes
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Field, Restoring, Schema, State, Storing, schema
from dc_sklearn.slots import Reader, Slots

_PER_CANDIDATE: Final = 256
"""About how many bytes a candidate takes besides its values."""

Candidate = Mapping[str, Any]


def _spaces(owner: Any) -> Sequence[Mapping[str, Any]]:
    """Return the spaces that are searched, each with the choices of each parameter."""
    given = owner.param_grid if hasattr(owner, "param_grid") else owner.param_distributions
    return [given] if isinstance(given, Mapping) else list(given)


def _is_grid(owner: Any) -> bool:
    """Tell whether every candidate of the grid is fitted once, in the order of the grid."""
    return hasattr(owner, "param_grid") and not hasattr(owner, "factor")


def _grid(owner: Any) -> list[Candidate]:
    grid = ParameterGrid(owner.param_grid)
    charge(_PER_CANDIDATE * len(grid), "The candidates of a grid search")
    return list(grid)


def _position(choices: Any, value: Any) -> int | None:
    """Return the position of ``value`` among ``choices``; None if it was drawn."""
    if hasattr(choices, "rvs"):
        return None
    alike = (i for i, choice in enumerate(choices) if choice is value)
    equal = (
        i
        for i, choice in enumerate(choices)
        if type(choice) is type(value) and bool(np.all(choice == value))
    )
    return next((i for found in (alike, equal) for i in found), None)


class _Results:
    """The attribute ``cv_results_``: what was measured of each candidate, and the candidates."""

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the measurements and, unless they follow, of the candidates."""
        owner, candidates = storing.owner, value["params"]
        if not _is_grid(owner):
            yield from self._encode_candidates(path, owner, candidates)
        elif not _same(candidates, _grid(owner)):
            raise NotSerializable(
                f"The candidates of {path!r} are not those of param_grid.",
                hint="Do not change the parameters of an estimator that is fitted.",
            )
        names = sorted(n for n in value if n != "params" and not n.startswith("param_"))
        sizes = {"candidates": len(candidates)}
        for name in names:
            kind = _kind(name)
            if "/" in name or not kind.accepts(value[name], sizes):
                raise NotSerializable(
                    f"The result {name!r} is not {kind}, or cannot name a weight."
                )
            yield from values.encode(f"{path}/measured/{name}", value[name])

    def _encode_candidates(self, path: str, owner: Any, candidates: list[Candidate]) -> Slots:
        spaces = _spaces(owner)
        found = []
        for candidate in candidates:
            for number, space in enumerate(spaces):
                if space.keys() != candidate.keys():
                    continue
                places = {n: _position(space[n], candidate[n]) for n in sorted(space)}
                if all(
                    place is not None or hasattr(space[n], "rvs") for n, place in places.items()
                ):
                    found.append((number, places, candidate))
                    break
            else:
                raise NotSerializable(
                    f"A candidate of {path!r} is none of param_distributions: {candidate!r}.",
                    hint="Do not change the parameters of an estimator that is fitted.",
                )
        yield from values.encode(f"{path}/space", np.array([n for n, *_ in found], np.int64))
        drawn = [
            candidate[n] if place is None else place
            for _, places, candidate in found
            for n, place in places.items()
        ]
        yield from values.encode(f"{path}/chosen", drawn)

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> dict[str, Any]:
        """Return the results, with the candidates in scikit-learn's own form."""
        owner = restoring.owner
        candidates = (
            _grid(owner) if _is_grid(owner) else self._decode_candidates(reader, path, owner)
        )
        if not candidates:
            raise StructureError(f"{path!r} holds no candidate.")
        sizes: Sizes = {"candidates": len(candidates)}
        results: dict[str, Any] = {}
        for name in sorted(reader.below(f"{path}/measured")):
            value = values.decode(reader, f"{path}/measured/{name}")
            if not _kind(name).accepts(value, sizes):
                raise StructureError(f"{path}/measured/{name} is not {_kind(name)}.")
            results[name] = value
        return {
            **results,
            **dict(_yield_masked_array_for_each_param(candidates)),
            "params": candidates,
        }

    def _decode_candidates(self, reader: Reader, path: str, owner: Any) -> list[Candidate]:
        spaces = _spaces(owner)
        numbers = values.decode(reader, f"{path}/space")
        if not Integers("_", 0, len(spaces) - 1).accepts(numbers, {}):
            raise StructureError(f"{path}/space names a space that is not searched.")
        chosen = values.decode(reader, f"{path}/chosen")
        if type(chosen) is not list or len(chosen) != sum(len(spaces[n]) for n in numbers.tolist()):
            raise StructureError(f"{path}/chosen does not hold a value for each parameter.")
        charge(_PER_CANDIDATE * len(numbers), "The candidates of a search")
        remaining = iter(chosen)
        found: list[Candidate] = []
        for number in numbers.tolist():
            space = spaces[number]
            values_of = {n: _chosen(path, space[n], next(remaining)) for n in sorted(space)}
            found.append({n: values_of[n] for n in space})
        return found


def _chosen(path: str, choices: Any, value: Any) -> Any:
    """Return the choice at the position ``value``, or the value if it was drawn."""
    if hasattr(choices, "rvs"):
        if not Number().accepts(value, {}):
            raise StructureError(f"{path}/chosen has {value!r}, which is not a number.")
        return value
    if not Count(0, len(choices) - 1).accepts(value, {}):
        raise StructureError(f"{path}/chosen has {value!r}, which is not a position of a choice.")
    return choices[value]


def _kind(name: str) -> Any:
    """Return the kind of the result ``name``: one number for each candidate."""
    counted = name.startswith("rank_") or name in ("iter", "n_resources")
    return Integers("candidates", minimum=0) if counted else Floats("candidates")


def _same(some: list[Candidate], others: list[Candidate]) -> bool:
    """Tell whether two lists hold the same candidates, with the same or equal values."""
    return len(some) == len(others) and all(
        a.keys() == b.keys() and all(_position([b[n]], a[n]) is not None for n in a)
        for a, b in zip(some, others, strict=True)
    )


def _best(owner: Any, state: State) -> Any:
    """Return the estimator with the parameters of the best candidate, as ``fit`` makes it."""
    if not owner.refit:
        return None
    return clone(owner.estimator).set_params(**clone(_best_params(state), safe=False))


def _best_params(state: State) -> Candidate:
    candidates: list[Candidate] = state["cv_results_"]["params"]
    best = state.get("best_index_")
    if best is None or not 0 <= best < len(candidates):
        raise StructureError(f"best_index_ is {best!r}; there are {len(candidates)} candidates.")
    return candidates[best]


def _rebuild(owner: Any, state: State) -> State:
    """Return the scorers, and what ``fit`` derives from the results and the best candidate."""
    scorers, _ = owner._get_scorers()
    several = owner.scoring is not None and not isinstance(owner.scoring, str)
    found: State = {
        "scorer_": scorers._scorers if several else scorers,
        "multimetric_": several,
    }
    if "best_index_" in state:
        metric = owner.refit if several else "score"
        found["best_params_"] = _best_params(state)
        found["best_score_"] = state["cv_results_"][f"mean_test_{metric}"][state["best_index_"]]
    return found


def _check(owner: Any, state: State) -> None:
    """Check that there is a best estimator if the parameter ``refit`` asks for one."""
    if bool(owner.refit) != ("best_estimator_" in state):
        raise StructureError("best_estimator_ and the parameter refit do not fit together.")


_REQUIRED: Final[Mapping[str, Field]] = {"cv_results_": _Results(), "n_splits_": Count(1)}
_BEST: Final[Mapping[str, Field]] = {
    "best_index_": Count(),
    "best_estimator_": Nested(_best),
    "refit_time_": Number(minimum=0),
    "n_features_in_": Size("n"),
}
_HALVING: Final[Mapping[str, Field]] = {
    "min_resources_": Count(1),
    "max_resources_": Count(1),
    "n_iterations_": Count(1),
    "n_possible_iterations_": Count(1),
    "n_required_iterations_": Count(1),
    "n_remaining_candidates_": Count(1),
    "n_candidates_": ListOf(Count(1)),
    "n_resources_": ListOf(Count(1)),
}


def _search(required: Mapping[str, Field] | None = None) -> Schema:
    return schema(
        {**_REQUIRED, **(required or {})},
        _BEST,
        training="_checked_cv_orig _n_samples_orig",
        rebuilt="scorer_ multimetric_ best_params_ best_score_",
        rebuild=_rebuild,
        check=_check,
    )


_SEARCH: Final = _search()
_HALVED: Final = _search(_HALVING)

SCHEMAS: Final = {
    "model_selection.GridSearchCV": _SEARCH,
    "model_selection.RandomizedSearchCV": _SEARCH,
    # They can be imported from model_selection itself only after they were enabled.
    "model_selection._search_successive_halving.HalvingGridSearchCV": _HALVED,
    "model_selection._search_successive_halving.HalvingRandomSearchCV": _HALVED,
}
