"""MANIFEST.json, hashing while writing, and verification."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from dc_hub.errors import (
    FileMissing,
    FormatVersionError,
    HashMismatch,
    LimitExceeded,
    ManifestError,
    SizeMismatch,
    UnexpectedFile,
    UnsafePath,
)
from dc_hub.files.paths import open_directory
from dc_hub.format import manifest, strict_json
from dc_hub.format.manifest import (
    CHUNK,
    Entry,
    HashingFile,
    Manifest,
    verify_directory,
    verify_file,
)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def entry(path, data=b"x"):
    chunks = [sha256(data[i : i + CHUNK]) for i in range(0, len(data), CHUNK)]
    return Entry(path, len(data), sha256(data), tuple(chunks))


def pattern(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 12345]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [1 << 20, (1 << 20) + 7, 1 << 30], ids=["even", "odd", "whole"])
def test_digests_taken_while_writing_are_those_of_the_file(tmp_path, size, step):
    data = pattern(size)
    with HashingFile.create(tmp_path, "file") as file:
        for start in range(0, size, step):
            assert file.write(memoryview(data)[start : start + step]) == min(step, size - start)
    assert (tmp_path / "file").read_bytes() == data
    assert file.entry == entry("file", data)


def test_memory_given_to_write_may_be_reused_at_once(tmp_path):
    buffer = bytearray(CHUNK // 2)
    whole = b""
    with HashingFile.create(tmp_path, "file") as file:
        for value in range(5):
            buffer[:] = bytes([value]) * len(buffer)
            whole += buffer
            file.write(buffer)
    assert file.entry == entry("file", whole)


def test_small_writes_beyond_the_first_chunk_are_hashed_too(tmp_path):
    data = pattern(CHUNK + 1000)
    with HashingFile.create(tmp_path, "file") as file:
        file.write(data[: CHUNK - 10])
        for start in range(CHUNK - 10, len(data), 7):
            file.write(data[start : start + 7])
    assert file.entry == entry("file", data)


def test_a_new_file_replaces_nothing_and_follows_no_link(tmp_path):
    (tmp_path / "there").write_bytes(b"old")
    (tmp_path / "link").symlink_to("elsewhere")
    for name in ("there", "link"):
        with pytest.raises(FileExistsError):
            HashingFile.create(tmp_path, name)
    with pytest.raises(UnsafePath):
        HashingFile.create(tmp_path, "../outside")
    assert (tmp_path / "there").read_bytes() == b"old"
    assert not (tmp_path / "elsewhere").exists()


def test_a_new_file_honours_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with open_directory(tmp_path) as directory, HashingFile.create(directory, "file"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_full_disk_is_an_error_and_there_is_no_entry():
    file = HashingFile(Path("/dev/full").open("wb", 0), "file")  # noqa: SIM115
    with pytest.raises(OSError, match="No space left"), file:
        file.write(pattern(CHUNK + 1))
    with pytest.raises(ValueError, match="still being written"):
        _ = file.entry


@pytest.fixture
def model(tmp_path):
    """A directory of three files with its manifest."""
    contents = {"a.json": b"{}", "model.safetensors": pattern(3000), "empty": b""}
    entries = []
    for name, data in contents.items():
        with HashingFile.create(tmp_path, name) as file:
            file.write(data)
        entries.append(file.entry)
    whole = Manifest.of(entries)
    (tmp_path / "MANIFEST.json").write_bytes(whole.to_bytes())
    return tmp_path, whole


def test_a_manifest_comes_back_and_its_digest_is_the_revision(model):
    _, whole = model
    data = whole.to_bytes()
    assert Manifest.from_bytes(data) == whole
    assert whole.revision == sha256(data)


def test_the_revision_depends_on_the_files_alone():
    a, b = entry("a", b"1"), entry("b", b"2")
    assert Manifest.of([a, b]).revision == Manifest.of([b, a]).revision
    assert Manifest.of([a, b]).revision != Manifest.of([a, entry("b", b"3")]).revision
    assert Manifest.of([a, b]).revision != Manifest.of([a, entry("c", b"2")]).revision


@pytest.mark.parametrize("count", range(4))
def test_the_bytes_of_a_manifest_are_the_canonical_json_of_its_content(count):
    sizes = [0, 5, CHUNK + 1, 3 * CHUNK]
    entries = [
        Entry(
            f"file-{i}.bin", size, f"{i:064x}", tuple(f"{n:064x}" for n in range(-(-size // CHUNK)))
        )
        for i, size in enumerate(sizes[:count])
    ]
    data = Manifest.of(reversed(entries)).to_bytes()
    assert data == strict_json.dumps(json.loads(data))
    assert json.loads(data)["files"] == [
        {"path": e.path, "size": e.size, "sha256": e.sha256, "chunks": list(e.chunks)}
        for e in entries
    ]


def test_the_canonical_bytes_are_those_of_the_specification():
    digest = sha256(b"{}\n")
    text = f"""{{
  "chunk_size": 16777216,
  "files": [
    {{
      "chunks": [
        "{digest}"
      ],
      "path": "params.json",
      "sha256": "{digest}",
      "size": 3
    }}
  ],
  "format": "dc-manifest",
  "format_version": [
    1,
    0
  ]
}}
"""
    whole = Manifest.of([entry("params.json", b"{}\n")])
    assert whole.to_bytes() == text.encode()
    revision = "1e5131f11a8dd7f120ebc12a2f314c0a279c36269f85d309be7ef9cfaa6a24e2"
    assert whole.revision == revision


def test_an_unchanged_directory_is_verified_by_path_and_by_descriptor(model):
    directory, whole = model
    verify_directory(directory, whole)
    with open_directory(directory) as descriptor:
        verify_directory(descriptor, whole)


def test_signatures_are_allowed_next_to_the_manifest(model):
    directory, whole = model
    (directory / "MANIFEST.json.sig").write_bytes(b"")
    verify_directory(directory, whole)


@pytest.mark.parametrize("name", ["a.json", "model.safetensors"])
def test_one_flipped_bit_anywhere_is_found_and_named(model, name):
    directory, whole = model
    data = (directory / name).read_bytes()
    for place in {0, len(data) // 2, len(data) - 1}:
        flipped = bytearray(data)
        flipped[place] ^= 1
        (directory / name).write_bytes(flipped)
        with pytest.raises(HashMismatch, match=name) as caught:
            verify_directory(directory, whole)
        assert caught.value.path == str(directory / name)


@pytest.mark.parametrize("place", [0, CHUNK - 1, CHUNK, 2 * CHUNK, 2 * CHUNK + 9])
def test_a_flipped_bit_in_a_large_file_is_found_in_its_chunk(tmp_path, place):
    data = bytearray(pattern(2 * CHUNK + 10))
    listed = entry("file", bytes(data))
    data[place] ^= 0x80
    (tmp_path / "file").write_bytes(data)
    here = f"from byte {place // CHUNK * CHUNK}"
    with (tmp_path / "file").open("rb", 0) as file, pytest.raises(HashMismatch, match=here):
        verify_file(file, listed)


def test_a_large_unchanged_file_is_verified(tmp_path):
    data = pattern(2 * CHUNK + 10)
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb", buffering=0) as file:
        verify_file(file, entry("file", data))


def test_a_file_that_grew_or_shrank_is_found_without_hashing(model):
    directory, whole = model
    for size in (2999, 3001):
        os.truncate(directory / "model.safetensors", size)
        with pytest.raises(SizeMismatch, match="3000"):
            verify_directory(directory, whole)


def test_a_missing_file_and_a_surplus_one_are_named(model):
    directory, whole = model
    (directory / "surplus").write_bytes(b"")
    with pytest.raises(UnexpectedFile, match="surplus"):
        verify_directory(directory, whole)
    (directory / "surplus").unlink()
    (directory / "sub").mkdir()
    with pytest.raises(UnexpectedFile, match="sub"):
        verify_directory(directory, whole)
    (directory / "sub").rmdir()
    (directory / "empty").unlink()
    with pytest.raises(FileMissing, match="empty"):
        verify_directory(directory, whole)


@pytest.mark.needs("FIFOs")
def test_links_and_fifos_are_not_verified_but_refused(model):
    directory, whole = model
    twin = directory.parent / "twin"
    twin.write_bytes((directory / "a.json").read_bytes())
    for make in (lambda p: p.symlink_to(twin), lambda p: p.hardlink_to(twin), os.mkfifo, os.mkdir):
        (directory / "a.json").unlink()
        make(directory / "a.json")
        with pytest.raises(UnsafePath, match=r"a\.json"):
            verify_directory(directory, whole)


def changed(**changes):
    value = json.loads(Manifest.of([entry("a", b"1"), entry("b", b"2")]).to_bytes())
    for place, item in changes.items():
        target, *rest = place.split("__")
        holder = value["files"][int(target[-1])] if target.startswith("file_") else value
        key = rest[0] if rest else target
        if item is ...:
            del holder[key]
        else:
            holder[key] = item
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def repeated():
    value = json.loads(changed())
    value["files"].append(value["files"][0])
    return json.dumps(value).encode()


MALFORMED = {
    "nothing": b"",
    "a list": b"[]",
    "another format": changed(format="dc-model"),
    "another chunk size": changed(chunk_size=1),
    "an unknown key": changed(created="2024-01-01"),
    "no files": changed(files=...),
    "files that are an object": changed(files={}),
    "a file that is text": changed(files=["a"]),
    "a file twice": repeated(),
    "names equal but for case": changed(file_0__path="B"),
    "the manifest itself": changed(file_0__path="MANIFEST.json"),
    "a signature": changed(file_0__path="MANIFEST.json.sig"),
    "files out of order": changed(file_0__path="c"),
    "a name that is a number": changed(file_0__path=1),
    "a size that is text": changed(file_0__size="1"),
    "a size that is true": changed(file_0__size=True),
    "a negative size": changed(file_0__size=-1),
    "a size that does not fit the chunks": changed(file_0__size=CHUNK + 1),
    "no chunk": changed(file_0__chunks=[]),
    "a chunk too many": changed(file_0__chunks=["0" * 64] * 2),
    "one chunk with another digest": changed(file_0__chunks=["0" * 64]),
    "a digest in upper case": changed(file_0__sha256="A" * 64),
    "a digest too short": changed(file_0__sha256="a" * 63),
    "a digest that is null": changed(file_0__sha256=None),
    "an unknown key of a file": changed(file_0__url="file:///etc/passwd"),
    "a missing key of a file": changed(file_0__chunks=...),
    "compact JSON": json.dumps(json.loads(changed())).encode(),
    "a space at the end": changed() + b" ",
    "carriage returns": changed().replace(b"\n", b"\r\n"),
    "a duplicate key": changed().replace(b'"format":', b'"format": "x", "format":'),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_an_invalid_manifest_is_a_typed_error(case):
    with pytest.raises(ManifestError):
        Manifest.from_bytes(MALFORMED[case])


@pytest.mark.parametrize("path", ["../a", "/a", "a/b", "a\\b", "C:a", "nul", "a.", ".a", "", "a\n"])
def test_a_manifest_that_names_a_place_elsewhere_is_unsafe(path):
    with pytest.raises(UnsafePath):
        Manifest.from_bytes(changed(file_0__path=path))


@pytest.mark.parametrize("version", [[2, 0], [1, 1], "1.0", None])
def test_a_manifest_of_another_version_says_to_upgrade(version):
    with pytest.raises(FormatVersionError, match="upgrade"):
        Manifest.from_bytes(changed(format_version=version))


def test_a_manifest_beyond_its_limit_is_refused(monkeypatch):
    monkeypatch.setattr(manifest, "MAX_BYTES", 100)
    with pytest.raises(LimitExceeded):
        Manifest.from_bytes(changed())


def test_a_manifest_is_a_value():
    whole = Manifest.of([entry("a")])
    with pytest.raises(dataclasses.FrozenInstanceError):
        whole.entries = ()
