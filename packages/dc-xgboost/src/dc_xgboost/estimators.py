"""The closed table of classes, and their parameters: how they are stored and made again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import numpy as np
import xgboost

from dc_core import plain
from dc_core.errors import NotSerializable, ParameterError, UnknownClass, UnknownParameter

NAMESPACE: Final = "xgboost"
CLASSES: Final[Mapping[str, type[Any]]] = {
    cls.__name__: cls
    for cls in (
        xgboost.Booster,
        xgboost.XGBClassifier,
        xgboost.XGBRanker,
        xgboost.XGBRegressor,
        xgboost.XGBRFClassifier,
        xgboost.XGBRFRegressor,
    )
}

_EXTRA: Final = frozenset(
    {
        *("alpha", "eta", "lambda", "min_split_loss", "nthread", "seed"),
        *("max_cached_hist_node", "process_type", "refresh_leaf", "seed_per_iteration", "updater"),
        *("normalize_type", "one_drop", "rate_drop", "sample_type", "skip_drop"),
        *("feature_selector", "top_k"),
        *("aft_loss_distribution", "aft_loss_distribution_scale", "expectile_alpha", "huber_slope"),
        *("lambdarank_bias_norm", "lambdarank_normalization", "lambdarank_num_pair_per_sample"),
        *("lambdarank_pair_method", "lambdarank_score_normalization", "lambdarank_unbiased"),
        *("ndcg_exp_gain", "num_class", "quantile_alpha", "tweedie_variance_power"),
        *("disable_default_eval_metric", "num_target"),
    }
)
"""Parameters of XGBoost that its estimators take beyond those of their signatures."""

_NEVER_STORED: Final = frozenset({"callbacks", "verbosity"})
"""What is up to the program that trains: code, and what to print."""

_TYPES: Final[Mapping[str, tuple[type[Any], ...]]] = {
    "booster": (str,),
    "device": (str,),
    "early_stopping_rounds": (int,),
    "enable_categorical": (bool,),
    "feature_types": (list, tuple),
    "importance_type": (str,),
    "missing": (float, int),
    "n_estimators": (int,),
    "n_jobs": (int,),
    "objective": (str,),
}
"""The types of parameters that prediction reads, or that have to be right before it."""

_LIMITS: Final = {"n_jobs": 256, "n_estimators": 1_000_000}


def stored_name(obj: Any) -> str | None:
    """Return the name that the class of ``obj`` is stored under, None if there is none."""
    name = type(obj).__name__
    return f"{NAMESPACE}/{name}" if CLASSES.get(name) is type(obj) else None


def describe(obj: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return ``("xgboost/<ClassName>", params)``, or None for what is not in the table.

    ``verbosity`` is not stored. Raises :class:`NotSerializable` for a parameter that is code, a
    random-number generator, or unknown, naming it.
    """
    name = stored_name(obj)
    if name is None:
        return None
    if isinstance(obj, xgboost.Booster):
        return name, {}
    params = {key: plain(value) for key, value in obj.get_params().items()}
    if params.get("callbacks"):
        raise NotSerializable(
            f"{type(obj).__name__}(callbacks=…) is code, which is not stored.",
            hint="Set callbacks=None once it is trained: model.set_params(callbacks=None).",
        )
    for key in _NEVER_STORED:
        params.pop(key, None)
    for key, value in params.items():
        if key not in _known(type(obj).__name__):
            raise NotSerializable(
                f"{type(obj).__name__}({key}=…) is not a parameter of XGBoost that is known here.",
                hint="Leave it out, or use its first name: learning_rate and not eta.",
            )
        _check_plain(f"{type(obj).__name__}({key}=…)", value)
    return name, params


def build(name: str, params: Mapping[str, Any]) -> Any:
    """Return the object stored under ``name``, not trained.

    Raises :class:`UnknownClass` for a name outside the table, and :class:`ParameterError`.
    """
    namespace, _, cls_name = name.partition("/")
    cls = CLASSES.get(cls_name) if namespace == NAMESPACE else None
    if cls is None:
        raise UnknownClass(
            f"Nothing of XGBoost is stored as {name!r}.", hint=f"Known are {', '.join(CLASSES)}."
        )
    for key, value in params.items():
        if cls is xgboost.Booster or key not in _known(cls_name):
            raise UnknownParameter(
                f"{cls_name} has no parameter {key!r}.",
                hint="The stored model is of another version of XGBoost.",
            )
        _check_value(cls_name, key, value)
    try:
        return cls(**params)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{cls_name} cannot be made of these parameters: {error}.") from error


@cache
def _known(cls: str) -> frozenset[str]:
    return frozenset({*CLASSES[cls]().get_params(), *_EXTRA} - _NEVER_STORED)


def _check_plain(at: str, value: Any) -> None:
    """Raise :class:`NotSerializable` unless ``value`` is plain data."""
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set):
        for item in value:
            _check_plain(at, item)
    elif not isinstance(value, bool | int | float | str | np.ndarray | None):
        what = "code" if callable(value) else f"a {type(value).__name__}"
        raise NotSerializable(
            f"{at} is {what}, which is not stored.",
            hint="Use a name that XGBoost knows, or a number as the seed; a booster trained with "
            "an objective of your own is stored alone: model.get_booster().",
        )


def _check_value(cls: str, name: str, value: Any) -> None:
    wanted = _TYPES.get(name)
    if wanted is None or value is None:
        return
    limit = _LIMITS.get(name)
    boolean = isinstance(value, bool) and bool not in wanted
    if not isinstance(value, wanted) or boolean or (limit and not -limit <= value <= limit):
        raise ParameterError(
            f"{cls}({name}={value!r}) is refused.",
            hint=f"It is {' or '.join(cls.__name__ for cls in wanted)}"
            + (f" up to {limit}." if limit else "."),
        )
