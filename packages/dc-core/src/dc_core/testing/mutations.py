"""Changes to stored arrays such as an attacker or a broken disk makes, chosen by a generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

Arrays = dict[str, np.ndarray]

_CHANGES: Final = 6
"""How many changes are made to one state at most."""


def mutated(sources: Sequence[Mapping[str, np.ndarray]], rng: np.random.Generator) -> Arrays:
    """Return the first source with some of its numbers, or a whole array, changed.

    ``sources`` are states of objects of the same kind; parts of the others are mixed in. Equal
    generators give equal states. Most changes keep names, shapes and dtypes, because others are
    usually refused early.
    """
    weights = {name: array.copy() for name, array in sources[0].items()}
    for _ in range(min(int(rng.geometric(0.4)), _CHANGES)):
        if not weights:
            break
        name = list(weights)[rng.integers(len(weights))]
        other = sources[int(rng.integers(len(sources)))].get(name, weights[name])
        if rng.random() < 0.85:
            change = _NUMBERS[rng.integers(len(_NUMBERS))]
            weights[name] = change(weights[name], rng) if weights[name].size else weights[name]
        elif rng.random() < 0.5:
            weights[name] = other.copy()
        else:
            change_of_form = _FORMS[rng.integers(len(_FORMS))]
            weights[name] = np.array(change_of_form(weights[name], rng), order="C")
    if rng.random() < 0.02:
        del weights[list(weights)[rng.integers(len(weights))]]
    return weights


def _set_one(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    array.reshape(-1)[rng.integers(array.size)] = _value(array, rng)
    return array


def _set_range(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    first, last = sorted(rng.integers(array.size + 1, size=2))
    array.reshape(-1)[first:last] = _value(array, rng)
    return array


def _copy_one(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    source, target = rng.integers(array.size, size=2)
    array.reshape(-1)[target] = array.reshape(-1)[source]
    return array


def _swap_two(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    pair = rng.integers(array.size, size=2)
    array.reshape(-1)[pair] = array.reshape(-1)[pair[::-1]]
    return array


def _shift_one(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add or subtract a small number, which moves an index to a neighbour."""
    step = int(rng.integers(1, 4)) * (1 if rng.random() < 0.5 else -1)
    octets = _octets(array)
    i = rng.integers(array.size)
    if array.dtype.kind in "iu":
        bits = int.from_bytes(octets[i].tobytes(), "little") + step
        octets[i] = _bits(bits, array.dtype)
    else:
        array.reshape(-1)[i] = array.reshape(-1)[rng.integers(array.size)]
        octets[i, -1] ^= 0 if array.dtype == np.bool_ else 0x80  # the sign
    return array


def _random_bits(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    i = rng.integers(array.size)
    if array.dtype == np.bool_:
        array.reshape(-1)[i] ^= True
    else:
        _octets(array)[i] = rng.integers(256, size=array.dtype.itemsize, dtype=np.uint8)
    return array


def _shuffle(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rng.shuffle(array.reshape(-1))
    return array


def _reverse(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.array(array.reshape(-1)[::-1].reshape(array.shape), order="C")


def _cut(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return array[: rng.integers(len(array))] if array.ndim and len(array) else array.reshape(-1)


def _extend(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.concatenate([array, array[-1:]]) if array.ndim else array.reshape(1)


def _flatten(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return array.reshape(-1)


def _nest(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return array[np.newaxis]


def _transpose(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return array.T


def _empty(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.zeros((0, *array.shape[1:]), array.dtype)


def _cast(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    dtypes = ("int8", "uint8", "int32", "int64", "uint64", "float32", "float64", "bool")
    if array.dtype.kind not in "biuf":
        return array
    with np.errstate(all="ignore"):
        return array.astype(dtypes[rng.integers(len(dtypes))])


Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]

_NUMBERS: Final[tuple[Change, ...]] = (
    _set_one,
    _set_one,
    _set_one,
    _set_range,
    _copy_one,
    _copy_one,
    _swap_two,
    _shift_one,
    _shift_one,
    _random_bits,
    _shuffle,
    _reverse,
)
_FORMS: Final[tuple[Change, ...]] = (_cut, _extend, _flatten, _nest, _transpose, _empty, _cast)


def _value(array: np.ndarray, rng: np.random.Generator) -> Any:
    """Return a number of the array's dtype at which code tends to break."""
    if array.dtype == np.bool_:
        return bool(rng.integers(2))
    if array.dtype.kind in "iu":
        limits = np.iinfo(array.dtype)
        near = [0, 1, -1, 2, array.size, array.size - 1, len(array.shape) and len(array)]
        values = [*near, limits.max, limits.min, limits.max // 2, 2**31 - 1, 2**31, 10**6]
        value = int(values[rng.integers(len(values))])
        return value if limits.min <= value <= limits.max else limits.max
    if array.dtype.kind in "fc":
        floats = (0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e300, -1e300, 1e-300, 2.0**53)
        with np.errstate(all="ignore"):
            return np.array(floats[rng.integers(len(floats))]).astype(array.dtype)
    return array.reshape(-1)[0]


def _octets(array: np.ndarray) -> np.ndarray:
    """Return the bytes of a C-contiguous array, one row per element."""
    return array.reshape(-1)[:, np.newaxis].view(np.uint8)


def _bits(value: int, dtype: np.dtype[Any]) -> np.ndarray:
    value %= 1 << (8 * dtype.itemsize)
    return np.frombuffer(value.to_bytes(dtype.itemsize, "little"), np.uint8)
