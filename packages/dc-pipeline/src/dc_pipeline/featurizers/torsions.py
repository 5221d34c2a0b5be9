"""Topological torsions: chains of atoms."""

from __future__ import annotations

from typing import Any, Final

from rdkit.Chem import rdFingerprintGenerator

from dc_core import check_count, check_flag
from dc_pipeline.featurizers.fingerprint import Fingerprint, check_simulated
from dc_pipeline.featurizers.molecules import MAX_ATOMS

_MAX_LENGTH: Final = 10
"""The number of chains grows exponentially with their length."""


class TopologicalTorsions(Fingerprint):
    """Topological torsions (Nilakantan and others 1987, doi:10.1021/ci00054a008).

    They are RDKit's, bit for bit: chains of ``length`` bonded atoms. With ``simulate_counts``, four
    bits say whether a torsion occurs at least 1, 2, 4 and 8 times; it has no meaning for
    ``counts``. ``size``, ``counts``, ``max_atoms`` and the features are as in
    :class:`Fingerprint`; ``chirality`` distinguishes enantiomers.

    Raises :class:`ParameterError` for impossible settings.
    """

    def __init__(
        self,
        size: int = 2048,
        *,
        length: int = 4,
        counts: bool = False,
        chirality: bool = False,
        simulate_counts: bool = True,
        max_atoms: int = MAX_ATOMS,
    ) -> None:
        super().__init__(size, counts=counts, max_atoms=max_atoms)
        self.length = check_count("length", length, minimum=2, maximum=_MAX_LENGTH)
        self.chirality = check_flag("chirality", chirality)
        self.simulate_counts = check_simulated(simulate_counts, self.size)

    def generator(self) -> Any:
        """Return RDKit's generator of topological torsions."""
        return rdFingerprintGenerator.GetTopologicalTorsionGenerator(
            includeChirality=self.chirality,
            torsionAtomCount=self.length,
            countSimulation=self.simulate_counts,
            fpSize=self.size,
        )
