"""Write a model out of a hub: as a directory, in ONNX, or its weights in one file for others."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from dc_core import explained, sync_directory
from dc_hub.errors import AlreadyExists, NotSerializable, ParamsError
from dc_hub.files.storage import make_directory, temporary, writing
from dc_hub.files.system import create_file
from dc_hub.files.urls import local_path
from dc_hub.format.tensors import write_tensors
from dc_hub.hubs.contract import HubLike, StoredModel
from dc_hub.hubs.reference import ModelName
from dc_hub.hubs.staging import Staging
from dc_hub.loading.opening import locate, open_model
from dc_hub.publishing.directories import copy_of
from dc_hub.publishing.onnx_files import to_onnx

ExportFormat = Literal["directory", "safetensors", "npz", "onnx"]
"""``directory``: the whole model; ``onnx``: what it predicts; the others: its weights alone."""

_FORMATS: Final = ("directory", "safetensors", "npz", "onnx")


@explained
def export(
    name: ModelName,
    where: str | os.PathLike[str],
    *,
    format: ExportFormat = "directory",
    inputs: Any = None,
    hub: HubLike = None,
    revision: str | None = None,
) -> StoredModel:
    """Write the model ``name`` of a hub to ``where``, verified, and return where it is now.

    As a ``directory`` it is a copy, byte for byte and with its signatures, which loads with
    :func:`load` on machines that have no hub. ``safetensors`` and ``npz`` are one file of the
    weights alone, by the names that their framework gives them, for programs of other kinds;
    tied weights appear once. Nothing is ever written as pickle.

    ``onnx`` is one file that computes the predictions of an estimator, for any number of rows,
    without its framework. Before it is written, onnxruntime runs it on the golden inputs of the
    model, or on ``inputs``, rows of X, and its predictions are compared with the model's: they may
    differ by 1e-5 and a ten-thousandth, or by the tolerance of the golden rows if that is larger.

    Exporting a model again to the same directory changes nothing. Raises :class:`AlreadyExists` if
    something else is there, :class:`NotSerializable` for dtypes that ``npz`` lacks (bfloat16), and
    the errors of :func:`from_pretrained`. For ``onnx`` it also raises :class:`NotSerializable` for
    models that ONNX cannot express, :class:`PredictionsChanged` if the predictions differ, and
    :class:`ParamsError` if there are no inputs to compare them for.
    """
    if format not in _FORMATS:
        raise ParamsError(
            f"format={format!r} is unknown.", path="format", hint=f"Use one of {_FORMATS}."
        )
    path = local_path(where)
    with open_model(locate(name, hub=hub, revision=revision), "full") as opened, writing(path):
        make_directory(path.parent)
        if format == "directory":
            copy = copy_of(opened)
            with Staging(path.parent) as staging:
                copy(staging)
                exported = staging.seal()
                return StoredModel(opened.source.name, exported, staging.move_to(path))
        _check_free(path)
        if format == "onnx":
            data = to_onnx(opened, inputs)
            _write_file(path, lambda file: file.write(data))
        elif format == "npz":
            _check_native(opened.weights)
            _write_file(path, partial(_write_npz, weights=opened.weights))
        else:
            _write_file(path, lambda file: write_tensors(file, opened.weights, {"format": "pt"}))
        return StoredModel(opened.source.name, opened.source.revision, path)


def _write_file(path: Path, write: Callable[[io.FileIO], object]) -> None:
    """Write the new file ``path``, which appears complete or not at all."""
    unfinished = temporary(path.parent)
    try:
        with io.FileIO(create_file(path.parent, unfinished.name), "wb") as file:
            write(file)
            os.fsync(file.fileno())
        _check_free(path)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_directory(path.parent)


def _write_npz(file: io.FileIO, weights: Mapping[str, np.ndarray]) -> None:
    """Write an archive for ``np.load``. ``np.savez`` takes no array that is called ``file``."""
    with zipfile.ZipFile(file, "w") as archive:
        for name in sorted(weights):
            # A ZipInfo without a time makes equal bytes of equal weights.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, weights[name], allow_pickle=False)


def _check_free(path: Path) -> None:
    if os.path.lexists(path):
        raise AlreadyExists(
            f"{path} already exists.", path=str(path), hint="Choose another name, or remove it."
        )


def _check_native(weights: Mapping[str, np.ndarray]) -> None:
    """Raise :class:`NotSerializable` for an array that NumPy's own format has no dtype for."""
    for name in weights:
        if weights[name].dtype.kind not in "biufc" or weights[name].dtype.isbuiltin != 1:
            raise NotSerializable(
                f"The weight {name!r} has dtype {weights[name].dtype}, which npz files lack.",
                path=name,
                hint="Export it as safetensors.",
            )
