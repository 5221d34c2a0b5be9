"""Callbacks: code that runs between the steps and epochs of training, such as logging."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dc_core.errors import ParameterError
from dc_core.model import Model
from dc_core.training.history import Epoch
from dc_core.training.trainable import Trainable


class Callback:
    """Base class of callbacks; a subclass overrides what it needs. An exception ends training.

    ``model`` is the model that is being trained: ``model.history`` has the records of the epochs
    that have ended, and ``model.learning_rate`` and ``model.step_loss()`` what the last step was. A
    callback may end training, and set ``model.learning_rate_factor``; both are a part of the
    training state. One that decides by what it was told before, and not by ``model.history``,
    does not decide the same when training is resumed.

    Random numbers come from the program's generators, except in :meth:`on_step`, which runs during
    an epoch and on the trainer's generators.
    """

    def within(self, whole: Model) -> Callback:
        """Return the callback for the training of a part of ``whole``, such as a pipeline's model.

        By default that is the callback itself.
        """
        return self

    def on_fit_start(self, model: Trainable, epochs: int) -> None:
        """Run before the first of at most ``epochs`` epochs."""

    def on_step(self, model: Trainable, step: int, steps: int) -> None:
        """Run after step number ``step`` (from 1) of ``steps`` in an epoch."""

    def on_epoch_end(self, model: Trainable, epoch: Epoch) -> bool | None:
        """Run after an epoch; returning True ends training."""

    def on_fit_end(self, model: Trainable) -> None:
        """Run at the end, also after an error or interruption. The model has its best weights."""


def check_callbacks(callbacks: Iterable[Callback]) -> list[Callback]:
    """Return ``callbacks`` as a list; raise :class:`ParameterError` if they are not callbacks."""
    given: Any = callbacks
    if isinstance(given, Callback | type | str) or not isinstance(given, Iterable):
        raise ParameterError(
            f"callbacks={given!r} is not a list.", hint="Give a list: [Checkpoint('./run')]."
        )
    checked = []
    for callback in given:
        if isinstance(callback, type) and issubclass(callback, Callback):
            raise ParameterError(
                f"{callback.__name__} is a class.", hint=f"Make an instance: {callback.__name__}()."
            )
        if not isinstance(callback, Callback):
            raise ParameterError(
                f"{callback!r} is not a callback.",
                hint="Give an instance of a subclass of dc_core.training.Callback.",
            )
        checked.append(callback)
    return checked
