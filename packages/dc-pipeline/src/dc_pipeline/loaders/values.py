"""Make blocks of records whose fields have Python values, as in JSON."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dc_core import Failure
from dc_core.errors import LoaderError
from dc_pipeline.loaders.block import Block
from dc_pipeline.loaders.delimited import MAX_FIELD
from dc_pipeline.loaders.numerals import read_number
from dc_pipeline.loaders.sources import Source


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a record that are read: as text, of which ``inputs`` is one, or as numbers."""

    inputs: str
    texts: Sequence[str]
    numbers: Sequence[str]

    def block(self, first: int, records: Sequence[Mapping[str, Any] | Failure]) -> Block:
        """Return the block of ``records``, of which some may have failed already.

        The others fail (status ``parse``) if the input is missing, above :data:`MAX_FIELD`
        characters or has line breaks, or if a field of text is not a single value. A field that is
        absent or None is missing; a value that is not a number is unread.
        """
        rows: list[list[str]] = []
        numbers: list[float] = []
        used: list[int] = []
        unread: dict[tuple[int, int], str] = {}
        failures: list[Failure] = []
        for number, record in enumerate(records, first):
            if isinstance(record, Failure):
                failures.append(record)
                continue
            texts = [as_text(record.get(name)) for name in self.texts]
            fault = self._fault(texts)
            if fault:
                given = texts[self.texts.index(self.inputs)]
                failures.append(Failure(number, given or "", "parse", fault))
                continue
            for i, name in enumerate(self.numbers):
                given = record.get(name)
                value = as_number(given)
                numbers.append(math.nan if value is None else value)
                if value is None:
                    unread[len(rows), i] = str(given).strip()[:MAX_FIELD]
            rows.append([text or "" for text in texts])
            used.append(number)
        columns = zip(*rows, strict=True) if rows else [()] * len(self.texts)
        return Block(
            first,
            np.array(used, np.intp),
            {
                name: np.array(column, dtype=object).astype(np.dtypes.StringDType())
                for name, column in zip(self.texts, columns, strict=True)
            },
            np.array(numbers, np.float64).reshape(len(rows), len(self.numbers)),
            unread,
            failures,
            progress=len(records),
        )

    def check(self, source: Source | str, found: Collection[str]) -> None:
        """Raise :class:`LoaderError` if a field was ``found`` in no record of ``source``."""
        for name in (*self.texts, *self.numbers):
            if name not in found:
                raise LoaderError(
                    f"{source} has no field {name!r} in any record.",
                    hint=f"It has: {', '.join(sorted(map(str, found))[:50])}.",
                )

    def _fault(self, texts: Sequence[str | None]) -> str:
        """Return the fault in the texts of a record, or ``""``."""
        for name, text in zip(self.texts, texts, strict=True):
            if text is None:
                return f"the field {name} is not a single value"
            if name == self.inputs:
                if not text:
                    return "the input is missing"
                if len(text) > MAX_FIELD:
                    return f"the input has more than {MAX_FIELD} characters"
        return ""


def as_text(value: Any) -> str | None:
    """Return a value as text without white space at its ends; None if it is not a single value.

    A missing value is empty.
    """
    if isinstance(value, str):
        return value.strip()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value) if isinstance(value, bool | int | float) else None


def as_number(value: Any) -> float | None:
    """Return a finite number, NaN for a missing value, and None for any other value."""
    if value is None:
        return math.nan
    if isinstance(value, str):
        return read_number(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if math.isinf(number) else number
