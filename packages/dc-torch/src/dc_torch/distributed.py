"""Tensors that are spread over several processes: those of ``fully_shard`` (FSDP2).

Each process holds a part. Reading the whole, or setting it, is done by all processes together.
"""

from __future__ import annotations

import sys
from typing import Any

from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """Return whether ``tensor`` is a part of one that is spread over processes."""
    # Where it is not imported, nothing is spread.
    library = sys.modules.get("torch.distributed.tensor")
    return library is not None and isinstance(tensor, library.DTensor)


def whole(tensor: Tensor) -> Tensor:
    """Return all of ``tensor``; of a spread one, every process has to ask for it."""
    spread: Any = tensor
    found: Tensor = spread.full_tensor() if is_sharded(tensor) else tensor
    return found


def own_part(tensor: Tensor) -> Tensor:
    """Return what this process holds of ``tensor``, sharing its memory."""
    spread: Any = tensor
    found: Tensor = spread.to_local() if is_sharded(tensor) else tensor
    return found


def spread_like(value: Tensor, tensor: Tensor) -> Tensor:
    """Return ``value``, which every process has, spread as ``tensor`` is."""
    if not is_sharded(tensor):
        return value
    from torch.distributed.tensor import distribute_tensor

    like: Any = tensor
    on_device = value.to(like.device_mesh.device_type)
    return distribute_tensor(on_device, like.device_mesh, like.placements, src_data_rank=None)
