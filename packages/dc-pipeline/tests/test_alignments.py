"""Alignments: one array from every format, published weights, and profiles that are frequencies."""

import gzip
import os
import shutil

import numpy as np
import pytest

from dc_core import NumpyDataset
from dc_core.errors import FeaturizationError, LoaderError, ParameterError
from dc_pipeline import AlignmentProfile, JackhmmerProfile, featurize
from dc_pipeline.featurizers.alignments import (
    AMINO_ACIDS,
    BACKGROUND,
    Alignment,
    profile,
    read_alignment,
    sequence_weights,
)

ROWS = {"query": "MK-VLA", "two": "MKAVL-", "three": "-RAVIA"}
FASTA = ">query\nMK-V\nLA\n>two\nmkavl.\n>three\n-RAVIA\n"
A3M = ">query\nMK-VLA\n>two\nMKAVggsL-\n>three\n-RAVIA\n"
STOCKHOLM = """# STOCKHOLM 1.0
#=GF ID   example
#=GS two DE a relative

query MK-V
two   MKAV
#=GR two PP 9999
three -RAV

query LA
two   L.
three IA
#=GC RF xx
//
# STOCKHOLM 1.0
other AAAA
//
"""


def alignment(*rows):
    letters = np.array([list(row.encode()) for row in rows], np.uint8)
    return Alignment(tuple(map(str, range(len(rows)))), letters)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.fasta", FASTA), ("a.a3m", A3M), ("a.sto", STOCKHOLM), ("a.txt", STOCKHOLM)],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_gives_the_same_array(tmp_path, name, text, packed):
    file = tmp_path / (name + ".gz" * packed)
    file.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    found = read_alignment(file)
    assert {name: found[i] for i, name in enumerate(found.names)} == ROWS
    assert (found.letters.shape, found.letters.dtype) == ((3, 6), np.uint8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no aligned sequences"),
        (">a\n\n", "no aligned sequences"),
        ("MKV\n", "line with >"),
        (">a\nMKV\n>b\nMK\n", "3 columns|2 columns"),
        (">a\nMK1\n", "'1' in 'a'"),
        ("# STOCKHOLM 1.0\na MKV b\n//\n", "line 2"),
        (">é\nMK\n", "ASCII"),
    ],
)
def test_what_is_not_an_alignment_is_a_typed_error(tmp_path, text, message):
    file = tmp_path / "file"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(LoaderError, match=message):
        read_alignment(file)


def test_equal_names_in_fasta_are_sequences_of_their_own(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nMK\n>a\nMR\n")
    assert read_alignment(tmp_path / "a.fa").names == ("a", "a (2)")
    (tmp_path / "b.fa").write_text(">a\nMK\n>a (2)\nMR\n>a\nMA\n>a\nMC\n")
    assert read_alignment(tmp_path / "b.fa").names == ("a", "a (2)", "a (3)", "a (4)")


def test_the_time_for_equal_names_grows_with_their_number(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nM\n" * 100_000)
    assert len(set(read_alignment(tmp_path / "a.fa").names)) == 100_000


def test_another_format_is_a_typed_error(tmp_path):
    with pytest.raises(ParameterError, match="clustal"):
        read_alignment(tmp_path / "a", "clustal")


def test_the_weights_are_those_that_henikoff_and_henikoff_published():
    # Their example (1994, doi:10.1016/0022-2836(94)90032-9), table 1.
    found = sequence_weights(alignment("GYVGS", "GFDGF", "GYDGF", "GYQGG"))
    np.testing.assert_allclose(found, [0.267, 0.267, 0.200, 0.267], atol=5e-4)


def test_copies_of_a_sequence_share_its_weight():
    one = sequence_weights(alignment("MKV", "RRI"))
    copies = sequence_weights(alignment("MKV", "MKV", "MKV", "RRI"))
    np.testing.assert_allclose([copies[:3].sum(), copies[3]], one)


def test_frequencies_add_up_and_tend_to_the_background_without_data():
    found = profile(alignment("MK-VLA", "MKAVL-", "-RAVIA"))
    np.testing.assert_allclose(found.frequencies.sum(axis=1), 1)
    gaps = profile(alignment("-X", "-X"))
    np.testing.assert_allclose(gaps.frequencies, [BACKGROUND, BACKGROUND])
    np.testing.assert_allclose(gaps.log_odds, 0, atol=1e-12)
    np.testing.assert_allclose(gaps.gaps, [1, 0])


def test_without_pseudocounts_to_speak_of_frequencies_are_those_of_the_column():
    found = profile(alignment("AC", "AC", "AD", "AD"), pseudocounts=1e-9)
    np.testing.assert_allclose(found.frequencies[0, AMINO_ACIDS.index("A")], 1)
    np.testing.assert_allclose(found.frequencies[1, 1:3], 0.5, rtol=1e-6)
    # A column of one letter says as much as the letter is rare.
    expected = -np.log2(BACKGROUND[0])
    assert found.information[0] == pytest.approx(expected)


def test_pseudocounts_are_added_in_proportion_to_the_background():
    found = profile(alignment("W", "W"), pseudocounts=6)
    expected = (np.array([a == "W" for a in AMINO_ACIDS]) * 2 + 6 * BACKGROUND) / 8
    np.testing.assert_allclose(found.frequencies[0], expected)
    with pytest.raises(ParameterError):
        profile(alignment("W"), pseudocounts=0)


def test_a_profile_has_a_row_for_each_letter_of_the_query(tmp_path):
    (tmp_path / "a.a3m").write_text(A3M)
    (tmp_path / "bad.sto").write_text("nothing")
    paths = [str(tmp_path / name) for name in ("a.a3m", "bad.sto", "none.a3m")]
    features = AlignmentProfile().featurize(paths)
    assert features.ok.tolist() == [True, False, False]
    assert [failure.row for failure in features.failures] == [1, 2]
    assert features.values.lengths.tolist() == [5, 0, 0]
    expected = profile(read_alignment(paths[0]).of_query())
    np.testing.assert_allclose(features.values[0][:, :20], expected.log_odds, rtol=1e-6)
    np.testing.assert_allclose(features.values[0][:, 20], expected.gaps)
    frequencies = AlignmentProfile("frequencies").featurize(paths[:1]).values[0]
    np.testing.assert_allclose(frequencies[:, :20].sum(axis=1), 1, rtol=1e-6)
    with pytest.raises(FeaturizationError):
        AlignmentProfile().featurize(paths, strict=True)
    with pytest.raises(ParameterError):
        AlignmentProfile("odds")


# Human and horse ubiquitin-like sequences: ubiquitin, NEDD8 and SUMO-1 (UniProt P0CG48, Q15843,
# P63165), and lysozyme (P61626), which is no relative.
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
NEDD8 = "MLIKVKTLTGKEIEIDIEPTDKVERIKERVEEKEGIPPQQQRLIYSGKQMNDEKTAADYKILGGSVLHLVLALRGG"
LYSOZYME = (
    "KVFERCELARTLKRLGMDGYRGISLANWMCLAKWESGYNTRATNYNAGDRSTDYGIFQINSRYWCNDGKTPGAVNACHLSCSALLQ"
    "DNIADAVACAKRVVRDPQGIRAWVAWRNRCQNRDVRQYVQGCGV"
)


@pytest.fixture
def database(tmp_path):
    file = tmp_path / "database.fasta"
    file.write_text(f">ubiquitin\n{UBIQUITIN}\n>nedd8\n{NEDD8}\n>lysozyme\n{LYSOZYME}\n")
    return str(file)


def test_jackhmmer_finds_relatives_and_nothing_else(database, tmp_path):
    if shutil.which("jackhmmer") is None:
        pytest.skip("jackhmmer is not on the PATH")
    search = JackhmmerProfile(database, iterations=2)
    found = search.alignment(UBIQUITIN)
    assert found[0].replace("-", "") == UBIQUITIN
    assert {name.partition("/")[0] for name in found.names[1:]} == {"ubiquitin", "nedd8"}
    features = search.featurize([UBIQUITIN, "MK1", "WWWWWWWWWWWW"])
    assert features.ok.tolist() == [True, False, True]
    assert features.values.lengths.tolist() == [76, 0, 12]
    # Both have I36 at position 36, and differ at position 2.
    odds = features.values[0]
    assert odds[35, AMINO_ACIDS.index("I")] > odds[1, AMINO_ACIDS.index("Q")]
    done = featurize(
        NumpyDataset([UBIQUITIN, NEDD8]), search, tmp_path / "features", engine="processes"
    )
    np.testing.assert_array_equal(done.dataset.X[0], odds)


def test_without_jackhmmer_or_a_database_the_error_says_what_to_do(database, monkeypatch):
    with pytest.raises(ParameterError, match=r"database|HMMER"):
        JackhmmerProfile("/nowhere.fasta").featurize([UBIQUITIN])
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(ParameterError, match="apt install hmmer"):
        JackhmmerProfile(database).featurize([UBIQUITIN])
