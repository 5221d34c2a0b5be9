"""Molecules: parsed once, at the level that suffices, and taken by featurizers as SMILES are."""

import numpy as np
import pytest
from rdkit import Chem

from dc_core import NumpyDataset
from dc_core.errors import DatasetError, FeaturizationError
from dc_pipeline import ECFP, Level, Molecules, parse_smiles


@pytest.fixture
def inputs(molecules, refused):
    return [item for bad in refused for item in ("CCO", bad)] + molecules


def same(left, right):
    np.testing.assert_array_equal(left.values, right.values)
    np.testing.assert_array_equal(left.ok, right.ok)
    assert left.failures == right.failures


def test_parsed_molecules_give_the_features_and_failures_of_their_smiles(inputs):
    same(ECFP().featurize(parse_smiles(inputs)), ECFP().featurize(inputs))


def test_molecules_at_a_higher_level_than_needed_give_the_same_bits(molecules):
    for level in Level:
        batch = parse_smiles(molecules, level=level)
        same(ECFP().featurize(batch), ECFP().featurize(molecules))


def test_molecules_at_a_lower_level_than_needed_are_a_typed_error(molecules):
    batch = parse_smiles(molecules, level=Level.CONNECTIVITY)
    with pytest.raises(DatasetError, match=r"CONNECTIVITY.*STEREO.*level=Level\.STEREO"):
        ECFP(chirality=True).featurize(batch)


def test_molecules_beyond_the_limit_of_atoms_fail_as_their_smiles_do():
    inputs = ["CCO", "C" * 30, "CC"]
    features = ECFP(max_atoms=20).featurize(parse_smiles(inputs))
    same(features, ECFP(max_atoms=20).featurize(inputs))
    assert [f.status for f in features.failures] == ["size"]


def test_molecules_of_rdkit_are_featurized_with_names_for_failures():
    molecules = [Chem.MolFromSmiles("CCO"), Chem.MolFromSmiles("C" * 30)]
    features = ECFP(max_atoms=20).featurize(Molecules(molecules, ["ethanol", "wax"]))
    np.testing.assert_array_equal(features.values[0], ECFP().featurize(["CCO"]).values[0])
    assert [(f.row, f.input) for f in features.failures] == [(1, "wax")]


def test_a_batch_needs_one_input_per_molecule(inputs, molecules):
    with pytest.raises(DatasetError, match="2 molecules and 1 inputs"):
        Molecules([None, None], ["C"])


def test_slices_of_a_batch_number_their_own_failures(inputs):
    batch = parse_smiles(inputs)
    same(ECFP().featurize(batch[3:9]), ECFP().featurize(inputs[3:9]))


def test_strict_raises_for_failures_of_parsed_molecules():
    with pytest.raises(FeaturizationError, match="'C1CC'"):
        ECFP().featurize(parse_smiles(["C", "C1CC"]), strict=True)


def test_featurizing_leaves_the_molecules_as_they_were(molecules):
    batch = parse_smiles(molecules)
    before = [molecule.ToBinary() for molecule in batch.molecules]
    ECFP(chirality=True).featurize(batch)
    assert [molecule.ToBinary() for molecule in batch.molecules] == before


def test_the_shape_of_a_row_is_known_without_featurizing():
    assert ECFP(size=100).shape == (100,)
    assert ECFP(counts=True).featurize(["C"]).values[0].shape == ECFP(counts=True).shape


def test_a_dataset_of_smiles_is_featurized_like_a_list(molecules):
    same(ECFP().featurize(NumpyDataset(molecules)), ECFP().featurize(molecules))
