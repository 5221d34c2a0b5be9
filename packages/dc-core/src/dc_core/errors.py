"""Every error that dc-core raises: one root, typed leaves, each with the next step in its message.

All of them pickle (they cross process borders in the pipeline's engines): an error is rebuilt from
its message, and everything else lives in its ``__dict__``.
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
    """A constructor's argument or a setting has a value that cannot be used."""


class BudgetExceeded(DCError):
    """A stored model asks for more memory than a load of its size may use."""


class UnknownParameter(ParameterError, TypeError):
    """The constructor has no such parameter."""


class MissingParameter(ParameterError, TypeError):
    """A parameter without a default was not given."""


class NotSerializable(DCError, TypeError):
    """Something that prediction depends on has no stored form; nothing is ever dropped instead."""


class WeightsMismatch(DCError, ValueError):
    """Given weights do not fit the model: their names, shapes or dtypes differ."""

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
    """Arrays that describe a structure (a tree, a kernel's support) contradict each other."""


class TrainingStateError(DCError, ValueError):
    """A training state does not belong to this model or its trainer."""


class NotFitted(DCError):
    """The object has to be fitted first."""


class DatasetError(DCError, ValueError):
    """A dataset's parts do not fit together, or it cannot be used for this."""


class EmptyDataset(DatasetError):
    """There is no row to work on."""


class LoaderError(DCError, ValueError):
    """A file of data cannot be read as asked."""


class FeaturizationError(DCError, ValueError):
    """An input could not be turned into features and ``strict`` was asked for."""


class PluginError(DCError):
    """Root of the errors about plugins."""


class BackendNotInstalled(PluginError, ImportError):
    """The backend that serves this object or model is not installed."""


class BackendBroken(PluginError):
    """A plugin is installed and cannot be used; nothing else is affected."""

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


class BackendConflict(PluginError):
    """Two distributions claim one name, so neither is used."""

    def __init__(self, message: str, *, hint: str = "", distributions: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.distributions = tuple(distributions)


class NotClaimed(PluginError, TypeError):
    """No backend serves objects of this type."""


class Unsupported(PluginError):
    """The backend does not declare the capability that was asked for."""


class HubNotInstalled(PluginError, ImportError):
    """``to_pretrained`` and ``from_pretrained`` need the package dc-hub."""


class UnknownClass(DCError, LookupError):
    """No model or component is registered under that name."""


class ClassConflict(DCError):
    """A registered name is taken, or names something of the wrong kind."""
