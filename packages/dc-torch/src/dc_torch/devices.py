"""The devices that a model can work on."""

from __future__ import annotations

import torch

from dc_core.errors import ParameterError


def available_devices() -> list[str]:
    """Return the names of this machine's devices: ``cpu``, ``cuda:0``, ``mps``."""
    names = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    return [*names, "mps"] if torch.backends.mps.is_available() else names


def resolve_device(name: object) -> torch.device:
    """Return the device ``name``, a str or a ``torch.device``.

    ``auto`` is the first GPU, or the CPU if there is none.

    Raises :class:`ParameterError`, naming the devices there are, if the machine lacks it.
    """
    if isinstance(name, torch.device):
        name = str(name)
    if isinstance(name, str) and name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    available = available_devices()
    fault = "is not a device of PyTorch"
    if isinstance(name, str):
        try:
            device = torch.device(name)
        except RuntimeError:
            pass
        else:
            first = device.type if device.type in ("cpu", "mps") else f"{device.type}:0"
            full = first if device.index in (None, 0) else f"{device.type}:{device.index}"
            if full in available:
                return device
            fault = "is not a device of this machine"
    raise ParameterError(
        f"device={name!r} {fault}.", hint=f"Use 'auto', {', '.join(map(repr, available))}."
    )
