"""What an attribute may hold: a kind of value, its shape, and the range of its numbers.

Shapes are written with names of sizes: ``Floats("targets n")``. A name stands for the same number
in all attributes of one estimator; ``n`` is the number of features. An attribute that may hold one
of several kinds says so with ``|``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from scipy import sparse

from dc_core.errors import NotSerializable, StructureError
from dc_sklearn import values
from dc_sklearn.schema import Restoring, Storing
from dc_sklearn.slots import Reader, Slots

Sizes: TypeAlias = dict[str, int]
"""The sizes of an estimator that are known so far, by name."""

_LARGEST: Final = 1 << 53
_MOST_SHOWN: Final = 60


class Kind(ABC):
    """A kind of plain value, as the field of an attribute: it is checked at save and at load."""

    @abstractmethod
    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is of this kind; sizes that it is the first to name are added."""

    @abstractmethod
    def __str__(self) -> str: ...

    def __or__(self, other: Kind) -> Kind:
        return _Either((self, other))

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of ``value``; raise :class:`NotSerializable` if it is of another kind."""
        if not self.accepts(value, storing.sizes):
            raise NotSerializable(
                f"The attribute {path.replace('/', '.')!r} is {_shown(value)}, not {self}.",
                hint="It was changed after fitting, or set by a version of scikit-learn that is "
                "not supported yet.",
            )
        return values.encode(path, value)

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the value at ``path``; raise :class:`StructureError` if it is of another kind."""
        value = values.decode(reader, path)
        if not self.accepts(value, restoring.sizes):
            raise StructureError(f"{path!r} is {_shown(value)}, not {self}.")
        return value


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray) or sparse.issparse(value):
        return f"{type(value).__name__} of {value.dtype} and shape {value.shape}"
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{type(value).__name__} {text[:_MOST_SHOWN]}…"


@dataclass(frozen=True, slots=True)
class _Either(Kind):
    kinds: tuple[Kind, ...]

    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether one of the kinds accepts ``value``."""
        for kind in self.kinds:
            trial = dict(sizes)
            if kind.accepts(value, trial):
                sizes.update(trial)
                return True
        return False

    def __str__(self) -> str:
        return " or ".join(map(str, self.kinds))


@dataclass(frozen=True, slots=True)
class _Missing(Kind):
    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is None."""
        return value is None

    def __str__(self) -> str:
        return "None"


MISSING: Final = _Missing()
"""None."""


@dataclass(frozen=True, slots=True)
class Flag(Kind):
    """True or False."""

    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is a Boolean of Python or NumPy."""
        return isinstance(value, bool | np.bool_)

    def __str__(self) -> str:
        return "a Boolean"


@dataclass(frozen=True, slots=True)
class Word(Kind):
    """A string: one of ``words``, or any if there are none."""

    words: tuple[str, ...] = ()

    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is one of the strings."""
        return isinstance(value, str) and (not self.words or value in self.words)

    def __str__(self) -> str:
        return f"one of {', '.join(map(repr, self.words))}" if self.words else "a string"


@dataclass(frozen=True, slots=True)
class Number(Kind):
    """A real number, of Python or NumPy, from ``minimum`` to ``maximum``."""

    minimum: float | None = None
    maximum: float | None = None

    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is a number in the range."""
        real = isinstance(value, int | float | np.integer | np.floating)
        return real and not isinstance(value, bool) and _within(value, self.minimum, self.maximum)

    def __str__(self) -> str:
        return f"a number{_range(self.minimum, self.maximum)}"


@dataclass(frozen=True, slots=True)
class Count(Kind):
    """An integer, of Python or NumPy, from ``minimum`` to ``maximum``."""

    minimum: int = 0
    maximum: int = _LARGEST

    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is an integer in the range."""
        integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
        return integer and self.minimum <= value <= self.maximum

    def __str__(self) -> str:
        return f"an integer{_range(self.minimum, self.maximum)}"


@dataclass(frozen=True, slots=True)
class Size(Kind):
    """An integer that is the size ``name`` of the estimator's arrays."""

    name: str
    minimum: int = 0

    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is the size, or the first to name it."""
        known = Count(self.minimum).accepts(value, sizes)
        return known and sizes.setdefault(self.name, int(value)) == value

    def __str__(self) -> str:
        return f"the size {self.name}"


@dataclass(frozen=True, slots=True)
class _Array(Kind):
    """A NumPy array of one of the ``dtypes`` (their kinds) and of the shape ``sizes``.

    Each word of ``shape`` is a number, the name of a size, or ``_`` for any. ``below`` names the
    size that all elements are smaller than.
    """

    shape: str
    minimum: float | None = None
    maximum: float | None = None
    below: str | None = None

    dtypes = ""
    noun = ""

    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is an array of the kind, the shape and the range."""
        if not isinstance(value, np.ndarray) or value.dtype.kind not in self.dtypes:
            return False
        maximum = self.maximum
        if self.below is not None:
            if self.below not in sizes:
                return False
            maximum = sizes[self.below] - 1
        return fits(value.shape, self.shape, sizes) and _within(value, self.minimum, maximum)

    def __str__(self) -> str:
        below = "" if self.below is None else f" below {self.below}"
        shape = ", ".join(self.shape.split())
        return f"{self.noun} of shape ({shape}){_range(self.minimum, self.maximum)}{below}"


class Halves(_Array):
    """An array of floating-point numbers of any precision."""

    dtypes = "f"
    noun = "floats"


class Floats(_Array):
    """An array of float32 or float64, which are all that native code computes with."""

    dtypes = "f"
    noun = "float32 or float64"

    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is such an array."""
        return super().accepts(value, sizes) and value.dtype.itemsize >= 4


class Reals(_Array):
    """An array of numbers: floats, integers or Booleans."""

    dtypes = "fiub"
    noun = "numbers"


class Integers(_Array):
    """An array of integers."""

    dtypes = "iu"
    noun = "integers"


class Flags(_Array):
    """An array of Booleans."""

    dtypes = "b"
    noun = "Booleans"


@dataclass(frozen=True, slots=True)
class Labels(Kind):
    """An array ``(size,)`` of numbers or of strings, at least ``minimum`` of them."""

    size: str
    minimum: int = 0

    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is such an array."""
        if not isinstance(value, np.ndarray) or value.ndim != 1 or len(value) < self.minimum:
            return False
        text = value.dtype.kind == "O" and all(type(item) is str for item in value)
        return (text or value.dtype.kind in "fiubU") and fits(value.shape, self.size, sizes)

    def __str__(self) -> str:
        return f"{self.size} numbers or strings"


class Classes(Labels):
    """Labels in rising order, none of them twice; code that searches them trusts the order."""

    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is an array of such labels."""
        return super().accepts(value, sizes) and rises(value)

    def __str__(self) -> str:
        return f"{self.size} numbers or strings in rising order"


@dataclass(frozen=True, slots=True)
class Sparse(Kind):
    """A CSR matrix of floating-point numbers."""

    shape: str

    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is a CSR matrix or array of the shape."""
        csr = isinstance(value, sparse.csr_matrix | sparse.csr_array)
        return csr and value.dtype.kind in "fiub" and fits(value.shape, self.shape, sizes)

    def __str__(self) -> str:
        return f"a CSR matrix of shape ({', '.join(self.shape.split())})"


@dataclass(frozen=True, slots=True)
class ListOf(Kind):
    """A list (or a tuple) of ``size`` items of one kind."""

    item: Kind
    size: str = "_"
    type: type[list[Any]] | type[tuple[Any, ...]] = list

    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is such a list; a size that an item names is that item's own."""
        if type(value) is not self.type or not fits((len(value),), self.size, sizes):
            return False
        return all(self.item.accepts(item, dict(sizes)) for item in value)

    def __str__(self) -> str:
        return f"a {self.type.__name__} of {self.size} items, each {self.item}"


@dataclass(frozen=True, slots=True)
class ArrayOf(Kind):
    """An array ``(size,)`` of objects of one kind, at least ``minimum`` of them."""

    item: Kind
    size: str = "_"
    minimum: int = 0

    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is an array of such objects."""
        if not isinstance(value, np.ndarray) or value.dtype.kind != "O":
            return False
        if not fits(value.shape, self.size, sizes) or len(value) < self.minimum:
            return False
        return all(self.item.accepts(item, dict(sizes)) for item in value)

    def __str__(self) -> str:
        return f"an array of {self.size} objects, each {self.item}"


@dataclass(frozen=True, slots=True)
class DictOf(Kind):
    """A dictionary whose values are of one kind."""

    item: Kind

    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is a dictionary of such values."""
        return type(value) is dict and all(
            self.item.accepts(item, dict(sizes)) for item in value.values()
        )

    def __str__(self) -> str:
        return f"a dictionary of {self.item}"


@dataclass(frozen=True, slots=True)
class Record(Kind):
    """A dictionary of exactly these string keys, each with a value of its kind."""

    items: Mapping[str, Kind]

    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` has the keys, and its values the kinds."""
        if type(value) is not dict or value.keys() != self.items.keys():
            return False
        return all(kind.accepts(value[key], sizes) for key, kind in self.items.items())

    def __str__(self) -> str:
        return f"a dictionary of {', '.join(self.items)}"


@dataclass(frozen=True, slots=True)
class Dtype(Kind):
    """A NumPy dtype of one of the ``kinds``."""

    kinds: str = "fiubOU"

    def accepts(self, value: Any, sizes: Sizes) -> bool:
        """Tell whether ``value`` is such a dtype."""
        return isinstance(value, np.dtype) and value.kind in self.kinds

    def __str__(self) -> str:
        return "a dtype"


def fits(shape: tuple[int, ...], names: str, sizes: Sizes) -> bool:
    """Tell whether ``shape`` is that which ``names`` say; sizes that are new are added."""
    words = names.split()
    if len(words) != len(shape):
        return False
    for found, word in zip(shape, words, strict=True):
        if word == "_":
            continue
        wanted = int(word) if word.isdecimal() else sizes.setdefault(word, found)
        if found != wanted:
            return False
    return True


def rises(values: np.ndarray) -> bool:
    """Tell whether every value is larger than the one before; NaN is larger than no value."""
    return bool(np.all(values[1:] > values[:-1]))


def _within(value: Any, minimum: float | None, maximum: float | None) -> bool:
    """Tell whether every number is in the range; NaN is in none."""
    if minimum is None and maximum is None:
        return True
    array = np.asarray(value)
    if not array.size:
        return True
    low, high = array.min(), array.max()
    return (minimum is None or bool(low >= minimum)) and (maximum is None or bool(high <= maximum))


def _range(minimum: float | None, maximum: float | None) -> str:
    if minimum is None and maximum in (None, _LARGEST):
        return ""
    if maximum in (None, _LARGEST):
        return f" of {minimum} or more"
    return f" up to {maximum}" if minimum is None else f" from {minimum} to {maximum}"
