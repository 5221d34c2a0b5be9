"""Prediction: many rows at once, in few shapes, and without gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import jax
import numpy as np

from dc_core import Columns, Dataset, row_count
from dc_core.errors import DatasetError, EmptyDataset, OutOfDeviceMemory
from dc_jax.arrays import to_numpy
from dc_jax.batches import InputForm, fitting_rows, input_of
from dc_jax.losses import Loss
from dc_jax.program import Program
from dc_jax.steps import predicted
from dc_jax.structure import Role, Weight, weights_of
from dc_jax.training_config import TrainingConfig

_BATCHES_PER_CALL: Final = 8
"""Prediction takes at most so many batches of vectors at once."""

_BYTES_PER_CALL: Final = 4 << 20
"""It takes more than one only if they are no larger than this."""


def predict(module: Any, config: TrainingConfig, dataset: Dataset, read: str) -> np.ndarray:
    """Return what the method ``read`` of the loss makes of the outputs for all rows.

    It is ``(n, tasks, ...)``, of float64 if the module's output is, and of float32 otherwise. The
    last rows are filled up with copies of the last one, so the module must not let rows affect each
    other in prediction.

    Raises :class:`EmptyDataset` if there is no row, and :class:`DatasetError` if X does not fit the
    module.
    """
    weights = weights_of(module)
    arrays = {weight.native: weight.value for weight in weights}
    program, form, loss = Program.of(module), form_of_input(weights, config), config.loss_function()
    parts: list[Any] = []
    for X, filled in _inputs(dataset, config.batch_size, form):
        rows = row_count(X)
        try:
            part = predicted(program, loss, read, arrays, input_of(X, form, filled))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise OutOfDeviceMemory(
                f"{filled} rows at once do not fit in the memory of the device.",
                hint="Set a smaller batch_size, or device='cpu'.",
            ) from error
        if part.shape[:1] != (filled,):
            raise DatasetError(
                f"For {filled} rows the {program.name} returned an output of shape {part.shape}.",
                hint="It must return one row per row.",
            )
        parts.append(part[:rows])
    if not parts:
        raise EmptyDataset("There is no row to predict for.")
    return np.concatenate([to_numpy(part, "predictions") for part in parts])


def form_of_input(weights: Sequence[Weight], config: TrainingConfig) -> InputForm:
    """Return what X is converted to: the config's dtype, or that of all the module's parameters."""
    dtype = config.resolve_input_dtype()
    if dtype is None:
        found = {np.dtype(w.value.dtype) for w in weights if w.role is Role.PARAMETER}
        dtype = found.pop() if len(found) == 1 else np.dtype(np.float32)
    return InputForm(dtype, None if config.device == "auto" else config.resolve_device())


def output_shape(
    program: Program, loss: Loss, arrays: Mapping[str, Any], X: Any, *, training: bool
) -> tuple[int, ...]:
    """Return the shape of the module's output for X, with an axis for the tasks.

    Raises :class:`DatasetError` if the module fails on X.
    """
    leaves, structure = jax.tree_util.tree_flatten((arrays, X))
    return _shape(program, loss, training, structure, tuple(map(_form, leaves)))


@lru_cache(maxsize=256)
def _shape(
    program: Program, loss: Loss, training: bool, structure: Any, leaves: tuple[Any, ...]
) -> tuple[int, ...]:
    arrays, X = structure.unflatten(leaves)

    def run(arrays: Any, X: Any) -> Any:
        output, _ = program.run(arrays, X, jax.random.key(0), training=training)
        return loss.with_tasks(output)

    return tuple(jax.eval_shape(run, arrays, X).shape)


def _form(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _inputs(dataset: Dataset, batch_size: int, form: InputForm) -> Iterator[tuple[Columns, int]]:
    """Yield X in order, and how many rows it is filled up to.

    Vectors of features are cheap, so several batches of them are taken at once; how many follows
    from the first.
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
        if done == 0 and isinstance(X, np.ndarray) and X.ndim == 2 and form.dtype.kind == "f":
            fitting = _BYTES_PER_CALL // max(1, X.nbytes // len(X))
            rows = max(batch_size, min(_BATCHES_PER_CALL * batch_size, fitting))
        yield X, fitting_rows(len(asked), max(rows, len(asked)))
        done += len(asked)
