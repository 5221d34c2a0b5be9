"""Figures of predicted numbers: parity, residuals, and the coverage of prediction intervals.

All take one task: labels ``(n,)`` and predictions ``(n,)``. Rows in which any of them is NaN or
infinite are left out, and the description of the figure says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import ndtri

from dc_core.errors import EmptyDataset, ParameterError
from dc_pipeline.metrics import checks
from dc_pipeline.reporting.palette import COLOURS
from dc_pipeline.reporting.plotting import RASTERIZED, new_figure, styled, titled, with_units
from dc_pipeline.reporting.text import number, on_one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEVELS: Final = np.arange(1, 20) / 20


@styled
def parity_plot(
    y: np.ndarray,
    prediction: np.ndarray,
    std: np.ndarray | None = None,
    *,
    task: str = "",
    units: str = "",
    level: float = 0.9,
) -> Figure:
    """Return the predicted values against the labels, with the line on which both are equal.

    With standard deviations ``std``, ``(n,)``, the bars are the central intervals that hold a label
    with the probability ``level``, if predictions are normal distributions. From 2 000 rows on, the
    points are an image and the bars are left out.

    Raises :class:`EmptyDataset` if no row is left, and :class:`ParameterError` unless ``level`` is
    between 0 and 1.
    """
    n = len(y)
    y, prediction, *deviations = _finite(y, prediction, *([] if std is None else [std]))
    figure, axes = new_figure(
        titled("Parity", task), with_units("measured", units), with_units("predicted", units)
    )
    parts = [f"Predicted against measured values, {len(y):,} rows{_left_out(n, len(y))}."]
    if deviations:
        half = _half_width(deviations[0], level)
        within = float(np.mean(np.abs(prediction - y) <= half))
        what = "Bars" if len(y) < RASTERIZED else "Not drawn"
        parts.append(
            f"{what}: {level:.0%} prediction intervals, which hold {within:.0%} of the labels."
        )
        if len(y) < RASTERIZED:
            faint = float(np.clip(3 / np.sqrt(len(y)), 0.08, 0.35))
            ends = prediction - half, prediction + half
            axes.vlines(y, *ends, COLOURS["blue"], linewidth=0.8, alpha=faint)
    _points(axes, y, prediction)
    low, high = _padded(np.concatenate([y, prediction]))
    axes.plot([low, high], [low, high], color=COLOURS["muted"], linewidth=1, linestyle="--")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    figure.set_label(_described(task, parts))
    return figure


@styled
def residual_plot(
    y: np.ndarray, prediction: np.ndarray, *, task: str = "", units: str = ""
) -> Figure:
    """Return the distribution of the residuals, prediction minus label, with their mean.

    Raises :class:`EmptyDataset` if no row is left.
    """
    n = len(y)
    y, prediction = _finite(y, prediction)
    residuals = prediction - y
    figure, axes = new_figure(
        titled("Residuals", task), with_units("predicted − measured", units), "rows"
    )
    low, high = _padded(residuals)
    edges = np.linspace(low, high, int(np.clip(2 * len(y) ** (1 / 3), 8, 60)) + 1)
    axes.hist(residuals, edges.tolist(), color=COLOURS["blue"], alpha=0.75, linewidth=0)
    axes.axvline(0, color=COLOURS["muted"], linewidth=1, linestyle="--")
    axes.axvline(float(residuals.mean()), color=COLOURS["vermillion"], linewidth=1.5)
    text = (
        f"Residuals of {len(y):,} rows{_left_out(n, len(y))}: mean {number(residuals.mean())} "
        f"(the solid line), standard deviation {number(residuals.std())}, half of them within "
        f"±{number(float(np.median(np.abs(residuals))))}."
    )
    figure.set_label(_described(task, [text]))
    return figure


@styled
def interval_coverage_plot(
    y: np.ndarray, mean: np.ndarray, std: np.ndarray, *, task: str = ""
) -> Figure:
    """Return how many labels the central prediction intervals hold, against how many they should.

    Predictions are normal distributions with ``mean`` and ``std``, each ``(n,)``. Above the
    diagonal the model is too careful, below it too sure (Kuleshov et al. 2018, arXiv:1807.00263).

    Raises :class:`EmptyDataset` if no row is left.
    """
    n = len(y)
    y, mean, std = _finite(y, mean, std)
    errors = np.abs(mean - y)
    observed = [float(np.mean(errors <= _half_width(std, level))) for level in _LEVELS]
    figure, axes = new_figure(
        titled("Interval coverage", task), "stated probability", "fraction of labels within"
    )
    axes.plot([0, 1], [0, 1], color=COLOURS["muted"], linewidth=1, linestyle="--")
    axes.plot([0, *_LEVELS, 1], [0, *observed, 1], color=COLOURS["blue"], linewidth=1.5)
    axes.plot(_LEVELS, observed, "o", color=COLOURS["blue"], markersize=3.5, linewidth=0)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    text = (
        f"Coverage of central prediction intervals, {len(y):,} rows{_left_out(n, len(y))}. "
        "Below the dashed line the model is too sure."
    )
    figure.set_label(_described(task, [text]))
    return figure


def _points(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Draw points, as an image if they are many."""
    many = len(x) >= RASTERIZED
    axes.plot(
        x,
        y,
        "o",
        color=COLOURS["blue"],
        markersize=2.2 if many else 4,
        markeredgewidth=0,
        alpha=float(np.clip(60 / np.sqrt(len(x)), 0.08, 0.7)),
        rasterized=many,
    )


def _finite(*columns: np.ndarray) -> list[np.ndarray]:
    """Return the rows in which all ``columns`` are finite, as float64."""
    table = np.array([np.asarray(column, float) for column in columns])
    found = table[:, np.isfinite(table).all(axis=0)]
    if found.shape[1] == 0:
        raise EmptyDataset("There is no row with a label and a finite prediction to draw.")
    return list(found)


def _half_width(std: np.ndarray, level: float) -> np.ndarray:
    """Return half the width of the central interval of probability ``level``."""
    if not 0 < checks.positive("level", level, 1) < 1:
        raise ParameterError(f"level={level!r} must be below 1.", hint="Choose 0.9, for example.")
    return np.asarray(std * ndtri((1 + level) / 2))


def _padded(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    pad = 0.05 * (high - low) or max(abs(low), 1.0) * 0.05
    return low - pad, high + pad


def _left_out(before: int, after: int) -> str:
    return f" ({before - after:,} left out)" if after < before else ""


def _described(task: str, parts: list[str]) -> str:
    return " ".join([f"{on_one_line(task, 60)}:" if task else "", *parts]).strip()
