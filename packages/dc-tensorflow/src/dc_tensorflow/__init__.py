"""The TensorFlow and Keras backend: so far, datasets as ``tf.data``.

The names here are imported when first used.
"""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_tensorflow.loading import to_tf_data as to_tf_data

_EXPORTS = {
    "dc_tensorflow.loading": ["to_tf_data"],
}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
