"""The base of RDKit's fingerprints: substructures folded into a fixed number of bits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
from rdkit.DataStructs import BitVectToBinaryText

from dc_core import check_count, check_flag
from dc_core.errors import ParameterError
from dc_pipeline.featurizers.base import MoleculeFeaturizer
from dc_pipeline.featurizers.molecules import Level

MAX_SIZE: Final = 1 << 20
_SIMULATED: Final = 5


class Fingerprint(MoleculeFeaturizer):
    """A fingerprint by one of RDKit's generators, with exactly the generator's bits.

    ``size`` is the number of bits, and ``counts`` counts the occurrences of each substructure. A
    molecule of more than ``max_atoms`` atoms fails with the status ``size``.

    Features are ``(n, size)``: uint8 of 0 and 1, or uint32 for counts.

    Raises :class:`ParameterError` unless ``size`` is an integer from 1 to 2²⁰, ``max_atoms`` one of
    at least 1, and ``counts`` is True or False.
    """

    chirality: bool = False
    """Whether enantiomers are distinguished, for the fingerprints that can."""

    def __init__(self, size: int, *, counts: bool, max_atoms: int) -> None:
        self.size = check_count("size", size, minimum=1, maximum=MAX_SIZE)
        self.counts = check_flag("counts", counts)
        self.max_atoms = check_count("max_atoms", max_atoms, minimum=1)

    @property
    def level(self) -> Level:
        """``STEREO`` if ``chirality`` is asked for, else ``CONNECTIVITY``."""
        return Level.STEREO if self.chirality else Level.CONNECTIVITY

    @property
    def bits(self) -> bool:
        """Whether the features are zeros and ones."""
        return not self.counts

    @abstractmethod
    def generator(self) -> Any:
        """Return the generator of :mod:`rdkit.Chem.rdFingerprintGenerator` with these settings."""

    def rows(self, molecules: Sequence[Any]) -> np.ndarray:
        """Return the fingerprint of each molecule."""
        generator = self.generator()
        if self.counts:
            return count_rows(generator.GetCountFingerprints(list(molecules)), self.size)
        return bit_rows(generator.GetFingerprints(list(molecules)), self.size)


def check_simulated(simulate_counts: bool, size: int) -> bool:
    """Return whether counts are simulated, for which RDKit needs more than the four bits of one.

    Raises :class:`ParameterError` if ``size`` is too small for it.
    """
    flag = check_flag("simulate_counts", simulate_counts)
    if flag and size < _SIMULATED:
        raise ParameterError(
            f"{size=} must be at least {_SIMULATED} to simulate counts.",
            hint="Set simulate_counts=False, or a larger size.",
        )
    return flag


def bit_rows(vectors: Sequence[Any], size: int) -> np.ndarray:
    """Return RDKit's bit vectors of ``size`` bits as ``(n, size)`` of uint8."""
    packed = np.frombuffer(b"".join(map(BitVectToBinaryText, vectors)), np.uint8)
    packed = packed.reshape(len(vectors), (size + 7) // 8)
    return np.unpackbits(packed, axis=1, count=size, bitorder="little")


def count_rows(vectors: Sequence[Any], size: int) -> np.ndarray:
    """Return RDKit's sparse count vectors as ``(n, size)`` of uint32."""
    found = [vector.GetNonzeroElements() for vector in vectors]
    lengths = np.fromiter(map(len, found), np.intp, len(found))
    n = lengths.sum()
    bits = np.fromiter(chain.from_iterable(found), np.intp, n)
    counts = np.fromiter(chain.from_iterable(counts.values() for counts in found), np.uint32, n)
    rows = np.zeros((len(found), size), np.uint32)
    rows[np.repeat(np.arange(len(found)), lengths), bits] = counts
    return rows
