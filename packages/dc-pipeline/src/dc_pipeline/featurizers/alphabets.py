"""Alphabets of biological sequences (IUPAC-IUB 1984, doi:10.1093/nar/13.9.3021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np

from dc_core import Failure
from dc_core.errors import ParameterError


class Alphabet(NamedTuple):
    """Letters in the order of their codes, and those that stand for one of several letters."""

    letters: str
    ambiguous: str = ""


ALPHABETS: Final[Mapping[str, Alphabet]] = MappingProxyType(
    {
        "dna": Alphabet("ACGT", "RYSWKMBDHVN"),
        "rna": Alphabet("ACGU", "RYSWKMBDHVN"),
        "protein": Alphabet("ACDEFGHIKLMNPQRSTVWY", "BJOUXZ"),
    }
)

_INVALID: Final = 255


def alphabet_of(name: object) -> Alphabet:
    """Return the alphabet ``name``, or that of a string of letters.

    Raises :class:`ParameterError` for anything else.
    """
    if isinstance(name, str) and name in ALPHABETS:
        return ALPHABETS[name]
    if (
        not isinstance(name, str)
        or not name.isascii()
        or not name.isprintable()
        or name != name.upper()
        or len(set(name)) != len(name)
        or len(name) < 2
    ):
        raise ParameterError(
            f"There is no alphabet {name!r}.",
            hint=f"Give one of {', '.join(ALPHABETS)}, or a string of different capital letters.",
        )
    return Alphabet(name)


def encode(
    sequences: Sequence[Any], alphabet: Alphabet, max_length: int
) -> tuple[list[np.ndarray], list[Failure]]:
    """Return the codes of each sequence as uint8, empty where it failed, and the failures.

    A letter's code is its place in the alphabet, in upper and lower case; ambiguous letters have
    the number of letters. The status is ``parse`` for empty sequences, other characters and what is
    not text, and ``size`` for more than ``max_length`` letters.
    """
    table = np.full(256, _INVALID, np.uint8)
    for code, letters in enumerate([*alphabet.letters, alphabet.ambiguous]):
        for letter in letters:
            table[[ord(letter), ord(letter.lower())]] = code
    rows: list[np.ndarray] = []
    failures: list[Failure] = []
    none = np.zeros(0, np.uint8)
    for row, sequence in enumerate(sequences):
        status, reason, codes = _encoded(sequence, table, max_length)
        rows.append(none if status else codes)
        if status:
            failures.append(Failure(row, str(sequence), status, reason))
    return rows, failures


def _encoded(sequence: Any, table: np.ndarray, max_length: int) -> tuple[str, str, np.ndarray]:
    none = np.zeros(0, np.uint8)
    if not isinstance(sequence, str):
        return "parse", f"an object of type {type(sequence).__name__} is not a sequence", none
    if not sequence:
        return "parse", "the sequence is empty", none
    if len(sequence) > max_length:
        length = len(sequence)
        return "size", f"the sequence has {length} letters; the limit is {max_length}", none
    codes = table[np.frombuffer(sequence.encode("latin-1", "replace"), np.uint8)]
    wrong = np.flatnonzero(codes == _INVALID)
    if len(wrong):
        place = int(wrong[0])
        return "parse", f"{sequence[place]!r} at position {place + 1} is not in the alphabet", none
    return "", "", codes
