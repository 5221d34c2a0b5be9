"""What is compiled: the gradients of a step, its application, and the evaluation of rows.

Programs, losses and optimizers are static: equal ones share what is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dc_core.errors import ParameterError
from dc_jax.batches import Input
from dc_jax.losses import Loss
from dc_jax.program import Program


class Gradients(NamedTuple):
    """What a step is applied with: its loss, the gradients, and the states after it, by name."""

    loss: Any
    gradients: dict[str, Any]
    states: dict[str, Any]


class Rule(NamedTuple):
    """How gradients change parameters: all that is known before the first step."""

    optimizer: Any
    clip: float | None
    clip_value: float | None
    factors: tuple[tuple[str, float], ...]


@partial(jax.jit, static_argnames=("program", "loss", "states"))
def gradients_of(
    program: Program,
    loss: Loss,
    states: frozenset[str],
    trained: Mapping[str, Any],
    others: Mapping[str, Any],
    X: Input,
    y: Any,
    w: Any,
    seed: Any,
) -> Gradients:
    """Return the weighted loss of some rows, its gradients, and the ``states`` after the call.

    ``seed`` is two words of 32 bits.
    """
    key = jax.random.wrap_key_data(seed, impl="threefry2x32")

    def total(trained: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        output, changed = program.run({**others, **trained}, X, key, training=True)
        output = loss.with_tasks(output)
        value = loss.weighted_sum(output, y.astype(output.dtype), w.astype(output.dtype))
        return value, {name: changed[name] for name in changed if name in states}

    (value, changed), gradients = jax.value_and_grad(total, has_aux=True)(trained)
    for name, state in changed.items():
        _check_state(program, name, others[name], state)
    # Of complex numbers, JAX returns the conjugate of the direction of ascent.
    return Gradients(value, jax.tree_util.tree_map(jnp.conj, gradients), changed)


@partial(jax.jit)
def added(first: Gradients, second: Gradients) -> Gradients:
    """Return the sum of the losses and gradients of two parts of a step."""
    gradients = {n: g + second.gradients[n] for n, g in first.gradients.items()}
    return Gradients(first.loss + second.loss, gradients, {**first.states, **second.states})


@partial(jax.jit, static_argnames=("rule",))
def applied(
    rule: Rule,
    step: Gradients,
    trained: Mapping[str, Any],
    states: Mapping[str, Any],
    memory: Any,
    rate: Any,
) -> tuple[Any, dict[str, Any], dict[str, Any], Any]:
    """Return the loss, the parameters, the states and the optimizer's memory after a step.

    If the loss or a gradient is not finite, the loss is NaN and all others are what they were. That
    is decided on the device.
    """
    finite = jnp.isfinite(step.loss)
    for gradient in step.gradients.values():
        finite &= jnp.isfinite(gradient).all()
    gradients = _clipped(rule, step.gradients)
    updates, later = rule.optimizer.update(gradients, memory, dict(trained))
    factors = dict(rule.factors)

    def moved(name: str, value: Any) -> Any:
        update = updates[name] * (rate * factors.get(name, 1.0)).astype(updates[name].dtype)
        return jnp.where(finite, (value + update).astype(value.dtype), value)

    keep = partial(jax.tree_util.tree_map, lambda new, old: jnp.where(finite, new, old))
    changed = {name: states[name] for name in step.states}
    return (
        jnp.where(finite, step.loss, jnp.nan),
        {name: moved(name, value) for name, value in trained.items()},
        keep(step.states, changed),
        keep(later, memory),
    )


@partial(jax.jit, static_argnames=("program", "loss"))
def evaluated(
    program: Program, loss: Loss, arrays: Mapping[str, Any], X: Input, y: Any, w: Any
) -> tuple[Any, Any]:
    """Return the weighted sum of the losses of some rows, and the predictions."""
    output, _ = program.run(arrays, X, None, training=False)
    output = loss.with_tasks(output)
    total = loss.weighted_sum(output, y.astype(output.dtype), w.astype(output.dtype))
    return total, loss.predictions(output)


@partial(jax.jit, static_argnames=("program", "loss", "read"))
def predicted(program: Program, loss: Loss, read: str, arrays: Mapping[str, Any], X: Input) -> Any:
    """Return what the method ``read`` of the loss makes of the output for some rows."""
    output, _ = program.run(arrays, X, None, training=False)
    return getattr(loss, read)(loss.with_tasks(output))


@partial(jax.jit)
def blended(weights: Mapping[str, Any], towards: Mapping[str, Any], share: Any) -> dict[str, Any]:
    """Return ``weights``, moved towards others by a share."""
    return {
        name: (value + share.astype(value.real.dtype) * (towards[name] - value)).astype(value.dtype)
        for name, value in weights.items()
    }


def _clipped(rule: Rule, gradients: dict[str, Any]) -> dict[str, Any]:
    if rule.clip_value is not None:
        limit = rule.clip_value
        gradients = {name: jnp.clip(g, -limit, limit) for name, g in gradients.items()}
    if rule.clip is not None:
        # As torch has it: 1e-6 keeps the quotient finite.
        factor = jnp.minimum(1.0, rule.clip / (optax.global_norm(gradients) + 1e-6))
        gradients = {name: g * factor.astype(g.real.dtype) for name, g in gradients.items()}
    return gradients


def _check_state(program: Program, name: str, before: Any, after: Any) -> None:
    if (before.shape, before.dtype) != (np.shape(after), after.dtype):
        raise ParameterError(
            f"The {program.name} changes {name!r} from {before.dtype}{before.shape} to "
            f"{after.dtype}{np.shape(after)}.",
            hint="A state keeps its shape and dtype while a module is trained.",
        )
