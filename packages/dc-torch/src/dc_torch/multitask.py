"""Feed-forward networks for several tasks at once: one trunk, one output per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Unpack

import torch
from torch import Tensor, nn

from dc_core import check_count
from dc_core.errors import ParameterError
from dc_torch.model import TorchModel
from dc_torch.rng import isolated_rng, seed_rng
from dc_torch.training_config import TrainingConfig, TrainingOptions, check_choice

ACTIVATIONS: Final[Mapping[str, type[nn.Module]]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
"""The activations by name."""

_MOST_LAYERS: Final = 1000
"""A stored list may be long, and each of its numbers costs a layer."""


class MultitaskNetwork(nn.Module):
    """Maps ``(b, n_features)`` to ``(b, n_tasks)``, or to logits ``(b, n_tasks, n_classes)``.

    Each size in ``layer_sizes`` is a linear layer with activation and dropout; a linear layer gives
    the outputs.
    """

    def __init__(
        self,
        n_features: int,
        n_tasks: int,
        n_classes: int | None,
        layer_sizes: Sequence[int],
        dropout: float,
        activation: str,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = n_features
        for size in layer_sizes:
            layers += [nn.Linear(width, size), ACTIVATIONS[activation](), nn.Dropout(dropout)]
            width = size
        layers.append(nn.Linear(width, n_tasks * (1 if n_classes is None else n_classes)))
        self.layers = nn.Sequential(*layers)
        self.outputs = (n_tasks,) if n_classes is None else (n_tasks, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs for ``x``."""
        output: Tensor = self.layers(x)
        return torch.unflatten(output, -1, self.outputs)


class MultitaskRegressor(TorchModel):
    """Regression of several tasks from a vector of features.

    The network has a hidden layer for each of ``layer_sizes`` (at most 1000), with ``activation``
    (a key of :data:`ACTIVATIONS`) and ``dropout``. ``options`` are those of
    :class:`TrainingConfig`. Equal seeds give equal first weights.

    Raises :class:`ParameterError` for values that cannot be used.
    """

    def __init__(
        self,
        n_tasks: int,
        n_features: int,
        *,
        layer_sizes: Sequence[int] = (1000,),
        dropout: float = 0.2,
        activation: str = "relu",
        **options: Unpack[TrainingOptions],
    ) -> None:
        network = _network(n_features, n_tasks, None, layer_sizes, dropout, activation, options)
        super().__init__(network, **options)
        self._n_features = n_features

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row of X."""
        return (self._n_features,)


class MultitaskClassifier(TorchModel):
    """Classification of several tasks, each into ``n_classes``, from a vector of features.

    Labels are the classes' numbers. The network is that of :class:`MultitaskRegressor`, and the
    loss is the cross entropy unless ``options`` say otherwise.

    Raises :class:`ParameterError` for values that cannot be used.
    """

    def __init__(
        self,
        n_tasks: int,
        n_features: int,
        *,
        n_classes: int = 2,
        layer_sizes: Sequence[int] = (1000,),
        dropout: float = 0.2,
        activation: str = "relu",
        **options: Unpack[TrainingOptions],
    ) -> None:
        check_count("n_classes", n_classes, minimum=2)
        options = {"loss": "cross_entropy", **options}
        if options["loss"] != "cross_entropy":
            raise ParameterError(
                f"A classifier's loss is 'cross_entropy', not {options['loss']!r}."
            )
        network = _network(
            n_features, n_tasks, n_classes, layer_sizes, dropout, activation, options
        )
        super().__init__(network, **options)
        self._n_features = n_features

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row of X."""
        return (self._n_features,)


def _network(
    n_features: int,
    n_tasks: int,
    n_classes: int | None,
    layer_sizes: Any,
    dropout: Any,
    activation: str,
    options: TrainingOptions,
) -> MultitaskNetwork:
    """Check the values and make the network, its first weights from the config's seed alone."""
    for name, value in (("n_features", n_features), ("n_tasks", n_tasks)):
        check_count(name, value, minimum=1)
    if not isinstance(layer_sizes, Sequence):
        raise ParameterError(
            f"layer_sizes={layer_sizes!r} has to have a size for each hidden layer, as (1000,) has."
        )
    if len(layer_sizes) > _MOST_LAYERS:
        raise ParameterError(
            f"layer_sizes has {len(layer_sizes)} sizes; at most {_MOST_LAYERS} hidden layers can "
            "be made."
        )
    for size in layer_sizes:
        check_count("layer_sizes", size, minimum=1)
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ParameterError(f"dropout={dropout!r} has to be in [0, 1).")
    check_choice("activation", activation, ACTIVATIONS)
    with isolated_rng():
        seed_rng(TrainingConfig.of(options).seed)
        return MultitaskNetwork(n_features, n_tasks, n_classes, layer_sizes, dropout, activation)
