"""``dataset.json``: the description of a dataset's files.

The header is the commit: data files may be longer than it says, and what is beyond does not count.
Nothing in it is trusted. Every field is checked when it is read, and the sizes of the files are
compared with it before they are mapped.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from dc_core import Column, Ragged, dtype_from_name, dtype_name, sync_directory
from dc_core.errors import ParameterError
from dc_pipeline.disk.writing import writing
from dc_pipeline.errors import DiskDatasetError

FILENAME: Final = "dataset.json"
FORMAT: Final = "dc-dataset"
VERSION: Final = 1

KINDS: Final = ("dense", "bits", "text", "ragged", "coded")
MAX_CODES: Final = 1 << 16
"""The different values that a coded column can have: ids have two bytes."""

_LIMIT: Final = 64 << 20
_LARGEST: Final = 1 << 62
_WIDEST: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """The form of a column.

    ``kind`` is ``dense``; ``bits``, bools or zeros and ones packed eight to a byte along the last
    axis; ``text``; ``ragged``; or ``coded``, a ragged column of integers of which few are
    different, stored as their places in ``table``, two bytes each. ``shape`` is that of one row, of
    a ragged column that of one value. Numbers are little-endian.
    """

    kind: str
    dtype: str
    shape: tuple[int, ...] = ()
    table: tuple[int, ...] = ()

    @classmethod
    def of(cls, column: Column, *, packed: bool = False, coded: bool = False) -> ColumnSpec:
        """Return the form in which ``column`` is stored; bools are packed in any case.

        The table of a coded column is still empty.

        Raises :class:`DiskDatasetError` for ragged text and for dtypes that cannot be stored.
        """
        values = column.values if isinstance(column, Ragged) else column
        shape = values.shape[1:]
        if values.dtype.kind == "T":
            if isinstance(column, Ragged) or shape:
                raise DiskDatasetError(
                    "Text is stored as one string per row, (n,).",
                    hint="Store tokens by number, or join them to one string.",
                )
            return cls("text", "str")
        name = dtype_name(values.dtype)
        if coded:
            if not isinstance(column, Ragged) or shape or values.dtype.kind not in "iu":
                raise DiskDatasetError(
                    f"Values of dtype {name} are not stored as codes.",
                    hint="Give a ragged column of integers, or leave it out of code=.",
                )
            return cls("coded", name)
        if isinstance(column, Ragged):
            return cls("ragged", name, shape)
        if shape and (name == "bool" or packed):
            if name not in ("bool", "uint8"):
                raise DiskDatasetError(
                    f"Values of dtype {name} are not packed into bits.",
                    hint="Give bools, or zeros and ones as uint8.",
                )
            return cls("bits", name, shape)
        return cls("dense", name, shape)

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """The dtype of the values in the file."""
        if self.kind in ("text", "bits"):
            return np.dtype(np.uint8)
        if self.kind == "coded":
            return np.dtype("<u2")
        return dtype_from_name(self.dtype).newbyteorder("<")

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of one row, or of one value, in the file."""
        if self.kind != "bits":
            return self.shape
        return (*self.shape[:-1], -(-self.shape[-1] // 8))

    @property
    def has_offsets(self) -> bool:
        """Whether rows differ in length, so that a second file holds where each ends."""
        return self.kind in ("text", "ragged", "coded")

    @property
    def item_bytes(self) -> int:
        """The bytes of one row, or of one value if rows differ in length."""
        return self.stored_dtype.itemsize * math.prod(self.stored_shape)

    def to_json(self) -> dict[str, Any]:
        """Return the form as JSON."""
        form = {"kind": self.kind, "dtype": self.dtype, "shape": list(self.shape)}
        return {**form, "table": list(self.table)} if self.kind == "coded" else form


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows that were committed together, and the SHA-256 of the bytes added to each file."""

    rows: int
    sha256: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Header:
    """The description of a dataset's directory.

    ``X`` is the form of each column of X by name; X that is one column without a name has the name
    ``""``. ``columns`` are those and ``y``, ``w`` and ``ids``, by the stem of their files, and
    ``items`` how many values each of them has in all if its rows differ in length.
    """

    rows: int
    X: Mapping[str, ColumnSpec]
    y: ColumnSpec
    w: ColumnSpec
    tasks: tuple[str, ...]
    classes: Mapping[str, tuple[str, ...]]
    items: Mapping[str, int] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, ColumnSpec]:
        """The form of every column by the stem of its files."""
        named = {f"x{i}": spec for i, spec in enumerate(self.X.values())}
        return {**named, "y": self.y, "w": self.w, "ids": ColumnSpec("text", "str")}

    @property
    def form(self) -> tuple[Any, ...]:
        """The form that appended rows must have: columns, tasks and classes, but not the tables."""
        X = tuple((name, replace(spec, table=())) for name, spec in self.X.items())
        return X, self.y, self.w, self.tasks, tuple(sorted(self.classes.items()))

    def extends(self, earlier: Header) -> bool:
        """Tell whether this dataset is the ``earlier`` one, with or without rows appended to it."""
        return (
            self.form == earlier.form
            and self.segments[: len(earlier.segments)] == earlier.segments
            and all(
                self.X[name].table[: len(spec.table)] == spec.table
                for name, spec in earlier.X.items()
            )
        )

    def to_json(self) -> dict[str, Any]:
        """Return the header as JSON."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "rows": self.rows,
            "X": [{"name": name, **spec.to_json()} for name, spec in self.X.items()],
            "y": self.y.to_json(),
            "w": self.w.to_json(),
            "tasks": list(self.tasks),
            "classes": {task: list(names) for task, names in self.classes.items()},
            "items": dict(self.items),
            "segments": [{"rows": s.rows, "sha256": dict(s.sha256)} for s in self.segments],
            "provenance": dict(self.provenance),
        }

    def file_sizes(self) -> dict[str, int]:
        """Return the number of bytes of each file that count."""
        sizes = {}
        for stem, spec in self.columns.items():
            if spec.has_offsets:
                sizes[f"{stem}.offsets"] = 8 * (self.rows + 1)
                sizes[f"{stem}.bin"] = self.items.get(stem, 0) * spec.item_bytes
            else:
                sizes[f"{stem}.bin"] = self.rows * spec.item_bytes
        return sizes

    def with_rows(
        self,
        segment: Segment,
        items: Mapping[str, int],
        tables: Mapping[str, np.ndarray],
        provenance: Mapping[str, Any],
    ) -> Header:
        """Return the header after ``segment`` was appended; ``tables`` are those of coded X."""
        segments = (*self.segments, segment) if segment.rows else self.segments
        X = {
            name: replace(spec, table=tuple(tables[name].tolist())) if name in tables else spec
            for name, spec in self.X.items()
        }
        return replace(
            self,
            X=X,
            rows=self.rows + segment.rows,
            items=dict(items),
            segments=segments,
            provenance=provenance,
        )


def write_header(directory: Path, header: Header) -> None:
    """Replace ``dataset.json`` by ``header``, atomically and durably.

    One process at a time may do so.

    Raises :class:`DiskDatasetError` if the provenance is not JSON, or if the disk refuses.
    """
    try:
        text = json.dumps(header.to_json(), indent=1, allow_nan=False, ensure_ascii=False)
        data = text.encode()
    except (TypeError, ValueError) as error:
        raise DiskDatasetError(
            f"The provenance is not JSON: {error}.", hint="Give text, numbers, lists and dicts."
        ) from error
    temporary = directory / f".{FILENAME}"
    hint = "The rows of the last commit are kept; free space and commit again."
    with writing(directory / FILENAME, hint):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(directory / FILENAME)
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(directory)


def read_header(directory: Path) -> Header:
    """Return the checked header in ``directory``.

    Raises :class:`DiskDatasetError` if there is none, if it is damaged, or if it is of a newer
    version.
    """
    path = directory / FILENAME
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT + 1)
    except OSError as error:
        raise DiskDatasetError(
            f"{directory} is not a dataset: {error}.",
            hint="A dataset that was never committed has no dataset.json: write it again.",
        ) from error
    if len(data) > _LIMIT:
        raise DiskDatasetError(f"{path} has more than {_LIMIT} bytes.")
    try:
        content = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DiskDatasetError(f"{path} is not JSON: {error}.") from error
    try:
        return _checked(content)
    except (KeyError, TypeError, ValueError, ParameterError, AttributeError) as error:
        raise DiskDatasetError(
            f"{path} is damaged: {type(error).__name__}: {error}.", hint="Write the dataset again."
        ) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _checked(content: Any) -> Header:
    if content["format"] != FORMAT:
        raise ValueError(f"the format is {content['format']!r}, not {FORMAT!r}")
    if content["version"] != VERSION:
        raise ValueError(
            f"the format's version is {content['version']!r}, this dc-pipeline reads {VERSION}"
        )
    X = {_text(one["name"]): _spec(one) for one in content["X"]}
    if not X or len(X) != len(content["X"]) or ("" in X and len(X) > 1):
        raise ValueError(f"the columns are named {[one['name'] for one in content['X']]}")
    tasks = tuple(map(_text, content["tasks"]))
    y, w = _spec(content["y"]), _spec(content["w"])
    for name, spec in (("y", y), ("w", w)):
        if spec.kind != "dense" or spec.shape != (len(tasks),) or spec.dtype[:5] != "float":
            raise ValueError(f"{name} is {spec}, for {len(tasks)} tasks")
    classes = {_text(t): tuple(map(_text, names)) for t, names in content["classes"].items()}
    if len(set(tasks)) != len(tasks) or not set(classes) <= set(tasks):
        raise ValueError(f"the tasks are {tasks}, those with classes {list(classes)}")
    segments = tuple(
        Segment(_count(one["rows"]), {_text(k): _text(v) for k, v in one["sha256"].items()})
        for one in content["segments"]
    )
    rows = _count(content["rows"])
    if sum(segment.rows for segment in segments) != rows:
        raise ValueError("the segments do not add up to the rows")
    items = {_text(stem): _count(number) for stem, number in content["items"].items()}
    provenance = dict(content["provenance"])
    return Header(rows, X, y, w, tasks, classes, items, segments, provenance)


def _spec(value: Any) -> ColumnSpec:
    spec = ColumnSpec(
        _text(value["kind"]),
        _text(value["dtype"]),
        tuple(map(_count, value["shape"])),
        tuple(value.get("table", ())),
    )
    if spec.kind not in KINDS or (spec.kind == "text") != (spec.dtype == "str"):
        raise ValueError(f"a column is of kind {spec.kind!r} and dtype {spec.dtype!r}")
    if spec.kind == "text" and spec.shape:
        raise ValueError(f"text has the shape {spec.shape}")
    if spec.kind == "bits" and (spec.dtype not in ("bool", "uint8") or not spec.shape):
        raise ValueError(f"bits have dtype {spec.dtype!r} and shape {spec.shape}")
    if spec.kind == "coded":
        _check_table(spec)
    elif spec.table:
        raise ValueError(f"a column of kind {spec.kind!r} has a table")
    if len(spec.shape) > 32 or spec.item_bytes > _WIDEST or math.prod(spec.shape) > _WIDEST:
        raise ValueError(f"a row has the shape {spec.shape}")
    return spec


def _check_table(spec: ColumnSpec) -> None:
    dtype = dtype_from_name(spec.dtype)
    if dtype.kind not in "iu" or spec.shape:
        raise ValueError(f"codes have dtype {spec.dtype!r} and shape {spec.shape}")
    if len(spec.table) > MAX_CODES or len(set(spec.table)) != len(spec.table):
        raise ValueError("a table has too many values, or one of them twice")
    limits = np.iinfo(dtype)
    if not all(type(value) is int and limits.min <= value <= limits.max for value in spec.table):
        raise ValueError(f"a table has values that are not of dtype {spec.dtype}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _LARGEST:
        raise TypeError(f"{value!r} is not a count")
    return value
