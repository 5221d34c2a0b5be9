"""Train models by steps, in any framework: what every trainer has in common.

A backend adds what a step is: a subclass of :class:`Trainer` computes gradients and applies them,
and a :class:`TrainedModel` makes it. Options, the order of the rows, seeds, schedules, the end of
training, its state and its record are here, and so are the same in all of them.
"""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_core.training.batches import LABELLED as LABELLED
    from dc_core.training.batches import Labels as Labels
    from dc_core.training.batches import labels_of as labels_of
    from dc_core.training.batches import steps_per_epoch as steps_per_epoch
    from dc_core.training.batches import training_batches as training_batches
    from dc_core.training.callbacks import Callback as Callback
    from dc_core.training.checkpoint_store import CheckpointStore as CheckpointStore
    from dc_core.training.checkpoints import Checkpoint as Checkpoint
    from dc_core.training.config import TrainingConfig as TrainingConfig
    from dc_core.training.config import TrainingOptions as TrainingOptions
    from dc_core.training.csv_logger import CSVLogger as CSVLogger
    from dc_core.training.fingerprints import fingerprint as fingerprint
    from dc_core.training.history import Epoch as Epoch
    from dc_core.training.history import Partial as Partial
    from dc_core.training.monitoring import Monitor as Monitor
    from dc_core.training.monitoring import Validation as Validation
    from dc_core.training.rate_range import LearningRateRange as LearningRateRange
    from dc_core.training.schedules import SCHEDULES as SCHEDULES
    from dc_core.training.schedules import Progress as Progress
    from dc_core.training.schedules import Schedule as Schedule
    from dc_core.training.schedules import make_schedule as make_schedule
    from dc_core.training.seeds import step_seed as step_seed
    from dc_core.training.tensorboard_logger import TensorBoardLogger as TensorBoardLogger
    from dc_core.training.trainable import Trainable as Trainable
    from dc_core.training.trained import TrainedEstimator as TrainedEstimator
    from dc_core.training.trained import TrainedModel as TrainedModel
    from dc_core.training.trainer import Evaluated as Evaluated
    from dc_core.training.trainer import Trainer as Trainer
    from dc_core.training.world import World as World

_EXPORTS = {
    "dc_core.training.batches": [
        "LABELLED",
        "Labels",
        "labels_of",
        "steps_per_epoch",
        "training_batches",
    ],
    "dc_core.training.callbacks": ["Callback"],
    "dc_core.training.checkpoint_store": ["CheckpointStore"],
    "dc_core.training.checkpoints": ["Checkpoint"],
    "dc_core.training.config": ["TrainingConfig", "TrainingOptions"],
    "dc_core.training.csv_logger": ["CSVLogger"],
    "dc_core.training.fingerprints": ["fingerprint"],
    "dc_core.training.history": ["Epoch", "Partial"],
    "dc_core.training.monitoring": ["Monitor", "Validation"],
    "dc_core.training.rate_range": ["LearningRateRange"],
    "dc_core.training.schedules": ["SCHEDULES", "Progress", "Schedule", "make_schedule"],
    "dc_core.training.seeds": ["step_seed"],
    "dc_core.training.tensorboard_logger": ["TensorBoardLogger"],
    "dc_core.training.trainable": ["Trainable"],
    "dc_core.training.trained": ["TrainedEstimator", "TrainedModel"],
    "dc_core.training.trainer": ["Evaluated", "Trainer"],
    "dc_core.training.world": ["World"],
}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
