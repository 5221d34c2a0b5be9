"""The training state of a model: optimizer, schedule, step, random numbers.

Predictions do not depend on it, so it has a file of its own and is stored only on request: two
models that predict the same have one revision, however they were trained.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dc_core import Component, Model
from dc_hub.errors import ClassMismatch, FileMissing, NotSerializable
from dc_hub.format.filenames import PARAMS, TRAINING
from dc_hub.loading.opening import Opened


def training_tensors(model: Any) -> dict[str, np.ndarray]:
    """Return the content of ``training.safetensors`` for ``model``.

    Raises :class:`NotSerializable` for a framework's own object, which has no training state.
    """
    if not isinstance(model, Model):
        raise NotSerializable(
            f"A {type(model).__name__} alone has no training state.",
            path="training",
            hint="Publish the model that trains it, or omit training=True.",
        )
    return model.get_training_state()


def resume(model: Component, opened: Opened) -> None:
    """Give ``model`` the training state that is stored in ``opened``.

    Raises :class:`ClassMismatch` for a component that is not a model, :class:`FileMissing` if no
    training state is stored, and ``TrainingStateError`` if it belongs to another model.
    """
    if not isinstance(model, Model):
        raise ClassMismatch(
            f"A {type(model).__name__} is not a model and has no training state.",
            path=str(opened.source.path / PARAMS),
            hint="Load it with training=False.",
        )
    if TRAINING not in opened.contents.names:
        raise FileMissing(
            f"{opened.source.path} contains no training state.",
            path=str(opened.source.path / TRAINING),
            hint="Publish with training=True to store it, or load with training=False.",
        )
    model.set_training_state(opened.read_tensors(TRAINING))
