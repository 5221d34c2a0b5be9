"""Extended-connectivity fingerprints: circular substructures folded into a fixed number of bits."""

from __future__ import annotations

from typing import Any, Final

from rdkit.Chem import rdFingerprintGenerator

from dc_core import check_count, check_flag
from dc_pipeline.featurizers.fingerprint import Fingerprint
from dc_pipeline.featurizers.molecules import MAX_ATOMS

_MAX_RADIUS: Final = 64


class ECFP(Fingerprint):
    """Extended-connectivity fingerprints (Rogers and Hahn 2010, doi:10.1021/ci100050t).

    They are RDKit's Morgan fingerprints, bit for bit. ``radius`` is half the number in the name
    (2 gives ECFP4), and ``size`` is the number of bits. ``counts`` counts the occurrences of each
    substructure, ``chirality`` distinguishes enantiomers, and ``features`` describes atoms by their
    role in binding (donor, acceptor, aromatic …: the FCFP of the paper) instead of by element.

    A molecule of more than ``max_atoms`` atoms fails with the status ``size``.

    Features are ``(n, size)``: uint8 of 0 and 1, or uint32 for counts.

    Raises :class:`ParameterError` unless ``radius`` is an integer from 0 to 64, ``size`` one from 1
    to 2²⁰, ``max_atoms`` is at least 1, and the others are True or False.
    """

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
        super().__init__(size, counts=counts, max_atoms=max_atoms)
        self.radius = check_count("radius", radius, minimum=0, maximum=_MAX_RADIUS)
        self.chirality = check_flag("chirality", chirality)
        self.features = check_flag("features", features)

    def generator(self) -> Any:
        """Return RDKit's generator of Morgan fingerprints."""
        pharmacophores = (
            rdFingerprintGenerator.GetMorganFeatureAtomInvGen() if self.features else None
        )
        return rdFingerprintGenerator.GetMorganGenerator(
            radius=self.radius,
            fpSize=self.size,
            includeChirality=self.chirality,
            atomInvariantsGenerator=pharmacophores,
        )
