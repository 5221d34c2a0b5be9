"""The result of a benchmark: a row for each model and seed, and statistics over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dc_core import html_table, make_table
from dc_core.errors import ParameterError
from dc_pipeline.benchmarks.statistics import mean_interval, paired_difference
from dc_pipeline.benchmarks.task import BenchmarkTask
from dc_pipeline.metrics import checks
from dc_pipeline.metrics.intervals import Comparison, Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class BenchmarkRun:
    """One model with one seed.

    ``status`` is ``ok``, or ``error``, ``crash`` or ``timeout`` with a ``message``. ``test`` and
    ``valid`` are the scores on these parts by the metric's name. ``rows`` are the numbers of rows
    in train, valid and test, and ``failed`` is how many of test could not be predicted for, and so
    were left out of the score.
    """

    model: str
    seed: int
    status: str
    test: Mapping[str, float]
    valid: Mapping[str, float]
    rows: tuple[int, int, int]
    failed: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """The scores of one or more models on a task, each with the same seeds and splits.

    ``runs`` has one row per model and seed. ``split`` describes the splitter, and ``resplit`` says
    whether the seeds had different splits. If not, all is tested on the same rows: intervals then
    say how the score varies with the seed of the model, and not with the rows that are tested on.
    """

    task: BenchmarkTask
    split: str
    resplit: bool
    metrics: tuple[str, ...]
    runs: tuple[BenchmarkRun, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models, in the order given."""
        return tuple(dict.fromkeys(run.model for run in self.runs))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in the order given."""
        return tuple(dict.fromkeys(run.seed for run in self.runs))

    def scores(self, model: str | None = None, metric: str | None = None) -> np.ndarray:
        """Return the scores on test, ``(seeds,)`` of float, NaN where there is none.

        ``model`` may be left out if there is one; ``metric`` is the first unless it is given, and
        may be that of a single task, ``"roc_auc/NR-AR"``.

        Raises :class:`ParameterError` for unknown names.
        """
        chosen = self._model(model)
        name = self._metric(metric)
        return np.array([run.test.get(name, np.nan) for run in self.runs if run.model == chosen])

    def interval(
        self, model: str | None = None, metric: str | None = None, *, level: float = 0.95
    ) -> Interval:
        """Return a model's mean score over the seeds, with its confidence interval.

        It is Student's; if each seed had a split of its own, with the correction of Nadeau and
        Bengio (2003, doi:10.1023/A:1024068626366) for training sets that overlap. Two seeds or more
        are needed for bounds.

        Raises :class:`ParameterError` for unknown names, and a level that is not between 0 and 1.
        """
        return mean_interval(self.scores(model, metric), _level(level), self._ratio())

    def compare(
        self, model: str, other: str, metric: str | None = None, *, level: float = 0.95
    ) -> Comparison:
        """Return how the mean score of ``other`` differs from that of ``model``.

        Differences are ``other`` minus ``model``, paired by seed, as both had the same splits; only
        seeds for which both have a score count. Interval and p-value are those of a paired t-test,
        corrected as in :meth:`interval`.

        Raises :class:`ParameterError` for unknown names, and a level that is not between 0 and 1.
        """
        scores, others = (self.scores(given, metric) for given in (model, other))
        return paired_difference(scores, others, _level(level), self._ratio())

    def to_dataframe(self, backend: str | None = None) -> Any:
        """Return one row per model and seed, with the scores on test and valid.

        ``backend`` is ``pandas``, ``polars`` or ``pyarrow``; the default is the first that is
        installed.
        """
        columns: dict[str, list[Any]] = {
            name: [getattr(run, name) for run in self.runs] for name in ("model", "seed", "status")
        }
        scores = dict.fromkeys(name for run in self.runs for name in run.test)
        for part in ("test", "valid"):
            for name in scores or self.metrics:
                found = [getattr(run, part).get(name, np.nan) for run in self.runs]
                columns[f"{part}_{name}"] = found
        for i, part in enumerate(("train", "valid", "test")):
            columns[f"n_{part}"] = [run.rows[i] for run in self.runs]
        for name in ("failed", "message"):
            columns[name] = [getattr(run, name) for run in self.runs]
        return make_table(columns, backend)

    def to_markdown(self) -> str:
        """Return a table with one row per model: mean, deviation and 95 % interval."""
        header, rows = self._table()
        lines = [header, ["---"] * len(header), *rows]
        escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
        table = "\n".join(f"| {' | '.join(line)} |" for line in escaped)
        return f"{self._title()}\n\n{table}\n\n{self._note()}"

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        header, rows = self._table()
        return html_table(f"{self._title()} {self._note()}", header, rows)

    def plot(self, metric: str | None = None) -> Figure:
        """Return a figure of the scores of each model, with the mean and its 95 % interval.

        Needs matplotlib: ``pip install "dc-pipeline[plots]"``.
        """
        from dc_pipeline.benchmarks.plotting import plot_scores

        name = self._metric(metric)
        scores = {model: self.scores(model, name) for model in self.models}
        intervals = {model: self.interval(model, name) for model in self.models}
        unit = self.task.units[0] if name in ("mae", "rmse") and len(self.task.units) == 1 else ""
        return plot_scores(self.task.name, f"{name} [{unit}]" if unit else name, scores, intervals)

    def _ratio(self) -> float:
        """Return the rows of test over those of train if each seed had a split of its own."""
        sizes = np.array([run.rows for run in self.runs], float)
        return float((sizes[:, 2] / sizes[:, 0]).mean()) if self.resplit else 0.0

    def _title(self) -> str:
        seeds = f"{len(self.seeds)} seed{'' if len(self.seeds) == 1 else 's'}"
        return f"{self.task.name}: {self.task.title}, {self.split}, {seeds}"

    def _note(self) -> str:
        if self.resplit:
            return (
                "Mean ± standard deviation over the seeds, each with a split of its own, and the "
                "95 % interval of the mean (Student's t with the correction of Nadeau and Bengio)."
            )
        return (
            "Mean ± standard deviation over the seeds of the model, all with the same split, and "
            "the 95 % interval of the mean (Student's t). It does not say how the score varies "
            "with the rows that are tested on."
        )

    def _table(self) -> tuple[list[str], list[list[str]]]:
        rows = []
        for model in self.models:
            cells = [
                _cell(self.scores(model, metric), self.interval(model, metric))
                for metric in self.metrics
            ]
            runs = [run for run in self.runs if run.model == model]
            ok = sum(run.status == "ok" for run in runs)
            rows.append([model, *cells, f"{ok} of {len(runs)}"])
        return ["model", *self.metrics, "seeds ok"], rows

    def _model(self, name: str | None) -> str:
        if name is None and len(self.models) == 1:
            return self.models[0]
        if name not in self.models:
            raise ParameterError(
                f"model={name!r} is not in this result.", hint=_choices(self.models)
            )
        return name

    def _metric(self, name: str | None) -> str:
        known = [*self.metrics, *(score for run in self.runs for score in run.test)]
        if name is None:
            return self.metrics[0]
        if name not in known:
            raise ParameterError(f"There is no score {name!r}.", hint=_choices(known))
        return name


def _cell(scores: np.ndarray, interval: Interval) -> str:
    """Return mean, deviation and interval as text; of fewer scores, those that exist."""
    defined = scores[~np.isnan(scores)]
    if len(defined) < 2:
        return f"{interval.value:.4g}" if len(defined) else "none"
    bounds = f"({interval.low:.4g} to {interval.high:.4g})"
    return f"{interval.value:.4g} ± {defined.std(ddof=1):.2g} {bounds}"


def _choices(names: Sequence[str]) -> str:
    return f"There are: {', '.join(dict.fromkeys(names))}."


def _level(level: float) -> float:
    if checks.positive("level", level, 1) == 1:
        raise ParameterError("level=1 has no bounds.", hint="Choose a level below 1, such as 0.95.")
    return float(level)
