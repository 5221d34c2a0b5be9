"""Molecules, drawn by RDKit, on cards with notes on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rdkit.Chem.Draw import rdMolDraw2D

from dc_pipeline.featurizers.molecules import parse_smiles
from dc_pipeline.reporting.palette import COLOURS
from dc_pipeline.reporting.svg import inline_svg
from dc_pipeline.reporting.text import markup, number

_WIDTH: Final = 220
_HEIGHT: Final = 160
_BOND: Final = 22
"""The length of a bond in pixels, unless the molecule would not fit."""

_MAX_ATOMS: Final = 150
"""How many atoms a drawing may have: those of larger molecules are too small to see."""

_ELEMENTS: Final = {
    7: "blue",
    8: "vermillion",
    9: "green",
    15: "vermillion",
    16: "purple",
    17: "green",
    35: "green",
    53: "green",
}
"""The colours of elements by atomic number; all others have that of text."""


@dataclass(frozen=True, slots=True)
class MoleculeCard:
    """A molecule with a heading and some facts, by name; floats are rounded to three digits."""

    smiles: str
    heading: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MoleculeCards:
    """Molecules side by side, each drawn from its SMILES above the notes on it."""

    cards: Sequence[MoleculeCard]

    def _repr_html_(self) -> str:
        """Show the cards, in reports and notebooks."""
        return f'<ul class="cards">{"".join(map(_card, self.cards))}</ul>'


def molecule_svg(smiles: str) -> str:
    """Return the drawing of a molecule as an SVG element; empty if there is nothing to draw.

    That is so if the SMILES does not parse, or the molecule has no atoms or more than 150.
    """
    (molecule,) = parse_smiles([smiles], max_atoms=_MAX_ATOMS).molecules
    if molecule is None or molecule.GetNumAtoms() == 0:
        return ""
    drawer = rdMolDraw2D.MolDraw2DSVG(_WIDTH, _HEIGHT)
    options: Any = drawer.drawOptions()
    options.clearBackground = False
    options.fixedBondLength = _BOND
    options.bondLineWidth = 1.6
    options.padding = 0.06
    options.setAtomPalette({-1: _rgb("ink"), **{z: _rgb(name) for z, name in _ELEMENTS.items()}})
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, molecule)
    drawer.FinishDrawing()
    label = {"aria-label": f"Structure of {smiles[:200]}"}
    return inline_svg(drawer.GetDrawingText(), "molecule", label)


def _card(card: MoleculeCard) -> str:
    drawing = molecule_svg(card.smiles) or '<div class="undrawn">no drawing</div>'
    heading = f"<h3>{markup(card.heading)}</h3>" if card.heading else ""
    facts = "".join(
        f"<dt>{markup(name)}</dt><dd>{_fact(value)}</dd>" for name, value in card.facts.items()
    )
    smiles = f"<code>{markup(card.smiles, 120)}</code>" if card.smiles else ""
    return f"<li>{drawing}{heading}{smiles}<dl>{facts}</dl></li>"


def _fact(value: object) -> str:
    return markup(number(value) if isinstance(value, float) else value)


def _rgb(name: str) -> tuple[float, float, float]:
    colour = COLOURS[name].lstrip("#")
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue
