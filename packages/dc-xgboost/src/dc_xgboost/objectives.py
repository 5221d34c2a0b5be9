"""The objectives of XGBoost with their parameters: a closed list, each parameter with its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from dc_core.errors import NotSerializable, StructureError
from dc_core.structures import Reader, incomplete, text_array
from dc_xgboost.numbers import check_plain, read_floats, write_floats, write_parameter

Kind: TypeAlias = Literal["count", "double", "flag", "float", "floats"] | tuple[str, ...]
"""What a parameter is; a tuple lists the words that it can be."""


@dataclass(frozen=True, slots=True)
class Objective:
    """Where the document of a model holds an objective's parameters, and what they are.

    ``arrays`` are those that stand beside the parameters.
    """

    section: str = ""
    parameters: Mapping[str, Kind] = field(default_factory=dict)
    arrays: tuple[str, ...] = ()


_WEIGHTED: Final = Objective("reg_loss_param", {"scale_pos_weight": "float"})
_CLASSES: Final = Objective("softmax_multiclass_param", {"num_class": "count"})
_RANK: Final = Objective(
    "lambdarank_param",
    {
        "lambdarank_pair_method": ("topk", "mean"),
        "lambdarank_num_pair_per_sample": "count",
        "lambdarank_unbiased": "flag",
        "lambdarank_normalization": "flag",
        "lambdarank_score_normalization": "flag",
        "lambdarank_bias_norm": "double",
        "ndcg_exp_gain": "flag",
    },
    arrays=("ti+", "tj-"),
)

OBJECTIVES: Final[Mapping[str, Objective]] = {
    "binary:hinge": Objective(),
    "binary:logistic": _WEIGHTED,
    "binary:logitraw": _WEIGHTED,
    "count:poisson": Objective("poisson_regression_param", {"max_delta_step": "float"}),
    "multi:softmax": _CLASSES,
    "multi:softprob": _CLASSES,
    "rank:map": _RANK,
    "rank:ndcg": _RANK,
    "rank:pairwise": _RANK,
    "reg:absoluteerror": Objective(),
    "reg:expectileerror": Objective("expectile_loss_param", {"expectile_alpha": "floats"}),
    "reg:gamma": _WEIGHTED,
    "reg:linear": _WEIGHTED,
    "reg:logistic": _WEIGHTED,
    "reg:pseudohubererror": Objective("pseudo_huber_param", {"huber_slope": "float"}),
    "reg:quantileerror": Objective("quantile_loss_param", {"quantile_alpha": "floats"}),
    "reg:squarederror": _WEIGHTED,
    "reg:squaredlogerror": Objective(),
    "reg:tweedie": Objective("tweedie_regression_param", {"tweedie_variance_power": "float"}),
    "survival:aft": Objective(
        "aft_loss_param",
        {
            "aft_loss_distribution": ("normal", "logistic", "extreme"),
            "aft_loss_distribution_scale": "float",
        },
    ),
    "survival:cox": Objective(),
}
"""Objectives by name. Versions of XGBoost differ in which of the parameters they write."""

_NAME: Final = "objective/name/0"
_COUNT: Final = "objective/parameters/0"
"""How many parameters are stored, so that none is missing unnoticed: versions differ in them."""

_NOT_SET: Final = 2**32 - 1


def encode(document: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays of an objective in the document of a model.

    Raises :class:`NotSerializable` for one that is not in the list, or has other parameters.
    """
    name = document["name"]
    known = OBJECTIVES.get(name)
    if known is None:
        raise NotSerializable(
            f"The objective {name!r} is not one of XGBoost's own.",
            hint="Objectives of plugins are not stored.",
        )
    given = dict(document)
    del given["name"]
    section = given.pop(known.section, {}) if known.section else {}
    unknown = sorted({*given, *section} - {*known.arrays, *known.parameters})
    if unknown:
        raise NotSerializable(
            f"The objective {name!r} has a parameter {unknown[0]!r} that is not known here.",
            hint="Run: pip install --upgrade dc-xgboost",
        )
    arrays = {_NAME: text_array(name)}
    for parameter, kind in known.parameters.items():
        if parameter in section:
            arrays[f"objective/{parameter}/0"] = _read(kind, section[parameter])
    for parameter in known.arrays:
        if parameter in given:
            arrays[f"objective/{parameter}/0"] = given[parameter].astype(np.float32)
    return arrays | {_COUNT: np.array(len(arrays) - 1, np.int64)}


def decode(reader: Reader) -> dict[str, Any]:
    """Return the objective in the form of the document; raise :class:`StructureError`."""
    name = reader.take_text(_NAME)
    known = OBJECTIVES.get(name)
    if known is None:
        raise StructureError(f"There is no objective {name[:60]!r}.")
    document: dict[str, Any] = {"name": name}
    section = {
        parameter: _write(reader, f"objective/{parameter}/0", kind)
        for parameter, kind in known.parameters.items()
        if f"objective/{parameter}/0" in reader
    }
    if known.section:
        document[known.section] = section
    for parameter in known.arrays:
        at = f"objective/{parameter}/0"
        if at in reader:
            document[parameter] = reader.take(at, dtype=np.float32, ndim=1)
    count = sum(f"objective/{name}/0" in reader for name in (*known.parameters, *known.arrays))
    if reader.take_count(_COUNT) != count:
        raise incomplete("objective/…/0")
    return document


def _read(kind: Kind, text: str) -> np.ndarray:
    """Return the array of a parameter that the document holds as ``text``."""
    if kind == "floats":
        return read_floats(text)
    if kind == "float":
        return read_floats(text).reshape(())
    if kind == "double":
        return np.array(float(text))
    if kind == "count":
        return np.array(int(text), np.int64)
    return np.array(int(text), np.uint8) if kind == "flag" else text_array(text)


def _write(reader: Reader, at: str, kind: Kind) -> str:
    """Return the text of a parameter whose array is ``at``."""
    if kind == "floats":
        return write_floats(check_plain(at, reader.take(at, dtype=np.float32, ndim=1)))
    if kind == "float":
        return write_parameter(at, reader.take(at, dtype=np.float32, ndim=0).item())
    if kind == "double":
        return write_parameter(at, reader.take(at, dtype=np.float64, ndim=0).item())
    if kind == "count":
        return str(reader.take_count(at, maximum=_NOT_SET))
    if kind == "flag":
        flag = int(reader.take(at, dtype=np.uint8, ndim=0))
        if flag > 1:
            raise StructureError(f"{at!r} is {flag}, not 0 or 1.")
        return str(flag)
    word = reader.take_text(at)
    if word not in kind:
        raise StructureError(f"{at!r} is {word[:60]!r}, not one of {', '.join(kind)}.")
    return word
