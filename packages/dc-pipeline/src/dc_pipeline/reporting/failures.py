"""Tables of the inputs and labels that could not be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from dc_core import FailureReport
from dc_pipeline.reporting.tables import Table

_EXAMPLES: Final = 5


def failure_tables(reports: Mapping[str, FailureReport]) -> tuple[Table, ...]:
    """Return how many failed with which status, and the first examples of each.

    ``reports`` are failure reports by the name of what they are about, such as a part of a split.
    Without failures there is no table.
    """
    counts = {name: Counter(f.status for f in report) for name, report in reports.items()}
    statuses = [status for status, _ in sum(counts.values(), Counter()).most_common()]
    if not statuses:
        return ()
    header = ["status", *reports]
    rows = [[status, *(counts[name][status] for name in reports)] for status in statuses]
    examples: list[list[object]] = []
    for status in statuses:
        failed = [(name, f) for name, report in reports.items() for f in report]
        found = [(name, f) for name, f in failed if f.status == status][:_EXAMPLES]
        examples += [[status, name, f.row, f.input, f.task, f.message] for name, f in found]
    columns = ["status", "where", "row", "input", "task", "message"]
    if not any(row[4] for row in examples):
        columns.remove("task")
        examples = [[*row[:4], row[5]] for row in examples]
    title = f"The first {_EXAMPLES} of each status"
    return Table("Failures by status", header, rows), Table(title, columns, examples)
