"""TensorFlow and Keras, which the other modules of this package import from here.

Their messages and settings are left alone: environment variables and modes belong to the program.
"""

from __future__ import annotations

from dc_tensorflow.errors import KerasBackendMismatch, TensorFlowNotInstalled

try:
    import keras
    import tensorflow as tf
except ModuleNotFoundError as error:
    raise TensorFlowNotInstalled(
        f"dc-tensorflow needs TensorFlow and Keras 3, and {error.name} is not installed.",
        hint="Run: pip install tensorflow keras",
    ) from error


def check_keras_backend() -> None:
    """Raise :class:`KerasBackendMismatch` unless Keras runs on TensorFlow in this process."""
    name = keras.backend.backend()
    if name != "tensorflow":
        raise KerasBackendMismatch(
            f"Keras runs on {name!r} in this process, and dc-tensorflow serves it on TensorFlow.",
            hint="Set the environment variable KERAS_BACKEND=tensorflow before Keras is imported.",
        )


__all__ = ["check_keras_backend", "keras", "tf"]
