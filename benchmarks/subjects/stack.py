"""The large model that the weights benchmarks store and load: equal float32 matrices."""

from __future__ import annotations

import torch

from dc_core import register_component


@register_component("bench/Stack")
class Stack(torch.nn.Module):
    """Square linear layers without bias: ``layers`` times ``width`` × ``width`` float32."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(
            torch.nn.Linear(width, width, bias=False) for _ in range(layers)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def large(*, quick: bool) -> Stack:
    """Return 1 GiB of random weights in 256 matrices (32 MiB in 128 for a quick look)."""
    torch.manual_seed(0)
    return Stack(128, 256) if quick else Stack(256, 1024)


def small() -> Stack:
    """Return a tiny stack for warming up."""
    return Stack(2, 2)


def without_memory(layers: int, width: int) -> Stack:
    """Return a stack on the meta device, which has only shapes."""
    with torch.device("meta"):
        return Stack(layers, width)


def shape(stack: Stack) -> tuple[int, int]:
    """Return the arguments of the constructor of ``stack``."""
    return len(stack.layers), stack.layers[0].in_features


def touch(stack: torch.nn.Module) -> float:
    """Read one value of each 4 KiB page of every weight, as a first prediction would."""
    with torch.inference_mode():
        return float(sum(weight.view(-1)[::1024].sum() for weight in stack.parameters()))
