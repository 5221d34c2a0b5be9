"""``JaxModel``: any module of JAX's libraries as an estimator."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any, Self, Unpack

import numpy as np

from dc_core import Dataset, NormalDistribution, NumpyDataset, construct, registry
from dc_core.errors import NotFitted, NotSerializable, ParameterError
from dc_core.training import TrainedEstimator
from dc_jax.arrays import has_values
from dc_jax.inference import predict
from dc_jax.libraries import is_flax, is_module, nnx
from dc_jax.structure import Role, weights_of, with_arrays
from dc_jax.trainer import ModuleTrainer
from dc_jax.training_config import MACHINE, TrainingConfig, TrainingOptions


class JaxModel(TrainedEstimator):
    """An estimator around a module: X ``(b, ...)`` to ``(b, tasks[, classes])``.

    The module is one of Flax NNX, which is called with all rows and trained in place; one of
    Equinox, which is called with one row; or any pytree of arrays with its function,
    ``jax.tree_util.Partial(apply, params)``, which is called as ``apply(params, X)``. See
    :mod:`dc_jax.program` for keys of random numbers and states. Of a module of Equinox and of a
    pytree, :attr:`module` is a new one after each step.

    ``options`` are those of :class:`TrainingConfig`: the loss, the optimizer, the schedule and
    so on. For the losses on logits, predictions are probabilities. Some losses need several outputs
    per task: ``mean_variance`` a mean and a variance, and ``quantile`` one for each quantile.

    The module is stored with the model if its class is registered:
    ``@dc_core.register_component("mylab/net")``. A subclass of this class that makes its module in
    the constructor needs no more than its own name: ``@dc_core.register_model("mylab/model")``.
    """

    backend = "jax"
    config: TrainingConfig

    def __init__(self, module: Any, **options: Unpack[TrainingOptions]) -> None:
        if not is_module(module):
            raise ParameterError(
                "JaxModel wraps a module of Flax NNX or Equinox, or a jax.tree_util.Partial, not a "
                f"{type(module).__name__}.",
                hint="Pass an object, as in JaxModel(Net(64)), and not its class."
                if isinstance(module, type)
                else "Give a pytree its function: jax.tree_util.Partial(apply, params).",
            )
        self.module = module
        self.config = TrainingConfig.of(options)
        self._first = {weight.native: weight.value for weight in weights_of(module)}

    @property
    def native(self) -> Any:
        """The module."""
        return self.module

    @native.setter
    def native(self, module: Any) -> None:
        if not all(map(has_values, self._first.values())):
            # It was built to be given weights; so long it has none that it began with.
            self._first = {weight.native: weight.value for weight in weights_of(module)}
        self.module = module

    @property
    def predicts_classes(self) -> bool:
        """Whether the loss is one for classes."""
        return self.config.loss_function().predicts_classes

    def get_parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments, with the values of all options except the device.

        The device belongs to the machine: a loaded model uses what is available.
        """
        parameters = super().get_parameters()
        if "options" in parameters:
            options = self.config.options()
            kept = {name: options[name] for name in options if name not in MACHINE}
            parameters["options"] = kept
        return parameters

    @property
    def is_fitted(self) -> bool:
        """Whether the model was trained, or its weights were set.

        A module that is passed in may have been trained before, so its model counts as fitted and
        can be published; until it is trained here, ``repr(model)`` says "module as given".
        """
        weights = weights_of(self.module)
        if not all(has_values(weight.value) for weight in weights):
            return False
        return self._has_module_argument() or bool(self.history) or self._has_other_weights()

    def unfitted(self) -> Self:
        """Return a new model from the same constructor arguments.

        A module among them has the weights that it was given with. If those are not known, because
        the model was loaded, it is made anew with initial weights.

        Raises :class:`NotSerializable` if a module must be made anew and its class is not
        registered.
        """
        if self._has_module_argument() and all(map(has_values, self._first.values())):
            module = nnx().clone(self.module) if is_flax(self.module) else self.module
            module = with_arrays(module, self._first)
            made = construct(type(self), {**self.get_parameters(), "module": module})
        else:
            made = super().unfitted()
        options = self.config.options()
        made.config = replace(made.config, **{name: options[name] for name in MACHINE})
        return made

    def check_storable(self) -> None:
        """Raise :class:`NotSerializable` if the module or another argument cannot be stored."""
        super().check_storable()
        if self._has_module_argument() and registry.describe(self.module) is None:
            raise NotSerializable(
                f"The {type(self.module).__name__} is of a class that is not registered.",
                hint="Register it: @dc_core.register_component('<namespace>/<Name>'), or make it "
                "in the constructor of a registered subclass of JaxModel.",
            )
        self.describe_weights()

    def predict(self, dataset: Dataset | np.ndarray) -> np.ndarray:
        """Return values ``(n, tasks)`` or probabilities ``(n, tasks, classes)``.

        ``dataset`` may be an array of X. It is read batch by batch. No gradient is recorded, and
        the module does not change.

        Raises :class:`EmptyDataset` if there is no row, and :class:`DatasetError` if X does not fit
        the module.
        """
        return self._read(dataset, "predictions")

    def predict_distribution(self, dataset: Dataset | np.ndarray) -> NormalDistribution:
        """Return a normal distribution per row and task, which the loss ``mean_variance`` learns.

        Its variance is that of the labels around their mean, as far as the rows tell; how little
        the model itself knows far from its training data, an ensemble of models says.

        Raises :class:`Unsupported` for other losses, and what :meth:`predict` raises.
        """
        moments = self._read(dataset, "moments")
        return NormalDistribution(*(moments[..., i].copy() for i in (0, 1)))

    def predict_quantiles(self, dataset: Dataset | np.ndarray) -> np.ndarray:
        """Return the quantiles that the loss ``quantile`` learns: ``(n, tasks, quantiles)``.

        They rise in each row and task.

        Raises :class:`Unsupported` for other losses, and what :meth:`predict` raises.
        """
        return self._read(dataset, "quantiles_of")

    def _read(self, dataset: Dataset | np.ndarray, read: str) -> np.ndarray:
        """Return what a method of the loss makes of the module's outputs for all rows."""
        rows = dataset if isinstance(dataset, Dataset) else NumpyDataset(dataset)
        self._check_rows(rows)
        return predict(self.module, self.config, rows, read)

    def _make_trainer(self) -> ModuleTrainer:
        self._check_values()
        return ModuleTrainer(self, self.config)

    def _check_rows(self, dataset: Dataset) -> None:
        self._check_values()

    def _fitness(self) -> str:
        given = self._has_module_argument() and not self.history and self.is_fitted
        return "module as given" if given else super()._fitness()

    def _state(self) -> str:
        try:
            text = super()._state()
            self.check_storable()
        except NotSerializable as error:
            return f"{self._fitness()}, cannot be stored: {error.args[0]}"
        return text

    def _repr_html_(self) -> str:
        try:
            return super()._repr_html_()
        except NotSerializable:  # its weights cannot be described
            return f"<pre>{escape(repr(self))}</pre>"

    def _has_module_argument(self) -> bool:
        return is_module(self.get_parameters().get("module"))

    def _has_other_weights(self) -> bool:
        """Whether there are other arrays than the module was made with: these never change."""
        return any(
            weight.value is not self._first.get(weight.native)
            for weight in weights_of(self.module)
            if weight.role is Role.PARAMETER
        )

    def _check_values(self) -> None:
        for weight in weights_of(self.module):
            if not has_values(weight.value):
                raise NotFitted(
                    f"The weight {weight.native!r} has no value: the model was built without any.",
                    hint="Set them with set_weights(), or load them.",
                )
