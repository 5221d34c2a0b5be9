"""The errors of a model by scaffold: where it fails, and on which ring systems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING, Final

import numpy as np

from dc_core.errors import DatasetError
from dc_pipeline.reporting.molecules import MoleculeCard, MoleculeCards
from dc_pipeline.reporting.palette import COLOURS
from dc_pipeline.reporting.plotting import RASTERIZED, new_figure, styled, titled, with_units
from dc_pipeline.reporting.text import number, on_one_line
from dc_pipeline.splitters.scaffolds import scaffold_smiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ACYCLIC: Final = "no ring"
_REST: Final = "others"
_BOXED: Final = 8
"""From how many errors on a box says more than the points."""


@dataclass(frozen=True, slots=True)
class ScaffoldErrors:
    """The errors of one scaffold's molecules, ``(n,)``.

    ``name`` is a letter, ``"no ring"`` or ``"others"``; ``scaffold`` is its SMILES, empty for the
    last two.
    """

    name: str
    scaffold: str
    errors: np.ndarray


def errors_by_scaffold(
    smiles: Sequence[str], errors: np.ndarray, *, largest: int = 8, minimum: int = 2
) -> tuple[ScaffoldErrors, ...]:
    """Return the ``errors`` of molecules, ``(n,)``, by Bemis–Murcko scaffold, the largest first.

    At most ``largest`` scaffolds of at least ``minimum`` molecules have an entry of their own;
    molecules without a ring have one, and so have all others together, those without a scaffold
    included. NaN is left out.

    Raises :class:`DatasetError` unless there is one SMILES per error.
    """
    if len(smiles) != len(errors):
        raise DatasetError(f"There are {len(smiles)} SMILES and {len(errors)} errors.")
    known = np.flatnonzero(np.isfinite(errors))
    cores = scaffold_smiles([smiles[i] for i in known.tolist()]).scaffolds
    groups: dict[str | None, list[float]] = {}
    for core, error in zip(cores, errors[known].tolist(), strict=True):
        groups.setdefault(core, []).append(error)
    sized = sorted(
        (core for core in groups if core and len(groups[core]) >= minimum),
        key=lambda core: (-len(groups[core]), core),
    )
    letters = ascii_uppercase[: max(0, min(largest, len(ascii_uppercase)))]
    named = dict(zip(sized, letters, strict=False))
    rest = [e for core, found in groups.items() if core != "" and core not in named for e in found]
    found = [ScaffoldErrors(name, core, np.array(groups[core])) for core, name in named.items()]
    if "" in groups:
        found.append(ScaffoldErrors(_ACYCLIC, "", np.array(groups[""])))
    if rest:
        found.append(ScaffoldErrors(_REST, "", np.array(rest)))
    return tuple(found)


@styled
def scaffold_plot(
    groups: Iterable[ScaffoldErrors],
    *,
    task: str = "",
    units: str = "",
    what: str = "predicted − measured",
) -> Figure:
    """Return the errors of each group of :func:`errors_by_scaffold`, with their median.

    Groups of fewer than eight errors are points, larger ones are boxes: the quartiles, with
    whiskers to the furthest error within 1.5 times their distance and points beyond.

    Raises :class:`DatasetError` if there is no group.
    """
    shown = list(groups)
    if not shown:
        raise DatasetError("There is no error to draw.")
    figure, axes = new_figure(titled("By scaffold", task), "", with_units(what, units))
    for place, group in enumerate(shown):
        low, median, high = np.quantile(group.errors, (0.25, 0.5, 0.75))
        reach = 1.5 * (high - low)
        beyond = (group.errors < low - reach) | (group.errors > high + reach)
        boxed = len(group.errors) >= _BOXED
        points = group.errors[beyond] if boxed else group.errors
        axes.plot(
            np.full(len(points), place),
            points,
            "o",
            color=COLOURS["blue"],
            markersize=4,
            markeredgewidth=0,
            alpha=0.6,
            rasterized=len(points) >= RASTERIZED,
        )
        if boxed:
            inner = group.errors[~beyond]
            edge = COLOURS["blue"]
            axes.bar(place, high - low, 0.6, low, color="none", edgecolor=edge, linewidth=1.2)
            ends = [inner.min(), high], [low, inner.max()]
            axes.vlines([place, place], *ends, edge, linewidth=1)
        axes.hlines(median, place - 0.3, place + 0.3, COLOURS["vermillion"], linewidth=1.6)
    axes.axhline(0, color=COLOURS["muted"], linewidth=1, linestyle="--")
    axes.set_xticks(range(len(shown)), [f"{group.name}\n{len(group.errors):,}" for group in shown])
    axes.set_xlim(-0.6, len(shown) - 0.4)
    axes.grid(visible=False, axis="x")
    start = f"{on_one_line(task, 60)}: " if task else ""
    figure.set_label(
        f"{start}Errors by scaffold, above the number of molecules. The bars are medians, and "
        f"boxes the quartiles of at least {_BOXED} molecules."
    )
    return figure


def scaffold_cards(groups: Iterable[ScaffoldErrors], *, units: str = "") -> MoleculeCards:
    """Return the drawn scaffolds, with the number, mean and spread of their errors."""
    unit = f" {on_one_line(units, 20)}" if units else ""
    return MoleculeCards(
        [
            MoleculeCard(
                group.scaffold,
                f"Scaffold {group.name}",
                {
                    "molecules": len(group.errors),
                    "mean error": f"{number(group.errors.mean())}{unit}",
                    "RMS error": f"{number(np.sqrt(np.mean(group.errors**2)))}{unit}",
                },
            )
            for group in groups
            if group.scaffold
        ]
    )
