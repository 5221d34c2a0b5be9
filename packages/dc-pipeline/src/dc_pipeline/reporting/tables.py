"""Tables of numbers and text, as accessible HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dc_pipeline.metrics.intervals import Interval
from dc_pipeline.reporting.text import markup, number

_LONGEST: Final = 1000
"""How many characters of a cell are shown."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption; the first column names the rows.

    Cells are numbers, which are aligned and rounded to three digits, intervals, or text. All text
    is escaped, and cut if it is long.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]

    def _repr_html_(self) -> str:
        """Show the table, in reports and notebooks."""
        head = "".join(f'<th scope="col">{markup(name)}</th>' for name in self.header)
        body = "".join(
            f'<tr><th scope="row">{_cell(row[0])}</th>{"".join(map(_data, row[1:]))}</tr>'
            for row in self.rows
        )
        return (
            f"<table><caption>{markup(self.caption)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


def _data(value: object) -> str:
    numeric = isinstance(value, int | float | np.number | Interval) and not isinstance(value, bool)
    opening = '<td class="number">' if numeric else "<td>"
    return f"{opening}{_cell(value)}</td>"


def _cell(value: object) -> str:
    if isinstance(value, Interval):
        return f"{number(value.value)} <small>{number(value.low)} to {number(value.high)}</small>"
    if isinstance(value, float | np.floating):
        return number(float(value))
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{value:,}"
    return markup("" if value is None else value, _LONGEST)
