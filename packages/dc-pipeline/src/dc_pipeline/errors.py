"""The errors that dc-pipeline adds to dc-core's."""

from __future__ import annotations

from dc_core import DCError


class PipelineError(DCError):
    """Root of the errors that only this package raises."""


class DiskDatasetError(PipelineError, ValueError):
    """A dataset on disk is damaged, or cannot be written as asked."""


class MoleculeKeyError(PipelineError):
    """The user's key, without which stored molecules are not read, cannot be used."""


class FileMismatch(PipelineError, ValueError):
    """A file is not the one that was expected: its digest is another."""


class TuningError(PipelineError):
    """No trial of a tuning has a score."""


class LeakageError(PipelineError, ValueError):
    """A pipeline was to be evaluated on ``rows`` rows that it was trained on."""

    def __init__(self, message: str, *, hint: str = "", rows: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.rows = rows
