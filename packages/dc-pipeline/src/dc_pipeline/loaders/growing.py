"""An array to which rows are added, without a second copy of all of them at the end."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import DTypeLike

_AHEAD: Final = 32
"""The largest multiple of the rows so far for which memory is reserved."""


class GrowingArray:
    """Rows of a ``dtype``, each a scalar or, with ``width``, ``(width,)``.

    More memory is reserved than is used: the system gives out only what has been written.
    """

    def __init__(self, dtype: DTypeLike, width: int | None = None) -> None:
        self._rows = np.empty((0,) if width is None else (0, width), dtype)
        self._count = 0

    @property
    def array(self) -> np.ndarray:
        """The rows so far, ``(n,)`` or ``(n, width)``; a view."""
        return self._rows[: self._count]

    def extend(self, rows: np.ndarray, expected: int = 0) -> None:
        """Add ``rows`` at the end; ``expected`` is how many there will probably be in total."""
        count = self._count + len(rows)
        if count > len(self._rows):
            size = max(count, 2 * len(self._rows), min(expected, _AHEAD * count))
            larger = np.empty((size, *self._rows.shape[1:]), self._rows.dtype)
            larger[: self._count] = self.array
            self._rows = larger
        self._rows[self._count : count] = rows
        self._count = count
