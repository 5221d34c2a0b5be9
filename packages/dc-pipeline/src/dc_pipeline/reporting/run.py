"""``report``: the report of a model on the parts of a split."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from dc_core import (
    Dataset,
    Estimator,
    FailureReport,
    Metric,
    check_count,
    check_dataset,
    check_metrics,
)
from dc_core.errors import DatasetError, EmptyDataset, ParameterError
from dc_pipeline.featurizers.molecules import parse_smiles
from dc_pipeline.pipeline import Pipeline
from dc_pipeline.reporting.chemical_space import chemical_space_plot
from dc_pipeline.reporting.classification import (
    confusion_plot,
    precision_recall_plot,
    reliability_plot,
    roc_plot,
)
from dc_pipeline.reporting.failures import failure_tables
from dc_pipeline.reporting.leakage import leakage_tables
from dc_pipeline.reporting.page import Report
from dc_pipeline.reporting.plotting import style
from dc_pipeline.reporting.predictions import (
    Predicted,
    default_metrics,
    predict_part,
    predicts_distributions,
    score_part,
    score_table,
)
from dc_pipeline.reporting.provenance import components, data_table, model_table, package_table
from dc_pipeline.reporting.regression import interval_coverage_plot, parity_plot, residual_plot
from dc_pipeline.reporting.scaffolds import errors_by_scaffold, scaffold_cards, scaffold_plot
from dc_pipeline.reporting.training import learning_curve_plot
from dc_pipeline.reporting.worst import worst_predictions
from dc_pipeline.splitters.leakage import leakage
from dc_pipeline.splitters.smiles import smiles_of
from dc_pipeline.training_rows import overlap, row_digests

logger = logging.getLogger(__name__)

_TASKS: Final = 12
"""How many tasks have figures; the others are in the table of scores."""

_HISTORIES: Final = 6
"""How many models of an ensemble have a learning curve."""

_PAIRS: Final = 100_000_000
"""How many similarities the leakage is computed from, for each pair of parts: some seconds."""

_PROBED: Final = 50
"""How many rows tell whether a dataset has SMILES."""


def report(
    model: Estimator,
    split: Sequence[Dataset] | Mapping[str, Dataset] | Dataset,
    out: str | os.PathLike[str] | None = "report.html",
    *,
    metrics: Iterable[Metric] | None = None,
    history: Iterable[Any] | Mapping[str, Iterable[float]] | None = None,
    failures: FailureReport | Mapping[str, FailureReport] | None = None,
    title: str = "",
    units: str | Mapping[str, str] = "",
    max_rows: int = 100_000,
    seed: int = 0,
    when: datetime | None = None,
) -> Report:
    """Report how a fitted ``model`` does on the parts of a ``split``, and write it to ``out``.

    ``split`` is what a splitter returned, a mapping from names to datasets, or a single dataset.
    Scores are of all parts; figures are of the last one that has labels, the test set, in the
    labels' ``units`` (one for all tasks, or a mapping from tasks). The first part is taken for what
    the model learned from. The page has, where there is something to show:

    - the scores with bootstrap confidence intervals. ``metrics`` default to some for regression or
      classification.
    - for regression, parity plots, with prediction intervals if the model predicts distributions,
      and the distribution of residuals; for classification, ROC and precision–recall curves,
      confusion matrices and calibration. The first 12 tasks have figures.
    - the losses by epoch, from ``history`` or the model's own.
    - if there are SMILES: errors by scaffold, the molecules that were predicted worst, and the
      parts of the split in chemical space with their :func:`leakage`.
    - what failed: ``failures`` are the loader's report, or several by name; those of prediction are
      added.
    - the model's parameters, the data's digests and the versions of packages.

    Of a part with more than ``max_rows`` rows a random sample is taken, and the page says so.
    ``when`` is the date on the page, by default now; with equal dates, equal arguments give equal
    bytes. With ``out=None`` nothing is written; the report that is returned can be added to and
    saved.

    Raises :class:`ParameterError` if matplotlib is not installed or an argument cannot be used,
    :class:`DatasetError` if ``split`` is not one, :class:`EmptyDataset` if it has no rows, and what
    the model and the metrics raise.
    """
    with style():
        pass  # first of all, because the work is long
    if not isinstance(model, Estimator):
        raise ParameterError(f"A {type(model).__name__} is not an estimator.")
    if out is not None and not Path(out).absolute().parent.is_dir():
        raise ParameterError(f"There is no directory {Path(out).absolute().parent}.")
    check_count("max_rows", max_rows, minimum=1)
    check_count("seed", seed, minimum=0)
    chosen = None if metrics is None else check_metrics(metrics)
    given = _parts(split)
    parts = {name: _sampled(part, max_rows, seed) for name, part in given.items()}

    logger.info("report: predicting")
    distributions = predicts_distributions(model, next(iter(parts.values())))
    predicted = {
        name: predict_part(model, part, distributions=distributions) for name, part in parts.items()
    }
    labelled = [name for name, part in predicted.items() if part.known.any()]
    when = (when or datetime.now(UTC)).astimezone(UTC)
    page = Report(
        title or f"Report on {_name(model)}",
        subtitle=f"{_name(model)} · {_counts(given)} · {when:%Y-%m-%d %H:%M} UTC",
    )
    if labelled:
        name, first = labelled[-1], next(iter(parts))
        shown = predicted[name]
        logger.info("report: scores and figures")
        scored = default_metrics(shown) if chosen is None else chosen
        scores = {part: score_part(scored, predicted[part], seed=seed) for part in labelled}
        page.add(
            "Scores", score_table(scores, shown.dataset.tasks), *_notes(model, given, predicted)
        )
        page.add(f"Predictions on {name}", *_figures(shown, units))
    page.add("Training", *_training(model, history))
    smiles = {part: _smiles(found.dataset) for part, found in predicted.items()}
    if labelled and smiles[name]:
        logger.info("report: scaffolds and molecules")
        page.add("Errors by scaffold", *_scaffolds(shown, smiles[name], units))
        train = predicted[first].dataset if first != name and smiles[first] else None
        worst = worst_predictions(
            shown.dataset, shown.prediction, shown.std, train=train, units=units
        )
        page.add(f"Worst predictions on {name}", worst)
    if len(parts) > 1 and smiles[next(iter(parts))]:
        logger.info("report: chemical space")
        page.add("The split in chemical space", *_split(parts, predicted, seed))
    page.add("Failures", *failure_tables(_reports(failures, predicted)))
    page.add(
        "Model, data and versions", data_table(given), model_table(model), package_table(model)
    )
    if out is not None:
        page.save(out)
    return page


def _parts(split: Any) -> dict[str, Dataset]:
    """Return the parts of a split that have rows, by name."""
    if isinstance(split, Mapping):
        named = {str(name): part for name, part in split.items()}
    elif isinstance(split, tuple) and hasattr(split, "_fields"):
        named = dict(zip(split._fields, split, strict=True))
    else:
        named = {"data": split}
    for part in named.values():
        check_dataset(part)
    found = {name: part for name, part in named.items() if len(part)}
    if not found:
        raise EmptyDataset("There is no row to report on.")
    if len({part.tasks for part in found.values()}) > 1:
        raise DatasetError(f"The parts have different tasks: {[p.tasks for p in found.values()]}.")
    return found


def _name(model: Estimator) -> str:
    """Return the class of the model, of a pipeline that of the model within."""
    return type(model.model if isinstance(model, Pipeline) else model).__name__


def _sampled(dataset: Dataset, max_rows: int, seed: int) -> Dataset:
    if len(dataset) <= max_rows:
        return dataset
    rng = np.random.default_rng(seed)
    return dataset.select(np.sort(rng.choice(len(dataset), max_rows, replace=False)))


def _counts(parts: Mapping[str, Dataset]) -> str:
    return ", ".join(f"{name} {len(part):,}" for name, part in parts.items()) + " rows"


def _notes(
    model: Estimator, given: Mapping[str, Dataset], predicted: Mapping[str, Predicted]
) -> list[str]:
    """Return the notes that a reader of the scores needs on their rows."""
    notes = []
    trained = getattr(model, "training_rows", None)
    for i, (name, part) in enumerate(predicted.items()):
        learned_from = i == 0 and len(predicted) > 1
        seen = 0 if trained is None or learned_from else overlap(row_digests(part.dataset), trained)
        if seen:
            notes.append(f"{name}: the model was trained on {seen:,} of these rows.")
        failed = len(part.failures)
        rows = len(part.dataset) + failed
        if rows < len(given[name]):
            notes.append(f"{name}: a random sample of {rows:,} of {len(given[name]):,} rows.")
        if failed:
            what = "row" if failed == 1 else "rows"
            notes.append(f"{name}: {failed:,} {what} could not be predicted: not scored.")
    return notes


def _unit(units: str | Mapping[str, str], task: str) -> str:
    return units if isinstance(units, str) else units.get(task, "")


def _figures(part: Predicted, units: str | Mapping[str, str]) -> list[Any]:
    """Return the figures of the first tasks that have labels, by kind."""
    dataset, known = part.dataset, part.known
    drawn = [t for t in range(len(dataset.tasks)) if known[:, t].any()][:_TASKS]
    kinds: list[list[Any]] = [[], [], [], []]
    for t in drawn:
        rows = known[:, t]
        y, prediction, w = dataset.y[rows, t], part.prediction[rows, t], dataset.w[rows, t]
        task = dataset.tasks[t]
        if part.is_classification:
            options: Any = {"classes": dataset.classes.get(task, ()), "task": task}
            if len(np.unique(y)) > 1:
                kinds[0].append(roc_plot(y, prediction, w, **options))
                kinds[1].append(precision_recall_plot(y, prediction, w, **options))
            kinds[2].append(confusion_plot(y, prediction, w, **options))
            kinds[3].append(reliability_plot(y, prediction, w, **options))
        else:
            unit = _unit(units, task)
            std = None if part.std is None else part.std[rows, t]
            kinds[0].append(parity_plot(y, prediction, std, task=task, units=unit))
            kinds[1].append(residual_plot(y, prediction, task=task, units=unit))
            if std is not None:
                kinds[2].append(interval_coverage_plot(y, prediction, std, task=task))
    more = [f"Only the first {_TASKS} tasks with labels have figures."]
    return [*(figure for kind in kinds for figure in kind), *(more if len(drawn) == _TASKS else [])]


def _training(model: Estimator, history: Any) -> list[Any]:
    """Return the learning curves of a given history, or of the model and its parts."""
    if history is not None:
        return [learning_curve_plot(history)]
    found = [getattr(part, "history", None) for part in components(model).values()]
    recorded = [h for h in found if isinstance(h, tuple | list) and h and hasattr(h[-1], "loss")]
    return [learning_curve_plot(one) for one in recorded[:_HISTORIES]]


def _scaffolds(part: Predicted, smiles: Sequence[str], units: Any) -> list[Any]:
    """Return the errors by scaffold of the first task that has labels."""
    t = int(np.flatnonzero(part.known.any(axis=0))[0])
    task = part.dataset.tasks[t]
    unit, what = _unit(units, task), "predicted − measured"
    if part.is_classification:
        unit, what = "", "1 − probability of the true class"
    groups = errors_by_scaffold(smiles, part.errors[:, t])
    cards = scaffold_cards(groups, units=unit)
    return [
        scaffold_plot(groups, task=task, units=unit, what=what),
        *([cards] if cards.cards else []),
    ]


def _split(
    parts: Mapping[str, Dataset], predicted: Mapping[str, Predicted], seed: int
) -> list[Any]:
    usable = {name: part.dataset for name, part in predicted.items()}
    contents: list[Any] = []
    try:
        contents.append(chemical_space_plot(usable, seed=seed))
    except DatasetError as error:  # there are too few molecules
        contents.append(str(error))
    return [*contents, *leakage_tables(leakage(parts, max_pairs=_PAIRS, seed=seed))]


def _reports(
    failures: FailureReport | Mapping[str, FailureReport] | None,
    predicted: Mapping[str, Predicted],
) -> dict[str, FailureReport]:
    """Return all failure reports by subject."""
    found = {"input": failures} if isinstance(failures, FailureReport) else dict(failures or {})
    for name, report in found.items():
        if not isinstance(report, FailureReport):
            raise ParameterError(f"failures[{name!r}] is a {type(report).__name__}, not a report.")
    found |= {f"predicting {name}": part.failures for name, part in predicted.items()}
    return {name: report for name, report in found.items() if len(report)}


def _smiles(dataset: Dataset) -> list[str]:
    """Return the SMILES of all rows, none if most rows that are looked at have no molecule."""
    if len(dataset) == 0:
        return []
    rows = np.unique(np.linspace(0, len(dataset) - 1, _PROBED).astype(np.intp))
    probed = parse_smiles(smiles_of(dataset.select(rows))).molecules
    molecules = sum(molecule is not None for molecule in probed)
    return smiles_of(dataset) if 2 * molecules >= len(rows) else []
