"""``Callback``: what a program can do between the steps and epochs of training; checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dc_core import check_count

if TYPE_CHECKING:
    from dc_torch.history import Epoch
    from dc_torch.model import TorchModel


class Callback:
    """Does nothing; a subclass overrides what it needs. Errors that it raises end training."""

    def on_fit_start(self, model: TorchModel, epochs: int) -> None:
        """Run before the first of at most ``epochs`` epochs."""

    def on_step(self, model: TorchModel, step: int, steps: int) -> None:
        """Run after step number ``step`` (from 1) of ``steps`` in an epoch."""

    def on_epoch_end(self, model: TorchModel, epoch: Epoch) -> bool | None:
        """Run after an epoch; returning True ends training."""

    def on_fit_end(self, model: TorchModel) -> None:
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

    def on_epoch_end(self, model: TorchModel, epoch: Epoch) -> None:
        """Store the model if it is time."""
        if epoch.number % self.every == 0:
            where = self.where.format(epoch=epoch.number)
            model.to_pretrained(where, training=True, **self.options)
