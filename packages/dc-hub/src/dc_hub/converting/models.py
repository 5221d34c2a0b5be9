"""Convert a file of another program into a model directory, or publish it to a hub."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata as distributions
from pathlib import Path
from typing import Any, Final

from dc_core import Component, Model, check_count, check_names, explained, registry
from dc_hub.conversion import with_path
from dc_hub.converting.process import Report, reading_apart
from dc_hub.converting.worker import Request
from dc_hub.errors import ClassMismatch, HashMismatch, ParamsError
from dc_hub.files.paths import open_regular
from dc_hub.files.storage import make_directory, writing
from dc_hub.files.urls import local_path
from dc_hub.hubs.contract import HubLike, StoredModel, tags_to_move
from dc_hub.hubs.locating import whole_model
from dc_hub.hubs.reference import ModelName, Reference, parse
from dc_hub.hubs.staging import Staging
from dc_hub.loading.opening import Opened
from dc_hub.loading.restoring import Stored, assign, restore
from dc_hub.loading.verifying import mark
from dc_hub.publishing.models import publish, save
from dc_hub.publishing.weights import write_described

MEMORY: Final = 2 << 30
"""Bytes of memory that reading any file may take."""

_MEMORY_PER_BYTE: Final = 6
_FILE_SIZE: Final = 1 << 30
_FILE_SIZE_PER_BYTE: Final = 8
_BLOCK: Final = 1 << 22
_MAX_SIZE: Final = 1 << 50
_MAX_SECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Conversion:
    """The result of a conversion.

    ``kind`` is the kind of file, ``recognized`` why it was taken for that, and ``what`` is what it
    turned out to be. ``cls`` is the class of the model, None for weights alone, which
    :func:`load_weights` gives to an object of your own if a ``backend`` can; otherwise
    :func:`read_tensors` reads them. ``weights`` is the number of arrays.
    ``facts`` are other plain data of the file, which are stored as metadata. ``omitted`` maps what
    is in the file and not in the model to the reason. ``confined_by`` are the
    measures that confined the process that read the file.
    """

    kind: str
    recognized: str
    what: str
    sha256: str
    model: StoredModel
    cls: str | None
    backend: str | None
    weights: int
    facts: Mapping[str, Any]
    omitted: Mapping[str, str]
    confined_by: tuple[str, ...]


@explained
def convert(
    file: str | os.PathLike[str],
    where: ModelName,
    *,
    cls: str | type[Model] | None = None,
    params: Mapping[str, Any] | None = None,
    rename: Mapping[str, str] | None = None,
    omit: Collection[str] = (),
    metadata: Mapping[str, Any] | None = None,
    trust: bool = False,
    kind: str = "",
    hub: HubLike = None,
    tag: str | Iterable[str] = (),
    move_main: bool = True,
    timeout: float = 600.0,
    memory: int | None = None,
) -> Conversion:
    """Convert ``file``, which another program has written, and store the model at ``where``.

    Args:
        file: A checkpoint or state dict of PyTorch, DeepChem or Chemprop; a ``.keras`` file; a
            scikit-learn estimator stored by joblib or skops; or what a plugin of the group
            ``dc.converters`` reads. Its content decides what it is, not its name.
        where: A directory, as a path or a string that starts with ``/``, ``./``, ``../`` or ``~``;
            or the name of a model in the ``hub``, to which it is published.
        cls: A registered class, such as ``"torch/MultitaskRegressor"``, to which the weights are
            given. Without it, weights are stored alone, for :func:`load_weights`.
        params: The constructor's arguments of ``cls``.
        rename: Other names for weights. A name that ends in a dot is the beginning of many.
        omit: Weights to leave out, named in the same way.
        metadata: As for :func:`publish`; what was converted is added as ``converted_from``.
        trust: Read a file even if that can execute code in it. The process that reads it is
            confined all the same, as far as the system can.
        kind: The converter to use, if the file is not recognized.
        hub: A hub or its path, if ``where`` is a name.
        tag: A tag, or several, to point at this revision.
        move_main: Whether the tag ``main`` moves too.
        timeout: Seconds after which reading is given up.
        memory: Bytes that reading may take. Default: 2 GiB and six times the file.

    The file is read in a process of its own,
    which is confined, and what that process returns is checked like a stranger's model.

    Raises :class:`ConversionError` for what cannot be converted, :class:`UntrustedFile` if it would
    take trust, :class:`LimitExceeded`, :class:`WeightsMismatch` if the weights do not fit ``cls``,
    and the errors of :func:`publish` and :func:`save`.
    """
    reference = _checked(where, cls, params, rename, omit, hub, tag, move_main)
    with with_path("memory"):
        extra = 0 if memory is None else check_count("memory", memory, minimum=1, maximum=_MAX_SIZE)
    wait: object = timeout
    if not (isinstance(wait, int | float) and 0 < wait <= _MAX_SECONDS):
        raise ParamsError(
            f"timeout={timeout!r} must be a number of seconds, from above 0 to {_MAX_SECONDS}.",
            path="timeout",
        )
    given = local_path(file)
    path = given.resolve()
    digest, size, seen = _digest(path)
    request = Request(
        file=str(path),
        kind=kind,
        trusted=trust,
        rename=dict(rename or {}),
        omit=tuple(omit),
        memory=extra or MEMORY + _MEMORY_PER_BYTE * size,
        seconds=max(1, int(timeout)),
        file_size=_FILE_SIZE + _FILE_SIZE_PER_BYTE * size,
    )
    with reading_apart(request, timeout) as (report, opened):
        if mark(path.stat()) != seen:
            raise HashMismatch(
                f"{path} was changed while it was converted.",
                path=str(path),
                hint="Convert it again once nothing writes to it.",
            )
        about = {**(metadata or {}), **_origin(report, given.name, digest, size)}
        model = _model(opened, cls, params or {})
        options = {"hub": hub, "tag": tag, "move_main": move_main}
        stored = _store(model, opened, reference, about, options)
        return Conversion(
            kind=report.kind,
            recognized=report.recognized,
            what=report.what,
            sha256=digest,
            model=stored,
            cls=None if model is None else registry.models.stored_name(type(model)),
            backend=opened.record.backend,
            weights=len(opened.record.weights),
            facts=report.facts,
            omitted=report.omitted,
            confined_by=report.confined_by,
        )


def _checked(
    where: ModelName,
    cls: Any,
    params: Any,
    rename: Any,
    omit: Collection[str],
    hub: HubLike,
    tag: Any,
    move_main: bool,
) -> Reference:
    """Check the arguments before the file is read; return the destination."""
    reference = parse(where)
    if reference.revision is not None:
        raise ParamsError(
            f"{where!r} names a revision, which is the digest of what is published.",
            path=str(where),
            hint="Give the name alone; tag= adds a tag.",
        )
    if reference.directory is not None and (hub is not None or tag or not move_main):
        raise ParamsError(
            f"{reference.directory} is a directory, for which hub=, tag= and move_main= have no "
            "meaning.",
            path=str(where),
            hint="Leave them out, or give the name of a model in a hub.",
        )
    if params is not None and cls is None:
        raise ParamsError(
            "params= are the arguments of a class, and none is given.",
            path="params",
            hint="Give cls= too, such as 'torch/MultitaskRegressor'.",
        )
    with with_path("omit"):
        check_names("omit", omit)
    with with_path("rename"):
        check_names("rename", rename or {})
    return reference


def _digest(path: Path) -> tuple[str, int, Any]:
    """Return the SHA-256, the size and the status of a file."""
    digest = hashlib.sha256()
    with open_regular(path.parent, path.name, single_link=False) as file:
        seen = mark(os.fstat(file.fileno()))
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest(), seen[2], seen


def _origin(report: Report, name: str, digest: str, size: int) -> dict[str, Any]:
    """Return the metadata that describe the source of a conversion."""
    origin: dict[str, Any] = {
        # A name of a file may be any bytes.
        "file": os.fsencode(name).decode(errors="backslashreplace"),
        "sha256": digest,
        "size": size,
        "what": report.what,
        "read_by": {**report.versions, "dc-hub": distributions.version("dc-hub")},
    }
    if report.omitted:
        origin["omitted"] = dict(report.omitted)
    if report.facts:
        origin["facts"] = dict(report.facts)
    return {"converted_from": origin}


def _model(
    opened: Opened, cls: str | type[Model] | None, params: Mapping[str, Any]
) -> Model | None:
    """Return the model with the weights that were read; None for weights alone."""
    stored = opened.stored
    if stored.record.cls is not None:
        if cls is not None:
            raise ClassMismatch(
                f"The file holds a {stored.record.cls}, which needs no class.",
                path=str(opened.source.path),
                hint="Leave out cls= and params=.",
            )
        model: Model = restore(stored, Model)
        return model
    if cls is None:
        return None
    place = cls if isinstance(cls, str) else cls.__name__
    with with_path(place):
        found = registry.models.lookup(cls) if isinstance(cls, str) else cls
        made = registry.build(found, params, found.backend)
    if not isinstance(made, Component) or not isinstance(made, Model):
        raise ClassMismatch(f"{place} is not a model.", path=place)
    weights = {name: stored.weights[name] for name in stored.weights}
    given: Model = assign(Stored(place, stored.record, weights), made, (), {})
    return given


def _store(
    model: Model | None,
    opened: Opened,
    reference: Reference,
    metadata: Mapping[str, Any],
    options: dict[str, Any],
) -> StoredModel:
    if model is not None:
        if reference.directory is not None:
            return save(model, reference.directory, metadata=metadata)
        return publish(model, reference.model, metadata=metadata, **options)

    def write(staging: Staging) -> None:
        write_described(staging, opened.record, opened.weights, metadata)

    if reference.directory is None:
        tags = tags_to_move(options["tag"], options["move_main"])
        called, at = whole_model(reference.model, options["hub"])
        return at.publish(called, write, tags)
    path = reference.directory
    with writing(path):
        make_directory(path.parent)
        with Staging(path.parent) as staging:
            write(staging)
            revision = staging.seal()
            return StoredModel("", revision, staging.move_to(path))
