"""``TensorBoardLogger``: the records of training as curves in TensorBoard."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from tempfile import TemporaryFile
from typing import Any

from dc_core.calls import explained
from dc_core.errors import ParameterError, StorageUnavailable
from dc_core.parameters import check_count, check_path
from dc_core.training.callbacks import Callback
from dc_core.training.history import Epoch
from dc_core.training.trainable import Trainable


class TensorBoardLogger(Callback):
    """Writes the loss, the validation loss, the learning rate and the metrics of each epoch.

    They are in ``folder``, by the number of the epoch. With ``every_steps``, the loss and the
    learning rate of each so many steps are in ``folder/steps``, by the number of the step since the
    first epoch. When training is resumed, TensorBoard leaves out what was written after that point.
    ``tensorboard --logdir folder`` shows the curves.

    Raises :class:`ParameterError` if tensorboard is not installed; and before training,
    :class:`StorageUnavailable`.
    """

    @explained
    def __init__(self, folder: str | os.PathLike[str], *, every_steps: int | None = None) -> None:
        if every_steps is not None:
            check_count("every_steps", every_steps, minimum=1)
        _tensorboard()
        self.folder = check_path("folder", folder)
        self.every_steps = every_steps
        self._writers: dict[str, Any] = {}

    def on_fit_start(self, model: Trainable, epochs: int) -> None:
        """Open the file of this training."""
        self._writers = {}
        self._write("", model.position[0] + 1, {})

    def on_step(self, model: Trainable, step: int, steps: int) -> None:
        """Write the loss and the learning rate if so many steps are done."""
        if self.every_steps is not None:
            number = model.position[0] * steps + step
            values = {}
            if number % self.every_steps == 0:  # reading the loss waits for the device
                values = {"loss": model.step_loss(), "learning_rate": model.learning_rate}
            self._write("steps", number, values)

    def on_epoch_end(self, model: Trainable, epoch: Epoch) -> None:
        """Write the results of the epoch."""
        values = {
            "loss": epoch.loss,
            "valid_loss": epoch.valid_loss,
            "learning_rate": epoch.learning_rate,
            **epoch.metrics,
        }
        self._write("", epoch.number, values)

    def on_fit_end(self, model: Trainable) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _write(self, part: str, number: int, values: Mapping[str, float]) -> None:
        """Write values at ``number``; the first time, all from there on is new."""
        event, summary, make = _tensorboard()
        new = part not in self._writers
        if new:
            folder = self.folder / part
            try:
                # TensorBoard reads files in the order of their names, which tell only the second.
                while any(folder.glob(f"events.out.tfevents.{int(time.time()):010}.*")):
                    time.sleep(0.05)
                folder.mkdir(parents=True, exist_ok=True)
                # TensorFlow, by which tensorboard writes where it is installed, has other errors.
                with TemporaryFile(dir=folder):
                    pass
                self._writers[part] = make(str(folder))
            except OSError as error:
                raise StorageUnavailable(
                    f"{self.folder} cannot be written: {error}.",
                    hint="Give TensorBoardLogger a folder that can be.",
                ) from error
            log = event.SessionLog(status=event.SessionLog.START)
            self._writers[part].add_event(
                event.Event(wall_time=time.time(), step=number, session_log=log)
            )
        shown = [
            summary.Summary.Value(tag=name, simple_value=value)
            for name, value in values.items()
            if not math.isnan(value)
        ]
        if shown:
            self._writers[part].add_event(
                event.Event(
                    wall_time=time.time(), step=number, summary=summary.Summary(value=shown)
                )
            )
        if shown or new:
            self._writers[part].flush()


def _tensorboard() -> tuple[Any, Any, Any]:
    try:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ModuleNotFoundError as error:
        raise ParameterError(
            "TensorBoardLogger needs tensorboard.",
            hint='Run: pip install "dc-core[tensorboard]"',
        ) from error
    return event_pb2, summary_pb2, EventFileWriter
