"""Feed-forward networks for several tasks at once: one trunk, one output per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Unpack

import numpy as np
import torch
from torch import Tensor, nn

from dc_core import charge, check_choice, check_count, check_number, plain
from dc_core.errors import ParameterError
from dc_torch.initialization import INITIALIZATIONS, initialize
from dc_torch.model import TorchModel
from dc_torch.rng import isolated_rng, seed_rng
from dc_torch.training_config import TrainingConfig, TrainingOptions

ACTIVATIONS: Final[Mapping[str, type[nn.Module]]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
"""Activations by name."""

_MAX_LAYERS: Final = 1000
"""A file may name many sizes, and each costs a layer."""

_MAX_SIZE: Final = (1 << 31) - 1
"""Of a layer; torch cannot count more units."""

_CHARGED_ROWS: Final = 1000
"""The number of rows of predictions that a load is charged for."""


class MultitaskNetwork(nn.Module):
    """Maps ``(b, n_features)`` to ``(b, n_tasks)``, or to ``(b, n_tasks, n_outputs)``.

    Each size in ``layer_sizes`` adds a linear layer with activation and dropout; the last linear
    layer gives the outputs.
    """

    def __init__(
        self,
        n_features: int,
        n_tasks: int,
        n_outputs: int | None,
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
        layers.append(nn.Linear(width, n_tasks * (1 if n_outputs is None else n_outputs)))
        self.layers = nn.Sequential(*layers)
        self.outputs = (n_tasks,) if n_outputs is None else (n_tasks, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs for ``x``."""
        output: Tensor = self.layers(x)
        return torch.unflatten(output, -1, self.outputs)


class _Multitask(TorchModel):
    """A model around a :class:`MultitaskNetwork`, whose initial weights depend only on the seed."""

    def __init__(
        self,
        n_tasks: int,
        n_features: int,
        n_classes: int | None,
        layer_sizes: Sequence[int],
        dropout: float,
        activation: str,
        init: str,
        options: TrainingOptions,
    ) -> None:
        for name, value in (("n_features", n_features), ("n_tasks", n_tasks)):
            check_count(name, plain(value), minimum=1, maximum=_MAX_SIZE)
        sizes = _layer_sizes(layer_sizes)
        rate = check_number("dropout", dropout, minimum=0, below=1)
        check_choice("activation", activation, ACTIVATIONS)
        check_choice("init", init, INITIALIZATIONS)
        config = TrainingConfig.of(options)
        n_outputs = config.loss_function().outputs if n_classes is None else plain(n_classes)
        outputs = plain(n_tasks) * (n_outputs or 1)
        # A file of a few kilobytes can ask for predictions of gigabytes.
        charge(4 * outputs * _CHARGED_ROWS, f"Predictions of {outputs} numbers a row")
        with isolated_rng():
            seed_rng(config.seed)
            network = MultitaskNetwork(
                plain(n_features), plain(n_tasks), n_outputs, sizes, rate, activation
            )
            linear = [layer for layer in network.layers if isinstance(layer, nn.Linear)]
            initialize(linear, init, classifies=n_classes is not None)
        super().__init__(network, **options)
        self._n_features = plain(n_features)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row of X."""
        return (self._n_features,)

    def get_parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments, NumPy's numbers as Python's."""
        parameters = super().get_parameters()
        if isinstance(parameters.get("layer_sizes"), np.ndarray):
            parameters["layer_sizes"] = parameters["layer_sizes"].tolist()
        return {name: plain(value) for name, value in parameters.items()}


class MultitaskRegressor(_Multitask):
    """Regression of several tasks from a vector of features.

    The network has a hidden layer for each of ``layer_sizes`` (at most 1000), with ``activation``
    (a key of :data:`ACTIVATIONS`) and ``dropout``. ``init`` says how the initial weights are drawn:
    as torch does, or as :func:`~dc_torch.initialization.initialize` lists: ``deepchem``,
    ``xavier_uniform``, ``orthogonal`` and others. Equal seeds give equal initial weights.
    ``options`` are those of :class:`TrainingConfig`. A loss that needs several outputs per task, as
    ``mean_variance`` does, gets them.

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
        init: str = "torch",
        **options: Unpack[TrainingOptions],
    ) -> None:
        super().__init__(n_tasks, n_features, None, layer_sizes, dropout, activation, init, options)


class MultitaskClassifier(_Multitask):
    """Classification of several tasks, each into ``n_classes``, from a vector of features.

    Labels are the numbers of the classes. The network is that of :class:`MultitaskRegressor`, and
    the loss is the cross entropy, unless another one on a logit per class is given.

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
        init: str = "torch",
        **options: Unpack[TrainingOptions],
    ) -> None:
        check_count("n_classes", plain(n_classes), minimum=2, maximum=_MAX_SIZE)
        options = {"loss": "cross_entropy", **options}
        loss = TrainingConfig.of(options).loss_function()
        if not (loss.predicts_classes and loss.axes == 3):
            raise ParameterError(
                f"A classifier's loss is one on a logit per class, not {options['loss']!r}.",
                hint="Use 'cross_entropy' or 'focal'.",
            )
        super().__init__(
            n_tasks, n_features, n_classes, layer_sizes, dropout, activation, init, options
        )


def _layer_sizes(given: Any) -> list[int]:
    """Return the sizes of the hidden layers as Python's integers."""
    sizes = given.tolist() if isinstance(given, np.ndarray) else plain(given)
    if isinstance(sizes, str) or not isinstance(sizes, Sequence):
        raise ParameterError(
            f"layer_sizes={given!r} must hold the size of each hidden layer.",
            hint="One hidden layer of 1000 units is layer_sizes=(1000,).",
        )
    if len(sizes) > _MAX_LAYERS:
        raise ParameterError(
            f"layer_sizes has {len(sizes)} sizes; at most {_MAX_LAYERS} hidden layers can be made."
        )
    return [check_count("layer_sizes", size, minimum=1, maximum=_MAX_SIZE) for size in sizes]
