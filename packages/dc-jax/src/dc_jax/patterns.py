"""Weights by patterns of their native names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from dc_core.errors import ParameterError
from dc_jax.structure import Weight


def matching(weights: Sequence[Weight], pattern: str) -> list[str]:
    """Return the native names of the weights that have a name which matches ``pattern``.

    Raises :class:`ParameterError` if there is none.
    """
    found = [
        weight.native
        for weight in weights
        if any(fnmatchcase(name, pattern) for name in (weight.native, *weight.aliases))
    ]
    if not found:
        names = [weight.native for weight in weights]
        nearest = get_close_matches(pattern, names, n=1, cutoff=0.0)
        guess = f", such as {nearest[0]!r}" if nearest else ""
        raise ParameterError(
            f"The module has no weight with a name like {pattern!r}.",
            hint=f"The names are the native ones of weight_table(){guess}.",
        )
    return found


def factors_of(weights: Sequence[Weight], factors: Mapping[str, float]) -> dict[str, float]:
    """Return the factor of each weight that matches a pattern: of several, the first counts."""
    found: dict[str, float] = {}
    for pattern, factor in factors.items():
        for name in matching(weights, pattern):
            found.setdefault(name, float(factor))
    return found
