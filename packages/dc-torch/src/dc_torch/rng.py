"""The states of the random-number generators, for training and for the rest of the program.

Training neither changes the program's random numbers nor depends on them: it has its own states of
the generators, which are part of the training state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import numpy as np
import torch

from dc_core.errors import TrainingStateError

_SHARES: Final = ContextVar("shares", default=False)
"""Whether nested :func:`isolated_rng` leave the restoring to the outermost one."""


@contextmanager
def isolated_rng() -> Iterator[None]:
    """Restore the generators of torch (with CUDA, if in use) and NumPy at exit."""
    if _SHARES.get():
        yield
        return
    before = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(before)


@contextmanager
def shared_isolation() -> Iterator[None]:
    """Let every :func:`isolated_rng` within leave the restoring to the one around this context.

    Saving and restoring NumPy's generator takes a tenth of a millisecond. What is drawn after a
    nested isolation continues its sequence instead of the program's.
    """
    token = _SHARES.set(True)
    try:
        yield
    finally:
        _SHARES.reset(token)


def seed_rng(seed: int) -> None:
    """Seed the generators of torch (with CUDA, if in use) and NumPy."""
    # torch.manual_seed() would also queue a call that seeds CUDA when the program first uses it.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - modules may draw from the global generator


def get_rng_state() -> dict[str, np.ndarray]:
    """Return the generators' states as arrays."""
    state = {"torch": torch.get_rng_state().numpy().copy()}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        for i, device in enumerate(torch.cuda.get_rng_state_all()):
            state[f"cuda/{i}"] = device.numpy().copy()
    _, key, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    state["numpy/key"] = np.array(key)
    state["numpy/position"] = np.array([position, has_gauss], dtype=np.int64)
    state["numpy/gauss"] = np.array(gauss, dtype=np.float64)
    return state


def set_rng_state(state: Mapping[str, np.ndarray]) -> None:
    """Set the generators to what :func:`get_rng_state` returned.

    States of CUDA devices that this machine lacks are ignored. Raises :class:`TrainingStateError`
    if the arrays are not such a state.
    """
    try:
        key = state["numpy/key"]
        position, has_gauss = (int(value) for value in state["numpy/position"])
        # NumPy does not check the position: it would read out of bounds.
        if key.shape != (624,) or not 0 <= position <= 624:
            raise ValueError(f"a key of shape {key.shape} and position {position}")
        legacy = ("MT19937", key, position, has_gauss, float(state["numpy/gauss"]))
        np.random.set_state(legacy)  # noqa: NPY002
        torch.set_rng_state(_bytes(state["torch"]))
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            for i in range(torch.cuda.device_count()):
                if f"cuda/{i}" in state:
                    torch.cuda.set_rng_state(_bytes(state[f"cuda/{i}"]), i)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise TrainingStateError(
            f"The state of the random-number generators cannot be used: {error}.",
            hint="The training state is incomplete, or of another version.",
        ) from error


def _bytes(state: np.ndarray) -> torch.Tensor:
    # torch.tensor() would follow a default device, such as the meta device of a skeleton.
    return torch.from_numpy(state.copy())
