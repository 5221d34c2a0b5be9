"""Splits by scaffold, by Butina's clusters and by MaxMin: molecules per CPU second, from SMILES."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import Way
from subject import Subject, Target

from subjects import ecfp

SIMILARITY = 0.4
SEED = 1


def scaffold(folder: Path) -> Callable[[], int]:
    """dc-pipeline's scaffold split."""
    from dc_pipeline import ScaffoldSplitter

    return _dataset(folder, ScaffoldSplitter())


def scaffold_rdkit(folder: Path) -> Callable[[], int]:
    """RDKit's scaffold SMILES of each molecule, gathered in a dictionary."""
    from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

    def split(smiles: list[str]) -> Any:
        groups: dict[str, list[int]] = {}
        for row, one in enumerate(smiles):
            groups.setdefault(MurckoScaffoldSmiles(one), []).append(row)
        return groups

    return _smiles(folder, split)


def scaffold_deepchem(folder: Path) -> Callable[[], int]:
    """DeepChem's ``ScaffoldSplitter``."""
    import deepchem as dc

    return _deepchem(folder, dc.splits.ScaffoldSplitter())


def butina(folder: Path) -> Callable[[], int]:
    """dc-pipeline's clusters, and the split of whole clusters."""
    from dc_pipeline import ButinaClusters, GroupSplitter

    return _dataset(folder, GroupSplitter(ButinaClusters(SIMILARITY)))


def butina_rdkit(folder: Path) -> Callable[[], int]:
    """RDKit's clusters, from its own bulk fingerprints and similarities."""
    from rdkit.DataStructs import BulkTanimotoSimilarity
    from rdkit.ML.Cluster import Butina

    def cluster(smiles: list[str]) -> Any:
        vectors = _vectors(smiles)
        distances: list[float] = []
        for row, vector in enumerate(vectors):
            distances.extend(BulkTanimotoSimilarity(vector, vectors[:row], returnDistance=True))
        return Butina.ClusterData(distances, len(vectors), 1 - SIMILARITY, isDistData=True)

    return _smiles(folder, cluster)


def butina_deepchem(folder: Path) -> Callable[[], int]:
    """DeepChem's ``ButinaSplitter``."""
    import deepchem as dc

    return _deepchem(folder, dc.splits.ButinaSplitter(cutoff=1 - SIMILARITY))


def maxmin(folder: Path) -> Callable[[], int]:
    """dc-pipeline's MaxMin split: a fifth of the molecules is picked."""
    from dc_pipeline import MaxMinSplitter

    return _dataset(folder, MaxMinSplitter(seed=SEED))


def maxmin_rdkit(folder: Path) -> Callable[[], int]:
    """RDKit's picker on its own bulk fingerprints."""
    from rdkit.SimDivFilters.rdSimDivPickers import MaxMinPicker

    def pick(smiles: list[str]) -> Any:
        vectors = _vectors(smiles)
        n = len(vectors)
        return MaxMinPicker().LazyBitVectorPick(vectors, n, n // 5, seed=SEED)

    return _smiles(folder, pick)


def maxmin_deepchem(folder: Path) -> Callable[[], int]:
    """DeepChem's ``MaxMinSplitter``."""
    import deepchem as dc

    return _deepchem(folder, dc.splits.MaxMinSplitter())


def _vectors(smiles: list[str]) -> Any:
    from rdkit import Chem
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=ecfp.RADIUS, fpSize=ecfp.SIZE)
    return generator.GetFingerprints(list(map(Chem.MolFromSmiles, smiles)), numThreads=1)


def _dataset(folder: Path, splitter: Any) -> Callable[[], int]:
    from dc_core import NumpyDataset

    return _smiles(folder, lambda smiles: splitter.indices(NumpyDataset(smiles)))


def _deepchem(folder: Path, splitter: Any) -> Callable[[], int]:
    import deepchem as dc
    import numpy as np

    def split(smiles: list[str]) -> Any:
        return splitter.split(dc.data.NumpyDataset(np.zeros((len(smiles), 1)), ids=smiles))

    return _smiles(folder, split)


def _smiles(folder: Path, split: Callable[[list[str]], Any]) -> Callable[[], int]:
    """Split a few; return the action that splits all and returns their number."""
    smiles = json.loads((folder / "smiles.json").read_text())
    split(smiles[:100])

    def action() -> int:
        split(smiles)
        return len(smiles)

    return action


NOTE = (
    "MoleculeNet's Lipophilicity (4 200 molecules) or, without the data folder, FreeSolv (642): "
    "from SMILES, parsing and fingerprints included, on one thread."
)

SUBJECTS = (
    Subject(
        title="Splitting by scaffold",
        note=f"{NOTE} RDKit: the scaffolds only, in a dictionary.",
        prepare=ecfp.prepare,
        things="molecules",
        repeats=3,
        versions=("rdkit", "numpy"),
        ways=(
            Way("ScaffoldSplitter", scaffold),
            Way("RDKit one by one", scaffold_rdkit),
            Way("DeepChem", scaffold_deepchem, environment="deepchem"),
        ),
        targets=(
            Target("rate", "ScaffoldSplitter", "RDKit one by one", at_least=1),
            Target("rate", "ScaffoldSplitter", "DeepChem", at_least=1, otherwise=3060),
        ),
    ),
    Subject(
        title="Splitting by Butina's clusters",
        note=f"{NOTE} Neighbours have a Tanimoto similarity of at least {SIMILARITY}. RDKit: the "
        "clusters only.",
        prepare=ecfp.prepare,
        things="molecules",
        repeats=3,
        versions=("rdkit", "numpy"),
        ways=(
            Way("ButinaClusters", butina),
            Way("RDKit", butina_rdkit),
            Way("DeepChem", butina_deepchem, environment="deepchem"),
        ),
        targets=(
            Target("rate", "ButinaClusters", "RDKit", at_least=2),
            Target("rate", "ButinaClusters", "DeepChem", at_least=2),
        ),
    ),
    Subject(
        title="Splitting by MaxMin",
        note=f"{NOTE} A fifth of the molecules is picked. RDKit: the picks only.",
        prepare=ecfp.prepare,
        things="molecules",
        repeats=3,
        versions=("rdkit", "numpy"),
        ways=(
            Way("MaxMinSplitter", maxmin),
            Way("RDKit", maxmin_rdkit),
            Way("DeepChem", maxmin_deepchem, environment="deepchem"),
        ),
        targets=(
            Target("rate", "MaxMinSplitter", "RDKit", at_least=0.8),
            Target("rate", "MaxMinSplitter", "DeepChem", at_least=2),
        ),
    ),
)
