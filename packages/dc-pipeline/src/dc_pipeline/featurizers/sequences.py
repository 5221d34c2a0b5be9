"""Featurizers of DNA, RNA and protein sequences: codes of letters, and counts of k-mers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from dc_core import FailureReport, Features, Featurizer, Ragged, charge, check_count
from dc_core.errors import ParameterError
from dc_pipeline.featurizers.alphabets import alphabet_of, encode
from dc_pipeline.inputs import as_sequence

_MAX_KMERS: Final = 1 << 20
_MAX_LENGTH: Final = 1 << 20


class SequenceTokens(Featurizer[str]):
    """Sequences as one code per letter: a ragged column of uint8.

    ``alphabet`` is ``"dna"``, ``"rna"``, ``"protein"`` or a string of letters. A letter's code is
    its place there, in upper or lower case; IUPAC's ambiguous letters, such as N and X, have the
    code after the last one. ``OneHot(featurizer.size)`` expands the codes by batch.

    Failures have the status ``parse`` for other characters and empty sequences, and ``size`` for
    more than ``max_length`` letters.

    Raises :class:`ParameterError` for another alphabet, and for a ``max_length`` below 1.
    """

    def __init__(self, alphabet: str = "protein", *, max_length: int = _MAX_LENGTH) -> None:
        self.alphabet = alphabet
        self._alphabet = alphabet_of(alphabet)
        self.max_length = check_count("max_length", max_length, minimum=1)

    @property
    def size(self) -> int:
        """The number of codes, that of ambiguous letters included if there are any."""
        return len(self._alphabet.letters) + bool(self._alphabet.ambiguous)

    def featurize(self, inputs: Sequence[str], *, strict: bool = False) -> Features:
        """Return the codes of each sequence, empty where it failed.

        Raises :class:`FeaturizationError` with the failures if ``strict``, and
        :class:`DatasetError` if the inputs have no order or length.
        """
        rows, failures = encode(as_sequence(inputs), self._alphabet, self.max_length)
        report = FailureReport(tuple(failures))
        if strict:
            report.raise_if_any()
        lengths = np.array([0, *map(len, rows)], np.int64)
        values = np.concatenate([np.zeros(0, np.uint8), *rows])
        return Features(Ragged(values, np.cumsum(lengths)), lengths[1:] > 0, report)


class KmerCounts(Featurizer[str]):
    """How often each word of ``k`` letters occurs in a sequence, overlaps included.

    Features are ``(n, letters ** k)`` of uint32, in the order of an odometer whose last letter runs
    fastest: AA, AC, AG, AT, CA … for DNA and k = 2. Words with an ambiguous letter are not counted.
    The alphabets and failures are those of :class:`SequenceTokens`.

    Raises :class:`ParameterError` for another alphabet, and if there would be more than 2²⁰ words.
    """

    def __init__(self, k: int = 3, alphabet: str = "dna", *, max_length: int = _MAX_LENGTH) -> None:
        self.k = check_count("k", k, minimum=1, maximum=20)
        self.alphabet = alphabet
        self._alphabet = alphabet_of(alphabet)
        self.max_length = check_count("max_length", max_length, minimum=1)
        if self.size > _MAX_KMERS:
            raise ParameterError(
                f"There are {self.size} words of {k} letters; the limit is {_MAX_KMERS}.",
                hint="Give a smaller k.",
            )

    @property
    def size(self) -> int:
        """The number of words."""
        return int(len(self._alphabet.letters) ** self.k)

    def featurize(self, inputs: Sequence[str], *, strict: bool = False) -> Features:
        """Return the counts of each sequence, zero where it failed.

        Raises :class:`FeaturizationError` with the failures if ``strict``, and
        :class:`DatasetError` if the inputs have no order or length.
        """
        inputs = as_sequence(inputs)
        charge(4 * len(inputs) * self.size, f"counts of {self.size} words in {len(inputs)} inputs")
        rows, failures = encode(inputs, self._alphabet, self.max_length)
        report = FailureReport(tuple(failures))
        if strict:
            report.raise_if_any()
        values = np.zeros((len(inputs), self.size), np.uint32)
        ok = np.array([len(row) > 0 for row in rows], bool)
        letters = len(self._alphabet.letters)
        powers = letters ** np.arange(self.k - 1, -1, -1, dtype=np.int64)
        for i, row in enumerate(rows):
            if len(row) >= self.k:
                windows = np.lib.stride_tricks.sliding_window_view(row, self.k)
                known = (windows < letters).all(axis=1)
                words = windows[known].astype(np.int64) @ powers
                values[i] = np.bincount(words, minlength=self.size)
        return Features(values, ok, report)
