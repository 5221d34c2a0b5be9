"""Split by scaffold, so that a model is tested on ring systems that it has not seen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold

from dc_core import Dataset, Failure, FailureReport, Splitter, check_count
from dc_core.errors import DatasetError
from dc_pipeline.molecules import parse_smiles
from dc_pipeline.split_fractions import SplitFractions

logger = logging.getLogger(__name__)

_CHUNK: Final = 256
_MAX_ATOMS: Final = 500


class ScaffoldSplitter(Splitter):
    """Divides molecules by their Bemis–Murcko scaffolds (1996, doi:10.1021/jm9602928).

    Molecules with the same scaffold (rings and the chains that link them, without stereochemistry)
    stay together; all those without a ring have the empty scaffold. The largest group goes first,
    and of equal ones the later: into train while it has room, else into valid, else into test. This
    is the split of MoleculeNet (2018, doi:10.1039/C7SC02664A).

    The SMILES are the dataset's X if that is text, and else its ids. A molecule with rings and more
    than ``max_atoms`` atoms is a group of its own, and so is a SMILES that does not parse; a
    warning is logged. (The time that RDKit takes for a scaffold grows with the cube of the number
    of atoms: half a second for 500.)

    Raises :class:`ParameterError` unless the ``fractions`` of train, valid and test add up to 1,
    and ``max_atoms`` is at least 1.
    """

    def __init__(
        self, fractions: Sequence[float] = (0.8, 0.1, 0.1), *, max_atoms: int = _MAX_ATOMS
    ) -> None:
        self.fractions = SplitFractions.of(fractions)
        self.max_atoms = check_count("max_atoms", max_atoms, minimum=1)

    def indices(self, dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the row numbers of train, valid and test, each in the dataset's order.

        Raises :class:`EmptyDataset` for a dataset without rows, and :class:`DatasetError` if no row
        has a SMILES or every scaffold has too many molecules for train.
        """
        train_end, valid_end = self.fractions.cutoffs(dataset)
        groups = scaffold_groups(_smiles(dataset), self.max_atoms)
        train: list[int] = []
        valid: list[int] = []
        test: list[int] = []
        for group in sorted(groups, key=lambda rows: (len(rows), rows[0]), reverse=True):
            if len(train) + len(group) <= train_end:
                train += group
            elif len(train) + len(valid) + len(group) <= valid_end:
                valid += group
            else:
                test += group
        if train_end and not train:
            raise DatasetError(
                f"Each scaffold has more molecules than the {train_end} that train may have.",
                hint="Use RandomSplitter for molecules that are so similar.",
            )
        return _rows(train), _rows(valid), _rows(test)


def scaffold(molecule: Any) -> str:
    """Return the SMILES of an RDKit ``Mol``'s Bemis–Murcko scaffold, without stereochemistry."""
    if molecule.GetRingInfo().NumRings() == 0:
        return ""
    core = MurckoScaffold.GetScaffoldForMol(molecule)  # type: ignore[no-untyped-call]
    return str(Chem.MolToSmiles(core, isomericSmiles=False))


def scaffold_groups(smiles: Sequence[str], max_atoms: int = _MAX_ATOMS) -> list[list[int]]:
    """Return the row numbers of the molecules of each scaffold; each row is in one group.

    Raises :class:`DatasetError` if none of the ``smiles`` can be used.
    """
    groups: dict[str | int, list[int]] = {}
    failures: list[Failure] = []
    # A molecule takes 42 kB: only its scaffold's SMILES is kept.
    for start in range(0, len(smiles), _CHUNK):
        parsed = parse_smiles(smiles[start : start + _CHUNK], stereo=False, first_row=start)
        failures += parsed.failures
        for row, molecule in enumerate(parsed.molecules, start):
            key: str | int = row
            if molecule is not None:
                atoms = molecule.GetNumAtoms()
                if atoms <= max_atoms or molecule.GetRingInfo().NumRings() == 0:
                    key = scaffold(molecule)
                else:
                    fault = f"the molecule has {atoms} atoms; the limit is max_atoms={max_atoms}"
                    failures.append(Failure(row, smiles[row], "size", fault))
            groups.setdefault(key, []).append(row)
    report = FailureReport(tuple(sorted(failures, key=lambda failure: failure.row)))
    if len(failures) == len(smiles):
        raise DatasetError(
            f"None of the rows has a SMILES that can be used: {report}.",
            hint="Split before featurizing, or give the dataset SMILES as ids.",
        )
    if failures:
        logger.warning("no scaffold, so a group of its own: %s", report)
    return list(groups.values())


def _smiles(dataset: Dataset) -> list[str]:
    X = dataset.X
    text = isinstance(X, np.ndarray) and X.dtype.kind == "T" and X.ndim == 1
    found: list[str] = (np.asarray(X) if text else dataset.ids).tolist()
    return found


def _rows(numbers: list[int]) -> np.ndarray:
    return np.sort(np.array(numbers, np.intp))
