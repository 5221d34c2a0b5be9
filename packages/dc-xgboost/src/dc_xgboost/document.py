"""A booster as named arrays: the document that XGBoost writes, taken apart and put together again.

Only what XGBoost cannot derive is stored. The document is rebuilt from checked arrays alone, so
that XGBoost reads nothing that a file says unseen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import xgboost

from dc_core.errors import NotSerializable, StructureError
from dc_core.structures import Reader, check_offsets, pack_texts, text_array
from dc_xgboost import categories, objectives, trees, ubjson
from dc_xgboost.numbers import check_plain, read_floats, write_float, write_floats

_TYPES: Final = frozenset({"c", "float", "i", "int", "q"})
_FREE_GROUPS: Final = 1024
"""How many outputs a model may have beyond its trees and weights."""

_VERSION: Final = [int(part) for part in re.findall(r"\d+", xgboost.__version__)[:3]]
_INTERCEPT_PER_OUTPUT: Final = [3, 1]
"""The version of XGBoost from which each output has its own ``base_score``."""

_PARAMETERS: Final = ("num_feature", "num_class", "num_target")


def encode(data: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of the document ``data``, which XGBoost has written.

    Raises :class:`NotSerializable` for what is not known here, naming it.
    """
    document = ubjson.loads(data)
    learner, model = document["learner"], document["learner"]["learner_model_param"]
    _check_known("learner", learner, _LEARNER)
    _check_known("model", model, {*_PARAMETERS, "base_score", "boost_from_average"})
    n_features, groups = int(model["num_feature"]), _groups(model)
    base_score = read_floats(model["base_score"])
    arrays = {f"{name}/0": np.array(int(model.get(name, "1")), np.int64) for name in _PARAMETERS}
    arrays |= {
        "base_score/0": np.broadcast_to(base_score, groups).copy()
        if len(base_score) == 1
        else base_score,
        "boost_from_average/0": np.array(int(model["boost_from_average"]), np.uint8),
        **objectives.encode(learner["objective"]),
        **pack_texts("feature_names", learner["feature_names"]),
        **pack_texts("feature_types", learner["feature_types"]),
        **pack_texts("attributes", [t for pair in learner["attributes"].items() for t in pair]),
        **_encode_booster(learner["gradient_booster"], n_features),
    }
    return arrays


def decode(reader: Reader) -> bytearray:
    """Return the document of the arrays, checked, as the installed XGBoost reads it.

    Raises :class:`WeightsMismatch` and :class:`StructureError`.
    """
    n_features = reader.take_count("num_feature/0", 1)
    model = {
        "num_feature": str(n_features),
        "num_class": str(reader.take_count("num_class/0")),
        "num_target": str(reader.take_count("num_target/0", 1)),
    }
    groups = _groups(model)
    base_score = reader.take("base_score/0", dtype=np.float32, shape=(groups,))
    flag = int(reader.take("boost_from_average/0", dtype=np.uint8, ndim=0))
    if flag > 1:
        raise StructureError(f"'boost_from_average/0' is {flag}, not 0 or 1.")
    booster = _decode_booster(reader, n_features, groups)
    objective = objectives.decode(reader)
    classes = objective.get("softmax_multiclass_param", {}).get("num_class", model["num_class"])
    if classes != model["num_class"]:
        raise StructureError(f"The objective has {classes} classes, and the model another number.")
    learner = {
        "attributes": _attributes(reader, booster),
        "feature_names": _features(reader, "feature_names", n_features),
        "feature_types": _features(reader, "feature_types", n_features),
        "gradient_booster": booster,
        "learner_model_param": {
            **model,
            "base_score": _intercept(check_plain("base_score/0", base_score)),
            "boost_from_average": str(flag),
        },
        "objective": objective,
    }
    strange = set(learner["feature_types"]) - _TYPES
    if strange:
        raise StructureError(f"{min(strange)[:60]!r} is not the type of a feature.")
    reader.finish()
    return ubjson.dumps({"learner": learner, "version": _VERSION})


_LEARNER: Final = frozenset(
    {
        "attributes",
        "feature_names",
        "feature_types",
        "gradient_booster",
        "learner_model_param",
        "objective",
    }
)


def _groups(model: Mapping[str, str]) -> int:
    """Return the number of the model's outputs."""
    return max(1, int(model["num_class"]), int(model.get("num_target", "1")))


def _intercept(base_score: np.ndarray) -> str:
    if _VERSION >= _INTERCEPT_PER_OUTPUT:
        return write_floats(base_score)
    if (base_score != base_score[0]).any():
        raise StructureError(
            "Each output of the model has a base_score of its own.",
            hint='Run: pip install "xgboost>=3.1"',
        )
    return write_float(base_score[0].item())


def _features(reader: Reader, path: str, n_features: int) -> list[str]:
    texts = reader.take_texts(path)
    if len(texts) not in (0, n_features):
        raise StructureError(f"{path!r} has {len(texts)} texts for {n_features} features.")
    return texts


def _attributes(reader: Reader, booster: Mapping[str, Any]) -> dict[str, str]:
    texts = reader.take_texts("attributes")
    attributes = dict(zip(texts[::2], texts[1::2], strict=False))
    if 2 * len(attributes) != len(texts):
        raise StructureError("'attributes' does not hold names and values.")
    best = attributes.get("best_iteration")
    if best is not None and not (re.fullmatch(r"\d{1,10}", best) and int(best) < _rounds(booster)):
        raise StructureError("The best iteration is not one of the booster's.")
    return attributes


def _rounds(booster: Mapping[str, Any]) -> int:
    if booster["name"] == "gblinear":
        return int(booster["model"]["boosted_rounds"])
    model = booster.get("gbtree", booster)["model"]
    return len(model["iteration_indptr"]) - 1


def _encode_booster(document: Mapping[str, Any], n_features: int) -> dict[str, np.ndarray]:
    name = document["name"]
    arrays = {"booster/0": text_array(name)}
    if name == "gblinear":
        _check_known(name, document, {"name", "model"})
        _check_known(name, document["model"], {"boosted_rounds", "weights"})
        rounds = np.array(document["model"]["boosted_rounds"], np.int64)
        return arrays | {"boosted_rounds/0": rounds, "weights/0": document["model"]["weights"]}
    if name == "dart":
        _check_known(name, document, {"name", "gbtree", "weight_drop"})
        arrays["weight_drop/0"] = np.array(document["weight_drop"], np.float32)
        document = document["gbtree"]
    _check_known(name, document, {"name", "model"})
    model = document["model"]
    _check_known(
        name,
        model,
        {"cats", "gbtree_model_param", "iteration_indptr", "tree_info", "trees"},
    )
    parallel = int(model["gbtree_model_param"]["num_parallel_tree"])
    return arrays | {
        "num_parallel_tree/0": np.array(parallel, np.int64),
        "tree_info/0": np.array(model["tree_info"], np.int32),
        "iteration_indptr/0": np.array(model["iteration_indptr"], np.int32),
        **trees.encode(model["trees"], n_features),
        **categories.encode(model.get("cats", categories.EMPTY)),
    }


def _decode_booster(reader: Reader, n_features: int, groups: int) -> dict[str, Any]:
    name = reader.take_text("booster/0")
    if name == "gblinear":
        weights = reader.take("weights/0", dtype=np.float32, shape=((n_features + 1) * groups,))
        rounds = reader.take_count("boosted_rounds/0")
        return {"name": name, "model": {"boosted_rounds": rounds, "weights": weights}}
    if name not in ("dart", "gbtree"):
        raise StructureError(f"There is no booster {name[:60]!r}.")
    made = trees.decode(reader, n_features, groups)
    vectors = "trees/leaf_weights/0" in reader
    if groups > max(len(made), _FREE_GROUPS) and not vectors:
        raise StructureError(f"The model has {groups} outputs and {len(made)} trees.")
    info = reader.take("tree_info/0", dtype=np.int32, shape=(len(made),))
    if len(info) and (info.min() < 0 or info.max() >= (1 if vectors else groups)):
        raise StructureError("'tree_info/0' names an output that the model does not have.")
    iterations = reader.take("iteration_indptr/0", dtype=np.int32, ndim=1)
    check_offsets("iteration_indptr/0", iterations, len(made))
    model = {
        "cats": categories.decode(reader, n_features),
        "gbtree_model_param": {
            "num_parallel_tree": str(reader.take_count("num_parallel_tree/0", 1)),
            "num_trees": str(len(made)),
        },
        "iteration_indptr": iterations.tolist(),
        "tree_info": info.tolist(),
        "trees": made,
    }
    gbtree = {"name": "gbtree", "model": model}
    if name == "gbtree":
        return gbtree
    if vectors:
        raise StructureError("Trees with vectors as leaves have no weights of their own.")
    weights = reader.take("weight_drop/0", dtype=np.float32, shape=(len(made),))
    if not np.isfinite(weights).all():
        raise StructureError("'weight_drop/0' holds a number that is not finite.")
    return {"name": name, "gbtree": gbtree, "weight_drop": weights.tolist()}


def _check_known(what: str, found: Mapping[str, Any], known: Any) -> None:
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise NotSerializable(
            f"The {what} of the booster has an attribute {unknown[0]!r} that is not known here.",
            hint="Run: pip install --upgrade dc-xgboost",
        )
