"""Weights in one file or in several."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager

import numpy as np
import pytest

from dc_hub.errors import (
    FileMissing,
    HashMismatch,
    LimitExceeded,
    NotSerializable,
    UnsafePath,
    WeightsFileError,
)
from dc_hub.files.paths import open_regular
from dc_hub.files.system import others_can_write
from dc_hub.format.filenames import INDEX, MANIFEST, WEIGHTS
from dc_hub.format.manifest import Entry, HashingFile, Manifest
from dc_hub.format.shards import open_weights, write_weights
from dc_hub.loading.verifying import open_contents

TENSORS = {f"layer{i}.weight": np.full((10, 10), i, np.float32) for i in range(7)}


@pytest.fixture
def write(tmp_path):
    """Write weights to a new directory and return it with the names of its files."""

    def write_(tensors=TENSORS, name="model", **options):
        directory = tmp_path / name
        directory.mkdir()
        names = write_weights(lambda n: HashingFile.create(directory, n), tensors, **options)
        assert sorted(names) == sorted(path.name for path in directory.iterdir())
        return directory

    return write_


def shard(i, n):
    return f"model-{i:05d}-of-{n:05d}.safetensors"


def check(directory, tensors=TENSORS):
    with open_weights(directory) as weights:
        assert set(weights) == set(tensors)
        assert len(weights) == len(tensors)
        for name, array in tensors.items():
            assert name in weights
            assert weights.info(name).shape == array.shape
            np.testing.assert_array_equal(weights[name], array)
            np.testing.assert_array_equal(weights.read(name), array)


def test_small_weights_are_one_file(write):
    directory = write()
    assert [path.name for path in directory.iterdir()] == [WEIGHTS]
    check(directory)


@pytest.mark.parametrize("size", [1, 399, 400, 401, 800, 1200, 2799])
def test_large_weights_are_stored_in_shards_and_restored(write, size):
    directory = write(shard_size=size)
    shards = sorted(directory.glob("*.safetensors"))
    assert len(shards) == -(-7 // max(1, size // 400))
    assert all(path.name == shard(i, len(shards)) for i, path in enumerate(shards, 1))
    check(directory)


def test_the_index_maps_each_tensor_to_its_file(write):
    index = json.loads((write(shard_size=1600) / INDEX).read_bytes())
    assert index["metadata"] == {"total_size": 2800}
    assert index["weight_map"] == {
        f"layer{i}.weight": shard(1 if i < 4 else 2, 2) for i in range(7)
    }


def test_no_weights_are_a_file_too(write):
    check(write({}), {})


def test_equal_weights_give_equal_files_whatever_their_order(write):
    first = write(shard_size=1000)
    second = write(dict(reversed(TENSORS.items())), "second", shard_size=1000)
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_nothing_is_written_when_one_weight_cannot_be(write, tmp_path):
    with pytest.raises(NotSerializable):
        write({**TENSORS, "z": np.array(["text"])}, shard_size=400)
    assert list((tmp_path / "model").iterdir()) == []


def test_arrays_outlive_their_closed_weights(write):
    with open_weights(write(shard_size=800)) as weights:
        arrays = dict(weights)
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(arrays[name], array)


def manifest_of(directory):
    entries = []
    for path in sorted(directory.iterdir()):
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        entries.append(Entry(path.name, len(data), digest, (digest,)))
    return Manifest.of(entries)


def seal(directory):
    (directory / MANIFEST).write_bytes(manifest_of(directory).to_bytes())


@contextmanager
def opened(directory):
    if not (directory / MANIFEST).exists():
        seal(directory)
    with (
        open_contents(directory) as contents,
        open_weights(directory, names=contents.names, open_file=contents.open) as weights,
    ):
        yield weights


def open_to_others(directory):
    for path in directory.iterdir():
        path.chmod(0o666)
    return directory


@pytest.mark.parametrize("size", [1 << 30, 1000])
def test_weights_that_others_can_write_to_are_those_that_were_verified(write, size):
    directory = open_to_others(write(shard_size=size))
    with opened(directory) as weights:
        for path in directory.glob("*.safetensors"):
            with path.open("r+b") as file:
                file.truncate(8)
        for name, array in TENSORS.items():
            np.testing.assert_array_equal(weights[name], array)
            np.testing.assert_array_equal(weights.read(name), array)


@pytest.mark.needs("file owners")
@pytest.mark.parametrize(
    ("mode", "others"),
    [(0o644, False), (0o600, False), (0o664, False), (0o646, True), (0o666, True)],
)
def test_others_are_everybody_but_the_owner_and_the_owners_group(write, mode, others):
    path = write() / "model.safetensors"
    path.chmod(mode)
    with open_regular(path.parent, path.name) as file:
        assert others_can_write(os.fstat(file.fileno())) is others


@pytest.mark.needs("file owners", "root")
def test_a_group_that_is_not_the_users_own_is_others(write):
    path = write() / "model.safetensors"
    os.chown(path, -1, 12345)
    for mode, others in ((0o644, False), (0o664, True)):
        path.chmod(mode)
        with open_regular(path.parent, path.name) as file:
            assert others_can_write(os.fstat(file.fileno())) is others


def test_a_flipped_bit_in_weights_that_others_can_write_to_is_named(write):
    directory = open_to_others(write(shard_size=1600))
    seal(directory)
    data = bytearray((directory / shard(2, 2)).read_bytes())
    data[-1] ^= 1
    (directory / shard(2, 2)).write_bytes(data)
    with pytest.raises(HashMismatch, match="model-00002"), opened(directory):
        pass


@pytest.fixture
def sharded(write):
    return write(shard_size=1600)


@pytest.fixture
def reindex(sharded):
    """Change the index, and return the directory."""

    def change(edit):
        index = json.loads((sharded / INDEX).read_bytes())
        data = edit(index)
        data = json.dumps(index).encode() if data is None else data
        (sharded / INDEX).write_bytes(data)
        return sharded

    return change


def test_another_writers_index_may_hold_other_metadata(reindex):
    check(reindex(lambda index: index["metadata"].update(total_parameters=700, total_size=1.0)))
    check(reindex(lambda index: index.pop("metadata") and None))


INDEXES = {
    "no JSON": lambda index: b"{",
    "a list": lambda index: b"[]",
    "no map": lambda index: index.pop("weight_map") and None,
    "an empty map": lambda index: index["weight_map"].clear(),
    "an unknown key": lambda index: index.update(trust=True),
    "a shard that is a number": lambda index: index["weight_map"].update({"layer0.weight": 1}),
    "a shard elsewhere": lambda index: index["weight_map"].update({"layer0.weight": "../x"}),
    "a shard by another name": lambda index: index["weight_map"].update({"layer0.weight": "x"}),
    "the index as shard": lambda index: index["weight_map"].update({"layer0.weight": INDEX}),
    "a tensor that is nowhere": lambda index: index["weight_map"].update({"new": shard(1, 2)}),
    "a tensor in the other shard": lambda index: index["weight_map"].update(
        {"layer0.weight": shard(2, 2)}
    ),
    "a tensor left out": lambda index: index["weight_map"].pop("layer0.weight") and None,
    "a tensor twice": lambda index: b'{"weight_map": {"a": "x", "a": "x"}}',
}


@pytest.mark.parametrize("case", INDEXES)
def test_an_invalid_index_is_a_typed_error(reindex, case):
    with pytest.raises(WeightsFileError):
        open_weights(reindex(INDEXES[case]))


def test_an_index_beyond_the_limits_is_refused(reindex):
    with pytest.raises(LimitExceeded):
        open_weights(reindex(lambda index: b" " * ((1 << 24) + 1)))


def test_a_missing_shard_is_named(sharded):
    (sharded / shard(2, 2)).unlink()
    with pytest.raises(FileMissing, match="model-00002-of-00002"):
        open_weights(sharded)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(FileMissing, match=r"model\.safetensors"):
        open_weights(tmp_path)


def test_shards_of_two_revisions_are_not_mixed(sharded, write):
    other = write({f"other{i}": array for i, array in enumerate(TENSORS.values())}, "other",
                  shard_size=1600)  # fmt: skip
    (sharded / shard(2, 2)).write_bytes((other / shard(2, 2)).read_bytes())
    with pytest.raises(WeightsFileError, match="layer4"):
        open_weights(sharded)


def test_shards_of_two_numbers_are_not_mixed(sharded, write):
    other = write(name="other", shard_size=1200)
    (sharded / shard(3, 3)).write_bytes((other / shard(3, 3)).read_bytes())
    with pytest.raises(WeightsFileError, match="not in the index"):
        open_weights(sharded)


def test_one_file_together_with_shards_is_ambiguous(sharded, write):
    (sharded / WEIGHTS).write_bytes((write(name="one") / WEIGHTS).read_bytes())
    with pytest.raises(WeightsFileError, match="both"):
        open_weights(sharded)


def test_a_link_in_place_of_a_shard_is_refused(sharded, tmp_path):
    (sharded / shard(1, 2)).rename(tmp_path / "elsewhere")
    (sharded / shard(1, 2)).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafePath):
        open_weights(sharded)
