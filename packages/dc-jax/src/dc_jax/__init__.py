"""The JAX backend: modules of Flax NNX and Equinox and plain pytrees, and models with a trainer.

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
    from dc_jax.loading import ArrayBatch as ArrayBatch
    from dc_jax.loading import RaggedArray as RaggedArray
    from dc_jax.loading import jax_batches as jax_batches
    from dc_jax.losses import Loss as Loss
    from dc_jax.model import JaxModel as JaxModel
    from dc_jax.training_config import TrainingConfig as TrainingConfig
    from dc_jax.training_config import TrainingOptions as TrainingOptions

_EXPORTS = {
    "dc_core.training": ["CSVLogger", "Callback", "Checkpoint", "Epoch", "TensorBoardLogger"],
    "dc_jax.loading": ["ArrayBatch", "RaggedArray", "jax_batches"],
    "dc_jax.losses": ["Loss"],
    "dc_jax.model": ["JaxModel"],
    "dc_jax.training_config": ["TrainingConfig", "TrainingOptions"],
}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
