"""Figures of predicted classes: ROC and precision–recall curves, confusion, calibration.

All take one task: labels ``(n,)``, the numbers of the classes, and probabilities ``(n, classes)``.
Rows whose label is NaN or whose probabilities are not finite are left out. With two classes the
curves are those of class 1; with more, those of each class against the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from dc_core.errors import DatasetError, EmptyDataset
from dc_pipeline.reporting.palette import COLOURS, SERIES
from dc_pipeline.reporting.plotting import new_figure, styled, titled
from dc_pipeline.reporting.text import number, on_one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_VERTICES: Final = 1000
"""The largest number of points by which a curve is drawn."""

_ANNOTATED: Final = 10
"""Up to how many classes a confusion matrix shows its numbers."""

_BINS: Final = 10


class _Rows(NamedTuple):
    """The usable rows of a task: labels, probabilities, weights, and the names of the classes."""

    y: np.ndarray
    p: np.ndarray
    w: np.ndarray
    names: list[str]


@styled
def roc_plot(
    y: np.ndarray,
    prediction: np.ndarray,
    w: np.ndarray | None = None,
    *,
    classes: Sequence[str] = (),
    task: str = "",
) -> Figure:
    """Return the receiver operating characteristic, with the area under it.

    ``w`` are weights, ``(n,)``, and ``classes`` the names of the classes.

    Raises :class:`EmptyDataset` if no row is left, and :class:`DatasetError` if labels are not
    classes or all are of one.
    """
    from sklearn.metrics import auc, roc_curve

    rows = _usable(y, prediction, w, classes)
    figure, axes = new_figure(
        titled("ROC curve", task), "false positive rate", "true positive rate"
    )
    axes.plot([0, 1], [0, 1], color=COLOURS["muted"], linewidth=1, linestyle="--")
    for name, positive, score, colour in _one_vs_rest(rows):
        fall_out, recall, _ = roc_curve(positive, score, sample_weight=rows.w)
        label = f"{name}AUC {number(float(auc(fall_out, recall)))}"
        axes.plot(*_thinned(fall_out, recall), color=colour, linewidth=1.5, label=label)
    _finish(axes)
    figure.set_label(_described(task, "ROC curve", rows))
    return figure


@styled
def precision_recall_plot(
    y: np.ndarray,
    prediction: np.ndarray,
    w: np.ndarray | None = None,
    *,
    classes: Sequence[str] = (),
    task: str = "",
) -> Figure:
    """Return the precision–recall curve, with the average precision.

    The dashed line is the fraction of the class among the rows, the precision of a random order.
    Arguments and errors are those of :func:`roc_plot`.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    rows = _usable(y, prediction, w, classes)
    figure, axes = new_figure(titled("Precision–recall curve", task), "recall", "precision")
    for name, positive, score, colour in _one_vs_rest(rows):
        precision, recall, _ = precision_recall_curve(positive, score, sample_weight=rows.w)
        area = average_precision_score(positive, score, sample_weight=rows.w)
        base = float(np.average(positive, weights=rows.w))
        axes.axhline(base, color=colour, linewidth=1, linestyle="--", alpha=0.6)
        axes.plot(
            *_thinned(recall[::-1], precision[::-1]),
            color=colour,
            linewidth=1.5,
            drawstyle="steps-pre",
            label=f"{name}AP {number(float(area))}",
        )
    _finish(axes)
    figure.set_label(
        _described(task, "Precision–recall curve", rows, "Dashed: a random order of the rows.")
    )
    return figure


@styled
def confusion_plot(
    y: np.ndarray,
    prediction: np.ndarray,
    w: np.ndarray | None = None,
    *,
    classes: Sequence[str] = (),
    task: str = "",
) -> Figure:
    """Return the confusion matrix of the most probable classes.

    Cells show how many rows, and their shade the fraction of the true class. With weights they show
    the sums of the weights. Arguments and errors are those of :func:`roc_plot`; a single class is
    no error.
    """
    rows = _usable(y, prediction, w, classes, several=False)
    n = rows.p.shape[1]
    matrix = np.zeros((n, n))
    np.add.at(matrix, (rows.y, rows.p.argmax(axis=1)), rows.w)
    total = matrix.sum(axis=1, keepdims=True)
    fraction = np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
    figure, axes = new_figure(titled("Confusion matrix", task), "predicted class", "true class")
    axes.grid(visible=False)
    for (i, j), part in np.ndenumerate(fraction):
        axes.bar(j, 1, 1, i - 0.5, color=COLOURS["blue"], alpha=0.55 * part)
        if n <= _ANNOTATED:
            text = f"{matrix[i, j]:,.7g}\n{part:.0%}"
            axes.text(j, i, text, ha="center", va="center", fontsize=10 if n < 4 else 7)
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_aspect("equal")
    shown = np.arange(0, n, 1 + n // 25)
    names = [on_one_line(rows.names[i], 14) for i in shown]
    axes.set_xticks(shown, names, rotation=0 if n < 4 else 90)
    axes.set_yticks(shown, names)
    axes.tick_params(length=0)
    figure.set_label(
        _described(task, "Confusion matrix", rows, "Percentages are of the true class.")
    )
    return figure


@styled
def reliability_plot(
    y: np.ndarray,
    prediction: np.ndarray,
    w: np.ndarray | None = None,
    *,
    classes: Sequence[str] = (),
    task: str = "",
) -> Figure:
    """Return the observed frequency of a class against its predicted probability.

    It is class 1 of two; of several, the most probable one (Guo et al. 2017, arXiv:1706.04599). The
    probabilities are sorted into ten bins of equal width. Bars are Wilson's 95 % intervals (1927,
    doi:10.1080/01621459.1927.10502953) for as many rows as are in the bin. Arguments and errors are
    those of :func:`roc_plot`; a single class is no error.
    """
    rows = _usable(y, prediction, w, classes, several=False)
    which = np.ones(len(rows.y), np.intp) if rows.p.shape[1] == 2 else rows.p.argmax(axis=1)
    p = rows.p[np.arange(len(which)), which]
    hit = (rows.y == which).astype(float)
    bins = np.clip((p * _BINS).astype(np.intp), 0, _BINS - 1)
    count = np.bincount(bins, minlength=_BINS)
    weight, said, seen = (
        np.bincount(bins, rows.w * values, _BINS) for values in (np.ones_like(hit), p, hit)
    )
    used = weight > 0
    stated, observed = said[used] / weight[used], seen[used] / weight[used]
    low, high = _wilson(observed, count[used])
    figure, axes = new_figure(
        titled("Calibration", task), "predicted probability", "observed frequency"
    )
    centres = (np.arange(_BINS) + 0.5) / _BINS
    axes.bar(centres, 0.15 * count / count.max(), 0.09, color=COLOURS["muted"], alpha=0.35)
    axes.plot([0, 1], [0, 1], color=COLOURS["muted"], linewidth=1, linestyle="--")
    bars = np.clip([observed - low, high - observed], 0, None)
    colour = COLOURS["blue"]
    axes.errorbar(stated, observed, yerr=bars, fmt="o", color=colour, markersize=4, elinewidth=1)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    error = float(np.sum(weight[used] * np.abs(stated - observed)) / weight.sum())
    figure.set_label(
        _described(
            task,
            "Calibration",
            rows,
            f"Off by {number(error)} on average over ten bins; grey: how many rows each has.",
        )
    )
    return figure


def _usable(
    y: np.ndarray,
    prediction: np.ndarray,
    w: np.ndarray | None,
    classes: Sequence[str],
    *,
    several: bool = True,
) -> _Rows:
    """Return the rows that can be drawn."""
    y, p = np.asarray(y, float), np.asarray(prediction, float)
    w = np.ones(len(y)) if w is None else np.asarray(w, float)
    if p.ndim != 2 or p.shape[1] < 2 or not (y.shape == w.shape == p.shape[:1]):
        raise DatasetError(
            f"Labels of shape {y.shape}, probabilities of shape {p.shape} and weights of shape "
            f"{w.shape} are not those of one task.",
            hint="Give labels (n,), probabilities (n, classes) and weights (n,).",
        )
    known = np.isfinite(y) & np.isfinite(p).all(axis=1) & (w > 0)
    y, p, w = y[known], p[known], w[known]
    if len(y) == 0:
        raise EmptyDataset("There is no row with a label and a prediction to draw.")
    n = p.shape[1]
    if not np.isin(y, np.arange(n)).all():
        raise DatasetError(f"The labels are not all classes from 0 to {n - 1}.")
    if several and len(np.unique(y)) < 2:
        raise DatasetError("All labels are of one class, so that there is no curve.")
    names = [str(classes[c]) if c < len(classes) else str(c) for c in range(n)]
    return _Rows(y.astype(np.intp), p, w, names)


def _one_vs_rest(rows: _Rows) -> Iterator[tuple[str, np.ndarray, np.ndarray, str]]:
    """Yield name, labels, scores and colour of class 1 of two, or of the most frequent of more."""
    n = rows.p.shape[1]
    if n == 2:
        yield "", rows.y == 1, rows.p[:, 1], SERIES[0]
        return
    count = np.bincount(rows.y, minlength=n)
    frequent = [int(c) for c in np.argsort(-count, kind="stable") if 0 < count[c] < len(rows.y)]
    for c, colour in zip(frequent, SERIES, strict=False):
        yield f"{on_one_line(rows.names[c], 20)}: ", rows.y == c, rows.p[:, c], colour


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return at most so many points of a curve, the ends included."""
    if len(x) <= _VERTICES:
        return x, y
    kept = np.linspace(0, len(x) - 1, _VERTICES).astype(np.intp)
    return x[kept], y[kept]


def _wilson(fraction: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of Wilson's 95 % interval of a ``fraction`` of ``n``."""
    z = 1.959964
    centre = (fraction + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(fraction * (1 - fraction) / n + z**2 / (4 * n**2))
    return centre - half, centre + half


def _finish(axes: Any) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.legend(loc="best")


def _described(task: str, what: str, rows: _Rows, more: str = "") -> str:
    n = rows.p.shape[1]
    if n == 2:
        which = f"{int((rows.y == 1).sum()):,} of class {on_one_line(rows.names[1], 30)}"
    else:
        which = f"{n} classes"
    start = f"{on_one_line(task, 60)}: " if task else ""
    return f"{start}{what}, {len(rows.y):,} rows, {which}. {more}".strip()
