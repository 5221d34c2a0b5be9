"""The journal of a tuning: a file with a line for each trial, in order.

A line is appended when the trial is finished, so that the journal is all that resuming needs: the
tuner proposes its trials anew, and those that the journal has are not run.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dc_core.errors import RunMismatch
from dc_pipeline.tuning.trials import STATUSES, Outcome

_FORMAT: Final = 1


class Journal:
    """The trials that are finished, in the file ``path``, which need not exist.

    ``key`` identifies what is tuned, and on which rows.

    Raises :class:`RunMismatch` if the file is the journal of something else, or is damaged.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self._header = {"format": _FORMAT, "key": key}
        lines = read_lines(path)
        if lines and lines[0] != self._header:
            raise RunMismatch(
                f"{path} is the journal of another tuning: the estimator, the function, the rows, "
                "the folds or the metric differ.",
                hint="Choose another directory, or delete this one to start afresh.",
            )
        self.labels: list[dict[str, Any]] = []
        self.outcomes: list[Outcome] = []
        for number, line in enumerate(lines[1:]):
            labels, outcome = parse_trial(path, number, line)
            self.labels.append(labels)
            self.outcomes.append(outcome)

    def __len__(self) -> int:
        """Return the number of trials that are finished."""
        return len(self.outcomes)

    def append(self, labels: Sequence[Mapping[str, Any]], outcomes: Sequence[Outcome]) -> None:
        """Write the next trials, and wait until they are on the disk."""
        lines: list[Any] = [] if self._size() else [self._header]
        for number, (parameters, outcome) in enumerate(
            zip(labels, outcomes, strict=True), len(self)
        ):
            lines.append(
                {
                    "number": number,
                    "parameters": dict(parameters),
                    "status": outcome.status,
                    "scores": list(outcome.scores),
                    "seconds": None if math.isnan(outcome.seconds) else outcome.seconds,
                    "message": outcome.message,
                    "reports": [[step, value] for step, value in outcome.reports.items()],
                    "notes": dict(outcome.notes),
                }
            )
            self.labels.append(dict(parameters))
            self.outcomes.append(outcome)
        with self.path.open("ab") as file:
            file.truncate(self._size())
            file.write("".join(f"{json.dumps(line)}\n" for line in lines).encode())
            file.flush()
            os.fsync(file.fileno())

    def _size(self) -> int:
        """Return the size of the complete lines."""
        return _complete(self.path.read_bytes()) if self.path.exists() else 0


def read_lines(path: Path) -> list[Any]:
    """Return the complete lines of a journal as JSON; none if it does not exist.

    Raises :class:`RunMismatch` if one is not JSON.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    try:
        return [json.loads(line) for line in data[: _complete(data)].splitlines()]
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error


def parse_trial(path: Path, number: int, line: Any) -> tuple[dict[str, Any], Outcome]:
    """Return the labels and the outcome in a line.

    Raises :class:`RunMismatch` unless it is that of the trial ``number``.
    """
    try:
        if line["number"] != number:
            raise ValueError(f"trial {line['number']!r} is in the place of trial {number}")
        labels, notes = line["parameters"], line["notes"]
        if not isinstance(labels, dict) or not isinstance(notes, dict):
            raise TypeError("parameters or notes are not a mapping")
        if line["status"] not in STATUSES:
            raise ValueError(f"{line['status']!r} is not a status")
        outcome = Outcome(
            line["status"],
            tuple(map(_finite, line["scores"])),
            math.nan if line["seconds"] is None else _finite(line["seconds"]),
            str(line["message"]),
            {int(step): _finite(value) for step, value in line["reports"]},
            notes,
        )
        if outcome.status == "ok" and not outcome.scores:
            raise ValueError("there is no score")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _damaged(path, f"trial {number}: {type(error).__name__}: {error}") from error
    return labels, outcome


def _finite(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)


def _complete(data: bytes) -> int:
    """Return the size of the complete lines: the last may be cut off by an interruption."""
    return data.rfind(b"\n") + 1


def _damaged(path: Path, what: str) -> RunMismatch:
    return RunMismatch(
        f"{path} is damaged: {what}.", hint="Choose another directory, or delete this one."
    )
