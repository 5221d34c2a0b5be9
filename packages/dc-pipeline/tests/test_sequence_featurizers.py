"""Sequences and texts as codes, counts and one-hot vectors."""

import itertools
import re
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dc_core import MappedDataset, NumpyDataset, Ragged, byte_budget
from dc_core.errors import BudgetExceeded, DatasetError, FeaturizationError, ParameterError
from dc_pipeline import KmerCounts, OneHot, SequenceTokens, SmilesTokens
from dc_pipeline.featurizers.smiles_tokens import split_smiles

SMILES = "C[C@@H](N)C(=O)Oc1ccc(Cl)c(Br)c1.[Na+]"
TOKENS = tuple(re.split(" ", "C [C@@H] ( N ) C ( = O ) O c 1 c c c ( Cl ) c ( Br ) c 1 . [Na+]"))


def test_letters_have_the_code_of_their_place():
    features = SequenceTokens("dna").featurize(["ACGT", "acgt", "NNA"])
    assert isinstance(features.values, Ragged)
    assert features.values.dtype == np.uint8
    assert [row.tolist() for row in features.values] == [[0, 1, 2, 3], [0, 1, 2, 3], [4, 4, 0]]
    protein = SequenceTokens("protein")
    assert protein.size == 21
    assert protein.featurize(["WYX"]).values[0].tolist() == [18, 19, 20]
    assert SequenceTokens("HP").featurize(["hpph"]).values[0].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    "featurizer", [SequenceTokens("dna", max_length=5), KmerCounts(2, max_length=5)]
)
def test_a_bad_sequence_has_an_empty_row_and_a_reason(featurizer):
    inputs = ["ACG", "", "AUG", "ACGTAC", None, 7, "AC GT", "A\u0100", "T-T", "ACG"]
    features = featurizer.featurize(inputs)
    assert features.ok.tolist() == [True, *[False] * 8, True]
    statuses = [(f.row, f.status) for f in features.failures]
    assert statuses == [(i, "size" if i == 3 else "parse") for i in range(1, 9)]
    assert "'U' at position 2" in features.failures[1].message
    rows = list(features.values)
    assert not any(row.any() for row in rows[1:-1])
    np.testing.assert_array_equal(rows[0], rows[-1])
    with pytest.raises(FeaturizationError, match="row 1"):
        featurizer.featurize(inputs, strict=True)


@pytest.mark.parametrize("alphabet", ["amino", "A", "AA", "Aa", "", 3, "ÄB"])
def test_an_impossible_alphabet_is_a_typed_error(alphabet):
    for featurizer in (SequenceTokens, lambda a: KmerCounts(2, a)):
        with pytest.raises(ParameterError, match="alphabet"):
            featurizer(alphabet)


@settings(deadline=None)
@given(st.lists(st.text("ACGTN", min_size=1, max_size=30), max_size=5), st.integers(1, 4))
def test_counts_are_those_of_all_windows(sequences, k):
    values = KmerCounts(k).featurize(sequences).values
    words = ["".join(word) for word in itertools.product("ACGT", repeat=k)]
    assert values.shape == (len(sequences), len(words))
    for row, sequence in zip(values, sequences, strict=True):
        counts = Counter(sequence[i : i + k] for i in range(len(sequence) - k + 1))
        assert row.tolist() == [counts[word] for word in words]


def test_too_many_words_are_a_typed_error_and_counts_are_charged():
    with pytest.raises(ParameterError, match="smaller k"):
        KmerCounts(11)
    assert KmerCounts(10).size == 1 << 20
    with byte_budget(1 << 20), pytest.raises(BudgetExceeded, match="counts of"):
        KmerCounts(9).featurize(["A"] * 4)


def test_tokens_of_a_smiles():
    assert split_smiles(SMILES) == list(TOKENS)
    assert split_smiles("C%12CC%(123)") == ["C", "%12", "C", "C", "%(123)"]
    assert split_smiles("F/C=C\\F") == ["F", "/", "C", "=", "C", "\\", "F"]


def test_tokens_of_public_molecules_joined_are_the_smiles_and_come_back(public_smiles):
    featurizer = SmilesTokens.learn(public_smiles)
    features = featurizer.featurize(public_smiles, strict=True)
    for smiles, numbers in zip(public_smiles, features.values, strict=True):
        assert featurizer.decode(numbers) == smiles.split()[0]


def test_numbers_begin_after_the_special_tokens():
    featurizer = SmilesTokens(["C", "O"])
    assert featurizer.size == 6
    features = featurizer.featurize(["CO", "CN"])
    assert features.values.dtype == np.uint16
    assert [row.tolist() for row in features.values] == [[2, 4, 5, 3], [2, 4, 1, 3]]
    plain = SmilesTokens(["C", "O"], ends=False).featurize(["CO"]).values
    assert plain[0].tolist() == [4, 5]
    with pytest.raises(DatasetError, match="number 1 has no token"):
        featurizer.decode(features.values[1])
    with pytest.raises(DatasetError, match="number 6 has no token"):
        featurizer.decode([2, 6, 3])


def test_the_vocabulary_is_learned_by_frequency_and_is_plain_data():
    featurizer = SmilesTokens.learn(["CCO", "CCN", "methane", None, "N"], minimum=2)
    parameters = {"vocabulary": ["C", "N"], "merges": [], "ends": True, "max_length": 4096}
    assert featurizer.get_parameters() == parameters
    again = SmilesTokens(**featurizer.get_parameters())
    assert again.featurize(["CN"]).values[0].tolist() == [2, 4, 5, 3]
    with pytest.raises(DatasetError, match="no token"):
        SmilesTokens.learn([""])


def test_pairs_are_joined_in_the_order_of_the_merges():
    merges = [("C", "C"), ("CC", "O"), ("C", "O")]
    featurizer = SmilesTokens(["C", "O", "CC", "CCO", "CO"], merges=merges, ends=False)
    values = featurizer.featurize(["CCO", "CCCO", "CO", "OCC"]).values
    tokens = [[featurizer.vocabulary[number - 4] for number in row] for row in values]
    assert tokens == [["CCO"], ["CC", "CO"], ["CO"], ["O", "CC"]]
    assert [featurizer.decode(row) for row in values] == ["CCO", "CCCO", "CO", "OCC"]


def test_merges_are_learned_and_applied_as_tokenizers_does(public_smiles):
    tokenizers = pytest.importorskip("tokenizers")
    smiles = public_smiles[:500]
    featurizer = SmilesTokens.learn(smiles, merges=100, ends=False)
    assert len(featurizer.merges) == 100
    features = featurizer.featurize(smiles, strict=True)
    assert [featurizer.decode(row) for row in features.values] == [s.split()[0] for s in smiles]
    plain = SmilesTokens.learn(smiles, ends=False)
    assert features.values.lengths.sum() < 0.7 * plain.featurize(smiles).values.lengths.sum()
    # The same, each token as one character, by the library itself.
    letters = {token: chr(0xF0000 + i) for i, token in enumerate(plain.vocabulary)}
    texts = {t: "".join(letters[c] for c in split_smiles(t)) for t in letters}
    texts |= {one + other: texts.get(one + other, "") for one, other in featurizer.merges}
    for one, other in featurizer.merges:
        texts[one + other] = texts[one] + texts[other]
    model = tokenizers.models.BPE(
        vocab={texts[token]: i for i, token in enumerate(featurizer.vocabulary)},
        merges=[(texts[one], texts[other]) for one, other in featurizer.merges],
    )
    peer = tokenizers.Tokenizer(model)
    for row, text in zip(features.values, smiles, strict=True):
        word = "".join(letters[token] for token in split_smiles(text.split()[0]))
        assert peer.encode(word).ids == [number - 4 for number in row]
    again = SmilesTokens(**featurizer.get_parameters())
    np.testing.assert_array_equal(again.featurize(smiles).values.values, features.values.values)


@pytest.mark.parametrize("merges", ["CC", [("C",)], [("C", "O")], [("C", "C")] * 2, [(1, 2)], 3])
def test_impossible_merges_are_a_typed_error(merges):
    with pytest.raises(ParameterError, match="pairs of tokens"):
        SmilesTokens(["C", "O", "CC"], merges=merges)


def test_learning_merges_without_tokenizers_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ParameterError, match="pip install tokenizers"):
        SmilesTokens.learn(["CCO"], merges=1)


def test_texts_that_are_no_smiles_fail_with_a_reason():
    inputs = ["C", "C!", " ", None, "CCCC", "[", "C methane"]
    features = SmilesTokens(["C"], max_length=3).featurize(inputs)
    statuses = [(f.row, f.status) for f in features.failures]
    assert statuses == [(1, "parse"), (2, "parse"), (3, "parse"), (4, "size")]
    assert "'!' at position 2" in features.failures[0].message
    assert features.values.lengths.tolist() == [3, 0, 0, 0, 0, 3, 3]


@pytest.mark.parametrize("vocabulary", ["CO", [], ["C", "C"], ["<pad>"], [1], [""], 3])
def test_an_impossible_vocabulary_is_a_typed_error(vocabulary):
    with pytest.raises(ParameterError, match="vocabulary"):
        SmilesTokens(vocabulary)


def test_one_hot_vectors_are_the_rows_of_the_identity():
    featurizer = SequenceTokens("dna")
    codes = featurizer.featurize(["ACN", "T"]).values
    dataset = NumpyDataset(codes)
    expanded = OneHot(featurizer.size).fit(dataset).transform(dataset)
    assert isinstance(expanded, MappedDataset)
    identity = np.eye(5, dtype=np.uint8)
    for row, letters in zip(expanded.X, codes, strict=True):
        np.testing.assert_array_equal(row, identity[letters], strict=True)
    padded = OneHot(5, length=4).transform(dataset).X
    assert padded.shape == (2, 4, 5)
    np.testing.assert_array_equal(padded[0, :3], identity[[0, 1, 4]])
    assert not padded[0, 3:].any()
    dense = OneHot(3).transform(NumpyDataset(np.array([[0, 2], [1, 1]]))).X
    np.testing.assert_array_equal(dense, identity[:3, :3][[[0, 2], [1, 1]]])


def test_one_hot_refuses_what_are_not_codes():
    dataset = NumpyDataset(SequenceTokens("dna").featurize(["ACN"]).values)
    for expanded, reason in (
        (OneHot(4).transform(dataset), "code 4, which is not from 0 to 3"),
        (OneHot(5, length=2).transform(dataset), "3 values, more than 2"),
        (OneHot(2).transform(NumpyDataset(np.array([[-1]]))), "code -1"),
        (OneHot(2).transform(NumpyDataset(np.array([[0.5]]))), "dtype float64"),
    ):
        with pytest.raises(DatasetError, match=reason):
            _ = expanded.X
    with pytest.raises(DatasetError, match=r"dataset\['a'\]"):
        OneHot(2).transform(NumpyDataset({"a": np.zeros((1, 1), int)}))
    with pytest.raises(ParameterError):
        OneHot(0)


def test_no_sequences_give_no_rows():
    for featurizer in (SequenceTokens(), SmilesTokens(["C"]), KmerCounts()):
        features = featurizer.featurize([])
        assert len(features.values) == len(features.ok) == 0
