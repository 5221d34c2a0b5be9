"""Which rows to ask next: the acquisition functions of active learning.

Scores are of normal distributions of mean μ and deviation σ, oriented so that more is better: where
labels are to be minimized, the learner has changed the sign of μ and of the best label.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.special import ndtr

from dc_core import Component, Dataset, Featurizer, check_count
from dc_core.errors import ParameterError
from dc_pipeline.flows.farthest import farthest_first
from dc_pipeline.splitters.fingerprints import check_featurizer

_ROOT: Final = float(np.sqrt(2 * np.pi))


@dataclass(frozen=True)
class Candidates:
    """The rows of a ``pool`` to choose from: those with the ``numbers``, ``(n,)``.

    ``labelled`` are the rows that have a label, and ``best`` is the best label of them. ``mean``
    and ``std`` are ``(n,)``, what the model predicts; 0 if the acquisition does not need it.
    """

    pool: Dataset
    numbers: np.ndarray
    labelled: Dataset
    best: float
    mean: np.ndarray
    std: np.ndarray

    @property
    def rows(self) -> Dataset:
        """The candidates as a dataset."""
        return self.pool.select(self.numbers)

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.numbers)


class Acquisition(Component, ABC):
    """A rule that chooses rows."""

    needs_prediction: bool = True
    """Whether it needs the model's predictions."""

    needs_deviation: bool = True
    """Whether it needs the predicted standard deviations too."""

    takes_probabilities: bool = False
    """Whether it also works with a classifier of two classes: μ is p, and σ is √(p (1 - p))."""

    @abstractmethod
    def choose(self, candidates: Candidates, k: int, rng: np.random.Generator) -> np.ndarray:
        """Return the positions of ``k`` candidates, the best first; fewer if there are fewer."""


class Score(Acquisition):
    """An acquisition that takes the candidates of the highest scores."""

    @abstractmethod
    def scores(self, mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
        """Return the score of each candidate, ``(n,)``."""

    def choose(self, candidates: Candidates, k: int, rng: np.random.Generator) -> np.ndarray:
        """Return the positions of the ``k`` highest scores; ties are broken at random."""
        scores = self.scores(candidates.mean, candidates.std, candidates.best)
        return highest(scores, k, rng)


class Greedy(Score):
    """The highest means μ: greedy acquisition."""

    needs_deviation = False
    takes_probabilities = True

    def scores(self, mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
        """Return μ."""
        return mean


class UCB(Score):
    """The highest upper confidence bounds, μ + β σ (Srinivas et al. 2010, arXiv:0912.3995).

    Their β is the square of this one, and grows with the rounds. ``beta`` 0 is greedy.

    Raises :class:`ParameterError` unless ``beta`` is a number of at least 0.
    """

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = _not_negative("beta", beta)

    def scores(self, mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
        """Return μ + β σ."""
        return mean + self.beta * std


class ExpectedImprovement(Score):
    """The highest expected improvement on the best label.

    With Jones et al. 1998 (doi:10.1023/A:1008306431147) it is
    ``E[max(f - best - ξ, 0)] = d Φ(d / σ) + σ φ(d / σ)`` with ``d = μ - best - ξ``,
    and ``max(d, 0)`` where σ is 0. A positive ``xi``, in the units of the labels, explores more.

    Raises :class:`ParameterError` unless ``xi`` is a number of at least 0.
    """

    def __init__(self, xi: float = 0.0) -> None:
        self.xi = _not_negative("xi", xi)

    def scores(self, mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
        """Return the expected improvement."""
        gain = mean - best - self.xi
        with np.errstate(over="ignore"):  # infinitely many deviations from the best
            z = np.divide(gain, std, out=np.zeros_like(gain), where=std > 0)
            expected = gain * ndtr(z) + std * np.exp(-np.square(z) / 2) / _ROOT
        # Far below the best the two terms cancel to rounding, which must not rank anything.
        return np.where(std > 0, np.maximum(expected, 0), np.maximum(gain, 0))


class UncertaintySampling(Score):
    """The highest deviations σ (uncertainty sampling; Lewis and Gale 1994, arXiv:cmp-lg/9407020).

    It serves to make the model better, and not to find good rows.
    """

    takes_probabilities = True

    def scores(self, mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
        """Return σ."""
        return std


class ThompsonSampling(Acquisition):
    """The best of a sample, so that each row is chosen as often as it is likely to be the best.

    For each row of a batch every candidate's value is drawn from its own normal distribution, and
    the highest is taken that is not taken already (Thompson 1933, doi:10.1093/biomet/25.3-4.285; in
    parallel, Hernández-Lobato et al. 2017, arXiv:1706.01825). What is known of correlations between
    candidates is not used.
    """

    def choose(self, candidates: Candidates, k: int, rng: np.random.Generator) -> np.ndarray:
        """Return the positions of the best of ``k`` samples."""
        usable = np.flatnonzero(np.isfinite(candidates.mean))
        mean, std = candidates.mean[usable], candidates.std[usable]
        chosen: list[int] = []
        free = np.ones(len(usable), bool)
        for _ in range(min(k, len(usable))):
            drawn = np.where(free, rng.normal(mean, std), -np.inf)
            at = int(drawn.argmax())
            free[at] = False
            chosen.append(int(usable[at]))
        return np.array(chosen, np.intp)


class RandomSampling(Acquisition):
    """Rows at random: the baseline of the others."""

    needs_prediction = False
    needs_deviation = False

    def choose(self, candidates: Candidates, k: int, rng: np.random.Generator) -> np.ndarray:
        """Return ``k`` random positions."""
        return rng.permutation(len(candidates))[:k]


class DiversitySampling(Acquisition):
    """The rows that are farthest from all that have a label, and from each other.

    That is a farthest-first traversal (Gonzalez 1985, doi:10.1016/0304-3975(85)90224-5), which for
    molecules is MaxMin picking (Ashton et al. 2002, doi:10.1002/qsar.200290002).

    The distance is one minus the Tanimoto similarity if X is text, such as SMILES (by the
    ``featurizer``, ECFP4 of 2 048 bits by default), or a table of 0 and 1; and else the Euclidean
    distance of the features. A SMILES that does not parse is never chosen.
    """

    needs_prediction = False
    needs_deviation = False

    def __init__(self, featurizer: Featurizer[str] | None = None) -> None:
        self.featurizer = check_featurizer(featurizer)

    def choose(self, candidates: Candidates, k: int, rng: np.random.Generator) -> np.ndarray:
        """Return the positions of ``k`` rows, the farthest first."""
        return farthest_first(candidates.rows, candidates.labelled, k, self.featurizer, rng)


class DiverseBatch(Acquisition):
    """Of the ``factor`` times as many rows that ``acquisition`` likes best, the most diverse.

    The best is taken, and then always the one that is farthest from those taken, as in
    :class:`DiversitySampling`. So a batch does not consist of rows that would all teach the same.

    Raises :class:`ParameterError` for anything but an acquisition, and unless ``factor`` is an
    integer of at least 1.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        factor: int = 5,
        featurizer: Featurizer[str] | None = None,
    ) -> None:
        self.acquisition = check_acquisition(acquisition)
        self.needs_prediction = acquisition.needs_prediction
        self.needs_deviation = acquisition.needs_deviation
        self.takes_probabilities = acquisition.takes_probabilities
        self.factor = check_count("factor", factor, minimum=1)
        self.featurizer = check_featurizer(featurizer)

    def choose(self, candidates: Candidates, k: int, rng: np.random.Generator) -> np.ndarray:
        """Return the positions of ``k`` rows, the best first."""
        best = self.acquisition.choose(candidates, k * self.factor, rng)
        if len(best) <= k:
            return best
        pool, numbers = candidates.pool, candidates.numbers
        first, others = best[:1], best[1:]
        rows, chosen = pool.select(numbers[others]), pool.select(numbers[first])
        found = farthest_first(rows, chosen, k - 1, self.featurizer, rng)
        return np.concatenate([first, others[found]])


def check_acquisition(acquisition: Any) -> Acquisition:
    """Return an acquisition; raises :class:`ParameterError` for anything else."""
    if isinstance(acquisition, type) and issubclass(acquisition, Acquisition):
        raise ParameterError(
            f"{acquisition.__name__} is a class.", hint=f"Make one: {acquisition.__name__}()."
        )
    if not isinstance(acquisition, Acquisition):
        raise ParameterError(
            f"acquisition must be an acquisition, not a {type(acquisition).__name__}.",
            hint="Give one such as Greedy(), UCB() or ExpectedImprovement().",
        )
    return acquisition


def highest(scores: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return the positions of the ``k`` highest scores, ties at random; NaN is never among them."""
    usable = np.flatnonzero(~np.isnan(scores))
    order = rng.permutation(usable)
    return order[np.argsort(-scores[order], kind="stable")][:k]


def _not_negative(name: str, value: Any) -> float:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not 0 <= value < np.inf:
        raise ParameterError(f"{name}={value!r} must be a number of at least 0.")
    return float(value)
