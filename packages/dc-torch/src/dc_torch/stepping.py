"""Apply a training step as a whole, or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

import torch
from torch import Tensor, nn

from dc_torch.extra_state import ExtraStates

_LARGE: Final = 1 << 16
"""The number of values from which a buffer is large: copying it takes more than a call does."""


class FiniteCheck:
    """Tells whether all gradients of a step are finite."""

    def __init__(self, device: torch.device) -> None:
        self._found = torch.zeros((), device=device)
        self._one = torch.ones((), device=device)

    def faults(self, gradients: list[Tensor], scale: Tensor | None = None) -> Tensor:
        """Return 1 if one of them is not finite and 0 otherwise, as a scalar on their device.

        They are divided by ``scale``. Nothing waits for the device. The tensor is used again at the
        next call.
        """
        self._found.zero_()
        factor = self._one if scale is None else scale.reciprocal()
        if _alike(gradients):
            # What torch's own scaler of gradients uses: one pass over all of them.
            torch._amp_foreach_non_finite_check_and_unscale_(gradients, self._found, factor)
        else:
            for gradient in gradients:
                if scale is not None:
                    gradient.mul_(factor)
                values = gradient.coalesce().values() if gradient.is_sparse else gradient
                self._found.logical_or_(~torch.isfinite(values).all())
        return self._found

    def passes(self, gradients: list[Tensor]) -> bool:
        """Return whether all of them are finite; this waits for the device.

        On the CPU a finite norm is proof, and takes less time than :meth:`faults`; that of large
        values is infinite too.
        """
        if self._found.device.type == "cpu" and _alike(gradients):
            norms = torch._foreach_norm(gradients)
            if all(math.isfinite(norm.item()) for norm in norms):
                return True
        return not self.faults(gradients).item()


def _alike(gradients: list[Tensor]) -> bool:
    """Return whether one call of torch takes all of them."""
    dtype = gradients[0].dtype if gradients else torch.int64
    return dtype.is_floating_point and all(
        each.dtype is dtype and each.layout is torch.strided for each in gradients
    )


class Buffers:
    """The buffers of a module, such as the statistics of a batch norm, as they were before a step.

    They change while the module runs, before it is known whether the step is applied, and so do its
    extra states, which are kept with them. A large buffer that the first step did not change is
    taken for a constant, such as a table of positions.
    """

    def __init__(self, module: nn.Module) -> None:
        self._places = [
            (part, name)
            for part in module.modules()
            for name, buffer in part._buffers.items()
            if buffer is not None
        ]
        self._kept: list[tuple[Tensor, Tensor]] = []
        self._extra = ExtraStates(module)
        self._kept_extra: dict[str, Any] = {}

    @torch.no_grad()
    def keep(self) -> None:
        """Copy the buffers and the extra states."""
        self._kept_extra = self._extra.copied()
        now = [part._buffers[name] for part, name in self._places]
        if not self._kept:
            self._kept = [(buffer, buffer.clone()) for buffer in now if buffer is not None]
            return
        for i, buffer in enumerate(now):
            if buffer is not None:
                copy = self._kept[i][1]
                copy.copy_(buffer)
                self._kept[i] = buffer, copy

    @torch.no_grad()
    def restore(self, faults: Tensor | None = None) -> None:
        """Set all to what was kept; with ``faults``, the buffers if that is 1 on the device."""
        for (part, name), (buffer, copy) in zip(self._places, self._kept, strict=True):
            current = part._buffers[name]
            if faults is None:
                part._buffers[name] = buffer
                buffer.copy_(copy)
            elif current is not None:
                current.copy_(torch.where(faults.bool(), copy, current))
        if faults is None:
            self._extra.set(self._kept_extra)

    def drop_constants(self) -> None:
        """Leave out large buffers that have not changed since they were kept."""
        left = [
            (place, (buffer, copy))
            for place, (buffer, copy) in zip(self._places, self._kept, strict=True)
            if buffer.numel() < _LARGE
            or place[0]._buffers[place[1]] is not buffer
            or not torch.equal(buffer, copy)
        ]
        self._places, self._kept = [place for place, _ in left], [kept for _, kept in left]

    def restored_on_error(self, *, keep: bool) -> AbstractContextManager[None]:
        """Restore all of them if the block raises, to what was kept before or, with ``keep``, now.

        In the parts of a step it is what was kept before the first.
        """
        kept = self._places or self._extra.names
        return self._restored_on_error(keep) if kept else nullcontext()

    @contextmanager
    def _restored_on_error(self, keep: bool) -> Iterator[None]:
        if keep:
            self.keep()
        try:
            yield
        except BaseException:
            self.restore()
            raise
