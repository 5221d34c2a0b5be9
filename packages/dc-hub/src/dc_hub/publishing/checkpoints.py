"""Checkpoints of a training: each is a model with its training state, and is named in its metadata.

In a directory they are model directories, beside ``checkpoints.json``; in a hub, revisions of one
model, each with a tag. Only what says in its own metadata that it is that checkpoint is removed.
"""

from __future__ import annotations

import logging
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import Any, Final

import numpy as np

from dc_core import Estimator, Model, raw_bits, sync_directory
from dc_core.errors import TrainingStateError
from dc_core.training import CheckpointStore
from dc_hub.errors import (
    AlreadyExists,
    CheckpointDamaged,
    CheckpointsInUse,
    FileMissing,
    FormatVersionError,
    HashMismatch,
    HubError,
    LimitExceeded,
    LockTimeout,
    ManifestError,
    ModelNotFound,
    ParamsError,
    RevisionNotFound,
    SizeMismatch,
    UnexpectedFile,
    UnknownParameter,
    UnsafePath,
    WeightsFileError,
)
from dc_hub.files.lease import Lease, lease
from dc_hub.files.paths import is_directory, read_small, reading
from dc_hub.files.storage import (
    find_leftovers,
    make_directory,
    remove_leftovers,
    temporary,
    write_atomically,
    writing,
)
from dc_hub.files.system import patiently
from dc_hub.format import strict_json
from dc_hub.format.changes import changes
from dc_hub.format.filenames import MANIFEST, PARAMS, TRAINING
from dc_hub.format.record import MAX_BYTES, Record
from dc_hub.hubs.contract import Hub, StoredModel
from dc_hub.hubs.local import LocalHub
from dc_hub.hubs.locating import whole_model
from dc_hub.hubs.reference import parse
from dc_hub.hubs.several import published_to
from dc_hub.hubs.staging import Staging
from dc_hub.loading.opening import Opened, locate, look_into, open_model
from dc_hub.loading.restoring import compare
from dc_hub.publishing.describing import Described, describe
from dc_hub.publishing.models import check_publishable, publish, save

INDEX: Final = "checkpoints.json"
"""The file that a directory of checkpoints is known by."""

BEST: Final = "best"
"""The tag of the best checkpoint in a hub."""

_FORMAT: Final = "dc-checkpoints"
_FORMAT_VERSION: Final = (1, 0)
_LIMIT: Final = 1 << 16

_LOCK: Final = ".lock"
"""The lease of the program that trains into the place."""

_TERM: Final = 60.0
"""Seconds after which a program of another machine that does not renew its lease is given up."""

_MARK: Final = "checkpoint"
"""The key of the metadata that has the checkpoint's name."""

_ABANDONED: Final = 3600.0
"""After so many seconds without a change, an unfinished directory belongs to nobody any more."""

_DAMAGED: Final = (
    FileMissing,
    FormatVersionError,
    HashMismatch,
    LimitExceeded,
    ManifestError,
    ModelNotFound,
    ParamsError,
    RevisionNotFound,
    SizeMismatch,
    UnexpectedFile,
    UnsafePath,
    WeightsFileError,
)

_OF_CHECKPOINT: Final = ("every", "every_steps", "every_minutes", "keep_last", "best")
_GIVEN: Final = frozenset({"model", "name", "directory", "training", "unfitted"})

logger = logging.getLogger(__name__)


def open_checkpoints(where: Any, options: Mapping[str, Any]) -> CheckpointStore:
    """Return the store of the checkpoints in ``where``, a directory or the name of a model.

    ``options`` are those of :func:`publish` or, for a directory, :func:`save`. Raises
    :class:`UnknownParameter`, and the errors of :func:`parse` and :func:`open_hub`.
    """
    reference = parse(where)
    known = signature(publish if reference.directory is None else save).parameters
    for option in options:
        if option not in known or option in _GIVEN:
            names = sorted({*known} - _GIVEN)
            nearest = get_close_matches(option, [*_OF_CHECKPOINT, *names], n=1)
            guess = f"Did you mean {nearest[0]!r}? " if nearest else ""
            raise UnknownParameter(
                f"Checkpoint has no option {option!r} for {where!r}.",
                path=option,
                hint=f"{guess}Besides its own, it takes: {', '.join(names)}.",
            )
    if reference.directory is not None:
        return _InDirectory(reference.directory, options)
    name, hub = whole_model(where, options.get("hub"))
    rest = {option: value for option, value in options.items() if option != "hub"}
    return _InHub(str(where), name, published_to(hub), rest)


class _Checkpoints(ABC):
    """The common base of checkpoints in directories and in hubs."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._lease: Lease | None = None

    @abstractmethod
    def _folder(self, begun: bool) -> Path | None:
        """Return the directory of the checkpoints, checked; None if they are in a remote hub."""

    @contextmanager
    def held(self, *, begun: bool) -> Iterator[None]:
        """Hold the lease of the place; see :class:`CheckpointStore`."""
        folder = self._folder(begun)
        if folder is None:
            yield
            return
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            with ExitStack() as stack:
                with writing(folder, undone="Training has not begun."):
                    make_directory(folder)
                    try:
                        taken = lease(folder / _LOCK, wait=3 * _TERM, term=_TERM, yields=True)
                        mine = stack.enter_context(taken)
                    except LockTimeout as error:
                        raise _in_use(folder, error.args[0]) from error
                stack.enter_context(mine.renewed())
                self._lease = mine
                yield
        finally:
            self._lease = None
            for path in made:  # those that stayed empty
                with suppress(OSError):
                    path.rmdir()

    def _check_held(self) -> None:
        """Raise :class:`CheckpointsInUse` if another program has taken the lease over."""
        mine = self._lease
        if mine is not None and not mine.held():
            raise _in_use(mine.path.parent, f"{mine.holder()} has taken over {mine.path}.")

    @abstractmethod
    def _locate(self, name: str) -> StoredModel:
        """Return where the checkpoint is, on this machine."""

    @abstractmethod
    def _record(self, name: str) -> Record:
        """Return the checkpoint's own description."""

    def load(
        self,
        name: str,
        model: Model,
        check: Callable[[Mapping[str, np.ndarray]], None],
        may_change: Collection[str] = (),
    ) -> None:
        """Give ``model`` the checkpoint; see :class:`CheckpointStore`."""
        with self._opened(name) as opened:
            described = _check_same(model, opened.record, name, may_change)
            for argument, array in described.arrays.items():
                if not np.array_equal(raw_bits(opened.weights[argument]), raw_bits(array)):
                    raise _of_another_model(name, f"the array {argument} has other values")
            state = opened.read_tensors(TRAINING)
            check(state)
            arrays, _ = compare(opened.stored, model, (), {})
            model.import_weights(arrays)
            if isinstance(model, Estimator):
                model.set_classes(opened.record.classes)
            model.set_training_state(state)

    def check_same(self, name: str, model: Model, may_change: Collection[str] = ()) -> None:
        """Raise :class:`TrainingStateError` if the checkpoint is of another model."""
        with _damage_noticed(name):
            record = self._record(name)
        _check_same(model, record, name, may_change)

    def _as_checkpoint(self, name: str) -> dict[str, Any]:
        """Return the options to store the checkpoint with."""
        metadata = {**(self._options.get("metadata") or {}), _MARK: name}
        return {**self._options, "metadata": metadata, "training": True, "unfitted": True}

    def _is_checkpoint(self, name: str) -> bool:
        """Tell whether the model of that name describes itself as the checkpoint."""
        try:
            found = self._record(name).metadata.get(_MARK) == name
        except _DAMAGED:
            found = False
        if not found:
            logger.warning("%s is not removed: it does not say that it is a checkpoint", name)
        return found

    @contextmanager
    def _opened(self, name: str) -> Iterator[Opened]:
        with (
            _damage_noticed(name),
            open_model(self._locate(name), "full", versioned=True) as opened,
        ):
            yield opened


class _InDirectory(_Checkpoints):
    """Checkpoints in a directory."""

    def __init__(self, directory: Path, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.directory = directory

    def names(self) -> list[str]:
        """Return the names of the directories in it."""
        with reading(str(self.directory)):
            if not self.directory.is_dir():
                return []
            return sorted(path.name for path in self.directory.iterdir() if path.is_dir())

    def prepare(self, model: Model, *, begun: bool) -> None:
        """Check the directory, make it, and remove unfinished checkpoints from it."""
        check_publishable(model)
        self._check_free(begun)
        best = self.best()
        with writing(self.directory, undone="Training has not begun."):
            make_directory(self.directory)
            self._write_index(best)
            remove_leftovers(find_leftovers(self.directory, _ABANDONED))

    def _folder(self, begun: bool) -> Path:
        self._check_free(begun)
        return self.directory.absolute()

    def _check_free(self, begun: bool) -> None:
        """Raise :class:`AlreadyExists` if there is something else than checkpoints."""
        with reading(str(self.directory)):
            if self.directory.exists() and not self.directory.is_dir():
                raise self._occupied("a file")
            there = [path.name for path in self.directory.glob("*")]
        if there and {MANIFEST, PARAMS}.intersection(there):
            raise self._occupied("a model")
        others = [name for name in there if not name.startswith(".")]
        if others and INDEX not in others and not begun:
            raise self._occupied(f"something else: {min(others)}")

    def store(self, name: str, model: Model) -> None:
        """Save the model as a directory in this one."""
        self._check_held()
        save(model, self.directory / name, **self._as_checkpoint(name))

    def remove(self, name: str) -> None:
        """Remove the directory; it disappears at once."""
        path = self.directory / name
        if not self._is_checkpoint(name):
            return
        aside = temporary(self.directory)
        with writing(self.directory, undone=f"{name} was not removed."):
            patiently(lambda: path.rename(aside))
            sync_directory(self.directory)
        shutil.rmtree(aside, ignore_errors=True)

    def mark_best(self, name: str) -> None:
        """Write the name to the index."""
        with writing(self.directory / INDEX, undone=f"{name} was not marked as the best."):
            self._write_index(name)

    def best(self) -> str | None:
        """Return the name in the index, if that checkpoint is there."""
        if not (self.directory / INDEX).is_file():
            return None
        shown = str(self.directory / INDEX)
        content: Any = strict_json.loads(read_small(self.directory, INDEX, _LIMIT), what=shown)
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise self._occupied(f"a {INDEX} of something else")
        best = content.get(BEST)
        return best if isinstance(best, str) and best in self.names() else None

    def address(self, name: str) -> str:
        """Return the path of the checkpoint."""
        return str((self.directory / name).absolute())

    def _locate(self, name: str) -> StoredModel:
        return locate(self.directory.absolute() / name)

    def _record(self, name: str) -> Record:
        path = self.directory / name
        return Record.from_bytes(read_small(path, PARAMS, MAX_BYTES), what=f"{path}/{PARAMS}")

    def _write_index(self, best: str | None) -> None:
        content = {"format": _FORMAT, "format_version": list(_FORMAT_VERSION), BEST: best}
        write_atomically(self.directory / INDEX, strict_json.dumps(content))

    def _occupied(self, what: str) -> AlreadyExists:
        return AlreadyExists(
            f"{self.directory} is, or contains, {what}.",
            path=str(self.directory),
            hint="Give Checkpoint a directory of its own.",
        )


class _InHub(_Checkpoints):
    """Checkpoints of one model in a hub: its revisions with such tags."""

    def __init__(self, where: str, name: str, hub: Hub, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.where = where
        self.name = name
        self.hub = hub

    def names(self) -> list[str]:
        """Return the tags of the model."""
        return sorted(self._tags())

    def prepare(self, model: Model, *, begun: bool) -> None:
        """Check the hub, and remove checkpoints that were stored, but lack their tag."""
        check_publishable(model)
        revisions = self.hub.revisions(self.name) if self._exists() else []
        if revisions and not begun:
            raise AlreadyExists(
                f"There is a model {self.name!r} already, and it is not a checkpoint.",
                path=self.name,
                hint="Give Checkpoint a name of its own.",
            )
        self._check_writable()
        tagged = set(self._tags().values())
        for revision in revisions:
            if revision not in tagged and self._is_unfinished(revision):
                self.hub.remove(self.name, revision)

    def _folder(self, begun: bool) -> Path | None:
        if not isinstance(self.hub, LocalHub):
            return None
        self._exists()  # refuses links
        return self.hub.path / self.name

    def store(self, name: str, model: Model) -> None:
        """Publish the model with the checkpoint's tag."""
        self._check_held()
        options = self._as_checkpoint(name)
        given = options.pop("tag", ())
        tags = (given,) if isinstance(given, str) else tuple(given)
        publish(model, self.name, hub=self.hub, tag=(*tags, name), **options)

    def remove(self, name: str) -> None:
        """Delete the tag, and remove its revision unless it has other tags."""
        tags = self._tags()
        if name not in tags or not self._is_checkpoint(name):
            return
        revision = tags[name]
        if any(target == revision for tag, target in tags.items() if tag != name):
            self.hub.delete_tag(self.name, name, expected=revision)
        else:
            self.hub.remove(self.name, revision, remove_tags=True)

    def mark_best(self, name: str) -> None:
        """Move the tag ``best``."""
        tags = self._tags()
        self.hub.move_tag(self.name, BEST, tags[name], expected=tags.get(BEST))

    def best(self) -> str | None:
        """Return the checkpoint that the tag ``best`` points at."""
        if BEST not in self._tags():
            return None
        name = self._read(BEST).metadata.get(_MARK)
        return name if isinstance(name, str) and name in self.names() else None

    def address(self, name: str) -> str:
        """Return the name or address of the model, with the tag."""
        return f"{self.where}@{name}"

    def _exists(self) -> bool:
        if isinstance(self.hub, LocalHub) and not is_directory(self.hub.path):
            return False
        try:
            self.hub.revisions(self.name)
        except ModelNotFound:
            return False
        return True

    def _tags(self) -> dict[str, str]:
        return dict(self.hub.tags(self.name)) if self._exists() else {}

    def _check_writable(self) -> None:
        """Raise the error of a hub that nothing can be published to."""
        if isinstance(self.hub, LocalHub):
            with writing(self.hub.path, undone="Training has not begun."):
                make_directory(self.hub.path)
                probe = temporary(self.hub.path)
                write_atomically(probe, b"")
                probe.unlink()
            return
        with suppress(_NotPublished):
            self.hub.publish(self.name, _write_nothing)

    def _is_unfinished(self, revision: str) -> bool:
        try:
            return _MARK in self._read(revision).metadata
        except HubError:
            return False

    def _locate(self, name: str) -> StoredModel:
        return locate(self.name, hub=self.hub, revision=name)

    def _record(self, name: str) -> Record:
        return self._read(name)

    def _read(self, revision: str) -> Record:
        found = self.hub.resolve(self.name, revision)
        if is_directory(found.path):
            shown = f"{found.path}/{PARAMS}"
            return Record.from_bytes(read_small(found.path, PARAMS, MAX_BYTES), what=shown)
        with look_into(self.name, hub=self.hub, revision=found.revision) as opened:
            return opened.record


class _NotPublished(Exception):
    """Ends a publishing that only shows whether it could begin."""


def _write_nothing(staging: Staging) -> None:
    raise _NotPublished


@contextmanager
def _damage_noticed(name: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise CheckpointDamaged(
            f"The checkpoint {name} is damaged: {error.args[0]}",
            path=error.path,
            hint="It stays as it is: look at it, or remove it.",
        ) from error


def _check_same(model: Model, record: Record, name: str, may_change: Collection[str]) -> Described:
    """Raise :class:`TrainingStateError` unless ``record`` is that of ``model``; describe it."""
    described = describe(model, model)
    found = [
        *changes("the class", record.cls, described.cls),
        *changes("the version of the class", record.class_version, described.class_version),
    ] or [
        change
        for change in changes("", dict(record.params), dict(described.params))
        if change.where.split(".")[-2:-1] != ["options"]
        or change.where.rpartition(".")[2] not in may_change
    ]
    if found:
        raise _of_another_model(
            name, "; ".join(f"{c.where} is {c.before!r} there, and {c.after!r} now" for c in found)
        )
    return described


def _in_use(folder: Path, reason: str) -> CheckpointsInUse:
    return CheckpointsInUse(
        f"Another program trains with its checkpoints in {folder}. {reason}",
        path=str(folder),
        hint="Wait until it ends, or choose another place for the checkpoints of this one.",
    )


def _of_another_model(name: str, difference: str) -> TrainingStateError:
    return TrainingStateError(
        f"The checkpoint {name} is of another model: {difference}.",
        hint="Train the same model with the same options, or choose another place for the "
        "checkpoints of this one.",
    )
