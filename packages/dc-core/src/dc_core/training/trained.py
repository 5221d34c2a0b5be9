"""``TrainedModel``: a model that a trainer trains, and ``TrainedEstimator``, one that predicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any, Literal, Self

from dc_core import registry
from dc_core.balancing import weigh_classes
from dc_core.component import Component
from dc_core.dataset import Dataset, check_dataset
from dc_core.errors import (
    DatasetError,
    EmptyDataset,
    NotSerializable,
    ParameterError,
    TrainingStateError,
)
from dc_core.metric import Metric
from dc_core.model import Model
from dc_core.parameters import check_count, check_flag
from dc_core.roles import Estimator
from dc_core.training.batches import has_labels
from dc_core.training.callbacks import Callback, check_callbacks
from dc_core.training.checkpoints import Checkpoint, resume_newest
from dc_core.training.class_weights import ClassFactors, class_factors
from dc_core.training.monitoring import Validation
from dc_core.training.progress import progress_bar
from dc_core.training.rate_range import LearningRateRange, learning_rate_range
from dc_core.training.trainable import Trainable
from dc_core.training.trainer import Trainer

Resume = bool | Literal["auto"]
"""Whether training goes on: False, True, or "auto", from the newest checkpoint."""


class TrainedModel(Trainable):
    """A model that is trained by steps, as its ``config`` says.

    A backend's subclass makes the trainer. One with a role (:class:`~dc_core.Estimator`,
    :class:`~dc_core.Generator`) has a ``fit`` that calls :meth:`_fit` with the dataset that the
    trainer reads.
    """

    def _before_training(self) -> None:
        """Note what has to be known about the model before its first step."""

    def _after_epoch(self, dataset: Dataset) -> None:
        """Note what the model learned from ``dataset``, before the callbacks see the epoch."""

    def check_storable(self) -> None:
        """Raise :class:`NotSerializable` if an argument, such as a loss, cannot be stored."""
        super().check_storable()
        self.config.check_storable()
        for path, child in self.children().items():
            if not isinstance(child, Model):
                _check_registered(child, path)

    def _fit(
        self,
        dataset: Dataset,
        validation: Validation,
        epochs: int | None,
        callbacks: Iterable[Callback],
        progress: bool | None,
        resume: Resume,
    ) -> None:
        """Train on X, y and w of ``dataset``; the arguments are those of `TrainedEstimator.fit`."""
        if epochs is not None:
            check_count("epochs", epochs, minimum=1)
        _check_rows_to_learn(dataset)
        valid = validation.dataset
        if valid is not None and len(valid) == 0:
            raise EmptyDataset("There is no row to validate on.")
        for what, given in (("row of the dataset", dataset), ("validation row", valid)):
            if given is not None and not has_labels(given, self.config.batch_size):
                raise DatasetError(
                    f"No {what} has a label with a weight.",
                    hint="Check y and w: a label of weight 0 counts as missing.",
                )
        shown = progress_bar(progress)
        # Checkpoints come last: they store what the other callbacks have done.
        ordered = sorted(
            check_callbacks(callbacks), key=lambda callback: isinstance(callback, Checkpoint)
        )
        checkpoints = [each for each in ordered if isinstance(each, Checkpoint)]
        auto = resume == "auto"
        if auto and not checkpoints:
            raise ParameterError(
                'resume="auto" goes on from a checkpoint, and none is stored.',
                hint="Pass callbacks=[Checkpoint('./run')] too.",
            )
        with ExitStack() as held:
            if self._runs_callbacks():
                for checkpoint in checkpoints:
                    held.enter_context(checkpoint.held())
            if auto:
                resume = resume_newest(checkpoints, self, dataset, valid)
            elif check_flag("resume", resume) and self._trainer is None:
                raise TrainingStateError(
                    "There is no training to resume: this model has no training state.",
                    hint="Call fit() without resume, or load it with "
                    "from_pretrained(..., training=True).",
                )
            if resume:
                self._take_over_options()
                self.check_training_data(dataset, valid)
            for checkpoint in checkpoints:
                checkpoint.begin(self, validation.monitor, self.position if resume else None)
            if self._trainer is None or not resume:
                self._trainer = self._make_trainer()
            self._before_training()
            done = len(self._trainer.epochs)
            if auto and self._trainer.control.stopped:
                epochs = 0
            elif epochs is None or auto:
                epochs = max(0, (epochs or self.config.epochs) - done)
            self._trainer.control.stopped &= auto
            self._train(self._trainer, dataset, validation, epochs, [*shown, *ordered])

    def _runs_callbacks(self) -> bool:
        """Return whether this process runs the callbacks: of several that train, one does."""
        return True

    def _take_over_options(self) -> None:
        """Let training go on with the config's options, if they were changed since it began."""
        if self._trainer is not None and self._trainer.config != self.config:
            self.set_training_state(self._trainer.state())

    def _train(
        self,
        trainer: Trainer,
        dataset: Dataset,
        validation: Validation,
        epochs: int,
        callbacks: Sequence[Callback],
    ) -> None:
        """Run ``trainer`` and the callbacks, until one of them asks to stop."""
        calls = [callback.on_step for callback in callbacks]

        def on_step(step: int, steps: int) -> None:
            for call in calls:
                call(self, step, steps)

        with ExitStack() as ending:
            for callback in callbacks:
                ending.callback(callback.on_fit_end, self)
                callback.on_fit_start(self, epochs)
            running = ending.enter_context(
                closing(trainer.run(dataset, validation, epochs, on_step))
            )
            for epoch in running:
                self._after_epoch(dataset)
                # Every callback sees the epoch, even if one before it asks to stop.
                for callback in callbacks:
                    if callback.on_epoch_end(self, epoch):
                        trainer.control.stopped = True
                if trainer.control.stopped:
                    break


class TrainedEstimator(TrainedModel, Estimator):
    """An estimator that is trained by steps."""

    def _check_rows(self, dataset: Dataset) -> None:
        """Raise :class:`DatasetError` if the rows cannot be for this model."""

    def _class_factors(self, dataset: Dataset) -> ClassFactors | None:
        """Return the factors of the labels' weights; None without any."""
        if self.config.class_weight is None:
            return None
        if self.predicts_classes is False:
            raise ParameterError(
                "class_weight is for classifiers, and this model predicts numbers.",
                hint="Use a loss of classes, or leave class_weight out.",
            )
        return class_factors(self.config.class_weight, dataset)

    def fit(
        self,
        dataset: Dataset,
        *,
        valid: Dataset | None = None,
        metrics: Iterable[Metric] = (),
        epochs: int | None = None,
        callbacks: Iterable[Callback] = (),
        progress: bool | None = None,
        resume: Resume = False,
    ) -> Self:
        """Train on ``dataset`` and return the model itself.

        Labels that are NaN or have weight 0 are left out. With ``valid`` the model ends with the
        weights of the best epoch, and ``patience`` can end training early; ``metrics`` are computed
        on these rows after each epoch, and kept in ``history``. ``epochs`` replaces the config's
        number of epochs for this call; schedules always span the config's number.

        Training continues from the present weights, with a new optimizer and the config's seed;
        so the classes have to be the model's. ``model.unfitted().fit(dataset)`` starts afresh. With
        ``resume`` it continues exactly where the last call, or the training state, stopped, for the
        remaining epochs of the config or for ``epochs``, an epoch that has begun included. The
        dataset must be the same. ``resume="auto"`` continues from the newest good checkpoint of a
        :class:`Checkpoint` among the callbacks, if there is one, up to ``epochs`` in all.

        Ctrl-C and SIGTERM take effect between two steps, and no step that is done is lost. A step
        whose loss or gradient is not finite is not applied: it is logged, and counted in
        ``history``.

        ``progress`` shows a progress bar or not; None shows it in a terminal.

        Raises :class:`EmptyDataset`; :class:`DatasetError` if the data do not fit the model;
        :class:`ParameterError`; :class:`TrainingStateError` if there is nothing to resume, or if
        training began with other data; and :class:`TrainingDiverged` if three steps in a row cannot
        be applied, or if the validation loss is not finite.
        """
        for given in (dataset,) if valid is None else (dataset, valid):
            check_dataset(given)
            self.check_classes(given)
            self._check_rows(given)
        validation = Validation.of(self.config, dataset, valid, metrics)
        factors = self._class_factors(dataset)
        if factors is not None:
            dataset = weigh_classes(dataset, *factors)
            if valid is not None:
                validation = replace(validation, dataset=weigh_classes(valid, *factors))
        self._fit(dataset, validation, epochs, callbacks, progress, resume)
        return self

    def learning_rate_range(
        self,
        dataset: Dataset,
        *,
        minimum: float = 1e-7,
        maximum: float = 10.0,
        steps: int = 100,
    ) -> LearningRateRange:
        """Return the losses of steps with learning rates that grow from ``minimum`` to ``maximum``.

        They start from the present weights, with the optimizer and the other options of the config,
        on the rows of ``dataset`` in their shuffled order. The model is left as it was, with its
        weights, its training state and its history; so are the program's random numbers. A rate to
        begin with is the ``suggestion`` of the result.

        Raises :class:`EmptyDataset`, :class:`DatasetError` and :class:`ParameterError`, as
        :meth:`fit` does.
        """
        check_dataset(dataset)
        self.check_classes(dataset)
        self._check_rows(dataset)
        _check_rows_to_learn(dataset)
        factors = self._class_factors(dataset)
        if factors is not None:
            dataset = weigh_classes(dataset, *factors)
        return learning_rate_range(self._make_trainer, dataset, minimum, maximum, steps)

    def _after_fit(self, dataset: Any) -> None:
        # Training continues, so that names which are known stay; fit has compared them.
        if not self.classes:
            super()._after_fit(dataset)

    def _after_epoch(self, dataset: Dataset) -> None:
        self._after_fit(dataset)


def _check_rows_to_learn(dataset: Dataset) -> None:
    if len(dataset.tasks) == 0:
        raise DatasetError(
            "The dataset has no labels to learn.", hint="Pass y: NumpyDataset(X, y)."
        )
    if len(dataset) == 0:
        raise EmptyDataset("There is no row to train on.")


def _check_registered(part: Component, path: str) -> None:
    """Raise :class:`NotSerializable` unless loading can find the class of ``part``."""
    cls = type(part)
    if registry.components.name_of(cls) is None:
        raise NotSerializable(
            f"The {path.rpartition('/')[2]} {cls.__name__} is of a class that is not registered.",
            hint=f"Register it: @dc_core.register_component('<namespace>/{cls.__name__}').",
        )
