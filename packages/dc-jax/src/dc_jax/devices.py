"""The devices that a model can work on."""

from __future__ import annotations

import jax

from dc_core.errors import ParameterError


def available_devices() -> list[str]:
    """Return the names of this machine's devices: ``cpu:0``, ``gpu:0``."""
    kinds = dict.fromkeys([*(each.platform for each in jax.devices()), "cpu"])
    return [f"{kind}:{i}" for kind in kinds for i in range(len(jax.local_devices(backend=kind)))]


def resolve_device(name: object) -> jax.Device:
    """Return the device ``name``: ``auto`` is JAX's default, ``gpu`` the first of its kind.

    Raises :class:`ParameterError`, naming the devices there are, if the machine lacks it.
    """
    if name == "auto":
        return jax.local_devices()[0]
    available = available_devices()
    kind, _, number = name.partition(":") if isinstance(name, str) else ("", "", "")
    kind = "gpu" if kind in ("cuda", "rocm") else kind
    full = f"{kind}:{number or 0}"
    if full not in available:
        raise ParameterError(
            f"device={name!r} is not a device of this machine.",
            hint=f"Use 'auto', {', '.join(map(repr, available))}.",
        )
    return jax.local_devices(backend=kind)[int(full.partition(":")[2])]
