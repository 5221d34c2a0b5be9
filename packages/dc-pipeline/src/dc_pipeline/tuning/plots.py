"""Figures of a tuning, by matplotlib."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dc_core.errors import ParameterError
from dc_pipeline.tuning.domains import Choice, Domain, Integer, LogUniform, label_of
from dc_pipeline.tuning.result import TuningResult
from dc_pipeline.tuning.trials import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_history(result: TuningResult) -> Figure:
    """Return a figure of the score of each trial, and of the best until then.

    Trials without a score are marked on the lower edge. Needs matplotlib:
    ``pip install "dc-pipeline[plots]"``.
    """
    figure, axes = _figure(1, 6.4)
    ok = _scored(result)
    scores = np.array([trial.score for trial in ok])
    numbers = [trial.number for trial in ok]
    best = (np.maximum if result.metric.greater_is_better else np.minimum).accumulate(scores)
    axes[0].plot(numbers, scores, "o", color="C0", alpha=0.6, label="trial")
    # The last trial need not have a score.
    steps = [*numbers, result.trials[-1].number], [*best, best[-1]]
    axes[0].step(*steps, where="post", color="C1", label="best so far")
    lost = [trial.number for trial in result.trials if trial.status != "ok"]
    if lost:
        axes[0].plot(
            lost,
            np.zeros(len(lost)),
            "x",
            color="0.5",
            transform=axes[0].get_xaxis_transform(),
            clip_on=False,
            label="pruned or failed",
        )
    axes[0].set(xlabel="trial", ylabel=result.metric.name)
    axes[0].legend()
    return figure


def plot_importance(result: TuningResult) -> Figure:
    """Return a figure of how much each parameter matters; see :meth:`TuningResult.importance`.

    Needs matplotlib and Optuna: ``pip install "dc-pipeline[plots,tune]"``.
    """
    found = result.importance()
    figure, axes = _figure(1, 6.4, height=1 + 0.4 * len(found))
    bars = axes[0].barh(list(found), list(found.values()), color="C0")
    axes[0].bar_label(bars, fmt="%.2f", padding=3)
    axes[0].invert_yaxis()
    axes[0].set(xlabel=f"importance for the {result.metric.name}", xlim=(0, 1.1))
    return figure


def plot_slices(result: TuningResult) -> Figure:
    """Return a figure of the score over each parameter; later trials are darker.

    Needs matplotlib: ``pip install "dc-pipeline[plots]"``.
    """
    names = list(result.domains)
    figure, axes = _figure(len(names), 3.2)
    for ax, name in zip(axes, names, strict=True):
        ok = [trial for trial in _scored(result) if name in trial.parameters]
        domain = result.domains[name]
        ax.scatter(
            [_position(domain, trial.parameters[name]) for trial in ok],
            [trial.score for trial in ok],
            c=[trial.number for trial in ok],
            cmap="Blues",
            vmin=-len(result.trials) / 4,
            vmax=len(result.trials),
            edgecolors="0.6",
            linewidths=0.5,
        )
        ax.set_xlabel(name)
        _scale(ax, domain)
    axes[0].set_ylabel(result.metric.name)
    return figure


def plot_parallel(result: TuningResult) -> Figure:
    """Return a figure with an axis for each parameter and a line for each trial, by its score.

    The lines of better trials are darker and on top. Needs matplotlib:
    ``pip install "dc-pipeline[plots]"``.
    """
    names = list(result.domains)
    figure, (ax,) = _figure(1, 1.6 + 1.6 * len(names), height=4)
    ok = [t for t in _scored(result) if all(name in t.parameters for name in names)]
    worst_first = sorted(ok, key=lambda t: t.score, reverse=not result.metric.greater_is_better)
    x = np.arange(len(names))
    for rank, trial in enumerate(worst_first):
        part = (rank + 1) / len(worst_first)
        heights = [_height(result.domains[name], trial.parameters[name]) for name in names]
        ax.plot(x, heights, color="C0", alpha=0.08 + 0.6 * part**3, zorder=1 + part)
    best = result.best_trial.parameters
    if all(name in best for name in names):
        heights = [_height(result.domains[name], best[name]) for name in names]
        ax.plot(x, heights, "o-", color="C1", zorder=3, label=f"best: {result.best_score:.4g}")
        figure.legend(loc="outside upper right")
    for position, name in enumerate(names):
        ax.axvline(position, color="0.8", linewidth=1, zorder=0)
        for height, text in _ticks(result.domains[name]):
            ax.annotate(text, (position, height), (4, 0), textcoords="offset points", fontsize=8)
    ax.set_xticks(x, names)
    ax.set(yticks=[], ylim=(-0.05, 1.05), xlim=(-0.2, len(names) - 0.4))
    for side in ("left", "right", "top", "bottom"):
        ax.spines[side].set_visible(False)
    return figure


def _figure(columns: int, width: float, height: float = 3.6) -> tuple[Figure, list[Axes]]:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ParameterError(
            "Plots need matplotlib.", hint='Run: pip install "dc-pipeline[plots]"'
        ) from error
    figure = Figure(figsize=(width * columns, height), layout="constrained")
    axes: Any = figure.subplots(1, columns, squeeze=False, sharey=True)
    return figure, [*axes[0]]


def _scored(result: TuningResult) -> list[Trial]:
    return [trial for trial in result.trials if trial.status == "ok"]


def _position(domain: Domain, value: Any) -> float:
    """Return where a value is on the axis of its parameter."""
    if isinstance(domain, Choice):
        return [repr(label) for label in domain.labels()].index(repr(label_of(value)))
    return float(value)


def _is_log(domain: Domain) -> bool:
    return isinstance(domain, LogUniform) or (isinstance(domain, Integer) and domain.log)


def _scale(ax: Axes, domain: Domain) -> None:
    if _is_log(domain):
        ax.set_xscale("log")
    if isinstance(domain, Choice):
        labels = [str(label) for label in domain.labels()]
        ax.set_xticks(range(len(labels)), labels, rotation=30 if max(map(len, labels)) > 8 else 0)


def _height(domain: Domain, value: Any) -> float:
    """Return where a value is between the least, 0, and the greatest, 1."""
    low, high = _bounds(domain)
    position = _position(domain, value)
    if _is_log(domain):
        low, high, position = math.log(low), math.log(high), math.log(position)
    return (position - low) / (high - low)


def _bounds(domain: Any) -> tuple[float, float]:
    if isinstance(domain, Choice):
        return 0, len(domain.values) - 1
    return domain.low, domain.high


def _ticks(domain: Any) -> list[tuple[float, str]]:
    if isinstance(domain, Choice):
        return [(_height(domain, value), str(label_of(value))) for value in domain.values]
    return [(0, f"{domain.low:g}"), (1, f"{domain.high:g}")]
