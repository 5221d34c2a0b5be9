"""Named arrays on their way out of an estimator and back in: slots to write, a reader to read.

Names are relative canonical ones, ``<path>/<i>``: the path of an attribute, then the number of the
array within it. The native name is the path with dots: ``coef_/0`` is ``coef_``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dc_core import WeightInfo, structures
from dc_core.errors import StructureError
from dc_core.structures import native_name


@dataclass(frozen=True, slots=True)
class Slot:
    """One array that an estimator holds, described before it is made.

    ``make`` returns it, C-ordered; ``shared`` says that it may share the estimator's memory.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    make: Callable[[], np.ndarray]
    shared: bool = False

    @classmethod
    def of(cls, array: np.ndarray) -> Slot:
        """Return the slot of an array that the estimator itself holds."""
        return cls(array.shape, array.dtype, lambda: _c_ordered(array), shared=True)

    @classmethod
    def made(cls, array: np.ndarray) -> Slot:
        """Return the slot of an array that was made for it and belongs to nobody else."""
        return cls(array.shape, array.dtype, lambda: array)

    def read(self, copy: bool) -> np.ndarray:
        """Return the array; with ``copy`` it shares no memory with the estimator."""
        array = self.make()
        return array.copy() if copy and self.shared else array


Slots = Iterator[tuple[str, Slot]]
"""Slots by relative name."""


def info(name: str, slot: Slot) -> WeightInfo:
    """Return what the hub and the checks want to know of a slot."""
    return WeightInfo(native_name(name), slot.shape, slot.dtype)


class Reader(structures.Reader):
    """Given arrays by relative name, which are also found by the path above them."""

    def __init__(self, arrays: Mapping[str, np.ndarray], *, copy: bool) -> None:
        super().__init__(arrays, copy=copy)
        self._below: dict[str, set[str]] = {}
        for name in arrays:
            above = ""
            for part in name.split("/")[:-1]:
                self._below.setdefault(above, set()).add(part)
                above = f"{above}/{part}" if above else part
            self._below.setdefault(above, set())

    def holds(self, path: str) -> bool:
        """Tell whether any array lies at or below ``path``."""
        return path in self._below

    def below(self, path: str) -> set[str]:
        """Return the first parts of the paths below ``path``; "" is the estimator itself."""
        return self._below.get(path, set())

    def take_length(self, name: str) -> int:
        """Return the 0-d count ``name``, which is no larger than the number of given arrays."""
        length = int(self.take(name, dtype=np.int64, ndim=0))
        if not 0 <= length <= len(self):
            raise StructureError(f"{name!r} counts {length} items, which were not given.")
        return length


def _c_ordered(array: np.ndarray) -> np.ndarray:
    """Return ``array`` in C order and native bytes; 0-d stays 0-d."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
