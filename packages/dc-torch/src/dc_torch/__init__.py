"""The PyTorch backend: any ``torch.nn.Module`` as named arrays, and models with a trainer.

The plugin is found through its entry point. The names here are imported when first used.
"""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_core.training import Callback as Callback
    from dc_core.training import Checkpoint as Checkpoint
    from dc_core.training import CSVLogger as CSVLogger
    from dc_core.training import Epoch as Epoch
    from dc_core.training import TensorBoardLogger as TensorBoardLogger
    from dc_torch.batches import RaggedTensor as RaggedTensor
    from dc_torch.errors import ParallelNotInstalled as ParallelNotInstalled
    from dc_torch.errors import RankFailed as RankFailed
    from dc_torch.errors import TorchError as TorchError
    from dc_torch.generator import SequenceGenerator as SequenceGenerator
    from dc_torch.loading import EpochSampler as EpochSampler
    from dc_torch.loading import TensorBatch as TensorBatch
    from dc_torch.loading import data_loader as data_loader
    from dc_torch.losses import Loss as Loss
    from dc_torch.model import TorchModel as TorchModel
    from dc_torch.multitask import MultitaskClassifier as MultitaskClassifier
    from dc_torch.multitask import MultitaskRegressor as MultitaskRegressor
    from dc_torch.training_config import TrainingConfig as TrainingConfig
    from dc_torch.training_config import TrainingOptions as TrainingOptions
    from dc_torch.transformers_module import TransformersModule as TransformersModule

_EXPORTS = {
    "dc_core.training": ["CSVLogger", "Callback", "Checkpoint", "Epoch", "TensorBoardLogger"],
    "dc_torch.batches": ["RaggedTensor"],
    "dc_torch.errors": ["ParallelNotInstalled", "RankFailed", "TorchError"],
    "dc_torch.generator": ["SequenceGenerator"],
    "dc_torch.loading": ["EpochSampler", "TensorBatch", "data_loader"],
    "dc_torch.losses": ["Loss"],
    "dc_torch.model": ["TorchModel"],
    "dc_torch.multitask": ["MultitaskClassifier", "MultitaskRegressor"],
    "dc_torch.training_config": ["TrainingConfig", "TrainingOptions"],
    "dc_torch.transformers_module": ["TransformersModule"],
}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
