"""SMILES as tokens: atoms, bonds, branches and rings, one number each."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from itertools import chain, pairwise
from typing import Any, Final, Self

import numpy as np

from dc_core import Failure, FailureReport, Features, Featurizer, Ragged, check_count, check_flag
from dc_core.errors import DatasetError, ParameterError
from dc_pipeline.inputs import as_sequence

_TOKEN: Final = re.compile(
    r"\[[^\[\]\s]+\]|Br|Cl|%\([0-9]+\)|%[0-9]{2}|[BCNOSPFIbcnosp()\[\].=#$\-+\\/:~@?>*0-9]"
)
"""The tokens of Schwaller and others 2019, doi:10.1021/acscentsci.9b00576."""

SPECIAL: Final = ("<pad>", "<unknown>", "<start>", "<end>")
"""The tokens before those of the vocabulary, in the order of their numbers."""

_UNKNOWN, _START, _END = 1, 2, 3
_PRIVATE: Final = 0xF0000
"""Where Unicode's largest area for private use begins."""


def split_smiles(smiles: str) -> list[str]:
    """Return the tokens of a SMILES; joined, they are the SMILES again.

    A bracketed atom, ``Cl``, ``Br`` and a ring number such as ``%12`` are one token.

    Raises :class:`ValueError` at the first character that belongs to none.
    """
    tokens = []
    place = 0
    while place < len(smiles):
        match = _TOKEN.match(smiles, place)
        if match is None:
            raise ValueError(f"{smiles[place]!r} at position {place + 1} is not part of a SMILES")
        tokens.append(match.group())
        place = match.end()
    return tokens


class SmilesTokens(Featurizer[str]):
    """SMILES as a ragged column of token numbers, uint16.

    ``vocabulary`` lists the tokens, whose numbers begin at 4, after those of padding, unknown
    tokens, start and end (0 to 3). ``SmilesTokens.learn(smiles)`` makes a featurizer with the
    tokens that occur. ``merges`` lists pairs of tokens that are joined to one wherever they follow
    each other, the first pairs first (byte-pair encoding of atoms; Li and Fourches 2021,
    doi:10.1021/acs.jcim.0c01127); ``learn(smiles, merges=500)`` learns them. ``ends`` puts the
    start token before each SMILES and the end token after it. ``OneHot(featurizer.size)`` expands
    the numbers by batch.

    What follows a space, such as a name, is left out, as RDKit does. The text is split, not parsed:
    molecules that cannot exist have tokens too. Failures have the
    status ``parse`` for what is not text, is empty or has characters that no SMILES has, and
    ``size`` for more than ``max_length`` tokens before any are joined.

    Raises :class:`ParameterError` if the vocabulary is not a collection of different tokens, at
    most 65 532 of them, or the merges are not pairs of tokens whose joins are tokens too.
    """

    def __init__(
        self,
        vocabulary: Collection[str],
        *,
        merges: Sequence[Sequence[str]] = (),
        ends: bool = True,
        max_length: int = 4096,
    ) -> None:
        self.vocabulary = _checked(vocabulary)
        self.merges = _checked_merges(merges, self.vocabulary)
        self._ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self.ends = check_flag("ends", ends)
        self.max_length = check_count("max_length", max_length, minimum=1)
        self._numbers = {token: i for i, token in enumerate(self.vocabulary, len(SPECIAL))}

    @classmethod
    def learn(
        cls, smiles: Sequence[str], *, minimum: int = 1, merges: int = 0, **options: Any
    ) -> Self:
        """Return a featurizer of the tokens that occur at least ``minimum`` times in ``smiles``.

        The most frequent come first. What cannot be split is left out. Up to ``merges`` pairs that
        occur at least twice, and ``minimum`` times, are joined, by the package ``tokenizers``; the
        featurizer does not need it. ``options`` are those of the constructor.

        Raises :class:`DatasetError` if no token is left, and :class:`ParameterError` if pairs are
        to be joined and ``tokenizers`` is not installed.
        """
        check_count("minimum", minimum, minimum=1)
        check_count("merges", merges, minimum=0, maximum=1 << 15)
        counts: Counter[str] = Counter()
        texts: Counter[tuple[str, ...]] = Counter()
        for text in as_sequence(smiles):
            words = text.split(maxsplit=1) if isinstance(text, str) else []
            try:
                tokens = split_smiles(words[0]) if words else []
            except ValueError:
                continue
            counts.update(tokens)
            texts[tuple(tokens)] += 1
        order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        vocabulary = [token for token, count in order if count >= minimum]
        if not vocabulary:
            raise DatasetError("There is no token to learn.", hint="Give a list of SMILES.")
        pairs = _learned_merges(texts, vocabulary, merges, minimum) if merges else []
        joined = dict.fromkeys([*vocabulary, *(one + other for one, other in pairs)])
        return cls(list(joined), merges=pairs, **options)

    @property
    def size(self) -> int:
        """The number of token numbers, the four special ones included."""
        return len(SPECIAL) + len(self.vocabulary)

    def featurize(self, inputs: Sequence[str], *, strict: bool = False) -> Features:
        """Return the token numbers of each SMILES, empty where it failed.

        Raises :class:`FeaturizationError` with the failures if ``strict``, and
        :class:`DatasetError` if the inputs have no order or length.
        """
        rows: list[list[int]] = []
        failures: list[Failure] = []
        for row, text in enumerate(as_sequence(inputs)):
            status, reason, numbers = self._encoded(text)
            rows.append(numbers)
            if status:
                failures.append(Failure(row, str(text), status, reason))
        report = FailureReport(tuple(failures))
        if strict:
            report.raise_if_any()
        lengths = np.array([0, *map(len, rows)], np.int64)
        offsets = np.cumsum(lengths)
        values = np.fromiter(chain.from_iterable(rows), np.uint16, int(offsets[-1]))
        return Features(Ragged(values, offsets), lengths[1:] > 0, report)

    def decode(self, numbers: Sequence[int] | np.ndarray) -> str:
        """Return the SMILES of token numbers, up to the end token and without special tokens.

        Raises :class:`DatasetError` for the unknown token and for numbers that no token has.
        """
        texts = []
        for number in map(int, numbers):
            if number == _END:
                break
            if not 0 <= number < self.size or number == _UNKNOWN:
                raise DatasetError(f"The number {number} has no token.")
            if number >= len(SPECIAL):
                texts.append(self.vocabulary[number - len(SPECIAL)])
        return "".join(texts)

    def _encoded(self, text: Any) -> tuple[str, str, list[int]]:
        if not isinstance(text, str):
            return "parse", f"an object of type {type(text).__name__} is not a SMILES", []
        words = text.split(maxsplit=1)
        if not words:
            return "parse", "the input is empty", []
        try:
            tokens = split_smiles(words[0])
        except ValueError as error:
            return "parse", str(error), []
        if len(tokens) > self.max_length:
            limit = f"the limit is max_length={self.max_length}"
            return "size", f"the SMILES has {len(tokens)} tokens; {limit}", []
        if self._ranks:
            tokens = merged(tokens, self._ranks)
        numbers = [self._numbers.get(token, _UNKNOWN) for token in tokens]
        return "", "", [_START, *numbers, _END] if self.ends else numbers


def _checked(vocabulary: object) -> tuple[str, ...]:
    if isinstance(vocabulary, str | bytes) or not isinstance(vocabulary, Collection):
        raise ParameterError(
            "The vocabulary must be a list of tokens.", hint="SmilesTokens.learn(smiles) makes one."
        )
    tokens = tuple(vocabulary)
    limit = (1 << 16) - len(SPECIAL)
    if (
        not all(isinstance(token, str) and token and token not in SPECIAL for token in tokens)
        or len(set(tokens)) != len(tokens)
        or not 0 < len(tokens) <= limit
    ):
        raise ParameterError(
            f"The vocabulary must be 1 to {limit} different texts, none of them special.",
            hint="SmilesTokens.learn(smiles) makes one.",
        )
    return tokens


def merged(tokens: Sequence[str], ranks: Mapping[tuple[str, str], int]) -> list[str]:
    """Return the tokens after all pairs with a rank were joined, the lowest rank first."""
    found = list(tokens)
    while True:
        pairs = [pair for pair in pairwise(found) if pair in ranks]
        if not pairs:
            return found
        first = min(pairs, key=ranks.__getitem__)
        joined: list[str] = []
        place = 0
        while place < len(found):
            both = tuple(found[place : place + 2]) == first
            joined.append(first[0] + first[1] if both else found[place])
            place += 2 if both else 1
        found = joined


def _learned_merges(
    texts: Mapping[tuple[str, ...], int], vocabulary: Sequence[str], count: int, minimum: int
) -> list[tuple[str, str]]:
    """Return the pairs to join, in order; each token is a single character for ``tokenizers``."""
    try:
        library = import_module("tokenizers")
    except ImportError as error:
        raise ParameterError(
            f"Learning which tokens to join needs the package tokenizers: {error}.",
            hint="pip install tokenizers",
        ) from error
    letters = {token: chr(_PRIVATE + i) for i, token in enumerate(vocabulary)}
    tokens = {letter: token for token, letter in letters.items()}
    unknown = chr(_PRIVATE + len(letters))  # never joined, because it is in no pair that is kept
    words = (
        "".join(letters.get(token, unknown) for token in text)
        for text, times in sorted(texts.items())
        for _ in range(times)
    )
    tokenizer = library.Tokenizer(library.models.BPE())
    trainer = library.trainers.BpeTrainer(
        vocab_size=len(vocabulary) + 1 + count,
        min_frequency=max(2, minimum),
        show_progress=False,
        initial_alphabet=sorted(tokens),
    )
    tokenizer.train_from_iterator(words, trainer)
    pairs = json.loads(tokenizer.to_str())["model"]["merges"]
    return [
        ("".join(tokens[letter] for letter in one), "".join(tokens[letter] for letter in other))
        for one, other in pairs
        if unknown not in one + other
    ][:count]


def _checked_merges(merges: object, vocabulary: Collection[str]) -> tuple[tuple[str, str], ...]:
    known = set(vocabulary)
    pairs = [tuple(pair) for pair in merges] if isinstance(merges, list | tuple) else [()]
    if not all(
        len(pair) == 2 and {*pair, "".join(map(str, pair))} <= known for pair in pairs
    ) or len(set(pairs)) != len(pairs):
        raise ParameterError(
            "The merges must be different pairs of tokens, whose joins are tokens too.",
            hint="SmilesTokens.learn(smiles, merges=500) learns them.",
        )
    return tuple((str(one), str(other)) for one, other in pairs)
