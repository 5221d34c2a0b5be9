"""Stored molecules: the same features as from SMILES, and nothing from elsewhere is read."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from dc_core import NumpyDataset, Ragged
from dc_core.errors import DatasetError, FeaturizationError
from dc_pipeline import ECFP, DiskDataset, Level, MoleculeBinary, Molecules
from dc_pipeline.errors import MoleculeKeyError
from dc_pipeline.featurizers import sealing


@pytest.fixture(autouse=True)
def key(tmp_path, monkeypatch):
    path = tmp_path / "state" / "molecule.key"
    monkeypatch.setenv(sealing.VARIABLE, str(path))
    return path


def stored(smiles, **options):
    return MoleculeBinary(**options).featurize(smiles).values


@pytest.mark.parametrize("options", [{}, {"chirality": True}, {"counts": True}, {"features": True}])
def test_stored_molecules_give_the_features_of_their_smiles(options, molecules):
    featurizer = ECFP(**options)
    np.testing.assert_array_equal(
        featurizer.featurize(stored(molecules)).values, featurizer.featurize(molecules).values
    )


def test_stored_public_molecules_give_the_features_of_their_smiles(public_smiles):
    smiles = public_smiles[::5]
    featurizer = ECFP(chirality=True)
    np.testing.assert_array_equal(
        featurizer.featurize(stored(smiles)).values, featurizer.featurize(smiles).values
    )


def test_inputs_that_failed_are_empty_binaries_and_fail_again(refused):
    binaries = MoleculeBinary().featurize(["CCO", *refused])
    assert binaries.values.lengths[1:].tolist() == [0] * len(refused)
    features = ECFP().featurize(binaries.values)
    assert features.ok.tolist() == [True] + [False] * len(refused)
    assert {(f.status, f.message) for f in features.failures} == {
        ("parse", "the molecule binary is empty")
    }


def test_a_dataset_on_disk_of_binaries_is_featurized(tmp_path, molecules):
    dataset = NumpyDataset({"molecule": stored(molecules)})
    disk = DiskDataset.create(tmp_path / "stored", dataset).with_columns("molecule")
    np.testing.assert_array_equal(ECFP().featurize(disk).values, ECFP().featurize(molecules).values)


def test_binaries_stored_without_stereochemistry_do_not_pass_for_those_with(molecules):
    flat = stored(molecules, stereo=False)
    assert ECFP().featurize(flat).ok.all()
    with pytest.raises(DatasetError, match="parsed at the level CONNECTIVITY"):
        ECFP(chirality=True).featurize(flat)


def test_binaries_that_others_wrote_are_never_read(monkeypatch, tmp_path, molecules):
    theirs = stored(molecules)
    monkeypatch.setenv(sealing.VARIABLE, str(tmp_path / "another.key"))
    raw = Ragged.from_rows(
        [np.frombuffer(Chem.MolFromSmiles(s).ToBinary(), np.uint8) for s in molecules]
    )
    monkeypatch.setattr(Chem, "Mol", None)
    for column in (theirs, raw):
        features = ECFP().featurize(column)
        assert not features.ok.any()
        assert {f.status for f in features.failures} == {"parse"}
        assert "no valid seal" in features.failures[0].message
    with pytest.raises(FeaturizationError, match="no valid seal"):
        ECFP().featurize(theirs, strict=True)


@settings(deadline=None)
@given(st.data())
def test_a_binary_with_any_change_is_never_read(data):
    (row,) = stored(["C[C@H](N)C(=O)O"])
    changed = bytearray(row.tobytes())
    place = data.draw(st.integers(0, len(changed) - 1))
    change = data.draw(st.sampled_from(["flip", "cut", "insert"]))
    if change == "flip":
        changed[place] ^= data.draw(st.integers(1, 255))
    elif change == "cut":
        del changed[place:]
    else:
        changed[place:place] = data.draw(st.binary(min_size=1, max_size=4))
    if bytes(changed) == row.tobytes():
        return
    features = ECFP().featurize(Ragged.from_rows([np.frombuffer(bytes(changed), np.uint8)]))
    assert not features.ok.any()


def test_coordinates_are_kept_to_the_last_bit(molecules):
    molecule = Chem.MolFromSmiles("CCO")
    places = np.random.default_rng(0).normal(size=(3, 3)) * 1e3
    conformer = Chem.Conformer(3)
    conformer.SetPositions(places)
    molecule.AddConformer(conformer)
    binaries = MoleculeBinary().featurize(Molecules([molecule], ["ethanol"])).values
    (read,) = sealing.unseal(binaries, Level.STEREO).molecules
    np.testing.assert_array_equal(read.GetConformer().GetPositions(), places)


def test_processes_and_threads_that_make_the_key_at_once_have_the_same(key):
    code = (
        "from dc_pipeline.featurizers import sealing; import os, sys; sys.stdin.read(1);"
        "sys.stdout.write(sealing._key(sealing._path()).hex())"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    with ThreadPoolExecutor(3) as pool:
        keys = list(pool.map(lambda child: child.communicate("x")[0], children))
    assert keys == [key.read_bytes().hex()] * 3
    assert [path.name for path in key.parent.iterdir()] == [key.name]


@pytest.mark.skipif(os.name != "posix", reason="the system does not say who may read a file")
def test_a_key_that_others_can_read_is_refused(key):
    stored(["C"])
    sealing._key.cache_clear()
    assert key.stat().st_mode & 0o077 == 0
    key.chmod(0o644)
    with pytest.raises(MoleculeKeyError, match=r"other users.*chmod 600"):
        stored(["C"])


def test_a_damaged_or_impossible_key_is_a_typed_error(key, monkeypatch):
    key.parent.mkdir()
    key.write_bytes(b"short")
    key.chmod(0o600)
    with pytest.raises(MoleculeKeyError, match="5 bytes and not 32"):
        stored(["C"])
    monkeypatch.setenv(sealing.VARIABLE, str(key / "below"))
    with pytest.raises(MoleculeKeyError, match=r"cannot be read or made.*DC_MOLECULE_KEY"):
        stored(["C"])
