"""Export a :class:`TorchModel` to ONNX."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dc_core import Column, Columns
from dc_core.errors import BackendNotInstalled, NotSerializable
from dc_torch.batches import input_dtype
from dc_torch.inference import as_floats, evaluating
from dc_torch.model import TorchModel
from dc_torch.weights import to_tensor
from dc_torch.wrapped import unwrapped


def export_onnx(model: Any, X: Columns) -> bytes:
    """Return an ONNX model whose output ``predictions`` is that of ``model.predict``.

    Raises :class:`NotSerializable` for a model that is not a :class:`TorchModel`, for ragged
    columns, and for a module that PyTorch's exporter cannot trace, and
    :class:`BackendNotInstalled` without the exporter's libraries.
    """
    if not isinstance(model, TorchModel):
        raise NotSerializable(
            f"{type(model).__name__} cannot be exported to ONNX.", hint="Export a TorchModel."
        )
    columns = X if isinstance(X, Mapping) else {"X": X}
    example = {name: _example(column) for name, column in columns.items()}
    prediction = _Prediction(model, named=isinstance(X, Mapping)).eval()
    rows = torch.export.Dim("rows")
    with evaluating(model.module), torch.inference_mode(False), torch.no_grad(), _quiet():
        try:
            program: Any = torch.onnx.export(
                prediction,
                (),
                kwargs={"columns": example},
                input_names=list(example),
                output_names=["predictions"],
                dynamic_shapes={"columns": {name: {0: rows} for name in example}},
                dynamo=True,
                verbose=False,
            )
        except ModuleNotFoundError as error:
            raise BackendNotInstalled(
                f"PyTorch's ONNX exporter needs {error.name}.",
                hint='Run: pip install "dc-torch[onnx]"',
            ) from error
        except MemoryError:
            raise
        except Exception as error:  # whatever the code of the module makes the tracer raise
            raise NotSerializable(
                f"PyTorch cannot export the {type(model.module).__name__} to ONNX: "
                f"{_reason(error)}",
                hint="torch.onnx.export(module, example, dynamo=True) shows the whole reason.",
            ) from error
    exported = program.model_proto
    for node in exported.graph.node:
        node.ClearField("metadata_props")  # names of files and classes of this program
    data: bytes = exported.SerializeToString(deterministic=True)
    return data


class _Prediction(nn.Module):
    """All of ``predict``: converting X, the module, and reading the predictions from its output."""

    def __init__(self, model: TorchModel, *, named: bool) -> None:
        super().__init__()
        self.module = unwrapped(model.module)
        self.named = named
        self.loss = model.config.loss_function()
        self.dtype = input_dtype(model.module, model.config)

    def forward(self, columns: dict[str, Tensor]) -> Tensor:
        """Return the predictions ``(n, tasks[, classes])``."""
        if self.named:
            output = self.module(**{name: self._cast(c) for name, c in columns.items()})
        else:
            output = self.module(columns["X"].to(self.dtype))
        return as_floats(self.loss.predictions(self.loss.with_tasks(output)))

    def _cast(self, column: Tensor) -> Tensor:
        return column.to(self.dtype) if column.is_floating_point() else column


def _example(column: Column) -> Tensor:
    """Return two rows like those of ``column``: of one row, its number could become a constant."""
    if not isinstance(column, np.ndarray):
        raise NotSerializable(
            "X is ragged, and ONNX models take arrays.", hint="Pad the rows to one length."
        )
    if column.dtype.kind not in "biuf":
        raise NotSerializable(
            f"X has the dtype {column.dtype}, which ONNX models of PyTorch do not take.",
            hint="Featurize it first.",
        )
    return torch.zeros((2, *column.shape[1:]), dtype=to_tensor(column[:0]).dtype)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which logs and warns of matters that do not concern the model."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _reason(error: BaseException) -> str:
    """Return the first line of the error that is at the root of ``error``."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:500]
