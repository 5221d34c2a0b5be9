"""``MolecularGraph``: molecules as codes of atoms and bonds."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from rdkit import Chem, RDConfig
from rdkit.Chem import ChemicalFeatures

from dc_core import (
    Failure,
    FailureReport,
    Features,
    Featurizer,
    Ragged,
    check_count,
    check_flag,
    concatenate_rows,
)
from dc_pipeline.featurizers.canonical import in_canonical_order, rank_atoms
from dc_pipeline.featurizers.graph_codes import ATOM_FIELDS, BOND_FIELDS, LARGEST, pack
from dc_pipeline.featurizers.molecule_graphs import Graphs, offsets_of, one_line, read_graphs
from dc_pipeline.featurizers.molecules import MAX_ATOMS, silenced, too_large
from dc_pipeline.featurizers.reading import Chunk, chunks, shown

_CHUNK: Final = 1024
"""Molecules held at a time, so that their memory does not grow with the number of inputs."""


class MolecularGraph(Featurizer[Any]):
    """Graphs of molecules as codes: one integer per atom, and one per bond.

    Inputs are SMILES, sanitized RDKit molecules, a batch of :class:`Molecules`, or a column that
    :class:`MoleculeBinary` stored. Features are named ragged
    columns:

    - ``atoms``: a uint64 per atom, whose bits hold the fields of ``ATOM_FIELDS``: element, isotope,
      charge, hydrogens, degree, hybridization, chirality, radical electrons, aromaticity and
      whether it is in a ring, as RDKit perceives them.
    - ``bonds``: a uint32 per bond with the fields of ``BOND_FIELDS``: its two atoms, type,
      stereochemistry, conjugation and whether it is in a ring. Each bond occurs once.
    - ``order``, with ``canonical``: a uint16 per atom, its number in the input.

    :class:`GraphExpansion` turns codes into the features of a published scheme, by batch.

    With ``hydrogens`` all hydrogens are atoms of the graph. With ``hydrogen_bonding`` atoms say
    whether they are donors or acceptors, by the definitions in RDKit's ``BaseFeatures.fdef``; the
    scheme ``"deepchem"`` needs it, and it takes a third of the time of parsing. With ``canonical``
    atoms and bonds have an order that does not depend on how the input was written. Otherwise
    atoms and bonds have RDKit's order, which for SMILES is that of the text.

    A molecule of more than ``max_atoms`` atoms, with hydrogens if they are added, fails with the
    status ``size``; one with a field beyond its bits, or that was not sanitized, with ``feature``.

    Raises :class:`ParameterError` unless ``max_atoms`` is an integer from 1 to 2048 and the others
    are True or False.
    """

    requires = ("rdkit",)

    def __init__(
        self,
        *,
        hydrogens: bool = False,
        hydrogen_bonding: bool = False,
        canonical: bool = False,
        max_atoms: int = MAX_ATOMS,
    ) -> None:
        self.hydrogens = check_flag("hydrogens", hydrogens)
        self.hydrogen_bonding = check_flag("hydrogen_bonding", hydrogen_bonding)
        self.canonical = check_flag("canonical", canonical)
        self.max_atoms = check_count("max_atoms", max_atoms, minimum=1, maximum=LARGEST)

    @property
    def codes(self) -> Collection[str]:
        """The atoms: few of their codes are different."""
        return ("atoms",)

    def featurize(self, inputs: Sequence[Any], *, strict: bool = False) -> Features:
        """Return one graph per molecule, empty where there is none.

        ``inputs`` may be a list, an array, a Series, a one-column DataFrame or a dataset (its X).
        Failures have the status ``parse``, ``sanitize``, ``size`` or ``feature``.

        Raises :class:`FeaturizationError` with the failures if ``strict``, and
        :class:`DatasetError` if the inputs have no order or length.
        """
        parts: list[dict[str, Ragged]] = []
        failures: list[Failure] = []
        binaries = not (self.hydrogens or self.canonical or self.hydrogen_bonding)
        for chunk in chunks(inputs, _CHUNK, self.max_atoms, binaries=binaries):
            failures += chunk.failures
            parts.append(self._columns(chunk, failures))
        report = FailureReport(tuple(sorted(failures, key=lambda failure: failure.row)))
        if strict:
            report.raise_if_any()
        columns = concatenate_rows(parts)
        ok = np.ones(len(columns["atoms"]), bool)
        ok[[failure.row for failure in failures]] = False
        return Features(columns, ok, report)

    def _columns(self, chunk: Chunk, failures: list[Failure]) -> dict[str, Ragged]:
        """Return the columns of some inputs, and add those without a graph to ``failures``."""
        failed: dict[int, tuple[str, str]] = {}
        molecules = list(chunk.molecules)
        for i, molecule in enumerate(molecules if self.hydrogens else ()):
            try:
                molecules[i] = None if molecule is None else Chem.AddHs(molecule)
            except RuntimeError as error:
                molecules[i], failed[i] = None, ("feature", one_line(error))
        rows = [i for i, molecule in enumerate(molecules) if molecule is not None]
        with silenced():
            graphs, order = self._graphs([molecules[i] for i in rows])
        failed |= {rows[k]: ("feature", reason) for k, reason in graphs.failures.items()}
        columns, beyond = _columns(graphs, order)
        sizes = np.diff(graphs.atom_offsets)
        for k in np.flatnonzero(sizes > self.max_atoms).tolist():
            failed[rows[k]] = "size", too_large(int(sizes[k]), self.max_atoms)
        for k, reason in beyond.items():
            failed.setdefault(rows[k], ("feature", reason))
        for i, (status, reason) in failed.items():
            name = shown(chunk.inputs[i])
            failures.append(Failure(chunk.first_row + i, name, status, reason))
        at = np.zeros(len(molecules), np.int64)
        at[[i for i in rows if i not in failed]] = 1
        kept = [k for k, i in enumerate(rows) if i not in failed]
        return {
            name: _spread(column if not failed else column[kept], at)
            for name, column in columns.items()
        }

    def _graphs(self, molecules: list[Any]) -> tuple[Graphs, np.ndarray | None]:
        """Return the graphs, and with ``canonical`` the places of their atoms in the input."""
        graphs = read_graphs(molecules)
        if not self.canonical:
            return self._with_bonding(graphs, molecules), None
        ranked = rank_atoms(molecules, graphs)
        used = [one.molecule for one in ranked]
        if any(a is not b for a, b in zip(used, molecules, strict=True)):
            graphs = read_graphs(used)
        return in_canonical_order(self._with_bonding(graphs, used), ranked)

    def _with_bonding(self, graphs: Graphs, molecules: Sequence[Any]) -> Graphs:
        if not self.hydrogen_bonding:
            return graphs
        atoms = dict(graphs.atoms)
        total = graphs.atom_offsets[-1]
        atoms["hydrogen_bonding"] = np.ones(total, np.int64)
        starts = graphs.atom_offsets.tolist()
        for name, pattern in _bonding_patterns().items():
            found = [
                start + atom
                for i, (molecule, start) in enumerate(zip(molecules, starts, strict=False))
                if i not in graphs.failures
                for (atom,) in molecule.GetSubstructMatches(pattern, maxMatches=LARGEST)
            ]
            atoms[name] = np.zeros(total, np.int64)
            atoms[name][found] = 1
        return graphs._replace(atoms=atoms)


@cache
def _bonding_patterns() -> dict[str, Any]:
    """Return the queries of hydrogen-bond donors and acceptors, each of a single atom."""
    path = os.path.join(RDConfig.RDDataDir, "BaseFeatures.fdef")  # noqa: PTH118 - RDKit's str
    chemical_features: Any = ChemicalFeatures
    definitions = chemical_features.BuildFeatureFactory(path).GetFeatureDefs()
    return {
        "donor": Chem.MolFromSmarts(definitions["Donor.SingleAtomDonor"]),
        "acceptor": Chem.MolFromSmarts(definitions["Acceptor.SingleAtomAcceptor"]),
    }


def _columns(graphs: Graphs, order: np.ndarray | None) -> tuple[dict[str, Ragged], dict[int, str]]:
    """Return the columns of ``graphs``, and why some of them cannot be represented."""
    atoms, wrong_atoms = pack(ATOM_FIELDS, graphs.atoms, np.uint64)
    bonds, wrong_bonds = pack(BOND_FIELDS, graphs.bonds, np.uint32)
    columns = {
        "atoms": Ragged(atoms, graphs.atom_offsets),
        "bonds": Ragged(bonds, graphs.bond_offsets),
    }
    if order is not None:
        columns["order"] = Ragged(order, graphs.atom_offsets)
    beyond: dict[int, str] = {}
    for fields, values, wrong, column in (
        (ATOM_FIELDS, graphs.atoms, wrong_atoms, columns["atoms"]),
        (BOND_FIELDS, graphs.bonds, wrong_bonds, columns["bonds"]),
    ):
        for name, where in wrong.items():
            field, numbers = fields[name], column.row_numbers
            for place in np.flatnonzero(where).tolist():
                beyond.setdefault(
                    int(numbers[place]),
                    f"{name} {values[name][place]} is not from {field.minimum} to {field.maximum}",
                )
    return columns, beyond


def _spread(column: Ragged, at: np.ndarray) -> Ragged:
    """Return ``column`` with its rows at the places where ``at`` is 1, and empty rows elsewhere."""
    lengths = np.zeros(len(at), np.int64)
    lengths[at > 0] = column.lengths
    return Ragged(column.values, offsets_of(lengths))
