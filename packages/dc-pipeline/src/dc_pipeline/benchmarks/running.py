"""Train and test models with several seeds, on any engine."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dc_core import Dataset, Estimator, Metric, Splitter, check_count, engines
from dc_core.errors import EmptyDataset, ParameterError
from dc_pipeline.benchmarks.moleculenet import get
from dc_pipeline.benchmarks.result import BenchmarkResult, BenchmarkRun
from dc_pipeline.benchmarks.task import SPLITTERS, BenchmarkTask
from dc_pipeline.disk import DiskDataset
from dc_pipeline.flows.seeding import has_seed, with_seed
from dc_pipeline.scale.working import identity, on_disk
from dc_pipeline.training_rows import evaluate

logger = logging.getLogger(__name__)

Template = Estimator | Callable[[int], Estimator]
"""A model to make anew for each seed, or a function of the seed that returns one."""

_PARTS = ("train", "valid", "test")


def run(
    models: Template | Mapping[str, Template],
    task: str | BenchmarkTask,
    source: Any = None,
    *,
    seeds: Iterable[int] = range(10),
    split: str | Splitter | None = None,
    metrics: Iterable[Metric] | None = None,
    verify: bool = True,
    engine: Any = "serial",
    directory: str | Path | None = None,
    timeout: float | None = None,
    progress: Any = None,
) -> BenchmarkResult:
    """Train and test models on a task, once with each seed.

    All models get the same splits. A model that fails costs its own rows of the result; a warning
    is logged.

    Args:
        models: A model, such as a :class:`Pipeline`, or several by name. Each is made anew for each
            seed, and every parameter ``seed`` or ``random_state`` in it is set to that, except
            those of featurizers and transformers; a function ``build(seed)`` that returns a model
            does it its own way.
        task: The name of a task, or the task itself.
        source: Its file or URL; see :meth:`BenchmarkTask.load`, also for ``verify``.
        seeds: Different integers of at least 0.
        split: ``"random"``, ``"scaffold"`` or a splitter, whose ``seed`` is set to each seed;
            by default the task's own. A splitter without a seed, such as that of scaffolds, gives
            one split for all seeds.
        metrics: By default the task's own.
        verify: Whether the file must be a known one.
        engine: Where the models are trained, one seed at a time; see :func:`dc_core.engines.run`.
        directory: Where results are kept: a call that was interrupted continues there if it is
            made again with the same arguments. Functions must then be those of a module.
        timeout: After how many seconds one training is given up, except on ``"serial"``.
        progress: As in :func:`dc_core.engines.run`.

    Raises :class:`ParameterError` for unknown names, no model, no or equal seeds, what
    :meth:`BenchmarkTask.load` raises, and :class:`EmptyDataset` if a split leaves no row to train
    or to test on.
    """
    chosen = get(task) if isinstance(task, str) else task
    if not isinstance(chosen, BenchmarkTask):
        raise ParameterError(f"task={task!r} is not a task.", hint="Give a name: task='esol'.")
    named = _named(models)
    numbers = _seeds(seeds)
    scored = _metrics(metrics) if metrics is not None else (chosen.make_metric(),)
    splitter = _splitter(chosen, split)
    dataset = chosen.load(source, verify=verify).dataset
    splits = _splits(splitter, dataset, numbers)
    trials = [Trial(name, seed, splits[seed]) for name in named for seed in numbers]
    with (
        tempfile.TemporaryDirectory(prefix="dc-benchmark-")
        if directory is None
        else nullcontext(directory)
    ) as place:
        results = engines.map(
            TrainAndTest(on_disk(dataset, identity(dataset), Path(place)), named, scored),
            trials,
            None if directory is None else Path(place) / "run",
            engine=engine,
            timeout=timeout,
            progress=progress,
        )
    runs = tuple(map(_run_of, trials, results))
    for row in runs:
        if row.status != "ok":
            logger.warning("%s, seed %d: %s: %s", row.model, row.seed, row.status, row.message)
    names = tuple(metric.name for metric in scored)
    first = splits[numbers[0]]
    resplit = any(not all(map(np.array_equal, first, split)) for split in splits.values())
    return BenchmarkResult(chosen, repr(splitter), resplit, names, runs)


@dataclass(frozen=True, slots=True)
class Trial:
    """One model with one seed, and the row numbers of train, valid and test."""

    model: str
    seed: int
    rows: tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class TrainAndTest:
    """Trains and tests the model of a trial."""

    dataset: DiskDataset
    models: Mapping[str, Template]
    metrics: tuple[Metric, ...]

    def __call__(self, trial: Trial) -> dict[str, Any]:
        """Return the scores on valid and test, and how many rows of test were not predicted."""
        template = self.models[trial.model]
        model = (
            with_seed(template, trial.seed)
            if isinstance(template, Estimator)
            else template(trial.seed)
        )
        train, valid, test = (self.dataset.select(rows) for rows in trial.rows)
        model.fit(train, valid=valid if len(valid) else None)
        # The data sets repeat some rows, and published scores include them.
        scores = {
            "valid": evaluate(model, valid, self.metrics, allow_train=True) if len(valid) else {},
            "test": evaluate(model, test, self.metrics, allow_train=True),
        }
        return {**scores, "failed": len(getattr(model, "failures", ()))}


def _run_of(trial: Trial, result: engines.Result) -> BenchmarkRun:
    train, valid, test = map(len, trial.rows)
    value = result.value or {"test": {}, "valid": {}, "failed": 0}
    return BenchmarkRun(
        trial.model,
        trial.seed,
        result.status,
        value["test"],
        value["valid"],
        (train, valid, test),
        value["failed"],
        result.message,
    )


def _named(models: Any) -> dict[str, Template]:
    named = models if isinstance(models, Mapping) else {_name_of(models): models}
    if not named:
        raise ParameterError("There is no model to test.", hint="Give one, or several by name.")
    for name, model in named.items():
        if not isinstance(name, str) or not (isinstance(model, Estimator) or callable(model)):
            raise ParameterError(
                f"{name!r}: {model!r} is neither a model nor a function of the seed.",
                hint="Give a dc_core.Estimator, such as a Pipeline, or build(seed).",
            )
    return dict(named)


def _name_of(model: Any) -> str:
    """Return a name for a model: its class, that of a pipeline's model, or the function's."""
    inner = getattr(model, "model", model)
    inner = getattr(inner, "estimator", inner)
    return getattr(inner, "__name__", type(inner).__name__)


def _metrics(metrics: Any) -> tuple[Metric, ...]:
    found = tuple(metrics) if isinstance(metrics, Iterable) else ()
    if not found or not all(isinstance(metric, Metric) for metric in found):
        raise ParameterError("metrics must be a list of metrics.", hint="metrics=[RMSE()]")
    return found


def _seeds(seeds: Any) -> list[int]:
    if not isinstance(seeds, Iterable):
        raise ParameterError(
            f"{seeds=} is not a list of seeds.", hint="For ten of them: seeds=range(10)."
        )
    found = [check_count("seeds", seed, minimum=0, maximum=(1 << 31) - 3) for seed in seeds]
    if not found or len(set(found)) < len(found):
        raise ParameterError(f"seeds={seeds!r} must be different integers, at least one.")
    return found


def _splitter(task: BenchmarkTask, split: Any) -> Splitter:
    if split is None:
        return task.make_splitter()
    if isinstance(split, str) and split in SPLITTERS:
        return SPLITTERS[split]()
    if not isinstance(split, Splitter):
        raise ParameterError(
            f"split={split!r} is neither a splitter nor the name of one.",
            hint=f"The names are {', '.join(SPLITTERS)}.",
        )
    return split


def _splits(
    splitter: Splitter, dataset: Dataset, seeds: list[int]
) -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the row numbers of train, valid and test for each seed."""
    if has_seed(splitter):
        splits = {seed: with_seed(splitter, seed).indices(dataset) for seed in seeds}
    else:
        splits = dict.fromkeys(seeds, splitter.indices(dataset))
    for rows in splits.values():
        for part, found in zip(_PARTS, rows, strict=True):
            if part != "valid" and len(found) == 0:
                raise EmptyDataset(f"{splitter!r} leaves no row for {part}.")
    return splits
