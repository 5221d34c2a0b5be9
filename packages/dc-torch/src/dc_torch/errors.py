"""The errors that dc-torch adds to dc-core's."""

from __future__ import annotations

from dc_core import DCError


class TorchError(DCError):
    """Root of the errors that only this package raises."""
