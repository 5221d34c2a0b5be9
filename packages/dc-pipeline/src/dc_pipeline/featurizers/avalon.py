"""Avalon fingerprints: feature classes of atoms, bonds, rings and paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dc_core import check_count, check_flag
from dc_core.errors import ParameterError
from dc_pipeline.featurizers.base import MoleculeFeaturizer
from dc_pipeline.featurizers.fingerprint import MAX_SIZE, bit_rows, count_rows
from dc_pipeline.featurizers.molecules import MAX_ATOMS


class AvalonFingerprint(MoleculeFeaturizer):
    """Avalon fingerprints (Gedeck, Rohde and Bartels 2006, doi:10.1021/ci050413p) by RDKit's build.

    ``size`` is the number of bits, a multiple of 8; ``counts`` counts occurrences. A molecule of
    more than ``max_atoms`` atoms fails with the status ``size``.

    Features are ``(n, size)``: uint8 of 0 and 1, or uint32 for counts.

    Raises :class:`ParameterError` unless ``size`` is a multiple of 8 from 8 to 2²⁰, ``counts`` is
    True or False and ``max_atoms`` is at least 1, and if this RDKit was built without Avalon.
    """

    def __init__(
        self, size: int = 512, *, counts: bool = False, max_atoms: int = MAX_ATOMS
    ) -> None:
        self.size = check_count("size", size, minimum=8, maximum=MAX_SIZE)
        if self.size % 8:
            # Avalon divides by the number of whole bytes: other sizes crash the process.
            raise ParameterError(f"{size=} must be a multiple of 8.")
        self.counts = check_flag("counts", counts)
        self.max_atoms = check_count("max_atoms", max_atoms, minimum=1)
        _tools()

    @property
    def bits(self) -> bool:
        """Whether the features are zeros and ones."""
        return not self.counts

    def rows(self, molecules: Sequence[Any]) -> np.ndarray:
        """Return the fingerprint of each molecule."""
        tools = _tools()
        if self.counts:
            return count_rows([tools.GetAvalonCountFP(m, self.size) for m in molecules], self.size)
        return bit_rows([tools.GetAvalonFP(m, self.size) for m in molecules], self.size)


def _tools() -> Any:
    try:
        from rdkit.Avalon import pyAvalonTools
    except ImportError as error:
        raise ParameterError(
            "This RDKit was built without Avalon.", hint="Use another fingerprint, such as ECFP()."
        ) from error
    return pyAvalonTools
