"""The names of categories that a booster has learned from a DataFrame, one list per feature.

XGBoost finds the number of a category by the order of the names, which is not stored: it is
rebuilt, so that no index of a file is followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np

from dc_core.errors import NotSerializable, StructureError
from dc_core.structures import Reader, check_offsets

_NONE: Final = 0
_TEXT: Final = 1
_INTEGERS: Final = {9: np.int8, 10: np.uint8, 11: np.int16, 13: np.int32, 15: np.int64}
"""The kinds of numbers that name categories, as XGBoost numbers them."""

EMPTY: Final[Mapping[str, Any]] = {
    "enc": [],
    "feature_segments": np.zeros(0, np.int32),
    "sorted_idx": np.zeros(0, np.int32),
}


def encode(document: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays of the names; none if the booster was not trained on categories by name.

    For F features and C categories in all: ``kinds`` ``(F,)`` is 0 for a feature without names, 1
    for text, and else the kind of its integers; ``offsets`` ``(F + 1,)`` divides the categories.
    ``numbers`` are all that are integers, as int64, and ``text`` the bytes of all others, which
    ``text_offsets`` divides.

    Raises :class:`NotSerializable` for names of other kinds.
    """
    features = document["enc"]
    if not features:
        return {}
    kinds = [_kind(feature) for feature in features]
    counts = [
        len(feature["offsets"]) - 1 if kind == _TEXT else len(feature["values"])
        for kind, feature in zip(kinds, features, strict=True)
    ]
    texts = [f for kind, f in zip(kinds, features, strict=True) if kind == _TEXT]
    integers = [f for kind, f in zip(kinds, features, strict=True) if kind in _INTEGERS]
    lengths = [np.diff(feature["offsets"]) for feature in texts]
    arrays: dict[str, np.ndarray] = {
        "categories/kinds/0": np.array(kinds, np.uint8),
        "categories/offsets/0": np.cumsum([0, *counts], dtype=np.int64),
        "categories/numbers/0": np.concatenate(
            [np.zeros(0, np.int64), *(feature["values"] for feature in integers)], dtype=np.int64
        ),
        "categories/text/0": np.concatenate(
            [np.zeros(0, np.int8), *(feature["values"] for feature in texts)], dtype=np.int8
        ).view(np.uint8),
        "categories/text_offsets/0": np.cumsum(
            np.concatenate([np.zeros(1, np.int64), *lengths], dtype=np.int64)
        ),
    }
    again = decode(Reader(arrays, copy=False), len(features))
    if not np.array_equal(again["sorted_idx"], document["sorted_idx"]):
        raise NotSerializable("The categories of the booster are not sorted as XGBoost sorts them.")
    return arrays


def _kind(feature: Mapping[str, Any]) -> int:
    if "offsets" in feature:
        return _TEXT if len(feature["offsets"]) else _NONE
    if feature["type"] not in _INTEGERS:
        raise NotSerializable(
            "The categories of the booster are numbers of a kind that is not known here.",
            hint="Train on categories that are text or signed integers.",
        )
    return int(feature["type"])


def decode(reader: Reader, n_features: int) -> dict[str, Any]:
    """Return the names in the form of the document, checked; raise :class:`StructureError`."""
    if "categories/kinds/0" not in reader:
        return dict(EMPTY)
    kinds = reader.take("categories/kinds/0", dtype=np.uint8, shape=(n_features,)).tolist()
    offsets = reader.take("categories/offsets/0", dtype=np.int64, shape=(n_features + 1,))
    numbers = reader.take("categories/numbers/0", dtype=np.int64, ndim=1)
    data = reader.take("categories/text/0", dtype=np.uint8, ndim=1)
    text_offsets = reader.take("categories/text_offsets/0", dtype=np.int64, ndim=1)
    check_offsets("categories/text_offsets", text_offsets, len(data))
    check_offsets("categories/offsets", offsets, len(numbers) + len(text_offsets) - 1)
    taken = texts = 0
    features: list[dict[str, Any]] = []
    order: list[np.ndarray] = []
    for kind, count in zip(kinds, np.diff(offsets).tolist(), strict=True):
        if kind == _TEXT:
            cuts = text_offsets[texts : texts + count + 1]
            if len(cuts) != count + 1:
                raise StructureError("categories/offsets asks for more text than there is.")
            names = data[cuts[0] : cuts[-1]].view(np.int8)
            features.append({"offsets": (cuts - cuts[0]).astype(np.int32), "values": names})
            order.append(_sorted_texts(data, cuts.tolist()))
            texts += count
        elif kind in _INTEGERS:
            values = numbers[taken : taken + count]
            exact = values.astype(_INTEGERS[kind])
            if len(values) != count or not np.array_equal(exact, values):
                raise StructureError("categories/numbers does not hold the features' numbers.")
            features.append({"type": kind, "values": exact})
            order.append(np.argsort(values, kind="stable"))
            taken += count
        elif kind == _NONE and count == 0:
            none = {"offsets": np.zeros(0, np.int32), "values": np.zeros(0, np.int8)}
            features.append(none)
        else:
            raise StructureError(f"A feature has {count} categories of the kind {kind}.")
    return {
        "enc": features,
        "feature_segments": offsets.astype(np.int32),
        "sorted_idx": np.concatenate(
            [np.zeros(0, np.int32), *order], dtype=np.int32, casting="same_kind"
        ),
    }


def _sorted_texts(data: np.ndarray, cuts: list[int]) -> np.ndarray:
    # XGBoost compares bytes as signed numbers.
    shifted = (data ^ 0x80).tobytes()
    texts = [shifted[a:b] for a, b in pairwise(cuts)]
    return np.array(sorted(range(len(texts)), key=texts.__getitem__), np.int32)
