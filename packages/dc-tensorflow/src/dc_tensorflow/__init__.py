"""The TensorFlow and Keras backend: weights, models with a trainer, and datasets.

The plugins are found through their entry points. The names here are imported when first used.
"""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_core.training import Callback as Callback
    from dc_core.training import Checkpoint as Checkpoint
    from dc_core.training import CSVLogger as CSVLogger
    from dc_core.training import Epoch as Epoch
    from dc_core.training import TensorBoardLogger as TensorBoardLogger
    from dc_tensorflow.errors import KerasBackendMismatch as KerasBackendMismatch
    from dc_tensorflow.errors import TensorFlowError as TensorFlowError
    from dc_tensorflow.errors import TensorFlowNotInstalled as TensorFlowNotInstalled
    from dc_tensorflow.loading import to_tf_data as to_tf_data
    from dc_tensorflow.losses import Loss as Loss
    from dc_tensorflow.model import KerasModel as KerasModel
    from dc_tensorflow.training_config import TrainingConfig as TrainingConfig
    from dc_tensorflow.training_config import TrainingOptions as TrainingOptions

_EXPORTS = {
    "dc_core.training": ["CSVLogger", "Callback", "Checkpoint", "Epoch", "TensorBoardLogger"],
    "dc_tensorflow.errors": ["KerasBackendMismatch", "TensorFlowError", "TensorFlowNotInstalled"],
    "dc_tensorflow.loading": ["to_tf_data"],
    "dc_tensorflow.losses": ["Loss"],
    "dc_tensorflow.model": ["KerasModel"],
    "dc_tensorflow.training_config": ["TrainingConfig", "TrainingOptions"],
}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
