"""Molecular graphs: featurized per CPU second, and read from disk in shuffled batches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import Way
from subject import Subject, Target

from subjects import ecfp

BATCH = 256


def prepare(folder: Path, *, quick: bool) -> Callable[[], Any]:
    """Write the SMILES of the subject ``ecfp``, their stored molecules and a dataset of codes."""
    write_smiles = ecfp.prepare(folder, quick=quick)

    def write() -> None:
        from dc_core import NumpyDataset
        from dc_pipeline import DatasetWriter, MolecularGraph, MoleculeBinary

        write_smiles()
        smiles = json.loads((folder / "smiles.json").read_text())
        binaries = MoleculeBinary().featurize(smiles, strict=True).values
        with DatasetWriter(folder / "molecules") as writer:
            writer.append(NumpyDataset(binaries))
        graphs = MolecularGraph(hydrogen_bonding=True).featurize(smiles, strict=True).values
        with DatasetWriter(folder / "graphs", code=["atoms"]) as writer:
            for _ in range(3 if quick else 50):
                writer.append(NumpyDataset(graphs))

    return write


def codes(folder: Path, *, stored: bool) -> Callable[[], int]:
    """dc-pipeline's featurizer, from SMILES or from stored molecules."""
    from dc_pipeline import MolecularGraph

    return _warm(MolecularGraph().featurize, _inputs(folder, stored=stored))


def expanded(folder: Path) -> Callable[[], int]:
    """The same from SMILES, expanded to chemprop's features."""
    from dc_core import NumpyDataset
    from dc_pipeline import GraphExpansion, MolecularGraph

    featurizer, expansion = MolecularGraph(), GraphExpansion("chemprop")

    def featurize(smiles: list[Any]) -> Any:
        return expansion.transform(NumpyDataset(featurizer.featurize(smiles).values)).X

    return _warm(featurize, _inputs(folder, stored=False))


def parse_alone(folder: Path) -> Callable[[], int]:
    """RDKit's parser and nothing else: the floor for what begins with SMILES."""
    from rdkit import Chem

    return _warm(
        lambda smiles: list(map(Chem.MolFromSmiles, smiles)), _inputs(folder, stored=False)
    )


def chemprop_way(folder: Path) -> Callable[[], int]:
    """Atom by atom and bond by bond, as chemprop 2's ``SimpleMoleculeMolGraphFeaturizer`` does."""
    import numpy as np
    from rdkit import Chem

    kinds = Chem.HybridizationType
    hybridizations = [
        getattr(kinds, name) for name in ["S", "SP", "SP2", "SP2D", "SP3", "SP3D", "SP3D2"]
    ]
    choices: list[dict[Any, int]] = [
        {value: place for place, value in enumerate(values)}
        for values in (
            [*range(1, 37), 53],
            range(6),
            [-1, -2, 1, 2, 0],
            range(4),
            range(5),
            hybridizations,
        )
    ]
    size = sum(len(found) + 1 for found in choices) + 2
    types = [getattr(Chem.BondType, name) for name in ["SINGLE", "DOUBLE", "TRIPLE", "AROMATIC"]]

    def atom_features(atom: Any) -> Any:
        x = np.zeros(size)
        values = (
            atom.GetAtomicNum(),
            atom.GetTotalDegree(),
            atom.GetFormalCharge(),
            int(atom.GetChiralTag()),
            int(atom.GetTotalNumHs()),
            atom.GetHybridization(),
        )
        start = 0
        for value, places in zip(values, choices, strict=True):
            x[start + places.get(value, len(places))] = 1
            start += len(places) + 1
        x[start] = int(atom.GetIsAromatic())
        x[start + 1] = 0.01 * atom.GetMass()
        return x

    def bond_features(bond: Any) -> Any:
        x = np.zeros(14, int)
        if bond.GetBondType() in types:
            x[1 + types.index(bond.GetBondType())] = 1
        x[5] = int(bond.GetIsConjugated())
        x[6] = int(bond.IsInRing())
        x[7 + min(int(bond.GetStereo()), 6)] = 1
        return x

    def graph(text: str) -> Any:
        molecule = Chem.MolFromSmiles(text)
        atoms = np.array([atom_features(atom) for atom in molecule.GetAtoms()], np.single)
        bonds = np.empty((2 * molecule.GetNumBonds(), 14))
        edges: list[list[int]] = [[], []]
        for i, bond in enumerate(molecule.GetBonds()):
            bonds[2 * i : 2 * i + 2] = bond_features(bond)
            begin, end = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
            edges[0].extend([begin, end])
            edges[1].extend([end, begin])
        reverse = np.arange(len(bonds)).reshape(-1, 2)[:, ::-1].ravel()
        return atoms, bonds, np.array(edges, int), reverse

    return _warm(lambda smiles: list(map(graph, smiles)), _inputs(folder, stored=False))


def batches(folder: Path, *, scheme: str) -> Callable[[], int]:
    """Shuffled batches of codes from disk, expanded by a scheme if one is named."""
    from dc_core import Dataset
    from dc_pipeline import DiskDataset, GraphExpansion

    dataset: Dataset = DiskDataset(folder / "graphs")
    if scheme:
        dataset = GraphExpansion(scheme).transform(dataset)  # type: ignore[arg-type]

    def action() -> int:
        for _ in dataset.batches(BATCH, shuffle=True, parts=("X",)):
            pass
        return len(dataset)

    return action


def objects(folder: Path) -> Callable[[], int]:
    """One object of arrays per molecule, as a list, joined by batch as chemprop 2 does."""
    import numpy as np

    from dc_pipeline import DiskDataset, GraphExpansion

    smiles = json.loads((folder / "smiles.json").read_text())
    X = GraphExpansion("chemprop").transform(DiskDataset(folder / "graphs")[: len(smiles)]).X
    names = ("atoms", "bonds", "edges", "reverse")
    graphs = [tuple(map(np.copy, row)) for row in zip(*(X[name] for name in names), strict=True)]

    def action() -> int:
        order = np.random.default_rng(0).permutation(len(graphs))
        for start in range(0, len(order), BATCH):
            atoms, bonds, edges, reverse, molecules = [], [], [], [], []
            n_atoms = n_edges = 0
            for i, place in enumerate(order[start : start + BATCH].tolist()):
                graph = graphs[place]
                atoms.append(graph[0])
                bonds.append(graph[1])
                edges.append(graph[2] + n_atoms)
                reverse.append(graph[3] + n_edges)
                molecules.append([i] * len(graph[0]))
                n_atoms += len(graph[0])
                n_edges += len(graph[2])
            for parts in (atoms, bonds, edges, reverse, molecules):
                np.concatenate(parts)
        return len(graphs)

    return action


def _inputs(folder: Path, *, stored: bool) -> Any:
    if stored:
        from dc_pipeline import DiskDataset

        return DiskDataset(folder / "molecules").X
    return json.loads((folder / "smiles.json").read_text())


def _warm(featurize: Callable[[Any], Any], inputs: Any) -> Callable[[], int]:
    """Featurize a few; return the action that featurizes all and returns their number."""
    featurize(inputs[:20])

    def action() -> int:
        featurize(inputs)
        return len(inputs)

    return action


SUBJECTS = (
    Subject(
        title="Molecular graphs",
        note="MoleculeNet's Lipophilicity (4 200 molecules, 27 atoms each) or, without the data "
        "folder, FreeSolv, on one thread. *Stored* molecules are the binaries of "
        "``MoleculeBinary``. *Atom by atom* does what chemprop 2 does, as in its sources; "
        "*expanded* gives the same numbers.",
        prepare=prepare,
        things="molecules",
        versions=("rdkit", "numpy"),
        ways=(
            Way("dc-pipeline, codes from SMILES", codes, {"stored": False}),
            Way("dc-pipeline, expanded from SMILES", expanded),
            Way("dc-pipeline, codes from stored molecules", codes, {"stored": True}),
            Way("RDKit, parsing alone", parse_alone),
            Way("chemprop's features, atom by atom", chemprop_way),
        ),
        targets=(
            Target("rate", "dc-pipeline, codes from SMILES", "RDKit, parsing alone", at_least=0.65),
            Target(
                "rate",
                "dc-pipeline, expanded from SMILES",
                "chemprop's features, atom by atom",
                at_least=2,
            ),
            Target(
                "rate",
                "dc-pipeline, codes from stored molecules",
                "RDKit, parsing alone",
                at_least=3,
            ),
        ),
    ),
    Subject(
        title="Shuffled batches of molecular graphs",
        note="Codes of 210 000 molecules on disk, two bytes an atom and four a bond, in batches of "
        "256 from the page cache. *Expanded*: with features, directed edges and their reverses. "
        "*Objects* are chemprop's features of 4 200 molecules in memory, 10 kB each, joined as its "
        "``BatchMolGraph`` joins them.",
        prepare=prepare,
        things="graphs",
        versions=("numpy",),
        ways=(
            Way("codes", batches, {"scheme": ""}),
            Way("expanded, chemprop", batches, {"scheme": "chemprop"}),
            Way("expanded, deepchem", batches, {"scheme": "deepchem"}),
            Way("expanded, ogb", batches, {"scheme": "ogb"}),
            Way("objects in memory", objects),
        ),
        targets=(
            Target("rate", "codes", "objects in memory", at_least=2),
            Target("rate", "expanded, chemprop", "objects in memory"),
        ),
    ),
)
