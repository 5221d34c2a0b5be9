"""``Session``: an ONNX model that onnxruntime runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Self

import numpy as np
import onnxruntime
from onnx import ModelProto, TypeProto, ValueInfoProto
from onnx.helper import tensor_dtype_to_np_dtype

from dc_core import Column, Columns, Dataset, Estimator, NumpyDataset, check_count, row_count
from dc_core.errors import (
    DatasetError,
    EmptyDataset,
    NotFitted,
    ParameterError,
    StructureError,
    Unsupported,
)
from dc_onnx.graph import check
from dc_onnx.weights import has_values

_LARGEST: Final = (1 << 31) - 1


class Session(Estimator):
    """A read-only estimator around an ONNX model: X ``(n, ...)`` to the output's ``(n, ...)``.

    ``model`` is an ``onnx.ModelProto`` of standard operators, such as ``onnx.load(path)`` returns.
    ``output`` names the output that :meth:`predict` returns; by default it is the first one.
    onnxruntime runs the model on the CPU, ``batch_size`` rows at a time.

    A model of one input takes X as one array. One of several takes named columns, by the inputs'
    names. It cannot be trained: train the model that it was exported from.

    Raises :class:`StructureError` for operators that are not standard ones, and
    :class:`ParameterError` if there is no such output.
    """

    backend = "onnx"

    def __init__(
        self, model: ModelProto, output: str | None = None, batch_size: int = 1024
    ) -> None:
        if not isinstance(model, ModelProto):
            raise ParameterError(
                f"Session runs an onnx.ModelProto, not a {type(model).__name__}.",
                hint="Pass what onnx.load(path) returns.",
            )
        check(model)
        self.model = model
        self.output = _output(model, output)
        self.batch_size = check_count("batch_size", batch_size, minimum=1)
        self._runtime: onnxruntime.InferenceSession | None = None

    @property
    def native(self) -> ModelProto:
        """The model. Its weights are its initializers."""
        return self.model

    @native.setter
    def native(self, model: ModelProto) -> None:
        self.model = model
        self._runtime = None

    @property
    def is_fitted(self) -> bool:
        """Whether the initializers have values."""
        return has_values(self.model)

    def fit(self, dataset: Dataset, *, valid: Dataset | None = None) -> Self:
        """Raise :class:`Unsupported`: an exported model has no training step."""
        raise Unsupported(
            "An ONNX session is read-only.",
            hint="Train the model that it was exported from, and export it again.",
        )

    def predict(self, dataset: Dataset | np.ndarray) -> np.ndarray:
        """Return the output for a dataset, or for an array of its X: ``(n, ...)``.

        It has the dtype that the model computes. Numbers of X become the dtype of the input if that
        can hold them: integers become floating-point numbers, and never the reverse.

        Raises :class:`EmptyDataset` if there is no row, :class:`DatasetError` if X does not fit the
        inputs, and :class:`StructureError` if onnxruntime refuses the model.
        """
        rows = dataset if isinstance(dataset, Dataset) else NumpyDataset(dataset)
        if len(rows) == 0:
            raise EmptyDataset("There is no row to predict for.")
        return np.concatenate(list(self._outputs(rows)))

    def _outputs(self, dataset: Dataset) -> Iterator[np.ndarray]:
        runtime, inputs = self._started(), _inputs(self.model)
        for batch in dataset.batches(self.batch_size, parts=("X",)):
            feed, rows = _feed(batch.X, inputs), row_count(batch.X)
            try:
                (output,) = runtime.run([self.output], feed)
            except MemoryError:
                raise
            except Exception as error:  # onnxruntime's errors have no public base
                raise DatasetError(
                    f"The ONNX model fails on {rows} rows: {_first_line(error)}",
                    hint="Give X the shape of its inputs: "
                    + ", ".join(f"{name} {_shape(value)}" for name, value in inputs.items()),
                ) from error
            if not isinstance(output, np.ndarray) or output.ndim == 0 or len(output) != rows:
                raise DatasetError(
                    f"For {rows} rows the output {self.output!r} is {_form(output)}.",
                    hint="Export the model with a dynamic batch axis, or name another output.",
                )
            yield output

    def _started(self) -> onnxruntime.InferenceSession:
        if self._runtime is not None:
            return self._runtime
        if not has_values(self.model):
            raise NotFitted("The graph has no weights yet.", hint="Load them first.")
        if self.model.ByteSize() > _LARGEST:
            raise StructureError("onnxruntime takes no model of more than 2 GiB from memory.")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.use_deterministic_compute = True
        try:
            self._runtime = onnxruntime.InferenceSession(
                self.model.SerializeToString(),
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # which prints, and tries the same again
            )
        except MemoryError:
            raise
        except Exception as error:  # as above
            raise StructureError(
                f"onnxruntime refuses the model: {_first_line(error)}",
                hint="Look at it with onnx.checker.check_model(model, full_check=True).",
            ) from error
        return self._runtime


def _output(model: ModelProto, name: str | None) -> str:
    names: list[str] = [value.name for value in model.graph.output]
    if name is None:
        return names[0]
    if name not in names:
        raise ParameterError(f"The model has no output {name!r}.", hint=f"It has {names}.")
    return name


def _inputs(model: ModelProto) -> dict[str, ValueInfoProto]:
    """Return the inputs that are not initializers, by name."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return {value.name: value for value in model.graph.input if value.name not in weights}


def _feed(X: Columns, inputs: Mapping[str, ValueInfoProto]) -> dict[str, np.ndarray]:
    if isinstance(X, Mapping):
        if X.keys() != inputs.keys():
            raise DatasetError(
                f"X has the columns {sorted(X)}; the model takes {sorted(inputs)}.",
                hint="Name the columns after the inputs.",
            )
        return {name: _converted(name, X[name], value.type) for name, value in inputs.items()}
    if len(inputs) != 1:
        raise DatasetError(
            f"X is one column, and the model takes {sorted(inputs)}.", hint="Give named columns."
        )
    ((name, value),) = inputs.items()
    return {name: _converted(name, X, value.type)}


def _converted(name: str, column: Column, kind: TypeProto) -> np.ndarray:
    """Return ``column`` with the dtype of the input ``name``."""
    if not isinstance(column, np.ndarray):
        raise DatasetError(
            f"The input {name!r} would be ragged, and ONNX models take arrays.",
            hint="Pad the rows to one length.",
        )
    try:
        dtype = np.dtype(tensor_dtype_to_np_dtype(kind.tensor_type.elem_type))
    except (KeyError, TypeError) as error:
        raise DatasetError(f"The input {name!r} of the model is not a tensor.") from error
    if column.dtype.kind == "T" and dtype.kind == "O":
        return column.astype(object)
    if not np.can_cast(column.dtype, dtype, "same_kind") or dtype.kind == "O":
        raise DatasetError(
            f"X has the dtype {column.dtype}, and the input {name!r} takes {dtype}.",
            hint="Convert X with .astype() if that is intended.",
        )
    return np.ascontiguousarray(column, dtype)


def _shape(value: ValueInfoProto) -> str:
    dims = value.type.tensor_type.shape.dim
    return f"({', '.join(str(d.dim_param or d.dim_value or '?') for d in dims)})"


def _form(output: object) -> str:
    if isinstance(output, np.ndarray):
        return f"an array of shape {output.shape}"
    return f"a {type(output).__name__}"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:500]
