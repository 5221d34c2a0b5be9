"""Train the pipeline of a run, and record everything needed to repeat it bit for bit."""

from __future__ import annotations

import inspect
import json
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from dc_core import (
    Dataset,
    Estimator,
    Failure,
    FailureReport,
    Featurizer,
    Metric,
    Split,
    distributions,
    plugins,
)
from dc_core.errors import EmptyDataset, MissingParameter
from dc_pipeline.command import splitting
from dc_pipeline.command.components import Made, Spec, make
from dc_pipeline.command.configuration import Run, absolute, read_toml, write_toml
from dc_pipeline.command.printing import Narrator, shown
from dc_pipeline.command.reading import in_source, read
from dc_pipeline.command.writing import check_writable, new_directory, write_json
from dc_pipeline.disk.failures import append_failures, failures_file
from dc_pipeline.errors import PipelineError
from dc_pipeline.inputs import as_sequence
from dc_pipeline.loaders.sources import Source
from dc_pipeline.pipeline import Pipeline

RUN: Final = "run.toml"
RECORD: Final = "record.json"
MODEL: Final = "model"
REPORT: Final = "report.html"

_RANDOM: Final = Spec("pipeline/RandomSplitter")
_OF_VALUES: Final = tuple(map(Spec, ("pipeline/RMSE", "pipeline/MAE", "pipeline/R2")))
_OF_CLASSES: Final = tuple(map(Spec, ("pipeline/ROCAUC", "pipeline/Accuracy")))

_SAMPLE: Final = 64
"""Inputs that are featurized to learn how many features there are."""

_ELSEWHERE: Final = ("out", "publish", "hub", "report", "split")
"""The keys of a run that its model does not depend on; a split is compared row by row."""

_COMPARED: Final = ("revision", "scores", "rows", "packages")
"""The part of a record that equal runs share."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of a run: ``record`` is the content of ``record.json``.

    ``changes`` is None for a new result. For a run that was repeated it has what differs, before
    and now, and is empty if the model is the same bit for bit.
    """

    directory: Path
    record: Mapping[str, Any]
    failures: Sequence[Failure]
    changes: Mapping[str, tuple[Any, Any]] | None = None


def train(run: Run, narrator: Narrator) -> Trained:
    """Train, score and store a pipeline; return the result in the directory ``run.out``.

    It has the model in ``model``, the resolved run in ``run.toml``, the row numbers of the parts in
    ``split.json``, the inputs that failed in ``failures.jsonl``, and in ``record.json`` the scores,
    the revision of the model, the digest of the data, and the versions of the packages it needs. It
    appears as a whole or not at all.

    If the directory has the result of an equal run, the run is repeated and compared with it.

    Raises :class:`PipelineError` if the directory has something else, and what reading, the
    components and the model raise.
    """
    out = Path(run.out)
    plugins.Pretrained().check()  # before the work
    if run.report:
        from dc_pipeline.reporting.plotting import style

        with style():
            pass  # without matplotlib this raises, before the work
    before = _recorded(out) if out.exists() else None
    if before is None:
        check_writable(out)
    started = time.perf_counter()
    session = Session(run, narrator)
    if before is not None and _essence(before.run) != _essence(session.resolved.table()):
        raise PipelineError(
            f"{out} has the result of another run.", hint="Choose a new directory: --out."
        )
    session.fit()
    session.score()
    if before is not None:
        with tempfile.TemporaryDirectory() as folder:
            record = session.store(Path(folder) / MODEL, started)
        found = {key: (before.record.get(key), record[key]) for key in _COMPARED}
        changes = {key: pair for key, pair in found.items() if pair[0] != pair[1]}
        return Trained(out, record, session.failures, changes)
    with new_directory(out) as unfinished:
        record = session.store(unfinished / MODEL, started)
        write_json(unfinished / splitting.SPLIT, session.split_content())
        with failures_file(unfinished) as file:
            append_failures(file, session.failures)
        (unfinished / RUN).write_text(write_toml(session.resolved.table()), encoding="utf-8")
        write_json(unfinished / RECORD, record)
        if run.report:
            narrator.say("drawing the report")
            session.report(unfinished / REPORT)
    if run.publish:
        narrator.say(f"publishing {run.publish}")
        session.publish(run.publish, run.hub)
    return Trained(out, record, session.failures)


class Session:
    """A run that is under way: its components and its data, then its scores."""

    def __init__(self, run: Run, narrator: Narrator) -> None:
        self.narrator = narrator
        seed = run.seed
        featurizer = (
            None if run.featurizer is None else make("featurizer", run.featurizer, seed=seed)
        )
        transformers = [make("transformer", spec, seed=seed) for spec in run.transformers]
        chosen = None if run.split else make("splitter", run.splitter or _RANDOM, seed=seed)
        metrics = [make("metric", spec) for spec in run.metrics]
        # A model that cannot be made is noticed before the data is read.
        make("model", run.model, seed=seed, facts={"n_tasks": 1, "n_features": 1})
        narrator.say(f"reading {shown(run.data.path)}")
        self.rows = read(run.data, strict=run.strict)
        dataset = self.rows.dataset
        _check_labels(dataset, self.rows.failures)
        self.splitter = (
            splitting.stored_split(Path(run.split), self.rows)
            if chosen is None
            else chosen.component
        )
        self.parts = dict(zip(splitting.PARTS, self.splitter.indices(dataset), strict=True))
        self.split = Split(*(dataset.select(part) for part in self.parts.values()))
        featurized_by = None if featurizer is None else featurizer.component
        if run.strict and featurized_by is not None:
            featurized_by.featurize(as_sequence(dataset), strict=True)
        model = make("model", run.model, seed=seed, facts=_facts(dataset, featurized_by))
        self.model = model
        metrics = metrics or usual_metrics(model.component, dataset)
        self.metrics: list[Metric] = [made.component for made in metrics]
        self.pipeline = Pipeline(
            model.component, featurized_by, [made.component for made in transformers]
        )
        data = replace(
            run.data,
            path=absolute(Source(run.data.path).name),
            sha256=self.rows.source["sha256"],
        )
        self.resolved = replace(
            run,
            data=data,
            model=model.spec,
            featurizer=None if featurizer is None else featurizer.spec,
            transformers=tuple(made.spec for made in transformers),
            splitter=None if chosen is None else chosen.spec,
            split="." if run.split else "",
            metrics=tuple(made.spec for made in metrics),
            out=".",
        )
        self.failures: list[Failure] = []
        self._fit_failures: list[Failure] = []
        self._fit_saw_valid = False
        self.scores: dict[str, dict[str, float]] = {}

    def fit(self) -> None:
        """Fit the pipeline to train; valid is for models that stop early."""
        split, known = self.split, inspect.signature(self.pipeline.model.fit).parameters
        self.narrator.say(
            f"training on {len(split.train):,} rows, {len(split.valid):,} to validate, "
            f"{len(split.test):,} to test: {self.pipeline.call_text()}"
        )
        options: dict[str, Any] = {}
        if len(split.valid) and "valid" in known:
            options["valid"] = split.valid
        if self.narrator.quiet and "progress" in known:
            options["progress"] = False
        self.pipeline.fit(split.train, **options)
        self._fit_failures = [*self.pipeline.failures]
        self._fit_saw_valid = "valid" in options

    def score(self) -> None:
        """Score the pipeline on valid and test, and gather the failures of all rows."""
        failed = list(self.rows.failures)
        of_fit = self._fit_failures
        for name, part in zip(("valid", "test"), self.split[1:], strict=True):
            if not len(part):
                continue
            # Rows that the file repeats can be in two parts: a warning, after all the training.
            self.scores[name] = self.pipeline.evaluate(part, self.metrics, allow_train=True)
            found = [*self.pipeline.failures]
            failed += in_source(found, self._numbers(name))
            if name == "valid" and self._fit_saw_valid:
                of_fit = of_fit[: len(of_fit) - len(found)]
        failed += in_source(of_fit, self._numbers("train"))
        self.failures = sorted(failed, key=lambda failure: failure.row)

    def store(self, directory: Path, started: float) -> dict[str, Any]:
        """Store the model in ``directory`` and return the record of the run."""
        stored = self.pipeline.to_pretrained(directory, metadata=self._metadata())
        return {
            "revision": str(stored.revision),
            "scores": self.scores,
            "rows": {
                **{name: len(part) for name, part in self.parts.items()},
                "failed": dict(Counter(failure.status for failure in self.failures)),
            },
            "data": dict(self.rows.source),
            "packages": _packages(self.pipeline),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "seconds": round(time.perf_counter() - started, 3),
        }

    def report(self, file: Path) -> None:
        """Write the page that shows how the model does."""
        from dc_pipeline.reporting.run import report

        failures = FailureReport(tuple(self.failures))
        report(self.pipeline, self.split, file, metrics=self.metrics, failures=failures)

    def publish(self, name: str, hub: str) -> None:
        """Publish the model under ``name``, with the facts for its card."""
        options = {"hub": hub} if hub else {}
        self.pipeline.to_pretrained(name, metadata=self._metadata(), **options)

    def split_content(self) -> dict[str, Any]:
        """Return the content of ``split.json``."""
        spec = self.resolved.splitter
        return {
            "source": dict(self.rows.source),
            "splitter": spec.table() if spec else {},
            "rows": {name: self._numbers(name).tolist() for name in self.parts},
        }

    def _numbers(self, part: str) -> np.ndarray:
        """Return the numbers in the source of the rows of a part, ``(n,)`` of int."""
        numbers: np.ndarray = self.rows.numbers[self.parts[part]]
        return numbers

    def _metadata(self) -> dict[str, Any]:
        """Return the facts for the model's card; the keys are those of the model format."""
        scores = {
            part: {name: float(value) for name, value in found.items() if np.isfinite(value)}
            for part, found in self.scores.items()
        }
        source = self.rows.source
        classes = self.pipeline.predicts_classes
        kind = {} if classes is None else {"task": "classification" if classes else "regression"}
        return {
            **kind,
            "tasks": list(self.rows.dataset.tasks),
            "dataset": {"name": Path(source["name"]).name, "sha256": source["sha256"]},
            "metrics": {part: found for part, found in scores.items() if found},
        }


@dataclass(frozen=True, slots=True)
class _Recorded:
    """The record of a run: the content of ``run.toml`` and of ``record.json``."""

    run: Mapping[str, Any]
    record: Mapping[str, Any]


def _recorded(directory: Path) -> _Recorded:
    """Return the record in the ``directory`` of a result."""
    if not (directory / RUN).is_file() or not (directory / RECORD).is_file():
        raise PipelineError(
            f"{directory} exists, and is not the result of a run.",
            hint="Choose a new directory: --out.",
        )
    try:
        record = json.loads((directory / RECORD).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise PipelineError(f"{directory / RECORD} cannot be read: {error}.") from error
    if not isinstance(record, dict):
        raise PipelineError(f"{directory / RECORD} is not a record.")
    return _Recorded(read_toml(directory / RUN), record)


def _essence(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run that the model depends on, without places of files."""
    kept = {key: value for key, value in table.items() if key not in _ELSEWHERE}
    data = kept.get("data")
    if isinstance(data, Mapping):
        kept["data"] = {key: value for key, value in data.items() if key != "path"}
    return kept


def _check_labels(dataset: Dataset, failures: Sequence[Failure]) -> None:
    """Raise an error if there is nothing to learn, before the data is split and featurized."""
    if not dataset.tasks:
        raise MissingParameter(
            "'data.tasks' is not given.", hint="Name the columns of the labels: --tasks expt."
        )
    if np.isnan(dataset.y).all():
        first = f" The first of {len(failures):,} that failed: {failures[0]}" if failures else ""
        raise EmptyDataset(
            f"Every label is missing.{first}",
            hint="Name columns of numbers, or of names of classes with --classes.",
        )


def _facts(dataset: Dataset, featurizer: Featurizer[Any] | None) -> dict[str, Any]:
    """Return the parameters of models that follow from the data."""
    facts: dict[str, Any] = {"n_tasks": len(dataset.tasks)}
    if dataset.classes:
        facts["n_classes"] = max(2, *map(len, dataset.classes.values()))
    first = dataset[: min(len(dataset), _SAMPLE)]
    X = first.X if featurizer is None else featurizer.featurize(as_sequence(first)).values
    if isinstance(X, np.ndarray) and X.ndim == 2:
        facts["n_features"] = X.shape[1]
    return facts


def usual_metrics(model: Estimator, dataset: Dataset) -> list[Made]:
    """Return the metrics if none are given: those for classes, or those for values."""
    of_classes = model.predicts_classes or dataset.classes
    return [make("metric", spec) for spec in (_OF_CLASSES if of_classes else _OF_VALUES)]


def _packages(pipeline: Pipeline) -> dict[str, str]:
    """Return the versions of the packages that the pipeline depends on."""
    found = {name: distributions.version(name) for name in ("dc-core", "numpy")}
    for component in (pipeline, *pipeline.children().values()):
        found |= distributions.of_class(type(component))
        if component.backend is not None:
            found |= distributions.of_backend(component.backend)
            found |= plugins.backend(component.backend).info().versions
    return dict(sorted(found.items()))
