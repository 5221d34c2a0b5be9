"""``Callback``: what a program can do between the steps and epochs of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
