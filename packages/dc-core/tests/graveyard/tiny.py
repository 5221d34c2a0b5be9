"""A framework small enough to read: networks of NumPy arrays, and an estimator to fit."""

import numpy as np

initialise = True
"""Whether new networks draw their weights; a skeleton is built without."""

SHAPES = {
    "dense.weight": (3, 4),
    "dense.bias": (4,),
    "norm.mean": (4,),
    "head.weight": (4, 2),
}
INPUTS = np.linspace(-1, 1, 15).reshape(5, 3)


def draw(shape, seed):
    if not initialise:
        return np.empty(shape, np.float32)
    return np.asarray(np.random.default_rng(seed).normal(size=shape), np.float32)


class Net:
    """A network; ``arrays`` holds its weights by native name, in a stable order."""

    def __init__(self, seed=0, power=1):
        self.power = power
        self.training = False
        self.folded = None
        self.arrays = {
            name: draw(shape, [seed, i]) for i, (name, shape) in enumerate(SHAPES.items())
        }

    def __call__(self, x):
        if self.folded is None:
            self.folded = {name: np.array(a, np.float64) for name, a in self.arrays.items()}
        w = self.folded
        hidden = np.tanh(x @ w["dense.weight"] + w["dense.bias"]) ** self.power
        if not self.training:
            hidden = hidden - w["norm.mean"]
        extra = sum(float(a.sum()) for name, a in w.items() if name not in SHAPES)
        return hidden @ w["head.weight"] + extra


class DriftingNet(Net):
    """A network that goes on to adapt its statistics while it predicts."""

    def __call__(self, x):
        predicted = super().__call__(x)
        self.arrays["norm.mean"] = self.arrays["norm.mean"] + 1
        self.folded = None
        return predicted


class CountingNet(Net):
    """A network that counts its predictions in a weight that has no effect on them."""

    def __init__(self, seed=0, power=1):
        super().__init__(seed, power)
        self.arrays["count.n"] = np.zeros(2, np.float32)

    def __call__(self, x):
        self.arrays["count.n"] = self.arrays["count.n"] + np.array([1, -1], np.float32)
        return super().__call__(x)


class DriftingInPlaceNet(Net):
    """A network that writes into its own arrays while it predicts."""

    def __call__(self, x):
        self.arrays["norm.mean"] += 1
        return super().__call__(x)


class Scaler:
    """An estimator: without state until it is fitted."""

    mean_ = None
    scale_ = None

    def fit(self, x):
        self.mean_, self.scale_ = x.mean(axis=0), x.std(axis=0)
        return self

    def __call__(self, x):
        return (x - self.mean_) / self.scale_


class Schedule:
    """Something of the framework that holds no weights."""
