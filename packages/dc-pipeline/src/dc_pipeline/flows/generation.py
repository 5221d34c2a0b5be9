"""Generate, score, retrain: a generator of molecules climbs towards high scores.

It is the hill climbing of Segler and others 2018 (doi:10.1021/acscentsci.7b00512) as in the
GuacaMol benchmark (Brown and others 2019, doi:10.1021/acs.jcim.8b00839): a round samples molecules,
scores those that are new, and trains the generator further on the best of all so far.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from rdkit import Chem

from dc_core import (
    Dataset,
    Estimator,
    Generator,
    NumpyDataset,
    check_count,
    check_flag,
    dtypes,
    explained,
    uninterrupted,
)
from dc_core.errors import DatasetError, EmptyDataset, ParameterError, RunMismatch
from dc_pipeline.featurizers.molecules import parse_smiles
from dc_pipeline.flows.generation_rounds import RoundDirectory
from dc_pipeline.inputs import as_sequence

logger = logging.getLogger(__name__)

Score = Callable[[list[str]], Any]
"""Maps SMILES to a score for each: higher is better, and NaN and infinity do not count."""

_QUANTILES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_KINDS: Final = {"int": int, "float": float, "tuple[float, ...]": list}
"""The types of a round's fields as JSON has them."""

_PARSED_TOGETHER: Final = 1024
_SHOWING: Final = ("callbacks", "progress")
"""Options that only report progress."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a :class:`HillClimbing`.

    Of ``sampled`` texts, ``valid`` were SMILES of molecules, ``unique`` of these different
    molecules, and ``novel`` of these neither in the reference nor found in an earlier round.
    ``mean`` and ``quantiles`` (minimum, quartiles and maximum) are of the scores of the unique
    molecules, NaN if none has one; ``kept`` is the mean score of the best molecules of all rounds,
    on which the generator was trained.
    """

    number: int
    sampled: int
    valid: int
    unique: int
    novel: int
    mean: float
    quantiles: tuple[float, ...]
    kept: float

    @property
    def validity(self) -> float:
        """The share of texts that are molecules."""
        return self.valid / self.sampled

    @property
    def uniqueness(self) -> float:
        """The share of different molecules among the valid ones."""
        return self.unique / self.valid if self.valid else np.nan

    @property
    def novelty(self) -> float:
        """The share of novel molecules among the unique ones."""
        return self.novel / self.unique if self.unique else np.nan

    def __str__(self) -> str:
        """Show the shares and scores."""
        return (
            f"round {self.number}: {self.validity:.0%} valid, {self.uniqueness:.0%} unique, "
            f"{self.novelty:.0%} novel; mean score {self.mean:.3g}, median "
            f"{self.quantiles[2]:.3g}, maximum {self.quantiles[-1]:.3g}, kept {self.kept:.3g}"
        )


class HillClimbing:
    """Rounds of sampling, scoring and retraining, which raise the scores of generated rows.

    ``generator`` samples SMILES, such as a fitted :class:`GeneratorPipeline`; it is trained
    further, so that after each round it is the generator of that round. ``score`` is a function
    that maps a list of canonical SMILES to one number each, or an estimator of one task, such as a
    :class:`Pipeline`, whose prediction counts. Higher is better, and NaN does not count: a function
    can return it for molecules outside its domain. Infinite scores count as NaN. Each molecule is
    scored once.

    A round samples ``samples`` molecules and trains the generator on the ``keep`` best of all
    rounds; ``retrain=False`` only samples, for comparison. ``training`` are options of the
    generator's ``fit``, such as ``{"epochs": 2}``, and ``sampling`` of its ``sample``. Molecules of
    ``reference``, such as the training data, do not count as novel.

    A round counts whole or not at all: if it is interrupted or fails, the generator has its former
    weights. With a ``directory``, an equal object in another process continues after the last
    round that was complete, and gives the same results as without the interruption. ``seed`` is
    that of the samples.

    Raises :class:`ParameterError` for settings that cannot be used, and :class:`RunMismatch` if the
    directory has rounds of other settings or another generator.
    """

    @explained
    def __init__(
        self,
        generator: Generator,
        score: Score | Estimator,
        *,
        samples: int = 1024,
        keep: int = 256,
        retrain: bool = True,
        training: Mapping[str, Any] | None = None,
        sampling: Mapping[str, Any] | None = None,
        reference: Sequence[str] | Dataset = (),
        seed: int = 0,
        directory: str | Path | None = None,
    ) -> None:
        if not isinstance(generator, Generator):
            raise ParameterError(
                f"generator must be a dc_core.Generator, not of type {type(generator).__name__}."
            )
        if not callable(score) and not isinstance(score, Estimator):
            raise ParameterError(
                f"score={score!r} is neither a function nor an estimator.",
                hint="Give a function of a list of SMILES that returns a number for each.",
            )
        self.generator = generator
        self.samples = check_count("samples", samples, minimum=1)
        self.keep = check_count("keep", keep, minimum=1)
        self.retrain = check_flag("retrain", retrain)
        self.training = dict(training or {})
        self.sampling = dict(sampling or {})
        self.seed = check_count("seed", seed, minimum=0)
        self.score = score
        self._reference = frozenset(canonical_smiles(as_sequence(reference))) - {""}
        self._rounds: list[Round] = []
        self._scores: dict[str, float] = {}
        self._directory = None if directory is None else RoundDirectory(Path(directory))
        self._restore()

    @property
    def history(self) -> tuple[Round, ...]:
        """The rounds so far."""
        return tuple(self._rounds)

    @property
    def molecules(self) -> NumpyDataset:
        """All molecules so far, the best first: X are SMILES, and the task is ``score``.

        Those whose score is NaN are the last.
        """
        scores = np.array(list(self._scores.values()), np.float64)
        order = np.argsort(-scores, kind="stable")
        smiles = np.array(list(self._scores), dtypes.TEXT)
        return NumpyDataset(smiles[order], scores[order], tasks=["score"])

    def run(
        self, rounds: int, *, on_round: Callable[[Round], object] | None = None
    ) -> tuple[Round, ...]:
        """Go on until there are ``rounds`` rounds, and return all of them.

        ``on_round`` is called after each, with the :class:`Round`: ``on_round=print`` shows it.

        Raises :class:`DatasetError` if ``score`` does not return a number for each molecule,
        :class:`EmptyDataset` if no molecule of any round so far has a score, and what the
        generator and ``score`` raise.
        """
        check_count("rounds", rounds, minimum=0)
        while len(self._rounds) < rounds:
            number, before = len(self._rounds) + 1, self.generator.get_weights()
            try:
                done, found = self._round(number)
                with uninterrupted():
                    if self._directory is not None:
                        weights = self.generator.get_weights()
                        self._directory.add(number, asdict(done), found, weights)
                    self._rounds.append(done)
                    self._scores |= found
            except BaseException:  # Ctrl-C too
                if len(self._rounds) < number:
                    self.generator.set_weights(before)
                raise
            logger.info("%s", done)
            if on_round is not None:
                on_round(done)
        return self.history

    def _round(self, number: int) -> tuple[Round, dict[str, float]]:
        """Sample, score and retrain; return the record and the scores of new molecules."""
        sequence = np.random.SeedSequence([self.seed, number])
        seed = int(sequence.generate_state(1, np.uint32)[0])
        samples = self.generator.sample(self.samples, seed, **self.sampling)
        valid = [text for text in canonical_smiles(as_sequence(samples)) if text]
        unique = list(dict.fromkeys(valid))
        new = [smiles for smiles in unique if smiles not in self._scores]
        found = dict(zip(new, self._scored(new).tolist(), strict=True))
        known = self._scores | found
        best = sorted(
            (smiles for smiles in known if not np.isnan(known[smiles])),
            key=lambda smiles: -known[smiles],
        )[: self.keep]
        if not best:
            raise EmptyDataset(
                f"Of {len(samples)} samples {len(unique)} were different molecules, and no "
                "molecule has a score.",
                hint="Train the generator for longer, or look at what the score returns.",
            )
        if self.retrain:
            self.generator.fit(_dataset(best), **self.training)
        scores = np.array([known[smiles] for smiles in unique], np.float64)
        scores = scores[~np.isnan(scores)]
        quantiles = np.quantile(scores, _QUANTILES) if scores.size else np.full(5, np.nan)
        done = Round(
            number=number,
            sampled=len(samples),
            valid=len(valid),
            unique=len(unique),
            novel=len([smiles for smiles in new if smiles not in self._reference]),
            mean=float(scores.mean()) if scores.size else np.nan,
            quantiles=tuple(quantiles.tolist()),
            kept=float(np.mean([known[smiles] for smiles in best])),
        )
        return done, found

    def _scored(self, smiles: list[str]) -> np.ndarray:
        """Return the scores of ``smiles``, ``(n,)``."""
        if not smiles:
            return np.zeros(0)
        given = np.asarray(
            self.score.predict(_dataset(smiles))
            if isinstance(self.score, Estimator)
            else self.score(smiles)
        )
        scores = given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given
        if scores.shape != (len(smiles),) or scores.dtype.kind not in "biuf":
            raise DatasetError(
                f"For {len(smiles)} molecules the score returned {given.dtype} of shape "
                f"{given.shape}.",
                hint="It must return one number for each, NaN for those that do not count.",
            )
        found = scores.astype(np.float64)
        return np.where(np.isfinite(found), found, np.nan)

    def _settings(self) -> dict[str, Any]:
        """Return the settings that two objects must share to continue each other's rounds."""
        reference = hashlib.sha256("\n".join(sorted(self._reference)).encode()).hexdigest()
        return {
            "generator": self.generator.call_text(),
            "samples": self.samples,
            "keep": self.keep,
            "retrain": self.retrain,
            "training": _text(self.training),
            "sampling": _text(self.sampling),
            "reference": reference,
            "seed": self.seed,
        }

    def _restore(self) -> None:
        """Read the rounds that the directory has, and give the generator its last weights."""
        if self._directory is None:
            return
        stored = self._directory.open(self._settings(), self.generator.get_weights())
        for number, (record, scores) in enumerate(stored, start=1):
            self._rounds.append(_round_of(record, number))
            self._scores |= scores
        if stored:
            self.generator.set_weights(self._directory.weights(self.generator.weight_table()))


def _dataset(smiles: Sequence[str]) -> NumpyDataset:
    return NumpyDataset(np.array(smiles, dtypes.TEXT))


def _text(options: Mapping[str, Any]) -> str:
    """Return the options that results depend on."""
    kept = {name: value for name, value in options.items() if name not in _SHOWING}
    return repr(sorted(kept.items()))


def _round_of(record: Mapping[str, Any], number: int) -> Round:
    """Return the round of a stored record; raises :class:`RunMismatch` if it is none."""
    kinds = {field.name: _KINDS[str(field.type)] for field in fields(Round)}
    quantiles = record.get("quantiles")
    if (
        record.keys() != kinds.keys()
        or not all(type(record[name]) is kind for name, kind in kinds.items())
        or not isinstance(quantiles, list)
        or [type(value) for value in quantiles] != [float] * len(_QUANTILES)
        or record["number"] != number
    ):
        raise RunMismatch(
            f"The record of round {number} is damaged.", hint="Choose another directory."
        )
    return Round(**{**record, "quantiles": tuple(quantiles)})


def canonical_smiles(smiles: Iterable[Any]) -> list[str]:
    """Return RDKit's canonical SMILES of each molecule, an empty text for what is none."""
    texts = list(smiles)
    found: list[str] = []
    for first in range(0, len(texts), _PARSED_TOGETHER):
        parsed = parse_smiles(texts[first : first + _PARSED_TOGETHER])
        found += ["" if each is None else Chem.MolToSmiles(each) for each in parsed.molecules]
    return found
