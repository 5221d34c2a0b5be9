"""Atom pairs: two atoms and the number of bonds between them."""

from __future__ import annotations

from typing import Any, Final

from rdkit.Chem import rdFingerprintGenerator

from dc_core import check_count, check_flag
from dc_core.errors import ParameterError
from dc_pipeline.featurizers.fingerprint import Fingerprint, check_simulated
from dc_pipeline.featurizers.molecules import MAX_ATOMS

_MAX_DISTANCE: Final = 1000


class AtomPairs(Fingerprint):
    """Atom-pair fingerprints (Carhart, Smith and Venkataraghavan 1985, doi:10.1021/ci00046a002).

    They are RDKit's, bit for bit: pairs of atoms that are ``min_distance`` to ``max_distance``
    bonds apart. With ``simulate_counts``, four bits say whether a pair occurs at least 1, 2, 4 and
    8 times; it has no meaning for ``counts``. ``size``, ``counts``, ``max_atoms`` and the features
    are as in :class:`Fingerprint`; ``chirality`` distinguishes enantiomers.

    Raises :class:`ParameterError` for impossible settings.
    """

    def __init__(
        self,
        size: int = 2048,
        *,
        min_distance: int = 1,
        max_distance: int = 30,
        counts: bool = False,
        chirality: bool = False,
        simulate_counts: bool = True,
        max_atoms: int = MAX_ATOMS,
    ) -> None:
        super().__init__(size, counts=counts, max_atoms=max_atoms)
        self.min_distance = check_count("min_distance", min_distance, minimum=1)
        self.max_distance = check_count(
            "max_distance", max_distance, minimum=1, maximum=_MAX_DISTANCE
        )
        if self.min_distance > self.max_distance:
            raise ParameterError(f"{min_distance=} is above {max_distance=}.")
        self.chirality = check_flag("chirality", chirality)
        self.simulate_counts = check_simulated(simulate_counts, self.size)

    def generator(self) -> Any:
        """Return RDKit's generator of atom pairs."""
        return rdFingerprintGenerator.GetAtomPairGenerator(
            minDistance=self.min_distance,
            maxDistance=self.max_distance,
            includeChirality=self.chirality,
            countSimulation=self.simulate_counts,
            fpSize=self.size,
        )
