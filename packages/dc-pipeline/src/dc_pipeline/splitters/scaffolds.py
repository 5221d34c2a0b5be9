"""Group molecules by scaffold, so that a model is tested on ring systems that it has not seen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold

from dc_core import Dataset, Failure, FailureReport, check_count, check_flag
from dc_core.errors import DatasetError
from dc_pipeline.featurizers.base import batches
from dc_pipeline.featurizers.molecules import MAX_ATOMS, Level, Molecules
from dc_pipeline.splitters.grouping import Grouping, GroupSplitter, numbered
from dc_pipeline.splitters.smiles import smiles_of

logger = logging.getLogger(__name__)

_CHUNK: Final = 256
_MAX_ATOMS: Final = 500


class Scaffolds(Grouping):
    """Groups molecules by their Bemis–Murcko scaffolds (1996, doi:10.1021/jm9602928).

    A scaffold is the rings and the chains that link them, without stereochemistry. All molecules
    without a ring have the empty scaffold. ``generic=True`` ignores elements and bond orders too:
    pyridine and cyclohexane have the same graph framework.

    The SMILES are the dataset's X if that is text, its column ``smiles`` if X has named columns,
    and else the ids. A molecule with rings and more than ``max_atoms`` atoms is a group of its own,
    and so is a SMILES that does not parse; a warning is logged. (The time that RDKit takes for a
    scaffold grows with the cube of the number of atoms: half a second for 500.)

    Scaffolds that were computed once can be stored, see :func:`scaffold_smiles`, and given to
    :class:`Groups`.

    Raises :class:`ParameterError` unless ``generic`` is True or False, and ``max_atoms`` is at
    least 1.
    """

    def __init__(self, *, generic: bool = False, max_atoms: int = _MAX_ATOMS) -> None:
        self.generic = check_flag("generic", generic)
        self.max_atoms = check_count("max_atoms", max_atoms, minimum=1)

    def groups(self, dataset: Dataset) -> np.ndarray:
        """Return the number of each row's scaffold, ``(n,)`` of int.

        Raises :class:`DatasetError` if no row has a SMILES.
        """
        smiles = smiles_of(dataset)
        found = scaffold_smiles(smiles, generic=self.generic, max_atoms=self.max_atoms)
        check_molecules(len(smiles), found.failures)
        return numbered(row if core is None else core for row, core in enumerate(found.scaffolds))


class ScaffoldSplitter(GroupSplitter):
    """Divides molecules by :class:`Scaffolds`, as in MoleculeNet (2018, doi:10.1039/C7SC02664A).

    The largest group goes first, and of equal ones the later: into train while it has room, else
    into valid, else into test. For other orders, use ``GroupSplitter(Scaffolds(), order=...)``.

    Raises :class:`ParameterError` unless the ``fractions`` of train, valid and test add up to 1,
    ``generic`` is True or False, and ``max_atoms`` is at least 1.
    """

    def __init__(
        self,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        *,
        generic: bool = False,
        max_atoms: int = _MAX_ATOMS,
    ) -> None:
        grouping = Scaffolds(generic=generic, max_atoms=max_atoms)
        super().__init__(grouping, fractions, order="largest")


class ScaffoldSmiles(NamedTuple):
    """The scaffold of each molecule as SMILES, None where there is none, and why."""

    scaffolds: list[str | None]
    failures: FailureReport


def scaffold(molecule: Any, *, generic: bool = False) -> str:
    """Return the SMILES of an RDKit ``Mol``'s Bemis–Murcko scaffold, without stereochemistry.

    Raises :class:`rdkit.Chem.MolSanitizeException` if the scaffold is ``generic`` and an atom has
    more neighbours than carbon can have.
    """
    if molecule.GetRingInfo().NumRings() == 0:
        return ""
    core = MurckoScaffold.GetScaffoldForMol(molecule)  # type: ignore[no-untyped-call]
    if generic:
        core = MurckoScaffold.MakeScaffoldGeneric(core)  # type: ignore[no-untyped-call]
        # RDKit keeps what is double-bonded to a ring, which is a side chain once bonds are single.
        core = MurckoScaffold.GetScaffoldForMol(core)  # type: ignore[no-untyped-call]
    return str(Chem.MolToSmiles(core, isomericSmiles=False))


def scaffold_smiles(
    smiles: Sequence[str] | Molecules, *, generic: bool = False, max_atoms: int = _MAX_ATOMS
) -> ScaffoldSmiles:
    """Return the scaffold of each of the ``smiles``, and a report on those that have none.

    Scaffolds are SMILES, empty for a molecule without a ring. Molecules that are parsed already may
    be given instead.
    """
    scaffolds: list[str | None] = []
    failures: list[Failure] = []
    # A molecule takes 42 kB: only its scaffold's SMILES is kept.
    for start, parsed in batches(smiles, _CHUNK, Level.CONNECTIVITY, MAX_ATOMS):
        failures += [replace(failure, row=start + failure.row) for failure in parsed.failures]
        for i, molecule in enumerate(parsed.molecules):
            core = None
            if molecule is not None:
                status, fault = _refused(molecule, max_atoms)
                try:
                    core = None if status else scaffold(molecule, generic=generic)
                except Chem.MolSanitizeException as error:
                    status, fault = "feature", f"the scaffold is not a molecule: {error}"
                if status:
                    failures.append(Failure(start + i, str(parsed.inputs[i]), status, fault))
            scaffolds.append(core)
    ordered = sorted(failures, key=lambda failure: failure.row)
    return ScaffoldSmiles(scaffolds, FailureReport(tuple(ordered)))


def check_molecules(n: int, report: FailureReport) -> None:
    """Log the rows in ``report``, which become groups of their own.

    Raises :class:`DatasetError` if they are all ``n`` rows.
    """
    if len(report) == n:
        raise DatasetError(
            f"None of the rows has a SMILES that can be used: {report}.",
            hint="Split before featurizing, or give the dataset SMILES as ids.",
        )
    if len(report):
        logger.warning("not grouped, so a group of its own: %s", report)


def _refused(molecule: Any, max_atoms: int) -> tuple[str, str]:
    """Return why RDKit is not asked for the scaffold, as status and reason, else empty strings."""
    atoms = molecule.GetNumAtoms()
    if atoms <= max_atoms or molecule.GetRingInfo().NumRings() == 0:
        return "", ""
    return "size", f"the molecule has {atoms} atoms; the limit is max_atoms={max_atoms}"
