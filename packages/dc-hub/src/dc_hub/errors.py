"""Every error that dc-hub raises: one root, typed leaves, each naming its file and the next step.

An error that dc-core has too is both: ``except dc_core.errors.WeightsMismatch`` catches the hub's.
All of them pickle.
"""

from __future__ import annotations

from typing import Any

from dc_core import DCWarning
from dc_core import errors as core


class HubWarning(DCWarning):
    """Something about a stored model that its reader should know, but not an error."""


class HubError(core.DCError):
    """Root of every error about stored models.

    ``path`` is the file, directory or name concerned, as text; ``hint`` is the next step.
    """

    def __init__(self, message: str, *, path: str = "", hint: str = "", **details: Any) -> None:
        super().__init__(message, hint=hint, **details)
        self.path = path


class ModelNotFound(HubError, LookupError):
    """The hub has no model of that name."""


class RevisionNotFound(HubError, LookupError):
    """The model has no such revision or tag."""


class AmbiguousRevision(HubError, LookupError):
    """The beginning of a digest fits more than one revision."""


class FileMissing(HubError, LookupError):
    """A file of the model is not there."""


class UnexpectedFile(HubError):
    """A model directory holds a file that its manifest does not name."""


class HashMismatch(HubError, ValueError):
    """A file's content is not what its manifest says."""


class SizeMismatch(HubError, ValueError):
    """A file's size is not what its manifest says."""


class ManifestError(HubError, ValueError):
    """A MANIFEST.json contradicts the format or itself."""


class FormatVersionError(HubError, ValueError):
    """The model is stored in a version of the format, or of its class, that is not understood."""


class ParamsError(HubError, core.ParameterError):
    """A params.json, an argument in it, or another JSON file of the format cannot be used."""


class WeightsFileError(HubError, ValueError):
    """A weights file contradicts the format or itself."""


class LimitExceeded(HubError, ValueError):
    """A file is larger, longer or deeper than the format allows."""


class UnsafePath(HubError, ValueError):
    """A name or file could lead out of its place, or is no regular file."""


class HubUnavailable(HubError):
    """The hub cannot be reached or read."""


class ReadOnlyHub(HubError):
    """The hub cannot be written."""


class LockTimeout(HubError):
    """Another process held the lock for longer than the wait allows."""


class TagMoved(HubError):
    """The tag does not point at the revision that the caller expected."""


class RevisionTagged(HubError):
    """The revision cannot be removed, because tags point at it."""


class AlreadyExists(HubError):
    """The directory holds something else already."""


class ClassMismatch(HubError, TypeError):
    """The stored model is not of the class that was asked for."""


class BackendNotInstalled(HubError, core.BackendNotInstalled):
    """The backend that the stored model needs is not installed."""

    path: str


class UnknownClass(HubError, core.UnknownClass):
    """No class is registered under the stored name."""


class PredictionsChanged(HubError, ValueError):
    """With the installed versions, the model does not predict what it did when it was stored."""


class NotSerializable(HubError, core.NotSerializable):
    """Something that prediction depends on has no stored form."""


class NotFitted(HubError, core.NotFitted):
    """The model, or a part of it, has to be fitted before it is published."""


class UnknownParameter(HubError, core.UnknownParameter):
    """A stored parameter is none that the class takes."""


class MissingParameter(HubError, core.MissingParameter):
    """A parameter without a default is not stored."""


class WeightsMismatch(HubError, core.WeightsMismatch):
    """The stored weights do not fit the model: their names, shapes or dtypes differ."""


class StructureError(HubError, core.StructureError):
    """Stored arrays that describe a structure contradict each other."""
