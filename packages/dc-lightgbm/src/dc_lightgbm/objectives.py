"""The objectives of LightGBM as its models name them: a closed list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from dc_core.errors import StructureError

_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "binary": ("sigmoid",),
    "cross_entropy": (),
    "cross_entropy_lambda": (),
    "custom": (),
    "fair": (),
    "gamma": (),
    "huber": ("sqrt",),
    "lambdarank": (),
    "mape": (),
    "multiclass": ("num_class",),
    "multiclassova": ("num_class", "sigmoid"),
    "poisson": (),
    "quantile": ("sqrt", "alpha"),
    "rank_xendcg": (),
    "regression": ("sqrt",),
    "regression_l1": ("sqrt",),
    "tweedie": (),
}
"""The words that may follow the name of an objective, with a number after a colon or without."""

_FREE: Final = ("", "custom")
"""Objectives that convert no output, so that a model may have any number of them."""


def check(text: str, classes: int) -> None:
    """Raise :class:`StructureError` unless ``text`` is an objective for that many outputs.

    LightGBM converts as many outputs as the objective says, however many there are.
    """
    name, *words = text.split(" ")
    if name == "" and not words:
        return
    options = _OPTIONS.get(name)
    if options is None:
        raise StructureError(f"There is no objective {name[:60]!r}.")
    found: dict[str, str] = {}
    for word in words:
        option, _, value = word.partition(":")
        if option not in options or option in found or not _is_plain(option, value):
            raise StructureError(f"The objective {text[:60]!r} has options that it cannot have.")
        found[option] = value
    wanted = int(found.get("num_class", "1"))
    if name not in _FREE and wanted != classes:
        raise StructureError(f"The objective {text[:60]!r} does not have {classes} outputs.")


def _is_plain(option: str, value: str) -> bool:
    if option == "sqrt":
        return value == ""
    if option == "num_class":
        return re.fullmatch(r"[1-9]\d{0,8}", value) is not None
    positive = re.fullmatch(r"\d{1,9}(\.\d{1,9})?(e[-+]?\d\d)?", value) is not None
    return positive and f"{float(value):g}" == value and float(value) > 0
