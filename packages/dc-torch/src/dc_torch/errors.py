"""The errors that dc-torch adds to dc-core's."""

from __future__ import annotations

from dc_core import DCError


class TorchError(DCError):
    """Root of the errors that only this package raises."""


class ParallelNotInstalled(TorchError, ImportError):
    """Training on several devices needs Lightning Fabric."""


class RankFailed(TorchError, RuntimeError):
    """A process that trained together with this one has died. The last good weights are kept."""
