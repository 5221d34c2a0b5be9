"""A progress bar for training in a terminal."""

from __future__ import annotations

import math
import random
from typing import Any

from dc_core.errors import ParameterError
from dc_core.parameters import check_flag
from dc_core.training.callbacks import Callback
from dc_core.training.history import Epoch
from dc_core.training.trainable import Trainable


def progress_bar(show: bool | None) -> list[Callback]:
    """Return the bar as a callback, if wanted: None means that stderr is a terminal.

    Raises :class:`ParameterError` if it is asked for, and rich is not installed.
    """
    if show is not None and not check_flag("progress", show):
        return []
    rich = _rich()
    if rich is None:
        if show:
            raise ParameterError(
                "The progress bar needs rich.", hint='Run: pip install "dc-core[progress]"'
            )
        return []
    console = rich.console.Console(stderr=True)
    return [ProgressBar(console)] if show or console.is_terminal else []


def _rich() -> Any:
    # Importing rich draws from the global random generator, which belongs to the program.
    state = random.getstate()
    try:
        import rich.console
        import rich.progress
    except ModuleNotFoundError:
        return None
    finally:
        random.setstate(state)
    return rich


class ProgressBar(Callback):
    """Shows epochs, losses and the remaining time on ``console``, one of rich."""

    def __init__(self, console: Any) -> None:
        shown = _rich().progress
        self._progress = shown.Progress(
            shown.TextColumn("{task.description}"),
            shown.BarColumn(),
            shown.TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            shown.TextColumn("{task.fields[losses]}"),
            shown.TimeElapsedColumn(),
            shown.TimeRemainingColumn(),
            console=console,
        )

    def on_fit_start(self, model: Trainable, epochs: int) -> None:
        """Show the empty bar."""
        self._task = self._progress.add_task(
            f"Training {type(model).__name__}", total=epochs, epoch=0, epochs=epochs, losses=""
        )
        self._done = 0
        self._progress.start()

    def on_step(self, model: Trainable, step: int, steps: int) -> None:
        """Move the bar by one step."""
        self._progress.update(self._task, completed=self._done + step / steps)

    def on_epoch_end(self, model: Trainable, epoch: Epoch) -> None:
        """Show the epoch's losses."""
        self._done += 1
        losses = f"loss {epoch.loss:.4g}"
        if not math.isnan(epoch.valid_loss):
            losses += f" · valid {epoch.valid_loss:.4g}"
        for name, value in epoch.metrics.items():
            if "/" not in name:  # the mean over the tasks, and not each of them
                losses += f" · {name} {value:.4g}"
        self._progress.update(self._task, completed=self._done, epoch=self._done, losses=losses)

    def on_fit_end(self, model: Trainable) -> None:
        """Stop the bar."""
        self._progress.stop()
