"""The configuration of a run: tables of a TOML file, or flags, checked key by key.

A file chooses components by registered name and holds plain values. It can neither run code nor
name anything to read but its data, its split and its hub.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Self

import tomli_w

from dc_core.errors import MissingParameter, ParameterError, UnknownParameter
from dc_pipeline.command.components import Spec, parse_value
from dc_pipeline.loaders.sources import is_url

_LARGEST: Final = 16 << 20
"""The largest TOML file, in bytes."""

_PATHS: Final = (("data", "path"), ("split",), ("out",), ("hub",))
"""The keys whose values are paths; those in a file start at its directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The table ``data``: a file and how it is read; empty settings are left to its loader."""

    path: str
    format: str = ""
    inputs: str = ""
    tasks: tuple[str, ...] = ()
    id: str = ""
    weights: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    delimiter: str = ""
    encoding: str = ""
    sha256: str = ""

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """Return the checked table; see :meth:`Run.of`."""
        return cls(**checked_table("data", content, _DATA, required=("path",)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Everything that ``dc-pipeline train`` needs to know."""

    data: Data
    model: Spec
    featurizer: Spec | None = None
    transformers: tuple[Spec, ...] = ()
    splitter: Spec | None = None
    split: str = ""
    metrics: tuple[Spec, ...] = ()
    seed: int = 0
    strict: bool = False
    out: str = ""
    report: bool = False
    publish: str = ""
    hub: str = ""

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """Return the run that ``content``, the tables of a TOML file, describes.

        Raises :class:`UnknownParameter` for an unknown key, with the nearest known one,
        :class:`MissingParameter`, and :class:`ParameterError` for a value of the wrong kind.
        """
        run = cls(**checked_table("", content, _RUN, required=("data", "model", "out")))
        if run.splitter and run.split:
            raise ParameterError(
                "Both splitter and split are given.",
                hint="Give a splitter, or the directory of a split that was made before.",
            )
        return run

    def table(self) -> dict[str, Any]:
        """Return the tables of the TOML file that describes this run; the inverse of :meth:`of`."""
        found: dict[str, Any] = _table(self)
        return found


def read_toml(file: Path) -> dict[str, Any]:
    """Return the content of a TOML file, with its paths absolute.

    Raises :class:`ParameterError` if it cannot be read, or is not TOML.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ParameterError(f"{file} has more than {_LARGEST} bytes.")
        content = tomllib.loads(data.decode())
    except OSError as error:
        raise ParameterError(
            f"{file} cannot be read: {error.strerror}.",
            hint="dc-pipeline train --example prints a file to start from.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"{file} is not TOML: {error}.") from error
    base = Path(os.path.abspath(file.parent))  # noqa: PTH100 - links are kept as they are named
    for *tables, key in _PATHS:
        table: Any = content
        for name in tables:
            table = table.get(name)
        if isinstance(table, dict) and isinstance(table.get(key), str):
            table[key] = absolute(table[key], base)
    return content


def absolute(path: str, base: Path | None = None) -> str:
    """Return ``path`` from the root on, if it is one; URLs are returned as they are."""
    if not path or is_url(path):
        return path
    return os.path.abspath((base or Path.cwd()) / path)  # noqa: PTH100 - links stay


def write_toml(content: Mapping[str, Any]) -> str:
    """Return ``content`` as the text of a TOML file."""
    return tomli_w.dumps(content)


def override(content: dict[str, Any], assignment: str) -> None:
    """Set a key of ``content`` as ``assignment`` says: ``model.learning_rate=0.01``.

    A component that is text becomes a table. Raises :class:`ParameterError` for anything else.
    """
    path, equals, value = assignment.partition("=")
    *tables, key = [part.strip() for part in path.split(".")]
    if not equals or not all((*tables, key)):
        raise ParameterError(
            f"--set {assignment!r} sets nothing.", hint="Write --set model.learning_rate=0.01."
        )
    table = content
    for name in tables:
        inner = table.setdefault(name, {})
        if isinstance(inner, str):
            inner = table[name] = Spec.parse(inner).table()
        if not isinstance(inner, dict):
            raise ParameterError(
                f"--set {assignment!r}: {name} is not a table.", hint="Set it as a whole."
            )
        table = inner
    table[key] = parse_value(value)


def given_table(where: str, content: Any) -> Any:
    """Return ``content`` if it is a table; raise :class:`ParameterError` if it is not."""
    if not isinstance(content, Mapping):
        raise ParameterError(
            f"{where} is {content!r}, which is not a table.",
            hint=f"Write [{where}], and below it a line for each key.",
        )
    return content


def checked_table(
    where: str,
    content: Any,
    keys: Mapping[str, Callable[[str, Any], Any]],
    required: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the values of the table at ``where``, each checked by the function of its key.

    Raises :class:`UnknownParameter` for a key that is not among ``keys``, and
    :class:`MissingParameter` for one of ``required`` that is not given.
    """
    content = given_table(where, content)
    prefix = f"{where}." if where else ""
    for key in content:
        if key not in keys:
            near = get_close_matches(key, keys, 1)
            raise UnknownParameter(
                f"There is no key {prefix + key!r}.",
                hint=(f"Did you mean {prefix + near[0]!r}? " if near else "")
                + f"The keys are: {', '.join(keys)}.",
            )
    for key in required:
        if not content.get(key):
            raise MissingParameter(f"{prefix + key!r} is not given.", hint=_HOW_TO_GIVE[key])
    return {key: keys[key](prefix + key, value) for key, value in content.items()}


_HOW_TO_GIVE: Final[Mapping[str, str]] = {
    "path": "Name the file: --data freesolv.csv.",
    "data": 'Name the file: --data freesolv.csv, or path = "freesolv.csv" in the table data.',
    "model": 'Name a model: --model "sklearn/RandomForestRegressor:n_estimators=500".',
    "out": "Name a new directory for the result: --out result.",
}


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ParameterError(f"{key} is {value!r}, which is not text.", hint='Write "text".')
    return value


def _texts(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ParameterError(f"{key} is {value!r}.", hint='Write a list of names: ["a", "b"].')
    return tuple(value)


def _flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ParameterError(f"{key} is {value!r}.", hint="Write true or false.")
    return value


def _count(key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**32:
        raise ParameterError(
            f"{key} is {value!r}.", hint="Write an integer from 0 to 4294967295, such as 0."
        )
    return value


def _components(key: str, value: Any) -> tuple[Spec, ...]:
    given = value if isinstance(value, list | tuple) else [value]
    return tuple(Spec.of(f"{key}[{i}]", item) for i, item in enumerate(given))


_DATA: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "path": _text,
    "format": _text,
    "inputs": _text,
    "tasks": _texts,
    "id": _text,
    "weights": _texts,
    "classes": _texts,
    "delimiter": _text,
    "encoding": _text,
    "sha256": _text,
}

_RUN: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "data": lambda _, value: Data.of(value),
    "model": Spec.of,
    "featurizer": Spec.of,
    "transformers": _components,
    "splitter": Spec.of,
    "split": _text,
    "metrics": _components,
    "seed": _count,
    "strict": _flag,
    "out": _text,
    "report": _flag,
    "publish": _text,
    "hub": _text,
}


def _table(value: Any) -> Any:
    """Return the TOML form of a value; empty settings are left out."""
    if isinstance(value, Spec):
        return {key: _plain(item) for key, item in value.table().items() if item is not None}
    if isinstance(value, Data | Run):
        found = {each.name: _table(getattr(value, each.name)) for each in fields(value)}
        return {key: item for key, item in found.items() if item not in (None, "", [], {})}
    if isinstance(value, tuple):
        return [_table(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    """Return a parameter as TOML, which has no null."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


EXAMPLE: Final = """\
# Train a model:  dc-pipeline train run.toml
# Paths start at the directory of this file. Flags replace what is here: --set model.alpha=0.5

seed = 0                          # of the splitter and the model, unless they have their own
out = "result"                    # a new directory: the model, its scores, and what made them
metrics = ["rmse", "mae", "r2"]   # scored on valid and test; the default depends on the labels
# report = true                   # also report.html, a page of figures and worst molecules
# publish = "lab/freesolv"        # also publish the model under this name
# hub = "hub"                     # to this hub; default: DEEPCHEM_MODEL_HUB, then your own
# split = "split"                 # a split made by `dc-pipeline split`, in the place of a splitter
# strict = true                   # fail at the first row that cannot be used

[data]
path = "freesolv.csv"             # .csv .tsv .smi .sdf .parquet .jsonl .fasta, also .gz and .zst
tasks = ["expt"]                  # the columns of the labels
inputs = "smiles"                 # the column of the inputs
# classes = ["active"]            # tasks whose labels are names
# id = "name"                     # the column of the rows' names
# weights = ["weight"]            # one column for all tasks, or one for each
# format = "csv"                  # if the ending does not say it; also delimiter and encoding

[splitter]                        # default: random, 80 % train, 10 % valid, 10 % test
name = "scaffold"
fractions = [0.8, 0.1, 0.1]

[featurizer]
name = "ecfp"
size = 1024
radius = 2

[[transformers]]
name = "normalization"

[model]                           # `dc-pipeline components model` lists the names
name = "sklearn/RandomForestRegressor"
n_estimators = 100
"""
"""A commented file for ``dc-pipeline train``."""
