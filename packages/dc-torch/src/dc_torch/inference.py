"""Run a module in evaluation mode, without recording gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from dc_core import Batch, Columns, Dataset, DCError, row_count
from dc_core.errors import DatasetError, EmptyDataset, OutOfDeviceMemory, ParameterError
from dc_torch.batches import Input, RaggedTensor, input_dtype, input_of
from dc_torch.compilation import is_of_compiler
from dc_torch.training_config import TrainingConfig
from dc_torch.weights import to_array
from dc_torch.wrapped import unwrapped

_BATCHES_PER_CALL: Final = 16
"""Prediction takes at most so many batches of vectors at once."""

_BYTES_PER_CALL: Final = 8 << 20
"""It takes more than one only if they are no larger than this."""


@contextmanager
def evaluating(
    module: nn.Module,
    without_gradients: Callable[[], AbstractContextManager[Any]] = torch.inference_mode,
) -> Iterator[None]:
    """Put every submodule of ``module`` in evaluation mode, and restore the modes at exit."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with without_gradients():
            yield
    finally:
        for part in training:
            part.training = True


def outputs(
    module: nn.Module,
    config: TrainingConfig,
    device: torch.device,
    dataset: Dataset,
    parts: Sequence[str],
) -> Iterator[tuple[Batch, Tensor]]:
    """Yield the ``parts`` of the rows in order, batch by batch, with the module's output."""
    dtype = input_dtype(module, config)
    loss = config.loss_function()
    for batch in dataset.batches(config.batch_size, parts=parts):
        output = run(module, input_of(batch.X, dtype, device))
        yield batch, loss.with_tasks(output)


def run(module: nn.Module, X: Input) -> Any:
    """Return ``module(X)``, or ``module(**X)`` for named columns.

    Raises :class:`DatasetError` if the module fails on ``X``, :class:`ParameterError` if it cannot
    be compiled, and :class:`OutOfDeviceMemory`.
    """
    try:
        return module(**X) if isinstance(X, dict) else module(X)
    except torch.OutOfMemoryError as error:
        if module.training:
            raise  # the trainer knows what fits
        raise OutOfDeviceMemory(
            f"{_rows(X)} rows at once do not fit in the memory of the device. ({error})",
            hint="Set a smaller batch_size, or device='cpu'.",
        ) from error
    except DCError:
        raise
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        if is_of_compiler(error):
            raise ParameterError(
                f"The {type(unwrapped(module)).__name__} cannot be compiled: {error}",
                hint="Set compile=False, or install what the message asks for.",
            ) from error
        raise DatasetError(
            f"The {type(unwrapped(module)).__name__} fails on X of {_form(X)}: "
            f"{type(error).__name__}: {error}",
            hint=_ONE_ROW
            if module.training and _rows(X) == 1
            else "Give X the shape that its forward() takes; input_dtype sets its dtype.",
        ) from error


def predict(
    module: nn.Module,
    config: TrainingConfig,
    device: torch.device,
    dataset: Dataset,
    read: Callable[[Tensor], Tensor],
) -> np.ndarray:
    """Return what ``read`` makes of the outputs for all rows: ``(n, tasks, ...)``.

    They are float64 if the module's output is, and float32 otherwise. They stay on the device until
    all are computed; of X, only the rows of one call are in memory at a time. How many these are
    depends on the dataset and the config alone, so that equal calls give equal bits. Raises
    :class:`EmptyDataset` if there is no row.
    """
    dtype = input_dtype(module, config)
    loss = config.loss_function()
    result: Tensor | None = None
    done = 0
    with evaluating(module):
        for X in _inputs(dataset, config.batch_size, dtype):
            part = as_floats(read(loss.with_tasks(run(module, input_of(X, dtype, device)))))
            if result is None:
                result = part.new_empty((len(dataset), *part.shape[1:]))
            rows = row_count(X)
            if part.shape != (rows, *result.shape[1:]):
                raise DatasetError(
                    f"For {rows} rows the {type(module).__name__} returned an output of "
                    f"shape {tuple(part.shape)}.",
                    hint="Its forward() must return one row per row, and the same shape for each.",
                )
            result[done : done + rows] = part
            done += rows
    if result is None:
        raise EmptyDataset("There is no row to predict for.")
    return to_array(result, copy=False)


def _inputs(dataset: Dataset, batch_size: int, dtype: torch.dtype) -> Iterator[Columns]:
    """Yield X in order, as many rows at once as a module that takes ``dtype`` is called with.

    Vectors of features are cheap, and small calls of the module cost more than its sums; how many
    are taken follows from the first batch. What rows of any other form need within the module is
    not known, so they are as many as in training.
    """
    done, rows, total = 0, batch_size, len(dataset)
    while done < total:
        asked = np.arange(done, min(done + rows, total))
        X = dataset.rows(asked, ("X",)).X
        if row_count(X) != len(asked) or len(dataset) != total:
            raise DatasetError(
                f"The dataset gave {row_count(X)} of {len(asked)} rows, and has {len(dataset)} now "
                f"of {total}: it changes while it is read.",
                hint="Predict for a dataset that stays as it is: copy it, or read it first.",
            )
        if done == 0 and isinstance(X, np.ndarray) and X.ndim == 2 and dtype.is_floating_point:
            fitting = _BYTES_PER_CALL // max(1, X.nbytes // len(X))
            rows = max(batch_size, min(_BATCHES_PER_CALL * batch_size, fitting))
        yield X
        done += row_count(X)


def as_floats(output: Tensor) -> Tensor:
    """Return ``output`` as float64 if it is, and as float32 otherwise."""
    return output if output.dtype == torch.float64 else output.float()


_ONE_ROW: Final = (
    "It was given one row, of which a batch norm has no statistics: train on more rows, with a "
    "batch_size of at least 2, or freeze it (freeze=['norm.*'])."
)


def _rows(X: Input) -> int:
    column = next(iter(X.values()), None) if isinstance(X, dict) else X
    if column is None:
        return 0
    return len(column.offsets) - 1 if isinstance(column, RaggedTensor) else len(column)


def _form(X: Input) -> str:
    if isinstance(X, dict):
        return "; ".join(f"{name}: {_form(column)}" for name, column in X.items())
    if isinstance(X, RaggedTensor):
        return f"{len(X.offsets) - 1} ragged rows with values of {_form(X.values)}"
    return f"shape {tuple(X.shape)} and dtype {str(X.dtype).removeprefix('torch.')}"
