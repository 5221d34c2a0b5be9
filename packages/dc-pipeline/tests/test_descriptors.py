"""RDKit's descriptors: each value as RDKit gives it, and no silent NaN."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import Descriptors

from dc_core.errors import FeaturizationError, ParameterError
from dc_pipeline import ECFP, Concatenated, FeatureColumns, MoleculeBinary, RDKitDescriptors
from dc_pipeline.featurizers import sealing

ALL = [name for name, _ in Descriptors._descList]
QUICK = ("MolWt", "TPSA", "BCUT2D_MWHI", "MaxPartialCharge", "SPS", "NumHDonors")


@pytest.fixture(scope="module")
def drugs(public_smiles):
    return [smiles for smiles in public_smiles[::700] if len(smiles) < 60]


def test_every_descriptor_is_that_of_rdkit(drugs):
    features = RDKitDescriptors(missing="nan").featurize(drugs)
    expected = [
        Descriptors.CalcMolDescriptors(Chem.MolFromSmiles(s), missingVal=np.nan) for s in drugs
    ]
    assert list(expected[0]) == list(RDKitDescriptors().columns) == ALL
    table = np.array([list(row.values()) for row in expected], float)
    table[~np.isfinite(table)] = np.nan
    np.testing.assert_array_equal(features.values, table)
    assert features.values.dtype == np.float64
    assert RDKitDescriptors().shape == (len(ALL),)


def test_names_choose_the_columns_and_their_order(drugs):
    some = RDKitDescriptors(["TPSA", "MolWt"])
    values = some.featurize(drugs).values
    whole = RDKitDescriptors(missing="nan").featurize(drugs).values
    np.testing.assert_array_equal(values, whole[:, [ALL.index("TPSA"), ALL.index("MolWt")]])
    assert some.columns == ("TPSA", "MolWt")
    assert some.shape == (2,)


def test_a_molecule_that_lacks_a_descriptor_fails_and_says_which():
    inputs = ["CCO", "[Na+].[Cl-]", "C1CC", "c1ccccc1", "[H][H]"]
    features = RDKitDescriptors(QUICK).featurize(inputs)
    assert features.ok.tolist() == [True, False, False, True, False]
    assert [f.status for f in features.failures] == ["feature", "parse", "feature"]
    assert "no value of BCUT2D_MWHI; leave them out with names=" in features.failures[0].message
    assert "SPS" in features.failures[2].message
    assert not features.values[[1, 2, 4]].any()
    with pytest.raises(FeaturizationError, match="BCUT2D_MWHI"):
        RDKitDescriptors(QUICK).featurize(inputs, strict=True)


def test_missing_descriptors_are_nan_if_asked_for():
    values = RDKitDescriptors(QUICK, missing="nan").featurize(["[Na+].[Cl-]", "CCO"]).values
    assert np.isnan(values).tolist() == [[name == "BCUT2D_MWHI" for name in QUICK], [False] * 6]
    assert values[0, 0] == pytest.approx(58.443, abs=1e-3)  # the molar mass of table salt


def test_a_value_beyond_float32_counts_as_missing():
    wax = "C" * 150
    assert RDKitDescriptors(["Ipc"]).featurize([wax]).values[0, 0] > 3.5e38 / 1e10
    narrow = RDKitDescriptors(["Ipc"], dtype="float32", max_atoms=500)
    assert narrow.featurize(["CCO"]).values.dtype == np.float32
    large = narrow.featurize(["C" * 200])
    assert [f.status for f in large.failures] == ["feature"]


def test_molecules_beyond_the_limit_of_atoms_fail_before_anything_is_computed():
    assert RDKitDescriptors().featurize(["C" * 201]).failures[0].status == "size"


def test_descriptors_come_from_stored_molecules_and_in_combinations(tmp_path, monkeypatch, drugs):
    monkeypatch.setenv(sealing.VARIABLE, str(tmp_path / "molecule.key"))
    whole = RDKitDescriptors(missing="nan")
    stored = MoleculeBinary().featurize(drugs).values
    np.testing.assert_array_equal(whole.featurize(stored).values, whole.featurize(drugs).values)
    quick = RDKitDescriptors(QUICK, missing="nan")
    expected = quick.featurize(drugs).values
    columns = FeatureColumns({"ecfp": ECFP(), "rdkit": quick, "mol": MoleculeBinary()})
    values = columns.featurize(drugs).values
    np.testing.assert_array_equal(values["rdkit"], expected)
    np.testing.assert_array_equal(values["mol"].values, stored.values)
    table = Concatenated([ECFP(size=64), quick]).featurize(drugs).values
    np.testing.assert_array_equal(table[:, 64:], expected)
    assert table.dtype == np.float64


def test_each_row_of_descriptors_depends_on_its_molecule_alone(drugs):
    quick = RDKitDescriptors(QUICK, missing="nan")
    whole = quick.featurize(drugs).values
    np.testing.assert_array_equal(quick.featurize(drugs[::-1]).values, whole[::-1])
    np.testing.assert_array_equal([quick.featurize([s]).values[0] for s in drugs], whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["MolWeight"]}, "no descriptor 'MolWeight'.*columns"),
        ({"names": "MolWt"}, "list of names"),
        ({"names": []}, "at least one"),
        ({"names": ["MolWt", "MolWt"]}, "different"),
        ({"missing": "zero"}, "missing='zero'"),
        ({"dtype": "int8"}, "dtype='int8'"),
        ({"max_atoms": 0}, "max_atoms"),
    ],
)
def test_impossible_settings_are_a_typed_error(options, message):
    with pytest.raises(ParameterError, match=message):
        RDKitDescriptors(**options)
