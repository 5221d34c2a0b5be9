"""Feed every parser of the format with changed files; as a program.

    fuzzing.py [--executions N] [--seed S] [--only KINDS] [--coverage] [--faults FOLDER]

The seeds are the files of the corpus and what the library writes. Each execution changes one file
and reads it, in this process, under limits on memory and time. Anything but a typed error, and
anything accepted that does not come back the same when it is written again, is a fault: the input
goes to FOLDER, and the program ends with 1. With --coverage atheris chooses the changes (it has to
be installed, and runs one kind: --only).
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import runpy
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOM = 128 << 20
"""How many bytes of address space may be in use beyond those of the program itself."""

SECONDS = 2.0
"""Seconds of the processor that one execution may take; most take some microseconds."""

LARGEST = 4096
"""Seeds have at most so many bytes, so that a change meets something."""

Reader = Callable[[bytes], object]


class Slow(BaseException):
    """An execution took too long."""


def readers(folder: Path) -> dict[str, Reader]:
    """Return what reads each kind of file, and raises if it finds something inconsistent."""
    from dc_hub.files.paths import read_all
    from dc_hub.format import values
    from dc_hub.format.golden import read_golden
    from dc_hub.format.manifest import Manifest
    from dc_hub.format.record import Record
    from dc_hub.format.shards import open_weights
    from dc_hub.format.signatures import parse_signatures, signature_bytes
    from dc_hub.format.tar import TarReader
    from dc_hub.format.tensors import TensorFile, write_tensors
    from dc_hub.hubs.contract import read_tag
    from dc_hub.hubs.index import parse_index
    from dc_hub.hubs.pins import read_lock

    shards = {f.name: f.read_bytes() for f in (HERE / "corpus/models/valid").glob("*.safetensors*")}
    index = "model.safetensors.index.json"

    def tensors(data: bytes) -> dict[str, Any]:
        with TensorFile(io.BytesIO(data), what="x.safetensors") as file:
            return {name: file.read(name) for name in file}

    def weights(data: bytes) -> None:
        read = tensors(data)
        if sum(array.nbytes for array in read.values()) > len(data):
            raise AssertionError("more bytes were read than there are")
        again = io.BytesIO()
        write_tensors(again, read)
        back = tensors(again.getvalue())
        if any(back[name].tobytes() != array.tobytes() for name, array in read.items()):
            raise AssertionError("what was read comes back otherwise")

    def refuse(kind: str, body: Any, path: str) -> Any:
        from dc_hub.errors import UnknownClass

        raise UnknownClass(f"{path}: no class", path=path)

    arrays = {"w": np.ones(3), "params.x": np.zeros((2, 2))}

    def params(data: bytes) -> None:
        record = Record.from_bytes(data, what="params.json")
        if Record.from_bytes(record.to_bytes()) != record:
            raise AssertionError("the record comes back otherwise")
        for name, value in record.params.items():
            values.decode(value, path=name, arrays=arrays, build=refuse)

    def manifest(data: bytes) -> None:
        if Manifest.from_bytes(data).to_bytes() != data:
            raise AssertionError("the manifest is not canonical")

    def sharded(data: bytes) -> None:
        files = {**shards, index: data}
        with open_weights(
            "there", names=files.keys(), open_file=lambda name: io.BytesIO(files[name])
        ) as opened:
            for name in opened:
                opened.read(name)

    def signatures(data: bytes) -> None:
        read = parse_signatures(data)
        if parse_signatures(signature_bytes(read)) != read:
            raise AssertionError("the signatures come back otherwise")

    def bundle(data: bytes) -> None:
        tar = TarReader(io.BytesIO(data), "site.tar")
        while tar.next() is not None:
            tar.read(1 << 16)

    def pins(data: bytes) -> None:
        (folder / "dchub.lock").write_bytes(data)
        read_lock(folder / "dchub.lock")

    def small(data: bytes) -> None:
        read_tag(read_all(io.BytesIO(data), 4096, "main.json"), "main", "main.json")

    return {
        "weights": weights,
        "params": params,
        "manifest": manifest,
        "tag": small,
        "index": lambda data: parse_index(data, "index.json"),
        "shards": sharded,
        "golden": lambda data: read_golden(tensors(data), "golden"),
        "signatures": signatures,
        "bundle": bundle,
        "pins": pins,
    }


def seeds() -> dict[str, list[bytes]]:
    """Return files of each kind to begin with."""
    from dc_hub.format.signatures import Signature, signature_bytes
    from dc_hub.format.tar import Member, ending, header, padding
    from dc_hub.format.tensors import write_tensors

    found: dict[str, list[bytes]] = {}
    for case in json.loads((HERE / "corpus/cases.json").read_bytes())["cases"]:
        if case.get("size", LARGEST + 1) <= LARGEST and "file" in case:
            data = (HERE / "corpus" / case["file"]).read_bytes()
            # What is valid is changed as often as all that is not.
            often = 20 if case["reader"] == "accept" else 1
            found.setdefault(case["kind"], []).extend([data] * often)
    valid = HERE / "corpus/models/valid"
    found["params"] += [(valid / "params.json").read_bytes()] * 20
    found["manifest"] += [(valid / "MANIFEST.json").read_bytes()] * 20
    found["shards"] = [(valid / "model.safetensors.index.json").read_bytes()]
    rows = {"outputs": np.ones((2, 1)), "tolerance": np.array([0.1, 0.2])}
    text = {"inputs.utf8": np.frombuffer(b"CCON", np.uint8), "inputs.offsets": np.array([0, 3, 4])}
    found["golden"] = []
    for tensors in ({**rows, "inputs": np.zeros((2, 3))}, {**rows, **text, "measured": np.ones(2)}):
        file = io.BytesIO()
        write_tensors(file, tensors)
        found["golden"].append(file.getvalue())
    made = [Signature(digit * 64, bytes(64)) for digit in "ab"]
    found["signatures"] = [signature_bytes(made), signature_bytes(made[:1])]
    archive = b""
    for name, data in (("index.json", b"{}"), ("a" * 120 + "/b", b"x" * 600)):
        archive += header(Member(name, len(data))) + data + padding(len(data))
    found["bundle"] = [archive + ending(len(archive)), ending(0)]
    pin = {"revision": "0" * 64, "tag": "main", "hub": "https://hub.example", "size": 7}
    found["pins"] = [
        json.dumps({"models": {"lab/net": "0" * 64}}).encode(),
        json.dumps({"format": "dc-lock", "format_version": [1, 0], "models": {"a": pin}}).encode(),
    ]
    return found


class Random:
    """What the changes ask of NumPy's generators, faster for single numbers."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.random = self._random.random
        self.bytes = self._random.randbytes

    def integers(self, low: int, high: int | None = None) -> int:
        return self._random.randrange(low) if high is None else self._random.randrange(low, high)


def changer(seed: int) -> Callable[[str, bytes], bytes]:
    """Return a function that changes a file of a kind."""
    changes = runpy.run_path(str(HERE / "mutating.py"), run_name="mutating")
    rng: Any = Random(seed)

    def change(kind: str, data: bytes) -> bytes:
        name = "x.safetensors" if kind in ("weights", "golden") else "x.json"
        if kind == "bundle":
            return bytes(changes["scrambled"](data, len(data), rng)) if data else b""
        try:
            new = bytes(changes["mutated"](name, data, rng))
            if name == "x.json" and rng.random() < 0.5:  # as it must be written, where it must
                text = json.dumps(json.loads(new), indent=2, sort_keys=True, ensure_ascii=False)
                new = text.encode() + b"\n"
        except (
            ValueError,
            IndexError,
            KeyError,
            TypeError,
            AttributeError,
            ArithmeticError,
            RecursionError,
        ):
            if not data:
                return rng.bytes(rng.integers(1, 64))
            new = bytes(changes["scrambled"](data, len(data), rng))
        return new

    return change


def limit() -> None:
    """Bound the address space from here on, and raise in an execution that takes too long."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))

    def late(*_: Any) -> None:
        raise Slow

    signal.signal(signal.SIGPROF, late)


def run(options: argparse.Namespace, folder: Path) -> int:
    """Run the executions, print what came of them, and return 1 if there was a fault."""
    from dc_core.errors import DCError

    read, found, change = readers(folder), seeds(), changer(options.seed)
    kinds = [kind for kind in read if not options.only or kind in options.only.split(",")]
    for kind in kinds:
        for data in found[kind]:
            attempt(read[kind], data, DCError)
    limit()
    rng = random.Random(options.seed)
    counts: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    faults = 0
    started = time.process_time()
    for number in range(options.executions):
        kind = kinds[number % len(kinds)]
        data = change(kind, rng.choice(found[kind]))
        while rng.random() < 0.3:  # some are changed more than once
            data = change(kind, data)
        counts[kind] += 1
        fault = attempt(read[kind], data, DCError)
        accepted[kind] += fault is None
        if fault:
            faults += 1
            name = f"{kind}-{options.seed}-{number}"
            print(f"{name}: {fault}\n{data[:2000]!r}")
            if options.faults:
                options.faults.mkdir(parents=True, exist_ok=True)
                (options.faults / name).write_bytes(data)
            if faults == 20:
                break
    seconds = time.process_time() - started
    told = ", ".join(f"{kind} {counts[kind]} ({accepted[kind]} accepted)" for kind in kinds)
    print(f"{sum(counts.values())} executions in {seconds:.0f} s of the processor: {told}")
    print(f"{faults} faults")
    return 1 if faults else 0


def attempt(read: Reader, data: bytes, typed: type[Exception]) -> str | None:
    """Read ``data``; return None if it was accepted, "" if it was refused, or what went wrong."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        read(data)
    except typed:
        return ""
    except (Exception, Slow):  # noqa: BLE001 - it is reported
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def covered(options: argparse.Namespace, folder: Path) -> int:
    """Let atheris choose the changes, by the lines that they reach."""
    import atheris

    with atheris.instrument_imports(include=["dc_hub.format", "dc_hub.hubs"]):
        reader = readers(folder)[options.only]
    from dc_core.errors import DCError

    seeded = folder / "seeds"
    seeded.mkdir()
    for number, data in enumerate(set(seeds()[options.only])):
        (seeded / str(number)).write_bytes(data)

    def once(data: bytes) -> None:
        with suppress(DCError):
            reader(data)

    flags = [f"-runs={options.executions}", f"-seed={options.seed + 1}", "-max_len=8192"]
    flags += ["-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1", "-verbosity=0"]
    if options.faults:
        options.faults.mkdir(parents=True, exist_ok=True)
        flags.append(f"-artifact_prefix={options.faults}/")
    atheris.Setup([sys.argv[0], *flags, str(seeded)], once)
    atheris.Fuzz()
    return 0


def main() -> int:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds of files, with commas")
    parser.add_argument("--coverage", action="store_true", help="let atheris choose the changes")
    parser.add_argument("--faults", type=Path, help="where the inputs that are faults go")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        return (covered if options.coverage else run)(options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
