"""A progress bar for training in a terminal."""

from __future__ import annotations

import math
import random

from dc_core import Model
from dc_torch.callbacks import Callback
from dc_torch.history import Epoch

# Importing rich draws from the global random generator, which belongs to the program.
_state = random.getstate()
from rich.console import Console  # noqa: E402
from rich.progress import (  # noqa: E402
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

random.setstate(_state)


def progress_bar(show: bool | None) -> list[Callback]:
    """Return the bar as a callback, if wanted: None means that stderr is a terminal."""
    console = Console(stderr=True)
    return [ProgressBar(console)] if show or (show is None and console.is_terminal) else []


class ProgressBar(Callback):
    """Shows epochs, losses and the remaining time."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            TextColumn("{task.fields[losses]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )

    def on_fit_start(self, model: Model, epochs: int) -> None:
        """Show the empty bar."""
        self._task = self._progress.add_task(
            f"Training {type(model).__name__}", total=epochs, epoch=0, epochs=epochs, losses=""
        )
        self._done = 0
        self._progress.start()

    def on_step(self, model: Model, step: int, steps: int) -> None:
        """Move the bar by one step."""
        self._progress.update(self._task, completed=self._done + step / steps)

    def on_epoch_end(self, model: Model, epoch: Epoch) -> None:
        """Show the epoch's losses."""
        self._done += 1
        losses = f"loss {epoch.loss:.4g}"
        if not math.isnan(epoch.valid_loss):
            losses += f" · valid {epoch.valid_loss:.4g}"
        self._progress.update(self._task, completed=self._done, epoch=self._done, losses=losses)

    def on_fit_end(self, model: Model) -> None:
        """Stop the bar."""
        self._progress.stop()
