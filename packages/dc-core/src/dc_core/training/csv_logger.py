"""``CSVLogger``: the records of training as a table in a file, which is continued exactly."""

from __future__ import annotations

import csv
import io
import logging
import math
import os
from collections.abc import Mapping
from typing import Final

from dc_core.calls import explained
from dc_core.errors import AlreadyExists, StorageUnavailable
from dc_core.parameters import check_count, check_path
from dc_core.training.callbacks import Callback
from dc_core.training.history import Epoch
from dc_core.training.trainable import Trainable

_KEYS: Final = ("epoch", "step")
_COLUMNS: Final = (*_KEYS, "loss", "valid_loss", "learning_rate", "skipped")

logger = logging.getLogger(__name__)

Row = Mapping[str, str]


class CSVLogger(Callback):
    """Writes a row for each epoch, and with ``every_steps`` for each so many steps of an epoch.

    Columns are ``epoch`` and ``step`` (empty for the whole epoch), ``loss``, ``valid_loss``,
    ``learning_rate``, ``skipped`` and the metrics. A number that there is none of is empty; others
    have all digits.

    When training is resumed, rows after that point are replaced, so that none is there twice, and
    epochs that are missing are added. Training that starts anew replaces all rows. A row that
    cannot be written is logged, and training goes on.

    Raises :class:`ParameterError`; before training, :class:`AlreadyExists` if the file is something
    else, and :class:`StorageUnavailable`.
    """

    @explained
    def __init__(self, path: str | os.PathLike[str], *, every_steps: int | None = None) -> None:
        if every_steps is not None:
            check_count("every_steps", every_steps, minimum=1)
        self.path = check_path("path", path)
        self.every_steps = every_steps
        self._columns: list[str] | None = None

    def on_fit_start(self, model: Trainable, epochs: int) -> None:
        """Write the rows that are known."""
        try:
            self._begin(model)
        except OSError as error:
            raise StorageUnavailable(
                f"{self.path} cannot be written: {error.strerror or error}.",
                hint="Give CSVLogger the path of a file that can be.",
            ) from error

    def on_step(self, model: Trainable, step: int, steps: int) -> None:
        """Add a row if so many steps are done."""
        if self.every_steps is not None and step % self.every_steps == 0:
            values = {"loss": model.step_loss(), "learning_rate": model.learning_rate}
            epoch = str(model.position[0] + 1)
            self._add(model, {"epoch": epoch, "step": str(step), **_texts(values)})

    def on_epoch_end(self, model: Trainable, epoch: Epoch) -> None:
        """Add the row of the epoch."""
        self._add(model, _row(epoch))

    def _add(self, model: Trainable, row: Row) -> None:
        try:
            if self._columns is None or not set(row) <= set(self._columns):
                self._begin(model, row)
            else:
                with self.path.open("a", encoding="utf-8", newline="") as file:
                    file.write(_text(self._columns, [row]))
        except OSError as error:
            self._columns = None  # what is there is written anew with the next row
            logger.error("a row of %s is not written: %s", self.path, error)

    def _begin(self, model: Trainable, *added: Row) -> None:
        """Write the rows up to the position of training, and those that are ``added``."""
        position = model.position
        rows = {place: row for row in self._read() if (place := _place(row)) and place <= position}
        rows |= {(epoch.number, 0): _row(epoch) for epoch in model.history}
        rows |= {place: row for row in added if (place := _place(row))}
        names = dict.fromkeys(name for place in sorted(rows) for name in rows[place])
        columns = [*_COLUMNS, *(name for name in names if name not in _COLUMNS)]
        unfinished = self.path.with_name(f".{self.path.name}.unfinished")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        header = dict(zip(columns, columns, strict=True))
        text = _text(columns, [header, *(rows[place] for place in sorted(rows))])
        unfinished.write_text(text, encoding="utf-8", newline="")
        unfinished.replace(self.path)
        self._columns = columns

    def _read(self) -> list[Row]:
        """Return the rows that are there; one that was cut is none."""
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8", errors="replace")
        try:
            lines = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline="")))
        except csv.Error:
            lines = []
        if not lines and not text:
            return []
        if not lines or tuple(lines[0][: len(_COLUMNS)]) != _COLUMNS:
            raise AlreadyExists(
                f"{self.path} is something else than a log of training.",
                hint="Give CSVLogger a path of its own.",
            )
        columns = lines[0]
        return [
            {name: value for name, value in zip(columns, line, strict=True) if value}
            for line in lines[1:]
            if len(line) == len(columns)
        ]


def _place(row: Row) -> tuple[int, int] | None:
    """Return the position in training after which the row was written."""
    epoch, step = row.get("epoch", ""), row.get("step", "")
    if not (epoch.isdecimal() and (not step or step.isdecimal())):
        return None
    return (int(epoch) - 1, int(step)) if step else (int(epoch), 0)


def _row(epoch: Epoch) -> Row:
    values = {
        "loss": epoch.loss,
        "valid_loss": epoch.valid_loss,
        "learning_rate": epoch.learning_rate,
        "skipped": epoch.skipped,
        **epoch.metrics,
    }
    return {"epoch": str(epoch.number), **_texts(values)}


def _texts(values: Mapping[str, float]) -> dict[str, str]:
    return {name: "" if math.isnan(value) else repr(value) for name, value in values.items()}


def _text(columns: list[str], rows: list[Row]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(
        [row.get(name, "") for name in columns] for row in rows
    )
    return text.getvalue()
