"""Extended-connectivity fingerprints: circular substructures folded into a fixed number of bits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
from rdkit.Chem import rdFingerprintGenerator

from dc_core import Failure, FailureReport, Features, Featurizer, charge, check_count, check_flag
from dc_pipeline.featurizers.molecules import MAX_ATOMS, parse_smiles
from dc_pipeline.inputs import as_sequence

_CHUNK: Final = 1024
"""Molecules held at a time, so that their memory does not grow with the number of inputs."""

_MAX_SIZE: Final = 1 << 20
_MAX_RADIUS: Final = 64


class ECFP(Featurizer[str]):
    """Extended-connectivity fingerprints (Rogers and Hahn 2010, doi:10.1021/ci100050t) of SMILES.

    They are RDKit's Morgan fingerprints, bit for bit. ``radius`` is half the number in the name
    (2 gives ECFP4), and ``size`` is the number of bits. ``counts`` counts the occurrences of each
    substructure, ``chirality`` distinguishes enantiomers, and ``features`` describes atoms by their
    role in binding (donor, acceptor, aromatic …: the FCFP of the paper) instead of by element.

    A SMILES with more than ``max_atoms`` atoms fails with the status ``size``.

    Features are ``(n, size)``: uint8 of 0 and 1, or uint32 for counts.

    Raises :class:`ParameterError` unless ``radius`` is an integer from 0 to 64, ``size`` one from 1
    to 2²⁰, ``max_atoms`` is at least 1, and the others are True or False.
    """

    requires = ("rdkit",)

    def __init__(
        self,
        radius: int = 2,
        size: int = 2048,
        *,
        counts: bool = False,
        chirality: bool = False,
        features: bool = False,
        max_atoms: int = MAX_ATOMS,
    ) -> None:
        self.radius = check_count("radius", radius, minimum=0, maximum=_MAX_RADIUS)
        self.size = check_count("size", size, minimum=1, maximum=_MAX_SIZE)
        self.counts = check_flag("counts", counts)
        self.chirality = check_flag("chirality", chirality)
        self.features = check_flag("features", features)
        self.max_atoms = check_count("max_atoms", max_atoms, minimum=1)

    @property
    def bits(self) -> bool:
        """Whether the features are zeros and ones."""
        return not self.counts

    def featurize(self, inputs: Sequence[str], *, strict: bool = False) -> Features:
        """Return one fingerprint per SMILES, zero where there is no molecule.

        ``inputs`` may be a list, an array, a Series, a one-column DataFrame or a dataset (its X).
        Failures have the status ``parse``, ``sanitize`` or ``size``, and RDKit's reason.

        Raises :class:`FeaturizationError` with the failures if ``strict``, and
        :class:`DatasetError` if the inputs have no order or length.
        """
        inputs = as_sequence(inputs)
        n = len(inputs)
        dtype = np.dtype(np.uint32 if self.counts else np.uint8)
        charge(n * self.size * dtype.itemsize, f"ECFP of {n} inputs and size {self.size}")
        values = np.zeros((n, self.size), dtype)
        ok = np.zeros(n, bool)
        failures: list[Failure] = []
        generator = self._generator()
        for start in range(0, n, _CHUNK):
            chunk = inputs[start : start + _CHUNK]
            parsed = parse_smiles(
                chunk, stereo=self.chirality, first_row=start, max_atoms=self.max_atoms
            )
            failures += parsed.failures
            good = {row: mol for row, mol in enumerate(parsed.molecules, start) if mol is not None}
            rows = np.fromiter(good, np.intp, len(good))
            at, bits, counts = _nonzero(generator.GetCountFingerprints(list(good.values())), rows)
            values[at, bits] = counts if self.counts else 1
            ok[rows] = True
        report = FailureReport(tuple(failures))
        if strict:
            report.raise_if_any()
        return Features(values, ok, report)

    def _generator(self) -> Any:
        pharmacophores = (
            rdFingerprintGenerator.GetMorganFeatureAtomInvGen() if self.features else None
        )
        return rdFingerprintGenerator.GetMorganGenerator(
            radius=self.radius,
            fpSize=self.size,
            includeChirality=self.chirality,
            atomInvariantsGenerator=pharmacophores,
        )


def _nonzero(vectors: Sequence[Any], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the row, bit and count of every substructure in RDKit's sparse ``vectors``.

    A count is positive exactly where the bit vector has a bit, and reading the few counts takes
    less time than reading all bits.
    """
    found = [vector.GetNonzeroElements() for vector in vectors]
    lengths = np.fromiter(map(len, found), np.intp, len(found))
    n = lengths.sum()
    bits = np.fromiter(chain.from_iterable(found), np.intp, n)
    counts = np.fromiter(chain.from_iterable(counts.values() for counts in found), np.uint32, n)
    return np.repeat(rows, lengths), bits, counts
