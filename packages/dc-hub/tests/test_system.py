"""The hub works with what the operating system offers."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dc_hub import errors
from dc_hub.files import system
from dc_hub.files.paths import open_regular
from dc_hub.files.storage import write_atomically, writing
from dc_hub.hubs.staging import Staging

HERE = Path(__file__).parent
SLICE = ("test_hub.py", "test_paths.py", "test_manifest.py", "test_pins.py", "test_system.py")


@pytest.mark.skipif("DC_HUB_TESTS_MASKED" in os.environ, reason="this is that run")
def test_the_hub_works_on_a_system_that_has_no_more_than_windows():
    """``nox -s "tests(dc-hub, masked)"`` runs all the tests so; these are the fast ones."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, *(str(HERE / name) for name in SLICE)],
        env={**os.environ, "DC_HUB_TESTS_MASKED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    assert "this system lacks" in run.stdout


@pytest.mark.skipif("DC_HUB_TESTS_MASKED" not in os.environ, reason="of the masked run")
def test_the_masked_run_has_none_of_what_it_masks():
    assert not any((system.GUARDED, system.OWNERS, system.PROCESSES))
    assert system.others_can_write(HERE.stat())
    assert not system.is_private(HERE.stat())
    assert system.open_folder(HERE) == str(HERE)


def test_reading_at_an_offset_leaves_the_position_and_is_safe_between_threads(tmp_path):
    content = b"".join(i.to_bytes(4, "little") for i in range(50_000))
    (tmp_path / "file").write_bytes(content)
    wrong = []

    def read(file, first):
        for offset in range(first, len(content), 4_000):
            part = bytearray(100)
            count = system.read_into(file.fileno(), memoryview(part), offset)
            if part[:count] != content[offset : offset + 100]:
                wrong.append(offset)

    with open_regular(tmp_path, "file") as file:
        file.seek(7)
        threads = [threading.Thread(target=read, args=(file, 40 * i)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert file.tell() == 7
        assert system.read_at(file.fileno(), 100, len(content) - 3) == content[-3:]
        assert system.read_at(file.fileno(), 100, len(content)) == b""


def test_writing_at_an_offset_leaves_the_position_and_is_safe_between_threads(tmp_path):
    content = os.urandom(200_000)

    def write(file, first):
        for offset in range(first, len(content), 4_000):
            system.write_at(file.fileno(), content[offset : offset + 500], offset)

    with (tmp_path / "file").open("w+b", buffering=0) as file:
        file.write(b"1234567")
        threads = [threading.Thread(target=write, args=(file, 500 * i)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert file.tell() == 7
        system.begin_writing_back(file.fileno(), 0, len(content))
    assert (tmp_path / "file").read_bytes() == content


def test_writing_back_is_advice_that_a_pipe_need_not_take():
    reader, writer = os.pipe()
    system.begin_writing_back(writer, 0, 1)
    os.close(reader)
    os.close(writer)


def busy():
    """Return what Windows raises where another process has the file open."""
    error = PermissionError(13, "The process cannot access the file")
    error.winerror = 32
    return error


def test_a_file_that_another_process_has_open_for_a_moment_is_replaced(tmp_path, monkeypatch):
    refusals = [busy(), busy()]
    replace = Path.replace

    def replace_later(self, target):
        if refusals:
            raise refusals.pop()
        return replace(self, target)

    (tmp_path / "tag").write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", replace_later)
    write_atomically(tmp_path / "tag", b"new")
    assert (tmp_path / "tag").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["tag"]


def test_a_file_that_stays_open_elsewhere_is_a_typed_error(tmp_path, monkeypatch):
    def refuse(self, target):
        raise busy()

    monkeypatch.setattr(system, "_PATIENCE", 0.05)
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(errors.HubError, match="tag"), writing(tmp_path / "tag"):
        write_atomically(tmp_path / "tag", b"new")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_directory_gives_way_to_a_model(tmp_path, monkeypatch):
    """Windows renames no directory onto another, not even onto an empty one."""
    rename = Path.rename

    def rename_like_windows(self, target):
        if target.exists():
            raise FileExistsError(17, "Cannot create a file when that file already exists")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_like_windows)
    (tmp_path / "model").mkdir()
    with Staging(tmp_path) as staging:
        staging.write("params.json", b"{}")
        staging.seal()
        staging.move_to(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "MANIFEST.json",
        "params.json",
    ]
