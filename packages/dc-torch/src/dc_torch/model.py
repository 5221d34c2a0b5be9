"""``TorchModel``: any module as an estimator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self, Unpack

import numpy as np
from torch import nn

from dc_core import Dataset, Estimator, NumpyDataset, check_dataset, dense_array
from dc_core.errors import DatasetError, ParameterError
from dc_torch.callbacks import Callback
from dc_torch.inference import predict
from dc_torch.trained import TrainedModule
from dc_torch.training_config import TrainingConfig, TrainingOptions


class TorchModel(TrainedModule, Estimator):
    """An estimator around a ``torch.nn.Module``: X ``(b, ...)`` to ``(b, tasks[, classes])``.

    ``options`` are those of :class:`TrainingConfig`: the loss, the optimizer, the schedule and
    so on. For the losses on logits, predictions are probabilities.

    The module is stored with the model if it is built of torch.nn's own layers, or if its class is
    registered: ``@dc_core.register_component("mylab/net")``. ``repr(model)`` says if it cannot be
    stored, and why. The weights of any module can be stored without it:
    ``dc_hub.publish(module, name)``.
    """

    def __init__(self, module: nn.Module, **options: Unpack[TrainingOptions]) -> None:
        if not isinstance(module, nn.Module):
            raise ParameterError(
                f"TorchModel wraps a torch.nn.Module, not a {type(module).__name__}.",
                hint="Pass an object, as in TorchModel(Net(64)), and not its class."
                if isinstance(module, type)
                else "",
            )
        super().__init__(module, TrainingConfig.of(options))

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """The shape of one row of X, None if any will do; checked before the module runs."""
        return None

    @property
    def predicts_classes(self) -> bool:
        """Whether the loss is one for classes."""
        return self.config.loss_function().predicts_classes

    def fit(
        self,
        dataset: Dataset,
        *,
        valid: Dataset | None = None,
        epochs: int | None = None,
        callbacks: Iterable[Callback] = (),
        progress: bool | None = None,
        resume: bool = False,
    ) -> Self:
        """Train on ``dataset`` and return the model itself.

        Labels that are NaN or have weight 0 are left out. With ``valid`` the model ends with the
        weights of the best epoch, and ``patience`` can end training early. ``epochs`` replaces the
        config's number of epochs for this call; schedules always span the config's number.

        Training continues from the present weights, with a new optimizer and the config's seed;
        so the classes have to be the model's. ``model.unfitted().fit(dataset)`` starts afresh. With
        ``resume`` it continues exactly where the last call, or the training state, stopped, for the
        remaining epochs of the config or for ``epochs``, an epoch that has begun included. The
        dataset must be the same. Ctrl-C and SIGTERM take effect between two steps, and no step that
        is done is lost. A step whose loss or gradient is not finite is not applied: it is logged,
        and counted in ``history``.

        ``progress`` shows a progress bar or not; None shows it in a terminal.

        Raises :class:`EmptyDataset`; :class:`DatasetError` if the data do not fit the module;
        :class:`ParameterError`; :class:`TrainingStateError` if there is nothing to resume, or if
        training began with other data; and :class:`TrainingDiverged` if three steps in a row cannot
        be applied, or if the validation loss is not finite.
        """
        for given in (dataset,) if valid is None else (dataset, valid):
            check_dataset(given)
            self.check_classes(given)
            self._check(given)
        self._fit(dataset, valid, epochs, callbacks, progress, resume)
        return self

    def predict(self, dataset: Dataset | np.ndarray) -> np.ndarray:
        """Return values ``(n, tasks)`` or probabilities ``(n, tasks, classes)``.

        ``dataset`` may be an array of X. It is read batch by batch. No gradient is recorded, and
        the training modes of the submodules are restored.

        Raises :class:`EmptyDataset` if there is no row, and :class:`DatasetError` if X does not fit
        the module.
        """
        rows = dataset if isinstance(dataset, Dataset) else NumpyDataset(dataset)
        self._check(rows)
        device = self.config.resolve_device()
        return predict(self.module.to(device), self.config, device, rows)

    def _after_fit(self, dataset: Any) -> None:
        # Training continues, so that names which are known stay; fit has compared them.
        if not self.classes:
            super()._after_fit(dataset)

    def _after_epoch(self, dataset: Dataset) -> None:
        self._after_fit(dataset)

    def _check(self, dataset: Dataset) -> None:
        self._check_values()
        if self.input_shape is None or len(dataset) == 0:
            return
        first = dataset.rows(np.arange(1), ("X",)).X
        shape = dense_array(first, type(self).__name__).shape[1:]
        if shape != self.input_shape:
            raise DatasetError(
                f"{type(self).__name__} takes rows of X of shape {self.input_shape}; "
                f"those of the dataset have the shape {shape}.",
                hint="Featurize it like the training data.",
            )
