"""Every error that dc-core raises: one root, typed leaves, each with the next step in its message.

All of them can be pickled, because engines pass them between processes: an error is rebuilt from
its message, and its other fields are in its ``__dict__``.
"""

from __future__ import annotations

from collections.abc import Sequence


class DCError(Exception):
    """Root of every error raised by this project.

    ``hint`` is the next step for the reader; ``str(error)`` shows the message and then the hint.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = str(self.args[0]) if self.args else ""
        return f"{message} {self.hint}" if self.hint else message


class ParameterError(DCError, ValueError):
    """A constructor argument or a setting has a value that cannot be used."""


class BudgetExceeded(DCError):
    """A stored model asks for more memory than loading a model of its size may use."""


class UnknownParameter(ParameterError, TypeError):
    """The constructor has no such parameter."""


class MissingParameter(ParameterError, TypeError):
    """A parameter without a default was not given."""


class NotSerializable(DCError, TypeError):
    """Something that predictions depend on cannot be stored. It is never left out instead."""


class ConversionError(DCError, ValueError):
    """A file of another program is damaged, or holds something that cannot be converted."""


class UntrustedFile(ConversionError):
    """Reading a file of another program could execute code in it, and it is not trusted."""


class WeightsMismatch(DCError, ValueError):
    """The names, shapes or dtypes of the given weights differ from the model's."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        missing: Sequence[str] = (),
        unexpected: Sequence[str] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.missing = tuple(missing)
        self.unexpected = tuple(unexpected)


class UnknownWeight(WeightsMismatch, KeyError):
    """The model has no weight of that name."""


class StructureError(DCError, ValueError):
    """Arrays that describe a structure (a tree, support vectors) contradict each other."""


class TrainingStateError(DCError, ValueError):
    """A training state belongs to another model or trainer."""


class CheckpointDamaged(DCError):
    """A stored checkpoint is incomplete, or was changed since it was written."""


class CheckpointsInUse(DCError):
    """Another program stores the checkpoints of its training in the same place."""


class AlreadyExists(DCError):
    """The place to store something in already contains something else."""


class StorageUnavailable(DCError):
    """The place to store something in cannot be reached or written now: it has no room, say."""


class TrainingDiverged(DCError, ArithmeticError):
    """The loss or the gradients became infinite or NaN."""


class OutOfDeviceMemory(DCError, MemoryError):
    """The device has too little memory for a step of training, or for a batch of predictions."""


class NotFitted(DCError):
    """The object must be fitted first."""


class DatasetError(DCError, ValueError):
    """The parts of a dataset do not fit together, or the dataset does not fit its use."""


class EmptyDataset(DatasetError):
    """The dataset has no rows."""


class LoaderError(DCError, ValueError):
    """A data file cannot be read with these settings."""


class FeaturizationError(DCError, ValueError):
    """An input could not be featurized, and ``strict`` was set."""


class PluginError(DCError):
    """Root of the errors about plugins."""


class BackendNotInstalled(PluginError, ImportError):
    """The backend that serves this object or model is not installed."""


class BackendBroken(PluginError):
    """An installed plugin cannot be used. No other plugin is affected."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        distribution: str = "",
        version: str = "",
        cause: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.distribution = distribution
        self.version = version
        self.cause = cause


class OutOfResources(PluginError):
    """The system has no memory or open files left to find or import plugins: try again later."""


class BackendConflict(PluginError):
    """Two distributions claim the same name, so neither is used."""

    def __init__(self, message: str, *, hint: str = "", distributions: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.distributions = tuple(distributions)


class NotClaimed(PluginError, TypeError):
    """No backend serves objects of this type."""


class Unsupported(PluginError):
    """The backend, or the object, does not support the operation."""


class HubNotInstalled(PluginError, ImportError):
    """``to_pretrained`` and ``from_pretrained`` need the package dc-hub."""


class EngineNotInstalled(PluginError, ImportError):
    """The package of the engine is not installed."""


class EngineError(DCError):
    """Root of the errors about running tasks on engines. Finished rows are kept on the disk."""


class RunMismatch(EngineError):
    """The directory contains the run of another task, or something else."""


class TaskFailed(EngineError):
    """A task raised an exception, which is a bug in the task: the run has stopped.

    The rows are those from ``start`` up to but not including ``stop``. The exception is the cause
    of this error.
    """

    def __init__(self, message: str, *, hint: str = "", start: int = 0, stop: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.start = start
        self.stop = stop


class TooManyCrashes(EngineError):
    """Row after row crashed or timed out without one success: the run has stopped."""


class UnknownClass(DCError, LookupError):
    """No model or component is registered under that name."""


class ClassConflict(DCError):
    """A registered name is taken, or its class is of the wrong kind."""
