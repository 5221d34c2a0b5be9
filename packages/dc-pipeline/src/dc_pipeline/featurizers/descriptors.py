"""RDKit's two-dimensional descriptors: some two hundred properties of a molecule as numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, Literal

import numpy as np

from dc_core import check_count, check_names
from dc_core.errors import ParameterError
from dc_pipeline.featurizers.base import MoleculeFeaturizer

_MAX_ATOMS: Final = 200
"""``Ipc`` and ``AvgIpc`` take seconds for chains of 300 atoms."""

_DTYPES: Final = ("float64", "float32")
_SHOWN: Final = 3


class RDKitDescriptors(MoleculeFeaturizer):
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

    batch_size = 8  # if one molecule fails, those of its batch are computed twice

    def __init__(
        self,
        names: Sequence[str] | None = None,
        *,
        missing: Literal["fail", "nan"] = "fail",
        dtype: Literal["float64", "float32"] = "float64",
        max_atoms: int = _MAX_ATOMS,
    ) -> None:
        if names is not None:
            check_names("names", names)
            if not names or len(set(names)) < len(names):
                raise ParameterError(f"{names=} must be different names, at least one.")
            unknown = [name for name in names if name not in _functions()]
            if unknown:
                raise ParameterError(
                    f"RDKit has no descriptor {unknown[0]!r}.",
                    hint="RDKitDescriptors().columns lists them.",
                )
        if missing not in ("fail", "nan"):
            raise ParameterError(f"{missing=} must be 'fail' or 'nan'.")
        if dtype not in _DTYPES:
            raise ParameterError(f"{dtype=} must be 'float64' or 'float32'.")
        self.names = None if names is None else tuple(names)
        self.missing = missing
        self.dtype = dtype
        self.max_atoms = check_count("max_atoms", max_atoms, minimum=1)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the descriptors, in the order of the features."""
        return tuple(_functions()) if self.names is None else self.names

    def rows(self, molecules: Sequence[Any]) -> np.ndarray:
        """Return the descriptors of each molecule.

        Raises :class:`ValueError` if a molecule lacks one, unless ``missing="nan"``.
        """
        columns = self.columns
        functions = [_functions()[name] for name in columns]
        values = np.empty((len(molecules), len(functions)), np.float64)
        for row, molecule in zip(values, molecules, strict=True):
            row[:] = [_value(function, molecule) for function in functions]
        with np.errstate(over="ignore"):
            values = values.astype(self.dtype, copy=False)
        finite = np.isfinite(values)
        if self.missing == "nan":
            values[~finite] = np.nan
        elif not finite.all():
            lacking = [columns[i] for i in np.flatnonzero(~finite.all(axis=0))]
            more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
            raise ValueError(
                f"no value of {', '.join(lacking[:_SHOWN])}{more}; leave them out with names=, or "
                "set missing='nan'"
            )
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
