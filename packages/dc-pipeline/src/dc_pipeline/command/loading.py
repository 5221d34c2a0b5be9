"""Choose the loader of a file by its ending."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import urlsplit

import dc_pipeline
from dc_core import Loader
from dc_core.errors import ParameterError
from dc_pipeline.loaders.sources import is_url

FORMATS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "csv": ("CSVLoader", {}),
    "tsv": ("CSVLoader", {"delimiter": "\t"}),
    "smi": ("SMILESLoader", {}),
    "sdf": ("SDFLoader", {}),
    "parquet": ("ParquetLoader", {}),
    "jsonl": ("JSONLinesLoader", {}),
    "fasta": ("FASTALoader", {}),
}
"""The public name of the loader of each format, and the arguments that make it so."""

_ENDINGS: Final[Mapping[str, str]] = {
    **{name: name for name in FORMATS},
    "fa": "fasta",
    "faa": "fasta",
    "fna": "fasta",
    "mol": "sdf",
    "ndjson": "jsonl",
    "pq": "parquet",
    "sd": "sdf",
    "smiles": "smi",
    "tab": "tsv",
}
_COMPRESSED: Final = (".gz", ".zst")


def format_of(path: str) -> str:
    """Return the format of the file or URL ``path``, a key of :data:`FORMATS`, by its ending.

    ``.gz`` and ``.zst`` at the end do not count. Raises :class:`ParameterError` for another ending.
    """
    name = PurePath(urlsplit(path).path if is_url(path) else path).name.lower()
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    found = _ENDINGS.get(name.rpartition(".")[2])
    if found is None or "." not in name:
        raise ParameterError(
            f"The format of {name} cannot be told from its ending.",
            hint=f"Give the format: {', '.join(FORMATS)}.",
        )
    return found


def loader_of(format: str, options: Mapping[str, Any]) -> Loader:
    """Return the loader of a ``format`` with the ``options`` that are not None or empty.

    Raises :class:`ParameterError` for an unknown format, and for an option that the loader does not
    have.
    """
    if format not in FORMATS:
        raise ParameterError(
            f"There is no format {format!r}.", hint=f"There are: {', '.join(FORMATS)}."
        )
    name, fixed = FORMATS[format]
    cls = getattr(dc_pipeline, name)
    given = {key: value for key, value in options.items() if value not in (None, (), [], {}, "")}
    known = inspect.signature(cls.__init__).parameters
    for key in given:
        if key not in known:
            raise ParameterError(
                f"Files of the format {format} have no {key!r}.", hint=f"Leave {key} out."
            )
    made: Loader = cls(**{**fixed, **given})
    return made
