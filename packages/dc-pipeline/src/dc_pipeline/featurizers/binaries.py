"""Molecules stored as they were parsed, so that later runs need not parse SMILES again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dc_core import Ragged, check_count, check_flag
from dc_pipeline.featurizers.base import MoleculeFeaturizer
from dc_pipeline.featurizers.molecules import MAX_ATOMS, Level
from dc_pipeline.featurizers.sealing import seal


class MoleculeBinary(MoleculeFeaturizer):
    """Parsed molecules as RDKit's binaries, which other featurizers of molecules take as inputs.

    Reading one takes a third of the time of parsing its SMILES, and gives the same features.
    ``stereo`` is whether stereochemistry is perceived, which some featurizers need.

    Features are a ragged column of uint8, about 400 bytes per molecule of a drug's size. Each row
    is sealed with a key of the user's own, and other rows are never read: see
    :mod:`dc_pipeline.featurizers.sealing`.

    Raises :class:`ParameterError` unless ``stereo`` is True or False and ``max_atoms`` is at least
    1. ``featurize`` also raises :class:`MoleculeKeyError` if the key cannot be read or made.
    """

    def __init__(self, *, stereo: bool = True, max_atoms: int = MAX_ATOMS) -> None:
        self.stereo = check_flag("stereo", stereo)
        self.max_atoms = check_count("max_atoms", max_atoms, minimum=1)

    @property
    def level(self) -> Level:
        """The level at which molecules are parsed."""
        return Level.STEREO if self.stereo else Level.CONNECTIVITY

    def rows(self, molecules: Sequence[Any]) -> Ragged:
        """Return the binary of each molecule."""
        sealed = [seal(molecule, self.level) for molecule in molecules]
        offsets = np.zeros(len(sealed) + 1, np.int64)
        np.cumsum([*map(len, sealed)], out=offsets[1:])
        return Ragged(np.frombuffer(b"".join(sealed), np.uint8), offsets)
