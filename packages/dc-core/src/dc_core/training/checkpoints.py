"""``Checkpoint``: stores a model with its training state, so that a killed program loses little.

What is stored and removed when is decided here; the :class:`CheckpointStore` of the installed hub
does it.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from dc_core import plugins
from dc_core.calls import explained
from dc_core.dataset import Dataset
from dc_core.errors import (
    AlreadyExists,
    CheckpointDamaged,
    ParameterError,
    StorageUnavailable,
)
from dc_core.model import Model
from dc_core.parameters import check_count, check_flag, check_positive
from dc_core.roles import Estimator
from dc_core.training.callbacks import Callback
from dc_core.training.checkpoint_store import CheckpointStore, Place, name_of, place_of
from dc_core.training.fingerprints import Fingerprints
from dc_core.training.history import Epoch
from dc_core.training.monitoring import Monitor
from dc_core.training.trainable import Trainable

logger = logging.getLogger(__name__)


class Checkpoint(Callback):
    """Stores the model and its training state: after epochs, steps or minutes, and at the end.

    ``where`` is a directory, ``"./run"``, or the name of a model in a hub, which each checkpoint is
    then a tag of; the name alone refers to the newest one. There has to be nothing else. With
    ``fit(..., callbacks=[Checkpoint(where)], resume="auto")`` training goes on from the newest
    checkpoint that is good, if there is one, so that a program that was killed is just run again.

    Args:
        where: The directory or the name.
        every: Store the model after every so many epochs; None: not after epochs.
        every_steps: Store it after every so many steps too, counted from the first epoch on.
        every_minutes: Store it too when so many minutes have passed.
        keep_last: Keep so many checkpoints and the best one, and remove older ones; None: keep all.
        best: Store each epoch that is the best so far too, by the result that training follows:
            the config's ``monitor``. In a hub the best one has the tag ``best``; see :meth:`best`.
        options: Options of :meth:`dc_core.Model.to_pretrained`, such as ``hub`` or ``metadata``.

    However training ends, also by an error, Ctrl-C or SIGTERM, the model is stored if steps were
    done since the last checkpoint. A checkpoint appears complete or not at all. One that cannot be
    stored for a reason that may pass, such as a full disk, is logged, and training goes on; only
    what cannot be stored at the end is an error.

    During training the weights of a checkpoint are those after its last step, and the best ones are
    in its training state. In a pipeline, the whole pipeline is stored.

    One program at a time trains into a directory, or a model of a hub in one: another gets
    :class:`CheckpointsInUse`, which names the process. What a program that died has left is taken
    over, at once on the same machine, and else after a minute. A remote hub keeps none out.

    Raises :class:`ParameterError`.
    """

    @explained
    def __init__(
        self,
        where: Any,
        *,
        every: int | None = 1,
        every_steps: int | None = None,
        every_minutes: float | None = None,
        keep_last: int | None = None,
        best: bool = False,
        **options: Any,
    ) -> None:
        for name, value in (
            ("every", every),
            ("every_steps", every_steps),
            ("keep_last", keep_last),
        ):
            if value is not None:
                check_count(name, value, minimum=1)
        if every_minutes is not None:
            check_positive("every_minutes", every_minutes)
        if isinstance(where, str) and "{" in where:
            raise ParameterError(
                f"where={where!r} has a place for the number of the epoch.",
                hint="Give the directory of all checkpoints: './run' will contain 'epoch-0001', …",
            )
        for option in ("training", "unfitted"):
            if option in options:
                raise ParameterError(
                    f"Checkpoint has no option {option!r}.",
                    hint="Leave it out: the training state is always stored.",
                )
        self.where = where
        self.every = every
        self.every_steps = every_steps
        self.every_minutes = every_minutes
        self.keep_last = keep_last
        self.keep_best = check_flag("best", best)
        self.options = options
        self._whole: Model | None = None
        self._store: CheckpointStore | None = None
        self._known: list[str] = []
        self._damaged: frozenset[str] = frozenset()
        self._due = False
        self._monitor = Monitor("loss")
        self._stored_at = (0, 0)
        self._stored_when = 0.0

    def newest(self) -> str | None:
        """Return what ``from_pretrained`` loads the newest checkpoint by; None if there is none."""
        names = self.names()
        return self._in().address(names[-1]) if names else None

    def best(self) -> str | None:
        """Return what ``from_pretrained`` loads the best checkpoint by; None if there is none."""
        name = self._in().best()
        return None if name is None else self._in().address(name)

    def names(self) -> list[str]:
        """Return the names of the checkpoints, the oldest first, those that are damaged too."""
        return list(self._places())

    def within(self, whole: Model) -> Checkpoint:
        """Return the callback that stores ``whole``."""
        bound = copy.copy(self)
        bound._whole = self._whole or whole
        return bound

    def held(self) -> AbstractContextManager[None]:
        """Keep other programs from training into the place in the block.

        Raises :class:`CheckpointsInUse`, naming the process that trains there.
        """
        return self._in().held(begun=bool(self._places()))

    def load(
        self, name: str, model: Trainable, dataset: Dataset, valid: Dataset | None = None
    ) -> None:
        """Give the model, or the whole that it is a part of, what the checkpoint ``name`` holds.

        Raises :class:`CheckpointDamaged`, and :class:`TrainingStateError` if it is not of this
        model, config and data; then nothing is changed.
        """
        whole = self._whole or model
        weights, state = whole.export_weights(), whole.get_training_state()
        classes = whole.classes if isinstance(whole, Estimator) else {}
        prefix = f"{_path_of(model, whole)}data/"

        def check(state: Mapping[str, np.ndarray]) -> None:
            found = {k.removeprefix(prefix): a for k, a in state.items() if k.startswith(prefix)}
            Fingerprints.from_arrays(found).check(dataset, valid)

        try:
            self._in().load(name, whole, check, model.config.may_change)
            model.check_training_data(dataset, valid)
        except BaseException:
            whole.import_weights(weights)
            whole.set_training_state(state)
            if isinstance(whole, Estimator):
                whole.set_classes(classes)
            raise

    def pass_over(self, name: str) -> None:
        """Leave the checkpoint ``name``, which is damaged, as it is."""
        self._damaged = self._damaged | {name}

    def begin(self, model: Trainable, monitor: Monitor, position: tuple[int, int] | None) -> None:
        """Check that ``model`` can be stored, before training that follows ``monitor``.

        ``position`` is where training goes on, which may have checkpoints up to there already; None
        if it starts.

        Raises :class:`AlreadyExists`, :class:`NotSerializable`, :class:`StorageUnavailable`,
        :class:`HubNotInstalled`, and :class:`TrainingStateError` if the newest checkpoint is of
        another model.
        """
        whole = self._whole or model
        whole.check_storable()
        places = self._places()
        good = [name for name in places if name not in self._damaged]
        if good and (position is None or places[good[-1]][:2] > position):
            raise AlreadyExists(
                f"There are checkpoints in {self.where} already, up to {good[-1]}.",
                hint='Call fit(..., resume="auto") to go on from there, or choose another place.',
            )
        if good:
            self._in().check_same(good[-1], whole, model.config.may_change)
        self._in().prepare(whole, begun=bool(places))
        self._known, self._monitor = good, monitor
        self._stored_at, self._stored_when = position or (0, 0), time.monotonic()
        self._due = False

    def on_step(self, model: Trainable, step: int, steps: int) -> None:
        """Store the model if so many steps or minutes have passed, but for an epoch's last step."""
        epochs, done = model.position
        if self.every_steps is not None and (epochs * steps + done) % self.every_steps == 0:
            self._due = True
        if step < steps and (self._due or self._minutes_passed()):
            self._save(model)

    def on_epoch_end(self, model: Trainable, epoch: Epoch) -> None:
        """Store the model if so many epochs, steps or minutes have passed, or if it is the best."""
        due = self._due or (self.every is not None and epoch.number % self.every == 0)
        if (
            due
            or self._minutes_passed()
            or (self.keep_best and self._monitor.is_best(model.history))
        ):
            self._save(model)

    def on_fit_end(self, model: Trainable) -> None:
        """Store the model if there was progress since the last checkpoint."""
        if model.position != self._stored_at:
            self._save(model, at_end=True)

    def _in(self) -> CheckpointStore:
        if self._store is None:
            self._store = plugins.Pretrained().checkpoints(self.where, self.options)
        return self._store

    def _places(self) -> dict[str, Place]:
        """Return the checkpoints that are there, the oldest first."""
        found = ((name, place_of(name)) for name in self._in().names())
        places = [(place, name) for name, place in found if place is not None]
        return {name: place for place, name in sorted(places)}

    def _minutes_passed(self) -> bool:
        passed = time.monotonic() - self._stored_when
        return self.every_minutes is not None and passed >= 60 * self.every_minutes

    def _save(self, model: Trainable, *, at_end: bool = False) -> None:
        """Store the model; log a failure that may pass, unless it is the end of training."""
        place = Place(*model.position)
        while (name := name_of(place)) in self._damaged:
            place = place._replace(again=place.again + 1)
        self._due, self._stored_when = False, time.monotonic()
        try:
            self._in().store(name, self._whole or model)
        except StorageUnavailable as error:
            if at_end:
                raise
            logger.error("training goes on, but the checkpoint %s is not stored: %s", name, error)
            return
        self._known.append(name)
        self._stored_at, self._stored_when = model.position, time.monotonic()
        try:
            self._tidy(model.history)
        except StorageUnavailable as error:
            logger.error("what is older than the checkpoint %s stays: %s", name, error)

    def _best_of(self, history: Sequence[Epoch]) -> str | None:
        """Return the checkpoint of the end of the best epoch that has one."""
        places = ((name, place_of(name)) for name in self._known)
        ends = {place.epochs: name for name, place in places if place and not place.steps}
        results = dict(enumerate(self._monitor.results(history), start=1))
        numbers = [number for number in ends if not math.isnan(results.get(number, math.nan))]
        return ends[min(numbers, key=results.__getitem__)] if numbers else None

    def _tidy(self, history: Sequence[Epoch]) -> None:
        """Mark the best checkpoint, and remove those that are not to be kept."""
        best = self._best_of(history)
        if self.keep_best and best is not None and best != self._in().best():
            self._in().mark_best(best)
        if self.keep_last is not None:
            for name in self._known[: -self.keep_last]:
                if name != best:
                    self._in().remove(name)
                    self._known.remove(name)


def resume_newest(
    checkpoints: Sequence[Checkpoint],
    model: Trainable,
    dataset: Dataset,
    valid: Dataset | None = None,
) -> bool:
    """Give ``model`` the newest checkpoint that is good, and tell whether there is one.

    Those that are damaged are logged, and stay as they are.

    Raises :class:`TrainingStateError` if it is not of this model, config and data.
    """
    found = [
        (place, i, name)
        for i, checkpoint in enumerate(checkpoints)
        for name, place in checkpoint._places().items()
    ]
    for _, i, name in sorted(found, reverse=True):
        try:
            checkpoints[i].load(name, model, dataset, valid)
        except CheckpointDamaged as error:
            logger.warning("the checkpoint %s is passed over: %s", name, error)
            checkpoints[i].pass_over(name)
        else:
            logger.info("training goes on from the checkpoint %s", name)
            return True
    return False


def _path_of(part: Model, whole: Model) -> str:
    """Return what the names in the training state of ``part`` begin with in that of ``whole``."""
    if part is whole:
        return ""
    for path, child in whole.children().items():
        if isinstance(child, Model):
            inner = _path_of(part, child)
            if inner or part is child:
                return f"{path}/{inner}"
    return ""
