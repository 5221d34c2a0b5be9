"""Load models: construct them and give them the stored arrays.

Nothing in the files can execute code or name a module: they contain a registered name, constructor
arguments from a closed set of values, and arrays. Names, shapes and dtypes are
compared with the model's before anything is allocated, and the arrays are private maps of the file.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from dc_core import Component, Model, explained, plugins
from dc_hub.errors import WeightsMismatch
from dc_hub.files.urls import local_path
from dc_hub.hubs.contract import HubLike
from dc_hub.hubs.pins import lock_in_use
from dc_hub.hubs.reference import ModelName
from dc_hub.loading.opening import locate, open_model
from dc_hub.loading.origins import remember_origin
from dc_hub.loading.predictions import check_predictions, log_version_changes
from dc_hub.loading.restoring import assign, names_of, restore
from dc_hub.loading.training_state import resume
from dc_hub.loading.verifying import Verify

M = TypeVar("M", bound=Component)
T = TypeVar("T")


@explained
def from_pretrained(
    name: ModelName,
    *,
    cls: type[M] = Model,  # type: ignore[assignment]
    hub: HubLike = None,
    revision: str | None = None,
    verify: Verify = "changed",
    allow_missing: Collection[str] = (),
    training: bool = False,
    lock: str | os.PathLike[str] | None = None,
    allow_changed_predictions: bool = False,
) -> M:
    """Return the stored model ``name``, which must be a ``cls``.

    Args:
        name: ``"freesolv-mlp"``, ``"lab/freesolv-mlp"``, ``"freesolv-mlp@v2"``; with the URL of its
            hub before it, ``"s3://bucket/hub/freesolv-mlp@v2"``; or a directory: a
            ``pathlib.Path``, or a string that starts with ``/``, ``./``, ``../`` or ``~``.
        cls: The class that the model must be of, itself or a subclass.
        hub: A hub or its path. Default: ``DEEPCHEM_MODEL_HUB``, then the user's data folder.
        revision: A digest, a tag (default ``main``), or at least 12 digits of a digest.
        verify: ``"changed"`` hashes the files that changed since they were last hashed; ``"full"``
            hashes every file.
        allow_missing: Names of weights that need not be stored and keep their initial values.
        training: Restore the training state too, so that training can be resumed.
        lock: A ``dchub.lock`` file, which pins the revision; see :func:`pin`. Default: the file
            that ``DEEPCHEM_LOCK`` names, if it is set. Another revision raises
            :class:`PinMismatch`.
        allow_changed_predictions: Return the model even if its golden rows are predicted otherwise.

    Every file is verified, nothing in them is executed, and nothing is ever cast or dropped. If a
    package that the model needs is installed in another major or minor version than the model was
    stored with, that is logged, and the model's golden rows, if it has any, are checked (up to 1000
    of them, and without ``allow_missing``).

    Raises a :class:`HubError`: see its subclasses. :class:`PredictionsChanged` is raised if a
    golden row is not predicted within its tolerance.
    """
    with open_model(
        locate(name, hub=hub, revision=revision, lock=lock_in_use(lock)), verify
    ) as opened:
        model = restore(opened.stored, cls, allow_missing)
        if allow_missing or allow_changed_predictions:
            log_version_changes(opened)
        else:
            check_predictions(model, opened)
        if training:
            resume(model, opened)
        remember_origin(model, opened)
    return model


@explained
def load(directory: str | os.PathLike[str], **options: Any) -> Model:
    """Return the model in ``directory``; like :func:`from_pretrained`, without need of ``./``."""
    model: Model = from_pretrained(local_path(directory), **options)
    return model


@explained
def load_weights(
    name: ModelName,
    into: T,
    *,
    hub: HubLike = None,
    revision: str | None = None,
    verify: Verify = "changed",
    allow_missing: Collection[str] = (),
    rename: Mapping[str, str] | None = None,
    lock: str | os.PathLike[str] | None = None,
) -> T:
    """Load the stored weights of ``name`` into an object of your own, and return the object.

    An immutable object is not changed, and a new one with the weights is returned.

    ``into`` is a model, or an object of a framework whose backend is installed: a
    ``torch.nn.Module``, a scikit-learn estimator. Its weights must agree with the stored ones in
    name, shape and dtype, except those in ``allow_missing``; ``rename`` maps stored names to the
    object's own. Names may be native (``conv1.weight``) or canonical (``net/conv1/0``). The object
    is unchanged when this raises.

    A directory, or a repository of Hugging Face's hub, may hold weights alone, in safetensors files
    without ``params.json``; then their native names are those in the files.

    The other arguments are those of :func:`from_pretrained`.
    Version changes are logged, but golden rows are not checked: see :func:`check_golden`.

    Raises :class:`WeightsMismatch` and the other errors of :func:`from_pretrained`.
    """
    holder = into if isinstance(into, Component) else plugins.claim(into)
    with open_model(
        locate(name, hub=hub, revision=revision, lock=lock_in_use(lock), weights_only=True),
        verify,
        weights_only=True,
    ) as opened:
        theirs = names_of(opened.stored.by_name)
        renamed = {theirs.get(old): new for old, new in (rename or {}).items()}
        unknown = [old for old in renamed if old not in theirs.relative]
        if unknown:
            raise WeightsMismatch(
                f"rename names the weight {unknown[0]!r}, which is not stored.",
                path=str(opened.source.path),
                hint=f"`dc-hub info {name}` lists the stored ones.",
                unexpected=unknown,
            )
        loaded: T = assign(opened.stored, holder, allow_missing, renamed)
        remember_origin(loaded, opened)
        log_version_changes(opened)
    return loaded
