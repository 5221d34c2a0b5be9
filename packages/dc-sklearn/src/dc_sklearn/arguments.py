"""Constructor arguments that are neither numbers, text nor estimators, as plain values and back.

Functions are stored by name, from a closed set. Other objects of Python, NumPy and SciPy become
dictionaries of one key, a tag that begins with ``@``:

=================  ====================================================================
``@slice``         a slice: start, stop, step
``@array``         an array of text or of Python objects: ``dtype``, ``shape``, ``items``
``@RandomState``   a generator: ``key``, ``position``, ``has_gauss``, ``gauss``
``@distribution``  a frozen distribution of SciPy: ``name``, ``args``, ``kwds``
=================  ====================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from scipy import special, stats
from sklearn import feature_selection

from dc_core.errors import NotSerializable, ParameterError
from dc_sklearn.generators import generator_of, state_of

_SCORES: Final[Mapping[str, Any]] = {
    name: getattr(feature_selection, name)
    for name in (
        "chi2",
        "f_classif",
        "f_regression",
        "mutual_info_classif",
        "mutual_info_regression",
        "r_regression",
    )
}
"""The functions that a selector may score features with."""

_NUMPY: Final = (
    "absolute arccos arccosh arcsin arcsinh arctan arctanh cbrt ceil cos cosh deg2rad degrees exp "
    "exp2 expm1 fabs floor isfinite isinf isnan log log10 log1p log2 max mean median min "
    "nan_to_num nanmax nanmean nanmedian nanmin negative positive rad2deg radians reciprocal rint "
    "sign sin sinh sqrt square std sum tan tanh trunc var"
)
_SCIPY: Final = (
    "cbrt erf erfc erfcinv erfinv exp10 exp2 expit expm1 gammaln log1p log_expit log_ndtr logit "
    "ndtr ndtri"
)
_FUNCTIONS: Final[Mapping[str, Any]] = {
    **{f"numpy.{name}": getattr(np, name) for name in _NUMPY.split()},
    **{f"scipy.special.{name}": getattr(special, name) for name in _SCIPY.split()},
}
"""The functions that may transform or pool columns. None has effects besides its result."""

_BY_NAME: Final[Mapping[str, Mapping[str, Any]]] = {
    "score_func": _SCORES,
    "func": _FUNCTIONS,
    "inverse_func": _FUNCTIONS,
    "pooling_func": _FUNCTIONS,
}
"""Which functions each parameter may be; none of these parameters is ever a string."""

_ABSTRACT: Final = (
    *(np.generic, np.number, np.inexact, np.floating, np.complexfloating),
    *(np.integer, np.signedinteger, np.unsignedinteger, np.flexible, np.character),
)
_ARRAY_DTYPE: Final = re.compile(r"object|<U[1-9][0-9]{0,6}")
_TAG: Final = "@"
_ITEMS: Final = (bool, float, int, str, type(None))


def stored(parameter: str, value: Any) -> Any:
    """Return the argument ``value`` in its stored form; estimators stay objects.

    Raises :class:`NotSerializable` for a dictionary that looks like a tag, and for an array of
    objects that are neither numbers nor text.
    """
    by_name = _BY_NAME.get(parameter, {})
    if callable(value) and by_name:
        return next((name for name, function in by_name.items() if function is value), value)
    return _encode(value)


def restored(parameter: str, value: Any) -> Any:
    """Return the argument whose stored form is ``value``; raise :class:`ParameterError`."""
    if parameter == "dtype" and isinstance(value, np.dtype) and value.kind in "biuf":
        return value.type  # which some estimators call
    if isinstance(value, str):
        return _BY_NAME.get(parameter, {}).get(value, value)
    return _decode(parameter, value)


def _encode(value: Any) -> Any:
    if type(value) in (list, tuple):
        return type(value)(map(_encode, value))
    if type(value) is dict:
        if any(type(key) is str and key.startswith(_TAG) for key in value):
            raise NotSerializable(
                f"An argument is a dictionary with a key that begins with {_TAG!r}: {value!r}.",
                hint="Such keys stand for objects in stored models. Use another key.",
            )
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, slice):
        return {"@slice": [value.start, value.stop, value.step]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        return {"@array": _array_parts(value)}
    if isinstance(value, np.random.RandomState):
        key, position, has_gauss, gauss = state_of("random_state", value)
        parts = {"key": key, "position": position, "has_gauss": has_gauss, "gauss": gauss}
        return {"@RandomState": parts}
    if isinstance(value, stats._distn_infrastructure.rv_frozen):
        return {"@distribution": _distribution_parts(value)}
    if isinstance(value, type) and issubclass(value, np.generic):
        # pandas knows an abstract type, such as numpy.number, by its name.
        return value.__name__ if value in _ABSTRACT else np.dtype(value)
    return "object" if value is object else value


def _decode(parameter: str, value: Any) -> Any:
    if type(value) in (list, tuple):
        return type(value)(_decode(parameter, item) for item in value)
    if type(value) is not dict:
        return value
    tags = [key for key in value if type(key) is str and key.startswith(_TAG)]
    if not tags:
        return {key: _decode(parameter, item) for key, item in value.items()}
    (tag, *others), body = value, next(iter(value.values()))
    decode = _DECODERS.get(tag)
    try:
        if decode is not None and not others:
            return decode(body)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ParameterError(f"{parameter}={value!r} is not the stored form: {error}.") from error
    raise ParameterError(
        f"{parameter} has the unknown tag {tags[0]!r}, or another key besides a tag.",
        hint="The file was edited, or written by a newer version of dc-sklearn.",
    )


def _array_parts(value: np.ndarray) -> dict[str, Any]:
    items = value.ravel().tolist()
    if not all(type(item) in _ITEMS for item in items):
        raise NotSerializable(
            "An argument is an array of Python objects that are neither numbers nor text.",
            hint="Give an array of numbers or of str.",
        )
    dtype = "object" if value.dtype.kind == "O" else value.dtype.newbyteorder("<").str
    return {"dtype": dtype, "shape": list(value.shape), "items": items}


def _array(body: Any) -> np.ndarray:
    dtype, shape, items = (body[name] for name in ("dtype", "shape", "items"))
    if not _ARRAY_DTYPE.fullmatch(dtype) or not all(type(item) in _ITEMS for item in items):
        raise ValueError("an array of text or objects has other parts")
    width = 0 if dtype == "object" else int(dtype[2:])
    if width and width > max([1, *(len(item) for item in items)]):
        raise ValueError(f"no text has {width} characters")
    array = np.empty(len(items), dtype)
    array[:] = items
    return array.reshape([int(n) for n in shape])


def _slice(body: Any) -> slice:
    if len(body) != 3 or not all(type(end) in (int, str, type(None)) for end in body):
        raise ValueError("a slice has a start, a stop and a step")
    return slice(*body)


def _random_state(body: Any) -> Any:
    names = ("key", "position", "has_gauss", "gauss")
    return generator_of("random_state", *(body[name] for name in names))


def _distribution_parts(value: Any) -> dict[str, Any]:
    name = value.dist.name
    if not _is_of_scipy(name) or type(value.dist) is not type(getattr(stats, name)):
        raise NotSerializable(
            f"The distribution {name!r} is not one of scipy.stats.", hint="Use one that is."
        )
    return {"name": name, "args": list(value.args), "kwds": dict(value.kwds)}


def _distribution(body: Any) -> Any:
    name, args, kwds = (body[part] for part in ("name", "args", "kwds"))
    numbers = (int, float, np.integer, np.floating)
    if not _is_of_scipy(name) or not all(isinstance(a, numbers) for a in [*args, *kwds.values()]):
        raise ValueError("a distribution has a name of scipy.stats and numbers")
    return getattr(stats, name)(*args, **kwds)


def _is_of_scipy(name: Any) -> bool:
    found = getattr(stats, name, None) if isinstance(name, str) else None
    return isinstance(found, stats.rv_continuous | stats.rv_discrete) and found.name == name


_DECODERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "@slice": _slice,
    "@array": _array,
    "@RandomState": _random_state,
    "@distribution": _distribution,
}
