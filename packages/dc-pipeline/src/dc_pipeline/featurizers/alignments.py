"""Multiple sequence alignments as arrays: read their files, and derive profiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np

from dc_core.errors import LoaderError, ParameterError
from dc_pipeline.loaders.sources import Source

Format = Literal["a3m", "fasta", "stockholm"]

_FORMATS: Final = ("a3m", "fasta", "stockholm")
_ENDINGS: Final[Mapping[str, Format]] = MappingProxyType(
    {".a3m": "a3m", ".sto": "stockholm", ".stk": "stockholm"}
)
_MAX_BYTES: Final = 1 << 30
_GAP: Final = ord("-")

AMINO_ACIDS: Final = "ACDEFGHIKLMNPQRSTVWY"
"""The order of the columns of profiles, that of the alphabet ``protein``."""

_ROBINSON: Final = np.array(
    (
        *(0.07805, 0.01925, 0.05364, 0.06295, 0.03856, 0.07377, 0.02199, 0.05142, 0.05744, 0.09019),
        *(0.02243, 0.04487, 0.05203, 0.04264, 0.05129, 0.07120, 0.05841, 0.06441, 0.01330, 0.03216),
    )
)

BACKGROUND: Final = _ROBINSON / _ROBINSON.sum()
"""The frequencies of amino acids in proteins (Robinson and Robinson 1991,
doi:10.1073/pnas.88.20.8880), as BLAST uses them."""


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """Aligned sequences.

    ``names`` are those of the sequences, and ``letters`` is ``(sequences, columns)`` of uint8:
    capital letters in ASCII, and ``-`` for a gap.
    """

    names: tuple[str, ...]
    letters: np.ndarray

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.names)

    def __getitem__(self, row: int) -> str:
        """Return one sequence with its gaps."""
        return str(self.letters[row].tobytes(), "ascii")

    def of_query(self) -> Alignment:
        """Return the columns in which the first sequence has a letter."""
        return Alignment(self.names, self.letters[:, self.letters[0] != _GAP])


def read_alignment(source: Any, format: Format | None = None) -> Alignment:
    """Return the alignment in a file: Stockholm, A3M or aligned FASTA.

    ``source`` is a path or a URL, plain or compressed. Without a ``format``, Stockholm is
    recognized by its first line, A3M by the ending ``.a3m``, and everything else is FASTA. In A3M,
    small letters are insertions, which are left out. In the others they count as capital ones, and
    ``.`` as a gap.

    Raises :class:`LoaderError` if the file cannot be read, has no sequences, or sequences of
    different lengths, and :class:`ParameterError` for another format.
    """
    if format is not None and format not in _FORMATS:
        raise ParameterError(f"{format=} must be one of {', '.join(_FORMATS)}.")
    file = Source(source)
    try:
        text = file.read(_MAX_BYTES).decode("ascii")
    except UnicodeDecodeError as error:
        raise LoaderError(f"{file} is not an alignment: it is not ASCII.") from error
    lines = text.splitlines()
    kind = format or _kind(file.name, lines)
    records = _stockholm(lines, file) if kind == "stockholm" else _fasta(lines, file)
    names = tuple(records)
    texts = ("".join(parts) for parts in records.values())
    if kind == "a3m":
        rows = [text.translate(_WITHOUT_INSERTIONS) for text in texts]
    else:
        rows = [text.upper().replace(".", "-") for text in texts]
    return Alignment(names, _letters(names, rows, file))


_WITHOUT_INSERTIONS: Final = dict.fromkeys(map(ord, "abcdefghijklmnopqrstuvwxyz."))


def _kind(name: str, lines: list[str]) -> Format:
    if lines and lines[0].startswith("# STOCKHOLM"):
        return "stockholm"
    path = PurePosixPath(name.replace("\\", "/"))
    endings = [ending.lower() for ending in path.suffixes[-2:]]
    return next((_ENDINGS[ending] for ending in endings if ending in _ENDINGS), "fasta")


def _fasta(lines: Iterable[str], file: Source) -> dict[str, list[str]]:
    """Return the parts of each sequence by its name; equal names are numbered."""
    found: dict[str, list[str]] = {}
    seen: Counter[str] = Counter()
    parts: list[str] | None = None
    for number, line in enumerate(lines, 1):
        if line.startswith(">"):
            given = name = line[1:].strip() or f"sequence {number}"
            while name in found:
                seen[given] += 1
                name = f"{given} ({seen[given] + 1})"
            parts = found[name] = []
        elif parts is not None:
            parts.append("".join(line.split()))
        elif line.strip() and not line.startswith("#"):
            raise LoaderError(f"{file}, line {number}: a sequence needs a line with > before it.")
    return found


def _stockholm(lines: Iterable[str], file: Source) -> dict[str, list[str]]:
    """Return the parts of each sequence by its name; only the first alignment is read."""
    found: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        if line.startswith("//"):
            break
        if line.startswith("#") or not line.strip():
            continue
        fields = line.split()
        if len(fields) != 2:
            raise LoaderError(f"{file}, line {number}: it has no name and sequence.")
        found.setdefault(fields[0], []).append(fields[1])
    return found


def _letters(names: tuple[str, ...], rows: list[str], file: Source) -> np.ndarray:
    if not rows or not rows[0]:
        raise LoaderError(f"{file} has no aligned sequences.")
    for name, row in zip(names, rows, strict=True):
        if len(row) != len(rows[0]):
            raise LoaderError(
                f"{file}: {name!r} has {len(row)} columns, and {names[0]!r} has {len(rows[0])}.",
                hint="Sequences of an alignment are equally long. If small letters are insertions, "
                "use format='a3m'.",
            )
    letters = np.frombuffer("".join(rows).encode("ascii"), np.uint8).reshape(len(rows), -1)
    known = (letters == _GAP) | ((letters >= ord("A")) & (letters <= ord("Z")))
    if not known.all():
        row, column = np.argwhere(~known)[0].tolist()
        raise LoaderError(
            f"{file}: {chr(letters[row, column])!r} in {names[row]!r} is neither a letter nor a "
            "gap."
        )
    return letters


def sequence_weights(alignment: Alignment) -> np.ndarray:
    """Return the weight of each sequence, ``(sequences,)`` of float64; together 1.

    They are the position-based ones of Henikoff and Henikoff (1994,
    doi:10.1016/0022-2836(94)90032-9): in each column, each kind of letter has the same weight, and
    so has each sequence with that letter. Gaps have none.
    """
    weights = np.zeros(len(alignment))
    for column in alignment.letters.T:
        counts = np.bincount(column, minlength=256)
        counts[_GAP] = 0
        kinds = np.count_nonzero(counts)
        if kinds:
            counted = counts[column] > 0
            weights[counted] += 1 / (kinds * counts[column[counted]])
    total = weights.sum()
    return np.asarray(weights / total if total else np.full(len(weights), 1 / len(weights)))


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """The features of each column of an alignment of proteins.

    ``frequencies`` is ``(columns, 20)`` of float64, those of the amino acids in the order of
    :data:`AMINO_ACIDS`, with pseudocounts, so that none is 0; ``gaps`` is ``(columns,)``, the
    fraction of the sequences' weights that have a gap.
    """

    frequencies: np.ndarray
    gaps: np.ndarray

    @property
    def log_odds(self) -> np.ndarray:
        """The position-specific scoring matrix: log2 of frequency over background, in bits."""
        return np.asarray(np.log2(self.frequencies / BACKGROUND))

    @property
    def information(self) -> np.ndarray:
        """The relative entropy of each column to the background, ``(columns,)`` in bits."""
        return np.asarray((self.frequencies * self.log_odds).sum(axis=1))


def profile(alignment: Alignment, *, pseudocounts: float = 10.0) -> Profile:
    """Return the profile of an ``alignment`` of proteins.

    The sequences have :func:`sequence_weights`, scaled to add up to their number. To the n letters
    of a column, ``pseudocounts`` ones are added in proportion to the background p (Durbin et al.
    1998, Biological Sequence Analysis, section 5.6)::

        frequency = (n f + pseudocounts p) / (n + pseudocounts)

    Letters that stand for no amino acid or several, such as X, are left out.

    Raises :class:`ParameterError` unless ``pseudocounts`` is above 0.
    """
    if not pseudocounts > 0:
        raise ParameterError(f"{pseudocounts=} must be above 0.")
    weights = sequence_weights(alignment) * len(alignment)
    counts = np.stack(
        [(weights[:, None] * (alignment.letters == ord(letter))).sum(0) for letter in AMINO_ACIDS],
        axis=1,
    )
    total = counts.sum(axis=1, keepdims=True) + pseudocounts
    frequencies = (counts + pseudocounts * BACKGROUND) / total
    gaps = (weights[:, None] * (alignment.letters == _GAP)).sum(axis=0) / len(alignment)
    return Profile(frequencies, gaps)
