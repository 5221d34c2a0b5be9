"""Callbacks: code that runs between the steps and epochs of training, such as checkpoints."""

from __future__ import annotations

from typing import Any

from dc_core.parameters import check_count
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

    def on_fit_start(self, model: Trainable, epochs: int) -> None:
        """Run before the first of at most ``epochs`` epochs."""

    def on_step(self, model: Trainable, step: int, steps: int) -> None:
        """Run after step number ``step`` (from 1) of ``steps`` in an epoch."""

    def on_epoch_end(self, model: Trainable, epoch: Epoch) -> bool | None:
        """Run after an epoch; returning True ends training."""

    def on_fit_end(self, model: Trainable) -> None:
        """Run at the end, also after an error or interruption. The model has its best weights."""


class Checkpoint(Callback):
    """Stores the model and its training state after every ``every`` epochs.

    ``where`` is a name in a hub, or a directory; ``{epoch}`` in it stands for the epoch's number. A
    name always refers to the newest checkpoint. A directory must be a new one each time:
    ``"./run/{epoch:03}"``. ``options`` are passed to :meth:`dc_core.Model.to_pretrained`. To resume
    from a checkpoint: ``from_pretrained(where, training=True).fit(dataset, resume=True)``.
    """

    def __init__(self, where: str, *, every: int = 1, **options: Any) -> None:
        check_count("every", every, minimum=1)
        self.where = where
        self.every = every
        self.options = options

    def on_fit_start(self, model: Trainable, epochs: int) -> None:
        """Raise :class:`NotSerializable` before training if the model cannot be stored."""
        model.check_storable()

    def on_epoch_end(self, model: Trainable, epoch: Epoch) -> None:
        """Store the model if the epoch's number is a multiple of ``every``."""
        if epoch.number % self.every == 0:
            where = self.where.format(epoch=epoch.number)
            model.to_pretrained(where, training=True, **self.options)
