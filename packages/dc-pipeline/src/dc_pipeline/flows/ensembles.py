"""Ensembles: several models as one, whose disagreement says how sure it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self

import numpy as np

from dc_core import (
    Dataset,
    Estimator,
    Failure,
    FailureReport,
    Metric,
    NormalDistribution,
    check_count,
    check_dataset,
    check_flag,
    check_metrics,
    set_origins,
)
from dc_core.errors import (
    DatasetError,
    EmptyDataset,
    NotFitted,
    ParameterError,
    StructureError,
    Unsupported,
)
from dc_pipeline.errors import PipelineError
from dc_pipeline.flows.fitting import Fit, fit_models, load_fitted, working_directory
from dc_pipeline.flows.seeding import reseeded
from dc_pipeline.metrics.checks import positive
from dc_pipeline.splitters.kfold import KFold
from dc_pipeline.splitters.random import RandomSplitter
from dc_pipeline.training_rows import check_digests, check_unseen, kept_digests

if TYPE_CHECKING:
    from pathlib import Path

Resampling = Literal["bootstrap", "folds"]

_RESAMPLINGS: Final = (None, "bootstrap", "folds")


class PredictionInterval(NamedTuple):
    """The bounds of an interval per predicted value: ``low`` and ``high``, each ``(n, tasks)``."""

    low: np.ndarray
    high: np.ndarray


class Ensemble(Estimator):
    """Several models as one: predictions are the means of the members', probabilities too.

    :meth:`predict_distribution` also says how sure the ensemble is (Lakshminarayanan et al. 2017,
    arXiv:1612.01474), and :meth:`calibrate` corrects that by rows that no member has seen.

    ``members`` are models that differ in something: :meth:`of` makes them from one. ``resampling``
    says what :meth:`fit` trains each on: all rows (None), a bootstrap resample of them
    (``"bootstrap"``; bagging, Breiman 1996, doi:10.1007/BF00058655), or all but one fold each
    (``"folds"``, of a random division into as many folds as there are members). ``seed`` is that of
    the resampling.

    Raises :class:`ParameterError` unless there is at least one member, all are estimators and
    different objects, and the members that know names of classes know the same.
    """

    fitted = ("residuals",)

    def __init__(
        self, members: Sequence[Estimator], resampling: Resampling | None = None, seed: int = 0
    ) -> None:
        self.members = _checked(members)
        if resampling not in _RESAMPLINGS:
            raise ParameterError(
                f"resampling={resampling!r} is not known.", hint='Use None, "bootstrap" or "folds".'
            )
        if resampling == "folds" and len(self.members) < 2:
            raise ParameterError("One member leaves no fold out.", hint="Give two, or more.")
        self.resampling = resampling
        self.seed = check_count("seed", seed, minimum=0)
        self.residuals: np.ndarray | None = None
        """Of the rows of calibration, divided by the predicted deviation: ``(m, tasks)``."""

    @classmethod
    def of(
        cls,
        model: Estimator,
        size: int = 5,
        vary: Literal["seed", "bootstrap", "folds"] = "seed",
        *,
        seed: int = 0,
    ) -> Self:
        """Return an ensemble of ``size`` models like ``model``, none of them fitted.

        With ``vary="seed"`` they differ in their random seeds, as deep ensembles do. With
        ``"bootstrap"`` or ``"folds"`` they also learn from different rows, and need no seeds.

        Raises :class:`ParameterError` if ``size`` is not an integer of at least 1, or seeds are to
        vary and the model has none.
        """
        if not isinstance(model, Estimator):
            raise ParameterError(f"model must be an estimator, not a {type(model).__name__}.")
        count = check_count("size", size, minimum=1)
        sequence = np.random.SeedSequence(check_count("seed", seed, minimum=0))
        members = [reseeded(model, one, required=vary == "seed") for one in sequence.spawn(count)]
        return cls(members, None if vary == "seed" else vary, seed)

    @property
    def is_fitted(self) -> bool:
        """Whether all members are fitted."""
        return all(member.is_fitted for member in self.members)

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the members' classes, by task."""
        return next((member.classes for member in self.members if member.classes), {})

    def set_classes(self, classes: Mapping[str, Sequence[str]]) -> None:
        """Set the names of the members' classes."""
        for member in self.members:
            member.set_classes(classes)

    @property
    def predicts_classes(self) -> bool | None:
        """Whether the members are classifiers; None if that is not known."""
        return self.members[0].predicts_classes

    @property
    def failures(self) -> FailureReport:
        """The inputs for which a member could make no prediction in its last call."""
        found: dict[tuple[int, str], Failure] = {}
        for member in self.members:
            for failure in getattr(member, "failures", ()):
                found.setdefault((failure.row, failure.task), failure)
        return FailureReport(tuple(found[key] for key in sorted(found)))

    def _after_fit(self, dataset: Any) -> None:
        """Leave classes and origins to the members, whose own ``fit`` has noted them."""
        set_origins(self, ())

    def fit(
        self,
        dataset: Dataset,
        *,
        valid: Dataset | None = None,
        engine: Any = None,
        directory: str | Path | None = None,
        progress: Any = None,
        **options: Any,
    ) -> Self:
        """Fit all members, each to its rows of ``dataset``, and return the ensemble itself.

        ``valid`` goes to the members, which may stop early by it; after that the ensemble is
        calibrated with it, unless it predicts probabilities. The guarantee of
        :meth:`predict_interval` then holds for members that make no use of ``valid``; for the
        others, call :meth:`calibrate` with further rows. ``options`` go to the members' ``fit``.

        With an ``engine``, as in :func:`dc_core.engines.run`, the members are fitted there, each
        anew from its ``unfitted()``. A call that was interrupted continues in ``directory``, if one
        is given. It needs dc-hub, which stores the members on their way back, and takes no
        ``options``.

        Raises :class:`ParameterError` for members that an engine could not fit in their place,
        :class:`PipelineError` if it failed to fit one, and what the members' ``fit`` raises.
        """
        check_dataset(dataset)
        if len(dataset) == 0:
            raise EmptyDataset("There is no row to fit to.")
        self.residuals = None
        if engine is not None:
            if options:
                raise ParameterError(f"An engine takes no option {next(iter(options))!r}.")
            self._fit_on(engine, dataset, valid, directory, progress)
        else:
            if valid is not None:
                options["valid"] = valid
            for member, rows in zip(self.members, self._resamples(dataset), strict=True):
                member.fit(dataset if rows is None else dataset.select(rows), **options)
        if valid is not None and not valid.classes and self.predict(valid[:1]).ndim == 2:
            self.calibrate(valid)
        return self

    def _fit_on(
        self,
        engine: Any,
        dataset: Dataset,
        valid: Dataset | None,
        directory: str | Path | None,
        progress: Any,
    ) -> None:
        fresh = [member.unfitted() for member in self.members]
        for made, member in zip(fresh, self.members, strict=True):
            if member.is_fitted and made.describe_weights() != member.describe_weights():
                raise ParameterError(
                    "The members are fitted already, and an engine cannot fit them in their place.",
                    hint="Use ensemble.unfitted().fit(...).",
                )
        fits = [
            Fit(made, np.arange(len(dataset)) if rows is None else rows)
            for made, rows in zip(fresh, self._resamples(dataset), strict=True)
        ]
        with working_directory(directory) as place:
            results = fit_models(
                dataset,
                fits,
                place,
                valid=valid,
                keep=True,
                engine=engine,
                resumable=directory is not None,
                progress=progress,
            )
            for number, result in enumerate(results):
                if result.status != "ok":
                    raise PipelineError(
                        f"Member {number} could not be fitted ({result.status}): {result.message}"
                    )
            for member, result in zip(self.members, results, strict=True):
                if result.directory is not None:
                    load_fitted(member, result.directory)

    def _resamples(self, dataset: Dataset) -> Iterator[np.ndarray | None]:
        """Yield the row numbers to fit each member to, None for all."""
        n, size = len(dataset), len(self.members)
        if self.resampling == "folds":
            folds = KFold(RandomSplitter(seed=self.seed), size)
            yield from (train for train, _ in folds.indices(dataset))
            return
        for number in range(size):
            if self.resampling is None:
                yield None
            else:
                yield np.sort(np.random.default_rng([self.seed, number]).integers(0, n, n))

    def predict(self, dataset: Dataset) -> np.ndarray:
        """Return the mean prediction, float64: ``(n, tasks)``, or ``(n, tasks, classes)``.

        Rows for which a member makes no prediction are NaN.

        Raises :class:`DatasetError` if the members predict for different tasks, and what they
        raise.
        """
        return _mean([member.predict(dataset) for member in self.members])

    def predict_distribution(self, dataset: Dataset) -> NormalDistribution:
        """Return a normal distribution per row and task; the means are those of :meth:`predict`.

        The variance is that of an equal mixture of the members' distributions: the mean of their
        variances plus the variance of their means (Lakshminarayanan et al. 2017, section 2.4,
        arXiv:1612.01474). A member that predicts no deviations counts as one of deviation 0.
        After :meth:`calibrate`, deviations are multiplied by one factor per task.

        Raises :class:`Unsupported` for ensembles of classifiers, :class:`StructureError` if what
        is stored of the calibration cannot be, and what the members raise.
        """
        mean, std = self._mixture(dataset)
        if self.residuals is None:
            return NormalDistribution(mean, std)
        return NormalDistribution(mean, std * self._factors(mean.shape[1]))

    def _mixture(self, dataset: Dataset) -> NormalDistribution:
        """Return the mean and the deviation of the mixture of members, before calibration."""
        means, variances = [], []
        for member in self.members:
            try:
                mean, std = member.predict_distribution(dataset)
            except Unsupported:
                mean = member.predict(dataset)
                std = np.zeros_like(mean)
            if mean.ndim != 2:
                raise Unsupported(
                    "The members predict probabilities of classes, which have no deviation.",
                    hint="Use predict: the mean probabilities say how sure the ensemble is.",
                )
            means.append(mean)
            variances.append(np.square(std, dtype=np.float64))
        mean = _mean(means)
        spread = _mean([np.square(one - mean) for one in means])
        return NormalDistribution(mean, np.sqrt(_mean(variances) + spread))

    def calibrate(self, dataset: Dataset) -> Self:
        """Learn from rows that no member has seen how large errors are, and return itself.

        The factors by which :meth:`predict_distribution` multiplies deviations are those of the
        highest likelihood: the root of the mean of ``((label - mean) / deviation)²`` of a task
        (Laves et al. 2021, arXiv:2104.12376). :meth:`predict_interval` takes the same residuals by
        their ranks. Missing labels are left out, and all others count alike; a task without any
        keeps its deviations and has infinite intervals.

        Raises :class:`EmptyDataset` if there is no label, :class:`DatasetError` for labels of other
        tasks or that are classes, and what :meth:`predict_distribution` raises.
        """
        check_dataset(dataset)
        if len(dataset) == 0:
            raise EmptyDataset("There is no row to calibrate with.")
        if dataset.classes:
            raise DatasetError("Labels that are classes cannot calibrate deviations.")
        mean, std = self._mixture(dataset)
        if dataset.y.shape != mean.shape:
            raise DatasetError(
                f"The labels have shape {dataset.y.shape}, the predictions {mean.shape}.",
                hint="Give the tasks of the training data.",
            )
        known = (dataset.w > 0) & np.isfinite(mean)
        if not known.any():
            raise EmptyDataset("No row has both a label and a prediction.")
        errors = np.where(known, dataset.y - mean, np.nan)
        # Where the members agree exactly, any error is infinitely many deviations.
        with np.errstate(divide="ignore", invalid="ignore"):
            self.residuals = np.where(errors == 0, 0.0, errors / std)
        return self

    def predict_interval(self, dataset: Dataset, level: float = 0.9) -> PredictionInterval:
        """Return intervals that contain the label of a new row with probability ``level`` or more.

        That holds for any distribution, if the rows of :meth:`calibrate` and the new one are
        exchangeable, on average over such rows and for each task: it is split conformal prediction
        with locally weighted residuals (Lei et al. 2018, doi:10.1080/01621459.2017.1307116). The
        interval is ``mean ± q · deviation``, with q the ``⌈(m + 1) level⌉``-th smallest of the m
        absolute residuals; if there are too few for that level, it is infinite.

        Raises :class:`NotFitted` before :meth:`calibrate`, :class:`ParameterError` unless ``level``
        is between 0 and 1, and what :meth:`predict_distribution` raises.
        """
        level = positive("level", level, 1)
        if level == 1:
            raise ParameterError("level=1 needs infinite intervals.", hint="Choose one below 1.")
        if self.residuals is None:
            raise NotFitted(
                "The ensemble is not calibrated.",
                hint="Call calibrate(dataset) with rows that no member has seen.",
            )
        mean, std = self._mixture(dataset)
        residuals = self._checked_residuals(mean.shape[1])
        half = np.empty(mean.shape)
        for t, task in enumerate(residuals.T):
            scores = np.sort(np.abs(task[~np.isnan(task)]))
            # Products such as 0.7 · 10 may exceed the integer that they are by rounding.
            rank = math.ceil(round((len(scores) + 1) * level, 9))
            q = scores[rank - 1] if rank <= len(scores) else np.inf
            half[:, t] = np.inf if q == np.inf else q * std[:, t]
        half[np.isnan(mean)] = np.nan
        return PredictionInterval(mean - half, mean + half)

    @property
    def training_rows(self) -> np.ndarray | None:
        """Digests of the rows that a member was trained on, None if no member remembers them."""
        of_members = (getattr(member, "training_rows", None) for member in self.members)
        known = [digests for digests in of_members if digests is not None]
        for digests in known:
            check_digests(digests)
        return kept_digests(np.concatenate(known)) if known else None

    def evaluate(
        self, dataset: Dataset, metrics: Iterable[Metric], *, allow_train: bool = False
    ) -> dict[str, float]:
        """Return each metric's value on the rows of ``dataset`` for which all members predict.

        The result and the errors are those of :meth:`dc_core.Estimator.evaluate`. Rows that a
        member could not featurize are left out. If members are pipelines that remember their
        training rows, ``allow_train`` permits rows that one of them was trained on.

        Raises :class:`LeakageError` if there are such rows.
        """
        check_dataset(dataset)
        metrics = check_metrics(metrics)
        allow_train = check_flag("allow_train", allow_train)
        check_unseen(dataset, self.training_rows, "ensemble", allow_train=allow_train)
        if len(dataset) and any(hasattr(member, "failures") for member in self.members):
            self.predict(dataset)
            rows = np.ones(len(dataset), bool)
            rows[[failure.row for failure in self.failures]] = False
            if not rows.any():
                raise EmptyDataset(f"No row can be evaluated: {self.failures}.")
            dataset = dataset if rows.all() else dataset.select(rows)
        return super().evaluate(dataset, metrics)

    def _factors(self, tasks: int) -> np.ndarray:
        """Return the factor of each task's deviations, ``(tasks,)``."""
        residuals = self._checked_residuals(tasks)
        finite = np.isfinite(residuals)
        squares = np.where(finite, residuals, 0) ** 2
        count = finite.sum(axis=0)
        factors = np.sqrt(squares.sum(axis=0) / np.maximum(count, 1))
        return np.where(factors > 0, factors, 1.0)

    def _checked_residuals(self, tasks: int) -> np.ndarray:
        found = self.residuals
        if found is None or found.ndim != 2 or found.shape[1] != tasks or found.dtype != np.float64:
            form = None if found is None else (found.shape, found.dtype)
            raise StructureError(
                f"The residuals of the calibration have the form {form}; the ensemble has {tasks} "
                "tasks.",
                hint="The stored ensemble is damaged: publish it again.",
            )
        return found


def _checked(members: Any) -> tuple[Estimator, ...]:
    """Return the members; raise :class:`ParameterError` if they are not fit to be."""
    if isinstance(members, Estimator | str) or not isinstance(members, Iterable):
        raise ParameterError(
            f"members must be a list of models, not of type {type(members).__name__}.",
            hint="For several models like one, use Ensemble.of(model, size).",
        )
    checked = tuple(members)
    for member in checked:
        if not isinstance(member, Estimator):
            raise ParameterError(
                f"A member must be an estimator, not of type {type(member).__name__}.",
                hint="Wrap a framework's own model first, as TorchModel or SklearnModel does.",
            )
    if len({id(member) for member in checked}) < max(1, len(checked)):
        raise ParameterError(
            f"There are {len(checked)} members, which are not different objects.",
            hint="Use Ensemble.of(model, size), which makes them.",
        )
    named = [member.classes for member in checked if member.classes]
    if any(classes != named[0] for classes in named):
        raise ParameterError("The members number their classes differently.")
    return checked


def _mean(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of the members' arrays, float64.

    A member whose training rows lacked the last classes gives them probability 0.
    """
    forms = {array.shape for array in arrays}
    if len({form[:2] for form in forms}) > 1 or len({len(form) for form in forms}) > 1:
        raise DatasetError(f"The members predict in different shapes: {sorted(forms)}.")
    total = np.zeros(max(forms))
    for array in arrays:
        total[..., : array.shape[-1]] += array
    return np.asarray(total / len(arrays))
