"""Splits in files: the row numbers of each part, and the leakage between the parts."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from dc_core import Dataset, Split, Splitter
from dc_core.errors import DatasetError
from dc_pipeline.command.reading import Rows
from dc_pipeline.errors import PipelineError
from dc_pipeline.splitters.index import IndexSplitter
from dc_pipeline.splitters.leakage import QUANTILES, Leakage

SPLIT: Final = "split.json"
PARTS: Final = Split._fields

_LARGEST: Final = 1 << 30
"""The largest file of a split, in bytes."""


def row_numbers(rows: Rows, splitter: Splitter) -> dict[str, list[int]]:
    """Return the numbers in the source of the rows of train, valid and test."""
    parts = splitter.indices(rows.dataset)
    return {name: rows.numbers[part].tolist() for name, part in zip(PARTS, parts, strict=True)}


def split_content(rows: Rows, splitter: Splitter, made_by: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of ``split.json``: the source, the splitter and the rows."""
    return {
        "source": dict(rows.source),
        "splitter": dict(made_by),
        "rows": row_numbers(rows, splitter),
    }


def stored_split(directory: Path, rows: Rows) -> Splitter:
    """Return the splitter that divides ``rows`` as the split in ``directory`` does.

    Raises :class:`PipelineError` if there is none or it is damaged, and :class:`DatasetError` if it
    is the split of another file.
    """
    file = directory / SPLIT
    try:
        with file.open("rb") as stream:
            content = json.loads(stream.read(_LARGEST))
        digest = content["source"]["sha256"]
        given = [np.array(content["rows"][name], dtype=object) for name in PARTS]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise PipelineError(
            f"{file} is not a split: {type(error).__name__}: {error}.",
            hint="Make one: dc-pipeline split data.csv --out split.",
        ) from error
    if digest != rows.source["sha256"]:
        raise DatasetError(
            f"{file} divides another file than {rows.source['name']}: its SHA-256 is {digest!r}.",
            hint="Split this file.",
        )
    return IndexSplitter(*(_positions(file, part, rows.numbers) for part in given))


def _positions(file: Path, part: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return where the row numbers of a ``part`` are among those that were read."""
    if not all(type(row) is int and 0 <= row < 2**62 for row in part.ravel().tolist()):
        raise PipelineError(f"{file} has something else in the place of row numbers.")
    wanted = part.astype(np.int64).ravel()
    positions = np.searchsorted(numbers, wanted)
    found = np.zeros(len(wanted), bool)
    inside = positions < len(numbers)
    found[inside] = numbers[positions[inside]] == wanted[inside]
    if not found.all():
        raise DatasetError(
            f"{file} has the row {wanted[~found][0]}, which was not read.",
            hint="Read the file with the same options as for the split.",
        )
    return positions


def write_part(file: Path, dataset: Dataset, inputs: str) -> None:
    """Write a part as a CSV file that is read as the whole file was.

    Its columns are ``inputs``, the tasks, and ``id``. Raises :class:`DatasetError` if X is not
    text.
    """
    X = dataset.X
    if not isinstance(X, np.ndarray) or X.dtype.kind != "T":
        raise DatasetError(
            "The inputs are no text that a CSV file could have.",
            hint=f"Leave --files out, and use {SPLIT}.",
        )
    tasks = dataset.tasks
    labels = [_shown(dataset.y[:, t], dataset.classes.get(task)) for t, task in enumerate(tasks)]
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([inputs, *tasks, "id"])
        writer.writerows(zip(X.tolist(), *labels, dataset.ids.tolist(), strict=True))


def _shown(labels: np.ndarray, classes: Sequence[str] | None) -> Iterator[str]:
    for label in labels.tolist():
        if math.isnan(label):
            yield ""
        else:
            yield classes[int(label)] if classes else repr(label)


def leakage_content(found: Leakage) -> dict[str, Any]:
    """Return a leakage report as JSON."""
    return {
        "quantiles": list(QUANTILES),
        "overlaps": [asdict(overlap) for overlap in found.overlaps],
        "balances": [asdict(balance) for balance in found.balances],
    }


def leakage_rows(found: Leakage) -> list[tuple[str, ...]]:
    """Return a leakage report as rows of a table, with a header."""
    rows: list[tuple[str, ...]] = [
        ("part", "against", "rows", "duplicates", "shared scaffolds", "median similarity")
    ]
    for overlap in found.overlaps:
        scaffolds = "" if overlap.shared_scaffolds is None else str(overlap.shared_scaffolds)
        median = f"{overlap.similarities[QUANTILES.index(0.5)]:.2f}" if overlap.similarities else ""
        rows.append(
            (
                overlap.part,
                overlap.against,
                str(overlap.rows),
                str(overlap.duplicates),
                scaffolds,
                median,
            )
        )
    return rows
