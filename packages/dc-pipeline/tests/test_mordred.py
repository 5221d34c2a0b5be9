"""Mordred's descriptors: each value as the library gives it."""

import numpy as np
import pytest
from rdkit import Chem

from dc_core.errors import ParameterError
from dc_pipeline import MordredDescriptors

mordred = pytest.importorskip("mordred", reason="mordredcommunity is not installed")
descriptors = pytest.importorskip("mordred.descriptors")

SMILES = ["CCO", "c1ccccc1C(=O)N", "[Na+].[Cl-]", "C[C@H](N)C(=O)O", "FC(F)(F)c1ccncc1"]


@pytest.fixture(scope="module")
def expected():
    calculator = mordred.Calculator(descriptors, ignore_3D=True)
    molecules = [Chem.MolFromSmiles(smiles) for smiles in SMILES]
    with np.errstate(all="ignore"):
        rows = [calculator(molecule).fill_missing(np.nan) for molecule in molecules]
    return [str(one) for one in calculator.descriptors], np.array(
        [list(row) for row in rows], float
    )


def test_every_descriptor_is_that_of_mordred(expected):
    names, table = expected
    featurizer = MordredDescriptors()
    assert list(featurizer.columns) == names
    table[~np.isfinite(table)] = np.nan
    np.testing.assert_array_equal(featurizer.featurize(SMILES).values, table)


def test_names_choose_the_columns_and_their_order(expected):
    names, table = expected
    chosen = ["SLogP", "nAtom", "ATSC1Z"]
    values = MordredDescriptors(chosen, missing="fail").featurize(SMILES).values
    np.testing.assert_array_equal(values, table[:, [names.index(name) for name in chosen]])


def test_a_molecule_that_lacks_a_descriptor_fails_if_asked_for():
    strict = MordredDescriptors(["nAtom", "MAXsCH3"], missing="fail")
    features = strict.featurize(["CCO", "c1ccccc1"])
    assert features.ok.tolist() == [True, False]
    assert "MAXsCH3" in features.failures[0].message
    with pytest.raises(ParameterError, match="Mordred has no descriptor"):
        MordredDescriptors(["nAtoms"])
