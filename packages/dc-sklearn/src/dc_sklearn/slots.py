"""Named arrays on their way out of an estimator and back in: slots to write, a reader to read.

Names are relative canonical ones, ``<path>/<i>``: the path of an attribute, then the number of the
array within it. The native name is the path with dots: ``coef_/0`` is ``coef_``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dc_core import WeightInfo
from dc_core.errors import StructureError, UnknownWeight, WeightsMismatch


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


def native_name(name: str) -> str:
    """Return the native name of a relative one: ``scaler/mean_/0`` → ``scaler.mean_``."""
    return name.removesuffix("/0").replace("/", ".")


def info(name: str, slot: Slot) -> WeightInfo:
    """Return what the hub and the checks want to know of a slot."""
    return WeightInfo(native_name(name), slot.shape, slot.dtype)


class Reader:
    """Given arrays by relative name; it remembers which were read, so that none is ignored."""

    def __init__(self, arrays: Mapping[str, np.ndarray], *, copy: bool) -> None:
        self._arrays = arrays
        self._copy = copy
        self._unread = set(arrays)
        self._below: dict[str, set[str]] = {}
        for name in arrays:
            above = ""
            for part in name.split("/")[:-1]:
                self._below.setdefault(above, set()).add(part)
                above = f"{above}/{part}" if above else part
            self._below.setdefault(above, set())

    def __len__(self) -> int:
        """Return how many arrays were given."""
        return len(self._arrays)

    def holds(self, path: str) -> bool:
        """Tell whether any array lies at or below ``path``."""
        return path in self._below

    def below(self, path: str) -> set[str]:
        """Return the first parts of the paths below ``path``; "" is the estimator itself."""
        return self._below.get(path, set())

    def take(
        self, name: str, *, dtype: Any = None, ndim: int | None = None, keep: bool = False
    ) -> np.ndarray:
        """Return the array ``name``, of exactly this ``dtype`` and ``ndim`` where they are given.

        Without ``dtype``, any dtype in the machine's byte order will do.
        With ``keep`` the estimator will keep it, so it is copied unless sharing was allowed.
        Raises :class:`WeightsMismatch` where it is missing or of another kind.
        """
        array = self._arrays.get(name)
        if array is None:
            raise incomplete(name)
        if not isinstance(array, np.ndarray):
            raise WeightsMismatch(
                f"The weight {name!r} was given as {type(array).__name__}, not as a NumPy array."
            )
        self._unread.discard(name)
        wanted = array.dtype.newbyteorder("=") if dtype is None else np.dtype(dtype)
        if array.dtype != wanted:
            raise WeightsMismatch(f"The weight {name!r} has dtype {array.dtype}, not {wanted}.")
        if ndim is not None and array.ndim != ndim:
            raise WeightsMismatch(
                f"The weight {name!r} has shape {array.shape}; it needs {ndim} axes."
            )
        usable = array.flags.c_contiguous and array.flags.aligned
        return np.array(array, order="C") if not usable or (keep and self._copy) else array

    def take_text(self, name: str) -> str:
        """Return the UTF-8 bytes ``name`` as a string."""
        try:
            return self.take(name, dtype=np.uint8, ndim=1).tobytes().decode()
        except UnicodeDecodeError as error:
            raise StructureError(f"The weight {name!r} is not UTF-8 text: {error}.") from error

    def take_length(self, name: str) -> int:
        """Return the 0-d count ``name``, which is no larger than the number of given arrays."""
        length = int(self.take(name, dtype=np.int64, ndim=0))
        if not 0 <= length <= len(self._arrays):
            raise StructureError(f"{name!r} counts {length} items, which were not given.")
        return length

    def finish(self) -> None:
        """Raise :class:`UnknownWeight` if an array was given that nothing asked for."""
        if self._unread:
            unknown = sorted(self._unread)
            raise UnknownWeight(
                f"The estimator has no weight {unknown[0]!r}.",
                hint="The weights are of another class, or of other parameters.",
                unexpected=unknown,
            )


def incomplete(name: str) -> WeightsMismatch:
    """Return the error for a weight that is missing from what has to be a complete state."""
    return WeightsMismatch(
        f"The weight {name!r} is missing.",
        hint="An estimator that is not fitted takes the complete fitted state.",
        missing=[name],
    )


def _c_ordered(array: np.ndarray) -> np.ndarray:
    """Return ``array`` in C order and native bytes; 0-d stays 0-d."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
