"""Cross-validation of a model: scores of each fold, and a prediction for every row tested."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dc_core import (
    Dataset,
    Estimator,
    Metric,
    check_count,
    check_dataset,
    check_metrics,
    html_table,
    make_table,
    score_all,
)
from dc_core.errors import EmptyDataset, ParameterError
from dc_pipeline.benchmarks.statistics import mean_interval
from dc_pipeline.flows.fitting import Fit, Fitted, fit_models, load_fitted, working_directory
from dc_pipeline.flows.seeding import reseeded
from dc_pipeline.metrics.checks import positive
from dc_pipeline.metrics.intervals import Interval
from dc_pipeline.splitters.kfold import CrossValidation, KFold
from dc_pipeline.splitters.random import RandomSplitter

if TYPE_CHECKING:
    from dc_pipeline.flows.ensembles import Ensemble

logger = logging.getLogger(__name__)

_SHOWN: Final = 60


@dataclass(frozen=True)
class FoldResult:
    """The outcome of one fold: ``train`` and ``test`` are row numbers of the dataset.

    ``status`` is ``ok``, or ``error``, ``crash`` or ``timeout``, with the reason in ``message``.
    ``model`` is the fold's fitted model, if it was kept.
    """

    train: np.ndarray
    test: np.ndarray
    scores: Mapping[str, float]
    status: str = "ok"
    message: str = ""
    model: Estimator | None = field(default=None, repr=False)


@dataclass(frozen=True, repr=False)
class CrossValidationResult:
    """The folds of a cross-validation, and the out-of-fold ``prediction``.

    ``prediction`` is ``(n, tasks)``, or ``(n, tasks, classes)`` of probabilities: that of each row
    by the model of the fold that tested it, NaN for rows that were not tested or could not be
    featurized. It can be scored as a whole: ``score_intervals(metrics, dataset, prediction)``.
    """

    folds: tuple[FoldResult, ...]
    prediction: np.ndarray

    @property
    def failures(self) -> tuple[FoldResult, ...]:
        """The folds that failed."""
        return tuple(fold for fold in self.folds if fold.status != "ok")

    @property
    def models(self) -> tuple[Estimator, ...]:
        """The fitted models of the folds, if they were kept."""
        return tuple(fold.model for fold in self.folds if fold.model is not None)

    def scores(self, *, level: float = 0.95) -> dict[str, Interval]:
        """Return each score's mean over the folds, with its confidence interval.

        Folds in which a score is undefined, or which failed, are left out and counted. The interval
        is that of the corrected resampled t-test, because the folds' training rows overlap: the
        variance of the scores times ``1/k + test/train``, with ``k - 1`` degrees of freedom
        (Nadeau and Bengio 2003, doi:10.1023/A:1024068626366). With one fold the bounds are NaN.

        Raises :class:`ParameterError` unless ``level`` is a number between 0 and 1.
        """
        level = positive("level", level, 1)
        if level == 1:
            raise ParameterError("level=1 has no bounds.", hint="Choose one such as 0.95.")
        done = [fold for fold in self.folds if fold.status == "ok"]
        names = dict.fromkeys(name for fold in done for name in fold.scores)
        return {name: self._interval(name, done, level) for name in names}

    def _interval(self, name: str, done: Sequence[FoldResult], level: float) -> Interval:
        scores = [fold.scores.get(name, np.nan) for fold in done]
        defined = np.isfinite(scores)
        ratios = [len(fold.test) / len(fold.train) for fold in done]
        ratio = float(np.mean(np.array(ratios)[defined])) if defined.any() else 0.0
        # Failed folds have no score either, and are counted as undefined.
        values = np.full(len(self.folds), np.nan)
        values[: len(done)] = np.where(defined, scores, np.nan)
        return mean_interval(values, level, ratio)

    def ensemble(self) -> Ensemble:
        """Return the models of the folds as one :class:`Ensemble`.

        Raises :class:`ParameterError` if the models were not kept.
        """
        from dc_pipeline.flows.ensembles import Ensemble

        if not self.models:
            raise ParameterError(
                "There are no models of the folds.",
                hint="Keep them: cross_validate(..., keep_models=True)."
                if not self.failures
                else f"They failed: {self.failures[0].message}",
            )
        return Ensemble(self.models)

    def to_dataframe(self, backend: str | None = None) -> Any:
        """Return a DataFrame of the folds: fold, train, test, the scores, status and message.

        ``backend`` is as in :meth:`dc_core.Dataset.to_dataframe`.
        """
        columns = zip(*self._rows(), strict=True)
        return make_table(dict(zip(self._names(), map(list, columns), strict=True)), backend)

    def __repr__(self) -> str:
        """Show the number of folds, the mean scores with their intervals, and the failures."""
        parts = [f"{len(self.folds)} folds"]
        parts += [f"{name}={interval}" for name, interval in self.scores().items()]
        if self.failures:
            reason = self.failures[0].message[:_SHOWN]
            parts.append(f"{len(self.failures)} failed: {reason}")
        return f"CrossValidationResult({', '.join(parts)})"

    def _repr_html_(self) -> str:
        """Show the folds as a table, in notebooks."""
        return html_table(repr(self), tuple(self._names()), self._rows())

    def _names(self) -> list[str]:
        scores = dict.fromkeys(name for fold in self.folds for name in fold.scores)
        return ["fold", "train", "test", *scores, "status", "message"]

    def _rows(self) -> list[tuple[Any, ...]]:
        names = self._names()[3:-2]
        return [
            (
                number,
                len(fold.train),
                len(fold.test),
                *(fold.scores.get(name, np.nan) for name in names),
                fold.status,
                fold.message,
            )
            for number, fold in enumerate(self.folds)
        ]


def cross_validate(
    model: Estimator,
    dataset: Dataset,
    cross_validation: CrossValidation | None = None,
    metrics: Iterable[Metric] = (),
    *,
    seed: int | None = None,
    keep_models: bool = False,
    engine: Any = "serial",
    directory: Any = None,
    retries: int = 1,
    timeout: float | None = None,
    progress: Any = None,
) -> CrossValidationResult:
    """Fit ``model`` anew for each fold of ``dataset``, and test it on the rows left out.

    ``cross_validation`` is one such as ``KFold(ScaffoldSplitter(), 5)``; by default five random
    folds. The given model stays as it is: every fold begins with ``model.unfitted()``, and a
    pipeline fits its transformers to the fold's training rows alone. With a ``seed`` the fold
    models get different random seeds, drawn from it; without one they keep the model's own.

    A fold that fails is in the result, with the reason, and the others are done.

    Args:
        model: Any estimator, such as a :class:`Pipeline`.
        dataset: The rows.
        cross_validation: The folds; see :class:`KFold` and :class:`LeaveGroupOut`.
        metrics: What to score each fold by.
        seed: Where the seeds of the fold models come from.
        keep_models: Whether to return the fitted models; it needs dc-hub, which stores them.
        engine: Where the folds are fitted, as in :func:`dc_core.engines.run`.
        directory: Where the results are kept, failures too, so that the same call continues after
            an interruption; nowhere by default.
        retries: As in :func:`dc_core.engines.run`.
        timeout: The time for a fold, in seconds.
        progress: As in :func:`dc_core.engines.run`.

    Raises :class:`ParameterError` for anything but an estimator, a cross-validation and metrics,
    and for a seed if the model has none; :class:`EmptyDataset` if there are no rows;
    :class:`DatasetError` if the folds cannot be made, or a metric does not fit the labels.
    """
    if not isinstance(model, Estimator):
        raise ParameterError(f"model must be an estimator, not a {type(model).__name__}.")
    check_dataset(dataset)
    if len(dataset) == 0:
        raise EmptyDataset("There is no row to cross-validate on.")
    folds = KFold(RandomSplitter()) if cross_validation is None else cross_validation
    if not isinstance(folds, CrossValidation):
        raise ParameterError(
            f"cross_validation must be a cross-validation, not a {type(folds).__name__}.",
            hint=f"Wrap a splitter: KFold({type(folds).__name__}(), 5).",
        )
    scored = check_metrics(metrics)
    nothing = np.zeros((0, len(dataset.tasks)))
    score_all(scored, nothing, nothing, nothing, dataset.tasks, dataset.classes)
    parts = [tuple(np.asarray(rows) for rows in fold) for fold in folds.indices(dataset)]
    fits = [
        Fit(made, train, test)
        for made, (train, test) in zip(_models(model, seed, len(parts)), parts, strict=True)
    ]
    with working_directory(directory) as place:
        results = fit_models(
            dataset,
            fits,
            place,
            metrics=scored,
            keep=keep_models,
            engine=engine,
            resumable=directory is not None,
            retries=retries,
            timeout=timeout,
            progress=progress,
        )
        done = tuple(map(_fold, fits, results))
    result = CrossValidationResult(done, _out_of_fold(dataset, fits, results))
    for number, fold in enumerate(done):
        if fold.status != "ok":
            logger.warning("Fold %d failed (%s): %s", number, fold.status, fold.message)
    return result


def _models(model: Estimator, seed: int | None, k: int) -> list[Estimator]:
    """Return the model of each fold, not fitted."""
    if seed is None:
        return [model.unfitted()] * k
    seeds = np.random.SeedSequence(check_count("seed", seed, minimum=0)).spawn(k)
    return [reseeded(model, one) for one in seeds]


def _fold(fit: Fit, result: Fitted) -> FoldResult:
    model = None
    if result.directory is not None:
        model = load_fitted(fit.model.unfitted(), result.directory)
    return FoldResult(fit.train, fit.test, result.scores, result.status, result.message, model)


def _out_of_fold(dataset: Dataset, fits: Sequence[Fit], results: Sequence[Fitted]) -> np.ndarray:
    """Return the mean prediction for each row over the folds that tested it, NaN if none did."""
    found = [
        (fit.test, result.prediction)
        for fit, result in zip(fits, results, strict=True)
        if result.prediction is not None
    ]
    form: tuple[int, ...] = (len(dataset.tasks),)
    if found:
        # A fold's training rows may lack the last classes.
        form = max(prediction.shape[1:] for _, prediction in found)
    dtype = np.result_type(np.float16, *(prediction.dtype for _, prediction in found))
    total = np.zeros((len(dataset), *form), dtype if found else np.float64)
    times = np.zeros(len(dataset), np.intp)
    for rows, prediction in found:
        missing = [(0, have - got) for have, got in zip(form, prediction.shape[1:], strict=True)]
        np.add.at(total, rows, np.pad(prediction, [(0, 0), *missing]))
        np.add.at(times, rows, 1)
    total[times == 0] = np.nan
    several = times > 1
    total[several] /= times[several].reshape(-1, *[1] * len(form))
    return total
