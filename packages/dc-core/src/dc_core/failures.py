"""Report inputs that could not be used: the row, the status and the reason.

Every input has one row. An input that fails is neither dropped silently nor ends the run: it is in
the :class:`FailureReport`, and the other rows are used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, overload

from dc_core.display import html_table, shorten
from dc_core.errors import FeaturizationError
from dc_core.tables import make_table

STATUSES: Final = (
    "ok",
    "parse",
    "sanitize",
    "feature",
    "size",
    "label",
    "censored",
    "timeout",
    "crash",
)
"""The possible outcomes for an input: ``ok``, or the step that failed.

``parse``, ``sanitize`` and ``feature`` are the steps from input to features; ``size`` is an input
above the featurizer's limit; ``timeout`` and ``crash`` are failures of a worker. ``label`` and
``censored`` concern one label: it cannot be read, or it is a bound such as ``>5``. The row is kept.
"""

_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Failure:
    """One input, or one label of it, that could not be used.

    ``row`` is its row in the source, ``status`` one of :data:`STATUSES`, ``message`` the reason.
    ``task`` names the label that is missing for that reason; the row itself is kept. It is empty if
    the whole row could not be used.
    """

    row: int
    input: str
    status: str
    message: str
    task: str = ""

    def __str__(self) -> str:
        """Show the row, the input and the reason, shortened."""
        task = f", task {self.task!r}" if self.task else ""
        return f"row {self.row} ({shorten(self.input)!r}{task}): {shorten(self.message, 200)}"


@dataclass(frozen=True, slots=True)
class FailureReport:
    """The inputs and labels that could not be used, in the order of their rows.

    It is a sequence: ``len(report)``, ``report[0]`` and ``for failure in report`` work.
    """

    failures: tuple[Failure, ...] = ()

    def __len__(self) -> int:
        """Return how many inputs and labels failed."""
        return len(self.failures)

    def __iter__(self) -> Iterator[Failure]:
        """Iterate over the failures."""
        return iter(self.failures)

    @overload
    def __getitem__(self, key: int) -> Failure: ...
    @overload
    def __getitem__(self, key: slice) -> FailureReport: ...
    def __getitem__(self, key: int | slice) -> Failure | FailureReport:
        """Return one failure, or the report of a slice of them."""
        found = self.failures[key]
        return found if isinstance(found, Failure) else FailureReport(found)

    def __str__(self) -> str:
        """Show how many failed at which step, and the first few."""
        if not self.failures:
            return "no failures"
        rows = "; ".join(map(str, self.failures[:3]))
        more = "" if len(self) <= 3 else f"; and {len(self) - 3} more"
        return f"{self._counts()}: {rows}{more}"

    def __repr__(self) -> str:
        """Show how many failed at which step."""
        return f"FailureReport({self._counts()})"

    def _repr_html_(self) -> str:
        """Show the first failures as a table, in notebooks."""
        rows = [
            (f.row, shorten(f.input), f.status, f.task, shorten(f.message, 200))
            for f in self.failures[:_SHOWN]
        ]
        more = f", the first {_SHOWN}" if len(self) > _SHOWN else ""
        return html_table(
            f"{self._counts()}{more}", ("row", "input", "status", "task", "message"), rows
        )

    def to_dataframe(self, backend: str | None = None) -> Any:
        """Return a DataFrame with the columns row, input, status, message and task.

        ``backend`` is as in :meth:`Dataset.to_dataframe`.
        """
        names = ("row", "input", "status", "message", "task")
        columns = {name: [getattr(f, name) for f in self.failures] for name in names}
        return make_table(columns, backend)

    def raise_if_any(self) -> None:
        """Raise :class:`FeaturizationError` with this report's summary if anything failed."""
        if self.failures:
            raise FeaturizationError(
                f"{self}.", hint="Correct these inputs, or pass strict=False to leave them out."
            )

    def _counts(self) -> str:
        counts = Counter(failure.status for failure in self.failures)
        steps = ", ".join(f"{n} × {status}" for status, n in counts.items())
        return f"{len(self)} failed ({steps})" if steps else "no failures"
