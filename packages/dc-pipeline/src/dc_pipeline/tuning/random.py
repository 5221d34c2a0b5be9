"""Try random parameters."""

from __future__ import annotations

import numpy as np

from dc_core import check_count
from dc_pipeline.tuning.candidates import Candidates, propose
from dc_pipeline.tuning.tuner import Rounds, Tuner


class RandomTuner(Tuner):
    """Tries random parameters, each drawn from its domain.

    Trial i depends on ``seed`` and i alone, so that a tuning with more ``trials`` has those of one
    with fewer.

    Raises :class:`ParameterError` unless ``trials`` is at least 1 and ``seed`` at least 0.
    """

    def __init__(self, trials: int = 50, *, seed: int = 0) -> None:
        self.trials = check_count("trials", trials, minimum=1)
        self.seed = check_count("seed", seed, minimum=0)

    def rounds(self, candidates: Candidates, *, greater_is_better: bool) -> Rounds:
        """Yield all trials in one round."""
        generators = (np.random.default_rng([self.seed, i]) for i in range(self.trials or 0))
        yield [
            propose(candidates, lambda _, domain, rng=rng: domain.draw(rng))  # type: ignore[misc]
            for rng in generators
        ]
