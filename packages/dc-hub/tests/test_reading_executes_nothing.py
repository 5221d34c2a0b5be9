"""Reading a model's files is reading: an audit hook sees no code run, found or made."""

from __future__ import annotations

import subprocess
import sys
import textwrap

SCRIPT = """
import sys
import numpy as np
from dc_hub.format import values
from dc_hub.errors import HubError
from dc_hub.format.manifest import HashingFile, Manifest, verify_directory
from dc_hub.files.paths import read_small
from dc_hub.format.record import Record, StoredWeight
from dc_hub.format.shards import open_weights, write_weights

def write(directory):
    arrays = {"net.weight": np.ones((2, 3)), "net.mask": np.zeros(3, bool)}
    given = {"sizes": (1, 2), "mean": np.arange(3.0), "rate": np.float32(0.5), "kind": float}
    params = {
        key: values.encode(value, path=key, arrays=arrays, component=lambda obj: None)
        for key, value in given.items()
    }
    record = Record("x/Net", 1, None, params, {"net/0": StoredWeight("net.weight")})
    entries = []
    def create(name):
        file = HashingFile.create(directory, name)
        files.append(file)
        return file
    files = []
    write_weights(create, arrays, shard_size=40)
    with create("params.json") as file:
        file.write(record.to_bytes())
    return Manifest.of(file.entry for file in files).to_bytes()

def read(directory, manifest):
    verify_directory(directory, Manifest.from_bytes(manifest))
    record = Record.from_bytes(read_small(directory, "params.json", 1 << 20))
    with open_weights(directory) as weights:
        arrays = {name: weights[name] for name in weights}
        {name: weights.read(name) for name in weights}
    for key, value in record.params.items():
        values.decode(value, path=key, arrays=arrays, build=None)
    for bad in ({"$exec": "1"}, {"$type": "os.system"}, {"$array": "x"}):
        try:
            values.decode(bad, path="x", arrays={}, build=None)
        except HubError:
            pass

first, second = sys.argv[1:]
manifest = write(first)
read(first, manifest)

seen = []
def watch(event, arguments):
    if event.split(".")[0] in {
        "pickle", "exec", "compile", "import", "marshal", "code", "subprocess", "os.system",
        "ctypes", "socket", "os.exec", "os.posix_spawn", "os.fork",
    } or event in {"os.system", "os.exec", "os.posix_spawn", "os.fork", "function.__new__"}:
        seen.append((event, arguments))

sys.addaudithook(watch)
read(first, manifest)
assert not seen, seen
eval("1")
assert seen
print("nothing executed")
"""


def test_reading_imports_compiles_executes_and_unpickles_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    arguments = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path / "a"), ""]
    run = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert run.stdout == "nothing executed\n", run.stderr
