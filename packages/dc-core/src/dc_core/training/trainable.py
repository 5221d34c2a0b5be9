"""``Trainable``: a model in training, as callbacks see it, with the state that resumes it."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping

import numpy as np

from dc_core.dataset import Dataset
from dc_core.errors import ParameterError
from dc_core.model import Model
from dc_core.parameters import check_positive, plain
from dc_core.roles import Estimator
from dc_core.training.config import TrainingConfig
from dc_core.training.control import MAX_FACTOR
from dc_core.training.history import Epoch
from dc_core.training.trainer import Trainer


class Trainable(Model):
    """A model that has a trainer: how far its training is, its records and its state."""

    config: TrainingConfig
    _trainer: Trainer | None = None

    @abstractmethod
    def _make_trainer(self) -> Trainer:
        """Return a trainer of this model as it is, for its config."""

    @property
    def history(self) -> tuple[Epoch, ...]:
        """The records of the epochs since training started."""
        return () if self._trainer is None else tuple(self._trainer.epochs)

    @property
    def position(self) -> tuple[int, int]:
        """How far training is: the epochs that have ended, and the steps done of the next one."""
        return (0, 0) if self._trainer is None else self._trainer.position

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last step; before the first, that of the config."""
        trainer = self._trainer
        return self.config.learning_rate if trainer is None else trainer.control.rate

    @property
    def learning_rate_factor(self) -> float:
        """What the learning rate is multiplied by, besides the schedule's factor: 1 at first.

        A callback may set it, from the next step on. It is a part of the training state, so that
        training is resumed with it. Raises :class:`ParameterError` unless it is positive and at
        most 1e6, or if the model is not being trained.
        """
        return 1.0 if self._trainer is None else self._trainer.control.factor

    @learning_rate_factor.setter
    def learning_rate_factor(self, factor: float) -> None:
        if self._trainer is None:
            raise ParameterError(
                "The model is not being trained.",
                hint="Set learning_rate_factor in a callback, or learning_rate in the config.",
            )
        factor = plain(factor)
        check_positive("learning_rate_factor", factor)
        if factor > MAX_FACTOR:
            raise ParameterError(
                f"learning_rate_factor={factor!r} is too large; the maximum is {MAX_FACTOR:g}."
            )
        self._trainer.control.factor = float(factor)

    def step_loss(self) -> float:
        """Return the loss of the last step with labels of an epoch that has not ended.

        NaN if it was not applied, or if there is none. On a GPU, reading it waits for the step.
        """
        return math.nan if self._trainer is None else self._trainer.step_loss()

    def check_training_data(self, dataset: Dataset, valid: Dataset | None = None) -> None:
        """Raise :class:`TrainingStateError` if training began with other data than these.

        ``valid`` has the rows to validate on. Raises :class:`DatasetError` if the classes are not
        the model's.
        """
        if self._trainer is not None:
            self._trainer.check_data(dataset, valid)
        if isinstance(self, Estimator):
            self.check_classes(dataset)

    def get_training_state(self) -> dict[str, np.ndarray]:
        """Return the state that resuming needs besides the weights; empty before training."""
        return {} if self._trainer is None else self._trainer.state()

    def set_training_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Set the training state, so that ``fit(..., resume=True)`` continues from it exactly.

        Set the weights first. Raises :class:`TrainingStateError` if the state is of another model,
        and then changes nothing.
        """
        trainer = None
        if state:
            trainer = self._make_trainer()
            trainer.load_state(state)
        self._trainer = trainer
