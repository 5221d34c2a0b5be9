"""What the process that reads a file cannot do, whatever the file makes it try."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from dc_hub.converting import process
from dc_hub.converting.process import reading_apart
from dc_hub.converting.worker import Request
from dc_hub.errors import ConversionError, HubError, LimitExceeded, UnsafePath, UntrustedFile
from dc_hub.files import system

ATTEMPTS = """
import ctypes, json, os, pathlib, resource, signal, socket, subprocess, sys, threading
from dc_hub.converting import confinement
folder, other = map(pathlib.Path, sys.argv[1:3])
file, secret = other / "file", other / "secret"
libc = ctypes.CDLL(None)
number = {{"x86_64": (57, 41, 234), "aarch64": (220, 198, 131)}}.get(os.uname().machine)
parent, nice = os.getppid(), os.getpriority(os.PRIO_PROCESS, os.getppid())
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
if {measure!r} == "audit":
    confinement.refuse_by_audit(folder)
else:
    from dc_hub.converting import linux
    if not linux.restrict_files([file, *confinement._libraries()], folder):
        sys.exit(77)
    if not linux.restrict_calls():
        sys.exit(77)

def attempt(action):
    try:
        return repr(action())
    except (OSError, ValueError) as error:  # ValueError: of a limit that is refused
        return "refused"

def child():
    if os.fork() == 0:
        os._exit(0)

def signal_parent():
    if libc.syscall(number[2], parent, parent, 0) != 0:
        raise PermissionError

def through_libc():
    return libc.syscall(number[1], 2, 1, 0) if libc.syscall(number[0], 0) != 0 else "a child"

actions = {{
    "read": lambda: file.read_bytes(),
    "write inside": lambda: (folder / "made").write_bytes(b"x"),
    "write outside": lambda: (other / "made").write_bytes(b"x"),
    "remove": lambda: secret.unlink(),
    "rename out": lambda: (folder / "made").rename(other / "moved"),
    "make a directory": lambda: (other / "new").mkdir(),
    "link out": lambda: os.symlink(secret, other / "link"),
    "system": lambda: os.system(f"touch {{other}}/system"),
    "subprocess": lambda: subprocess.run(["/bin/true"]).returncode,
    "fork": child,
    "socket": lambda: socket.socket(),
    "kill": lambda: os.kill(os.getppid(), 0),
}}
if {measure!r} == "linux":
    actions["read others"] = lambda: secret.read_bytes()
    actions["exec"] = lambda: os.execv("/bin/true", ["true"])
    actions["through libc"] = through_libc
    actions["signal a thread of another"] = signal_parent
    actions["limit another"] = lambda: resource.prlimit(parent, resource.RLIMIT_CORE, (0, 0))
    actions["slow another"] = lambda: os.setpriority(os.PRIO_PROCESS, parent, nice)
    actions["pin another"] = lambda: os.sched_setaffinity(parent, {{0}})
    actions["empty what is read"] = lambda: os.open(file, os.O_RDONLY | os.O_TRUNC)
    for path in (file, secret):
        actions[f"mode of {{path.name}}"] = lambda path=path: path.chmod(0o777)
        actions[f"times of {{path.name}}"] = lambda path=path: os.utime(path)
        actions[f"owner of {{path.name}}"] = lambda path=path: os.chown(path, -1, os.getgid())
        actions[f"attribute of {{path.name}}"] = lambda path=path: os.setxattr(path, "user.a", b"")
        actions[f"length of {{path.name}}"] = lambda path=path: os.truncate(path, 0)
    actions["root's privileges"] = lambda: os.chroot(folder)
    actions["raise own limit"] = lambda: resource.setrlimit(resource.RLIMIT_CORE, (9, 9))
    resource.getrlimit(resource.RLIMIT_AS)
    signal.pthread_kill(threading.get_ident(), 0)
    threading.Thread(target=lambda: None).start()
else:
    actions["ctypes"] = lambda: ctypes.CDLL(None)
print(json.dumps({{name: attempt(action) for name, action in actions.items()}}))
"""


def tried(measure, tmp_path):
    folder, other = tmp_path / "folder", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    for name in ("file", "secret"):
        (other / name).write_bytes(b"content")
    script = textwrap.dedent(ATTEMPTS.format(measure=measure))
    run = subprocess.run(
        [sys.executable, "-c", script, str(folder), str(other)],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode == 77:
        pytest.skip("this system has no Landlock or no seccomp")
    assert run.returncode == 0, run.stderr
    assert sorted(path.name for path in other.iterdir()) == ["file", "secret"]
    return json.loads(run.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's")
def test_linux_refuses_programs_processes_sockets_and_other_files_to_a_confined_process(tmp_path):
    results = tried("linux", tmp_path)
    assert results.pop("read") == repr(b"content")
    assert results.pop("write inside") == "1"
    # The C library's system() returns a status where it could not start a process.
    assert results.pop("system") not in ("0", "refused")
    assert results.pop("through libc") == "-1"
    allowed = {name: result for name, result in results.items() if result != "refused"}
    assert allowed == {}


@pytest.mark.needs("fork")
def test_the_audit_hook_refuses_programs_sockets_ctypes_and_changes_of_other_files(tmp_path):
    results = tried("audit", tmp_path)
    assert results.pop("read") == repr(b"content")
    assert results.pop("write inside") == "1"
    assert set(results.values()) == {"refused"}, results


@pytest.mark.needs("resource limits")
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("bytearray(1 << 34)", "MemoryError"),
        ("while True: pass", "signal 24"),
        ("open('big', 'wb').write(bytes(1 << 21))", "File too large"),
    ],
    ids=["memory", "time", "file size"],
)
def test_memory_time_and_the_size_of_files_are_limited(code, message, tmp_path):
    script = (
        "from dc_hub.converting.confinement import limit_resources\n"
        f"limit_resources(memory=1 << 32, seconds=1, file_size=1 << 20)\n{code}"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode != 0
    assert message in run.stderr + f"signal {-run.returncode}"


@pytest.mark.needs("resource limits")
@pytest.mark.parametrize("name", ["SIGXCPU", "SIGKILL"])
def test_a_process_that_a_limit_has_ended_is_said_to_have_exceeded_it(leaving, name):
    with pytest.raises(LimitExceeded, match="too much time or memory"):
        leaving(f"import os, signal; os.kill(os.getpid(), signal.{name})")


def request(file="file"):
    return Request(
        file=str(file),
        kind="",
        trusted=False,
        rename={},
        omit=(),
        memory=1 << 33,
        seconds=60,
        file_size=1 << 24,
    )


@pytest.fixture
def leaving(monkeypatch):
    """Return a function that lets another program stand in for the reader, and reads its result."""

    def leave(code):
        monkeypatch.setattr(process, "_PROGRAM", code)
        with reading_apart(request(), 20) as (report, _):
            return report

    return leave


REPORT = {
    "kind": "torch",
    "recognized": "a",
    "what": "b",
    "facts": {},
    "omitted": {},
    "versions": {},
    "confined_by": [],
}


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("", ConversionError),
        ("import os; os.abort()", ConversionError),
        ("open('report.json', 'w').write('{')", ConversionError),
        ("open('report.json', 'w').write('[]')", ConversionError),
        ("open('report.json', 'w').write('{\"error\": \"SystemExit\"}')", ConversionError),
        ("open('report.json', 'w').write('{\"error\": \"UntrustedFile\"}')", UntrustedFile),
        ("open('report.json', 'w').write('a' * (1 << 21))", LimitExceeded),
        ("import os; os.symlink('/etc/passwd', 'report.json')", UnsafePath),
        ("import os; os.mkdir('report.json')", HubError),
    ],
)
def test_a_report_that_is_missing_or_malformed_is_a_typed_error(leaving, code, error):
    with pytest.raises(error) as caught:
        leaving(code)
    assert isinstance(caught.value, HubError)


@pytest.mark.needs("open directories")
def test_what_a_process_leaves_is_removed_however_deep_it_is_nested(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    deep = "import os\nfor i in range(1200): os.mkdir('d'); os.chdir('d')\nopen('f', 'w').close()"
    monkeypatch.setattr(process, "_PROGRAM", deep)
    with pytest.raises(ConversionError), reading_apart(request(), 60):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.needs("resource limits")
def test_what_a_process_complains_is_read_at_its_end_alone(leaving):
    with pytest.raises(ConversionError) as caught:
        leaving("import os; os.lseek(2, 1 << 40, 0); os.write(2, b'x' * 9999 + b'\\nthe end')")
    assert caught.value.args[0].endswith("the end.")
    assert len(caught.value.args[0]) < 1_000


def test_a_request_may_be_longer_than_a_command_line(monkeypatch):
    asked = dataclasses.replace(request(), rename={f"layer.{i}.": "x" * 90 for i in range(30_000)})
    code = (
        "import json, sys; print(len(json.loads(sys.stdin.readline())['rename']), file=sys.stderr)"
    )
    monkeypatch.setattr(process, "_PROGRAM", code)
    with pytest.raises(ConversionError, match="30000"), reading_apart(asked, 60):
        pass


@pytest.mark.needs("FIFOs")
def test_a_pipe_in_the_place_of_the_report_is_not_waited_for(leaving):
    with pytest.raises(UnsafePath):
        leaving("import os; os.mkfifo('report.json')")


@pytest.mark.parametrize("change", [{"kind": 1}, {"facts": []}, {"omitted": {"a": 1}}])
def test_a_report_of_another_form_is_a_typed_error(leaving, change):
    text = json.dumps(REPORT | change)
    with pytest.raises(ConversionError, match="malformed"):
        leaving(f"open('report.json', 'w').write({text!r})")


def test_a_model_directory_that_leads_elsewhere_or_is_damaged_is_a_typed_error(
    leaving, linear, tmp_path
):
    from dc_hub import save

    save(linear, tmp_path / "elsewhere")
    report = f"open('report.json', 'w').write({json.dumps(REPORT)!r}); import os, shutil; "
    with pytest.raises(ConversionError, match="Nothing was read"):
        leaving(report)
    with pytest.raises(UnsafePath):
        leaving(f"{report}os.symlink({str(tmp_path / 'elsewhere')!r}, 'model')")
    copy = f"{report}shutil.copytree({str(tmp_path / 'elsewhere')!r}, 'model'); "
    assert leaving(copy).kind == "torch"
    for damage in (
        "open('model/model.safetensors', 'ab').write(b'x')",
        "os.remove('model/MANIFEST.json')",
        "open('model/surplus', 'w').close()",
    ):
        with pytest.raises(HubError):
            leaving(copy + damage)


def test_a_process_that_does_not_end_is_killed_with_its_children(monkeypatch, tmp_path):
    marker = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(3); pathlib.Path({str(marker)!r}).touch()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    monkeypatch.setattr(process, "_PROGRAM", code)
    with pytest.raises(LimitExceeded, match="more than 1 s"), reading_apart(request(), 1):
        pass
    if system.PROCESSES:
        time.sleep(3)
        assert not marker.exists()


@pytest.mark.needs("process numbers")
@pytest.mark.parametrize(
    "killed",
    [
        pytest.param(
            True,
            marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux alone does this"),
            id="by the system",
        ),
        pytest.param(False, id="at the end of its pipe"),
    ],
)
def test_a_reader_ends_with_the_process_that_started_it(tmp_path, killed):
    """The reader sleeps without end, in a converter of its own."""
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "dc_sleeping.py").write_text(
        "import os, pathlib, time\n"
        "def sleep(*arguments, **options):\n"
        "    pathlib.Path('process').write_text(str(os.getpid()))\n"
        "    time.sleep(60)\n"
    )
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import dc_sleeping
from dc_hub.converting import worker{"" if killed else ", linux"}
worker.recognize = dc_sleeping.sleep
{"worker.threading.Thread.start = lambda self: None" if killed else ""}
{"" if killed else "linux.die_with_parent = lambda: None"}
worker.main(sys.stdin.readline())
"""
    parent = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import tempfile
tempfile.tempdir = {str(tmp_path)!r}
from dc_hub.converting import process
from dc_hub.converting.worker import Request
process._PROGRAM = {program!r}
request = Request({str(tmp_path / "file")!r}, "", False, {{}}, (), 1 << 33, 60, 1 << 24)
with process.reading_apart(request, 60):
    pass
"""
    with subprocess.Popen([sys.executable, "-c", parent]) as process:
        try:
            (found,) = wait_for(lambda: list(tmp_path.glob("dc-hub-*/process")))
            reader = int(wait_for(found.read_text))
            assert not system.process_is_dead(reader)
        finally:
            process.kill()
        process.wait()
        wait_for(lambda: system.process_is_dead(reader))


def wait_for(what):
    """Return what ``what`` returns, once it is true."""
    deadline = time.monotonic() + 30
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_the_environment_of_the_program_is_not_passed_on(monkeypatch, tmp_path):
    monkeypatch.setenv("DC_TEST_SECRET", "secret")
    out = tmp_path / "environment"
    code = f"import json, os; open({str(out)!r}, 'w').write(json.dumps(dict(os.environ)))"
    monkeypatch.setattr(process, "_PROGRAM", code)
    with pytest.raises(ConversionError), reading_apart(request(), 20):
        pass
    found = json.loads(out.read_text())
    assert "DC_TEST_SECRET" not in found
    assert found["HOME"] != str(Path.home())
