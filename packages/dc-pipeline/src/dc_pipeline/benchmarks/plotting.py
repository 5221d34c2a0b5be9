"""Draw the scores of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dc_core.errors import ParameterError
from dc_pipeline.metrics.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_scores(
    title: str, label: str, scores: Mapping[str, np.ndarray], intervals: Mapping[str, Interval]
) -> Figure:
    """Return a figure with a line per model: its scores as points, and the mean with its interval.

    Raises :class:`ParameterError` if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ParameterError(
            "Plots need matplotlib, which is not installed.",
            hint='pip install "dc-pipeline[plots]"',
        ) from error
    figure = Figure(figsize=(6, 1 + 0.6 * len(scores)), layout="constrained")
    axes = figure.subplots()
    for place, (model, found) in enumerate(scores.items()):
        interval = intervals[model]
        axes.plot(found, np.full(len(found), place), "o", color="0.6", markersize=4)
        axes.errorbar(
            interval.value,
            place,
            xerr=[[interval.value - interval.low], [interval.high - interval.value]],
            fmt="D",
            color="C0",
            capsize=4,
        )
    axes.set_yticks(range(len(scores)), labels=list(scores))
    axes.set_ylim(len(scores) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.set_title(title)
    return figure
