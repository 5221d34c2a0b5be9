"""Publish models: describe, check, restore, and only then write.

Everything that can fail because of the model fails before the first file is created.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np

from dc_core import (
    Component,
    Estimator,
    Model,
    WeightHolder,
    WeightInfo,
    explained,
    model_name,
    plugins,
)
from dc_hub.conversion import with_path
from dc_hub.errors import NotSerializable, ParamsError
from dc_hub.files.storage import make_directory, writing
from dc_hub.files.urls import is_url, local_path
from dc_hub.format.filenames import CARD, GOLDEN, PARAMS, TRAINING
from dc_hub.format.golden import golden_tensors
from dc_hub.format.record import Record, StoredWeight
from dc_hub.format.shards import SHARD_SIZE, write_weights
from dc_hub.format.tensors import check_tensors, write_tensors
from dc_hub.hubs.contract import HubLike, StoredModel, tags_to_move
from dc_hub.hubs.locating import in_hub, whole_model
from dc_hub.hubs.staging import Staging
from dc_hub.loading.origins import WeightsDigests, all_origins, digests_of, known_origins
from dc_hub.loading.restoring import Stored
from dc_hub.loading.training_state import training_tensors
from dc_hub.publishing.card import model_card, with_author
from dc_hub.publishing.describing import Described, describe
from dc_hub.publishing.facts import Resolve, plain, with_facts
from dc_hub.publishing.fitting import check_fitted
from dc_hub.publishing.packages import packages
from dc_hub.publishing.restoring import can_be_built, check_restores
from dc_hub.trust.keyring import Key, Signer, load_key

_TRAINING_ROWS: Final = "training_rows"
"""The digests of the rows that a pipeline was trained on: they are stored with the weights."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The small files of a model: its params.json and its card."""

    params: bytes
    card: bytes


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model that passed all checks and is ready to be written.

    If its weights turn out to be ``same_as`` those that it was loaded with, nothing was derived,
    and ``unchanged`` are its texts: the links to origins are those of the model that was loaded.
    """

    texts: Texts
    weights: Mapping[str, np.ndarray]
    other_tensors: Mapping[str, Mapping[str, np.ndarray]]
    shard_size: int
    same_as: WeightsDigests | None = None
    unchanged: Texts | None = None

    def write(self, staging: Staging, signer: Signer | None = None) -> None:
        """Write the files, weights first and the card last; ``signer`` signs the manifest."""
        write_weights(
            staging.create, self.weights, shard_size=self.shard_size, metadata={"format": "pt"}
        )
        texts = self.texts
        if self.unchanged is not None and digests_of(staging.entries) == self.same_as:
            texts = self.unchanged
        for name, tensors in self.other_tensors.items():
            with staging.create(name) as file:
                write_tensors(file, tensors)
        staging.write(PARAMS, texts.params)
        staging.write(CARD, texts.card)
        if signer is not None:
            staging.sign_with(signer.sign)


@explained
def publish(
    model: Any,
    name: str,
    *,
    hub: HubLike = None,
    tag: str | Iterable[str] = (),
    move_main: bool = True,
    metadata: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    dataset: Any = None,
    licence: str | None = None,
    derived_from: Any = None,
    card: str | None = None,
    golden: Any = None,
    training: bool = False,
    unfitted: bool = False,
    shard_size: int = SHARD_SIZE,
    sign: Key | None = None,
) -> StoredModel:
    """Publish ``model`` to a hub under ``name``, and return its revision and its path.

    Args:
        model: A model; or an object of a framework whose backend is installed, which is loaded
            with :func:`load_weights` (or, if its backend can make it, :func:`from_pretrained`).
        name: One or two segments of ``[a-z0-9._-]``: ``"freesolv-mlp"``, ``"lab/freesolv-mlp"``.
            The URL of the hub may come before it.
        hub: A hub or its path. Default: ``DEEPCHEM_MODEL_HUB``, then the user's data folder.
        tag: A tag, or several, to point at this revision: ``"v2"``.
        move_main: Whether the tag ``main``, the default revision, moves too.
        metadata: Anything about the model that JSON can hold: task, units, split, featurizer,
            description … It is stored, and shown in the model card.
        metrics: Scores by name, as ``evaluate`` returns them, intervals with ``value``, ``low`` and
            ``high``, or several of these by the part of the data: ``{"test": scores}``.
        dataset: What the model learned from: a name, a dataset, of which the digest is stored, or
            both: ``("freesolv", train)``; or a list of these.
        licence: The SPDX identifier of the model's licence: ``"MIT"``.
        derived_from: The models that this one was made from, by name, ``name@revision`` or
            :class:`StoredModel`. By default, those that it or its parts were loaded from, unless
            the weights are still the same, or were fitted afresh by scikit-learn and the like.
        card: The author's part of the model card, Markdown, around what is generated; see
            :func:`set_card`.
        golden: Sample inputs to store with the model's outputs, for :func:`check_golden`: an array,
            a list of strings, a dataset, or a :class:`Golden` with tolerances.
        training: Store the training state too, so that training can be resumed exactly.
        unfitted: Publish a model that is not fitted, or a part of which is not.
        shard_size: The maximum number of bytes of weights in one file.
        sign: A key to sign the revision with: its name, the path of its file, or what
            :func:`load_key` returns. The signature appears together with the model.

    Equal models have equal revisions, and publishing one again changes nothing.

    Before anything is written the model is restored, in memory, from what is to be written, so that
    every published model loads. :func:`check_publishable` tells before training.

    Raises :class:`NotSerializable` naming what cannot be stored or would not load,
    :class:`NotFitted`, and the errors of :meth:`LocalHub.publish`.
    """
    signer = None if sign is None else load_key(sign)
    known = with_facts(
        metadata,
        _resolve_in(lambda: whole_model(name, hub)[1]),
        metrics=metrics,
        dataset=dataset,
        licence=licence,
        derived_from=derived_from,
    )
    prepared = prepare(
        model, known, golden, card, training=training, unfitted=unfitted, shard_size=shard_size
    )
    called, where = whole_model(name, hub)
    write = partial(prepared.write, signer=signer)
    return where.publish(called, write, tags_to_move(tag, move_main))


@explained
def save(
    model: Any,
    directory: str | os.PathLike[str],
    *,
    metadata: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    dataset: Any = None,
    licence: str | None = None,
    derived_from: Any = None,
    card: str | None = None,
    golden: Any = None,
    training: bool = False,
    unfitted: bool = False,
    shard_size: int = SHARD_SIZE,
    sign: Key | None = None,
) -> StoredModel:
    """Save ``model`` as the model directory ``directory``, which appears complete or not at all.

    ``directory`` is a path or a ``file://`` URL; the other arguments are those of :func:`publish`.
    Saving the same model again changes nothing. Raises :class:`AlreadyExists` if the directory
    contains something else.
    """
    signer = None if sign is None else load_key(sign)
    known = with_facts(
        metadata,
        _resolve_in(lambda: None),
        metrics=metrics,
        dataset=dataset,
        licence=licence,
        derived_from=derived_from,
    )
    prepared = prepare(
        model, known, golden, card, training=training, unfitted=unfitted, shard_size=shard_size
    )
    path = local_path(directory)
    with writing(path):
        make_directory(path.parent)
        with Staging(path.parent) as staging:
            prepared.write(staging, signer)
            revision = staging.seal()
            return StoredModel("", revision, staging.move_to(path))


@explained
def check_publishable(model: Any) -> None:
    """Raise :class:`NotSerializable`, as :func:`publish` would, unless ``model`` can be published.

    The model need not be fitted: call this before a long training. Nothing is written, and no
    weights are copied where that can be avoided. Fitting may still add state that has no stored
    form.
    """
    prepare(model, None, None, unfitted=True)


def prepare(
    model: Any,
    metadata: Mapping[str, Any] | None,
    golden: Any,
    author: str | None = None,
    *,
    training: bool = False,
    unfitted: bool = False,
    shard_size: int = SHARD_SIZE,
) -> Prepared:
    """Describe ``model`` completely, and restore it, copying no weights where that can be avoided.

    Raises :class:`NotSerializable`, :class:`NotFitted`, or :class:`ParamsError` for a name in the
    model's place.
    """
    if isinstance(model, str | os.PathLike):
        raise ParamsError(
            f"{os.fspath(model)!r} was given as the model.",
            path=os.fspath(model),
            hint="The model comes first, then its name: publish(model, name).",
        )
    name = type(model).__name__
    with with_path(name):
        holder: WeightHolder = model if isinstance(model, Component) else plugins.claim(model)
        if isinstance(model, Component) and not unfitted:
            check_fitted(model)
        described = describe(model, holder)
        table = holder.describe_weights()
        exported = holder.export_weights(list(table), copy=False)
    prefix = model.name if isinstance(model, Model) else model_name(type(model))
    if not prefix or "/" in prefix:
        raise NotSerializable(
            f"The name {prefix!r} of this {name} cannot be the first part of its weights' names.",
            path=name,
            hint="Let its property `name` return a word without '/'.",
        )
    weights = {info.native or relative: exported[relative] for relative, info in table.items()}
    _check_distinct(name, table, described.arrays)
    needed = packages(described.classes, described.backends)
    origins = all_origins(model)
    said = {
        **plain(metadata or {}),
        "created_with": dict(needed.versions),
        "parameters": sum(
            array.size for name, array in weights.items() if name.split(".")[-1] != _TRAINING_ROWS
        ),
    }
    record = Record(
        cls=described.cls,
        class_version=described.class_version,
        backend=described.backend,
        params=described.params,
        weights={
            f"{prefix}/{relative}": StoredWeight(info.native or relative, info.aliases)
            for relative, info in table.items()
        },
        metadata={**_linked(map(str, origins)), **said},
        classes=model.classes if isinstance(model, Estimator) else {},
    )
    params, weights = record.to_bytes(), check_tensors({**weights, **described.arrays})
    other_tensors = {TRAINING: check_tensors(training_tensors(model))} if training else {}
    if golden is not None:
        with with_path("golden"):
            predicting = _predicting(model, holder, described)
        other_tensors[GOLDEN] = check_tensors(golden_tensors(predicting, golden))
    stored = Stored(name, Record.from_bytes(params), weights)
    restored = check_restores(
        model, holder, described, stored, other_tensors.get(GOLDEN), other_tensors.get(TRAINING)
    )
    if not isinstance(model, Component) and restored is not None and not unfitted:
        check_fitted(restored)
    is_model = not isinstance(model, Component) or isinstance(model, Model)

    def texts(of: Record) -> Texts:
        card = model_card(of, weights, needed.install, is_model=is_model)
        card = card if author is None else with_author(card, author)
        return Texts(of.to_bytes(), card.encode())

    own = known_origins(model)
    if len(own) != 1:
        return Prepared(texts(record), weights, other_tensors, shard_size)
    unchanged = replace(record, metadata={**_linked(own[0].derived_from), **said})
    return Prepared(
        texts(record), weights, other_tensors, shard_size, own[0].weights, texts(unchanged)
    )


def _linked(origins: Iterable[str]) -> dict[str, Any]:
    """Return the metadata that name ``origins``, none if there are none."""
    links = list(dict.fromkeys(origins))
    return {"derived_from": links} if links else {}


def _resolve_in(hub: Callable[[], HubLike]) -> Resolve:
    """Return a function that finds the model of an address, or of a name in the hub given."""

    def resolve(origin: str) -> StoredModel:
        reference, where = in_hub(origin, None if is_url(origin) else hub())
        return where.resolve(reference.name, reference.revision)

    return resolve


def _predicting(model: Any, holder: WeightHolder, described: Described) -> Component:
    """Return the model that computes golden rows: this one, or the loaded form of an object.

    Raises :class:`NotSerializable` for an object that loading cannot make.
    """
    if isinstance(model, Component):
        return model
    if not isinstance(holder, plugins.Claimed) or not can_be_built(holder, described):
        raise NotSerializable(
            f"Golden rows of a {type(model).__name__} could not be checked: only load_weights() "
            "can load it.",
            path="golden",
            hint="Publish it without golden=...",
        )
    wrapped: Model = holder.backend.wrap(model)
    return wrapped


def _check_distinct(
    name: str, table: Mapping[str, WeightInfo], arrays: Mapping[str, np.ndarray]
) -> None:
    """Raise :class:`NotSerializable` if two arrays would have one name in the file."""
    natives = [n for rel, info in table.items() for n in (info.native or rel, *info.aliases)]
    twice = [native for native, count in Counter([*natives, *arrays]).items() if count > 1]
    if twice:
        raise NotSerializable(
            f"Two arrays of {name} have the name {twice[0]!r}.",
            path=twice[0],
            hint="Rename an attribute or an argument so that the names differ.",
        )
