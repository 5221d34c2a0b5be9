"""The closed table of classes, and their parameters: how they are stored and made again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import lightgbm

from dc_core import plain
from dc_core.errors import NotSerializable, ParameterError, UnknownClass, UnknownParameter
from dc_lightgbm import parameters

NAMESPACE: Final = "lightgbm"
CLASSES: Final[Mapping[str, type[Any]]] = {
    cls.__name__: cls
    for cls in (
        lightgbm.Booster,
        lightgbm.LGBMClassifier,
        lightgbm.LGBMRanker,
        lightgbm.LGBMRegressor,
    )
}

_BLANK: Final = "_not_trained_"
"""The only feature of a booster that is not trained, which LightGBM itself does not have."""

_TEXT: Final = (
    "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=0\n"
    f"feature_names={_BLANK}\nfeature_infos=none\ntree_sizes=\n\nend of trees\n"
    "\npandas_categorical:null\n"
)
_PRINTS: Final = frozenset({"silent", "verbose", "verbosity"})
_TYPES: Final[Mapping[str, tuple[type[Any], ...]]] = {
    "boosting_type": (str,),
    "importance_type": (str,),
    "n_estimators": (int,),
    "n_jobs": (int,),
    "objective": (str,),
}
_LIMITS: Final = {"n_jobs": 256, "n_estimators": 1_000_000}


def stored_name(obj: Any) -> str | None:
    """Return the name that the class of ``obj`` is stored under, None if there is none."""
    name = type(obj).__name__
    return f"{NAMESPACE}/{name}" if CLASSES.get(name) is type(obj) else None


def blank_booster() -> lightgbm.Booster:
    """Return a booster that is not trained."""
    return lightgbm.Booster(model_str=_TEXT)


def is_blank(booster: lightgbm.Booster) -> bool:
    """Tell whether a booster is one of :func:`blank_booster`."""
    return bool(booster.num_trees() == 0 and booster.feature_name() == [_BLANK])


def describe(obj: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return ``("lightgbm/<ClassName>", params)``, or None for what is not in the table.

    What to print is not stored. Raises :class:`NotSerializable` for a parameter that is code, a
    random-number generator, or unknown, naming it.
    """
    name = stored_name(obj)
    if name is None:
        return None
    if isinstance(obj, lightgbm.Booster):
        return name, {}
    params = {k: plain(v) for k, v in obj.get_params().items() if k not in _PRINTS}
    for key, value in params.items():
        if key not in _known(type(obj).__name__):
            raise NotSerializable(
                f"{type(obj).__name__}({key}=…) is not a parameter of LightGBM that is stored.",
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
            f"Nothing of LightGBM is stored as {name!r}.", hint=f"Known are {', '.join(CLASSES)}."
        )
    for key, value in params.items():
        if cls is lightgbm.Booster or key not in _known(cls_name):
            raise UnknownParameter(
                f"{cls_name} has no parameter {key!r}.",
                hint="The stored model is of another version of LightGBM.",
            )
        _check_value(cls_name, key, value)
    if cls is lightgbm.Booster:
        return blank_booster()
    try:
        # How many lines LightGBM prints is up to the program.
        return cls(**params, verbosity=-1)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{cls_name} cannot be made of these parameters: {error}.") from error


@cache
def _known(cls: str) -> frozenset[str]:
    return frozenset({*CLASSES[cls]().get_params(), *parameters.STORED, *parameters.ALIASES})


def _check_plain(at: str, value: Any) -> None:
    """Raise :class:`NotSerializable` unless ``value`` is plain data."""
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set):
        for item in value:
            _check_plain(at, item)
    elif not isinstance(value, bool | int | float | str | None):
        what = "code" if callable(value) else f"a {type(value).__name__}"
        raise NotSerializable(
            f"{at} is {what}, which is not stored.",
            hint="Use a name that LightGBM knows, or a number as the seed; a booster trained with "
            "an objective of your own is stored alone: model.booster_.",
        )


def _check_value(cls: str, name: str, value: Any) -> None:
    wanted = _TYPES.get(name)
    if wanted is None or value is None:
        return
    limit = _LIMITS.get(name)
    boolean = isinstance(value, bool)
    if not isinstance(value, wanted) or boolean or (limit and not -limit <= value <= limit):
        raise ParameterError(
            f"{cls}({name}={value!r}) is refused.",
            hint=f"It is {' or '.join(cls.__name__ for cls in wanted)}"
            + (f" up to {limit}." if limit else "."),
        )
