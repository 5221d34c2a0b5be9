"""Keep the program's random numbers as they are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def isolated_rng() -> Iterator[None]:
    """Restore the generators of Python and NumPy at exit.

    Keras draws the seeds of layers and initializers from Python's. TensorFlow's own is not used.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def seed_rng(seed: int) -> None:
    """Seed the generators of Python and NumPy."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - layers may draw from the global generator
