"""Writing and reading weights files."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import sys
import textwrap
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dc_core import raw_bits
from dc_core.dtypes import EXTENDED
from dc_hub.errors import LimitExceeded, NotSerializable, WeightsFileError
from dc_hub.format.header import CODES
from dc_hub.format.tensors import TensorFile, read_tensors, write_tensors

DTYPES = sorted(CODES.values())


@pytest.fixture
def saved(tmp_path):
    """Write tensors to a file and return its path."""

    def save(tensors, metadata=None, name="model.safetensors"):
        path = tmp_path / name
        with path.open("xb", buffering=0) as file:
            write_tensors(file, tensors, metadata)
        return path

    return save


def written(tensors, metadata=None):
    file = io.BytesIO()
    write_tensors(file, tensors, metadata)
    return file.getvalue()


def bits(array):
    return raw_bits(np.ascontiguousarray(array))


def of_dtype(name, shape=(3, 2)):
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    noise = np.random.default_rng(0).integers(0, 256, (*shape, dtype.itemsize), np.uint8)
    return noise.view(dtype)[..., 0] if name != "bool" else noise[..., 0] > 127


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_comes_back_bit_for_bit_mapped_and_read(saved, name):
    array = of_dtype(name)
    with TensorFile.open(saved({"w": array})) as file:
        for back in (file["w"], file.read("w")):
            assert back.dtype == array.dtype
            np.testing.assert_array_equal(bits(back), bits(array))


ARRAYS = {
    "fortran-ordered": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "strided": np.arange(24.0)[::3],
    "reversed": np.arange(5)[::-1],
    "transposed": np.arange(24, dtype=np.int16).reshape(2, 3, 4).transpose(2, 0, 1),
    "broadcast": np.broadcast_to(np.float32(2), (3, 3)),
    "0-d": np.array(3.5, np.float32),
    "empty": np.empty((0, 3)),
    "empty and strided": np.empty((4, 0, 2)).transpose(2, 1, 0),
    "big-endian": np.arange(4, dtype=">f8"),
    "big-endian and strided": np.arange(8, dtype=">i4")[::2],
    "read-only": np.frombuffer(b"12345678", np.uint8),
    "unaligned": np.frombuffer(b"x" + b"\1" * 16, np.uint8)[1:].view(np.float64),
    "bfloat16, transposed": np.ones((2, 3), ml_dtypes.bfloat16).T,
}


@pytest.mark.parametrize("layout", ARRAYS)
def test_every_memory_layout_is_stored_by_value(saved, layout):
    array = ARRAYS[layout]
    with TensorFile.open(saved({"w": array})) as file:
        back = file["w"]
        assert back.shape == array.shape
        assert back.flags.c_contiguous
        np.testing.assert_array_equal(back, array)
        np.testing.assert_array_equal(file.read("w"), array)


def test_a_large_array_that_is_not_contiguous_is_stored_by_value(saved):
    array = np.arange(3 << 20, dtype=np.float32).reshape(1024, 3072).T
    np.testing.assert_array_equal(read_tensors(saved({"w": array}))["w"], array)


@given(
    st.dictionaries(
        st.text("abcXYZ019._/-é", min_size=1, max_size=12).filter(
            lambda name: ".." not in name and not name.startswith("/")
        ),
        st.sampled_from([name for name in DTYPES if hasattr(np, name)]).flatmap(
            lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
        ),
        max_size=5,
    ),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2).filter(
        lambda metadata: not any("\ud800" <= c <= "\udfff" for s in metadata for c in s)
    ),
)
@settings(deadline=None, max_examples=100)
def test_whatever_is_written_comes_back(tmp_path_factory, tensors, metadata):
    path = tmp_path_factory.mktemp("any") / "w"
    path.write_bytes(written(tensors, metadata))
    with TensorFile.open(path) as file:
        assert dict(file.metadata) == metadata
        assert set(file) == set(tensors)
        for name, array in tensors.items():
            np.testing.assert_array_equal(bits(file[name]), bits(array))
            np.testing.assert_array_equal(bits(file.read(name)), bits(array))


def test_equal_input_gives_equal_bytes_whatever_its_order():
    a, b = np.ones(3), np.zeros((2, 2), np.float32)
    assert written({"a": a, "b": b}, {"x": "1", "y": "2"}) == written(
        {"b": b.copy(), "a": a.copy()}, {"y": "2", "x": "1"}
    )


def test_saving_what_was_loaded_gives_the_same_bytes(saved):
    path = saved({name: of_dtype(name) for name in DTYPES}, {"format": "pt"})
    with TensorFile.open(path) as file:
        assert written(file, file.metadata) == path.read_bytes()


def test_the_data_start_aligned_and_so_does_every_tensor(saved):
    path = saved({name: of_dtype(name, (n + 1, 3)) for n, name in enumerate(DTYPES)})
    with TensorFile.open(path) as file:
        infos = [file.info(name) for name in file]
        assert infos[0].start % 64 == 0
        assert all(info.start % info.dtype.itemsize == 0 for info in infos)


def test_a_tensor_of_odd_size_does_not_shift_the_large_ones_off_their_alignment(saved):
    made = {"a": np.ones(3), "b": np.ones((4, 16), np.float32), "c": np.ones((8, 32), np.float16)}
    with TensorFile.open(saved(made)) as file:
        assert [file.info(name).start % 64 for name in ("b", "c")] == [0, 0]
        assert list(file) == ["b", "c", "a"]


def test_a_tensor_is_described_without_reading_it(saved):
    with TensorFile.open(saved({"w": np.ones((2, 3), np.float32)})) as file:
        info = file.info("w")
        assert (info.dtype, info.shape, info.end - info.start) == (np.float32, (2, 3), 24)
        assert "w" in file
        assert "v" not in file
        assert len(file) == 1
        with pytest.raises(KeyError):
            file["v"]


def test_writing_to_a_mapped_array_leaves_the_file_alone(saved):
    path = saved({"w": np.ones(4)})
    before = path.read_bytes()
    with TensorFile.open(path) as file:
        array = file["w"]
        array += 1
    np.testing.assert_array_equal(array, 2)
    assert path.read_bytes() == before


def test_arrays_outlive_their_closed_file(saved):
    path = saved({"w": np.arange(1000.0)})
    with TensorFile.open(path) as file:
        array = file["w"]
    path.unlink()
    np.testing.assert_array_equal(array, np.arange(1000.0))


def test_an_unaligned_tensor_of_another_writer_is_given_aligned(tmp_path):
    header = (
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
        b'"b":{"dtype":"F64","shape":[1],"data_offsets":[1,9]}}'
    )
    path = tmp_path / "w"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\1" + np.float64(7).tobytes())
    with TensorFile.open(path) as file:
        assert file["b"].flags.aligned
        assert file["b"][0] == 7


def test_a_file_that_is_cut_off_while_open_is_a_typed_error(saved):
    path = saved({"a": np.ones(1 << 16), "b": np.ones(1 << 16)})
    with TensorFile.open(path) as file:
        assert file["a"][0] == 1
        with path.open("r+b") as other:
            other.truncate(1000)
        for get in (file.__getitem__, file.read):
            with pytest.raises(WeightsFileError, match="changed while it was open"):
                get("b")


def test_a_file_that_is_overwritten_while_open_is_a_typed_error(saved):
    path = saved({"a": np.ones(4)})
    with TensorFile.open(path) as file:
        with path.open("r+b") as other:
            other.seek(-8, 2)
            other.write(b"\0" * 8)
        os.utime(path, ns=(0, 0))
        with pytest.raises(WeightsFileError, match="changed while it was open"):
            file["a"]


def test_mapping_a_large_file_takes_no_memory(saved):
    path = saved({f"w{i}": np.zeros(1 << 20) for i in range(8)})
    tracemalloc.start()
    with TensorFile.open(path) as file:
        arrays = [file[name] for name in file]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(array.nbytes for array in arrays) == 64 << 20
    assert peak < 1 << 20


def test_reading_a_large_file_takes_its_size_once(saved):
    path = saved({f"w{i}": np.zeros(1 << 20) for i in range(8)})
    tracemalloc.start()
    tensors = read_tensors(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(tensors) == 8
    assert peak < (64 << 20) * 1.02


def test_contiguous_arrays_are_written_without_a_copy():
    class Sink:
        size = 0

        def write(self, data):
            self.size += len(data)
            return len(data)

    tensors, sink = {"w": np.zeros(4 << 20), "v": np.zeros((1 << 20, 2)).T}, Sink()
    tracemalloc.start()
    write_tensors(sink, tensors)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sink.size > 48 << 20
    assert peak < 14 << 20


def test_a_file_that_accepts_part_of_a_write_is_written_completely():
    class Slow(io.BytesIO):
        def write(self, data):
            return super().write(bytes(data[:7]))

    slow = Slow()
    write_tensors(slow, {"w": np.arange(100.0)})
    assert slow.getvalue() == written({"w": np.arange(100.0)})


REFUSED = {
    "objects": np.array([None]),
    "strings": np.array(["text"]),
    "bytes": np.array([b"text"]),
    "dates": np.array(["2020-01-01"], "datetime64[D]"),
    "records": np.zeros(2, [("x", "f4"), ("y", "f4")]),
    "complex128": np.zeros(2, np.complex128),
    "long doubles": np.zeros(2, np.longdouble),
    "masked": np.ma.masked_array([1.0], [True]),
    "a list": [1.0],
    "a scalar": np.float32(1),
    "bools that are neither 0 nor 1": np.array([0, 7], np.uint8).view(bool),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_a_weights_file_cannot_hold_is_refused_before_anything_is_written(kind):
    file = io.BytesIO()
    with pytest.raises(NotSerializable, match="'w'") as caught:
        write_tensors(file, {"a": np.ones(2), "w": REFUSED[kind]})
    assert caught.value.path == "w"
    assert file.getvalue() == b""


@pytest.mark.parametrize("name", ["", "../x", "a/../b", "/a", "a\\b", "a\0b", "a\nb", "a\u202eb",
                                  "__class__", "a.__dict__.b", "__metadata__", "e\u0301", "x" * 513,
                                  "\ud800", 7])  # fmt: skip
def test_names_that_deceive_are_refused_on_save(name):
    with pytest.raises(NotSerializable):
        written({name: np.ones(1)})


@pytest.mark.parametrize("metadata", [{"x": 1}, {1: "x"}, {"x": "\ud800"}], ids=repr)
def test_metadata_are_text(metadata):
    with pytest.raises(NotSerializable):
        written({}, metadata)


def test_more_tensors_than_the_format_allows_are_refused_on_save():
    one = np.ones(1, np.uint8)
    with pytest.raises(LimitExceeded):
        written({f"t{i}": one for i in range(100_001)})


@pytest.mark.needs("resource limits")
def test_opening_and_dropping_many_files_leaks_no_descriptor(saved):
    path = saved({"w": np.ones(4)})
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, limit[1]))
    try:
        for _ in range(200):
            with TensorFile.open(path) as file:
                assert file["w"][0] == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def test_the_bytes_are_those_of_the_specification():
    header = (
        b'{"__metadata__":{"format":"pt"},'
        b'"b":{"dtype":"F64","shape":[],"data_offsets":[0,8]},'
        b'"a":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]}}'
    )
    padded = header.ljust(-(-(8 + len(header)) // 64) * 64 - 8)
    data = struct.pack("<dff", 3.0, 1.0, 2.0)
    tensors = {"a": np.array([[1, 2]], np.float32), "b": np.array(3.0)}
    assert written(tensors, {"format": "pt"}) == struct.pack("<Q", len(padded)) + padded + data


def test_without_ml_dtypes_the_bits_are_kept_under_their_own_dtype(saved):
    path = saved({name: of_dtype(name) for name in EXTENDED})
    script = """
        import hashlib, io, sys
        import dc_core.dtypes
        dc_core.dtypes.find_spec = lambda name: None
        from dc_hub.format.tensors import read_tensors, write_tensors
        tensors = read_tensors(sys.argv[1])
        assert all(array.dtype.names == (name,) for name, array in tensors.items())
        file = io.BytesIO()
        write_tensors(file, {name: array[::-1][::-1] for name, array in tensors.items()})
        assert "ml_dtypes" not in sys.modules
        print(hashlib.sha256(file.getvalue()).hexdigest(), end="")
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.stdout == hashlib.sha256(path.read_bytes()).hexdigest(), run.stderr
