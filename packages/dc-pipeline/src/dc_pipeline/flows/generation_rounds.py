"""The directory of a hill climbing: a folder for each complete round, and the last weights.

``run.json`` says what the rounds are of. A round is written into ``tmp-…`` and then renamed to
``round-0001``: its record, the molecules that were new, and the bits of the generator's weights
after it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from dc_core import WeightInfo, dtypes, sync_directory, sync_file
from dc_core.errors import RunMismatch

_FORMAT: Final = 1
_RUN: Final = "run.json"
_RECORD: Final = "round.json"
_MOLECULES: Final = "molecules.csv"
_WEIGHTS: Final = "weights.npz"
_TEMPORARY: Final = "tmp-"
_UNREADABLE: Final = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)
_NAME: Final = re.compile(r"round-(\d{4,9})")


class StoredRound(NamedTuple):
    """The record of a round as plain values, and the scores of the molecules that were new."""

    record: Mapping[str, Any]
    scores: Mapping[str, float]


class RoundDirectory:
    """Reads and writes the rounds in ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(
        self, settings: Mapping[str, Any], weights: Mapping[str, np.ndarray]
    ) -> list[StoredRound]:
        """Return the complete rounds in order; make the directory if there is none.

        ``weights`` are the generator's: those that the first round began with, or those that the
        last one ended with.

        Raises :class:`RunMismatch` if the rounds are of other settings or another generator, or
        cannot be read.
        """
        header = {"format": _FORMAT, "settings": dict(settings), "weights": _digest(weights)}
        self.path.mkdir(parents=True, exist_ok=True)
        for left in self.path.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(left, ignore_errors=True)
        file = self.path / _RUN
        if not file.exists():
            if any(self.path.iterdir()):
                raise RunMismatch(
                    f"{self.path} contains other files and no {_RUN}.",
                    hint="Choose a new or an empty directory.",
                )
            unfinished = self.path / f"{_TEMPORARY}{uuid.uuid4().hex}"
            unfinished.mkdir()
            (unfinished / _RUN).write_text(json.dumps(header, indent=1), encoding="utf-8")
            sync_file(unfinished / _RUN)
            (unfinished / _RUN).replace(file)
            unfinished.rmdir()
            sync_directory(self.path)
            return []
        stored = _read_json(file)
        if stored.get("format") != _FORMAT:
            raise RunMismatch(
                f"{file} has the format {stored.get('format')!r}; this version reads {_FORMAT}.",
                hint="Run: pip install --upgrade dc-pipeline",
            )
        found = stored.get("settings")
        for name, value in settings.items():
            if not isinstance(found, dict) or found.get(name) != value:
                raise RunMismatch(
                    f"The rounds in {self.path} were made with another {name}.",
                    hint="Choose another directory, or delete this one to start afresh.",
                )
        numbers = self._numbers()
        ends = [stored.get("weights")]
        if numbers:
            ends.append(_read_json(self._round(numbers[-1]) / _RECORD).get("weights"))
        if header["weights"] not in ends:
            raise RunMismatch(
                f"The rounds in {self.path} began with other weights of the generator.",
                hint="Give the generator as it was before the first round.",
            )
        return [self._read(number) for number in numbers]

    def add(
        self,
        number: int,
        record: Mapping[str, Any],
        scores: Mapping[str, float],
        weights: Mapping[str, np.ndarray],
    ) -> None:
        """Write a round, whole or not at all. Only the weights of the last round are kept."""
        unfinished = self.path / f"{_TEMPORARY}{uuid.uuid4().hex}"
        unfinished.mkdir()
        try:
            text = json.dumps({**record, "weights": _digest(weights)}, indent=1)
            (unfinished / _RECORD).write_text(text, encoding="utf-8")
            with (unfinished / _MOLECULES).open("w", encoding="utf-8", newline="") as file:
                table = csv.writer(file)
                table.writerow(("smiles", "score"))
                table.writerows((smiles, repr(float(score))) for smiles, score in scores.items())
            with (unfinished / _WEIGHTS).open("wb") as stream:
                np.savez(
                    stream,
                    allow_pickle=False,
                    **{n: dtypes.raw_bits(a) for n, a in weights.items()},
                )
            for written in unfinished.iterdir():
                sync_file(written)
            sync_directory(unfinished)
            unfinished.rename(self._round(number))
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        sync_directory(self.path)
        (self._round(number - 1) / _WEIGHTS).unlink(missing_ok=True)

    def weights(self, table: Mapping[str, WeightInfo]) -> dict[str, np.ndarray]:
        """Return the generator's weights after the last round; ``table`` describes them.

        Raises :class:`RunMismatch` if they cannot be read, or were changed.
        """
        last = self._round(self._numbers()[-1])
        path = last / _WEIGHTS
        found: dict[str, np.ndarray] = {}
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                for name, info in table.items():
                    found[name] = arrays[name].view(info.dtype)[..., 0]
        except _UNREADABLE as error:
            raise _unreadable(path, error) from error
        if _digest(found) != _read_json(last / _RECORD).get("weights"):
            raise RunMismatch(
                f"{path} has other weights than its round ended with.", hint=f"Delete {last}."
            )
        return found

    def _numbers(self) -> list[int]:
        names = (_NAME.fullmatch(path.name) for path in self.path.iterdir())
        numbers = sorted(int(match[1]) for match in names if match)
        if numbers != list(range(1, len(numbers) + 1)):
            raise RunMismatch(
                f"{self.path} has the rounds {numbers}: some are missing.",
                hint="Choose another directory.",
            )
        return numbers

    def _round(self, number: int) -> Path:
        return self.path / f"round-{number:04}"

    def _read(self, number: int) -> StoredRound:
        path = self._round(number) / _MOLECULES
        record = _read_json(self._round(number) / _RECORD)
        record.pop("weights", None)
        try:
            with path.open(encoding="utf-8", newline="") as file:
                scores = {row["smiles"]: float(row["score"]) for row in csv.DictReader(file)}
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise _unreadable(path, error) from error
        return StoredRound(record, scores)


def _digest(weights: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, array in weights.items():
        digest.update(f"{name} {array.shape} {dtypes.dtype_name(array.dtype)}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
        if not isinstance(value, dict):
            raise ValueError(f"a {type(value).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from error
    return value


def _unreadable(path: Path, error: Exception) -> RunMismatch:
    return RunMismatch(
        f"{path} cannot be read: {type(error).__name__}: {error}.",
        hint="Choose another directory, or delete this one to start afresh.",
    )
