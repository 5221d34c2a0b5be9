"""Pretrain and fine-tune: start the training of one model from the weights of another.

A network that was trained where there is much data, such as computed descriptors of many molecules,
gives its body to one with another head, which is trained where there is little.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from dc_core import (
    Dataset,
    Estimator,
    Model,
    NormalDistribution,
    check_names,
    construct,
    explained,
    origins_of,
    set_origins,
)
from dc_core.errors import ParameterError, WeightsMismatch

_SHOWN: Final = 4


@dataclass(frozen=True, slots=True)
class Transfer:
    """The outcome of a transfer of weights, by the weights' names.

    ``copied`` maps each weight of the target that was set to that of the source. ``mismatched``
    are weights of the target whose counterpart has another shape or dtype, ``missing`` those
    without a counterpart, and both keep their values. ``surplus`` are weights of the source without
    a counterpart.
    """

    copied: Mapping[str, str]
    mismatched: tuple[str, ...]
    missing: tuple[str, ...]
    surplus: tuple[str, ...]

    def __str__(self) -> str:
        """Show how many weights were copied, and which were not."""
        parts = [f"{len(self.copied)} weights copied"]
        for what, names in (
            ("of another shape or dtype", self.mismatched),
            ("missing in the source", self.missing),
            ("surplus in the source", self.surplus),
        ):
            if names:
                more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
                parts.append(f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{more})")
        return "; ".join(parts)


@explained
def transfer_weights(
    source: Model | Mapping[str, np.ndarray],
    target: Model,
    *,
    rename: Mapping[str, str] | None = None,
    exclude: Collection[str] = (),
) -> Transfer:
    """Copy the weights of ``source`` to those of ``target`` that have the same name and form.

    Names are those that ``list(model)`` gives, without their first part, the model's name; so
    models of different classes can share layers. ``source`` may also be what ``get_weights()``
    returned. ``rename`` maps names of the source, or of its layers, to those of the target:
    ``{"net/body": "net/trunk"}``. ``exclude`` names weights or layers of the target that keep their
    values, such as a head of the same shape.

    Only names, shapes and dtypes are compared. That two layers mean the same is for the caller to
    know: inputs must have the features, in the order and scale, that the source was trained with.
    A pipeline fits its transformers anew, so leave out those that scale X by the training rows.

    Raises :class:`WeightsMismatch` if there is nothing to copy, and :class:`ParameterError` for
    names that no weight has, and if two weights would be copied to one. The target is then
    unchanged.
    """
    if not isinstance(target, Model):
        raise ParameterError(
            f"The target must be a model, not a {type(target).__name__}.",
            hint="Wrap a framework's own model first, as TorchModel does.",
        )
    theirs, name = _weights_of(source)
    ours = target.describe_weights()
    _check_options(rename, exclude)
    renamed = {
        _relative(name, old): _relative(target.name, new) for old, new in (rename or {}).items()
    }
    excluded = [_relative(target.name, kept) for kept in exclude]
    _check_known("rename", renamed, theirs)
    _check_known("exclude", excluded, ours)
    copied: dict[str, str] = {}
    mismatched: list[str] = []
    surplus: list[str] = []
    for old, array in theirs.items():
        new = _renamed(old, renamed)
        if new not in ours or any(_is_within(new, kept) for kept in excluded):
            surplus.append(old)
        elif (ours[new].shape, ours[new].dtype) != (array.shape, array.dtype):
            mismatched.append(new)
        elif new in copied:
            raise ParameterError(
                f"Both {copied[new]!r} and {old!r} would be copied to {new!r}.",
                hint="Change rename=.",
            )
        else:
            copied[new] = old
    missing = [new for new in ours if new not in copied and new not in mismatched]
    if not copied:
        raise WeightsMismatch(
            "No weight of the source has the name, shape and dtype of one of the target.",
            hint=f"The source has {_few(theirs)}, the target {_few(ours)}; rename= maps names.",
            missing=missing,
            unexpected=surplus,
        )
    target.import_weights(
        {new: theirs[old] for new, old in copied.items()}, (*mismatched, *missing)
    )
    if isinstance(source, Model):
        set_origins(target, dict.fromkeys((*origins_of(target), *origins_of(source))))
    return Transfer(
        {f"{target.name}/{new}": f"{name}/{old}" for new, old in copied.items()},
        tuple(f"{target.name}/{new}" for new in mismatched),
        tuple(f"{target.name}/{new}" for new in missing),
        tuple(f"{name}/{old}" for old in surplus),
    )


class FineTuning(Estimator):
    """A model whose training starts from pretrained weights, every time that it is fitted.

    ``fit`` gives ``model`` new initial weights, copies those of ``weights`` that it has too, and
    trains it. So cross-validation, ensembles and tuners, which fit a model anew, fine-tune it. In a
    :class:`Pipeline` it takes the place of the model. For a single training,
    :func:`transfer_weights` and ``model.fit`` do the same.

    ``weights`` are what the ``get_weights()`` of a trained model returned; ``rename`` and
    ``exclude`` are as in :func:`transfer_weights`. What stays frozen, and how fast the rest learns,
    are options of the model, such as ``freeze`` and ``learning_rate_factors`` of dc-torch. The
    pretrained weights are stored with it; ``tuned.model`` alone is enough for predictions.

    Raises :class:`ParameterError` for anything but an estimator and named arrays.
    """

    def __init__(
        self,
        model: Estimator,
        weights: Mapping[str, np.ndarray],
        *,
        rename: Mapping[str, str] | None = None,
        exclude: Sequence[str] = (),
    ) -> None:
        if not isinstance(model, Estimator):
            raise ParameterError(f"model must be an estimator, not a {type(model).__name__}.")
        if isinstance(weights, Model):
            raise ParameterError(
                f"weights is a {type(weights).__name__}, not its weights.",
                hint="Give weights=pretrained.get_weights().",
            )
        _weights_of(weights)
        _check_options(rename, exclude)
        self.model = model
        self.weights = weights
        self.rename = rename
        self.exclude = exclude
        self.transfer: Transfer | None = None
        """The weights that the last fit copied."""
        # The model itself may no longer know its first weights when others were set.
        self._first: Estimator | None = None

    def unfitted(self) -> Self:
        """Return a new object from the same arguments, whose model has its first weights."""
        if self._first is None:
            return super().unfitted()
        return construct(type(self), {**self.get_parameters(), "model": self._first.unfitted()})

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the model's classes, by task."""
        return self.model.classes

    def set_classes(self, classes: Mapping[str, Sequence[str]]) -> None:
        """Set the names of the model's classes."""
        self.model.set_classes(classes)

    @property
    def predicts_classes(self) -> bool | None:
        """Whether the model is a classifier; None if that is not known."""
        return self.model.predicts_classes

    def _after_fit(self, dataset: Any) -> None:
        """Leave the classes to the model, whose own ``fit`` has noted them."""

    def fit(self, dataset: Dataset, *, valid: Dataset | None = None, **options: Any) -> Self:
        """Train the model from the pretrained weights and return this object.

        ``options`` go to the model's ``fit``.

        Raises what :func:`transfer_weights` and the model's ``fit`` raise.
        """
        if self._first is None:
            self._first = self.model.unfitted()
        start = self._first.unfitted()
        self.transfer = transfer_weights(
            self.weights, start, rename=self.rename, exclude=self.exclude
        )
        self.model.set_weights(start.get_weights())
        self.model.set_training_state({})
        self.model.set_classes({})
        self.model.fit(dataset, valid=valid, **options)
        return self

    def predict(self, dataset: Dataset) -> np.ndarray:
        """Return the model's predictions."""
        return self.model.predict(dataset)

    def predict_distribution(self, dataset: Dataset) -> NormalDistribution:
        """Return the model's predicted distributions; raises :class:`Unsupported` without any."""
        return self.model.predict_distribution(dataset)


def _weights_of(source: Any) -> tuple[Mapping[str, np.ndarray], str]:
    """Return arrays by relative name, and the name of the model that they belong to."""
    if isinstance(source, Model):
        return source.export_weights(copy=False), source.name
    if (
        not isinstance(source, Mapping)
        or not source
        or not all(isinstance(name, str) and "/" in name for name in source)
        or not all(isinstance(array, np.ndarray) for array in source.values())
    ):
        raise ParameterError(
            "The source must be a model, or the named arrays of one.",
            hint="Give the model, or what its get_weights() returned.",
        )
    prefixes = {name.partition("/")[0] for name in source}
    if len(prefixes) > 1:
        raise ParameterError(
            f"The names of the source begin with different parts: {_few(sorted(prefixes))}.",
            hint="Give the weights of one model, as its get_weights() returned them.",
        )
    (prefix,) = prefixes
    return {_relative(prefix, name): array for name, array in source.items()}, prefix


def _relative(model: str, name: str) -> str:
    return name.removeprefix(f"{model}/")


def _is_within(name: str, layer: str) -> bool:
    return name == layer or name.startswith(f"{layer}/")


def _renamed(name: str, rename: Mapping[str, str]) -> str:
    """Return the new name of a weight; of several keys that match, the longest counts."""
    keys = [old for old in rename if _is_within(name, old)]
    if not keys:
        return name
    longest = max(keys, key=len)
    return rename[longest] + name[len(longest) :]


def _check_options(rename: Any, exclude: Any) -> None:
    if rename is not None and not (
        isinstance(rename, Mapping)
        and all(isinstance(name, str) for pair in rename.items() for name in pair)
    ):
        raise ParameterError(
            f"rename={rename!r} must map names to names.", hint='For example: {"head": "readout"}.'
        )
    check_names("exclude", exclude)
    for name in exclude:
        if not isinstance(name, str):
            raise ParameterError(f"exclude has {name!r}, which is not a name.")


def _check_known(argument: str, names: Collection[str], weights: Collection[str]) -> None:
    for name in names:
        if not any(_is_within(weight, name) for weight in weights):
            raise ParameterError(
                f"{argument} names {name!r}, which is neither a weight nor a layer.",
                hint=f"There are {_few(weights)}.",
            )


def _few(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown or "none"
