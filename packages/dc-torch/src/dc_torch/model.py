"""``TorchModel``: any module as an estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

import numpy as np
import torch
from torch import Tensor, nn

from dc_core import Dataset, NormalDistribution, NumpyDataset, dense_array
from dc_core.errors import DatasetError, ParameterError
from dc_core.training import TrainedEstimator
from dc_torch.inference import predict
from dc_torch.trained import TrainedModule
from dc_torch.training_config import TrainingConfig, TrainingOptions


class TorchModel(TrainedModule, TrainedEstimator):
    """An estimator around a ``torch.nn.Module``: X ``(b, ...)`` to ``(b, tasks[, classes])``.

    ``options`` are those of :class:`TrainingConfig`: the loss, the optimizer, the schedule and
    so on. For the losses on logits, predictions are probabilities. Some losses need several outputs
    per task: ``mean_variance`` a mean and a variance, and ``quantile`` one for each quantile.

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

    def predict(self, dataset: Dataset | np.ndarray) -> np.ndarray:
        """Return values ``(n, tasks)`` or probabilities ``(n, tasks, classes)``.

        ``dataset`` may be an array of X. It is read batch by batch. No gradient is recorded, and
        the training modes of the submodules are restored.

        Raises :class:`EmptyDataset` if there is no row, and :class:`DatasetError` if X does not fit
        the module.
        """
        return self._read(dataset, self.config.loss_function().predictions)

    def predict_distribution(self, dataset: Dataset | np.ndarray) -> NormalDistribution:
        """Return a normal distribution per row and task, which the loss ``mean_variance`` learns.

        Its variance is that of the labels around their mean, as far as the rows tell; how little
        the model itself knows far from its training data, an ensemble of models says.

        Raises :class:`Unsupported` for other losses, and what :meth:`predict` raises.
        """
        loss = self.config.loss_function()
        moments = self._read(dataset, lambda output: torch.stack(loss.distribution(output), dim=-1))
        return NormalDistribution(*(moments[..., i].copy() for i in (0, 1)))

    def predict_quantiles(self, dataset: Dataset | np.ndarray) -> np.ndarray:
        """Return the quantiles that the loss ``quantile`` learns: ``(n, tasks, quantiles)``.

        They rise in each row and task.

        Raises :class:`Unsupported` for other losses, and what :meth:`predict` raises.
        """
        return self._read(dataset, self.config.loss_function().quantiles_of)

    def _read(self, dataset: Dataset | np.ndarray, read: Callable[[Tensor], Tensor]) -> np.ndarray:
        """Return what ``read`` makes of the module's outputs for all rows."""
        rows = dataset if isinstance(dataset, Dataset) else NumpyDataset(dataset)
        self._check_rows(rows)
        device = self.config.resolve_device()
        return predict(self.module.to(device), self.config, device, rows, read)

    def _check_rows(self, dataset: Dataset) -> None:
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
