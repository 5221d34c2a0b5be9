"""Fingerprints: the bits and counts that RDKit gives for each molecule."""

import numpy as np
import pytest
from rdkit import Chem, rdBase
from rdkit.Avalon import pyAvalonTools
from rdkit.Chem import MACCSkeys
from rdkit.Chem import rdFingerprintGenerator as generators

from dc_core.errors import ParameterError
from dc_pipeline import (
    ECFP,
    AtomPairs,
    AvalonFingerprint,
    MACCSKeys,
    RDKitFingerprint,
    TopologicalTorsions,
)


def by_generator(make, **options):
    """RDKit's calls for one molecule, of bits and of counts."""
    generator = make(**options)
    return generator.GetFingerprintAsNumPy, generator.GetCountFingerprintAsNumPy


def as_bits(call):
    def bits(molecule):
        vector = call(molecule)
        row = np.zeros(vector.GetNumBits(), np.uint8)
        row[list(vector.GetOnBits())] = 1
        return row

    return bits


def avalon_counts(molecule):
    vector = pyAvalonTools.GetAvalonCountFP(molecule, 512)
    return np.array([vector[i] for i in range(512)], np.uint32)


PAIRS = generators.GetAtomPairGenerator
TORSIONS = generators.GetTopologicalTorsionGenerator
PATHS = generators.GetRDKitFPGenerator
CASES = {
    "ECFP, chiral": (
        lambda **o: ECFP(3, 100, chirality=True, **o),
        by_generator(generators.GetMorganGenerator, radius=3, fpSize=100, includeChirality=True),
    ),
    "atom pairs": (AtomPairs, by_generator(PAIRS)),
    "atom pairs, chiral and short": (
        lambda **o: AtomPairs(513, max_distance=3, chirality=True, **o),
        by_generator(PAIRS, fpSize=513, maxDistance=3, includeChirality=True),
    ),
    "atom pairs, presence only": (
        lambda **o: AtomPairs(2, min_distance=2, simulate_counts=False, **o),
        by_generator(PAIRS, fpSize=2, minDistance=2, countSimulation=False),
    ),
    "torsions": (TopologicalTorsions, by_generator(TORSIONS)),
    "torsions, chiral and long": (
        lambda **o: TopologicalTorsions(100, length=6, chirality=True, **o),
        by_generator(TORSIONS, fpSize=100, torsionAtomCount=6, includeChirality=True),
    ),
    "torsions, presence only": (
        lambda **o: TopologicalTorsions(1, simulate_counts=False, **o),
        by_generator(TORSIONS, fpSize=1, countSimulation=False),
    ),
    "RDKit": (RDKitFingerprint, by_generator(PATHS)),
    "RDKit, linear": (
        lambda **o: RDKitFingerprint(1000, min_path=2, max_path=5, branched=False, **o),
        by_generator(PATHS, fpSize=1000, minPath=2, maxPath=5, branchedPaths=False),
    ),
    "Avalon": (AvalonFingerprint, (as_bits(pyAvalonTools.GetAvalonFP), avalon_counts)),
}


@pytest.fixture(scope="module")
def parsed(molecules, public_smiles):
    """SMILES and their molecules by RDKit's own parser, those that it refuses left out."""
    inputs = [*molecules, *public_smiles[::20]]
    with rdBase.BlockLogs():
        found = [Chem.MolFromSmiles(smiles) for smiles in inputs]
    return [(s, m) for s, m in zip(inputs, found, strict=True) if m is not None]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("counts", [False, True], ids=["bits", "counts"])
def test_fingerprints_are_those_that_rdkit_gives_for_each_molecule(name, counts, parsed):
    make, calls = CASES[name]
    featurizer = make(counts=counts)
    features = featurizer.featurize([smiles for smiles, _ in parsed])
    expected = np.array([calls[counts](molecule) for _, molecule in parsed])
    assert features.values.dtype == (np.uint32 if counts else np.uint8)
    assert features.ok.all()
    np.testing.assert_array_equal(features.values, expected)
    assert features.values.shape[1:] == featurizer.shape
    assert featurizer.bits is not counts
    assert features.values.max() > 1 or not counts


def test_maccs_keys_are_those_that_rdkit_gives_for_each_molecule(parsed):
    features = MACCSKeys().featurize([smiles for smiles, _ in parsed])
    bits = as_bits(MACCSkeys.GenMACCSKeys)
    np.testing.assert_array_equal(features.values, [bits(molecule) for _, molecule in parsed])
    assert MACCSKeys().shape == (167,)
    assert MACCSKeys().bits
    assert not features.values[:, 0].any()


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (AtomPairs, {"size": 4}, "size=4.*5.*simulate_counts=False"),
        (TopologicalTorsions, {"size": 1}, "size=1.*5.*simulate_counts=False"),
        (AtomPairs, {"min_distance": 5, "max_distance": 4}, "min_distance=5"),
        (AtomPairs, {"max_distance": 1 << 40}, "max_distance must be"),
        (RDKitFingerprint, {"min_path": 3, "max_path": 2}, "min_path=3"),
        (RDKitFingerprint, {"max_path": 11}, "max_path must be"),
        (TopologicalTorsions, {"length": 11}, "length must be"),
        (TopologicalTorsions, {"length": 1}, "length=1"),
        (AvalonFingerprint, {"size": 7}, "size=7"),
        (AvalonFingerprint, {"size": 9}, "multiple of 8"),
        (MACCSKeys, {"max_atoms": 0}, "max_atoms=0"),
        *((make, {"size": 2**20 + 8}, "size must be") for make in (AtomPairs, AvalonFingerprint)),
        *(
            (make, {flag: 1}, f"{flag}=1 must be True or False")
            for make, flag in [
                (AtomPairs, "chirality"),
                (AtomPairs, "simulate_counts"),
                (TopologicalTorsions, "chirality"),
                (RDKitFingerprint, "branched"),
                (AvalonFingerprint, "counts"),
            ]
        ),
    ],
)
def test_settings_that_rdkit_cannot_take_are_a_typed_error(make, options, message):
    with pytest.raises(ParameterError, match=message):
        make(**options)
