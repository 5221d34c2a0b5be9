"""Inspect stored models: describe them, verify their files, check their golden rows."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dc_core import Model, dtype_name, explained
from dc_hub.errors import FileMissing, HubUnavailable
from dc_hub.format.filenames import GOLDEN
from dc_hub.format.golden import CheckResult, compare_golden
from dc_hub.hubs.contract import HubLike, StoredModel
from dc_hub.hubs.locating import place
from dc_hub.hubs.reference import ModelName
from dc_hub.inspecting.signatures import check_directory, signatures, signatures_in
from dc_hub.loading.opening import Opened, locate, look_into, open_model
from dc_hub.loading.restoring import restore
from dc_hub.loading.versions import version_changes
from dc_hub.trust.checking import CheckedSignature

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One stored weight: its name in the file, its dtype and shape, and its further names."""

    native: str
    dtype: str
    shape: tuple[int, ...]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Info:
    """The facts stored about a model.

    ``params`` are the constructor's arguments as in params.json. ``classes`` are the names of the
    classes by task. ``weights`` are by canonical name. ``files`` maps each file to its size in
    bytes. ``version_changes`` are the stored and the installed version of each package whose major
    or minor version differs. ``signatures`` are those that vouch for the revision.
    """

    name: str
    revision: str
    path: Path
    cls: str | None
    class_version: int
    backend: str | None
    params: Mapping[str, Any]
    metadata: Mapping[str, Any]
    classes: Mapping[str, tuple[str, ...]]
    weights: Mapping[str, StoredArray]
    files: Mapping[str, int]
    version_changes: Mapping[str, tuple[str, str]]
    signatures: tuple[CheckedSignature, ...] = ()


@explained
def info(
    name: ModelName,
    *,
    hub: HubLike = None,
    revision: str | None = None,
) -> Info:
    """Return the facts stored about the model ``name``, without building it.

    The weights of a model in a remote hub are not fetched, but for the chunks with their headers.
    The arguments and errors are those of :func:`from_pretrained`.
    """
    with look_into(name, hub=hub, revision=revision) as opened:
        described = describe(opened)
        if not described.revision:
            return described
        if opened.is_local:
            found = signatures_in(opened.source, place(name, hub=hub))
        else:
            found = []
            try:
                found = signatures(name, hub=hub, revision=revision)
            except HubUnavailable as error:  # some servers deny access to what they do not have
                logger.warning("the signatures of %s cannot be read: %s", name, error)
    return dataclasses.replace(described, signatures=tuple(found))


def describe(opened: Opened) -> Info:
    """Describe an opened model directory."""
    record, source = opened.record, opened.source
    weights = {}
    for canonical, weight in record.weights.items():
        stored = opened.weights.info(weight.native)
        weights[canonical] = StoredArray(
            weight.native, dtype_name(stored.dtype), stored.shape, weight.aliases
        )
    return Info(
        name=source.name,
        revision=source.revision,
        path=source.path,
        cls=record.cls,
        class_version=record.class_version,
        backend=record.backend,
        params=record.params,
        metadata=record.metadata,
        classes=record.classes,
        weights=weights,
        files=opened.contents.sizes(),
        version_changes=version_changes(record),
    )


@explained
def verify(
    name: ModelName,
    *,
    hub: HubLike = None,
    revision: str | None = None,
) -> StoredModel:
    """Hash every file of the model ``name``, read every header, and return the verified model.

    Signatures of keys that the user knows are checked too; whether there must be some is what the
    trust policy says. Raises :class:`HashMismatch` or another error that names the file,
    :class:`FileMissing` if the directory has no manifest to verify it against, and
    :class:`SignatureError` for a signature that is not valid.
    """
    source = locate(name, hub=hub, revision=revision)
    with open_model(source, "full", versioned=True) as opened:
        source = opened.source
    check_directory(source)
    return source


@explained
def check_golden(
    name: ModelName,
    *,
    cls: type[Model] = Model,
    hub: HubLike = None,
    revision: str | None = None,
) -> CheckResult:
    """Compare the outputs of the model ``name`` for its golden inputs with the stored ones.

    The arguments and errors are those of :func:`from_pretrained`. Raises :class:`FileMissing` if
    the model was published without golden inputs.
    """
    with open_model(locate(name, hub=hub, revision=revision)) as opened:
        path = opened.source.path / GOLDEN
        if GOLDEN not in opened.contents.names:
            raise FileMissing(
                f"{opened.source.path} contains no golden inputs to check.",
                path=str(path),
                hint="Publish the model with golden=<some inputs>.",
            )
        model = restore(opened.stored, cls)
        return compare_golden(model, opened.read_tensors(GOLDEN), str(path))
