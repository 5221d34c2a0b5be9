"""Golden rows: sample inputs, and the outputs of the model for them when it was stored.

Years later and in another backend they show whether the model still computes the same:
``dc_hub.check_golden(name)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from dc_core import Component, Dataset, charge, dense_array
from dc_hub.errors import NotSerializable, ParamsError, WeightsFileError

_METHODS: Final = ("predict", "embed", "act")


@dataclass(frozen=True, slots=True)
class Golden:
    """Inputs to store with a model, and the tolerance for its outputs.

    ``inputs`` is an array ``(n, ...)`` of numbers, or ``(n,)`` of str. An output passes where
    ``|now - then| <= atol + rtol · |then|``. ``measured`` are the true values of the rows, ``(n,)``
    or ``(n, tasks)``: numbers in the units of the outputs, or numbers of classes, and NaN where
    nothing was measured. They are shown beside the outputs and change no check; they are published
    only if they are given here.
    """

    inputs: Any
    rtol: float = 1e-5
    atol: float = 1e-6
    measured: Any = None


@dataclass(frozen=True, slots=True)
class GoldenRows:
    """Stored golden rows: the outputs ``(n, ...)``, and the measured values, if any.

    ``measured`` is ``(n,)`` or ``(n, tasks)``, with NaN where nothing was measured.
    """

    outputs: np.ndarray
    measured: np.ndarray | None


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How a model's outputs for its golden inputs compare with the stored ones.

    ``max_difference`` is the largest absolute difference (infinite where one of two is NaN).
    """

    passed: bool
    rows: int
    max_difference: float
    rtol: float
    atol: float


def golden_tensors(model: Any, golden: Any) -> dict[str, np.ndarray]:
    """Return the content of ``golden.safetensors`` for ``model``, computing the outputs.

    ``golden`` is a :class:`Golden`, or the inputs alone: an array, a list of strings, or a dataset,
    whose X is taken. Tensors: ``inputs`` (or, for strings, ``inputs.utf8``, their bytes one after
    another, and ``inputs.offsets``, ``(n + 1,)``), ``outputs``, ``tolerance`` (rtol and atol), and
    ``measured`` if there are measured values.

    Raises :class:`NotSerializable` for inputs or outputs that are not numbers or strings, and
    :class:`ParamsError` for a model that computes nothing from inputs alone.
    """
    if not isinstance(golden, Golden):
        golden = Golden(golden)
    inputs = golden.inputs
    if isinstance(inputs, Dataset):
        inputs = dense_array(inputs.X, "golden=")
    inputs = np.asarray(inputs)
    tensors = {
        **_input_tensors(inputs),
        "outputs": _compute(model, inputs),
        "tolerance": np.array([golden.rtol, golden.atol], np.float64),
    }
    if golden.measured is not None:
        tensors["measured"] = _measured(golden.measured, len(inputs))
    return tensors


def read_golden(tensors: Mapping[str, np.ndarray], path: str) -> GoldenRows:
    """Return the rows in ``tensors``, the content of the file at ``path``.

    Raises :class:`WeightsFileError` if they are inconsistent.
    """
    with _readable(path):
        outputs = _numbers(tensors, "outputs", "biufc")
        measured = tensors.get("measured")
        if measured is not None:
            measured = _numbers(tensors, "measured", "f", np.float64, axes=(1, 2))
            if outputs.ndim == 0 or len(outputs) != len(measured):
                raise ValueError(
                    f"outputs has the shape {outputs.shape}, measured {measured.shape}"
                )
    return GoldenRows(outputs, measured)


def compare_golden(model: Component, tensors: Mapping[str, np.ndarray], path: str) -> CheckResult:
    """Compute the outputs of ``model`` again, and compare them with those in ``tensors``."""
    with _readable(path):
        inputs = _inputs(tensors)
        then = _numbers(tensors, "outputs", "biufc")
        rtol, atol = _numbers(tensors, "tolerance", "f", np.float64).tolist()
    now = _compute(model, inputs)
    if now.shape != then.shape:
        return CheckResult(False, len(inputs), float("inf"), rtol, atol)
    a, b = now.astype(np.complex128), then.astype(np.complex128)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(a - b))
        allowed = atol + rtol * np.abs(b)
    difference = np.where(np.isnan(difference), np.inf, difference)
    passed = bool(np.all(same | (difference <= allowed)))
    return CheckResult(passed, len(inputs), float(difference.max(initial=0.0)), rtol, atol)


@contextmanager
def _readable(path: str) -> Iterator[None]:
    """Convert the errors of malformed tensors to :class:`WeightsFileError`."""
    try:
        yield
    except (KeyError, ValueError, IndexError, UnicodeDecodeError) as error:
        raise WeightsFileError(
            f"The golden rows cannot be read: {type(error).__name__}: {error}.",
            path=path,
            hint="Publish the model again with golden=...",
        ) from error


def _measured(given: Any, rows: int) -> np.ndarray:
    """Return measured values as ``(n,)`` or ``(n, tasks)`` of float64."""
    try:
        measured = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise NotSerializable(
            f"The measured values are not numbers: {error}.",
            path="golden",
            hint="Give numbers, those of the classes for a classifier, and NaN for unknown ones.",
        ) from error
    if measured.ndim not in (1, 2) or len(measured) != rows:
        raise NotSerializable(
            f"The measured values have the shape {measured.shape}, but there are {rows} inputs.",
            path="golden",
            hint="Give one value per input, or one row of values, one per task.",
        )
    return measured


def _input_tensors(inputs: np.ndarray) -> dict[str, np.ndarray]:
    if inputs.dtype.kind in "TU" and inputs.ndim == 1:
        encoded = [str(text).encode() for text in inputs]
        return {
            "inputs.utf8": np.frombuffer(b"".join(encoded), np.uint8),
            "inputs.offsets": np.cumsum([0, *map(len, encoded)], dtype=np.int64),
        }
    if inputs.dtype.kind not in "biufc" or inputs.ndim == 0:
        raise NotSerializable(
            f"Golden inputs of shape {inputs.shape} and dtype {inputs.dtype} cannot be stored.",
            path="golden",
            hint="Give an array of numbers with one row per sample, or a list of strings.",
        )
    return {"inputs": inputs}


def _inputs(tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    if "inputs" in tensors:
        inputs = _numbers(tensors, "inputs", "biufc")
        if inputs.ndim == 0:
            raise ValueError("inputs has no rows")
        return inputs
    data = _numbers(tensors, "inputs.utf8", "u", np.uint8).tobytes()
    offsets = _numbers(tensors, "inputs.offsets", "i", np.int64).tolist()
    if offsets[0] != 0 or offsets[-1] != len(data) or offsets != sorted(offsets):
        raise ValueError("the offsets of the strings do not match their bytes")
    texts = [data[a:b].decode() for a, b in pairwise(offsets)]
    # A NumPy array pads every string to the longest one.
    charge(4 * len(texts) * max(map(len, texts), default=0), "The golden strings")
    return np.array(texts, dtype=np.str_)


def _numbers(
    tensors: Mapping[str, np.ndarray],
    name: str,
    kinds: str,
    dtype: type | None = None,
    axes: tuple[int, ...] = (1,),
) -> np.ndarray:
    """Return the tensor ``name`` of one of ``kinds``; with ``dtype``, of that and of rank ``axes``.

    Raises ``KeyError`` and ``ValueError``.
    """
    tensor = tensors[name]
    if tensor.dtype.kind not in kinds or (
        dtype is not None and (tensor.dtype != dtype or tensor.ndim not in axes)
    ):
        raise ValueError(f"{name} has the dtype {tensor.dtype} and the shape {tensor.shape}")
    return tensor


def _compute(model: Any, inputs: np.ndarray) -> np.ndarray:
    method = next((m for m in _METHODS if callable(getattr(model, m, None))), None)
    if method is None:
        raise ParamsError(
            f"{type(model).__name__} has none of the methods {', '.join(_METHODS)}.",
            path="golden",
            hint="Publish it without golden=...",
        )
    outputs = np.asarray(getattr(model, method)(inputs))
    if outputs.dtype.kind not in "biufc":
        raise NotSerializable(
            f"Outputs of dtype {outputs.dtype} cannot be stored as golden rows.",
            path="golden",
            hint="Publish it without golden=...",
        )
    return outputs
