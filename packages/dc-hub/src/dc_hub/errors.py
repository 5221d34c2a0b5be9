"""The errors that dc-hub raises: one root and typed leaves, each naming its file and the next step.

An error that dc-core has too inherits from both: ``except dc_core.errors.WeightsMismatch`` catches
the hub's. All of them can be pickled.
"""

from __future__ import annotations

from typing import Any

from dc_core import DCWarning
from dc_core import errors as core


class HubWarning(DCWarning):
    """Something about a stored model that its reader should know, but not an error."""


class HubError(core.DCError):
    """Root of every error about stored models.

    ``path`` is the file, directory or name that the error is about, as a str; ``hint`` is the next
    step.
    """

    def __init__(self, message: str, *, path: str = "", hint: str = "", **details: Any) -> None:
        super().__init__(message, hint=hint, **details)
        self.path = path


class ModelNotFound(HubError, LookupError):
    """The hub has no model of that name."""


class RevisionNotFound(HubError, LookupError):
    """The model has no such revision or tag."""


class AmbiguousRevision(HubError, LookupError):
    """The prefix of a digest matches more than one revision."""


class FileMissing(HubError, LookupError):
    """A file of the model does not exist."""


class ModelRemoved(FileMissing):
    """The model was removed or replaced while it was being loaded or published."""


class BundleError(HubError, ValueError):
    """A bundle is malformed or cut, or contains something else than models."""


class UnexpectedFile(HubError):
    """A model directory contains a file that its manifest does not list."""


class HashMismatch(HubError, ValueError):
    """The content of a file does not match its digest in the manifest."""


class SizeMismatch(HubError, ValueError):
    """The size of a file does not match the manifest."""


class ManifestError(HubError, ValueError):
    """A MANIFEST.json is malformed or inconsistent."""


class FormatVersionError(HubError, ValueError):
    """The version of the format, or of the stored class, is not supported."""


class ParamsError(HubError, core.ParameterError):
    """A params.json, an argument in it, or another JSON file of the format is invalid."""


class WeightsFileError(HubError, ValueError):
    """A weights file is malformed or inconsistent."""


class LimitExceeded(HubError, ValueError):
    """A file exceeds a limit of the format: size, length or depth."""


class UnsafePath(HubError, ValueError):
    """A name or file could lead outside its directory, or is not a regular file."""


class SignatureError(HubError, ValueError):
    """A signature is missing, invalid, or not one that the user's trust policy accepts."""


class PolicyError(HubError, ValueError):
    """The user's trust policy cannot be used: it is malformed, or others can write it."""


class KeyFileError(HubError, ValueError):
    """A key cannot be used: its file is malformed, readable by others, or locked."""


class HubUnavailable(HubError, core.StorageUnavailable):
    """The hub cannot be reached or read."""


class NoRoom(HubUnavailable):
    """The disk, or the limit of the cache, has no room for a model."""


class Offline(HubUnavailable):
    """The hub is not on this machine, and must not be reached: see ``DEEPCHEM_OFFLINE``."""


class ReadOnlyHub(HubError, core.StorageUnavailable):
    """The hub is not writable."""


class LockTimeout(HubError, core.StorageUnavailable):
    """Another process held the lock for longer than the maximum wait."""


class TagMoved(HubError):
    """The tag does not point at the revision that the caller expected."""


class PinMismatch(HubError):
    """The revision that was asked for is not the one that the lock file pins."""


class RevisionTagged(HubError):
    """The revision cannot be removed, because tags point at it."""


class DefaultTag(HubError):
    """The tag ``main``, which names without a revision refer to, is deleted only if asked for."""


class AlreadyExists(HubError, core.AlreadyExists):
    """The directory already contains something else."""


class CheckpointsInUse(HubError, core.CheckpointsInUse):
    """Another program stores the checkpoints of its training in the same place."""


class CheckpointDamaged(HubError, core.CheckpointDamaged):
    """A stored checkpoint is incomplete, or was changed since it was written."""


class ClassMismatch(HubError, TypeError):
    """The stored model is not an instance of the requested class."""


class BackendNotInstalled(HubError, core.BackendNotInstalled):
    """The backend that the stored model needs is not installed."""

    path: str


class UnknownClass(HubError, core.UnknownClass):
    """No class is registered under the stored name."""


class ConversionError(HubError, core.ConversionError):
    """A file of another program is damaged, or holds something that cannot be converted."""


class UntrustedFile(ConversionError, core.UntrustedFile):
    """Reading a file of another program could execute code in it, and it is not trusted."""


class PredictionsChanged(HubError, ValueError):
    """With the installed versions, the model's predictions differ from those stored with it."""


class NotSerializable(HubError, core.NotSerializable):
    """Something that prediction depends on cannot be stored."""


class NotFitted(HubError, core.NotFitted):
    """The model, or a part of it, has to be fitted before it is published."""


class UnknownParameter(HubError, core.UnknownParameter):
    """The class has no such parameter."""


class MissingParameter(HubError, core.MissingParameter):
    """A required parameter is not stored."""


class WeightsMismatch(HubError, core.WeightsMismatch):
    """The stored weights do not match the model in names, shapes or dtypes."""


class StructureError(HubError, core.StructureError):
    """Stored arrays that describe a structure are inconsistent."""
