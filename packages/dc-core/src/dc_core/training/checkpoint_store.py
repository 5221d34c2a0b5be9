"""``CheckpointStore``: what keeps the checkpoints of a training, and how they are named.

A checkpoint is named after the position in training: ``epoch-0003`` is the end of the third epoch,
``epoch-0003-step-000012`` is twelve steps later, and ``epoch-0003.2`` is stored beside a damaged
``epoch-0003``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import Final, NamedTuple, Protocol

import numpy as np

from dc_core.model import Model

_NAME: Final = re.compile(r"epoch-(\d{4,9})(?:-step-(\d{6,12}))?(?:\.(\d{1,4}))?")


class Place(NamedTuple):
    """Where in training a checkpoint is: epochs that have ended, and steps of the next one.

    ``again`` is above 1 if others that are damaged had the name before.
    """

    epochs: int
    steps: int = 0
    again: int = 1


def name_of(place: Place) -> str:
    """Return the name of the checkpoint at ``place``."""
    step = f"-step-{place.steps:06}" if place.steps else ""
    return f"epoch-{place.epochs:04}{step}" + (f".{place.again}" if place.again > 1 else "")


def place_of(name: str) -> Place | None:
    """Return the place of the checkpoint ``name``; None if no checkpoint has such a name."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    epochs, steps, again = found.groups()
    place = Place(int(epochs), int(steps or 0), int(again or 1))
    return place if name_of(place) == name else None


Check = Callable[[Mapping[str, np.ndarray]], None]
"""Raises if a training state cannot be used."""


class CheckpointStore(Protocol):
    """Where the checkpoints of one training are kept, each a stored model with a name."""

    def names(self) -> list[str]:
        """Return the names in the place that checkpoints may have, those of others included."""

    def held(self, *, begun: bool) -> AbstractContextManager[None]:
        """Keep other programs from training into the place in the block, if that is possible.

        ``begun`` tells whether there are checkpoints already.

        Raises :class:`CheckpointsInUse`, naming the process that trains there, unless it is dead;
        :class:`AlreadyExists`; and :class:`StorageUnavailable`.
        """

    def prepare(self, model: Model, *, begun: bool) -> None:
        """Raise unless checkpoints of ``model`` can be stored; leave what is there as it is.

        ``begun`` tells whether there are checkpoints already. Otherwise :class:`AlreadyExists` is
        raised if there is anything. What processes that were killed left unfinished is removed.
        """

    def store(self, name: str, model: Model) -> None:
        """Store ``model`` with its training state, completely or not at all.

        Raises :class:`StorageUnavailable` for a reason that may pass, and
        :class:`CheckpointsInUse` if another program has taken the place over.
        """

    def load(self, name: str, model: Model, check: Check, may_change: Collection[str] = ()) -> None:
        """Give ``model`` the weights, the classes and the training state of a checkpoint.

        ``check`` raises if the training state is of other data; then nothing is changed.
        ``may_change`` has the names of options that may differ.

        Raises :class:`CheckpointDamaged`, and :class:`TrainingStateError`, saying what differs, if
        it is of another class or was made with other arguments.
        """

    def check_same(self, name: str, model: Model, may_change: Collection[str] = ()) -> None:
        """Raise :class:`TrainingStateError` as :meth:`load` would; nothing is changed."""

    def remove(self, name: str) -> None:
        """Remove a checkpoint, unless it is not one: nothing else is ever removed."""

    def mark_best(self, name: str) -> None:
        """Note that this checkpoint is the best one."""

    def best(self) -> str | None:
        """Return the name that :meth:`mark_best` noted last."""

    def address(self, name: str) -> str:
        """Return what ``from_pretrained`` loads the checkpoint by."""
