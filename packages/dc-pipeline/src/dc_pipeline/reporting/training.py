"""The figure of how training went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dc_core.errors import DatasetError
from dc_pipeline.reporting.palette import COLOURS, SERIES
from dc_pipeline.reporting.plotting import new_figure, styled
from dc_pipeline.reporting.text import number, on_one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RECORDED: Final = {"loss": "training", "valid_loss": "validation"}
_WIDE: Final = 50
"""From which ratio of the largest to the smallest loss on the axis is logarithmic."""


@styled
def learning_curve_plot(history: Iterable[Any] | Mapping[str, Iterable[float]]) -> Figure:
    """Return the losses by epoch; a dotted line marks the epoch of the lowest validation loss.

    ``history`` is the ``history`` of a trained model, whose records have ``loss`` and
    ``valid_loss``, or a mapping from names to one value per epoch, such as Keras returns. NaN is
    left out.

    Raises :class:`DatasetError` if there is no value to draw.
    """
    curves = _curves(history)
    figure, axes = new_figure("Loss by epoch", "epoch", "loss")
    parts = []
    colours = (COLOURS["muted"], *SERIES[1:])
    for (name, values), colour in zip(curves.items(), colours, strict=False):
        epochs = np.flatnonzero(np.isfinite(values)) + 1
        finite = values[epochs - 1]
        mark = "o" if len(finite) == 1 else None
        axes.plot(
            epochs, finite, color=colour, linewidth=1.5, marker=mark, label=on_one_line(name, 20)
        )
        best = int(epochs[finite.argmin()])
        parts.append(
            f"{on_one_line(name, 20)}: {number(finite[-1])} at the end, "
            f"lowest {number(finite.min())} in epoch {best}"
        )
        if name == _RECORDED["valid_loss"]:
            axes.axvline(best, color=COLOURS["muted"], linewidth=1, linestyle=":")
    values = np.concatenate([v[np.isfinite(v)] for v in curves.values()])
    if values.min() > 0 and values.max() > _WIDE * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: number(value))
        axes.yaxis.set_minor_formatter(lambda *_: "")
    axes.locator_params(axis="x", integer=True)
    axes.legend(loc="best")
    figure.set_label(f"Loss by epoch. {'; '.join(parts)}.")
    return figure


def _curves(history: Iterable[Any] | Mapping[str, Iterable[float]]) -> dict[str, np.ndarray]:
    """Return the curves that have a value to draw, by name."""
    if isinstance(history, Mapping):
        found = {str(name): np.asarray(list(values), float) for name, values in history.items()}
    else:
        records = list(history)
        found = {
            shown: np.array([getattr(record, name, np.nan) for record in records], float)
            for name, shown in _RECORDED.items()
        }
    drawn = {name: values for name, values in found.items() if np.isfinite(values).any()}
    if not drawn:
        raise DatasetError(
            "The history has no loss to draw.",
            hint="Give model.history, or a mapping: {'loss': [...], 'valid_loss': [...]}.",
        )
    return drawn
