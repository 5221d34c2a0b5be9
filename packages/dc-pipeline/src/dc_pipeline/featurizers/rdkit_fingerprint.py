"""RDKit's own fingerprint: subgraphs and paths of bonds."""

from __future__ import annotations

from typing import Any, Final

from rdkit.Chem import rdFingerprintGenerator

from dc_core import check_count, check_flag
from dc_core.errors import ParameterError
from dc_pipeline.featurizers.fingerprint import Fingerprint
from dc_pipeline.featurizers.molecules import MAX_ATOMS

_MAX_PATH: Final = 10
"""The number of subgraphs grows exponentially with their size."""


class RDKitFingerprint(Fingerprint):
    """RDKit's Daylight-like fingerprints, bit for bit.

    The substructures are the subgraphs of ``min_path`` to ``max_path`` bonds, or the linear paths
    only without ``branched``. Each sets two bits. ``size``, ``counts``, ``max_atoms`` and the
    features are as in :class:`Fingerprint`.

    Raises :class:`ParameterError` for impossible settings.
    """

    def __init__(
        self,
        size: int = 2048,
        *,
        min_path: int = 1,
        max_path: int = 7,
        branched: bool = True,
        counts: bool = False,
        max_atoms: int = MAX_ATOMS,
    ) -> None:
        super().__init__(size, counts=counts, max_atoms=max_atoms)
        self.min_path = check_count("min_path", min_path, minimum=1)
        self.max_path = check_count("max_path", max_path, minimum=1, maximum=_MAX_PATH)
        if self.min_path > self.max_path:
            raise ParameterError(f"{min_path=} is above {max_path=}.")
        self.branched = check_flag("branched", branched)

    def generator(self) -> Any:
        """Return RDKit's generator of path fingerprints."""
        return rdFingerprintGenerator.GetRDKitFPGenerator(
            minPath=self.min_path,
            maxPath=self.max_path,
            branchedPaths=self.branched,
            fpSize=self.size,
        )
