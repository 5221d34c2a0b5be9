"""Run a layer or model of Keras as a function that changes nothing.

Keras runs it on given values of its variables. Statistics and random generators have new values
afterwards, which are returned, so that a step can still be dropped. Functions are compiled once for
each form of X with any number of rows: what they compute does not depend on which rows came first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from dc_core import Columns, DCError
from dc_core.errors import DatasetError, OutOfDeviceMemory
from dc_core.training import step_seed
from dc_tensorflow.batches import input_dtype, input_of, spec_of
from dc_tensorflow.frameworks import tf
from dc_tensorflow.losses import Loss
from dc_tensorflow.weights import layers_of

_FAULTS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)
"""What Keras and TensorFlow raise for inputs that do not fit."""


class Gradients(NamedTuple):
    """The loss of rows, its gradients, and the statistics that the network has after them."""

    loss: Any
    gradients: Sequence[Any]
    statistics: Sequence[Any]


class Network:
    """A built layer or model, the variables that it trains, and its other state."""

    def __init__(self, layer: Any, loss: Loss, dtype: str | None) -> None:
        self.layer = layer
        self.loss = loss
        self.dtype = input_dtype(layer, dtype)
        self.trained = list(layer.trainable_variables)
        states = list(layer.non_trainable_variables)
        seeds = {id(variable) for variable in _random_states(layer)}
        self._is_seed = [id(variable) in seeds for variable in states]
        self.statistics = [
            v for v, is_seed in zip(states, self._is_seed, strict=True) if not is_seed
        ]
        self._seed_dtype = next((v.dtype for v in states if id(v) in seeds), "int64")
        self.output_shape: tuple[int | None, ...] = ()
        self._compiled: dict[Any, Callable[..., Any]] = {}

    def gradients(
        self, X: Columns, y: np.ndarray, w: np.ndarray, seed: int, before: Gradients | None
    ) -> Gradients:
        """Return the loss of rows in training, and its gradients, after those of ``before``.

        ``w`` are the weights divided by their sum over the step. What is drawn depends on ``seed``.
        """
        earlier = () if before is None else (*map(tuple, before[1:]), before.loss)
        rest = (self._seeds(seed), earlier)
        return Gradients(*self._run(self._gradients, X, (y, w), rest))

    def evaluated(self, X: Columns, y: np.ndarray, w: np.ndarray, seed: int) -> tuple[Any, Any]:
        """Return the weighted sum of the losses of the labels, and the predictions."""
        loss, predictions = self._run(self._evaluated, X, (y, w), (self._seeds(seed),))
        return loss, predictions

    def predicted(self, read: Callable[[Any], Any], X: Columns, seed: int) -> Any:
        """Return what ``read`` makes of the output for X, as floats."""

        def predictions(X: Any, seeds: Any) -> Any:
            return as_floats(read(self._output(self._values(), X, seeds, (), training=False)[0]))

        name = getattr(read, "__qualname__", repr(read))
        return self._run(predictions, X, (), (self._seeds(seed),), name)

    def check(self, X: Columns, y: np.ndarray, given: np.ndarray) -> None:
        """Raise :class:`DatasetError` unless the output for X and the labels fit the loss."""
        if not self.output_shape:
            w = np.zeros(y.shape)
            self._run(self._evaluated, X, (y, w), (self._seeds(0),), compile_only=True)
        self.loss.check(self.output_shape, y, given)

    def _gradients(self, X: Any, y: Any, w: Any, seeds: Any, before: Any) -> Any:
        values = self._values()
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            statistics = before[1] if before else ()
            output, new, added = self._output(values, X, seeds, statistics, training=True)
            output = as_floats(output)
            w = tf.cast(w, output.dtype)
            loss = self.loss.weighted_sum(output, tf.cast(y, output.dtype), w)
            if added:
                others = tf.add_n([tf.cast(each, output.dtype) for each in added])
                loss += tf.reduce_sum(w) * others
        found = tape.gradient(loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        gradients = [tf.convert_to_tensor(gradient) for gradient in found]
        if before:
            loss += before[2]
            gradients = [a + b for a, b in zip(before[0], gradients, strict=True)]
        return loss, gradients, new

    def _evaluated(self, X: Any, y: Any, w: Any, seeds: Any) -> Any:
        output = as_floats(self._output(self._values(), X, seeds, (), training=False)[0])
        y, w = tf.cast(y, output.dtype), tf.cast(w, output.dtype)
        return self.loss.weighted_sum(output, y, w), self.loss.predictions(output)

    def _values(self) -> list[Any]:
        return [tf.convert_to_tensor(variable.value) for variable in self.trained]

    def _output(
        self,
        values: Sequence[Any],
        X: Any,
        seeds: Any,
        statistics: Sequence[Any],
        *,
        training: bool,
    ) -> tuple[Any, list[Any], list[Any]]:
        """Return the output, the new statistics, and the losses that layers add."""
        present = iter(statistics or [variable.value for variable in self.statistics])
        drawn = iter(tf.unstack(seeds, num=sum(self._is_seed)))
        states = [next(drawn) if is_seed else next(present) for is_seed in self._is_seed]
        options = {"training": training} if self.layer._call_has_training_arg else {}
        output, states, losses = self.layer.stateless_call(
            list(values), states, X, return_losses=True, **options
        )
        output = self.loss.with_tasks(output)
        self.output_shape = tuple(output.shape)
        new = [state for state, is_seed in zip(states, self._is_seed, strict=True) if not is_seed]
        return output, new, losses

    def _seeds(self, seed: int) -> Any:
        """Return states of the random generators that depend on ``seed`` alone."""
        drawn = [step_seed(seed, i, 0) for i in range(sum(self._is_seed))]
        halves = [[value >> 33, value & 0x7FFFFFFF] for value in drawn]
        return tf.constant(np.reshape(halves, (-1, 2)), self._seed_dtype)

    def _run(
        self,
        function: Callable[..., Any],
        X: Columns,
        labels: tuple[np.ndarray, ...],
        rest: tuple[Any, ...],
        name: str = "",
        *,
        compile_only: bool = False,
    ) -> Any:
        """Return ``function(X, *labels, *rest)``, compiled for any number of rows.

        Raises :class:`DatasetError` if the network fails on X, and :class:`OutOfDeviceMemory`.
        """
        given = (input_of(X, self.dtype), *map(tf.convert_to_tensor, labels))
        try:
            specs = (
                *(tf.nest.map_structure(spec_of, each) for each in given),
                *tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), rest),
            )
            key = function.__name__, name, repr(specs)
            if key not in self._compiled:
                compiled = tf.function(function, autograph=False).get_concrete_function(*specs)
                self._compiled[key] = compiled
            return None if compile_only else self._compiled[key](*given, *rest)
        except (DCError, MemoryError):
            raise
        except tf.errors.ResourceExhaustedError as error:
            raise OutOfDeviceMemory(
                f"So many rows at once do not fit in the memory of the device: X of "
                f"{_form(given[0])}. ({str(error)[:200]})",
                hint="Set a smaller batch_size, or a larger accumulate.",
            ) from error
        except _FAULTS as error:
            raise DatasetError(
                f"The {type(self.layer).__name__} fails on X of {_form(given[0])}: "
                f"{type(error).__name__}: {str(error)[:500]}",
                hint="Give X the shape that it takes; input_dtype sets its dtype.",
            ) from error


def as_floats(output: Any) -> Any:
    """Return ``output`` as float64 if it is, and as float32 otherwise."""
    return output if output.dtype == tf.float64 else tf.cast(output, tf.float32)


def _random_states(layer: Any) -> Iterator[Any]:
    """Yield the variables of the random generators of a layer and of those in it."""
    for part in layers_of(layer):
        for generator in getattr(part, "_seed_generators", ()):
            yield generator.state


def _form(X: Any) -> str:
    if isinstance(X, dict):
        return "; ".join(f"{name}: {_form(column)}" for name, column in X.items())
    if isinstance(X, tf.RaggedTensor):
        return f"{X.nrows()} ragged rows with values of {_form(X.values)}"
    return f"shape {tuple(X.shape)} and dtype {X.dtype.name}"
