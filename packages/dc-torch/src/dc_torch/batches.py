"""Turn the columns of a dataset's rows into tensors."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from dc_core import Column, Columns, Ragged
from dc_core.errors import DatasetError
from dc_torch.training_config import TrainingConfig
from dc_torch.weights import aligned, to_tensor


def input_dtype(module: nn.Module, config: TrainingConfig) -> torch.dtype:
    """Return the dtype of X on the device: the config's, or that of all the module's floats."""
    if config.input_dtype is not None:
        dtype: torch.dtype = getattr(torch, config.input_dtype)
        return dtype
    floats = {p.dtype for p in module.parameters() if p.is_floating_point() or p.is_complex()}
    return floats.pop() if len(floats) == 1 else torch.get_default_dtype()


class RaggedTensor(NamedTuple):
    """A ragged column of a batch: row i is ``values[offsets[i]:offsets[i + 1]]``.

    ``values`` is ``(total, ...)``, ``offsets`` is ``(b + 1,)`` of int64.
    """

    values: Tensor
    offsets: Tensor


Input: TypeAlias = "Tensor | RaggedTensor | dict[str, Tensor | RaggedTensor]"
"""What a module is called with: one column, or the named columns as keyword arguments."""


def input_of(X: Columns, dtype: torch.dtype, device: torch.device) -> Input:
    """Return X on ``device``.

    If X is one array, it becomes ``dtype``; it is converted on the device, so small integers stay
    small on the way. Of ragged and named columns, only floating-point and complex numbers become
    ``dtype``. Integers are codes and places, which become int32 if they fit and else int64, because
    torch looks nothing up by the smaller types; bools stay bools.

    Raises :class:`DatasetError` for text, and for complex numbers if ``dtype`` is real.
    """
    if isinstance(X, np.ndarray):
        return _converted(X, dtype, device)
    if isinstance(X, Ragged):
        return _column(X, dtype, device)
    return {name: _column(column, dtype, device) for name, column in X.items()}


def _column(column: Column, dtype: torch.dtype, device: torch.device) -> Tensor | RaggedTensor:
    values = column.values if isinstance(column, Ragged) else column
    if values.dtype.kind in "iu":
        fits = np.can_cast(values.dtype, np.int32)
        tensor = to_tensor(values).to(device).to(torch.int32 if fits else torch.int64)
    elif values.dtype.kind == "b":
        tensor = to_tensor(values).to(device)
    else:
        tensor = _converted(values, dtype, device)
    if isinstance(column, Ragged):
        return RaggedTensor(tensor, to_tensor(column.offsets).to(device))
    return tensor


def _converted(X: np.ndarray, dtype: torch.dtype, device: torch.device) -> Tensor:
    if X.dtype.kind in "STU":
        raise DatasetError(
            "The dataset's X is text, and the module needs numbers.",
            hint="Featurize it first, or put the featurizer and the model into one pipeline.",
        )
    if X.dtype.kind == "c" and not dtype.is_complex:
        raise DatasetError(
            "The dataset's X is complex, and the module takes real numbers.",
            hint="Give the real and imaginary parts as separate features.",
        )
    tensor = to_tensor(X)
    if device.type != "cpu":
        tensor = tensor.to(device, non_blocking=True)
    return aligned(tensor.to(dtype))
