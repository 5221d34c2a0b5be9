"""``NetworkTrainer``: the training of a network, as Keras and TensorFlow do its steps.

A step is computed without changing anything, and applied on the device if it is finite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from dc_core import Columns
from dc_core.errors import ParameterError, TrainingStateError
from dc_core.training import Evaluated, Labels, Trainer
from dc_tensorflow.frameworks import tf
from dc_tensorflow.network import Gradients, Network
from dc_tensorflow.optimizers import load_optimizer_state, make_optimizer, optimizer_state
from dc_tensorflow.rng import isolated_rng
from dc_tensorflow.training_config import TrainingConfig
from dc_tensorflow.weights import locate, to_array, value_of


class NetworkTrainer(Trainer):
    """Trains ``layer``, a built layer or model of Keras, as ``config`` says.

    Raises :class:`ParameterError` if it has no variable to train.
    """

    config: TrainingConfig

    def __init__(self, layer: Any, config: TrainingConfig) -> None:
        super().__init__(config)
        places = [found[0] for found in locate(layer).values()]
        self._variables = {place.native: place.variable for place in places}
        self._network = Network(layer, config.loss_function(), config.input_dtype)
        if not self._network.trained:
            raise ParameterError(
                "The network has no variable to train.",
                hint="Set trainable=True on the layers that are to be trained.",
            )
        names = {id(variable): name for name, variable in self._variables.items()}
        self._parameters = [names[id(variable)] for variable in self._network.trained]
        self._optimizer = make_optimizer(
            config.optimizer, config.learning_rate, config.optimizer_options
        )
        with isolated_rng():
            self._optimizer.build(self._network.trained)
        self._apply = tf.function(self._applied, autograph=False)

    def isolated(self) -> AbstractContextManager[object]:
        """Restore the program's generators at the end."""
        return isolated_rng()

    @contextmanager
    def training(self, epoch: int) -> Iterator[None]:
        """Do nothing: Keras is told with each call whether it trains."""
        yield

    def evaluating(self) -> AbstractContextManager[object]:
        """Do nothing: Keras is told with each call whether it trains."""
        return nullcontext()

    def gradients(
        self,
        X: Columns,
        labels: Labels,
        weight: float,
        seed: int,
        before: Gradients | None = None,
    ) -> Gradients:
        """Return the loss and the gradients of the rows so far."""
        self._network.check(X, labels.y, labels.given)
        return self._network.gradients(X, labels.y, labels.w / weight, seed, before)

    def apply(self, gradients: Gradients, rate: float) -> Any:
        """Change the variables if the loss and the gradients are finite; return the loss."""
        return self._apply(
            gradients.loss,
            list(gradients.gradients),
            list(gradients.statistics),
            tf.constant(rate, tf.float32),
        )

    def _applied(
        self, loss: Any, gradients: Sequence[Any], statistics: Sequence[Any], rate: Any
    ) -> Any:
        finite = [tf.reduce_all(tf.math.is_finite(each)) for each in (loss, *gradients)]

        def step() -> Any:
            self._optimizer._learning_rate.assign(rate)
            self._optimizer.apply(self._clipped(gradients), self._network.trained)
            for variable, value in zip(self._network.statistics, statistics, strict=True):
                variable.assign(value)
            return tf.identity(loss)

        def skip() -> Any:
            return tf.constant(np.nan, loss.dtype)

        return tf.cond(tf.reduce_all(finite), step, skip)

    def _clipped(self, gradients: Sequence[Any]) -> list[Any]:
        limit = self.config.gradient_clip_value
        clipped = list(gradients)
        if limit is not None:
            clipped = [tf.clip_by_value(gradient, -limit, limit) for gradient in clipped]
        if self.config.gradient_clip is not None:
            clipped, _ = tf.clip_by_global_norm(clipped, self.config.gradient_clip)
        return clipped

    def read(self, losses: Sequence[Any]) -> list[float]:
        """Return the losses as numbers, read at once."""
        values: list[float] = tf.stack(list(losses)).numpy().tolist()
        return values

    def evaluated(self, X: Columns, labels: Labels, *, predict: bool) -> Evaluated:
        """Return the weighted sum of the losses of the labels and, if asked for, predictions."""
        self._network.check(X, labels.y, labels.given)
        loss, predictions = self._network.evaluated(X, labels.y, labels.w, self.config.seed)
        return Evaluated(float(loss), predictions.numpy() if predict else None)

    def copied_weights(self, into: dict[str, Any]) -> dict[str, Any]:
        """Return the values of all weights; a variable that changes gets memory of its own."""
        return {name: tf.identity(value_of(v)) for name, v in self._variables.items()}

    def share_if_applied(self, share: float, loss: Any) -> Any:
        """Return ``share``, and 0 if ``loss``, a scalar on the device, is NaN."""
        return tf.where(tf.math.is_nan(loss), tf.zeros_like(loss), tf.cast(share, loss.dtype))

    def moved_weights(self, weights: dict[str, Any], share: Any) -> dict[str, Any]:
        """Return ``weights``, moved towards the network's by ``share``."""
        moved = {}
        for name, variable in self._variables.items():
            value = value_of(variable)
            if value.dtype.is_floating or value.dtype.is_complex:
                factor = tf.cast(share, value.dtype)
                moved[name] = weights[name] + factor * (value - weights[name])
            else:
                moved[name] = tf.identity(value)
        return moved

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Give the network the values of a copy."""
        for name, variable in self._variables.items():
            variable.assign(weights[name])

    def weights_to_arrays(self, weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the copies as arrays."""
        return {name: np.asarray(value.numpy()) for name, value in weights.items()}

    def weights_from_arrays(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Return the copies that the arrays are of."""
        kept = {name: to_array(variable) for name, variable in self._variables.items()}
        forms = {name: (array.shape, array.dtype) for name, array in kept.items()}
        if forms != {name: (array.shape, array.dtype) for name, array in arrays.items()}:
            raise TrainingStateError(
                "The weights in the training state differ from the network's in name, shape or "
                "dtype.",
                hint="The state is of another model.",
            )
        return {name: tf.convert_to_tensor(arrays[name]) for name in kept}

    def optimizer_state(self) -> dict[str, np.ndarray]:
        """Return the optimizer's state as arrays named ``<parameter>/<quantity>``."""
        return optimizer_state(self._optimizer, self._parameters)

    def load_optimizer_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Set the optimizer's state."""
        load_optimizer_state(self._optimizer, self._parameters, state)
