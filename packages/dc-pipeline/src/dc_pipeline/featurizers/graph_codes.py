"""The codes of atoms and bonds: everything that graph schemes need to know, in one integer each.

An atom is a uint64 and a bond a uint32, divided into fields of bits. The layout is fixed, so that
codes are the same in every shard and data set, and no table goes with them. On disk, where few
different codes occur, ``DatasetWriter(directory, code=["atoms"])`` stores them in two bytes each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np


class Field(NamedTuple):
    """The bits of a code that hold one number, to which ``bias`` is added to be non-negative."""

    shift: int
    bits: int
    bias: int = 0

    @property
    def minimum(self) -> int:
        """The least number that the field can hold."""
        return -self.bias

    @property
    def maximum(self) -> int:
        """The greatest number that the field can hold."""
        return (1 << self.bits) - 1 - self.bias

    def of(self, codes: np.ndarray) -> np.ndarray:
        """Return the field of each of the ``codes``, as int64 of the same shape."""
        found = (codes >> codes.dtype.type(self.shift)) & codes.dtype.type((1 << self.bits) - 1)
        fields: np.ndarray = found.astype(np.int64) - self.bias
        return fields


ATOM_FIELDS: Final[Mapping[str, Field]] = {
    "number": Field(0, 7),
    "isotope": Field(7, 10),
    "charge": Field(17, 6, 32),
    "hydrogens": Field(23, 4),
    "degree": Field(27, 5),
    "hybridization": Field(32, 4),
    "chirality": Field(36, 4),
    "radicals": Field(40, 4),
    "aromatic": Field(44, 1),
    "ring": Field(45, 1),
    "donor": Field(46, 1),
    "acceptor": Field(47, 1),
    "hydrogen_bonding": Field(48, 1),
}
"""The fields of an atom.

``isotope`` is 0 if none is given. ``hydrogens`` are those that are not atoms of the graph, and
``degree`` is the number of neighbours that are. ``hybridization`` and ``chirality`` are the numbers
of RDKit's enumerations. ``hydrogen_bonding`` is 1 if ``donor`` and ``acceptor`` were determined.
"""

BOND_FIELDS: Final[Mapping[str, Field]] = {
    "begin": Field(0, 11),
    "end": Field(11, 11),
    "type": Field(22, 5),
    "stereo": Field(27, 3),
    "conjugated": Field(30, 1),
    "ring": Field(31, 1),
}
"""The fields of a bond: the two atoms that it joins, and RDKit's numbers of its type and stereo."""

LARGEST: Final = BOND_FIELDS["end"].maximum + 1
"""The greatest number of atoms that bonds can refer to."""


def pack(
    fields: Mapping[str, Field], values: Mapping[str, np.ndarray], dtype: Any
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the codes of ``values`` by field, and which of them each field cannot hold.

    Fields that ``values`` lacks are 0. The second result has the fields that cannot hold some of
    their values, and where, ``(n,)`` of bool.
    """
    codes: np.ndarray | None = None
    beyond = {}
    for name, value in values.items():
        field = fields[name]
        wrong = (value < field.minimum) | (value > field.maximum)
        if wrong.any():
            beyond[name] = wrong
        part = (value + field.bias).astype(dtype) << np.dtype(dtype).type(field.shift)
        codes = part if codes is None else codes | part
    assert codes is not None  # noqa: S101 - there are fields
    return codes, beyond
