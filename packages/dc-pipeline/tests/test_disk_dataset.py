"""Datasets on disk: equal to those in memory, atomic, and sceptical of their files."""

import errno
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dc_core import NumpyDataset, Ragged, dataset_digest
from dc_core.errors import DatasetError, ParameterError
from dc_pipeline import DatasetWriter, DiskDataset, stored_failures
from dc_pipeline.errors import DiskDatasetError


def everything(n, seed=0):
    """A dataset with a column of each kind."""
    rng = np.random.default_rng(seed)
    X = {
        "floats": rng.normal(size=(n, 3)).astype(np.float32),
        "grid": rng.integers(0, 9, (n, 2, 2)).astype(np.int16),
        "bits": rng.integers(0, 2, (n, 13)).astype(np.uint8),
        "flags": rng.random((n, 2, 9)) < 0.5,
        "flag": rng.random(n) < 0.5,
        "smiles": np.array(["C" * int(k) + "é" * (k % 2) for k in rng.integers(0, 9, n)] + [""])[
            :n
        ],
        "atoms": Ragged.from_rows(
            [rng.integers(0, 99, k).astype(np.uint8) for k in rng.integers(0, 6, n)], np.uint8
        ),
        "codes": Ragged.from_rows(
            [
                rng.integers(0, 9, k).astype(np.uint64) << np.uint64(45)
                for k in rng.integers(0, 6, n)
            ],
            np.uint64,
        ),
        "xyz": Ragged.from_rows(
            [rng.normal(size=(k, 3)) for k in rng.integers(0, 6, n)] or [np.zeros((0, 3))][:n]
        )
        if n
        else Ragged(np.zeros((0, 3)), [0]),
    }
    y = np.where(rng.random((n, 2)) < 0.2, np.nan, rng.normal(size=(n, 2)))
    w = rng.random((n, 2))
    return NumpyDataset(X, y, w, [f"row {i}" for i in range(n)], ["a", "b"])


def codes(*rows, dtype=np.int32):
    return NumpyDataset(Ragged.from_rows([list(row) for row in rows], dtype))


def plain(column):
    return [row.tolist() for row in column] if isinstance(column, Ragged) else column.tolist()


def content(dataset):
    """Return what a dataset holds, in a form that compares by value, NaN included."""
    X = dataset.X if isinstance(dataset.X, dict) else {"": dataset.X}
    values = {name: (str(column.dtype), plain(column)) for name, column in X.items()}
    rest = [plain(part) for part in (dataset.y, dataset.w, dataset.ids)]
    return repr((values, rest, dataset.tasks, dict(dataset.classes)))


@pytest.fixture
def stored(tmp_path):
    return DiskDataset.create(tmp_path / "data", everything(40), pack=["bits"], code=["codes"])


def test_what_is_read_is_what_was_written(stored):
    assert content(stored) == content(everything(40))
    assert len(stored) == 40
    assert stored.columns == tuple(everything(1).columns)
    assert repr(stored).startswith("DiskDataset(X={floats: (40, 3) float32")


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(0, 30), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_blocks_make_the_same_dataset_as_one(tmp_path_factory, sizes, seed):
    directory = tmp_path_factory.mktemp("data")
    whole = everything(sum(sizes), seed)
    start = 0
    for size in sizes:  # each block by a writer of its own, as after an interruption
        with DatasetWriter(directory, pack=["bits"], code=["codes"]) as writer:
            writer.append(whole[start : start + size])
            start += size
            assert writer.rows == start
    if start == 0:
        with pytest.raises(DiskDatasetError, match="never committed"):
            DiskDataset(directory)
        return
    dataset = DiskDataset(directory)
    assert content(dataset) == content(whole)
    dataset.verify()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_views_are_the_views_of_the_dataset_in_memory(stored_once, data):
    view, expected = stored_once
    for _ in range(data.draw(st.integers(1, 3))):
        n = len(expected)
        keys = [st.slices(n), st.lists(st.booleans(), min_size=n, max_size=n)]
        if n:
            keys.append(st.lists(st.integers(-n, n - 1), max_size=2 * n))
        key = data.draw(st.one_of(keys))
        if isinstance(key, list):
            key = np.array(key, bool if key and isinstance(key[0], bool) else np.intp)
        view, expected = view[key], expected[key]
    assert len(view) == len(expected)
    assert content(view) == content(expected)
    if len(view):
        assert repr(view[-1].X["atoms"].tolist()) == repr(expected[-1].X["atoms"].tolist())


@pytest.fixture(scope="module")
def stored_once(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "stored"
    return DiskDataset.create(directory, everything(25), pack=["bits"], code=["codes"]), everything(
        25
    )


def test_batches_are_those_of_the_dataset_in_memory(stored):
    for ours, theirs in zip(
        stored.batches(7, shuffle=True, seed=3, epoch=1),
        everything(40).batches(7, shuffle=True, seed=3, epoch=1),
        strict=True,
    ):
        assert ours.ids.tolist() == theirs.ids.tolist()
        assert {n: plain(c) for n, c in ours.X.items()} == {
            n: plain(c) for n, c in theirs.X.items()
        }
        np.testing.assert_array_equal(ours.y, theirs.y)


def test_its_digest_is_that_of_the_same_rows_in_memory(stored):
    memory = everything(len(stored))
    assert dataset_digest(stored) == dataset_digest(memory)
    assert dataset_digest(stored[1:5]) == dataset_digest(memory[1:5])


def test_one_column_without_a_name(tmp_path):
    dataset = NumpyDataset(np.eye(4, dtype=np.uint8), y=["on", "off", "on", ""])
    stored = DiskDataset.create(tmp_path / "data", dataset, pack=True)
    assert stored.columns == ()
    assert content(stored) == content(dataset)
    assert stored.classes == {"task0": ("off", "on")}
    assert (tmp_path / "data" / "x0.bin").stat().st_size == 4
    with pytest.raises(DatasetError, match="one column without a name"):
        stored["x"]


def test_fingerprints_take_a_bit_per_bit(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2, (100, 2048)).astype(np.uint8)
    DiskDataset.create(tmp_path / "data", NumpyDataset(bits), pack=True)
    assert (tmp_path / "data" / "x0.bin").stat().st_size == 100 * 256


def test_a_column_is_read_alone(stored):
    assert plain(stored["smiles"].X) == plain(everything(40).X["smiles"])
    assert stored[["atoms", "bits"]].columns == ("atoms", "bits")
    assert plain(stored[5:9]["atoms"].X) == plain(everything(40).X["atoms"][5:9])
    with pytest.raises(DatasetError, match="no column 'bonds'"):
        stored["bonds"]


def test_consecutive_dense_rows_are_mapped_and_read_only(stored):
    floats = stored[3:9].X["floats"]
    assert np.shares_memory(floats, stored.X["floats"])
    with pytest.raises(ValueError, match="read-only"):
        floats[0] = 1


def test_a_pickled_view_is_a_path_and_row_numbers(stored):
    view = stored[[5, 3, 8]]["smiles"]
    data = pickle.dumps(view)
    assert len(data) < 4000
    assert content(pickle.loads(data)) == content(view)


def test_a_dataset_of_a_relative_path_is_found_from_every_directory(stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = DiskDataset("data")
    data = pickle.dumps(dataset)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    dataset.verify()
    assert content(pickle.loads(data)) == content(stored)


def test_values_without_bytes_are_read_as_they_were_written(tmp_path):
    ragged = Ragged(np.zeros((3, 0), np.float32), np.array([0, 1, 3]))
    X = {"ragged": ragged, "dense": np.zeros((2, 0), np.float32)}
    DiskDataset.create(tmp_path / "data", NumpyDataset(X))
    found = DiskDataset(tmp_path / "data").rows(np.array([1, 0])).X
    assert found["ragged"].offsets.tolist() == [0, 2, 3]
    assert found["ragged"].values.shape == (3, 0)
    assert found["dense"].shape == (2, 0)
    header = json.loads((tmp_path / "data" / "dataset.json").read_text())
    header["X"][0]["shape"] = [0, 1 << 61]
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(header))
    with pytest.raises(DiskDatasetError, match="cannot have"):
        DiskDataset(tmp_path / "data")


def test_a_pickled_view_of_a_dataset_that_was_replaced_is_refused(stored, tmp_path):
    data = pickle.dumps(stored)
    with DatasetWriter(tmp_path / "data") as writer:
        writer.append(everything(3, seed=9))
    assert len(pickle.loads(data)) == 40  # rows were only appended
    for path in (tmp_path / "data").iterdir():
        path.unlink()
    DiskDataset.create(tmp_path / "data", everything(40, seed=1))
    with pytest.raises(DiskDatasetError, match="not the dataset that it was"):
        pickle.loads(data)


def test_a_pickled_view_stays_the_same_when_rows_are_appended(stored, tmp_path):
    data = pickle.dumps(stored[3:])
    with DatasetWriter(tmp_path / "data") as writer:
        writer.append(everything(3, seed=9))
    view = pickle.loads(data)
    assert view.identity == stored[3:].identity
    assert content(view) == content(stored[3:])


def meanings():
    """Datasets of equal bytes, each with another meaning."""
    bits = np.array([[0, 1], [1, 1], [0, 0]], np.uint8)
    y = np.array([0.0, 1, 1])
    return {
        "plain": NumpyDataset(bits, y),
        "dtype": NumpyDataset(bits.view(np.int8), y),
        "shape": NumpyDataset(bits[:, :, None], y),
        "name": NumpyDataset({"x": bits}, y),
        "tasks": NumpyDataset(bits, y, tasks=["active"]),
        "classes": NumpyDataset(bits, y, classes={"task0": ["off", "on"]}),
        "other classes": NumpyDataset(bits, y, classes={"task0": ["on", "off"]}),
        "codes": codes([1, 2], [2]),
        "other codes": codes([5, 7], [7]),
    }


def written(directory, name):
    return DiskDataset.create(directory, meanings()[name], code=[""] if "codes" in name else ())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *[("plain", name) for name in meanings() if "codes" not in name and name != "plain"],
        ("classes", "other classes"),
        ("codes", "other codes"),
    ],
)
def test_equal_bytes_of_another_meaning_are_another_dataset(tmp_path, one, other):
    first, second = written(tmp_path / "one", one), written(tmp_path / "two", other)
    for path in first.directory.glob("x0*"):
        assert path.read_bytes() == (second.directory / path.name).read_bytes()
    assert first.identity != second.identity
    assert first.identity == written(tmp_path / "again", one).identity
    data = pickle.dumps(first)
    shutil.rmtree(first.directory)
    second.directory.rename(first.directory)
    with pytest.raises(DiskDatasetError, match="not the dataset that it was"):
        pickle.loads(data)


def test_provenance_is_kept_and_added_to(tmp_path):
    with DatasetWriter(tmp_path, provenance={"source": {"sha256": "00"}}) as writer:
        writer.append(everything(2))
    with DatasetWriter(tmp_path, provenance={"more": [1]}) as writer:
        writer.append(everything(2))
    assert DiskDataset(tmp_path).provenance == {"source": {"sha256": "00"}, "more": [1]}
    with (
        pytest.raises(DiskDatasetError, match="not JSON"),
        DatasetWriter(tmp_path, provenance={"x": float("nan")}) as writer,
    ):
        writer.append(everything(2))
    assert len(DiskDataset(tmp_path)) == 4


def append_and_press_ctrl_c(directory):
    with DatasetWriter(directory) as writer:
        writer.append(everything(5, seed=1))
        raise KeyboardInterrupt


def test_rows_of_an_interrupted_block_are_dropped(tmp_path):
    with DatasetWriter(tmp_path) as writer:
        writer.append(everything(4))
    with pytest.raises(KeyboardInterrupt):
        append_and_press_ctrl_c(tmp_path)
    assert content(DiskDataset(tmp_path)) == content(everything(4))
    with DatasetWriter(tmp_path) as writer:
        writer.append(everything(6, seed=2))
    assert content(DiskDataset(tmp_path)[4:]) == content(everything(6, seed=2))
    DiskDataset(tmp_path).verify()


def test_an_open_dataset_does_not_see_what_is_appended(stored, tmp_path):
    with DatasetWriter(tmp_path / "data") as writer:
        writer.append(everything(7, seed=5))
    assert content(stored) == content(everything(40))
    assert len(DiskDataset(tmp_path / "data")) == 47


def test_two_writers_at_once_are_refused(tmp_path):
    with DatasetWriter(tmp_path) as writer:
        writer.append(everything(3))
        with pytest.raises(DiskDatasetError, match="Another writer"):
            DatasetWriter(tmp_path)
    with DatasetWriter(tmp_path) as writer:
        assert writer.rows == 3


def test_a_killed_writer_leaves_the_last_commit(tmp_path):
    program = textwrap.dedent(
        """
        import sys, numpy as np
        from dc_core import NumpyDataset
        from dc_pipeline import DatasetWriter
        writer = DatasetWriter(sys.argv[1])
        for block in range(10_000):
            writer.append(NumpyDataset(np.full((100, 50), block), y=np.full(100, float(block))))
            if block % 3 == 0:
                writer.commit()
                print(writer.rows, flush=True)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    said = [int(process.stdout.readline()) for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    process.wait()
    said += [int(line) for line in process.stdout.read().split()]
    process.stdout.close()
    dataset = DiskDataset(tmp_path)
    assert len(dataset) >= said[-1]
    assert dataset.y[:, 0].tolist() == [i // 100 for i in range(len(dataset))]
    dataset.verify()
    with DatasetWriter(tmp_path) as writer:
        assert writer.rows == len(dataset)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files by the system")
def test_a_full_disk_keeps_the_rows_before(tmp_path):
    with DatasetWriter(tmp_path) as writer:
        writer.append(everything(100))
        writer.commit()
        with (
            files_of_at_most(4000),
            pytest.raises(DiskDatasetError, match="100 rows before these are kept"),
        ):
            writer.append(everything(1000, seed=1))
        writer.append(everything(5, seed=2))
    dataset = DiskDataset(tmp_path)
    assert content(dataset[:100]) == content(everything(100))
    assert content(dataset[100:]) == content(everything(5, seed=2))
    dataset.verify()


@contextmanager
def files_of_at_most(size):
    """Let no file of this process grow beyond ``size`` bytes, as on a full disk."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files by the system")
def test_a_header_that_cannot_be_written_is_a_typed_error_and_leaves_nothing(tmp_path):
    with DatasetWriter(tmp_path) as writer:
        writer.append(everything(5))
        writer.commit()
        writer.append(everything(5, seed=1))
        with (
            files_of_at_most(4000),
            pytest.raises(DiskDatasetError, match=r"dataset\.json cannot .* commit again"),
        ):
            writer.commit({"notes": "x" * 5000})
        assert not list(tmp_path.glob(".dataset*"))
        assert len(DiskDataset(tmp_path)) == 5
    assert len(DiskDataset(tmp_path)) == 10
    DiskDataset(tmp_path).verify()


def test_a_writer_whose_directory_is_gone_raises_a_typed_error(tmp_path):
    with DatasetWriter(tmp_path / "data") as writer:
        writer.append(everything(5))
        shutil.rmtree(tmp_path / "data")
        with pytest.raises(DiskDatasetError, match="cannot be written"):
            writer.commit()
        writer.close()


def test_rows_that_the_disk_did_not_take_are_dropped(tmp_path, monkeypatch):
    with DatasetWriter(tmp_path) as writer:
        writer.append(everything(4))
    writer = DatasetWriter(tmp_path)
    writer.append(everything(3, seed=1))
    monkeypatch.setattr(os, "fsync", broken_disk)
    with pytest.raises(DiskDatasetError, match="Only the 4 rows of the last commit"):
        writer.commit()
    monkeypatch.undo()
    with pytest.raises(DiskDatasetError, match=r"closed.*new DatasetWriter"):
        writer.commit()
    with pytest.raises(DiskDatasetError, match="closed"):
        writer.append(everything(3, seed=1))
    assert content(DiskDataset(tmp_path)) == content(everything(4))


def broken_disk(descriptor):
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_directory_that_cannot_be_made_is_a_typed_error(tmp_path):
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(DiskDatasetError, match="cannot be written"):
            DatasetWriter(directory)
    (tmp_path / "data" / "x0.bin").mkdir(parents=True)
    with (
        pytest.raises(DiskDatasetError, match="cannot be written"),
        DatasetWriter(tmp_path / "data") as writer,
    ):
        writer.append(everything(2))


@pytest.mark.parametrize(
    "changed",
    [
        {"floats": np.zeros((2, 4), np.float32)},
        {"floats": np.zeros((2, 3))},
        {"bits": np.full((2, 13), 2, np.uint8)},
        {"more": np.zeros(2)},
        {"smiles": np.zeros(2)},
    ],
    ids=["wider", "other dtype", "not bits", "a new column", "no text"],
)
def test_rows_of_another_form_are_refused_and_cost_nothing(stored, tmp_path, changed):
    with DatasetWriter(tmp_path / "data") as writer:
        with pytest.raises(DiskDatasetError):
            writer.append(
                NumpyDataset({**everything(2).X, **changed}, everything(2).y, tasks=list("ab"))
            )
        assert writer.rows == 40
    assert content(DiskDataset(tmp_path / "data")) == content(everything(40))


def test_labels_of_another_dtype_are_refused(tmp_path):
    with DatasetWriter(tmp_path) as writer:
        writer.append(NumpyDataset([1.0], y=np.float32([1])))
        with pytest.raises(DiskDatasetError, match="same dtype"):
            writer.append(NumpyDataset([1.0], y=np.float64([1])))


def test_other_tasks_or_classes_are_refused(tmp_path):
    with DatasetWriter(tmp_path) as writer:
        writer.append(NumpyDataset([1.0], y=["on"]))
        for other in (
            NumpyDataset([1.0], y=["off"]),
            NumpyDataset([1.0], y=[1.0]),
            NumpyDataset([1.0]),
        ):
            with pytest.raises(DiskDatasetError, match=r"tasks and classes|columns"):
                writer.append(other)


@pytest.mark.parametrize(
    "X",
    [
        np.array([["text"]], np.dtypes.StringDType()),
        Ragged.from_rows([["a", "b"]]),
        np.array([1 + 2j]).astype(np.complex256)
        if hasattr(np, "complex256")
        else np.array([["t"]]),
    ],
    ids=["text table", "ragged text", "long complex"],
)
def test_columns_that_cannot_be_stored_are_refused(tmp_path, X):
    with pytest.raises((DiskDatasetError, DatasetError, ParameterError)):
        DiskDataset.create(tmp_path / "data", NumpyDataset(X))
    assert not (tmp_path / "data" / "dataset.json").exists()


def test_packing_needs_zeros_and_ones(tmp_path):
    with pytest.raises(DiskDatasetError, match="packed into bits"):
        DiskDataset.create(tmp_path / "a", NumpyDataset(np.array([[0, 2]], np.uint8)), pack=True)
    with pytest.raises(DiskDatasetError, match="float64 are not packed"):
        DiskDataset.create(tmp_path / "b", NumpyDataset([[0.0, 1.0]]), pack=True)
    with pytest.raises(DiskDatasetError, match="'bonds', which is not a column"):
        DiskDataset.create(tmp_path / "c", everything(2), pack=["bonds"])


def test_a_directory_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DiskDatasetError, match=r"thesis\.tex"):
        DatasetWriter(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(DiskDatasetError, match="not a dataset"):
        DiskDataset(tmp_path)
    with pytest.raises(DiskDatasetError, match="no rows"):
        DiskDataset.create(tmp_path / "empty", everything(0))


def test_an_existing_dataset_is_not_overwritten(stored, tmp_path):
    with pytest.raises(DiskDatasetError, match="already has a dataset of 40 rows"):
        DiskDataset.create(tmp_path / "data", everything(2))
    assert content(DiskDataset(tmp_path / "data")) == content(everything(40))


@pytest.mark.parametrize("name", ["x0.bin", "x2.bin", "x5.offsets", "x6.bin", "y.bin", "ids.bin"])
def test_a_flipped_bit_is_found_by_verifying(stored, name):
    path = stored.directory / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DiskDatasetError, match=name.replace(".", r"\.")):
        DiskDataset(stored.directory).verify()


@pytest.mark.parametrize("name", ["x0.bin", "x5.bin", "x5.offsets", "w.bin", "ids.offsets"])
def test_a_short_or_missing_file_is_refused_when_opened(stored, name):
    path = stored.directory / name
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(DiskDatasetError, match=name.replace(".", r"\.")):
        DiskDataset(stored.directory)
    path.unlink()
    with pytest.raises(DiskDatasetError, match=name.replace(".", r"\.")):
        DiskDataset(stored.directory)


@pytest.mark.parametrize("value", [-1, 1 << 40, -(1 << 63), (1 << 63) - 1, 7])
@pytest.mark.parametrize("stem", ["x5", "x6", "x7", "ids"])
def test_offsets_out_of_range_are_refused_when_read(stored, stem, value):
    path = stored.directory / f"{stem}.offsets"
    offsets = np.fromfile(path, "<i8")
    assert value not in offsets[19:22] or value == 7
    offsets[20] = value if value != 7 else offsets[21] + 1
    offsets.tofile(path)
    dataset = DiskDataset(stored.directory)
    with pytest.raises(DiskDatasetError, match="do not lie within"):
        dataset.rows(np.array([19, 20]))
    dataset.rows(np.array([0, 1]))


def test_text_that_is_not_unicode_is_refused(stored):
    path = stored.directory / "ids.bin"
    path.write_bytes(b"\xff" * path.stat().st_size)
    dataset = DiskDataset(stored.directory)
    with pytest.raises(DiskDatasetError, match="not UTF-8"):
        dataset.rows(np.arange(3))


def _mutations(header):
    """Yield headers in which one value, anywhere, is another one."""
    strange = [None, -1, 1.5, True, "", "float128", [], {}, 1 << 80, [[]], "object", 41, "é" * 9]

    def walk(value, rebuild):
        for other in strange:
            yield rebuild(other)
        if isinstance(value, dict):
            for key in value:
                yield rebuild({k: v for k, v in value.items() if k != key})
                yield from walk(value[key], lambda new, key=key: rebuild({**value, key: new}))
        elif isinstance(value, list):
            for i in range(len(value)):
                yield from walk(
                    value[i], lambda new, i=i: rebuild([*value[:i], new, *value[i + 1 :]])
                )

    yield from walk(header, lambda new: new)


def test_no_changed_header_does_more_than_raise_a_typed_error(stored):
    path = stored.directory / "dataset.json"
    header = json.loads(path.read_text())
    refused = 0
    for changed in _mutations(header):
        path.write_text(json.dumps(changed))
        try:
            dataset = DiskDataset(stored.directory)
            _ = dataset.X, dataset.y, dataset.w, dataset.ids, repr(dataset)
            dataset.verify()
        except (DiskDatasetError, DatasetError):
            refused += 1
    assert refused > 500


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, '{"rows": NaN}', "\xff", '{"format": "dc-dataset", "version": 2}'],
)
def test_a_header_that_is_not_ours_is_refused(stored, text):
    (stored.directory / "dataset.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DiskDatasetError):
        DiskDataset(stored.directory)


def test_opening_and_selecting_do_not_read_the_rows(tmp_path):
    n = 200_000
    dataset = NumpyDataset(np.zeros((n, 2048), bool), y=np.zeros(n))
    DiskDataset.create(tmp_path / "data", dataset)
    del dataset
    program = textwrap.dedent(
        """
        import resource, sys, numpy as np
        from dc_pipeline import DiskDataset
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        before = peak()
        dataset = DiskDataset(sys.argv[1])
        half = dataset.select(np.arange(0, len(dataset), 2))
        assert len(half[10_000:]) == len(dataset) // 2 - 10_000
        batch = next(iter(half.batches(64, shuffle=True)))
        assert batch.X.shape == (64, 2048)
        print((peak() - before) // 1024)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=True,
    )
    # The rows are 49 MiB packed and 391 MiB unpacked.
    assert int(done.stdout) < 24


def test_codes_take_two_bytes_a_value(tmp_path):
    values = [-5, 1 << 30, 7]
    with DatasetWriter(tmp_path, code=[""]) as writer:
        writer.append(codes([-5, 7], [], [7]))
    with DatasetWriter(tmp_path) as writer:  # the header says that they are codes
        writer.append(codes([1 << 30], [-5, -5]))
    dataset = DiskDataset(tmp_path)
    assert (tmp_path / "x0.bin").stat().st_size == 2 * 6
    assert plain(dataset.X) == [[-5, 7], [], [7], [1 << 30], [-5, -5]]
    assert dataset.X.dtype == np.int32
    assert plain(dataset[[3, 0]].X) == [[1 << 30], [-5, 7]]
    assert sorted(json.loads((tmp_path / "dataset.json").read_text())["X"][0]["table"]) == sorted(
        values
    )
    dataset.verify()


def test_codes_that_were_not_committed_are_not_in_the_table(tmp_path):
    DiskDataset.create(tmp_path, codes([1, 2]), code=[""])
    writer = DatasetWriter(tmp_path)
    writer.append(codes([3]))
    writer.close()
    with DatasetWriter(tmp_path) as writer:
        writer.append(codes([4, 1]))
    assert plain(DiskDataset(tmp_path).X) == [[1, 2], [4, 1]]
    assert json.loads((tmp_path / "dataset.json").read_text())["X"][0]["table"] == [1, 2, 4]


def test_too_many_codes_are_a_typed_error_and_what_was_written_stays(tmp_path):
    with DatasetWriter(tmp_path, code=[""]) as writer:
        writer.append(codes(range(1 << 16)))
        with pytest.raises(DiskDatasetError, match="more than 65536 different values"):
            writer.append(codes([1 << 16]))
        writer.append(codes([65_535, 0]))
    assert plain(DiskDataset(tmp_path).X) == [list(range(1 << 16)), [65_535, 0]]


@pytest.mark.parametrize(
    "X",
    [np.zeros((2, 3), int), Ragged([0.5, 1.5], [0, 1, 2]), Ragged(np.zeros((2, 3), int), [0, 2])],
)
def test_only_ragged_integers_are_stored_as_codes(tmp_path, X):
    with pytest.raises(DiskDatasetError, match="not stored as codes"):
        DiskDataset.create(tmp_path, NumpyDataset(X), code=[""])
    with pytest.raises(DiskDatasetError, match="code names 'atoms'"):
        DiskDataset.create(tmp_path / "other", NumpyDataset(X), code=["atoms"])


@pytest.mark.parametrize(
    "table", [[1, 1], [1, "2"], [1.5], [True], [1 << 40], list(range(65_537)), None, 3, {"a": 1}]
)
def test_a_damaged_table_is_a_typed_error(tmp_path, table):
    DiskDataset.create(tmp_path, codes([1, 2]), code=[""])
    header = json.loads((tmp_path / "dataset.json").read_text())
    header["X"][0]["table"] = table
    (tmp_path / "dataset.json").write_text(json.dumps(header))
    with pytest.raises(DiskDatasetError, match="damaged"):
        DiskDataset(tmp_path)


def test_places_beyond_the_table_are_a_typed_error(tmp_path):
    DiskDataset.create(tmp_path, codes([1, 2]), code=[""])
    header = json.loads((tmp_path / "dataset.json").read_text())
    for table in ([1], []):
        header["X"][0]["table"] = table
        (tmp_path / "dataset.json").write_text(json.dumps(header))
        with pytest.raises(DiskDatasetError, match="beyond the table"):
            _ = DiskDataset(tmp_path).X


@pytest.mark.parametrize(
    "line",
    [
        '{"row": "0", "input": "", "status": "parse", "message": ""}',
        '{"row": -1, "input": "", "status": "parse", "message": ""}',
        '{"row": 1e999, "input": "", "status": "parse", "message": ""}',
        '{"row": 0}',
        "null",
        "[" * 100_000,
    ],
    ids=["text", "negative", "infinite", "missing", "null", "deep"],
)
def test_a_damaged_report_is_a_typed_error(tmp_path, line):
    (tmp_path / "failures.jsonl").write_text(line + "\n")
    with pytest.raises(DiskDatasetError, match="cannot be read"):
        list(stored_failures(tmp_path))
