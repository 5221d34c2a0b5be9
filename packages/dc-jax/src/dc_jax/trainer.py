"""``ModuleTrainer``: the training of a module, as JAX does its steps.

Arrays never change, so copies of weights are references, and a step that is not applied leaves what
was there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import jax
import numpy as np

from dc_core import Columns, row_count
from dc_core.errors import OutOfDeviceMemory, ParameterError, TrainingStateError
from dc_core.training import Evaluated, Labels, Trainer
from dc_jax.arrays import form_of, like, to_numpy
from dc_jax.batches import InputForm, fitting_rows, input_of
from dc_jax.inference import form_of_input, output_shape
from dc_jax.live import LiveArrays, Owner
from dc_jax.optimizers import make_optimizer, state_from_arrays, state_to_arrays
from dc_jax.patterns import factors_of, matching
from dc_jax.program import Program
from dc_jax.steps import Gradients, Rule, added, applied, blended, evaluated, gradients_of
from dc_jax.structure import Role, weights_of
from dc_jax.training_config import TrainingConfig


class ModuleTrainer(Trainer):
    """Trains the module of ``owner`` as ``config`` says, on the config's device.

    Raises :class:`ParameterError` if the module has no parameter to train, or if a pattern of the
    config matches none of its names.
    """

    config: TrainingConfig

    def __init__(self, owner: Owner, config: TrainingConfig) -> None:
        super().__init__(config)
        weights = weights_of(owner.module)
        frozen = {name for pattern in config.freeze for name in matching(weights, pattern)}
        self._roles = {weight.native: weight.role for weight in weights}
        self._trained = [
            weight.native
            for weight in weights
            if weight.role is Role.PARAMETER and weight.native not in frozen
        ]
        if not self._trained:
            raise ParameterError(
                "All parameters are frozen: there is none to train."
                if Role.PARAMETER in self._roles.values()
                else "The module has no parameter to train.",
                hint="freeze takes patterns such as 'layers.0.*'; leave out the last layer."
                if frozen
                else "Parameters are nnx.Param in Flax, and floating-point arrays elsewhere.",
            )
        self._states = frozenset(
            name for name, role in self._roles.items() if role is Role.STATE and name not in frozen
        )
        self._live = LiveArrays(owner)
        self._program = Program.of(owner.module)
        self._loss = config.loss_function()
        self._shapes: dict[Any, tuple[int, ...]] = {}
        self._form: InputForm = form_of_input(weights, config)
        self._rule = Rule(
            make_optimizer(config.optimizer, config.optimizer_options),
            config.gradient_clip,
            config.gradient_clip_value,
            tuple(sorted(factors_of(weights, config.learning_rate_factors).items())),
        )
        self._memory = self._rule.optimizer.init(self._parameters())

    def isolated(self) -> AbstractContextManager[object]:
        """Do nothing: JAX has no global generator."""
        return nullcontext()

    def training(self, epoch: int) -> AbstractContextManager[object]:
        """Do nothing: the mode is that of a call."""
        return nullcontext()

    def evaluating(self) -> AbstractContextManager[object]:
        """Do nothing: the mode is that of a call."""
        return nullcontext()

    def gradients(
        self,
        X: Columns,
        labels: Labels,
        weight: float,
        seed: int,
        before: Gradients | None = None,
    ) -> Gradients:
        """Return the loss of the rows so far, its gradients, and the states after them."""
        arrays = self._live.read()
        if before is not None:
            arrays |= before.states
        given = input_of(X, self._form)
        self._check_output(arrays, given, labels, training=True)
        trained = {name: arrays.pop(name) for name in self._trained}
        with self._telling_what_fits(X):
            found = gradients_of(
                self._program,
                self._loss,
                self._states,
                trained,
                arrays,
                given,
                labels.y,
                labels.w / weight,
                np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32),
            )
            total: Gradients = found if before is None else added(before, found)
            return total

    def apply(self, gradients: Gradients, rate: float) -> Any:
        """Change the parameters if the loss and the gradients are finite; return the loss."""
        arrays = self._live.read()
        loss, trained, states, self._memory = applied(
            self._rule,
            gradients,
            {name: arrays[name] for name in self._trained},
            {name: arrays[name] for name in gradients.states},
            self._memory,
            np.float32(rate),
        )
        self._live.write({**arrays, **trained, **states})
        return loss

    def read(self, losses: Sequence[Any]) -> list[float]:
        """Return the losses as numbers, read at once."""
        return [float(loss) for loss in jax.device_get(list(losses))]

    def evaluated(self, X: Columns, labels: Labels, *, predict: bool) -> Evaluated:
        """Return the weighted sum of the losses of the labels and, if asked for, predictions."""
        rows = row_count(X)
        filled = fitting_rows(rows, max(rows, self.config.batch_size))
        arrays, given = self._live.read(), input_of(X, self._form, filled)
        added_rows = ((0, filled - rows), (0, 0))
        y, w, known = (np.pad(each, added_rows) for each in labels)
        self._check_output(arrays, given, Labels(y, w, known), training=False)
        with self._telling_what_fits(X):
            total, predictions = evaluated(self._program, self._loss, arrays, given, y, w)
            found = to_numpy(predictions, "predictions")[:rows] if predict else None
            return Evaluated(float(total), found)

    def copied_weights(self, into: dict[str, Any]) -> dict[str, Any]:
        """Return the module's arrays, which never change."""
        return self._live.read()

    def moved_weights(self, weights: dict[str, Any], share: Any) -> dict[str, Any]:
        """Return ``weights``, moved towards the module's arrays by ``share``."""
        present = self._live.read()
        moving = {
            name
            for name, role in self._roles.items()
            if role in (Role.PARAMETER, Role.STATE)
            and jax.numpy.issubdtype(present[name].dtype, np.inexact)
        }
        moved = blended(
            {name: weights[name] for name in moving},
            {name: present[name] for name in moving},
            jax.numpy.asarray(share, np.float32),  # it may be on the device
        )
        return {name: moved.get(name, value) for name, value in present.items()}

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Give the module the arrays of a copy."""
        self._live.write(weights)

    def weights_to_arrays(self, weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the copies as arrays."""
        return {name: to_numpy(value, name) for name, value in weights.items()}

    def weights_from_arrays(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Return the copies that the arrays are of."""
        present = self._live.read()
        forms = {name: tuple(form_of(value, name)) for name, value in present.items()}
        if forms != {name: (array.shape, array.dtype) for name, array in arrays.items()}:
            raise TrainingStateError(
                "The weights in the training state differ from the module's in name, shape or "
                "dtype.",
                hint="The state is of another model.",
            )
        return {name: like(value, arrays[name]) for name, value in present.items()}

    def optimizer_state(self) -> dict[str, np.ndarray]:
        """Return the optimizer's state as arrays by path."""
        return state_to_arrays(self._memory)

    def load_optimizer_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Set the optimizer's state."""
        self._memory = state_from_arrays(self._memory, state)

    def _parameters(self) -> dict[str, Any]:
        arrays = self._live.read()
        return {name: arrays[name] for name in self._trained}

    def _check_output(
        self, arrays: Mapping[str, Any], X: Any, labels: Labels, *, training: bool
    ) -> None:
        forms = tuple((leaf.shape, leaf.dtype) for leaf in jax.tree_util.tree_leaves(X))
        shape = self._shapes.get((training, forms))
        if shape is None:
            shape = output_shape(self._program, self._loss, arrays, X, training=training)
            self._shapes[training, forms] = shape
        self._loss.check(shape, labels.y, labels.given)

    @contextmanager
    def _telling_what_fits(self, X: Columns) -> Iterator[None]:
        try:
            yield
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise OutOfDeviceMemory(
                f"{row_count(X)} rows at once do not fit in the memory of the device.",
                hint="Set a smaller batch_size, or a larger accumulate.",
            ) from error
