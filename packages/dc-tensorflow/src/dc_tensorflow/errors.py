"""The errors that dc-tensorflow adds to dc-core's."""

from __future__ import annotations

from dc_core import DCError


class TensorFlowError(DCError):
    """Root of the errors that only this package raises."""


class TensorFlowNotInstalled(TensorFlowError, ImportError):
    """TensorFlow or Keras is not installed."""


class KerasBackendMismatch(TensorFlowError, RuntimeError):
    """Keras runs on another backend than TensorFlow in this process."""
