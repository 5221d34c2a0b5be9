"""``InteractionFingerprint``: which interactions a ligand has with the residues of its receptor."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from os import PathLike
from typing import Any, Final, Self

import numpy as np
from rdkit import Chem

from dc_core import Failure, FailureReport, Features, Featurizer, charge, check_count, check_names
from dc_core.errors import ParameterError
from dc_pipeline.featurizers.molecule_graphs import one_line
from dc_pipeline.featurizers.molecules import MAX_ATOMS, silenced
from dc_pipeline.featurizers.reading import chunks, shown
from dc_pipeline.loaders.sources import Source

INTERACTIONS: Final = (
    *("Hydrophobic", "HBDonor", "HBAcceptor", "PiStacking", "Anionic", "Cationic"),
    *("CationPi", "PiCation", "VdWContact"),
)
"""ProLIF's default interactions, from the ligand's point of view."""

_CHUNK: Final = 256
_MAX_BYTES: Final = 1 << 28


class InteractionFingerprint(Featurizer[Any]):
    """Protein-ligand interaction fingerprints by ProLIF.

    Bouysset and Fiorucci (2021, doi:10.1186/s13321-021-00548-6) define the interactions. Inputs are
    poses: RDKit molecules with all hydrogens and a three-dimensional conformer in the receptor's
    frame, a batch of :class:`Molecules`, or a column that :class:`MoleculeBinary` stored.

    ``receptor`` is the text of a PDB file with all hydrogens, so that a stored model needs no other
    file; :meth:`from_file` reads one. ``residues`` are those that count, as ProLIF names them
    (``"THR315.A"``), and by default all. Features are ``(n, residues * interactions)`` of uint8, 1
    where a residue has an interaction; :attr:`columns` names them, ``"THR315.A/HBAcceptor"``.

    Failures have the status ``parse``, ``sanitize`` or ``size`` like other molecules', or
    ``feature`` for a molecule without a three-dimensional conformer of finite positions, or without
    some hydrogens: interactions would be missing.

    Needs ProLIF: ``pip install "dc-pipeline[interactions]"``.

    Raises :class:`ParameterError` if it is not installed, if the receptor cannot be read or has no
    hydrogens, and for unknown or repeated residues and interactions.
    """

    requires = ("rdkit", "prolif")

    def __init__(
        self,
        receptor: str,
        *,
        residues: Sequence[str] | None = None,
        interactions: Sequence[str] = INTERACTIONS,
        max_atoms: int = MAX_ATOMS,
    ) -> None:
        self.receptor = receptor
        self.max_atoms = check_count("max_atoms", max_atoms, minimum=1)
        known = [str(name) for name in _protein(receptor).residues]
        self.residues = _chosen("residues", known if residues is None else residues, known)
        available = _prolif().Fingerprint.list_available()
        self.interactions = _chosen("interactions", interactions, available)

    @classmethod
    def from_file(
        cls,
        receptor: str | PathLike[str],
        *,
        ligand: Any = None,
        cutoff: float = 6.0,
        **options: Any,
    ) -> Self:
        """Return a featurizer for the receptor in a PDB file.

        With a ``ligand``, an RDKit molecule in the pocket, only residues with an atom within
        ``cutoff`` Å of it count. ``options`` are those of the constructor.

        Raises :class:`LoaderError` if the file cannot be read.
        """
        text = Source(receptor).read(_MAX_BYTES).decode("utf-8", "replace")
        if ligand is not None:
            protein = _protein(text)
            near = _prolif().utils.get_residues_near_ligand(_ligand(ligand), protein, cutoff)
            options["residues"] = [str(name) for name in protein.residues if name in set(near)]
        return cls(text, **options)

    @property
    def bits(self) -> bool:
        """True: the features are zeros and ones."""
        return True

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the features: residue and interaction."""
        return tuple(f"{residue}/{name}" for residue in self.residues for name in self.interactions)

    def featurize(self, inputs: Sequence[Any], *, strict: bool = False) -> Features:
        """Return one fingerprint per pose, zero where there is none.

        Raises :class:`FeaturizationError` with the failures if ``strict``, and
        :class:`DatasetError` if the inputs have no order or length.
        """
        fingerprint = _prolif().Fingerprint(list(self.interactions))
        order = [list(fingerprint.interactions).index(name) for name in self.interactions]
        protein = _protein(self.receptor)
        rows: list[np.ndarray] = []
        failures: list[Failure] = []
        for chunk in chunks(inputs, _CHUNK, self.max_atoms):
            failures += chunk.failures
            width = len(self.residues) * len(self.interactions)
            charge(len(chunk.molecules) * width, f"interactions of {len(chunk.molecules)} poses")
            for i, molecule in enumerate(chunk.molecules):
                row = np.zeros((len(self.residues), len(self.interactions)), np.uint8)
                rows.append(row)
                if molecule is None:
                    continue
                try:
                    ligand = _ligand(molecule)
                    _check_pose(molecule)
                    found = fingerprint.generate(ligand, protein, residues=list(self.residues))
                except (ValueError, RuntimeError) as error:
                    name, reason = shown(chunk.inputs[i]), one_line(error)
                    failures.append(Failure(chunk.first_row + i, name, "feature", reason))
                    continue
                for (_, residue), bits in found.items():
                    row[self.residues.index(str(residue))] |= np.asarray(bits, np.uint8)[order]
        report = FailureReport(tuple(sorted(failures, key=lambda failure: failure.row)))
        if strict:
            report.raise_if_any()
        ok = np.ones(len(rows), bool)
        ok[[failure.row for failure in failures]] = False
        width = len(self.residues) * len(self.interactions)
        return Features(np.array(rows, np.uint8).reshape(-1, width), ok, report)


def _prolif() -> Any:
    try:
        import prolif
    except ImportError as error:
        raise ParameterError(
            f"InteractionFingerprint needs ProLIF, which cannot be imported: {error}.",
            hint='pip install "dc-pipeline[interactions]"',
        ) from error
    return prolif


@lru_cache(maxsize=4)
def _protein(text: Any) -> Any:
    """Return ProLIF's molecule of a PDB file's text."""
    prolif = _prolif()
    with silenced():
        molecule = Chem.MolFromPDBBlock(text, removeHs=False) if isinstance(text, str) else None
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise ParameterError(
            "The receptor is not a PDB file that RDKit can read.",
            hint="Give the text of a file with all hydrogens, or use from_file.",
        )
    if not any(atom.GetAtomicNum() == 1 for atom in molecule.GetAtoms()):
        raise ParameterError(
            "The receptor has no hydrogens, without which there are no hydrogen bonds.",
            hint="Add them first, for example with PDBFixer or reduce.",
        )
    return prolif.Molecule(molecule)


def _ligand(molecule: Any) -> Any:
    if not any(conformer.Is3D() for conformer in molecule.GetConformers()):
        raise ValueError("the molecule has no three-dimensional conformer")
    return _prolif().Molecule.from_rdkit(molecule)


def _check_pose(molecule: Any) -> None:
    """Raise :class:`ValueError` if positions of a pose are not finite, or hydrogens have none."""
    if not np.isfinite(molecule.GetConformer().GetPositions()).all():
        raise ValueError("the positions are not finite")
    lacking = sum(atom.GetTotalNumHs() for atom in molecule.GetAtoms())
    if lacking:
        raise ValueError(f"{lacking} hydrogens have no positions: add them with addCoords=True")


def _chosen(argument: str, names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return ``names``, which must be among those that are ``known``."""
    check_names(argument, names)
    for name in names:
        if name not in known:
            raise ParameterError(
                f"{argument} has {name!r}, which is not there.",
                hint=f"There are: {', '.join(known[:8])}{' …' if len(known) > 8 else ''}.",
            )
    if not names or len(set(names)) < len(names):
        raise ParameterError(f"{argument} must be different names, at least one.")
    return tuple(names)
