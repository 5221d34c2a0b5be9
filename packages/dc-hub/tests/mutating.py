"""Changes to a model's files that nobody planned; as a program, what a loader makes of them.

    mutating.py <empty directory> <seed> <how many>

saves a model, changes one file of it again and again, and uses what is there, under a limit on
memory. Anything but a typed error ends it with a traceback and the change that caused it.
"""

import json
import re
import resource
import runpy
import shutil
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from dc_core import Component, Estimator, register_component, register_model
from dc_core.errors import DCError
from dc_hub import Golden, HubError, check_golden, info, load, save, verify
from dc_hub.format.filenames import MANIFEST

ROOM = 128 << 20
"""How many bytes may be in use beyond those of the program itself."""

SLOWEST = 2.0
"""Seconds of the processor that one call may take; it takes some milliseconds."""

TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[-+.\w]+|[][{}:,]')
HOSTILE = (
    b"null true -1 0 1 1.5 1e999 NaN 9007199254740993 1000000000000 4611686018427387904"
    b' [] {} [[[]]] "" "x" "../x" "__class__" "\\ud800" "\\u0000" "F64" "BF16" "BOOL" "bool"'
    b' "float8_e4m3fn" "mutated/Net" "mutated/Part" "os.system" "local/Net" "torch/X" "numpy"'
    b' {"$tuple":[1]} {"$array":"params.mean"} {"$array":"part.gain.0"} {"$exec":"1"}'
    b' {"$int":"1000000000000000000"} {"$dict":[[1,2]]} {"$bytes":"AA=="} {"$type":"numpy.bool"}'
).split(b" ")
PARSED = [json.loads(text) for text in HOSTILE if text not in (b"1e999", b"NaN", b'"\\ud800"')]
CODES = [
    *(("BOOL", 1), ("U8", 1), ("F8_E4M3", 1), ("F8_E8M0", 1), ("F16", 2), ("BF16", 2)),
    *(("I32", 4), ("F32", 4), ("F64", 8), ("C64", 8), ("U64", 8)),
]


def mutations(data, count, seed):
    """Yield copies of ``data``, a weights file, with bytes changed in its header and after it."""
    rng = np.random.default_rng(seed)
    header = 8 + int.from_bytes(data[:8], "little")
    for _ in range(count):
        yield scrambled(data, min(len(data), header + 16), rng)


def scrambled(data, most, rng):
    """Return ``data`` with one to three changes among the first ``most`` bytes."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(0, min(len(changed), most)))
        match rng.integers(5):
            case 0:
                changed[place] ^= 1 << int(rng.integers(8))
            case 1:
                changed[place] = int(rng.integers(256))
            case 2:
                del changed[place : place + int(rng.integers(1, 9))]
            case 3:
                changed[place:place] = rng.bytes(int(rng.integers(1, 9)))
            case _:
                other = int(rng.integers(0, len(changed)))
                changed[place : place + 8] = changed[other : other + 8]
        if len(changed) < 9:
            break
    return bytes(changed)


def reworded(text, rng):
    """Return JSON with one of its tokens replaced, removed, repeated or exchanged."""
    tokens = [match.span() for match in TOKEN.finditer(text)]
    (a, b), (c, d) = (tokens[rng.integers(len(tokens))] for _ in range(2))
    new = (HOSTILE[rng.integers(len(HOSTILE))], b"", text[a:b] * 2, text[c:d])
    return text[:a] + new[rng.integers(4)] + text[b:]


def restructured(text, rng):
    """Return JSON in which one value is another, or is gone, or has another key."""
    whole = json.loads(text)
    places = list(_places(whole))
    holder, key = places[rng.integers(len(places))]
    other, name = places[rng.integers(len(places))]
    match rng.integers(5):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[str(name)] = holder.pop(key)
        case 2:
            holder[key] = json.loads(json.dumps(other[name]))
        case _:
            holder[key] = PARSED[rng.integers(len(PARSED))]
    return json.dumps(whole).encode()


def _places(value):
    """Yield every container of JSON with each of its keys or indices."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def reinterpreted(text, rng):
    """Return a header in which one tensor has another name, or reads its bytes differently."""
    header = json.loads(text)
    names = [name for name in header if name != "__metadata__"]
    name, other = (names[rng.integers(len(names))] for _ in range(2))
    begin, end = header[name]["data_offsets"]
    match rng.integers(3):
        case 0:
            header[name], header[other] = header[other], header[name]
        case 1:
            header[f"{other}{rng.integers(9)}"] = header.pop(name)
        case _:
            dtype, size = CODES[rng.integers(len(CODES))]
            shapes = [
                [(end - begin) // size],
                [1, (end - begin) // size],
                [(end - begin) // size, 1],
            ]
            shapes += [[]] if end - begin == size else []
            header[name] |= {"dtype": dtype, "shape": shapes[rng.integers(len(shapes))]}
    return json.dumps(header).encode()


def mutated(name, data, rng):
    """Return the content ``data`` of the file ``name`` after a change."""
    kind = rng.random()
    if kind < 0.2:
        return scrambled(data, len(data), rng)
    if not name.endswith(".safetensors"):
        return (reworded if kind < 0.35 else restructured)(data, rng)
    end = 8 + int.from_bytes(data[:8], "little")
    change = reworded if kind < 0.3 else restructured if kind < 0.5 else reinterpreted
    if kind > 0.9:
        return data[:end] + rng.bytes(len(data) - end)
    header = change(data[8:end], rng)
    return len(header).to_bytes(8, "little") + header + data[end:]


@register_component("mutated/Part")
class Part(Component):
    fitted = ("gain",)

    def __init__(self, sizes=(1, 2), rate=0.5):
        self.gain = np.ones(4, np.float16)


@register_model("mutated/Net")
class Net(Estimator):
    fitted = ("coefficients", "mask")

    def __init__(self, part=None, mean=None, table=None):
        self.coefficients, self.mask = np.arange(12.0).reshape(3, 4), np.ones(3, bool)

    def fit(self, dataset):
        return self

    def predict(self, dataset):
        return np.zeros(len(dataset)) + self.coefficients.sum()

    def get_training_state(self):
        return {"step": np.array(3), "moments": np.ones((2, 2), np.float32)}

    def set_training_state(self, state):
        self.state = dict(state)


def main(directory, seed, count):
    seal = runpy.run_path(str(Path(__file__).with_name("conftest.py")))["seal"]
    rng = np.random.default_rng(seed)
    table = {1: b"x", "t": (np.float32(0.5), 2**70, float), "f": [float("nan"), 1j]}
    model = Net(Part(), np.arange(3), table)
    whole = directory / "whole"
    golden = Golden(["CCO", "N"]) if seed % 2 else np.ones((2, 3))
    save(model, whole, golden=golden, training=True, shard_size=64 if seed % 4 < 2 else 1 << 20)
    names = sorted(file.name for file in whole.iterdir() if file.suffix != ".md")
    uses = (verify, info, check_golden, lambda path: load(path, cls=Net, training=True))
    for use in uses:
        use(whole)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    refused = 0
    for _ in range(count):
        shutil.copytree(whole, directory / "changed")
        name = names[rng.integers(len(names))]
        file = directory / "changed" / name
        content = mutated(name, file.read_bytes(), rng)
        file.write_bytes(content)
        if name != MANIFEST and rng.random() < 0.9:
            seal(file.parent)
        errors = 0
        for use in uses:
            started = time.process_time()
            try:
                use(file.parent)
            except (HubError, DCError):
                errors += 1
            except BaseException:
                print(f"{name} became {content!r}", file=sys.stderr)
                raise
            seconds = time.process_time() - started
            if seconds > SLOWEST:
                raise SystemExit(f"{seconds:.1f} s for {name}, which became {content!r}")
        refused += errors > 0
        shutil.rmtree(file.parent)
    print(f"{refused} of {count} refused")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
