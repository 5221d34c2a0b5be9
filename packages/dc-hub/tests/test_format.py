"""docs/format.md is true, and enough to read a model without this project."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from dc_hub.format import values
from dc_hub.format.header import CODES, LIMITS
from dc_hub.format.manifest import HashingFile, Manifest
from dc_hub.format.record import Record, StoredWeight
from dc_hub.format.shards import write_weights

SPECIFICATION = (Path(__file__).parents[1] / "docs" / "format.md").read_text()


def section(number):
    return re.search(rf"^## {number}\..*?(?=^## |\Z)", SPECIFICATION, re.M | re.S).group()


def examples(number):
    blocks = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", section(number), re.M)
    return [re.sub(r"^ {4}", "", block, flags=re.M).strip("\n") + "\n" for block in blocks]


def test_the_example_of_params_json_is_one():
    record = Record.from_bytes(examples(3)[0].encode())
    assert record.cls == "torch/MultitaskRegressor"
    assert record.weights == {"multitask_regressor/layers/0/0": StoredWeight("layers.0.weight")}


def test_the_example_manifest_has_the_revision_given_for_it():
    data = examples(7)[0].encode()
    manifest = Manifest.from_bytes(data)
    assert manifest.revision == hashlib.sha256(data).hexdigest()
    assert f"`{manifest.revision}`" in section(7)


def test_every_tag_is_specified():
    decoder = values._Decoder({}, None)
    assert set(re.findall(r"`\{\"(\$\w+)\"", section(4))) | {"$component"} == set(decoder.tags)


def test_the_limits_are_those_of_the_specification():
    assert (LIMITS.header, LIMITS.tensors, LIMITS.rank, LIMITS.name) == (1 << 24, 100_000, 64, 512)
    assert "N is at most 16 MiB" in section(5)
    assert "at most 100 000" in section(5)
    assert "1 to 512 bytes" in section(5)


def test_every_dtype_is_specified():
    listed = " ".join(re.findall(r"`(.*?)`", section(5))).replace(",", "").split()
    ranges = {"U8", "U64", "I8", "I64"}
    assert ranges <= set(listed)
    assert {code for code in CODES if not re.fullmatch(r"[UI]\d+", code)} <= set(listed)


class IndependentReader:
    """A reader written from the specification alone."""

    DTYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "U8": "u1", "BOOL": "?"}  # noqa: RUF012

    def __init__(self, directory, revision):
        manifest = (directory / "MANIFEST.json").read_bytes()
        assert hashlib.sha256(manifest).hexdigest() == revision
        self.arrays = {}
        for file in json.loads(manifest)["files"]:
            data = (directory / file["path"]).read_bytes()
            assert len(data) == file["size"]
            assert hashlib.sha256(data).hexdigest() == file["sha256"]
            if file["path"].endswith(".safetensors"):
                self.arrays |= self.tensors(data)
        self.params = json.loads((directory / "params.json").read_bytes())

    def tensors(self, data):
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        for name, field in header.items():
            begin, end = (8 + length + offset for offset in field["data_offsets"])
            flat = np.frombuffer(data[begin:end], self.DTYPES[field["dtype"]])
            header[name] = flat.reshape(field["shape"])
        return header

    def value(self, v):
        if isinstance(v, list):
            return [self.value(item) for item in v]
        if not isinstance(v, dict):
            return v
        ((tag, body),) = v.items() if len(v) == 1 else ((None, None),)
        match tag:
            case "$tuple":
                return tuple(map(self.value, body))
            case "$dict":
                return {self.value(key): self.value(item) for key, item in body}
            case "$array":
                return self.arrays[body]
            case "$float":
                return float(body)
            case "$int":
                return int(body)
            case "$bytes":
                return base64.b64decode(body)
        return {key: self.value(item) for key, item in v.items()}


@pytest.mark.parametrize("shard_size", [1 << 30, 30])
def test_a_reader_that_knows_only_the_specification_reads_a_model(tmp_path, shard_size):
    arguments = {"sizes": (1, [2.5]), "by": {3: None, "$": True}, "mean": np.arange(3.0),
                 "seed": 2**70, "key": b"\0\xff", "best": float("inf")}  # fmt: skip
    arrays = {"conv.weight": np.ones((2, 2), np.float32), "steps": np.array(7)}
    params = {
        key: values.encode(value, path=key, arrays=arrays, component=lambda obj: None)
        for key, value in arguments.items()
    }
    weights = {"net/conv/0": StoredWeight("conv.weight"), "net/0": StoredWeight("steps")}
    files = []

    def create(name):
        files.append(HashingFile.create(tmp_path, name))
        return files[-1]

    write_weights(create, arrays, shard_size=shard_size)
    with create("params.json") as file:
        file.write(Record("lab/Net", 1, None, params, weights).to_bytes())
    manifest = Manifest.of(file.entry for file in files)
    (tmp_path / "MANIFEST.json").write_bytes(manifest.to_bytes())

    reader = IndependentReader(tmp_path, manifest.revision)
    found = {key: reader.value(value) for key, value in reader.params["params"].items()}
    np.testing.assert_array_equal(found.pop("mean"), arguments.pop("mean"))
    assert found == arguments
    for name, weight in weights.items():
        native = reader.params["weights"][name]["native"]
        np.testing.assert_array_equal(reader.arrays[native], arrays[weight.native])
