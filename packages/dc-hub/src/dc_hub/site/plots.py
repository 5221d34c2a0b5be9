"""Plots of golden rows as SVG in the page's own colours.

Each takes arrays and returns an element for the page. The same arrays give the same bytes. What
cannot be drawn honestly is not drawn: without measured values there is no plot of predicted against
measured ones, and a caption says how many rows it shows and what was left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from dc_hub.site.markup import Markup, element, number, on_one_line

MAX_POINTS: Final = 1000
"""Of more rows, so many are drawn, evenly spaced in the file."""

MAX_CLASSES: Final = 12
"""A confusion matrix of more classes is not drawn."""

_WIDTH: Final = 360
_LEFT: Final = 56
_RIGHT: Final = 12
_TOP: Final = 12
_BOTTOM: Final = 46
_BINS: Final = 24
_HUGE: Final = 1e150
_TINY: Final = 1e-150
"""Squares of values between these are numbers."""
_ROUNDING: Final = 1e-12
"""A range of this share of the values is not drawn as one."""


def predicted_against_measured(
    measured: np.ndarray, predicted: np.ndarray, units: str = ""
) -> Markup | None:
    """Return a figure of predicted against measured values, ``(n,)`` each, and their errors.

    Rows of which one is not finite are left out; None if fewer than two are left.
    """
    finite = np.isfinite(measured) & np.isfinite(predicted)
    x, y = measured[finite], predicted[finite]
    if len(x) < 2:
        return None
    bounds = _around(np.concatenate((x, y)), 0.04)
    if bounds is None:
        return None
    axis = _Axis(*bounds, steps=7)
    height = _WIDTH - _LEFT - _RIGHT + _TOP + _BOTTOM
    frame = _Frame(axis, axis, height)
    shown = _evenly(len(x))
    start, end = (frame.point(value, value) for value in (axis.low, axis.high))
    drawing = [
        frame.grid(),
        element("path", class_="identity", d=f"M{start}L{end}"),
        _dots(frame, x[shown], y[shown]),
        frame.labels(_with_units("measured", units), _with_units("predicted", units)),
    ]
    error = y - x
    total = float(((x - x.mean()) ** 2).sum())
    facts = [
        _rows(len(x)),
        f"RMSE {number(float(np.sqrt((error**2).mean())), 3)}",
        f"MAE {number(float(np.abs(error).mean()), 3)}",
        *([f"R² {number(1 - float((error**2).sum()) / total, 3)}"] if total > 0 else []),
    ]
    return _figure("Predicted against measured", drawing, height, facts, len(x), len(finite))


def class_probabilities(
    measured: np.ndarray, probability: np.ndarray, classes: Sequence[str]
) -> Markup | None:
    """Return a figure of the probabilities of the second class, by the measured class.

    ``measured`` is ``(n,)`` of 0 and 1, ``probability`` ``(n,)``, and ``classes`` are the names of
    both. None if fewer than two rows are usable.
    """
    usable = np.isin(measured, (0, 1)) & np.isfinite(probability)
    truth, p = measured[usable].astype(bool), probability[usable]
    if len(p) < 2:
        return None
    drawn = p.clip(0, 1)  # rounding leads beyond them
    counts = [np.histogram(drawn[truth == side], _BINS, (0, 1))[0] for side in (True, False)]
    highest, lowest = (int(count.max()) for count in counts)
    room = 0.18 * (highest + lowest)  # for the names of the classes
    height = 320
    y = _Axis(-lowest - room, highest + room, steps=5)
    frame = _Frame(_Axis(0, 1), y, height, absolute=True)
    drawing = [
        frame.grid(),
        element("path", class_="bars first", d=_bars(frame, counts[0], 0, 1)),
        element("path", class_="bars second", d=_bars(frame, -counts[1], 0, 1)),
        frame.line(0),
        _inside(frame, classes[1], top=True),
        _inside(frame, classes[0], top=False),
        frame.labels(f"predicted probability of {on_one_line(classes[1], 24)}", "rows"),
    ]
    facts = [_rows(len(p))]
    if 0 < truth.sum() < len(truth):
        facts.append(f"ROC AUC {number(_area(truth, p), 3)}")
    facts.append(f"accuracy at 0.5 {number(float(((p >= 0.5) == truth).mean()), 3)}")
    title = "Predicted probability by measured class"
    return _figure(title, drawing, height, facts, len(p), len(usable))


def confusion(
    measured: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> Markup | None:
    """Return a figure of how many rows of each measured class are predicted as which.

    ``measured`` is ``(n,)`` of class numbers and ``probabilities`` ``(n, classes)``. None if there
    is no usable row, or more than ``MAX_CLASSES`` classes.
    """
    count = probabilities.shape[1]
    usable = np.isin(measured, np.arange(count)) & np.isfinite(probabilities).all(axis=1)
    if count > MAX_CLASSES or not usable.any():
        return None
    truth, guess = measured[usable].astype(int), probabilities[usable].argmax(axis=1)
    matrix = np.zeros((count, count), int)
    np.add.at(matrix, (truth, guess), 1)
    left, side = 96, (_WIDTH - 96 - _RIGHT) / count
    height = round(_TOP + side * count + _BOTTOM)
    drawing = []
    for (i, j), rows in np.ndenumerate(matrix):
        share = rows / max(int(matrix[i].sum()), 1)
        x, y = left + j * side, _TOP + i * side
        drawing += [
            element(
                "rect",
                class_="cell",
                x=_short(x + 1),
                y=_short(y + 1),
                width=_short(side - 2),
                height=_short(side - 2),
                fill_opacity=f"{0.06 + 0.44 * share:.2f}",
            ),
            _text(
                x + side / 2, y + side / 2 + 4, f"{rows:,}", "middle", "value" if rows else "zero"
            ),
        ]
    for i, name in enumerate(classes):
        middle = (i + 0.5) * side
        drawing += [
            _text(left - 8, _TOP + middle + 4, on_one_line(name, 12), "end", "tick"),
            _text(
                left + middle,
                _TOP + side * count + 16,
                on_one_line(name, 6 if count > 6 else 12),
                "middle",
                "tick",
            ),
        ]
    drawing += [
        _text(left + side * count / 2, height - 6, "predicted class", "middle", "label"),
        _turned(12, _TOP + side * count / 2, "measured class"),
    ]
    facts = [_rows(int(usable.sum())), f"accuracy {number(float((truth == guess).mean()), 3)}"]
    return _figure(
        "Measured and predicted classes", drawing, height, facts, int(usable.sum()), len(usable)
    )


def distribution(values: np.ndarray, label: str) -> Markup | None:
    """Return a figure of how the ``values``, ``(n,)``, are distributed; None without any."""
    finite = values[np.isfinite(values)]
    bounds = _around(finite, 0.0) if len(finite) else None
    if bounds is None:
        return None
    counts, _ = np.histogram(finite, _BINS, bounds)
    height = 240
    frame = _Frame(_Axis(*bounds), _Axis(0, 1.06 * counts.max(), steps=4), height)
    drawing = [
        frame.grid(),
        element("path", class_="bars first", d=_bars(frame, counts, frame.x.low, frame.x.high)),
        frame.line(0),
        frame.labels(label, "rows"),
    ]
    facts = [
        _rows(len(finite)),
        f"from {number(float(finite.min()))} to {number(float(finite.max()))}",
        "no measured values are stored, so this says nothing about errors",
    ]
    return _figure("Distribution of the outputs", drawing, height, facts, len(finite), len(values))


def _around(values: np.ndarray, margin: float) -> tuple[float, float] | None:
    """Return the bounds of an axis of ``values`` with a ``margin``, a share of their range.

    Values that differ by little more than rounding have a wide margin instead. None if the values
    are too large to be drawn.
    """
    low, high = float(values.min()), float(values.max())
    largest = max(abs(low), abs(high))
    if largest > _HUGE:
        return None
    room = margin * (high - low)
    if high - low <= max(_ROUNDING * largest, _TINY):
        room = 0.1 * max(largest, 1.0)
    return low - room, high + room


class _Axis:
    """A linear axis from ``low`` to ``high`` with ticks at round numbers."""

    def __init__(self, low: float, high: float, steps: int = 5) -> None:
        self.low, self.high = low, high
        rough = (high - low) / steps
        power = 10.0 ** math.floor(math.log10(rough))
        self.step = power * next(
            factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999
        )
        first = math.ceil(low / self.step - 1e-9)
        last = math.floor(high / self.step + 1e-9)
        self.ticks = [i * self.step for i in range(first, min(last, first + 2 * steps) + 1)]

    def share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)


class _Frame:
    """The area of a plot between its axes. ``absolute`` shows ticks below 0 without a sign."""

    def __init__(self, x: _Axis, y: _Axis, height: int, *, absolute: bool = False) -> None:
        self.x, self.y, self.height, self.absolute = x, y, height, absolute

    def across(self, value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * self.x.share(value)

    def down(self, value: float) -> float:
        bottom = self.height - _BOTTOM
        return bottom - (bottom - _TOP) * self.y.share(value)

    def point(self, x: float, y: float) -> str:
        return f"{_short(self.across(x))} {_short(self.down(y))}"

    def grid(self) -> Markup:
        """Return the lines and numbers of the ticks of both axes."""
        right, bottom = _WIDTH - _RIGHT, self.height - _BOTTOM
        lines = [f"M{_short(self.across(tick))} {_TOP}V{bottom}" for tick in self.x.ticks]
        lines += [f"M{_LEFT} {_short(self.down(tick))}H{right}" for tick in self.y.ticks]
        texts = [
            _text(self.across(tick), bottom + 16, _tick(tick, self.x.step), "middle", "tick")
            for tick in self.x.ticks
        ]
        texts += [
            _text(
                _LEFT - 8,
                self.down(tick) + 4,
                _tick(abs(tick) if self.absolute else tick, self.y.step),
                "end",
                "tick",
            )
            for tick in self.y.ticks
        ]
        return Markup(element("path", class_="grid", d="".join(lines)) + "".join(texts))

    def line(self, value: float) -> Markup:
        """Return a horizontal line at ``value``."""
        y = _short(self.down(value))
        return element("path", class_="axis", d=f"M{_LEFT} {y}H{_WIDTH - _RIGHT}")

    def labels(self, x: str, y: str) -> Markup:
        """Return the labels of the axes."""
        bottom = self.height - _BOTTOM
        return Markup(
            _text((_LEFT + _WIDTH - _RIGHT) / 2, self.height - 6, x, "middle", "label")
            + _turned(12, (_TOP + bottom) / 2, y)
        )


def _figure(
    title: str, drawing: list[Markup], height: int, facts: list[str], drawn: int, given: int
) -> Markup:
    if given > drawn:
        facts.append(f"{_rows(given - drawn)} without usable values left out")
    caption = f"{title}: {', '.join(facts)}."
    svg = element(
        "svg",
        *drawing,
        viewBox=f"0 0 {_WIDTH} {height}",
        role="img",
        aria_label=caption,
        class_="plot",
    )
    more = (
        f" {MAX_POINTS:,} of them are drawn." if drawn > MAX_POINTS and "against" in title else ""
    )
    shown = element("strong", title), ". ", ", ".join(facts), ".", more
    return element("figure", svg, element("figcaption", *shown))


def _rows(count: int) -> str:
    return f"{count:,} row{'s' if count != 1 else ''}"


def _dots(frame: _Frame, x: np.ndarray, y: np.ndarray) -> Markup:
    places = [(frame.across(a), frame.down(b)) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    dots = [element("circle", cx=_short(across), cy=_short(down), r=3) for across, down in places]
    return element("g", *dots, class_="points")


def _bars(frame: _Frame, counts: np.ndarray, low: float, high: float) -> Markup:
    edges = np.linspace(low, high, len(counts) + 1).tolist()
    base = _short(frame.down(0))
    return Markup(
        "".join(
            f"M{_short(frame.across(a) + 0.5)} {base}V{_short(frame.down(n))}"
            f"H{_short(frame.across(b) - 0.5)}V{base}Z"
            for a, b, n in zip(edges, edges[1:], counts.tolist(), strict=False)
            if n
        )
    )


def _inside(frame: _Frame, name: str, *, top: bool) -> Markup:
    y = _TOP + 14 if top else frame.height - _BOTTOM - 8
    text = f"measured: {on_one_line(name, 30)}"
    return _text(_LEFT + 8, y, text, "start", "legend first" if top else "legend second")


def _text(x: float, y: float, text: str, anchor: str, kind: str) -> Markup:
    return element("text", text, x=_short(x), y=_short(y), text_anchor=anchor, class_=kind)


def _turned(x: float, y: float, text: str) -> Markup:
    return element(
        "text",
        text,
        transform=f"translate({_short(x)} {_short(y)}) rotate(-90)",
        text_anchor="middle",
        class_="label",
    )


def _tick(value: float, step: float) -> str:
    if abs(value) < step * 1e-6:
        return "0"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return (
        f"{value:.{digits}f}".replace("-", "−")
        if digits < 7 and abs(value) < 1e6
        else number(value, 3)
    )


def _with_units(what: str, units: str) -> str:
    return f"{what} ({on_one_line(units, 30)})" if units else what


def _evenly(count: int) -> np.ndarray:
    """Return the numbers of at most ``MAX_POINTS`` of ``count`` rows."""
    return np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).round().astype(int))


def _area(truth: np.ndarray, score: np.ndarray) -> float:
    """Return the area under the ROC curve: how often a positive row scores above a negative one.

    Ties count half (Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747).
    """
    _, which, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[which]
    positive = int(truth.sum())
    above = float(rank[truth].sum()) - positive * (positive + 1) / 2
    return above / (positive * (len(truth) - positive))


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
