"""The rounds of active learning, and the directory that keeps them."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from dc_core import Failure, FailureReport, sync_directory
from dc_core.errors import RunMismatch

_HEADER: Final = "learning.json"
_FORMAT: Final = 1


@dataclass(frozen=True)
class LearningRound:
    """One round: the queried rows, the model's predictions, and the oracle's labels.

    ``rows`` are row numbers of the pool, ``(k,)``, the best first. ``labels`` are ``(k, tasks)``,
    NaN where the oracle failed; ``failures`` has the reasons, by row of the pool. ``mean`` and
    ``std`` are ``(k,)``, predicted before the labels were known; NaN if they were not needed.
    ``best`` is the best label after the round, NaN if there is none.
    """

    number: int
    rows: np.ndarray
    labels: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    best: float = np.nan
    failures: FailureReport = field(default_factory=FailureReport)

    def __str__(self) -> str:
        """Show how many rows were asked, how many failed, and the best label so far."""
        failed = f", {len(self.failures)} failed" if self.failures.failures else ""
        return f"round {self.number}: {len(self.rows)} asked{failed}, best {self.best:.4g}"


class RoundStore:
    """A directory with a file for each round; a file is there complete, or not at all.

    ``origin`` says what the rounds are of. Raises :class:`RunMismatch` if the directory has rounds
    of something else, or other files.
    """

    def __init__(self, directory: Path, origin: Mapping[str, str]) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        header = directory / _HEADER
        if not header.exists():
            if any(not path.name.startswith(".") for path in directory.iterdir()):
                raise RunMismatch(
                    f"{directory} has other files and no {_HEADER}.",
                    hint="Choose a new or an empty directory.",
                )
            self._write(header, {"format": _FORMAT, **origin})
        found = _read(header)
        for name, value in {"format": _FORMAT, **origin}.items():
            if found.get(name) != value:
                raise RunMismatch(
                    f"{directory} has the rounds of another learner: its {name} is different.",
                    hint="Choose another directory, or delete this one to start afresh.",
                )

    def read(self, rows: int, tasks: int) -> list[LearningRound]:
        """Return the rounds of a pool of so many ``rows``, each asked at most once, and ``tasks``.

        Raises :class:`RunMismatch` for a file that contradicts that.
        """
        rounds: list[LearningRound] = []
        asked: set[int] = set()
        while (path := self._path(len(rounds))).exists():
            fields = _read(path)
            try:
                made = _round(len(rounds), fields, rows, tasks)
                if asked.intersection(made.rows.tolist()):
                    raise ValueError("a row is asked again")
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise RunMismatch(
                    f"{path} is damaged: {type(error).__name__}: {error}.",
                    hint="Delete it and those with higher numbers: these rounds are asked again.",
                ) from error
            asked.update(made.rows.tolist())
            rounds.append(made)
        if len(rounds) < sum(1 for _ in self.directory.glob("round-*.json")):
            raise RunMismatch(
                f"{self._path(len(rounds))} is missing, and rounds with higher numbers are there.",
                hint="Delete those with higher numbers: these rounds are asked again.",
            )
        return rounds

    def append(self, made: LearningRound) -> None:
        """Write a round.

        Raises :class:`RunMismatch` if it is there already.
        """
        path = self._path(made.number)
        if path.exists():
            raise RunMismatch(
                f"{path} exists: another program continues these rounds.",
                hint="Use one at a time.",
            )
        failures = [[f.row, f.input, f.status, f.message] for f in made.failures]
        fields = {name: getattr(made, name).tolist() for name in ("rows", "labels", "mean", "std")}
        self._write(path, {**fields, "failures": failures})

    def _path(self, number: int) -> Path:
        return self.directory / f"round-{number:05}.json"

    def _write(self, path: Path, fields: Mapping[str, Any]) -> None:
        temporary = path.with_name(f".{uuid.uuid4().hex}")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(fields, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(self.directory)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise RunMismatch(f"{path} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise RunMismatch(f"{path} is no mapping.")
    return found


def _round(number: int, fields: Mapping[str, Any], rows: int, tasks: int) -> LearningRound:
    """Return a round from the fields of a file; raises ``ValueError`` and its like."""
    chosen = fields["rows"]
    if not isinstance(chosen, list) or not all(type(row) is int for row in chosen):
        raise ValueError("rows are not integers")
    if not chosen or len({*chosen}) < len(chosen) or not 0 <= min(chosen) <= max(chosen) < rows:
        raise ValueError("rows are none of the pool's, or repeated")
    k = len(chosen)
    labels = _floats(fields["labels"], (k, tasks))
    if np.isinf(labels).any():
        raise ValueError("a label is infinite")
    mean, std = (_floats(fields[name], (k,)) for name in ("mean", "std"))
    failures = tuple(_failure(values, chosen) for values in fields["failures"])
    if {f.row for f in failures} != {
        r for r, y in zip(chosen, labels, strict=True) if np.isnan(y).all()
    }:
        raise ValueError("failures are not those of the rows without labels")
    return LearningRound(
        number, np.array(chosen), labels, mean, std, np.nan, FailureReport(failures)
    )


def _floats(values: Any, form: tuple[int, ...]) -> np.ndarray:
    found = np.array(values, np.float64)
    if found.shape != form:
        raise ValueError(f"an array has shape {found.shape} instead of {form}")
    return found


def _failure(values: Any, rows: Sequence[int]) -> Failure:
    row, *texts = values
    if type(row) is not int or row not in rows or not all(type(text) is str for text in texts):
        raise ValueError("a failure is not of the rows asked")
    text, status, message = texts
    return Failure(row, text, status, message)
