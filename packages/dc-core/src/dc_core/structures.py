"""Structures as named arrays: read strictly, and checked before native code follows an index.

Backends store trees, texts and counts as arrays. Those of a file come from a stranger, and native
code trusts child indices and offsets. What several backends check is here; it needs NumPy alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from dc_core.errors import StructureError, UnknownWeight, WeightsMismatch

LEAF: Final = -1
"""The child of a node that has none."""


class Reader:
    """Given arrays by relative name; it remembers which were read, so that none is ignored.

    With ``copy`` the arrays that the caller keeps are copied.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], *, copy: bool) -> None:
        self._arrays = arrays
        self._copy = copy
        self._unread = set(arrays)

    def __len__(self) -> int:
        """Return how many arrays were given."""
        return len(self._arrays)

    def __contains__(self, name: object) -> bool:
        """Tell whether the array ``name`` was given."""
        return name in self._arrays

    def take(
        self,
        name: str,
        *,
        dtype: Any = None,
        ndim: int | None = None,
        shape: Sequence[int | None] | None = None,
        keep: bool = False,
    ) -> np.ndarray:
        """Return the array ``name``, C-contiguous, of exactly the ``dtype`` and form given.

        Without ``dtype``, any dtype in the machine's byte order will do. None in ``shape`` stands
        for any length. With ``keep`` the caller will keep the array, so it is copied unless sharing
        was allowed. Raises :class:`WeightsMismatch` if it is missing or of another kind.
        """
        array = self._arrays.get(name)
        if array is None:
            raise incomplete(name)
        if not isinstance(array, np.ndarray):
            raise WeightsMismatch(
                f"The weight {name!r} was given as {type(array).__name__}, not as a NumPy array."
            )
        self._unread.discard(name)
        wanted = array.dtype.newbyteorder("=") if dtype is None else np.dtype(dtype)
        if array.dtype != wanted:
            raise WeightsMismatch(f"The weight {name!r} has dtype {array.dtype}, not {wanted}.")
        if ndim is not None and array.ndim != ndim:
            raise WeightsMismatch(
                f"The weight {name!r} has shape {array.shape}; it needs {ndim} axes."
            )
        if shape is not None and not _fits(array.shape, shape):
            needed = ", ".join("any" if length is None else str(length) for length in shape)
            raise WeightsMismatch(
                f"The weight {name!r} has shape {array.shape}; it needs ({needed})."
            )
        usable = array.flags.c_contiguous and array.flags.aligned
        return np.array(array, order="C") if not usable or (keep and self._copy) else array

    def take_count(self, name: str, minimum: int = 0, maximum: int = 2**31 - 1) -> int:
        """Return the 0-d int64 ``name`` as an int.

        Raises :class:`StructureError` unless it is from ``minimum`` to ``maximum``.
        """
        count = int(self.take(name, dtype=np.int64, ndim=0))
        if not minimum <= count <= maximum:
            raise StructureError(f"{name!r} is {count}, not from {minimum} to {maximum}.")
        return count

    def take_text(self, name: str) -> str:
        """Return the UTF-8 bytes ``name`` as a string."""
        try:
            return self.take(name, dtype=np.uint8, ndim=1).tobytes().decode()
        except UnicodeDecodeError as error:
            raise StructureError(f"The weight {name!r} is not UTF-8 text: {error}.") from error

    def take_texts(self, path: str) -> list[str]:
        """Return the strings of :func:`pack_texts`, which are stored at ``path``."""
        offsets = self.take(f"{path}/1", dtype=np.int64, ndim=1)
        data = self.take(f"{path}/0", dtype=np.uint8, ndim=1).tobytes()
        check_offsets(path, offsets, len(data))
        bounds = offsets.tolist()
        try:
            return [data[a:b].decode() for a, b in itertools.pairwise(bounds)]
        except UnicodeDecodeError as error:
            raise StructureError(f"{path!r} is not UTF-8 text: {error}.") from error

    def finish(self) -> None:
        """Raise :class:`UnknownWeight` if an array was given that nothing asked for."""
        if self._unread:
            unknown = sorted(self._unread)
            raise UnknownWeight(
                f"There is no weight {unknown[0]!r}.",
                hint="The weights are of another class, or of other parameters.",
                unexpected=unknown,
            )


def incomplete(name: str) -> WeightsMismatch:
    """Return the error for a weight that is missing from what has to be a complete state."""
    return WeightsMismatch(
        f"The weight {name!r} is missing.",
        hint="An object that is not fitted takes the complete fitted state.",
        missing=[name],
    )


def native_name(name: str) -> str:
    """Return the native name of a relative one: ``scaler/mean_/0`` → ``scaler.mean_``."""
    return name.removesuffix("/0").replace("/", ".")


def text_array(text: str) -> np.ndarray:
    """Return the UTF-8 bytes of ``text``, ``(bytes,)`` of uint8."""
    return np.frombuffer(text.encode(), np.uint8).copy()


def pack_texts(path: str, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Return ``path/0``, the UTF-8 bytes of all texts, and ``path/1``, their offsets (int64)."""
    encoded = [text.encode() for text in texts]
    return {
        f"{path}/0": np.frombuffer(b"".join(encoded), np.uint8).copy(),
        f"{path}/1": np.cumsum([0, *map(len, encoded)], dtype=np.int64),
    }


def check_offsets(path: str, offsets: np.ndarray, total: int) -> None:
    """Raise :class:`StructureError` unless ``offsets`` rise from 0 to ``total``."""
    # Differences could overflow, and be positive.
    falls = bool(np.any(offsets[1:] < offsets[:-1]))
    if offsets.size == 0 or offsets[0] != 0 or offsets[-1] != total or falls:
        raise StructureError(f"The offsets of {path!r} do not rise from 0 to {total}.")


def check_trees(path: str, offsets: np.ndarray, total: int) -> None:
    """Raise :class:`StructureError` unless ``offsets`` divide ``total`` nodes into trees."""
    check_offsets(f"{path}/offsets", offsets, total)
    if len(offsets) < 2 or np.diff(offsets).min() < 1:
        raise StructureError(f"{path} holds a tree without nodes.")


def check_links(
    path: str,
    left: np.ndarray,
    right: np.ndarray,
    offsets: np.ndarray,
    unused: np.ndarray | None = None,
) -> np.ndarray:
    """Return each node's parent among all nodes, -1 for a root.

    ``left`` and ``right`` number the children within their own tree, -1 in a leaf. Raises
    :class:`StructureError` unless every child comes after its parent in the same tree, and every
    node but the roots has exactly one. Nodes that are ``unused`` have no children and no parent.
    """
    inner = np.flatnonzero(left != LEAF)
    sizes = np.diff(offsets)
    tree = np.repeat(np.arange(len(sizes)), sizes)[inner]
    start, stop = offsets[tree], offsets[tree + 1]
    first, second = left[inner] + start, right[inner] + start
    lower, upper = np.minimum(first, second), np.maximum(first, second)
    if (lower <= inner).any() or (upper >= stop).any():
        raise StructureError(
            f"{path} has a child that does not come after its parent in the parent's own tree."
        )
    parent = np.full(len(left), -1)
    parent[first] = inner
    parent[second] = inner
    orphans = parent < 0
    if unused is None:
        unused = np.zeros(len(left), bool)
    if not orphans[unused].all() or unused[offsets[:-1]].any() or unused[inner].any():
        raise StructureError(f"{path} has an unused node that is part of a tree.")
    spare = int(np.count_nonzero(unused))
    alone = np.count_nonzero(orphans) - spare
    if 2 * inner.size != len(left) - len(sizes) - spare or alone != len(sizes):
        raise StructureError(f"{path} has a node without a parent, or with more than one.")
    return parent


def tree_depths(left: np.ndarray, parent: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """Return each tree's depth by doubling jumps to the root: O(N log depth) for any shape.

    ``parent`` is what :func:`check_links` returned, and ``roots`` where each tree begins. Only
    inner nodes are followed; the deepest leaf is one level below one of them.
    """
    inner = np.flatnonzero(left != LEAF)
    number = np.zeros(len(left), np.intp)
    number[inner] = np.arange(len(inner))
    above = parent[inner]
    depth = (above >= 0).astype(np.int32)
    jump = np.where(above >= 0, number[above], number[inner])
    while True:
        further = depth[jump]
        if not further.any():
            deepest = np.zeros(len(left), np.int32)
            deepest[inner] = depth + 1
            return np.maximum.reduceat(deepest, roots)
        depth += further
        jump = jump[jump]


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(
        need is None or length == need for length, need in zip(shape, wanted, strict=True)
    )
