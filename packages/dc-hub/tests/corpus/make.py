"""Write the corpus: hostile model files, and what a safe reader does with each.

    python make.py [FOLDER]

writes the same bytes each time. The cases are those of the test suite's own tables, so that a case
that is added there is published here; files of more than 8 KiB are described by a recipe.
"""

from __future__ import annotations

import hashlib
import json
import re
import runpy
import shutil
import sys
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dc_hub.format import strict_json
from dc_hub.format.filenames import MANIFEST, PARAMS
from dc_hub.format.record import Record, StoredWeight
from dc_hub.format.shards import write_weights
from dc_hub.format.tensors import write_tensors

TESTS = Path(__file__).resolve().parents[1]
STORED = 8192
"""The largest file that is stored, in bytes; a larger one has a recipe."""

COOKED = runpy.run_path(str(Path(__file__).with_name("unpack.py")))["cooked"]
RUN = re.compile(rb"(.{1,16}?)\1{63,}", re.DOTALL)
Case = dict[str, Any]


def table(module: str, name: str) -> Any:
    """Return a table of the test module ``module``."""
    return _module(module)[name]


@cache
def _module(name: str) -> dict[str, Any]:
    return runpy.run_path(str(TESTS / f"test_{name}.py"))


def recipe(data: bytes) -> list[dict[str, Any]]:
    """Return what ``data`` consists of: bytes in hex, and how often each part is repeated."""
    parts: list[dict[str, Any]] = []
    end = 0
    for run in RUN.finditer(data):
        if run.start() > end:
            parts.append({"hex": data[end : run.start()].hex(), "times": 1})
        parts.append({"hex": run[1].hex(), "times": len(run[0]) // len(run[1])})
        end = run.end()
    if end < len(data):
        parts.append({"hex": data[end:].hex(), "times": 1})
    return parts


class Corpus:
    """The corpus while it is written to ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cases: list[Case] = []
        self.paths: set[str] = set()

    def add(self, kind: str, what: str, data: bytes, error: str | None, ending: str) -> None:
        """Add a file with the content ``data``, which a reader refuses with ``error``, if any."""
        case = self._case(kind, what, error)
        case |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        if len(data) <= STORED:
            case["file"] = f"{case['id']}{ending}"
            file = self.folder / case["file"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        else:
            parts = numbered(data) if what == "100 001 tensors" else recipe(data)
            case["recipe"] = parts
            if COOKED(parts) != data:
                raise ValueError(f"The recipe of {what!r} does not give the file.")

    def change(self, kind: str, what: str, error: str | None, *steps: dict[str, Any]) -> None:
        """Add a directory: a copy of the valid one, after ``steps``."""
        self._case(kind, what, error)["steps"] = list(steps)

    def _case(self, kind: str, what: str, error: str | None) -> Case:
        words = re.sub(r"[^a-z0-9]+", "-", what.lower()).strip("-")[:60]
        path = f"{kind}/{words}"
        number = 2
        while path in self.paths:
            path = f"{kind}/{words}-{number}"
            number += 1
        self.paths.add(path)
        case = {
            "id": path,
            "kind": kind,
            "what": what,
            "reader": "refuse" if error else "accept",
            "error": error,
        }
        self.cases.append(case)
        return case


def numbered(data: bytes) -> list[dict[str, Any]]:
    """Return the recipe of the header of 100 001 empty tensors."""
    entry = '"%x": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}'
    return [
        {"hex": data[:9].hex(), "times": 1},
        {"numbered": entry, "between": ", ", "count": 100_001},
        {"hex": b"}".hex(), "times": 1},
    ]


def weights_files(corpus: Corpus) -> None:
    """Add weights files."""
    files = table("tensors_hostile", "FILES")
    large = table("tensors_hostile", "TOO_LARGE")
    framed, entry = table("tensors_hostile", "framed"), table("tensors_hostile", "entry")
    for what, data in files.items():
        corpus.add("weights", what, data, "WeightsFileError", ".safetensors")
    for what, data in large.items():
        corpus.add("weights", what, data, "LimitExceeded", ".safetensors")
    truth = framed({"w": entry("BOOL", (2,), (0, 2))}, b"\x01\xff")
    corpus.add("weights", "a BOOL of 255", truth, "WeightsFileError", ".safetensors")
    good = {
        "one tensor": framed({"w": entry()}),
        "no tensor": framed({}, b""),
        "metadata": framed({"__metadata__": {"format": "pt"}, "w": entry()}),
        "a scalar and an empty tensor": framed(
            {"a": entry("F32", (), (0, 4)), "b": entry("F32", (0, 3), (4, 4))}, b"\0" * 4
        ),
        "tensors in another order than their bytes": framed(
            {"b": entry("U8", (4,), (4, 8)), "a": entry("U8", (4,), (0, 4))}, b"\1" * 8
        ),
        "a padded header": framed(json.dumps({"w": entry()}).encode() + b"   "),
        "a name that is not ASCII": framed({"\u00e9.\u4e2d": entry()}),
        "bfloat16 and float8": framed(
            {"a": entry("BF16", (2,), (0, 4)), "b": entry("F8_E4M3", (2,), (4, 6))}, b"\x40" * 6
        ),
    }
    for what, data in good.items():
        corpus.add("weights", what, data, None, ".safetensors")


def params_files(corpus: Corpus) -> None:
    """Add files params.json."""
    changed, record = table("record", "changed"), table("record", "RECORD")
    for what, data in table("record", "MALFORMED").items():
        corpus.add("params", what, data, "ParamsError", ".json")
    for name in ("os.system", "builtins:eval", "torch.nn.Linear", "../x", "torch/..", "a/b/c", ""):
        data = changed(**{"class": name})
        corpus.add("params", f"the class {name!r}", data, "UnknownClass", ".json")
    for what, changes in {
        "major version 2": {"format_version": [2, 0]},
        "major version 0": {"format_version": [0, 9]},
        "a feature that nobody knows": {"required_features": ["sparse"]},
    }.items():
        corpus.add("params", what, changed(**changes), "FormatVersionError", ".json")
    for what, data in table("strict_json", "REFUSED").items():
        corpus.add("params", f"JSON: {what}", data, "ParamsError", ".json")
    for what, data in {
        "200 000 lists in one another": b'{"params": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        "200 000 objects that never close": b'{"params": ' + b'{"a":' * 200_000,
        "33 lists in one another": b"[" * 33 + b"]" * 33,
        "more than a mebibyte": b" " * (1 << 20) + b"{}",
    }.items():
        corpus.add("params", what, data, "LimitExceeded", ".json")
    for what, value in table("values", "MALFORMED").items():
        data = changed(params={"layers": value})
        error = "UnknownClass" if "a member" in what else "ParamsError"
        if len(data) <= STORED:
            corpus.add("params", f"a value: {what}", data, error, ".json")
    corpus.add("params", "a value: an array by its own name",
               changed(params={"x": {"$array": "params.x"}}), "ParamsError", ".json")  # fmt: skip
    corpus.add("params", "a record", record.to_bytes(), None, ".json")
    corpus.add("params", "a record of a later minor version",
               changed(format_version=[1, 7], added="later"), None, ".json")  # fmt: skip


def manifests(corpus: Corpus) -> None:
    """Add manifests, tags and indices."""
    changed = table("manifest", "changed")
    for what, data in table("manifest", "MALFORMED").items():
        corpus.add("manifest", what, data, "ManifestError", ".json")
    for path in ("../a", "/a", "a/b", "a\\b", "C:a", "nul", "COM1.txt", "a.", ".a", "", "a\n"):
        data = changed(file_0__path=path)
        corpus.add("manifest", f"a file called {path!r}", data, "UnsafePath", ".json")
    for version in ([2, 0], [1, 1], None):
        data = changed(format_version=version)
        corpus.add("manifest", f"version {version}", data, "FormatVersionError", ".json")
    corpus.add("manifest", "a manifest", changed(), None, ".json")
    digest = "0" * 64
    tag = strict_json.dumps({"revision": digest})
    for what, data in {
        "nothing": b"",
        "a list": b"[]",
        "no revision": b"{}",
        "another tag": b'{"revision": "main"}',
        "a number": b'{"revision": 5}',
        "a path": b'{"revision": "../../x"}',
        "a line feed": b'{"revision": "%s\\n"}' % digest.encode(),
        "upper case": b'{"revision": "%s"}' % (b"A" * 64),
        "63 digits": b'{"revision": "%s"}' % (b"0" * 63),
        "something about trust": b'{"revision": "%s", "trust": true}' % digest.encode(),
        "two revisions": b'{"revision": "%s", "revision": "%s"}' % (b"0" * 64, b"1" * 64),
    }.items():
        corpus.add("tag", what, data, "ParamsError", ".json")
    corpus.add("tag", "4 000 lists in one another", b"[" * 4000, "LimitExceeded", ".json")
    corpus.add("tag", "a tag", tag, None, ".json")
    model = {"tags": {"main": digest}, "revisions": [digest]}
    index = {"format": "dc-index", "format_version": [1, 0], "models": {"lab/net": model}}
    for what, value, error in (
        ("a list", [], "ParamsError"),
        ("another format", {**index, "format": "x"}, "ParamsError"),
        ("no models", {**index, "models": None}, "ParamsError"),
        ("a name that leads upwards", {**index, "models": {"../x": model}}, "ParamsError"),
        ("a name of three parts", {**index, "models": {"a/b/c": model}}, "ParamsError"),
        ("a model without tags", {**index, "models": {"m": {"tags": {}}}}, "ParamsError"),
        ("a tag that is no digest",
         {**index, "models": {"m": {"tags": {"main": "7"}, "revisions": []}}}, "ParamsError"),
        ("a tag that leads upwards",
         {**index, "models": {"m": {"tags": {"../x": digest}, "revisions": []}}}, "ParamsError"),
        ("a later version", {**index, "format_version": [9, 0]}, "FormatVersionError"),
        ("an index", index, None),
    ):  # fmt: skip
        corpus.add("index", what, json.dumps(value).encode(), error, ".json")


def directories(corpus: Corpus) -> None:
    """Add model directories: what is done to a valid one."""
    good = corpus.folder / "models" / "valid"
    files = sorted(path.name for path in good.iterdir())
    corpus.change("directory", "a model", None)
    for name in files:
        size = (good / name).stat().st_size
        error = "HashMismatch" if name != MANIFEST else "ManifestError"
        for byte in (0, size // 2, size - 1) if name != MANIFEST else (0, size - 1):
            flip = {"flip": name, "byte": byte, "bit": byte % 8}
            corpus.change("directory", f"one flipped bit in {name}, byte {byte}", error, flip)
        corpus.change("directory", f"{name} without its last byte",
                      "SizeMismatch" if name != MANIFEST else "ManifestError",
                      {"truncate": name, "size": size - 1})  # fmt: skip
        missing = {"remove": name}
        corpus.change("directory", f"{name} is missing", "FileMissing", missing)
        for what, step in {
            "a symbolic link": {"symlink": name, "to": "../original"},
            "a hard link": {"hardlink": name, "to": "../original"},
            "a FIFO": {"fifo": name},
            "a directory": {"directory": name},
        }.items():
            aside = {"move": name, "to": "../original"}
            corpus.change("directory", f"{name} is {what}", "UnsafePath", aside, step)
    extra = {"write": "extra.bin", "hex": "00"}
    corpus.change("directory", "a file that the manifest does not list", "UnexpectedFile", extra)
    corpus.change("directory", "a sub-directory", "UnexpectedFile", {"directory": "code"})
    corpus.change("directory", "a hidden file", "UnexpectedFile", {"write": ".x", "hex": ""})
    change = partial(corpus.change, "directory")
    shard, index_file = "model-00002-of-00002.safetensors", "model.safetensors.index.json"
    seal = {"seal": True}
    other = {"copy": shard, "from": "models/other"}
    change("a shard of another revision", "HashMismatch", other)
    one = {"copy": "model.safetensors", "from": "models/other"}
    change("one file of weights besides shards, sealed", "WeightsFileError", one, seal)
    change("a shard is missing, sealed", "FileMissing", {"remove": shard}, seal)
    index = json.loads((good / index_file).read_bytes())
    for what, edit in table("shards", "INDEXES").items():
        edited = json.loads(json.dumps(index))
        data = edit(edited)
        data = json.dumps(edited).encode() if data is None else data
        written = {"write": index_file, "hex": data.hex()}
        change(f"a shard index: {what}", "WeightsFileError", written, seal)


def hubs(corpus: Corpus) -> None:
    """Add hubs: what is done to a valid one."""
    manifest = (corpus.folder / "models" / "valid" / MANIFEST).read_bytes()
    digest = hashlib.sha256(manifest).hexdigest()
    home, tag = f"lab/net/revisions/{digest}", "lab/net/refs/main.json"
    change = partial(corpus.change, "hub")
    change("a hub", None)
    for path in ("lab", "lab/net", "lab/net/refs", "lab/net/revisions", home, tag):
        what = f"{path.replace(digest, '<digest>')} is a symbolic link"
        aside, link = {"move": path, "to": "../original"}, {"symlink": path, "to": "../original"}
        change(what, "UnsafePath", aside, link)
    gone = {"remove": tag}
    change("a tag that is a link to itself", "UnsafePath", gone, {"symlink": tag, "to": tag})
    change("a tag that is a FIFO", "UnsafePath", gone, {"fifo": tag})
    change("a tag that is a directory", "UnsafePath", gone, {"directory": tag})
    nowhere = {"write": tag, "hex": strict_json.dumps({"revision": "0" * 64}).hex()}
    change("a tag that points at a revision that is not there", "RevisionNotFound", nowhere)
    wrong = {"write": tag, "hex": strict_json.dumps({"revision": "1" * 64}).hex()}
    moved = {"move": home, "to": f"lab/net/revisions/{'1' * 64}"}
    change("a directory that holds another revision than its name", "HashMismatch", moved, wrong)
    for byte in (0, len(manifest) // 2, len(manifest) - 1):
        flip = {"flip": f"{home}/{MANIFEST}", "byte": byte, "bit": byte % 8}
        change(f"one flipped bit in the manifest, byte {byte}", "HashMismatch", flip)


def create(directory: Path, name: str) -> BinaryIO:
    """Open a new file for writing."""
    return (directory / name).open("xb")


def models(folder: Path) -> None:
    """Write two valid models of equal names and different values, the first in two shards."""
    seal = runpy.run_path(str(TESTS / "conftest.py"))["seal"]
    arrays = {f"layer{i}.weight": np.arange(8.0, dtype=np.float32) + i for i in range(4)}
    weights = {f"net/layer{i}/0": StoredWeight(f"layer{i}.weight") for i in range(4)}
    for name, change in (("valid", 0), ("other", 1)):
        directory = folder / "models" / name
        directory.mkdir(parents=True)
        values = {key: array + change for key, array in arrays.items()}
        if change:
            with (directory / "model.safetensors").open("xb") as file:
                write_tensors(file, values)
        write_weights(partial(create, directory), values, shard_size=64)
        record = Record("local/Net", 1, None, {"rate": 0.5}, weights, {"task": "regression"})
        (directory / PARAMS).write_bytes(record.to_bytes())
        (directory / "README.md").write_text("# A model\n", encoding="utf-8")
        seal(directory)


def write(folder: Path) -> None:
    """Write the corpus to ``folder``; what is there of it is replaced."""
    for kind in ("weights", "params", "manifest", "tag", "index", "models"):
        shutil.rmtree(folder / kind, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    corpus = Corpus(folder)
    models(folder)
    for add in (weights_files, params_files, manifests, directories, hubs):
        add(corpus)
    whole = {"licence": "Apache-2.0", "cases": corpus.cases}
    text = json.dumps(whole, indent=1, ensure_ascii=True) + "\n"
    (folder / "cases.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
