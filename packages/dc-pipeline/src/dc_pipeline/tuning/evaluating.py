"""Evaluate one trial, in a worker."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from dc_core import Dataset, Estimator, Featurizer, Metric, NumpyDataset, engines, take_rows
from dc_core.errors import EmptyDataset
from dc_pipeline.errors import PipelineError
from dc_pipeline.inputs import as_sequence
from dc_pipeline.pipeline import Pipeline
from dc_pipeline.training_rows import evaluate
from dc_pipeline.tuning.candidates import Candidates, build
from dc_pipeline.tuning.pruning import EpochReports, Pruned, Reporter

Rows = tuple[np.ndarray, np.ndarray]
"""The row numbers of train and test."""


@dataclass(frozen=True)
class Evaluation:
    """Builds the estimator of a trial, fits it and scores it.

    It is fitted to ``dataset`` and scored on ``valid``; or fitted and scored on each of ``folds``
    of the dataset. ``valid`` is passed to the model's ``fit`` in both cases. ``identity`` says what
    all this is.
    """

    identity: str
    candidates: Candidates
    dataset: Dataset
    valid: Dataset | None
    folds: Sequence[Rows] | None
    metric: Metric
    pruner: Any
    journal: Path

    def __call__(self, trial: Mapping[str, Any]) -> dict[str, Any]:
        """Evaluate the trial of these ``number`` and ``parameters`` and return the outcome.

        ``known`` is how many trials were finished when it was proposed.
        """
        begun = time.perf_counter()
        estimator = build(self.candidates, trial["parameters"])
        reporter = None
        if self.pruner is not None:
            reporter = Reporter(
                trial["number"],
                trial["known"],
                self.journal,
                self.pruner,
                greater_is_better=self.metric.greater_is_better,
            )
        scores: list[float] = []
        status = "ok"
        try:
            for score in self._scores(estimator, reporter):
                scores.append(score)
                if reporter is not None and self.folds is not None:
                    reporter(math.fsum(scores) / len(scores), len(scores))
                engines.alive()
        except Pruned:
            status = "pruned"
        return {
            "status": status,
            "scores": scores,
            "seconds": round(time.perf_counter() - begun, 6),
            "reports": [[*item] for item in reporter.reports.items()] if reporter else [],
            "notes": dict(reporter.notes) if reporter else {},
        }

    def _scores(self, estimator: Estimator, reporter: Reporter | None) -> Iterator[float]:
        """Yield the score on the validation rows, or on each fold."""
        estimator, dataset, valid, folds = featurized(
            estimator, self.dataset, self.valid, self.folds
        )
        if folds is None:
            if valid is None:
                raise PipelineError("There are no validation rows.")
            options = self._epochs_reported(estimator, reporter)
            yield self._score(estimator, dataset, valid, valid, options)
            return
        for train, test in folds:
            yield self._score(estimator, dataset.select(train), valid, dataset.select(test), {})

    def _epochs_reported(self, estimator: Estimator, reporter: Reporter | None) -> dict[str, Any]:
        """Return the options with which ``fit`` reports its epochs, none if it has no such."""
        model = estimator.model if isinstance(estimator, Pipeline) else estimator
        if reporter is None or "callbacks" not in signature(model.fit).parameters:
            return {}
        better = self.metric.greater_is_better
        return {"callbacks": [EpochReports(reporter, greater_is_better=better)]}

    def _score(
        self,
        estimator: Estimator,
        train: Dataset,
        valid: Dataset | None,
        test: Dataset,
        options: Mapping[str, Any],
    ) -> float:
        fitted = estimator.unfitted().fit(train, valid=valid, **options)
        scores = evaluate(fitted, test, [self.metric], allow_train=True)
        score = float(scores[self.metric.name])
        if not math.isfinite(score):
            raise PipelineError(
                f"The {self.metric.name} is {score} on {len(test)} rows.",
                hint="The metric is undefined there, or a prediction is not finite.",
            )
        return score


def featurized(
    estimator: Estimator,
    dataset: Dataset,
    valid: Dataset | None,
    folds: Sequence[Rows] | None,
) -> tuple[Estimator, Dataset, Dataset | None, Sequence[Rows] | None]:
    """Return a pipeline without its featurizer, and the rows with its features as X.

    Rows that cannot be featurized are left out, as in :meth:`Pipeline.fit`. An estimator that has
    no featurizer is returned as it is.
    """
    if not isinstance(estimator, Pipeline):
        return estimator, dataset, valid, folds
    if estimator.featurizer is None:
        return without_featurizer(estimator), dataset, valid, folds
    rows, ok = _features(estimator.featurizer, dataset)
    if valid is not None:
        valid, _ = _features(estimator.featurizer, valid)
    return without_featurizer(estimator), rows, valid, among(folds, ok)


def without_featurizer(pipeline: Pipeline) -> Pipeline:
    """Return the pipeline of the same model and transformers that takes features.

    It remembers no rows: molecules of equal features are not the same row, and data sets repeat
    some.
    """
    return Pipeline(pipeline.model, None, pipeline.transformers, remember_rows=False)


def among(folds: Sequence[Rows] | None, ok: np.ndarray) -> Sequence[Rows] | None:
    """Return the folds of the rows that are ``ok``, numbered among themselves."""
    if folds is None or ok.all():
        return folds
    numbers = np.cumsum(ok) - 1
    return [tuple(numbers[rows[ok[rows]]] for rows in fold) for fold in folds]


def _features(featurizer: Featurizer[Any], dataset: Dataset) -> tuple[Dataset, np.ndarray]:
    """Return the rows that can be featurized, with features as X, and which they are."""
    features = featurizer.featurize(as_sequence(dataset))
    ok = features.ok
    if not ok.any():
        raise EmptyDataset(f"No row can be featurized: {features.failures}.")
    rows = dataset if ok.all() else dataset.select(ok)
    X = features.values if ok.all() else take_rows(features.values, ok)
    return NumpyDataset(X, rows.y, rows.w, rows.ids, rows.tasks, rows.classes), ok
