"""ECFP: the bits of RDKit, one row per input, and failures with reasons."""

import csv
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, rdBase
from rdkit.Chem.rdFingerprintGenerator import GetMorganFeatureAtomInvGen, GetMorganGenerator

from dc_core import NumpyDataset, byte_budget
from dc_core.errors import BudgetExceeded, DatasetError, FeaturizationError, ParameterError
from dc_pipeline import ECFP
from dc_pipeline.featurizers.molecules import HAS_REASONS

MOLECULES = Path(__file__).with_name("odd.smi").read_text("utf-8").splitlines()


def reason(text):
    """Return ``text``, or what stands for it with an RDKit whose log cannot be captured."""
    return text if HAS_REASONS else "not a valid SMILES"


BAD = {
    "C1CC": ("parse", reason("unclosed ring")),
    "CCX": ("parse", reason("position 3")),
    "CC(": ("parse", reason("position 3")),
    "c1cccc1": ("sanitize", "kekulize"),
    "C(C)(C)(C)(C)C": ("sanitize", "valence"),
    "CH4": ("parse", reason("position")),
    "": ("parse", "empty"),
    " \t": ("parse", "empty"),
    "C\ud800": ("parse", reason("position 2")),
    "溶媒": ("parse", reason("position 1")),
    "CCO\nC": ("parse", "newline or a NUL"),
    "CCO\0N": ("parse", "newline or a NUL"),
    "C" * 20_000: ("size", "20000 atoms"),
    None: ("parse", "missing"),
    float("nan"): ("parse", "missing"),
    7: ("parse", "int"),
    b"CCO": ("parse", "bytes"),
}


def rdkit_bits(smiles, **options):
    """RDKit's bulk call, unpacked."""
    generator = GetMorganGenerator(**options)
    vectors = generator.GetFingerprints([Chem.MolFromSmiles(s) for s in smiles])
    rows = np.zeros((len(smiles), options["fpSize"]), np.uint8)
    for row, vector in zip(rows, vectors, strict=True):
        row[list(vector.GetOnBits())] = 1
    return rows


def rdkit_counts(smiles, **options):
    generator = GetMorganGenerator(**options)
    return np.array([generator.GetCountFingerprintAsNumPy(Chem.MolFromSmiles(s)) for s in smiles])


def test_bits_are_those_of_rdkit():
    values = ECFP().featurize(MOLECULES).values
    assert values.dtype == np.uint8
    np.testing.assert_array_equal(values, rdkit_bits(MOLECULES, radius=2, fpSize=2048))


@pytest.mark.parametrize("radius", [0, 1, 3])
@pytest.mark.parametrize("size", [1, 100, 1024])
def test_every_radius_and_size_is_that_of_rdkit(radius, size):
    values = ECFP(radius, size).featurize(MOLECULES).values
    np.testing.assert_array_equal(values, rdkit_bits(MOLECULES, radius=radius, fpSize=size))


def test_chiral_bits_are_those_of_rdkit_and_tell_enantiomers_apart():
    values = ECFP(chirality=True).featurize(MOLECULES).values
    expected = rdkit_bits(MOLECULES, radius=2, fpSize=2048, includeChirality=True)
    np.testing.assert_array_equal(values, expected)
    assert (values[2] != values[3]).any()
    flat = ECFP().featurize(MOLECULES).values
    assert (flat[2] == flat[3]).all()


def test_feature_bits_are_those_of_rdkit():
    values = ECFP(features=True).featurize(MOLECULES).values
    options = {"radius": 2, "fpSize": 2048, "atomInvariantsGenerator": GetMorganFeatureAtomInvGen()}
    np.testing.assert_array_equal(values, rdkit_bits(MOLECULES, **options))


@pytest.mark.parametrize("chirality", [False, True])
def test_counts_are_those_of_rdkit(chirality):
    values = ECFP(counts=True, chirality=chirality, size=512).featurize(MOLECULES).values
    assert values.dtype == np.uint32
    assert values.max() > 1
    expected = rdkit_counts(MOLECULES, radius=2, fpSize=512, includeChirality=chirality)
    np.testing.assert_array_equal(values, expected)


def test_bits_of_freesolv_are_those_of_rdkit(freesolv):
    with freesolv.open(encoding="utf-8") as stream:
        smiles = [row["smiles"] for row in csv.DictReader(stream)]
    features = ECFP().featurize(smiles)
    assert features.ok.all()
    np.testing.assert_array_equal(features.values, rdkit_bits(smiles, radius=2, fpSize=2048))


def test_bits_of_public_molecules_are_those_of_rdkit(public_smiles):
    features = ECFP().featurize(public_smiles)
    with rdBase.BlockLogs():
        expected = np.array([Chem.MolFromSmiles(smiles) is not None for smiles in public_smiles])
    np.testing.assert_array_equal(features.ok, expected)
    good = [smiles for smiles, ok in zip(public_smiles, expected, strict=True) if ok]
    np.testing.assert_array_equal(
        features.values[expected], rdkit_bits(good, radius=2, fpSize=2048)
    )


def test_every_bad_input_has_a_zero_row_and_a_reason():
    inputs = [item for bad in BAD for item in ("CCO", bad)]
    features = ECFP(size=64).featurize(inputs)
    assert features.ok.tolist() == [True, False] * len(BAD)
    assert features.values.shape == (len(inputs), 64)
    assert not features.values[1::2].any()
    assert (features.values[::2] == ECFP(size=64).featurize(["CCO"]).values).all()
    assert [failure.row for failure in features.failures] == list(range(1, len(inputs), 2))
    for failure, (bad, (status, reason)) in zip(features.failures, BAD.items(), strict=True):
        assert (failure.input, failure.status) == (str(bad), status)
        assert reason in failure.message
        assert "\n" not in failure.message


def test_numbers_of_any_shape_are_not_smiles():
    features = ECFP(size=8).featurize(np.zeros((2, 3)))
    assert [failure.message for failure in features.failures] == [
        "an object of type ndarray is not a SMILES"
    ] * 2


def test_failures_keep_their_rows_across_chunks():
    inputs = ["C"] * 1500 + ["C1CC"] + ["C"] * 1000
    features = ECFP(size=8).featurize(inputs)
    assert [failure.row for failure in features.failures] == [1500]
    assert features.ok.sum() == 2500
    assert features.values.any(axis=1).tolist() == features.ok.tolist()


def test_strict_raises_and_names_the_inputs():
    with pytest.raises(FeaturizationError, match=r"row 1 \('C1CC'\): .*strict=False"):
        ECFP().featurize(["C", "C1CC"], strict=True)


def test_empty_inputs_give_no_rows():
    features = ECFP().featurize([])
    assert features.values.shape == (0, 2048)
    assert features.ok.shape == (0,)


def test_an_array_of_strings_is_featurized_like_a_list():
    array = ECFP().featurize(np.array(MOLECULES)).values
    np.testing.assert_array_equal(array, ECFP().featurize(MOLECULES).values)


@pytest.mark.parametrize(
    "form",
    {
        "tuple": tuple,
        "array": np.array,
        "dataset": NumpyDataset,
        "pandas": pd.Series,
        "pandas, another index": lambda s: pd.Series(s, index=range(5, 5 + len(s))),
        "pandas, one column": lambda s: pd.DataFrame({"smiles": s}),
        "Polars": pl.Series,
        "Polars, one column": lambda s: pl.DataFrame({"smiles": s}),
        "Arrow": lambda s: pa.array(s),
        "Arrow, chunks": lambda s: pa.chunked_array([s[:3], s[3:]]),
        "Arrow, one column": lambda s: pa.table({"smiles": s}),
    }.items(),
    ids=lambda item: item[0],
)
def test_inputs_may_come_in_any_table_or_sequence(form):
    features = ECFP(size=64).featurize(form[1](MOLECULES))
    np.testing.assert_array_equal(features.values, ECFP(size=64).featurize(list(MOLECULES)).values)


@pytest.mark.parametrize("inputs", [iter(["C"]), {"C"}, {"C": 1}, None, b"C", 3])
def test_inputs_without_order_or_length_are_a_typed_error(inputs):
    with pytest.raises(DatasetError, match="a list, an array or a dataset"):
        ECFP().featurize(inputs)


def test_a_lazy_frame_and_several_columns_are_a_typed_error():
    table = pl.DataFrame({"smiles": ["C"], "y": [1.0]})
    with pytest.raises(DatasetError, match=r"Choose one column: df\['smiles'\]"):
        ECFP().featurize(table)
    with pytest.raises(DatasetError, match=r"frame\.collect\(\)"):
        ECFP().featurize(table.lazy())


def test_a_single_string_is_not_iterated_by_character():
    with pytest.raises(DatasetError, match=r"\['CCO'\]"):
        ECFP().featurize("CCO")


@pytest.mark.parametrize(
    "impossible",
    [{"radius": -1}, {"size": 0}, {"radius": 1.5}, {"size": "2048"}, {"radius": True}],
)
def test_impossible_settings_are_a_typed_error(impossible):
    with pytest.raises(ParameterError, match="of at least"):
        ECFP(**impossible)


@pytest.mark.parametrize(
    "excessive",
    [{"radius": 65}, {"radius": 1 << 20_000}, {"size": 2**20 + 1}, {"size": 2**32}],
    ids=["radius", "vast radius", "size", "size of 33 bits"],
)
def test_excessive_settings_are_a_typed_error(excessive):
    with pytest.raises(ParameterError, match=f"{next(iter(excessive))} must be .* at most"):
        ECFP(**excessive)


def test_the_largest_settings_are_those_of_rdkit():
    (row,) = ECFP(64, 1 << 20).featurize(["CCO"]).values
    expected = GetMorganGenerator(radius=64, fpSize=1 << 20).GetFingerprint(
        Chem.MolFromSmiles("CCO")
    )
    assert np.flatnonzero(row).tolist() == list(expected.GetOnBits())


@pytest.mark.parametrize("name", ["counts", "chirality", "features"])
@pytest.mark.parametrize("value", [1, None, "no", np.int8(1), []], ids=repr)
def test_a_flag_is_true_or_false(name, value):
    with pytest.raises(ParameterError, match=f"{name}=.*True or False"):
        ECFP(**{name: value})


def test_options_may_be_numbers_and_bools_of_numpy():
    given = ECFP(np.int64(1), np.uint16(64), counts=np.True_, max_atoms=np.int32(50))
    plain = ECFP(1, 64, counts=True, max_atoms=50)
    assert given.get_parameters() == plain.get_parameters()
    assert {type(value) for value in vars(given).values()} >= {int, bool}
    np.testing.assert_array_equal(
        given.featurize(MOLECULES).values, plain.featurize(MOLECULES).values
    )


@pytest.mark.parametrize(
    ("option", "nearest"), [("sizes", "size"), ("chiral", "chirality"), ("nbits", None)]
)
def test_an_unknown_option_names_the_nearest_and_all(option, nearest):
    with pytest.raises(ParameterError, match=f"ECFP has no parameter '{option}'") as caught:
        ECFP(**{option: 1024})
    assert "radius, size, counts" in str(caught.value)
    assert nearest is None or f"Did you mean {nearest!r}?" in str(caught.value)


def test_a_fingerprint_is_charged_to_the_load_before_it_is_allocated():
    with byte_budget(1 << 20), pytest.raises(BudgetExceeded, match="ECFP of 4 inputs"):
        ECFP(size=1 << 20).featurize(["C"] * 4)


def test_the_limit_of_atoms_counts_atoms_and_not_characters():
    long = "[13CH3]" * 1 + "C(Cl)(Br)" * 300 + " " + "C" * 5000
    assert ECFP(size=8, max_atoms=901).featurize([long]).ok.all()
    assert ECFP(size=8, max_atoms=900).featurize([long]).failures[0].status == "size"


def test_parameters_are_captured():
    parameters = ECFP(3, counts=True).get_parameters()
    assert parameters == {
        "radius": 3,
        "size": 2048,
        "counts": True,
        "chirality": False,
        "features": False,
        "max_atoms": 1000,
    }


def test_failures_write_nothing_and_keep_the_log_settings_of_rdkit(capfd):
    try:
        for level in ("EnableLog", "DisableLog"):
            getattr(rdBase, level)("rdApp.error")
            before = rdBase.LogStatus()
            ECFP().featurize(list(BAD))
            assert rdBase.LogStatus() == before
    finally:
        rdBase.EnableLog("rdApp.error")
    assert capfd.readouterr() == ("", "")


def test_threads_give_the_rows_and_reasons_of_a_single_one_silently(request, capfd):
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-6)
    before = rdBase.LogStatus()
    inputs = list(BAD) + MOLECULES
    alone = ECFP().featurize(inputs)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(ECFP().featurize, [inputs] * 32))
    for features in results:
        np.testing.assert_array_equal(features.values, alone.values)
        assert str(features.failures) == str(alone.failures)
        assert [f.message for f in features.failures] == [f.message for f in alone.failures]
    assert rdBase.LogStatus() == before
    assert capfd.readouterr() == ("", "")


@settings(deadline=None)
@given(st.lists(st.text() | st.text("CNOcn1=#()[]+-@H", max_size=12), max_size=8))
def test_any_text_gives_one_row(inputs):
    features = ECFP(size=16).featurize(inputs)
    assert len(features.values) == len(features.ok) == len(inputs)
    failed = [failure.row for failure in features.failures]
    assert failed == np.flatnonzero(~features.ok).tolist()
    assert all(failure.message for failure in features.failures)
