"""Initial weights of feed-forward networks, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from torch import Tensor, nn

_STD: Final = 0.02
_truncated = partial(nn.init.trunc_normal_, std=_STD, a=-2 * _STD, b=2 * _STD)

_WEIGHTS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": partial(nn.init.kaiming_uniform_, nonlinearity="relu"),
    "kaiming_normal": partial(nn.init.kaiming_normal_, nonlinearity="relu"),
    "orthogonal": nn.init.orthogonal_,
}

INITIALIZATIONS: Final = ("torch", "deepchem", *_WEIGHTS)
"""The names of initialisations."""


def initialize(layers: Sequence[nn.Linear], init: str, *, classifies: bool) -> None:
    """Draw initial weights of ``layers``, the last of which gives the outputs.

    - ``torch``: those that torch drew already.
    - ``deepchem``: those of DeepChem's networks. Weights are normal with standard deviation 0.02,
      truncated at two deviations, and biases are 1; a classifier's output layer is
      ``xavier_uniform``.
    - The others are functions of :mod:`torch.nn.init`, with biases of 0; the Kaiming ones have the
      gain of a ReLU.

    Layers without values, on the meta device, stay as they are.
    """
    if init == "torch":
        return
    for layer in layers:
        if layer.weight.is_meta:
            continue
        deepchem = init == "deepchem" and not (classifies and layer is layers[-1])
        draw = _truncated if deepchem else _WEIGHTS.get(init, nn.init.xavier_uniform_)
        draw(layer.weight)
        nn.init.constant_(layer.bias, 1.0 if deepchem else 0.0)
