"""Several featurizers of molecules at once, for which each molecule is parsed once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dc_core import Column, to_columns
from dc_core.errors import ParameterError
from dc_pipeline.featurizers.base import MoleculeFeaturizer
from dc_pipeline.featurizers.molecules import Level


class _Composite(MoleculeFeaturizer):
    """Molecules are parsed once, at the highest level of all parts, within the limits of all."""

    parts: tuple[MoleculeFeaturizer, ...]

    @property
    def level(self) -> Level:
        """The highest level of all parts."""
        return max(part.level for part in self.parts)

    def _set(self, parts: Iterable[Any]) -> None:
        self.parts = tuple(parts)
        self.max_atoms = min(part.max_atoms for part in self.parts)
        self.batch_size = min(part.batch_size for part in self.parts)


class FeatureColumns(_Composite):
    """Features of several kinds as named columns of X, by ``featurizers``: name → featurizer.

    A featurizer that gives columns with names of its own gives ``name.column`` for each. A molecule
    that fails in one of them fails.

    Raises :class:`ParameterError` unless all are featurizers of molecules, and
    :class:`DatasetError` for names that columns cannot have.
    """

    def __init__(self, featurizers: Mapping[str, MoleculeFeaturizer]) -> None:
        given: Any = featurizers
        if not isinstance(given, Mapping) or not given:
            raise ParameterError(
                f"featurizers={featurizers!r} must be a dict with a featurizer for each column.",
                hint="Give names: FeatureColumns({'ecfp': ECFP(), 'maccs': MACCSKeys()}).",
            )
        for featurizer in featurizers.values():
            _check(featurizer)
        self.featurizers = dict(featurizers)
        self._set(self.featurizers.values())
        to_columns("FeatureColumns", dict.fromkeys(self.featurizers, np.zeros(0)))

    @property
    def bits(self) -> Collection[str]:
        """The names of the columns that hold zeros and ones only."""
        found: list[str] = []
        for name, featurizer in self.featurizers.items():
            bits = featurizer.bits
            if isinstance(bits, bool):
                found += [name] if bits else []
            else:
                found += [f"{name}.{column}" for column in bits]
        return tuple(found)

    def rows(self, molecules: Sequence[Any]) -> dict[str, Column]:
        """Return the columns of each featurizer."""
        found: dict[str, Column] = {}
        for name, featurizer in self.featurizers.items():
            rows = featurizer.rows(molecules)
            if isinstance(rows, Mapping):
                found |= {f"{name}.{column}": values for column, values in rows.items()}
            else:
                found[name] = rows
        return found


class Concatenated(_Composite):
    """Features of several kinds one after another in each row, ``(n, sum of all widths)``.

    The dtype is the one that NumPy promotes those of all ``featurizers`` to. A molecule that fails
    in one of them fails.

    Raises :class:`ParameterError` unless all are featurizers of molecules that give one vector per
    molecule.
    """

    def __init__(self, featurizers: Sequence[MoleculeFeaturizer]) -> None:
        given: Any = featurizers
        if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
            raise ParameterError(f"featurizers={featurizers!r} must be a list of featurizers.")
        self.featurizers: tuple[MoleculeFeaturizer, ...] = tuple(given)
        if not self.featurizers:
            raise ParameterError("There is no featurizer to concatenate.")
        for featurizer in self.featurizers:
            _check(featurizer)
            shape = featurizer.shape
            if not isinstance(shape, tuple) or len(shape) != 1 or shape[0] is None:
                raise ParameterError(
                    f"{featurizer!r} does not give one vector per molecule.",
                    hint="Keep it in a column of its own, with FeatureColumns.",
                )
        self._set(self.featurizers)

    @property
    def bits(self) -> bool:
        """Whether all features are zeros and ones."""
        return all(featurizer.bits is True for featurizer in self.featurizers)

    def rows(self, molecules: Sequence[Any]) -> np.ndarray:
        """Return the rows of all featurizers, one beside another."""
        rows: list[Any] = [featurizer.rows(molecules) for featurizer in self.featurizers]
        return np.concatenate(rows, axis=1)


def _check(featurizer: Any) -> None:
    if not isinstance(featurizer, MoleculeFeaturizer):
        raise ParameterError(
            f"{featurizer!r} is not a featurizer of molecules.", hint="Give one, such as ECFP()."
        )
