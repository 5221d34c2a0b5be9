"""Published schemes of atom and bond features, computed from codes.

A scheme's features are a function of the code alone, and few different codes occur. So the features
of each code are computed once and kept in a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
from rdkit import Chem

from dc_pipeline.featurizers.graph_codes import ATOM_FIELDS, BOND_FIELDS, Field

_MAX_CODES: Final = 1 << 16
"""Codes kept in a table; if there were more, only those of the last call are kept."""


class CodeTable:
    """The features of codes, computed when a code is first looked up."""

    def __init__(self, compute: Callable[[np.ndarray], np.ndarray], dtype: Any) -> None:
        self._compute = compute
        none = np.zeros(0, dtype)
        self._table = none, compute(none)

    def __call__(self, codes: np.ndarray, repeats: int = 1) -> np.ndarray:
        """Return the features of ``codes``, each ``repeats`` times: ``(n * repeats, columns)``."""
        # The pair is replaced as a whole, so that threads can share the table.
        known, features = self._table
        at = np.searchsorted(known, codes)
        if len(known) == 0 or (known[np.minimum(at, len(known) - 1)] != codes).any():
            needed = np.unique(codes)
            every = np.union1d(known, needed)
            known = every if len(every) <= _MAX_CODES else needed
            features = self._compute(known)
            self._table = known, features
            at = np.searchsorted(known, codes)
        return features[at if repeats == 1 else np.repeat(at, repeats)]


class Scheme(NamedTuple):
    """The features of atoms and bonds; ``atom_needs`` is a field that must be 1 in every atom."""

    atoms: CodeTable
    bonds: CodeTable
    atom_needs: str = ""


@cache
def scheme(name: str) -> Scheme:
    """Return the scheme ``name``, one of :data:`SCHEMES`."""
    atoms, bonds, needs = SCHEMES[name]
    return Scheme(CodeTable(atoms, np.uint64), CodeTable(bonds, np.uint32), needs)


def _numbers(enum: Any, names: str) -> list[int]:
    return [int(getattr(enum, name)) for name in names.split()]


_HYBRIDIZATION: Final = Chem.HybridizationType
_TYPES: Final = _numbers(Chem.BondType, "SINGLE DOUBLE TRIPLE AROMATIC")


def _fields(fields: Mapping[str, Field], codes: np.ndarray) -> Callable[[str], np.ndarray]:
    return lambda name: fields[name].of(codes)


def _index(values: np.ndarray, choices: Sequence[int], other: int | None = None) -> np.ndarray:
    """Return the place of each value among the ``choices``; of others, ``other`` or their number.

    The result is ``(n,)`` of int64.
    """
    found = np.full(len(values), len(choices) if other is None else other)
    for place, choice in enumerate(choices):
        found[values == choice] = place
    return found


def _one_hot(values: np.ndarray, choices: Sequence[int], *, other: bool = True) -> np.ndarray:
    """Return a column for each choice, and with ``other`` one for all other values."""
    columns = np.arange(len(choices) + other)
    hot: np.ndarray = _index(values, choices)[:, None] == columns
    return hot


def _rows(*parts: np.ndarray) -> np.ndarray:
    """Return the parts side by side as float32, those of one dimension as a column."""
    columns = [part if part.ndim == 2 else part[:, None] for part in parts]
    return np.concatenate([column.astype(np.float32) for column in columns], axis=1)


def _deepchem_atoms(codes: np.ndarray) -> np.ndarray:
    of = _fields(ATOM_FIELDS, codes)
    return _rows(
        _one_hot(of("number"), [6, 7, 8, 9, 15, 16, 17, 35, 53]),
        of("charge"),
        _one_hot(of("hybridization"), _numbers(_HYBRIDIZATION, "SP SP2 SP3"), other=False),
        of("donor"),
        of("acceptor"),
        of("aromatic"),
        _one_hot(of("degree") + of("hydrogens"), range(6)),
        _one_hot(of("hydrogens"), range(5)),
    )


def _deepchem_bonds(codes: np.ndarray) -> np.ndarray:
    of = _fields(BOND_FIELDS, codes)
    stereo = _numbers(Chem.BondStereo, "STEREONONE STEREOANY STEREOZ STEREOE")
    return _rows(
        _one_hot(of("type"), _TYPES, other=False),
        of("ring"),
        of("conjugated"),
        _one_hot(of("stereo"), stereo),
    )


def _chemprop_atoms(codes: np.ndarray) -> np.ndarray:
    of = _fields(ATOM_FIELDS, codes)
    return _rows(
        _one_hot(of("number"), [*range(1, 37), 53]),
        _one_hot(of("degree") + of("hydrogens"), range(6)),
        _one_hot(of("charge"), [-1, -2, 1, 2, 0]),
        _one_hot(of("chirality"), range(4)),
        _one_hot(of("hydrogens"), range(5)),
        _one_hot(of("hybridization"), _numbers(_HYBRIDIZATION, "S SP SP2 SP2D SP3 SP3D SP3D2")),
        of("aromatic"),
        0.01 * _masses(of("number"), of("isotope")),
    )


def _masses(numbers: np.ndarray, isotopes: np.ndarray) -> np.ndarray:
    """Return the masses of atoms in daltons, ``(n,)`` of float64."""
    masses = []
    for number, isotope in zip(numbers.tolist(), isotopes.tolist(), strict=True):
        atom = Chem.Atom(number)
        atom.SetIsotope(isotope)
        masses.append(atom.GetMass())
    return np.array(masses, np.float64)


def _chemprop_bonds(codes: np.ndarray) -> np.ndarray:
    of = _fields(BOND_FIELDS, codes)
    return _rows(
        np.zeros(len(codes)),
        _one_hot(of("type"), _TYPES, other=False),
        of("conjugated"),
        of("ring"),
        _one_hot(of("stereo"), range(6)),
    )


def _ogb_atoms(codes: np.ndarray) -> np.ndarray:
    of = _fields(ATOM_FIELDS, codes)
    chirality = _numbers(
        Chem.ChiralType, "CHI_UNSPECIFIED CHI_TETRAHEDRAL_CW CHI_TETRAHEDRAL_CCW CHI_OTHER"
    )
    return _indices(
        _index(of("number"), range(1, 119)),
        _index(of("chirality"), chirality),
        _index(of("degree") + of("hydrogens"), range(11)),
        _index(of("charge"), range(-5, 6)),
        _index(of("hydrogens"), range(9)),
        _index(of("radicals"), range(5)),
        _index(of("hybridization"), _numbers(_HYBRIDIZATION, "SP SP2 SP3 SP3D SP3D2")),
        of("aromatic"),
        of("ring"),
    )


def _ogb_bonds(codes: np.ndarray) -> np.ndarray:
    of = _fields(BOND_FIELDS, codes)
    stereo = _numbers(Chem.BondStereo, "STEREONONE STEREOZ STEREOE STEREOCIS STEREOTRANS STEREOANY")
    any_stereo = len(stereo) - 1
    return _indices(
        _index(of("type"), _TYPES),
        _index(of("stereo"), stereo, other=any_stereo),
        of("conjugated"),
    )


def _indices(*columns: np.ndarray) -> np.ndarray:
    return np.stack(columns, axis=1).astype(np.uint8)


_Compute = Callable[[np.ndarray], np.ndarray]

SCHEMES: Final[Mapping[str, tuple[_Compute, _Compute, str]]] = MappingProxyType(
    {
        "deepchem": (_deepchem_atoms, _deepchem_bonds, "hydrogen_bonding"),
        "chemprop": (_chemprop_atoms, _chemprop_bonds, ""),
        "ogb": (_ogb_atoms, _ogb_bonds, ""),
    }
)
"""The functions of atom and bond codes by the name of the scheme, and the field it needs."""
