"""``KerasModel``: any layer or model of Keras as an estimator."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any, Self, Unpack

import numpy as np

from dc_core import Dataset, NormalDistribution, NumpyDataset, registry
from dc_core.errors import NotSerializable, ParameterError
from dc_core.training import TrainedEstimator
from dc_tensorflow.frameworks import check_keras_backend, keras, tf
from dc_tensorflow.inference import predict
from dc_tensorflow.network import Network
from dc_tensorflow.rng import isolated_rng, seed_rng
from dc_tensorflow.structure import check_storable, models_in
from dc_tensorflow.trainer import NetworkTrainer
from dc_tensorflow.training_config import TrainingConfig, TrainingOptions
from dc_tensorflow.weights import export_weights, import_weights, times_imported


class KerasModel(TrainedEstimator):
    """An estimator around a Keras model: X ``(b, ...)`` to ``(b, tasks[, classes])``.

    ``network`` is a layer or model of Keras 3 that is built: begin it with ``keras.Input``, or call
    it on one batch first. ``options`` are those of :class:`TrainingConfig`: the loss, the
    optimizer, the schedule and so on; what ``compile`` was given is not used. For the losses on
    logits, predictions are probabilities. Some losses need several outputs per task:
    ``mean_variance`` a mean and a variance, and ``quantile`` one for each quantile.

    The network is stored with the model if it is made of Keras's own layers, or of classes that are
    registered with Keras (``@keras.saving.register_keras_serializable()``). ``repr(model)`` says if
    it cannot be stored, and why. The weights of any network can be stored without it:
    ``dc_hub.publish(network, name)``.
    """

    backend = "keras"
    config: TrainingConfig

    def __init__(self, network: Any, **options: Unpack[TrainingOptions]) -> None:
        check_keras_backend()
        if not isinstance(network, keras.Layer):
            raise ParameterError(
                f"KerasModel wraps a layer or model of Keras, not a {type(network).__name__}.",
                hint="Pass an object, as in KerasModel(Net(64)), and not its class."
                if isinstance(network, type)
                else "",
            )
        if not network.built:
            raise ParameterError(
                f"The {type(network).__name__} is not built: its weights have no shapes yet.",
                hint="Begin it with keras.Input((n_features,)), or call it on one batch first.",
            )
        self.network = network
        self.config = TrainingConfig.of(options)
        self._first: dict[str, np.ndarray] = {}
        self._imports = times_imported(network)
        self._running: tuple[int, Network] | None = None

    @property
    def native(self) -> Any:
        """The network."""
        return self.network

    def get_parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments, with the values of all options."""
        parameters = super().get_parameters()
        if "options" in parameters:
            parameters["options"] = self.config.options()
        return parameters

    @property
    def predicts_classes(self) -> bool:
        """Whether the loss is one for classes."""
        return self.config.loss_function().predicts_classes

    @property
    def is_fitted(self) -> bool:
        """Whether the model was trained, or its weights were set.

        A network that is passed in may have been trained before, so its model counts as fitted and
        can be published; until it is trained here, ``repr(model)`` says "network as given".
        """
        given = self._has_network_argument()
        return given or bool(self.history) or times_imported(self.network) > 0

    def predict(self, dataset: Dataset | np.ndarray) -> np.ndarray:
        """Return values ``(n, tasks)`` or probabilities ``(n, tasks, classes)``.

        ``dataset`` may be an array of X. It is read batch by batch. Nothing in the network changes.

        Raises :class:`EmptyDataset` if there is no row, and :class:`DatasetError` if X does not fit
        the network.
        """
        return self._read(dataset, self.config.loss_function().predictions)

    def predict_distribution(self, dataset: Dataset | np.ndarray) -> NormalDistribution:
        """Return a normal distribution per row and task, which the loss ``mean_variance`` learns.

        Raises :class:`Unsupported` for other losses, and what :meth:`predict` raises.
        """
        loss = self.config.loss_function()
        moments = self._read(dataset, lambda output: tf.stack(loss.distribution(output), axis=-1))
        return NormalDistribution(*(moments[..., i].copy() for i in (0, 1)))

    def predict_quantiles(self, dataset: Dataset | np.ndarray) -> np.ndarray:
        """Return the quantiles that the loss ``quantile`` learns: ``(n, tasks, quantiles)``.

        They rise in each row and task.

        Raises :class:`Unsupported` for other losses, and what :meth:`predict` raises.
        """
        return self._read(dataset, self.config.loss_function().quantiles_of)

    def unfitted(self) -> Self:
        """Return a new model from the same constructor arguments.

        Its network is made anew, with the weights that this one had before the first :meth:`fit`.
        If those are not known, because the model was loaded or its weights were set, they are
        initial weights from the config's seed.

        Raises :class:`NotSerializable` if the network's class is not registered.
        """
        knows = bool(self._first) or times_imported(self.network) == self._imports
        first = self._first or export_weights(self.network)
        with isolated_rng():
            seed_rng(self.config.seed)
            made = super().unfitted()
        if self._has_network_argument() and knows:
            import_weights(made.network, first)
            made._imports = times_imported(made.network)
        return made

    def check_storable(self) -> None:
        """Raise :class:`NotSerializable` if the network or another argument cannot be stored."""
        super().check_storable()
        for network in models_in(self.get_parameters()):
            if registry.components.name_of(type(network)) is None:
                check_storable(network)
        self.describe_weights()

    def _make_trainer(self) -> NetworkTrainer:
        return NetworkTrainer(self.network, self.config)

    def _before_training(self) -> None:
        known = times_imported(self.network) == self._imports
        if self._has_network_argument() and not self._first and known:
            self._first = export_weights(self.network)

    def _read(self, dataset: Dataset | np.ndarray, read: Callable[[Any], Any]) -> np.ndarray:
        """Return what ``read`` makes of the network's outputs for all rows."""
        rows = dataset if isinstance(dataset, Dataset) else NumpyDataset(dataset)
        imports = times_imported(self.network)
        if self._running is None or self._running[0] != imports:
            # What layers derive from their weights is constant in compiled functions.
            network = Network(self.network, self.config.loss_function(), self.config.input_dtype)
            self._running = imports, network
        return predict(self._running[1], rows, self.config.batch_size, self.config.seed, read)

    def _has_network_argument(self) -> bool:
        return any(True for _ in models_in(self.get_parameters()))

    def _fitness(self) -> str:
        given = self._has_network_argument() and not self.history
        return "network as given" if given else super()._fitness()

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
