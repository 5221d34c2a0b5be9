"""Names, and files that are opened by them."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from dc_hub.errors import FileMissing, HubUnavailable, LimitExceeded, UnsafePath
from dc_hub.files import paths
from dc_hub.files.paths import (
    check_member,
    check_name,
    check_tag,
    list_names,
    open_directory,
    open_regular,
    read_small,
    reading,
)

HOSTILE = [
    "", ".", "..", "../x", "x/..", "ns/../x", "/etc/passwd",
    "//host/share", "C:x", "c:\\x", "\\\\host\\share",
    "a\\b", "a b", "a\n", "\na", "a\0", "%2e%2e", "%252e%252e", "a%2fb", "x.", "x/y.", "con",
    "nul.txt", "a/aux", "com1", "lpt9.json", ".hidden", ".tmp-1", "-rf", "~", "$HOME", "é",
    "\u202ex", "a/b/c",
    "a//b", "a/", "/a", "x" * 201, "a:b", "a*", "a?", "\uff0e\uff0e", "a\u2215b",
]  # fmt: skip


@pytest.mark.parametrize("name", [*HOSTILE, "Upper", "refs", "lab/revisions"])
def test_a_name_that_could_leave_the_hub_cannot_name_a_model(name):
    with pytest.raises(UnsafePath) as caught:
        check_name(name)
    assert caught.value.path == name


@pytest.mark.parametrize("tag", [*HOSTILE, "a/b", "Upper", "0123456789ab", "f" * 64])
def test_a_tag_is_one_safe_segment_that_is_no_digest(tag):
    with pytest.raises(UnsafePath):
        check_tag(tag)


@pytest.mark.parametrize("name", [*HOSTILE, "a/b", "CON", "Aux.json"])
def test_a_file_of_a_model_is_one_safe_segment(name):
    with pytest.raises(UnsafePath):
        check_member(name)


@pytest.mark.parametrize("name", ["chemberta.zinc250k", "lab/net-2", "_x", "console", "a..b", "0"])
def test_ordinary_names_are_fine(name):
    assert check_name(name) == name


@pytest.mark.parametrize("tag", ["main", "v2", "lts", "2024.1", "deadbeef"])
def test_ordinary_tags_are_fine(tag):
    assert check_tag(tag) == tag


@pytest.mark.parametrize("name", ["README.md", "model-00001-of-00003.safetensors", "_x", "a.b"])
def test_ordinary_files_are_fine(name):
    assert check_member(name) == name


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    return tmp_path


def test_a_regular_file_is_read_by_path_and_by_descriptor(folder):
    assert read_small(folder, "file", 7) == b"content"
    with open_directory(folder) as descriptor:
        assert read_small(descriptor, "file", 7) == b"content"


def test_a_file_over_the_limit_is_not_read(folder):
    with pytest.raises(LimitExceeded, match="7 bytes"):
        read_small(folder, "file", 6)


def make_socket(path):
    server = socket.socket(socket.AF_UNIX)
    here = os.open(path.parent, os.O_RDONLY)
    server.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)
    server.close()


TRAPS = {
    "a symbolic link": lambda path: path.symlink_to("file"),
    "a dangling link": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a hard link": lambda path: path.hardlink_to(path.with_name("file")),
    "a FIFO": lambda path: os.mkfifo(path),
    "a directory": os.mkdir,
    "a socket": make_socket,
}
NEEDS = {"a FIFO": "FIFOs", "a socket": "/proc"}


@pytest.mark.parametrize(
    "trap",
    [pytest.param(t, marks=[pytest.mark.needs(NEEDS[t])] if t in NEEDS else []) for t in TRAPS],
)
def test_whatever_is_no_plain_file_is_refused_without_waiting(folder, trap):
    TRAPS[trap](folder / "trap")
    with pytest.raises(UnsafePath, match="trap"):
        open_regular(folder, "trap")
    with open_directory(folder) as descriptor, pytest.raises(UnsafePath):
        open_regular(descriptor, "trap")


@pytest.mark.needs("/proc")
def test_a_device_is_refused():
    with pytest.raises(UnsafePath):
        open_regular("/dev", "zero")


@pytest.mark.parametrize("name", ["../file", "a/b", "", ".", "..", "/etc/passwd", "a\0b"])
def test_only_a_name_in_the_directory_is_opened(folder, name):
    (folder / "inner").mkdir()
    with pytest.raises(UnsafePath):
        open_regular(folder / "inner", name)


def test_a_file_that_is_not_there_is_missing(folder):
    with pytest.raises(FileMissing) as caught:
        open_regular(folder, "other")
    assert caught.value.path == str(folder / "other")


def test_a_directory_behind_a_link_is_not_entered(folder):
    (folder / "real").mkdir()
    (folder / "link").symlink_to("real")
    with open_directory(folder, "real"):
        pass
    with pytest.raises(UnsafePath), open_directory(folder, "link"):
        pass
    with pytest.raises(UnsafePath), open_directory(folder, "file"):
        pass


@pytest.mark.needs("a user without rights")
def test_an_unreadable_file_is_a_typed_error(folder):
    (folder / "file").chmod(0)
    with pytest.raises(HubUnavailable, match="permission"):
        open_regular(folder, "file")


@pytest.mark.needs("/proc")
def test_a_failing_disk_is_a_typed_error():
    """Address 0 of a process has no page: the system answers as a broken disk does, by EIO."""
    broken = pytest.raises(HubUnavailable, match="Input/output error")
    with broken as caught, open_regular("/proc/self", "mem") as file, reading("mem"):
        file.read(1)
    assert caught.value.path == "mem"


def test_running_out_of_descriptors_is_a_typed_error(folder, monkeypatch):
    def exhausted(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(paths.os, "open", exhausted)
    with pytest.raises(HubUnavailable, match="Too many open files"):
        open_regular(folder, "file")


@pytest.mark.needs("/proc")
def test_a_refused_file_leaves_no_descriptor_open(folder):
    (folder / "link").hardlink_to(folder / "file")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(UnsafePath):
            open_regular(folder, "file")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_link_swapped_in_at_any_moment_never_wins(folder, tmp_path_factory):
    secret = tmp_path_factory.mktemp("secret") / "secret"
    secret.write_bytes(b"secret")
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            (folder / "next").symlink_to(secret)
            (folder / "next").rename(folder / "file")
            (folder / "next").write_bytes(b"content")
            (folder / "next").rename(folder / "file")

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen, tries, deadline = set(), 0, time.monotonic() + 10
    try:
        while (tries < 2000 or len(seen) < 2) and time.monotonic() < deadline:
            tries += 1
            try:
                seen.add(read_small(folder, "file", 100))
            except UnsafePath:
                seen.add(None)
    finally:
        stop.set()
        swapper.join()
    assert seen == {b"content", None}


def test_a_directory_of_too_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "MAX_FILES", 3)
    for i in range(3):
        (tmp_path / str(i)).touch()
    assert list_names(tmp_path) == ["0", "1", "2"]
    (tmp_path / "3").touch()
    with pytest.raises(LimitExceeded):
        list_names(tmp_path)


def test_a_file_that_was_replaced_after_it_was_opened_is_read_whole(tmp_path, monkeypatch):
    """A tag that moves while it is read is no hard link: its old file has no name any more."""
    (tmp_path / "main.json").write_text("old")
    (tmp_path / "new").write_text("new")
    fstat = os.fstat

    def replaced(descriptor):
        if (tmp_path / "new").exists():
            (tmp_path / "new").replace(tmp_path / "main.json")
        return fstat(descriptor)

    monkeypatch.setattr(paths.os, "fstat", replaced)
    with open_regular(tmp_path, "main.json") as file:
        monkeypatch.undo()
        assert file.read() in (b"old", b"new")
