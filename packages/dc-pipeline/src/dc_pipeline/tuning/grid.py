"""Try every combination."""

from __future__ import annotations

import math
from itertools import product
from typing import Final

from dc_core.errors import ParameterError
from dc_pipeline.tuning.candidates import Candidates, Template, propose
from dc_pipeline.tuning.tuner import Rounds, Tuner

_MOST: Final = 10**6


class GridTuner(Tuner):
    """Tries every combination of the values in a space, the last parameter's values fastest.

    The domains are :class:`Choice` or :class:`Integer`. A function that builds estimators has no
    grid.
    """

    def rounds(self, candidates: Candidates, *, greater_is_better: bool) -> Rounds:
        """Yield all combinations in one round.

        Raises :class:`ParameterError` if they cannot be listed, or are more than a million.
        """
        if not isinstance(candidates, Template):
            raise ParameterError(
                "The parameters that a function asks for are not known before.",
                hint="Give a pipeline and its space, or use RandomTuner or OptunaTuner.",
            )
        listed = [domain.labels() for domain in candidates.space.values()]
        count = math.prod(map(len, listed))
        if count > _MOST:
            raise ParameterError(
                f"The grid has {count} combinations.",
                hint="Use RandomTuner or OptunaTuner, or fewer values.",
            )
        grid = product(*listed)
        combinations = [dict(zip(candidates.space, labels, strict=True)) for labels in grid]
        yield [propose(candidates, lambda name, _, c=c: c[name]) for c in combinations]  # type: ignore[misc]
