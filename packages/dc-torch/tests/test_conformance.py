"""The conformance kit, on modules that hold every kind of weight."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn

from dc_core.testing import BackendSuite


class Everything(nn.Module):
    """Convolution, batch norm, recurrence, own parameters and buffers, frozen and complex ones."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.convolution = nn.Conv1d(3, 4, 3)
        self.norm = nn.BatchNorm1d(4)
        self.recurrent = nn.LSTM(4, 5, batch_first=True)
        self.frozen = nn.Parameter(torch.zeros(5), requires_grad=False)
        self.register_buffer("shift", torch.zeros(5, dtype=torch.float64))
        self.register_buffer("wave", torch.zeros(2, dtype=torch.complex64))
        self.register_buffer("window", torch.hann_window(5), persistent=False)

    def forward(self, x):
        x = self.norm(self.convolution(x)).transpose(1, 2)
        x, _ = self.recurrent(x)
        x = (x * self.scale + self.frozen + self.shift) * self.window
        return x + self.wave.real.sum() + self.wave.imag.sum()


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(3, 3)
        self.decoder = nn.Linear(3, 3)
        self.decoder.weight = self.encoder.weight

    def forward(self, x):
        return self.decoder(self.encoder(x))


class Holder(nn.Module):
    """Adds up what it holds."""

    def __init__(self, shape):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(shape))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x.sum() * self.bias + self.weight.sum()


def chain(builders):
    """Return a function that builds a sequence of modules that map 3 features to 3."""
    return lambda: nn.Sequential(*(build() for build in builders))


def filled(module, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.dtype == torch.int64:
                tensor.fill_(seed + 3)
            else:
                values = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
                tensor.copy_(values + 0.1)
    window = getattr(module, "window", None)
    if window is not None:
        window.copy_(torch.hann_window(5))
    return module.eval()


class TestTorch(BackendSuite):
    backend = "torch"

    @classmethod
    def setup_class(cls):
        # Torch's compiler sets an environment variable when the meta device first imports it.
        with torch.device("meta"):
            Everything()

    def make(self, seed):
        return filled(Everything(), seed)

    def blank(self):
        return Everything().eval()

    def predict(self, obj):
        shapes = {Everything: (2, 3, 7)}
        x = torch.linspace(-1, 1, 42).reshape(shapes.get(type(obj), (14, 3)))
        with torch.no_grad():
            dtype = next(obj.parameters()).dtype
            return obj(x.to(dtype)).to(torch.float64).numpy()

    def strangers(self):
        return [torch.zeros(2), nn.Parameter(torch.zeros(2)), torch.float32, np.zeros(2)]

    def golden(self):
        return Path(__file__).parent / "golden"

    def architectures(self):
        leaves = st.sampled_from(
            [
                lambda: nn.Linear(3, 3),
                lambda: nn.Linear(3, 3, bias=False),
                lambda: nn.BatchNorm1d(3),
                lambda: nn.LayerNorm(3, elementwise_affine=True),
                lambda: nn.PReLU(3),
                Tied,
            ]
        )
        trees = st.recursive(leaves, lambda parts: st.lists(parts, min_size=1).map(chain))
        return trees.map(lambda build: lambda seed: filled(build(), seed))

    def make_tied(self, seed):
        return filled(Tied(), seed)

    def make_scalar(self, seed):
        return filled(Holder(()), seed)

    def make_empty(self, seed):
        return filled(Holder((0, 3)), seed)

    def make_bfloat16(self, seed):
        return filled(Holder((5, 2)).to(torch.bfloat16), seed)

    def make_large(self, seed):
        return filled(Holder(2**24), seed)

    def global_state(self):
        return (
            torch.random.get_rng_state().tolist(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
        )


class TestLayers(TestTorch):
    """Torch's own layers, which the backend can also describe and build."""

    def make(self, seed):
        return filled(self.blank(), seed)

    def blank(self):
        branch = nn.Sequential(OrderedDict(norm=nn.BatchNorm1d(4), act=nn.GELU("tanh")))
        last = nn.Linear(20, 3, bias=False)
        last.weight.requires_grad_(False)
        return nn.Sequential(nn.Conv1d(3, 4, 3), branch, nn.Flatten(), last).eval()

    def predict(self, obj):
        x = torch.linspace(-1, 1, 42)
        if isinstance(obj, nn.Sequential) and isinstance(obj[0], nn.Conv1d):
            with torch.no_grad():
                return obj(x.reshape(2, 3, 7)).numpy()
        return super().predict(obj)
