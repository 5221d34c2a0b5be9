"""Descriptors of molecules as named numbers, and RDKit's two hundred two-dimensional ones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any, ClassVar, Final, Literal

import numpy as np

from dc_core import check_count, check_names
from dc_core.errors import ParameterError
from dc_pipeline.featurizers.base import MoleculeFeaturizer

_MAX_ATOMS: Final = 200
"""``Ipc`` and ``AvgIpc`` take seconds for chains of 300 atoms."""

_DTYPES: Final = ("float64", "float32")
_SHOWN: Final = 3


class DescriptorFeaturizer(MoleculeFeaturizer):
    """A featurizer of named numbers; a subclass says which a library has, and computes them.

    Features are ``(n, descriptors)`` of ``dtype``. A molecule that lacks a value fails with the
    status ``feature``, unless ``missing="nan"``: then the value is NaN.
    """

    batch_size = 8  # if one molecule fails, those of its batch are computed twice

    library: ClassVar[str]
    """The name of the library, as errors show it."""

    names: tuple[str, ...] | None
    missing: Literal["fail", "nan"]
    dtype: Literal["float64", "float32"]

    def _set_options(
        self,
        names: Sequence[str] | None,
        missing: Literal["fail", "nan"],
        dtype: Literal["float64", "float32"],
        max_atoms: int,
    ) -> None:
        if names is not None:
            check_names("names", names)
            if not names or len(set(names)) < len(names):
                raise ParameterError(f"{names=} must be different names, at least one.")
            known = self.available()
            unknown = [name for name in names if name not in known]
            if unknown:
                raise ParameterError(
                    f"{self.library} has no descriptor {unknown[0]!r}.",
                    hint=f"{type(self).__name__}().columns lists them.",
                )
        if missing not in ("fail", "nan"):
            raise ParameterError(f"{missing=} must be 'fail' or 'nan'.")
        if dtype not in _DTYPES:
            raise ParameterError(f"{dtype=} must be 'float64' or 'float32'.")
        self.names = None if names is None else tuple(names)
        self.missing = missing
        self.dtype = dtype
        self.max_atoms = check_count("max_atoms", max_atoms, minimum=1)

    @abstractmethod
    def available(self) -> Collection[str]:
        """Return the names of all descriptors that the library has, in its order."""

    @abstractmethod
    def compute(self, molecules: Sequence[Any]) -> np.ndarray:
        """Return ``(n, descriptors)`` of float64 for :attr:`columns`; NaN where there is none."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the descriptors, in the order of the features."""
        return tuple(self.available()) if self.names is None else self.names

    def rows(self, molecules: Sequence[Any]) -> np.ndarray:
        """Return the descriptors of each molecule.

        Raises :class:`ValueError` if a molecule lacks one, unless ``missing="nan"``.
        """
        with np.errstate(over="ignore"):
            values = self.compute(molecules).astype(self.dtype, copy=False)
        finite = np.isfinite(values)
        if self.missing == "nan":
            values[~finite] = np.nan
        elif not finite.all():
            lacking = [self.columns[i] for i in np.flatnonzero(~finite.all(axis=0))]
            more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
            raise ValueError(
                f"no value of {', '.join(lacking[:_SHOWN])}{more}; leave them out with names=, or "
                "set missing='nan'"
            )
        return values


class RDKitDescriptors(DescriptorFeaturizer):
    """The descriptors of :mod:`rdkit.Chem.Descriptors`, each as RDKit gives it.

    ``names`` chooses some, and their order; without it they are all that this RDKit has, and other
    versions have more or fewer. :attr:`columns` names them.

    RDKit has no value for some molecules: the partial charges and ``BCUT2D`` descriptors lack
    parameters for most metals, noble gases, selenium and dummy atoms, so that salts have none. Such
    a molecule fails with the status ``feature``, unless ``missing="nan"``: then the value is NaN.
    ``Ipc`` grows exponentially with the molecule and can exceed float32, which counts as missing.

    A molecule of more than ``max_atoms`` atoms fails with the status ``size``.

    Features are ``(n, descriptors)`` of ``dtype``, float64 or float32.

    Raises :class:`ParameterError` for names that RDKit does not have and other impossible settings.
    """

    library = "RDKit"

    def __init__(
        self,
        names: Sequence[str] | None = None,
        *,
        missing: Literal["fail", "nan"] = "fail",
        dtype: Literal["float64", "float32"] = "float64",
        max_atoms: int = _MAX_ATOMS,
    ) -> None:
        self._set_options(names, missing, dtype, max_atoms)

    def available(self) -> Collection[str]:
        """Return the names of all descriptors that this RDKit has."""
        return _functions()

    def compute(self, molecules: Sequence[Any]) -> np.ndarray:
        """Return the descriptors of each molecule, NaN where RDKit has none."""
        functions = [_functions()[name] for name in self.columns]
        values = np.empty((len(molecules), len(functions)), np.float64)
        for row, molecule in zip(values, molecules, strict=True):
            row[:] = [_value(function, molecule) for function in functions]
        return values


@cache
def _functions() -> dict[str, Callable[[Any], float]]:
    from rdkit.Chem import Descriptors

    return dict(Descriptors._descList)


def _value(function: Callable[[Any], float], molecule: Any) -> float:
    """Return the value, or NaN where RDKit has none."""
    try:
        return function(molecule)
    except (ArithmeticError, ValueError, RuntimeError):
        return np.nan
