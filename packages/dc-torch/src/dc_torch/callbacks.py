"""``Callback``: what a program can do between the steps and epochs of training; checkpoints."""

from __future__ import annotations

from typing import Any

from dc_core import Model, check_count
from dc_torch.history import Epoch
from dc_torch.layers import check_storable


class Callback:
    """Does nothing; a subclass overrides what it needs. Errors that it raises end training.

    ``model`` is the model that is being trained. What a callback draws at random is drawn from the
    program's own generators, except in :meth:`on_step`, which runs on those of training.
    """

    def on_fit_start(self, model: Model, epochs: int) -> None:
        """Run before the first of at most ``epochs`` epochs."""

    def on_step(self, model: Model, step: int, steps: int) -> None:
        """Run after step number ``step`` (from 1) of ``steps`` in an epoch."""

    def on_epoch_end(self, model: Model, epoch: Epoch) -> bool | None:
        """Run after an epoch; returning True ends training."""

    def on_fit_end(self, model: Model) -> None:
        """Run at the end, also after an error or an interruption; the best weights are in place."""


class Checkpoint(Callback):
    """Stores the model with its training state after every so many epochs.

    ``where`` is a name in a hub, or a directory; ``{epoch}`` in it is the epoch's number. A name
    moves on to the newest checkpoint; a directory has to be a new one each time, as
    ``"./run/{epoch:03}"`` is. ``options`` go to :meth:`dc_core.Model.to_pretrained`. To go on from
    a checkpoint: ``from_pretrained(where, training=True).fit(dataset, resume=True)``.
    """

    def __init__(self, where: str, *, every: int = 1, **options: Any) -> None:
        check_count("every", every, minimum=1)
        self.where = where
        self.every = every
        self.options = options

    def on_fit_start(self, model: Model, epochs: int) -> None:
        """Raise :class:`NotSerializable` at once if the model cannot be stored."""
        check_storable(model)

    def on_epoch_end(self, model: Model, epoch: Epoch) -> None:
        """Store the model if it is time."""
        if epoch.number % self.every == 0:
            where = self.where.format(epoch=epoch.number)
            model.to_pretrained(where, training=True, **self.options)
