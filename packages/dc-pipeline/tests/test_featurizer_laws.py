"""What holds for every featurizer of molecules."""

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from dc_core import NumpyDataset, Ragged, take_rows
from dc_core.errors import DatasetError, ParameterError
from dc_pipeline import (
    ECFP,
    AtomPairs,
    AvalonFingerprint,
    Concatenated,
    DiskDataset,
    FeatureColumns,
    MACCSKeys,
    MoleculeBinary,
    MordredDescriptors,
    Pipeline,
    RDKitDescriptors,
    RDKitFingerprint,
    TopologicalTorsions,
    featurize,
    parse_smiles,
)
from dc_pipeline.featurizers import sealing
from dc_pipeline.featurizers.base import MoleculeFeaturizer

ORDERLESS = {
    "ECFP": ECFP(size=64, chirality=True),
    "ECFP counts": ECFP(size=64, counts=True),
    "FCFP": ECFP(size=64, features=True),
    "atom pairs": AtomPairs(64, chirality=True),
    "torsions": TopologicalTorsions(64, chirality=True),
    "RDKit": RDKitFingerprint(64),
    "MACCS": MACCSKeys(),
}
FEATURIZERS = {
    **ORDERLESS,
    "Avalon": AvalonFingerprint(64),
    "binary": MoleculeBinary(),
    "columns": FeatureColumns({"ecfp": ECFP(size=8), "mol": MoleculeBinary()}),
    "nested columns": FeatureColumns({"a": FeatureColumns({"b": ECFP(size=8)}), "c": MACCSKeys()}),
    "descriptors": RDKitDescriptors(["MolWt", "TPSA", "NumHDonors"], dtype="float32"),
    "concatenated": Concatenated([ECFP(size=8), AtomPairs(8, counts=True)]),
}
if find_spec("mordred") is not None:
    FEATURIZERS["mordred"] = MordredDescriptors(["nAtom", "SLogP"], dtype="float32")
every = pytest.mark.parametrize("featurizer", FEATURIZERS.values(), ids=FEATURIZERS)
SMILES = st.sampled_from(
    ["CCO", "C[C@H](N)C(=O)O", "F/C=C/F", "c1ccccc1", "[Na+].[Cl-]", "[2H]Cl", "C1CC", "", "CCX"]
)


@pytest.fixture(autouse=True)
def key(tmp_path, monkeypatch):
    monkeypatch.setenv(sealing.VARIABLE, str(tmp_path / "molecule.key"))


def assert_equal(left, right):
    if isinstance(left, dict):
        assert list(left) == list(right)
        for name in left:
            assert_equal(left[name], right[name])
    elif isinstance(left, Ragged):
        np.testing.assert_array_equal(left.offsets, right.offsets)
        np.testing.assert_array_equal(left.values, right.values)
    else:
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


@every
@settings(deadline=None, max_examples=10)
@given(st.lists(SMILES, max_size=6), st.data())
def test_each_row_depends_on_its_input_alone(featurizer, inputs, data):
    places = st.sampled_from(range(len(inputs) or 1))
    rows = data.draw(st.lists(places, max_size=6 if inputs else 0))
    whole = featurizer.featurize(inputs)
    some = featurizer.featurize([inputs[row] for row in rows])
    index = np.array(rows, np.intp)
    assert_equal(some.values, take_rows(whole.values, index))
    np.testing.assert_array_equal(some.ok, whole.ok[index])


@every
def test_stored_and_parsed_molecules_give_the_features_of_their_smiles(featurizer, molecules):
    expected = featurizer.featurize(molecules)
    assert expected.ok.all()
    for given_ in (parse_smiles(molecules), MoleculeBinary().featurize(molecules).values):
        assert_equal(featurizer.featurize(given_).values, expected.values)


@every
def test_featurizing_leaves_the_molecules_as_they_were(featurizer, molecules):
    batch = parse_smiles(molecules)
    before = [molecule.ToBinary() for molecule in batch.molecules]
    featurizer.featurize(batch)
    assert [molecule.ToBinary() for molecule in batch.molecules] == before


@every
def test_every_bad_input_is_a_row_and_a_failure(featurizer, refused):
    features = featurizer.featurize(["CCO", *refused])
    assert features.ok.tolist() == [True] + [False] * len(refused)
    assert [failure.row for failure in features.failures] == list(range(1, len(refused) + 1))
    alone = featurizer.featurize(["CCO"]).values
    assert_equal(take_rows(features.values, slice(0, 1)), alone)


@every
def test_no_input_gives_no_rows_of_the_right_shape(featurizer):
    one, none = featurizer.featurize(["CCO"]).values, featurizer.featurize([]).values
    assert_equal(none, take_rows(one, slice(0, 0)))


@every
def test_features_go_to_disk_in_their_columns_and_bits(featurizer, molecules, tmp_path):
    done = featurize(NumpyDataset([*molecules, "C1CC"]), featurizer, tmp_path / "features")
    expected = featurizer.featurize(molecules).values
    assert isinstance(done.dataset, DiskDataset)
    assert_equal(done.dataset.X, expected)
    assert [failure.row for failure in done.failures] == [len(molecules)]


@pytest.mark.parametrize("featurizer", ORDERLESS.values(), ids=ORDERLESS)
def test_fingerprints_do_not_depend_on_the_order_of_atoms(featurizer, molecules):
    parsed = parse_smiles(molecules).molecules
    orders = [[Chem.MolToSmiles(molecule, doRandom=True) for molecule in parsed] for _ in range(3)]
    expected = featurizer.featurize([Chem.MolToSmiles(molecule) for molecule in parsed]).values
    for smiles in orders:
        np.testing.assert_array_equal(featurizer.featurize(smiles).values, expected)


def test_columns_are_those_of_each_featurizer_alone(molecules):
    parts = {"chiral": ECFP(chirality=True), "maccs": MACCSKeys(), "avalon": AvalonFingerprint()}
    together = FeatureColumns(parts)
    values = together.featurize(molecules).values
    assert_equal(values, {name: part.featurize(molecules).values for name, part in parts.items()})
    assert together.bits == ("chiral", "maccs", "avalon")
    assert together.shape == {"chiral": (2048,), "maccs": (167,), "avalon": (512,)}
    nested = FEATURIZERS["nested columns"]
    assert (list(nested.shape), nested.bits) == (["a.b", "c"], ("a.b", "c"))


def test_concatenated_features_are_those_of_each_one_beside_another(molecules):
    parts = [ECFP(size=100), AtomPairs(counts=True, size=50)]
    together = Concatenated(parts)
    expected = np.concatenate([part.featurize(molecules).values for part in parts], axis=1)
    assert_equal(together.featurize(molecules).values, expected)
    assert together.shape == (150,)
    assert not together.bits
    assert Concatenated(parts[:1]).bits


class Counting(MoleculeFeaturizer):
    """The number of atoms, and an error for molecules with bromine."""

    seen: list

    def __init__(self):
        self.seen = []

    def rows(self, molecules):
        self.seen += molecules
        if any(atom.GetSymbol() == "Br" for m in molecules for atom in m.GetAtoms()):
            raise ValueError("no bromine,\nplease")
        return np.array([[m.GetNumAtoms()] for m in molecules], np.float32).reshape(-1, 1)


def test_all_featurizers_of_a_run_see_the_same_molecules_parsed_once():
    first, second = Counting(), Counting()
    FeatureColumns({"a": first, "b": second}).featurize(["CCO", "C"] * 600)
    assert len(first.seen) == 1200
    assert all(a is b for a, b in zip(first.seen, second.seen, strict=True))


def test_an_error_for_one_molecule_costs_its_row_alone():
    inputs = ["CCO", "CBr", "C1CC", "C", "BrBr"]
    for featurizer in (Counting(), FeatureColumns({"n": Counting()}), Concatenated([Counting()])):
        features = featurizer.featurize(inputs)
        assert features.ok.tolist() == [True, False, False, True, False]
        found = [(f.row, f.input, f.status) for f in features.failures]
        assert found == [(1, "CBr", "feature"), (2, "C1CC", "parse"), (4, "BrBr", "feature")]
        assert features.failures[0].message == "no bromine, please"


@pytest.mark.parametrize(
    ("make", "argument", "error", "message"),
    [
        (FeatureColumns, [ECFP()], ParameterError, "a dict"),
        (FeatureColumns, {}, ParameterError, "a dict"),
        (FeatureColumns, {"a": "ECFP"}, ParameterError, "'ECFP' is not a featurizer of molecules"),
        (FeatureColumns, {"a/b": ECFP()}, DatasetError, "a/b"),
        (Concatenated, [], ParameterError, "no featurizer"),
        (Concatenated, "ECFP", ParameterError, "a list of featurizers"),
        (Concatenated, [MoleculeBinary()], ParameterError, "one vector per molecule"),
        (Concatenated, [7], ParameterError, "7 is not a featurizer of molecules"),
    ],
    ids=repr,
)
def test_what_cannot_be_combined_is_a_typed_error(make, argument, error, message):
    with pytest.raises(error, match=message):
        make(argument)


def test_a_pipeline_takes_stored_molecules_in_the_place_of_smiles(ridge, molecules):
    y = np.arange(len(molecules), dtype=float)
    pipeline = Pipeline(ridge(), ECFP()).fit(NumpyDataset(molecules, y))
    stored = NumpyDataset(MoleculeBinary().featurize(molecules).values)
    np.testing.assert_array_equal(pipeline.predict(stored), pipeline.predict(molecules))
