"""The processes that train a model together, and what they tell each other.

All of them run the same trainer, each on its share of the rows of every step. Whatever changes what
training does next is a function of what all of them say, so that they decide alike.
"""

from __future__ import annotations

from collections.abc import Sequence


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
