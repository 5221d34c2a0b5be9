"""MACCS keys: 166 questions about a molecule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from rdkit.Chem import rdMolDescriptors

from dc_core import check_count
from dc_pipeline.featurizers.base import MoleculeFeaturizer
from dc_pipeline.featurizers.fingerprint import bit_rows
from dc_pipeline.featurizers.molecules import MAX_ATOMS, Level

_SIZE: Final = 167


class MACCSKeys(MoleculeFeaturizer):
    """The public MACCS keys (Durant and others 2002, doi:10.1021/ci010132r) as RDKit defines them.

    A molecule of more than ``max_atoms`` atoms fails with the status ``size``.

    Features are ``(n, 167)``, uint8 of 0 and 1: column i is key i, and column 0 is always 0.

    Raises :class:`ParameterError` unless ``max_atoms`` is an integer of at least 1.
    """

    def __init__(self, *, max_atoms: int = MAX_ATOMS) -> None:
        self.max_atoms = check_count("max_atoms", max_atoms, minimum=1)

    @property
    def level(self) -> Level:
        """``CONNECTIVITY``."""
        return Level.CONNECTIVITY

    @property
    def bits(self) -> bool:
        """True: the features are zeros and ones."""
        return True

    def rows(self, molecules: Sequence[Any]) -> np.ndarray:
        """Return the keys of each molecule."""
        return bit_rows([*map(rdMolDescriptors.GetMACCSKeysFingerprint, molecules)], _SIZE)
