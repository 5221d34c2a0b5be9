"""Changes to what a stored model says: to a number, a shape, a name, an argument, a part.

The model is plain data here: ``params``, the parsed params.json, and ``arrays``, the tensors by
native name. Every change is one that a careful attacker could make: names in params.json and in the
weights file stay consistent, and the manifest is written again afterwards.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]

INTEGERS = (0, -1, 1, 2, 3, 7, 255, 2**16 - 1, 2**31 - 1, 2**31, 2**53, 2**62, 2**63 - 1, -(2**63))
FLOATS = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-320, 5e-324, 1e308, -1e308, 1e19, 2.0**53),
    *(float("nan"), float("inf"), float("-inf")),
)
SHAPES = ((), (0,), (1,), (2,), (3,), (1, 1), (2, 2), (0, 3), (3, 0), (2**40, 0), (0, 2**31))
DTYPES = ("?", "u1", "i1", "i4", "i8", "u8", "f2", "f4", "f8", "c8")
WORDS = (
    *("", "auto", "drop", "passthrough", "precomputed", "brute", "kd_tree", "ball_tree", "zero"),
    *("minkowski", "mahalanobis", "haversine", "callable", "os.system", "predict", "predict_proba"),
    *("decision_function", "multiclass", "binary", "multilabel-indicator", "softmax", "identity"),
    *("logistic", "relu", "linear", "rbf", "poly", "sigmoid", "uniform", "distance", "onehot"),
    *("prior", "constant", "stratified", "most_frequent", "mean", "median", "default", "pandas"),
    *("ovo", "ovr", "full", "tied", "diag", "spherical", "cd", "mu", "lars", "threshold", "huber"),
    *("frobenius", "itakura-saito", "kullback-leibler", "<U9", "O", "x" * 1000, "\u202e\0"),
)
KINDS = ("none", "float", "str", "list", "tuple", "dict", "objects", "slice", "text", "fortran")


def mutate(
    params: dict[str, Any], arrays: Arrays, donor: tuple[dict[str, Any], Arrays], rng: Any
) -> list[str]:
    """Change the model in place, one to three times, and return what was done."""
    done = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        change = _CHANGES[int(rng.choice(len(_CHANGES), p=_WEIGHTS))]
        done.append(change(params, arrays, donor, rng) or "nothing")
    return done


def _pick(rng: Any, items: Any) -> Any:
    return items[int(rng.integers(len(items)))]


def _one_number(params: Any, arrays: Arrays, donor: Any, rng: Any) -> str | None:
    """Change one element, or a few of them, or all."""
    names = [name for name in sorted(arrays) if arrays[name].size]
    if not names:
        return None
    name = _pick(rng, names)
    array = arrays[name].copy()
    flat = array.reshape(-1)
    index = int(rng.integers(len(flat)))
    where = slice(None) if rng.random() < 0.1 else index
    old = flat[index]
    kind = array.dtype.kind
    if kind == "b":
        new = not old
    elif kind in "iu":
        limits = np.iinfo(array.dtype)
        around = (int(old) - 1, int(old) + 1, -int(old), int(old) ^ 1)
        new = _pick(rng, (*INTEGERS, *around, *around))
        new = min(max(new, limits.min), limits.max)
    elif kind == "f":
        new = _pick(rng, (*FLOATS, -old, old + 1, old * 2, np.nextafter(old, 0), 1 / (old or 1)))
    else:
        new = _pick(rng, FLOATS)
    with np.errstate(all="ignore"):
        flat[where] = new
    arrays[name] = array
    return f"{name}[{where}] = {new}"


def _word(params: Any, arrays: Arrays, donor: Any, rng: Any) -> str | None:
    """Replace a stored string."""
    names = [name for name in sorted(arrays) if name.endswith((".str", ".dtype", ".text"))]
    if not names:
        return _one_number(params, arrays, donor, rng)
    name, word = _pick(rng, names), _pick(rng, WORDS)
    arrays[name] = np.frombuffer(word.encode() or b"\xff", np.uint8).copy()
    return f"{name} = {word[:20]!r}"


def _shape(params: Any, arrays: Arrays, donor: Any, rng: Any) -> str:
    """Change the shape, the dtype, the length or the order of an array."""
    name = _pick(rng, sorted(arrays))
    array = arrays[name]
    with np.errstate(all="ignore"):
        match int(rng.integers(11)):
            case 0:
                shape = _pick(rng, SHAPES)
                new = np.resize(array, shape) if array.size and 0 not in shape else None
                new = np.zeros(shape, array.dtype) if new is None else new
            case 1:
                new = array.astype(_pick(rng, DTYPES))
            case 2:
                new = array[:-1] if array.ndim else array.reshape(1)
            case 3:
                new = np.concatenate([array, array[-1:]]) if array.ndim else array.reshape(1, 1)
            case 4:
                new = rng.permutation(array) if array.ndim and array.size else array
            case 5:
                new = array.T if array.ndim > 1 else array[..., None]
            case 6:
                new = array[..., :-1] if array.ndim else array
            case 7:
                new = array[::-1] if array.ndim else array
            case 8:
                length = len(array) if array.ndim else 0
                repeated = np.sort(rng.integers(0, max(length, 1), length))
                new = array[repeated] if array.ndim else array
            case 9:
                new = array.copy()
                new.reshape(-1)[array.size // 2 - 1 :][:1] = _EXTREMES.get(array.dtype.kind, 0)
            case _:
                new = array.reshape(-1)
    arrays[name] = np.array(new, order="C")
    return f"{name}: {array.dtype}{array.shape} -> {new.dtype}{new.shape}"


_EXTREMES = {"f": np.nan, "c": np.nan, "i": -1, "u": 255, "b": True}
"""What an element in the middle becomes, by the kind of dtype: it breaks a rising order."""


def _swap(params: Any, arrays: Arrays, donor: Any, rng: Any) -> str:
    """Exchange two arrays, or take that of another model."""
    name = _pick(rng, sorted(arrays))
    theirs = donor[1]
    same = [n for n in sorted(theirs) if n.rpartition(".")[2] == name.rpartition(".")[2]]
    if same and rng.random() < 0.5:
        arrays[name] = theirs[_pick(rng, same)].copy()
        return f"{name} from another model"
    other = _pick(rng, sorted(arrays))
    arrays[name], arrays[other] = arrays[other], arrays[name]
    return f"{name} <-> {other}"


def _names(params: Any, arrays: Arrays, donor: Any, rng: Any) -> str:
    """Drop, add or rename a weight, in both files; the number of attributes follows, mostly."""
    weights = params["weights"]
    canonical = _pick(rng, sorted(weights))
    native = weights[canonical]["native"]
    counts = [n for n in arrays if n.rpartition(".")[2] == "attributes"]
    count, step = (_pick(rng, counts) if counts else None), 0
    match int(rng.integers(4)):
        case 0:
            del weights[canonical], arrays[native]
            step, done = -1, f"without {native}"
        case 1:
            stem = native.rpartition(".")[0]
            word = _pick(rng, ("n_iter_", "extra_", "_private", "random_state", "__class__", "fit"))
            new = f"{stem}.{word}" if stem else word
            path = f"{canonical.partition('/')[0]}/{new.replace('.', '/')}/0"
            weights[path] = {"aliases": [], "native": new}
            arrays[new] = np.zeros(_pick(rng, SHAPES[:6]))
            step, done = 1, f"with {new}"
        case 2:
            kind = _pick(rng, KINDS)
            path = canonical.removesuffix("/0")
            last = path.rpartition("/")[2]
            path = path.rpartition("/")[0] if last in KINDS else f"{path}/{kind}"
            new = path.partition("/")[2].replace("/", ".")
            if not new:
                return "nothing"
            array = arrays.pop(native)
            del weights[canonical]
            weights[f"{path}/0"] = {"aliases": [], "native": new}
            plain = {"none": np.zeros(0, np.uint8), "float": np.array(0.5)}
            arrays[new] = plain.get(kind, array) if last not in KINDS else np.array(1)
            done = f"{native} as {new}"
        case _:
            other = _pick(rng, sorted(weights))
            a, b = weights[canonical], weights[other]
            weights[canonical], weights[other] = b, a
            done = f"{canonical} is {b['native']}"
    if step and count in arrays and arrays[count].ndim == 0 and rng.random() < 0.7:
        arrays[count] = np.array(arrays[count].astype(np.int64) + step)
    return done


def _argument(params: Any, arrays: Arrays, donor: Any, rng: Any) -> str | None:
    """Change, drop or add an argument of a constructor."""
    places = list(_places(params["params"], "params"))
    if not places:
        return None
    holder, key, path = _pick(rng, places)
    old = holder[key]
    match int(rng.integers(10)):
        case 0:
            del holder[key]
            return f"without {path}"
        case 1 if isinstance(holder, dict):
            name = _pick(rng, ("extra", "random_state", "steps", "memory", "$tuple", "__class__"))
            holder[name] = holder.pop(key)
            return f"{path} as {name}"
        case 2:
            other, name, where = _pick(rng, list(_places(donor[0]["params"], "donor")))
            holder[key] = copy.deepcopy(other[name])
            return f"{path} = {where}"
        case 3:
            other, name, where = _pick(rng, places)
            holder[key] = copy.deepcopy(other[name])
            return f"{path} = {where}"
        case 4 if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(old))
            return f"{path} twice"
        case _:
            holder[key] = new = copy.deepcopy(_argument_value(old, rng))
            return f"{path} = {json.dumps(new)[:60]}"


def _argument_value(old: Any, rng: Any) -> Any:
    numbers = (*INTEGERS[:-3], {"$int": str(2**62)}, {"$int": str(2**80)}, {"$int": str(-(2**63))})
    floats = [f for f in FLOATS if np.isfinite(f)]
    special = [{"$float": text} for text in ("nan", "inf", "-inf")]
    other = (None, True, False, [], {}, [[]], {"$tuple": []}, {"$tuple": [0, 1]}, [2**31 - 1] * 9)
    if isinstance(old, bool):
        pools: tuple[Any, ...] = ((True, False), numbers, WORDS)
    elif isinstance(old, int):
        pools = (numbers, (old - 1, old + 1, -old), floats)
    elif isinstance(old, float):
        pools = (floats, special, numbers)
    elif isinstance(old, str):
        pools = (WORDS, WORDS, other)
    else:
        pools = (numbers, floats, WORDS, other, special)
    return _pick(rng, _pick(rng, (*pools, other)))


def _part(params: Any, arrays: Arrays, donor: Any, rng: Any) -> str | None:
    """Replace a nested component by one of another model, or by None, or by a word."""
    places = [p for p in _places(params["params"], "params") if _is_part(p[0][p[1]])]
    if not places:
        return _argument(params, arrays, donor, rng)
    holder, key, path = _pick(rng, places)
    theirs = [p for p in _places(donor[0]["params"], "donor") if _is_part(p[0][p[1]])]
    if theirs and rng.random() < 0.6:
        other, name, where = _pick(rng, theirs)
        holder[key] = copy.deepcopy(other[name])
        return f"{path} = {where}"
    holder[key] = new = _pick(rng, (None, "drop", "passthrough", 0, [], "zero"))
    return f"{path} = {new!r}"


def _is_part(value: Any) -> bool:
    return isinstance(value, dict) and bool({"$component", "$model"} & value.keys())


def _places(value: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
    """Yield every container of JSON with each of its keys or indices."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key, f"{path}.{key}"
        if isinstance(value[key], dict | list):
            yield from _places(value[key], f"{path}.{key}")


_CHANGES = (_one_number, _word, _shape, _swap, _names, _argument, _part)
_WEIGHTS = (0.35, 0.05, 0.15, 0.1, 0.1, 0.2, 0.05)
