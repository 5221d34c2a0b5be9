"""``FunctionFeaturizer``: a function of the user's own as a featurizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import numpy as np

from dc_core import Failure, FailureReport, Features, Featurizer
from dc_core.errors import ParameterError
from dc_pipeline.inputs import as_sequence

F = TypeVar("F", bound=Callable[[Any], Any])

_FUNCTIONS: Final[dict[str, Callable[[Any], Any]]] = {}


def register_function(name: Any) -> Callable[[F], F]:
    """Return a decorator that registers a function as ``<namespace>/<name>`` for this program.

    Stored models name the function; a program that loads them must have registered it.

    Raises :class:`ParameterError` if the name has no namespace, or is another function's.
    """
    if not isinstance(name, str) or name.count("/") != 1 or not all(name.split("/")):
        raise ParameterError(f"{name!r} cannot be a name.", hint="Use '<namespace>/<name>'.")

    def decorate(function: F) -> F:
        other = _FUNCTIONS.get(name)
        if other is not None and _path(other) != _path(function):
            raise ParameterError(f"The name {name!r} is taken.", hint="Choose another.")
        _FUNCTIONS[name] = function
        return function

    return decorate


def _path(function: Any) -> tuple[Any, Any]:
    return getattr(function, "__module__", None), getattr(function, "__qualname__", None)


class FunctionFeaturizer(Featurizer[Any]):
    """Featurizes each input by ``function``: a function of one input, or a registered name.

    It returns a number or an array; all must have the same shape. Features are ``(n, ...)``, for
    numbers ``(n, 1)``, of a dtype that holds them all. They are zero where the function raised an
    exception, or returned another shape than before; those rows fail with the status ``feature``.

    A model with it can be stored if the function is registered::

        @register_function("mylab/length")
        def length(smiles: str) -> float:
            return float(len(smiles))

    Raises :class:`ParameterError` for a name that is not registered, and for what is not callable.
    """

    def __init__(self, function: Callable[[Any], Any] | str) -> None:
        if isinstance(function, str):
            if function not in _FUNCTIONS:
                raise ParameterError(
                    f"There is no function {function!r}.",
                    hint="Import the module that registers it by @register_function.",
                )
            self.function = _FUNCTIONS[function]
        elif callable(function):
            self.function = function
        else:
            raise ParameterError(
                f"{function!r} is not a function.", hint="Give a function of one input."
            )

    def get_parameters(self) -> dict[str, Any]:
        """Return the constructor's argument, by its name if the function is registered."""
        names = [name for name, function in _FUNCTIONS.items() if function is self.function]
        return {"function": names[0]} if names else super().get_parameters()

    def featurize(self, inputs: Sequence[Any], *, strict: bool = False) -> Features:
        """Return the function's value for each input, zero where it failed.

        Raises :class:`FeaturizationError` with the failures if ``strict``, and
        :class:`DatasetError` if the inputs have no order or length.
        """
        inputs = as_sequence(inputs)
        rows: dict[int, np.ndarray] = {}
        failures: list[Failure] = []
        shape: tuple[int, ...] | None = None
        for i, given in enumerate(inputs):
            try:
                value = np.atleast_1d(self.function(given))
            except Exception as error:  # noqa: BLE001 - whatever the user's function raises
                reason = f"{type(error).__name__}: {error}"
            else:
                reason = _unusable(value, shape)
                if not reason:
                    rows[i], shape = value, value.shape
            if reason:
                failures.append(Failure(i, str(given), "feature", reason))
        report = FailureReport(tuple(failures))
        if strict:
            report.raise_if_any()
        dtype = np.result_type(*{row.dtype for row in rows.values()} or {np.dtype(np.float64)})
        values = np.zeros((len(inputs), *(shape or (1,))), dtype)
        ok = np.zeros(len(inputs), bool)
        for i, value in rows.items():
            values[i] = value
            ok[i] = True
        return Features(values, ok, report)


def _unusable(value: np.ndarray, shape: tuple[int, ...] | None) -> str:
    """Return why a value cannot be a row, or an empty string."""
    if value.dtype.kind not in "biufc":
        return f"the function returned dtype {value.dtype}, not numbers"
    if shape is not None and value.shape != shape:
        return f"the function returned shape {value.shape}, and {shape} for rows before"
    return ""
