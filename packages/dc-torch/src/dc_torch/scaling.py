"""``LossScale``: a factor of the loss that keeps gradients within the range of half precision.

Gradients below 6e-8 are 0 in float16, and those above 65504 are infinite. The loss is multiplied by
the scale before backpropagation, and the gradients are divided by it afterwards. The scale is
halved when a gradient is not finite, and doubled after many steps without one (Micikevicius et al.,
ICLR 2018). ``torch.amp.GradScaler`` does the same, and steps the optimizer itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Self

import numpy as np
import torch
from torch import Tensor

from dc_core.errors import TrainingStateError

_FIRST: Final = 2.0**16
_GROWS_AFTER: Final = 2000
"""Steps that are applied in a row, after which the scale is doubled."""

ARRAYS: Final = {
    "loss_scale/scale": ((), np.dtype(np.float32)),
    "loss_scale/applied": ((), np.dtype(np.int32)),
}
"""The arrays of a training state that are a loss scale, with their shapes and dtypes."""


class LossScale:
    """The scale, which is kept on the device, so that nothing waits for it."""

    def __init__(self, device: torch.device) -> None:
        self.scale = torch.full((), _FIRST, device=device)
        self._applied = torch.zeros((), dtype=torch.int32, device=device)

    def update(self, faults: Tensor) -> None:
        """Take note of a step; it was not applied if ``faults`` is 1."""
        torch._amp_update_scale_(self.scale, self._applied, faults, 2.0, 0.5, _GROWS_AFTER)

    def can_fall(self) -> bool:
        """Return whether smaller scales are left; at 1, gradients are as they are without one."""
        return self.scale.item() > 1

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the scale, and the number of steps in a row that were applied, as arrays."""
        values = (self.scale, self._applied)
        return {name: each.cpu().numpy().copy() for name, each in zip(ARRAYS, values, strict=True)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], device: torch.device) -> Self:
        """Return the scale of :meth:`to_arrays`; raises :class:`TrainingStateError` for others."""
        if {name: (array.shape, array.dtype) for name, array in arrays.items()} != ARRAYS:
            raise TrainingStateError(
                "The loss scale in the training state is missing or malformed.",
                hint="The training state is incomplete, or of another version.",
            )
        scale, applied = (arrays[name].item() for name in ARRAYS)
        if not (0 < scale < float("inf") and 0 <= applied < _GROWS_AFTER):
            raise TrainingStateError(
                f"The training state has {scale} as its loss scale, and {applied} steps with it.",
                hint="The training state was damaged or edited.",
            )
        made = cls(device)
        made.scale.fill_(scale)
        made._applied.fill_(applied)
        return made
