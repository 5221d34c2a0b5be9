"""Conformers, distances and Coulomb matrices: analytic values, and laws of symmetry."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import AllChem
from rdkit.Geometry import Point3D

from dc_core.errors import FeaturizationError, ParameterError
from dc_pipeline import Conformer, CoulombEigenvalues, CoulombMatrix, MoleculeBinary
from dc_pipeline.featurizers.molecules import Molecules

BOHR = 0.529177210544  # Å, CODATA 2022
SMILES = ["O", "CCO", "c1ccccc1", "C[C@H](N)C(=O)O", "[Na+].[Cl-]", "C#N"]


def placed(symbols, positions):
    """Return a molecule of unbonded atoms at ``positions`` in Å."""
    molecule = Chem.RWMol()
    conformer = Chem.Conformer(len(symbols))
    conformer.Set3D(True)
    for i, (symbol, position) in enumerate(zip(symbols, positions, strict=True)):
        atom = Chem.Atom(symbol)
        atom.SetNoImplicit(True)
        molecule.AddAtom(atom)
        conformer.SetAtomPosition(i, Point3D(*map(float, position)))
    molecule.AddConformer(conformer)
    return molecule.GetMol()


def embedded(smiles, seed=0):
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    options = AllChem.ETKDGv3()
    options.randomSeed = seed + 1
    assert AllChem.EmbedMolecule(molecule, options) == 0
    return molecule


def test_conformers_are_those_of_etkdg_with_the_seed():
    features = Conformer(distances=True, seed=7).featurize(SMILES, strict=True)
    columns = features.values
    assert {name: column.dtype.name for name, column in columns.items()} == {
        "numbers": "uint8",
        "positions": "float32",
        "distances": "float32",
    }
    for i, smiles in enumerate(SMILES):
        molecule = embedded(smiles, seed=7)
        expected = molecule.GetConformer().GetPositions().astype(np.float32)
        np.testing.assert_array_equal(columns["positions"][i], expected)
        assert columns["numbers"][i].tolist() == [a.GetAtomicNum() for a in molecule.GetAtoms()]
        n = molecule.GetNumAtoms()
        distances = columns["distances"][i].reshape(n, n)
        np.testing.assert_allclose(distances, Chem.Get3DDistanceMatrix(molecule), atol=1e-5)


def test_a_conformer_depends_on_its_molecule_and_the_seed_alone():
    whole = Conformer().featurize(SMILES).values["positions"]
    for i, smiles in enumerate(SMILES):
        alone = Conformer().featurize([smiles]).values["positions"]
        np.testing.assert_array_equal(alone[0], whole[i])
    other = Conformer(seed=1).featurize(SMILES).values["positions"]
    assert not np.array_equal(other[1], whole[1])


@pytest.mark.parametrize("binary", [False, True])
def test_a_molecule_with_a_conformer_keeps_it(binary):
    molecule = embedded("CCO", seed=3)
    batch = Molecules([molecule], ["CCO"])
    given = MoleculeBinary().featurize(batch, strict=True).values if binary else [molecule]
    values = Conformer().featurize(given, strict=True).values
    expected = molecule.GetConformer().GetPositions().astype(np.float32)
    np.testing.assert_array_equal(values["positions"][0], expected)


def test_optimized_conformers_have_a_lower_energy():
    def energy(positions):
        molecule = embedded("CCCCO")
        for i, position in enumerate(positions.tolist()):
            molecule.GetConformer().SetAtomPosition(i, Point3D(*position))
        properties = AllChem.MMFFGetMoleculeProperties(molecule, mmffVariant="MMFF94s")
        return AllChem.MMFFGetMoleculeForceField(molecule, properties).CalcEnergy()

    plain, optimized = (
        energy(Conformer(optimize=flag).featurize(["CCCCO"]).values["positions"][0])
        for flag in (False, True)
    )
    assert optimized < plain - 0.1


@pytest.mark.parametrize(
    "featurizer",
    [
        Conformer(max_atoms=30, optimize=True),
        CoulombMatrix(30, optimize=True),
        CoulombEigenvalues(30, optimize=True),
    ],
)
def test_failures_have_typed_statuses_and_empty_rows(featurizer):
    inputs = ["CCO", "C1CC", "c1cccc1", "C" * 31, "C" * 29, None, "C[Se]C", b"no", "CCO"]
    features = featurizer.featurize(inputs)
    assert features.ok.tolist() == [True, *[False] * 7, True]
    assert [f.status for f in features.failures] == [
        "parse",
        "sanitize",
        "size",
        "size",
        "parse",
        "feature",
        "parse",
    ]
    assert "MMFF94s has no parameters" in features.failures[5].message
    columns = features.values if isinstance(features.values, dict) else {"": features.values}
    for column in columns.values():
        assert not any(row.any() for row in list(column)[1:-1])
        np.testing.assert_array_equal(column[0], column[8])
    with pytest.raises(FeaturizationError, match="row 1"):
        featurizer.featurize(inputs, strict=True)


def test_a_molecule_that_cannot_be_embedded_fails_with_the_number_of_attempts():
    impossible = "F[C@]12C[C@@]1(F)C2"
    features = Conformer(max_iterations=3).featurize([impossible])
    assert features.failures[0].status == "feature"
    assert "no conformer was found in 3 attempts" in features.failures[0].message
    features = Conformer().featurize(["C", impossible, "C"])
    assert features.ok.tolist() == [True, False, True]
    atoms = Chem.AddHs(Chem.MolFromSmiles(impossible)).GetNumAtoms()
    assert f"in {10 * atoms} attempts" in features.failures[0].message


def test_the_matrix_of_two_nuclei_is_analytic():
    molecule = placed(["C", "O"], [[0, 0, 0], [0, 0, 1.128]])
    (matrix,) = CoulombMatrix(3, order="input").featurize([molecule]).values
    repulsion = 6 * 8 / (1.128 / BOHR)
    expected = [[0.5 * 6**2.4, repulsion, 0], [repulsion, 0.5 * 8**2.4, 0], [0, 0, 0]]
    np.testing.assert_allclose(matrix, expected, rtol=1e-6)
    assert matrix.dtype == np.float32
    (values,) = CoulombEigenvalues(3).featurize([molecule]).values
    mean, half = (0.5 * 6**2.4 + 0.5 * 8**2.4) / 2, (0.5 * 8**2.4 - 0.5 * 6**2.4) / 2
    root = np.hypot(half, repulsion)
    np.testing.assert_allclose(values, [mean + root, mean - root, 0], rtol=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1 << 30))
def test_order_and_position_in_space_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    symbols, positions = rng.choice(["H", "C", "N", "O", "F"], 5), 2 * rng.normal(size=(5, 3))
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    order = rng.permutation(5)
    moved = placed(symbols[order], (positions @ rotation + rng.normal(size=3))[order])
    molecules = [placed(symbols, positions), moved]
    eigenvalues = CoulombEigenvalues(6).featurize(molecules).values
    np.testing.assert_allclose(eigenvalues[1], eigenvalues[0], rtol=1e-4, atol=1e-4)
    matrices = CoulombMatrix(6, order="input").featurize(molecules).values
    np.testing.assert_allclose(
        matrices[1][:5, :5], matrices[0][np.ix_(order, order)], rtol=1e-4, atol=1e-4
    )
    norms = np.linalg.norm(CoulombMatrix(6).featurize(molecules).values, axis=2)
    assert (np.diff(norms, axis=1) <= 1e-3).all()
    np.testing.assert_allclose(norms[1], norms[0], rtol=1e-4, atol=1e-4)


def test_the_random_order_is_a_permutation_by_the_seed_alone():
    ordered = CoulombMatrix(9, order="input").featurize(SMILES[:2]).values
    one, again = (CoulombMatrix(9, order="random", seed=5).featurize(["CCO"]).values for _ in "ab")
    np.testing.assert_array_equal(one, again)
    expected = CoulombMatrix(9, order="input", seed=5).featurize(["CCO"]).values
    np.testing.assert_allclose(np.sort(one.ravel()), np.sort(expected.ravel()))
    assert ordered.shape == (2, 9, 9)
    with pytest.raises(ParameterError, match="input, sorted, random"):
        CoulombMatrix(9, order="norm")
    with pytest.raises(ParameterError):
        CoulombMatrix(0)
