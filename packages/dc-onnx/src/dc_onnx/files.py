"""The converter ``onnx``: files that ONNX exporters write."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Final

from onnx import ModelProto

from dc_core import charge, hookimpl
from dc_core.errors import ConversionError, StructureError
from dc_core.plugins import Foreign
from dc_onnx.graph import parse
from dc_onnx.weights import has_values

_LARGEST: Final = (1 << 31) - 1
"""The largest message that protobuf reads, in bytes."""


@hookimpl
def dc_recognize_file(path: Path) -> str | None:
    """Return "an ONNX model" if the file begins with the version of one and can be parsed."""
    if path.stat().st_size > _LARGEST or path.suffix != ".onnx":
        return None
    with path.open("rb") as file:
        # Field 1 of a ModelProto, a varint, is the version of the format.
        head = file.read(2)
    return "an ONNX model" if len(head) == 2 and head[0] == 0x08 and head[1] < 0x80 else None


@hookimpl
def dc_read_file(path: Path, trusted: bool) -> Foreign:
    """Return the model in the file."""
    size = path.stat().st_size
    if size > _LARGEST:
        raise ConversionError(f"The file has {size} bytes, and ONNX models at most {_LARGEST}.")
    charge(size, "The ONNX file")
    try:
        model = parse(path.read_bytes())
    except StructureError as error:
        raise ConversionError(error.args[0], hint=error.hint) from error
    if not has_values(model):
        raise ConversionError("The file holds a graph whose initializers have no values.")
    return Foreign(
        what=f"an ONNX model, made by {_producer(model)}",
        obj=model,
        facts={
            "inputs": [value.name for value in model.graph.input],
            "outputs": [value.name for value in model.graph.output],
            "opsets": {use.domain or "ai.onnx": use.version for use in model.opset_import},
        },
        versions={"onnx": version("onnx")},
    )


def _producer(model: ModelProto) -> str:
    return f"{model.producer_name} {model.producer_version}".strip() or "an unknown program"
