"""Invalid weights files: each is a typed error, quickly and without allocating."""

from __future__ import annotations

import gc
import io
import json
import os
import pickle
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from dc_hub.errors import FileMissing, HubError, LimitExceeded, UnsafePath, WeightsFileError
from dc_hub.format.tensors import TensorFile, read_tensors, write_tensors

WHOLE = 4 * 6


def entry(dtype="F32", shape=(2, 3), offsets=(0, WHOLE), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def framed(header, data=b"\0" * WHOLE):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def pair(first, second, size=8):
    return framed({"a": entry("U8", (4,), first), "b": entry("U8", (4,), second)}, b"\0" * size)


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        # not now: the corpus has the same bytes each time
        archive.writestr(zipfile.ZipInfo("data.pkl"), pickle.dumps([1] * 100, protocol=4))
    return file.getvalue()


FILES = {
    "empty": b"",
    "seven bytes": b"\2\0\0\0\0\0\0",
    "no header": (0).to_bytes(8, "little"),
    "a header length of 2**64 - 1": b"\xff" * 8 + b"{}",
    "a header longer than the file": (100).to_bytes(8, "little") + b"{}",
    "a header that is cut off": framed({"w": entry()})[:20],
    "a header that is not UTF-8": framed(b'{"\xff":1}'),
    "a header with a byte-order mark": framed(b"\xef\xbb\xbf{}"),
    "a header that is no object": framed(b"[1]"),
    "a header that starts with a space": framed(b' {"w":0}'),
    "a header of two objects": framed(b"{}{}"),
    "a header in UTF-16": framed(json.dumps({"w": entry()}).encode("utf-16")),
    "a duplicate tensor": framed(
        b'{"w":{"dtype":"U8","shape":[24],"data_offsets":[0,24]},'
        b'"w":{"dtype":"I8","shape":[24],"data_offsets":[0,24]}}'
    ),
    "a duplicate tensor by an escape": framed(
        b'{"w":{"dtype":"U8","shape":[24],"data_offsets":[0,24]},'
        b'"\\u0077":{"dtype":"I8","shape":[24],"data_offsets":[0,24]}}'
    ),
    "a duplicate field": framed(
        b'{"w":{"dtype":"U8","dtype":"I8","shape":[24],"data_offsets":[0,24]}}'
    ),
    "an overlap": pair((0, 4), (2, 6), 6),
    "two tensors in one place": pair((0, 4), (0, 4), 4),
    "an empty tensor within another": framed(
        {"a": entry("U8", (4,), (0, 4)), "b": entry("U8", (0,), (2, 2))}, b"\0" * 4
    ),
    "a hole": pair((0, 4), (5, 9), 9),
    "a hole at the start": framed({"w": entry(offsets=(8, 8 + WHOLE))}, b"\0" * (8 + WHOLE)),
    "bytes after the tensors": framed({"w": entry()}, b"\0" * (WHOLE + 1)),
    "bytes and no tensor": framed({}, b"\0"),
    "too few bytes": framed({"w": entry()}, b"\0" * (WHOLE - 1)),
    "a negative offset": framed({"w": entry(offsets=(-WHOLE, 0))}),
    "offsets the wrong way round": framed({"w": entry(offsets=(WHOLE, 0))}),
    "float offsets": framed({"w": entry(offsets=(0.0, 24.0))}),
    "exponent offsets": framed(
        b'{"w":{"dtype":"U8","shape":[10],"data_offsets":[0,1e1]}}', b"\0" * 10
    ),
    "bool offsets": framed({"w": entry("U8", (1,), (False, True))}, b"\0"),
    "string offsets": framed({"w": entry(offsets=("0", "24"))}),
    "null offsets": framed({"w": entry(offsets=(None, None))}),
    "three offsets": framed({"w": entry(offsets=(0, 12, 24))}),
    "offsets beyond any file": framed({"w": entry(offsets=(0, 2**64 - 1))}),
    "an offset of 5 000 digits": framed(
        b'{"w":{"dtype":"U8","shape":[24],"data_offsets":[0,' + b"9" * 5000 + b"]}}"
    ),
    "a size that is not shape times dtype": framed({"w": entry(shape=(2, 2))}),
    "a negative extent": framed({"w": entry(shape=(-2, -3))}),
    "a float extent": framed({"w": entry(shape=(2.0, 3))}),
    "a bool extent": framed({"w": entry(shape=(True, 6))}),
    "a shape that is no list": framed({"w": {**entry(), "shape": 6}}),
    "a shape whose product overflows": framed({"w": entry(shape=(2**62, 2**62))}),
    "a shape whose product is 0 modulo 2**64": framed(
        {"w": entry("U8", (2**32, 2**32), (0, 0))}, b""
    ),
    "an empty shape beyond any memory": framed({"w": entry("F32", (0, 2**62), (0, 0))}, b""),
    "an unknown dtype": framed({"w": entry("F128")}),
    "a dtype of half bytes": framed({"w": entry("F4", (48,))}),
    "a dtype that is no text": framed({"w": entry(["F32"])}),
    "NumPy's name of a dtype": framed({"w": entry("float32")}),
    "an unknown field": framed({"w": entry(strides=[3, 1])}),
    "a missing field": framed({"w": {"dtype": "F32", "shape": [2, 3]}}),
    "an entry that is no object": framed({"w": [0, 24]}),
    "metadata that are not text": framed({"__metadata__": {"x": 1}, "w": entry()}),
    "metadata that are no object": framed({"__metadata__": "x", "w": entry()}),
    "a NaN": framed(b'{"w":{"dtype":"U8","shape":[NaN],"data_offsets":[0,24]}}'),
    "a pickle": pickle.dumps({"w": [1.0] * 100}, protocol=4),
    "a zip archive": zipped(),
    "HTML": b"<!DOCTYPE html><html><body>Not found</body></html>",
    **{
        f"a tensor called {name!a}": framed({name: entry()})
        for name in ("", "../x", "a/../../b", "/etc/x", "a\\b", "a\0b", "a\x1bb", "a\u202eb",
                     "\u200b", "__class__", "a.__init__.b", "e\u0301", "x" * 513, "\u00e9" * 257)
    },
    "a lone surrogate": framed(b'{"\\ud800":{"dtype":"U8","shape":[24],"data_offsets":[0,24]}}'),
}  # fmt: skip

TOO_LARGE = {
    "a header over the limit": (1 << 25).to_bytes(8, "little") + b"{" + b" " * (1 << 25),
    "rank 70": framed({"w": entry("U8", (1,) * 70, (0, 1))}, b"\0"),
    "100 001 tensors": framed({f"{i:x}": entry("U8", (0,), (0, 0)) for i in range(100_001)}, b""),
    "a header of nothing but lists": framed(b'{"w":[' + b"[]," * 5_000_000 + b"[]]}", b""),
    "200 000 lists in one another": framed(b'{"w":' + b"[" * 200_000 + b"]" * 200_000 + b"}", b""),
    "200 000 lists that never close": framed(b'{"w":' + b"[" * 200_000, b""),
}


@pytest.fixture
def opened(tmp_path):
    """Open a file of the given bytes, and see that it took neither long nor much memory."""

    def open_(data):
        path = tmp_path / "model.safetensors"
        path.write_bytes(data)
        started = time.process_time()
        try:
            with TensorFile.open(path) as file:
                return {name: file[name] for name in file}
        finally:
            assert time.process_time() - started < 1

    return open_


@pytest.mark.parametrize("case", FILES)
def test_an_invalid_weights_file_is_a_typed_error(opened, case):
    with pytest.raises(WeightsFileError, match=r"model\.safetensors") as caught:
        opened(FILES[case])
    assert caught.value.path.endswith("model.safetensors")
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), WeightsFileError)


@pytest.mark.parametrize("case", TOO_LARGE)
def test_a_weights_file_beyond_the_limits_is_refused_quickly(opened, case):
    with pytest.raises(LimitExceeded):
        opened(TOO_LARGE[case])


def test_a_million_tensors_are_refused_before_one_is_made(opened):
    bomb = (10**6 * 60).to_bytes(8, "little") + b"{" + b" " * (10**6 * 60)
    tracemalloc.start()
    with pytest.raises(LimitExceeded):
        opened(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_header_of_100_000_tensors_is_read_within_a_second(tmp_path):
    path = tmp_path / "model.safetensors"
    entries = {
        f"model.layers.{i}.weight": entry("F32", (2, 3), (24 * i, 24 * i + 24))
        for i in range(100_000)
    }
    path.write_bytes(framed(entries, bytes(24 * len(entries))))
    taken = []
    for _ in range(3):
        started = time.process_time()
        with TensorFile.open(path) as file:
            taken.append(time.process_time() - started)
            assert len(file) == 100_000
    assert gc.isenabled()
    assert min(taken) < 1


def test_the_garbage_collector_runs_again_after_a_long_invalid_header(opened):
    header = framed({f"{i:x}": entry("U8", (1,), (i, i)) for i in range(30_000)}, b"")
    for enabled in (True, False):
        (gc.enable if enabled else gc.disable)()
        try:
            with pytest.raises(WeightsFileError):
                opened(header)
            assert gc.isenabled() is enabled
        finally:
            gc.enable()


def test_a_valid_crafted_file_is_read(opened):
    (array,) = opened(framed({"__metadata__": {"x": "1"}, "w": entry()})).values()
    assert array.shape == (2, 3)


@pytest.mark.parametrize("value", [2, 0xFF])
def test_a_bool_that_is_neither_0_nor_1_is_a_typed_error(tmp_path, value):
    path = tmp_path / "w"
    path.write_bytes(framed({"w": entry("BOOL", (2,), (0, 2))}, bytes([1, value])))
    with TensorFile.open(path) as file:
        for get in (file.__getitem__, file.read):
            with pytest.raises(WeightsFileError, match="BOOL"):
                get("w")


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        write_tensors(file, {"w": np.ones(3)})
    return path


def test_a_symbolic_link_is_not_followed(good):
    link = good.with_name("link")
    link.symlink_to(good)
    with pytest.raises(UnsafePath):
        TensorFile.open(link)


def test_a_hard_link_is_refused(good):
    good.with_name("other").hardlink_to(good)
    with pytest.raises(UnsafePath, match="hard link"):
        TensorFile.open(good)


@pytest.mark.needs("FIFOs")
def test_a_fifo_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "w")
    with pytest.raises(UnsafePath):
        TensorFile.open(tmp_path / "w")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/tty"])
def test_a_device_is_refused(path):
    with pytest.raises(HubError):
        TensorFile.open(path)


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(UnsafePath):
        TensorFile.open(tmp_path)


def test_a_file_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(FileMissing):
        read_tensors(tmp_path / "w")


def test_a_sparse_file_of_a_terabyte_is_refused_without_reading_it(tmp_path):
    path = tmp_path / "w"
    with path.open("wb") as file:
        file.write(framed({"w": entry()}))
        file.truncate(1 << 40)
    with pytest.raises(WeightsFileError, match="after its tensors"):
        TensorFile.open(path)
