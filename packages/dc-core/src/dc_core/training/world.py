"""The processes that train a model together, and what they tell each other.

All of them run the same trainer, each on its share of the rows of every step. Whatever changes what
training does next is a function of what all of them say, so that they decide alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class World:
    """The processes that train together: this one alone. A backend's subclass joins several.

    ``size`` is their number, and ``rank`` this one's, from 0. Rank 0 runs the callbacks.
    """

    rank: int = 0
    size: int = 1

    def gather(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        """Return the values of every rank, in the order of ranks; all give equally many.

        Every rank has to call it, and waits for the others.
        """
        return [tuple(map(float, values))]

    def gather_rows(self, parts: Sequence[np.ndarray], width: int) -> np.ndarray:
        """Return the rows of the ``parts`` of every rank, in the order of ranks.

        Parts are ``(n, width)`` or ``(n, width, depth)``, with any number of rows each; a rank may
        have no part.
        """
        if self.size == 1:
            return np.concatenate(parts)
        own: np.ndarray = np.concatenate(parts) if parts else np.empty((0, width))
        depth = own.shape[2] if own.ndim == 3 else 0
        forms = self.gather((len(own), depth))
        rows, depths = (int(max(each)) for each in zip(*forms, strict=True))
        shape = (width, depths) if depths else (width,)
        padded = np.zeros((rows, *shape))
        padded[: len(own)] = own.reshape(len(own), *shape)
        every = self.gather(padded.ravel().tolist())
        return np.concatenate(
            [
                np.reshape(values, (rows, *shape))[: int(count)]
                for values, (count, _) in zip(every, forms, strict=True)
            ]
        )
