"""Interaction fingerprints: those of ProLIF, and those that the structure is known for."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdMolTransforms

from dc_core import NumpyDataset
from dc_core.errors import ParameterError
from dc_pipeline import InteractionFingerprint, MoleculeBinary, Molecules, featurize
from dc_pipeline.featurizers import sealing

prolif = pytest.importorskip("prolif", reason="ProLIF is not installed")


@pytest.fixture(scope="module")
def imatinib(real):
    supplier = Chem.SDMolSupplier(str(real("1iep_ligand.sdf")), removeHs=False)
    return next(supplier)


@pytest.fixture(scope="module")
def pocket(real, imatinib):
    return InteractionFingerprint.from_file(real("1iep_receptorH.pdb"), ligand=imatinib)


def found(featurizer, molecule):
    (row,) = featurizer.featurize([molecule]).values
    return {name for name, bit in zip(featurizer.columns, row, strict=True) if bit}


def test_imatinib_has_the_hydrogen_bonds_that_its_structure_is_known_for(pocket, imatinib):
    # PDB 1IEP, Nagar et al. 2002, Cancer Res. 62, 4236: the pyridine with Met 318, the anilino NH
    # with Thr 315, the amide with Glu 286 and Asp 381, the piperazine with Ile 360 and His 361.
    bonds = {name for name in found(pocket, imatinib) if "HB" in name}
    assert bonds >= {
        "MET318.A/HBAcceptor",
        "THR315.A/HBDonor",
        "GLU286.A/HBDonor",
        "ASP381.A/HBAcceptor",
        "ILE360.A/HBDonor",
    }


def test_the_bits_are_those_of_prolif(real, imatinib):
    path = real("1iep_receptorH.pdb")
    featurizer = InteractionFingerprint.from_file(path)
    protein = prolif.Molecule(Chem.MolFromPDBFile(str(path), removeHs=False))
    fingerprint = prolif.Fingerprint()
    ligand = prolif.Molecule.from_rdkit(imatinib)
    expected = {
        f"{residue}/{name}"
        for (_, residue), bits in fingerprint.generate(ligand, protein, residues="all").items()
        for name, bit in zip(fingerprint.interactions, bits, strict=True)
        if bit
    }
    assert found(featurizer, imatinib) == expected
    assert len(featurizer.columns) == 274 * 9


def test_a_ligand_that_is_moved_away_has_no_interactions(pocket, imatinib):
    away = Chem.Mol(imatinib)
    shift = np.eye(4)
    shift[:3, 3] = 100
    rdMolTransforms.TransformConformer(away.GetConformer(), shift)
    features = pocket.featurize([away, imatinib])
    assert features.ok.all()
    assert features.values.any(axis=1).tolist() == [False, True]


def test_residues_and_interactions_choose_the_columns_and_their_order(pocket, imatinib):
    some = InteractionFingerprint(
        pocket.receptor, residues=["THR315.A", "MET318.A"], interactions=["VdWContact", "HBDonor"]
    )
    assert some.columns == tuple(
        f"{residue}/{name}"
        for residue in ("THR315.A", "MET318.A")
        for name in ("VdWContact", "HBDonor")
    )
    assert found(some, imatinib) == found(pocket, imatinib) & set(some.columns)


def test_a_pose_without_coordinates_fails_alone(pocket, imatinib):
    flat = Chem.MolFromSmiles("CCO")
    features = pocket.featurize([flat, imatinib, "CCO"])
    assert features.ok.tolist() == [False, True, False]
    assert {failure.status for failure in features.failures} == {"feature"}
    assert not features.values[[0, 2]].any()
    assert pocket.featurize([]).values.shape == (0, len(pocket.columns))


def test_a_pose_that_lacks_hydrogens_fails_alone(pocket, imatinib):
    one = Chem.RWMol(imatinib)
    one.RemoveAtom(next(atom.GetIdx() for atom in one.GetAtoms() if atom.GetAtomicNum() == 1))
    Chem.SanitizeMol(one)
    features = pocket.featurize([Chem.RemoveHs(imatinib), one, imatinib])
    assert features.ok.tolist() == [False, False, True]
    assert [failure.status for failure in features.failures] == ["feature", "feature"]
    assert "hydrogens" in features.failures[0].message


def test_a_pose_whose_positions_are_not_finite_fails_alone(pocket, imatinib):
    broken = Chem.Mol(imatinib)
    broken.GetConformer().SetAtomPosition(0, (float("nan"), 0.0, 0.0))
    features = pocket.featurize([broken, imatinib])
    assert features.ok.tolist() == [False, True]
    assert "finite" in features.failures[0].message


def test_poses_are_stored_and_featurized_on_an_engine(pocket, imatinib, tmp_path, monkeypatch):
    monkeypatch.setenv(sealing.VARIABLE, str(tmp_path / "molecule.key"))
    stored = MoleculeBinary().featurize(Molecules([imatinib], ["imatinib"])).values
    done = featurize(NumpyDataset(stored), pocket, tmp_path / "features")
    np.testing.assert_array_equal(done.dataset.X, pocket.featurize([imatinib]).values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"receptor": "nothing"}, "PDB"),
        ({"receptor": 7}, "PDB"),
        ({"residues": ["XYZ1.A"]}, "XYZ1"),
        ({"residues": []}, "at least one"),
        ({"interactions": ["Hydrogen"]}, "Hydrogen"),
        ({"interactions": ["HBDonor", "HBDonor"]}, "different"),
    ],
)
def test_impossible_options_are_typed_errors(pocket, options, message):
    with pytest.raises(ParameterError, match=message):
        InteractionFingerprint(**{"receptor": pocket.receptor, **options})


def test_a_receptor_without_hydrogens_is_a_typed_error(pocket):
    lines = [line for line in pocket.receptor.splitlines() if line[76:78].strip() != "H"]
    with pytest.raises(ParameterError, match="no hydrogens"):
        InteractionFingerprint("\n".join(lines))
