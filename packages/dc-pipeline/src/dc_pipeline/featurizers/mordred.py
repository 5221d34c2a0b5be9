"""Mordred's descriptors: some sixteen hundred two-dimensional properties of a molecule."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, Final, Literal

import numpy as np

from dc_core.errors import ParameterError
from dc_pipeline.featurizers.descriptors import DescriptorFeaturizer

_MAX_ATOMS: Final = 200
"""The time for some descriptors grows with the cube of the number of atoms."""


class MordredDescriptors(DescriptorFeaturizer):
    """Mordred's two-dimensional descriptors, each as the library gives it.

    They are described by Moriwaki et al. (2018, doi:10.1186/s13321-018-0258-y).

    ``names`` chooses some, and their order, such as ``["nAtom", "SLogP", "ATSC1Z"]``; without it
    they are all. :attr:`columns` names them. Most molecules lack some, which are NaN, unless
    ``missing="fail"``: then such a molecule fails with the status ``feature``. A molecule of more
    than ``max_atoms`` atoms fails with the status ``size``.

    Features are ``(n, descriptors)`` of ``dtype``, float64 or float32; what is true or false is 1
    or 0.

    Needs the community's version of Mordred: ``pip install "dc-pipeline[mordred]"``.

    Raises :class:`ParameterError` if it is not installed, for names that it does not have, and for
    other impossible settings.
    """

    requires = ("rdkit", "mordredcommunity")
    library = "Mordred"

    def __init__(
        self,
        names: Sequence[str] | None = None,
        *,
        missing: Literal["fail", "nan"] = "nan",
        dtype: Literal["float64", "float32"] = "float64",
        max_atoms: int = _MAX_ATOMS,
    ) -> None:
        _descriptors()
        self._set_options(names, missing, dtype, max_atoms)

    def available(self) -> Collection[str]:
        """Return the names of all two-dimensional descriptors."""
        return _descriptors()

    def compute(self, molecules: Sequence[Any]) -> np.ndarray:
        """Return the descriptors of each molecule, NaN where Mordred has none."""
        calculator = _calculator(self.columns)
        values = np.empty((len(molecules), len(self.columns)), np.float64)
        with np.errstate(all="ignore"):
            for row, molecule in zip(values, molecules, strict=True):
                row[:] = [_value(value) for value in calculator(molecule)]
        return values


def _value(value: Any) -> float:
    """Return a value as a number; Mordred's objects for missing ones have none."""
    return float(value) if isinstance(value, int | float | np.number | np.bool_) else np.nan


@cache
def _descriptors() -> dict[str, Any]:
    """Return Mordred's two-dimensional descriptors by name, in its order."""
    calculator, descriptors = _library()
    return {str(one): one for one in calculator(descriptors, ignore_3D=True).descriptors}


@cache
def _calculator(names: tuple[str, ...]) -> Any:
    """Return a calculator of the descriptors ``names``."""
    calculator, _ = _library()
    known = _descriptors()
    return calculator([known[name] for name in names], ignore_3D=True)


def _library() -> tuple[Any, Any]:
    """Return Mordred's class of calculators and its module of descriptors."""
    try:
        from mordred import Calculator, descriptors
    except ImportError as error:
        raise ParameterError(
            "MordredDescriptors needs mordredcommunity, which is not installed.",
            hint='pip install "dc-pipeline[mordred]"',
        ) from error
    return Calculator, descriptors
