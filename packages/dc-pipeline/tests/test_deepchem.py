"""Directories of DeepChem 2.8's DiskDataset: read by blocks, and never unpickled unasked."""

import gzip
import json
import pickle
from itertools import chain

import numpy as np
import pytest

from dc_core import Ragged
from dc_core.errors import LoaderError, ParameterError
from dc_pipeline import DeepChemLoader, store

N = 23


def parts(n=N):
    rng = np.random.default_rng(0)
    return {
        "X": rng.normal(size=(n, 4)).astype(np.float32),
        "y": rng.normal(size=(n, 2)),
        "w": (rng.random((n, 2)) < 0.7).astype(float),
        "ids": np.array([f"mol{i}" for i in range(n)]),
    }


def write(directory, shards, tasks=("a", "b"), *, shapes=True):
    """Write what DeepChem's write_data_to_disk and _save_metadata do."""
    directory.mkdir(exist_ok=True)
    lines = ["ids,X,y,w" + (",ids_shape,X_shape,y_shape,w_shape" if shapes else "")]
    for i, shard in enumerate(shards):
        names = {part: f"shard-{i}-{part}.npy" for part in shard}
        for part, array in shard.items():
            np.save(directory / names[part], array, allow_pickle=True)
        cells = [names.get(part, "") for part in ("ids", "X", "y", "w")]
        if shapes:
            cells += [
                f'"{shard[part].shape}"' if part in shard else "" for part in ("ids", "X", "y", "w")
            ]
        lines.append(",".join(cells))
    (directory / "metadata.csv.gzip").write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    (directory / "tasks.json").write_text(json.dumps(list(tasks)))
    return directory


def cut(whole, *ends):
    starts = (0, *ends)
    return [
        {part: array[a:b] for part, array in whole.items()}
        for a, b in zip(starts, (*ends, N), strict=True)
    ]


@pytest.mark.parametrize("shapes", [True, False], ids=["2.8", "legacy"])
def test_a_directory_is_the_dataset_that_was_written(tmp_path, shapes):
    whole = parts()
    directory = write(tmp_path / "data", cut(whole, 10, 10, 17), shapes=shapes)
    dataset, report = DeepChemLoader().load(directory)
    assert dataset.X.dtype == np.float32
    np.testing.assert_array_equal(dataset.X, whole["X"])
    np.testing.assert_array_equal(dataset.y, whole["y"])
    np.testing.assert_array_equal(dataset.w, whole["w"])
    assert dataset.ids.tolist() == whole["ids"].tolist()
    assert (dataset.tasks, len(report)) == (("a", "b"), 0)


def test_batches_cross_shards_and_start_anywhere(tmp_path):
    whole = parts()
    directory = write(tmp_path / "data", cut(whole, 10, 10, 17))
    for size in (1, 4, 10, 23, 50):
        for start in (0, 3, 10, 22, 23, 30):
            batches = [
                dataset
                for dataset, _ in DeepChemLoader().batches(directory, size=size, start=start)
            ]
            assert len(batches) == max(1, -(-(N - start) // size))
            ids = chain.from_iterable(batch.ids.tolist() for batch in batches)
            assert list(ids) == whole["ids"][start:].tolist()
            assert all(len(batch) == size for batch in batches[:-1])
    with pytest.raises(ParameterError):
        next(DeepChemLoader().batches(directory, size=0))


def test_it_can_be_stored(tmp_path):
    directory = write(tmp_path / "data", cut(parts(), 10))
    stored = store(DeepChemLoader(), directory, tmp_path / "stored", size=4)
    np.testing.assert_array_equal(stored.X, parts()["X"])
    assert stored.provenance["source"]["files"] == 10


def test_labels_weights_and_names_may_be_absent_or_of_one_axis(tmp_path):
    whole = parts()
    only = [{"X": whole["X"]}]
    dataset, _ = DeepChemLoader().load(write(tmp_path / "x", only, []))
    assert (dataset.y.shape, dataset.ids.tolist()) == ((N, 0), [str(i) for i in range(N)])
    flat = [{"X": whole["X"], "y": whole["y"][:, 0], "w": whole["w"][:, :1], "ids": np.arange(N)}]
    dataset, _ = DeepChemLoader().load(write(tmp_path / "flat", flat, [0]))
    np.testing.assert_array_equal(dataset.y, whole["y"][:, :1])
    np.testing.assert_array_equal(dataset.w, whole["w"][:, :1])
    assert dataset.tasks == ("0",)


class Attack:
    def __reduce__(self):
        return print, ("this ran",)


def test_pickled_objects_are_refused_unless_they_are_asked_for(tmp_path, capsys):
    whole = parts() | {"ids": np.array([Attack()] * N, dtype=object)}
    directory = write(tmp_path / "data", [whole])
    with pytest.raises(LoaderError, match=r"holds pickled objects.*allow_pickle=True.*ids=False"):
        DeepChemLoader().load(directory)
    assert DeepChemLoader(ids=False).load(directory).dataset.ids.tolist() == list(
        map(str, range(N))
    )
    assert capsys.readouterr().out == ""
    with pytest.raises(LoaderError, match="holds objects of type NoneType"):
        DeepChemLoader(allow_pickle=True).load(directory)
    assert "this ran" in capsys.readouterr().out


def test_pickled_text_and_ragged_arrays_are_read_when_asked_for(tmp_path):
    rows = np.empty(N, dtype=object)
    rows[:] = [np.full((i % 3, 2), i, np.float32) for i in range(N)]
    whole = parts() | {"ids": parts()["ids"].astype(object), "X": rows}
    directory = write(tmp_path / "data", cut(whole, 9))
    dataset, _ = DeepChemLoader(allow_pickle=True).load(directory)
    assert isinstance(dataset.X, Ragged)
    assert [row.tolist() for row in dataset.X] == [row.tolist() for row in rows]
    assert dataset.ids.tolist() == parts()["ids"].tolist()


def shard(name):
    return lambda content: lambda d: (d / f"shard-0-{name}.npy").write_bytes(content)


def metadata(text):
    return lambda d: (d / "metadata.csv.gzip").write_bytes(gzip.compress(text.encode()))


ZIP = b"PK\x03\x04" + bytes(99)
HEADER = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (%s), }"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (shard("X")(b""), "not an array of NumPy"),
        (shard("X")(ZIP), "not an array of NumPy"),
        (shard("X")(pickle.dumps(3)), "not an array of NumPy"),
        (shard("X")(HEADER.replace(b"%s", b"9" * 15 + b", ").ljust(128) + bytes(80)), "not an arr"),
        (shard("X")(HEADER.replace(b"%s", b"(" * 50).ljust(128)), "not an array of NumPy"),
        (shard("y")(b"\x93NUMPY\x01\x00"), "not an array of NumPy"),
        (lambda d: np.save(d / "shard-0-y.npy", np.zeros((3, 2))), "has 3 rows, and X has 23"),
        (lambda d: np.save(d / "shard-0-X.npy", 3.0), "is a single value"),
        (lambda d: np.save(d / "shard-0-y.npy", np.array([["x"] * 2] * N)), "labels of dtype <U1"),
        (lambda d: np.save(d / "shard-0-w.npy", -np.ones((N, 2))), "not negative"),
        (lambda d: (d / "shard-0-w.npy").unlink(), "shard-0-w.npy is not an array"),
        (lambda d: (d / "tasks.json").write_text("{}"), "tasks.json cannot be read: it is not"),
        (lambda d: (d / "tasks.json").write_text('["a"]'), "tasks"),
        (lambda d: (d / "tasks.json").unlink(), "tasks.json cannot be read.*not a directory of D"),
        (lambda d: (d / "metadata.csv.gzip").write_bytes(b"junk"), "metadata.csv.gzip cannot be"),
        (lambda d: (d / "metadata.csv.gzip").write_bytes(gzip.compress(b"ids,X")[:-9]), "cannot"),
        (metadata("ids,X\na,b\n"), "it has the columns ids, X"),
        (metadata("ids,X,y,w\n"), "has no shards"),
        (metadata("ids,X,y,w\nshard-0-ids.npy,,,\n"), "a shard without X"),
        (metadata("ids,X,y,w\n,../../secret.npy,,\n"), "not a file in the directory"),
        (metadata("ids,X,y,w\n,/etc/passwd,,\n"), "not a file in the directory"),
    ],
    ids=range(21),
)
def test_a_damaged_directory_is_a_typed_error(tmp_path, change, reason):
    directory = write(tmp_path / "data", [parts()])
    change(directory)
    with pytest.raises(LoaderError, match=reason):
        DeepChemLoader().load(directory)


def test_shards_that_differ_are_a_typed_error(tmp_path):
    shards = cut(parts(), 10)
    shards[1]["X"] = np.zeros((13, 5), np.float32)
    with pytest.raises(LoaderError, match=r"shards of .* differ"):
        DeepChemLoader().load(write(tmp_path / "data", shards))


@pytest.mark.parametrize("source", [None, 3, "nowhere"])
def test_what_is_not_a_directory_is_a_typed_error(source):
    with pytest.raises(LoaderError):
        DeepChemLoader().load(source)
