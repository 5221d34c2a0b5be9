"""From a model directory to a model: verify, read, construct, hand over the arrays.

Nothing in the files can execute code or choose a class by where it lies: they say a registered
name, constructor arguments from a closed set of values, and arrays. Names, shapes and dtypes are
compared with the model's before anything is allocated, and the arrays are private maps of the file.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dc_core import Component, Model, WeightHolder, WeightInfo, check_weights, plugins
from dc_hub.building import build_model
from dc_hub.edge import concerning
from dc_hub.errors import FileMissing, HubWarning, ParamsError, WeightsMismatch
from dc_hub.hub import HubLike, Published, open_hub
from dc_hub.manifest import MANIFEST, Manifest
from dc_hub.matching import Names, match
from dc_hub.paths import list_names, read_small
from dc_hub.pins import pinned
from dc_hub.record import PARAMS, Record, StoredWeight
from dc_hub.reference import ModelName, parse
from dc_hub.saving import TRAINING
from dc_hub.shards import Weights, open_weights
from dc_hub.tensors import read_tensors
from dc_hub.verified import Verify, verify_model

M = TypeVar("M", bound=Model)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Opened:
    """A model directory that was verified and read, nothing of it built yet.

    ``weights`` maps the names in the file to arrays that are mapped when they are asked for.
    ``manifest`` is None for an unversioned directory.
    """

    source: Published
    manifest: Manifest | None
    record: Record
    weights: Weights


def locate(
    name: ModelName,
    *,
    hub: HubLike = None,
    revision: str | None = None,
    lock: str | os.PathLike[str] | None = None,
) -> Published:
    """Return where the model ``name`` is: in a hub, or the directory itself.

    Without a revision, a ``lock`` file says which one. Raises :class:`FileMissing` for a directory
    that is not there, and what the hub and :func:`dc_hub.pins.pinned` raise.
    """
    reference = parse(name, revision)
    if reference.directory is None:
        wanted = reference.revision
        if wanted is None and lock is not None:
            wanted = pinned(reference.name, lock)
        return open_hub(hub).resolve(reference.name, wanted)
    if not reference.directory.is_dir():
        raise FileMissing(
            f"There is no directory {reference.directory}.",
            path=str(reference.directory),
            hint="For a model in a hub, give its name without './'.",
        )
    return Published("", "", reference.directory)


@contextmanager
def open_model(
    source: Published, verify: Verify = "ingest", *, versioned: bool = False
) -> Iterator[Opened]:
    """Verify the model at ``source``, read what it is, and keep its files open for the context.

    Arrays that were taken out stay valid. With ``versioned`` a manifest must be there.

    A directory without a manifest is read with a :class:`HubWarning`: nothing vouches for it.
    """
    directory = source.path
    verified = None
    if versioned or source.revision or MANIFEST in list_names(directory):
        verified = verify_model(directory, source.revision, verify)
        if not source.revision:
            source = Published(source.name, verified.manifest.revision, directory)
    else:
        warnings.warn(
            f"{directory} has no {MANIFEST}: its files are not verified.", HubWarning, stacklevel=5
        )
    data = read_small(directory, PARAMS, 1 << 20)
    record = Record.from_bytes(data, what=str(directory / PARAMS))
    with open_weights(directory) as weights:
        opened = Opened(source, verified.manifest if verified else None, record, weights)
        if verified is not None:
            verified.check_unchanged()
        _check_agreement(opened)
        yield opened


def from_pretrained(
    name: ModelName,
    *,
    cls: type[M] = Model,  # type: ignore[assignment]
    hub: HubLike = None,
    revision: str | None = None,
    verify: Verify = "ingest",
    allow_missing: Collection[str] = (),
    training: bool = False,
    lock: str | os.PathLike[str] | None = None,
) -> M:
    """Return the stored model ``name``, which must be a ``cls``.

    Args:
        name: ``"freesolv-mlp"``, ``"lab/freesolv-mlp"``, ``"freesolv-mlp@v2"``; or a directory: a
            ``pathlib.Path``, or a string that starts with ``/``, ``./``, ``../`` or ``~``.
        cls: The class that the model must be of, itself or a subclass.
        hub: A hub or its path. Default: ``DEEPCHEM_MODEL_HUB``, then the user's data folder.
        revision: A digest, a tag (default ``main``), or at least 12 digits of a digest.
        verify: ``"ingest"`` hashes every file that was not hashed since it last changed; ``"full"``
            hashes every file.
        allow_missing: Names of weights that need not be stored and stay as they are constructed.
        training: Restore the training state too, so that training goes on where it stopped.
        lock: A ``dchub.lock`` file that says the revision where none is given; see :func:`pin`.

    Every file is verified, nothing in them is executed, and nothing is ever cast or dropped.

    Raises a :class:`HubError`: see its subclasses.
    """
    with open_model(locate(name, hub=hub, revision=revision, lock=lock), verify) as opened:
        return load_opened(opened, cls, allow_missing, training=training)


def load(directory: str | os.PathLike[str], **options: Any) -> Model:
    """Return the model in ``directory``: :func:`from_pretrained` where the path needs no ``./``."""
    model: Model = from_pretrained(Path(directory), **options)
    return model


def load_weights(
    name: ModelName,
    into: T,
    *,
    hub: HubLike = None,
    revision: str | None = None,
    verify: Verify = "ingest",
    allow_missing: Collection[str] = (),
    rename: Mapping[str, str] | None = None,
    lock: str | os.PathLike[str] | None = None,
) -> T:
    """Give the stored weights of ``name`` to an object of yours, and return it.

    ``into`` is a model, or an object of a framework whose backend is installed: a
    ``torch.nn.Module``, a scikit-learn estimator. Its weights must be the stored ones in name,
    shape and dtype, but for those named in ``allow_missing``; ``rename`` maps stored names to the
    object's own. Names may be native (``conv1.weight``) or canonical (``net/conv1/0``). The object
    is unchanged when this raises. The other arguments are those of :func:`from_pretrained`.

    Raises :class:`WeightsMismatch` and the other errors of :func:`from_pretrained`.
    """
    holder = into if isinstance(into, Component) else plugins.claim(into)
    with open_model(locate(name, hub=hub, revision=revision, lock=lock), verify) as opened:
        theirs = _names(_stored(opened))
        renamed = {theirs.get(old): new for old, new in (rename or {}).items()}
        unknown = [old for old in renamed if old not in theirs.relative]
        if unknown:
            raise WeightsMismatch(
                f"No weight {unknown[0]!r} is stored, which rename names.",
                path=str(opened.source.path),
                hint=f"`dc-hub info {name}` lists those that are.",
                unexpected=unknown,
            )
        _give(opened, holder, allow_missing, renamed)
    return into


def load_opened(
    opened: Opened, cls: type[M], allow_missing: Collection[str] = (), *, training: bool = False
) -> M:
    """Build the model that ``opened`` holds and give it its weights."""
    path = str(opened.source.path / PARAMS)
    built = build_model(opened.record, opened.weights, cls, path)
    _give(opened, built.model, allow_missing, built.renamed)
    if training:
        _resume(opened, built.model)
    return built.model


def _give(
    opened: Opened, holder: WeightHolder, allow_missing: Collection[str], renamed: Mapping[str, str]
) -> None:
    """Compare the stored weights with those of ``holder``, then hand the arrays over.

    ``renamed`` maps stored relative names to the holder's.
    """
    path = str(opened.source.path)
    with concerning(path):
        table = holder.describe_weights()
    stored, ours = _stored(opened), _names(table)
    allowed = {ours.get(name) for name in allow_missing}
    found = match(stored, table, {old: ours.get(new) for old, new in renamed.items()})
    arrays = {new: opened.weights[stored[old].native] for new, old in found.items()}
    missing = [name for name in table if name not in arrays and name not in allowed]
    unexpected = [name for name in arrays if name not in table] if table else []
    if missing:
        raise WeightsMismatch(
            f"Weights are not stored: {', '.join(missing)}. "
            f"Stored and not asked for: {', '.join(unexpected) or 'none'}.",
            path=path,
            hint="Is it the right model? load_weights takes rename= and allow_missing=.",
            missing=missing,
            unexpected=unexpected,
        )
    with concerning(path):
        known = {name: array for name, array in arrays.items() if name in table}
        check_weights(table, known, allowed)
        holder.import_weights(arrays, allowed, copy=False)


def _stored(opened: Opened) -> dict[str, StoredWeight]:
    """Return the stored weights by relative name: without the first part, the model's own name."""
    return {name.partition("/")[2]: weight for name, weight in opened.record.weights.items()}


def _names(weights: Mapping[str, StoredWeight] | Mapping[str, WeightInfo]) -> Names:
    return Names.of({name: (w.native, *w.aliases) for name, w in weights.items()})


def _check_agreement(opened: Opened) -> None:
    """Raise unless the weights file holds just what params.json names: nothing is ever dropped."""
    path = str(opened.source.path)
    canonical = opened.record.weights
    if len({name.partition("/")[0] for name in canonical}) > 1 or not all(_stored(opened)):
        raise ParamsError(
            f"The weights' names {', '.join(sorted(canonical))} are not those of one model.",
            path=str(opened.source.path / PARAMS),
            hint="The file was edited: get or publish the model again.",
        )
    named = {weight.native for weight in canonical.values()}
    missing = sorted(named.difference(opened.weights))
    surplus = sorted(set(opened.weights) - named - set(_referred(opened.record.params)))
    if missing or surplus:
        which = f"lack {missing[0]!r}" if missing else f"hold {surplus[0]!r}"
        raise WeightsMismatch(
            f"The weights in {path} {which}, other than {PARAMS} says.",
            path=path,
            hint="The files are of two models: get or publish the model again.",
            missing=missing,
            unexpected=surplus,
        )


def _referred(value: Any) -> Iterator[str]:
    """Yield the names of the arrays that stored arguments refer to."""
    items = value.values() if isinstance(value, dict) else value
    for item in items if isinstance(value, dict | list) else ():
        yield from _referred(item)
    if isinstance(value, dict) and isinstance(value.get("$array"), str):
        yield value["$array"]


def _resume(opened: Opened, model: Model) -> None:
    path = opened.source.path / TRAINING
    if not path.exists():
        raise FileMissing(
            f"{opened.source.path} holds no training state.",
            path=str(path),
            hint="Publish with training=True to keep it, or load with training=False.",
        )
    model.set_training_state(read_tensors(path))
