"""``TrainedModule``: what models around a module have in common, whatever their role."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from html import escape
from typing import Any, Self

import torch
from torch import nn

from dc_core import Dataset, construct
from dc_core.errors import NotFitted, NotSerializable
from dc_core.training import Callback, TrainedModel, Validation
from dc_torch.extra_state import ExtraStates
from dc_torch.layers import check_storable, modules_in
from dc_torch.process_group import place
from dc_torch.rng import isolated_rng, seed_rng
from dc_torch.trainer import ModuleTrainer
from dc_torch.training_config import MACHINE, TrainingConfig
from dc_torch.weights import times_imported
from dc_torch.wrapped import named_tensors


class TrainedModule(TrainedModel):
    """A model around a ``torch.nn.Module`` that is trained as a :class:`TrainingConfig` says.

    A subclass adds a role (:class:`~dc_core.Estimator`, :class:`~dc_core.Generator`), whose ``fit``
    calls :meth:`_fit` with the dataset that the trainer reads. Its constructor takes the options of
    the config as ``**options``.
    """

    backend = "torch"
    config: TrainingConfig

    def __init__(self, module: nn.Module, config: TrainingConfig) -> None:
        self._module = module
        self.config = config
        self._first: dict[str, torch.Tensor] = {}
        self._first_extra: dict[str, Any] = {}
        self._imports = times_imported(module)

    @property
    def module(self) -> nn.Module:
        """The module that is trained.

        While its weights are spread over processes (``strategy="fsdp"``), a callback that reads it
        gets them as they are after the last step.
        """
        trainer: Any = self._trainer
        return self._module if trainer is None else trainer.own_module()

    @property
    def native(self) -> nn.Module:
        """The module."""
        return self.module

    def get_parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments, with the values of all options except the devices.

        Devices belong to the machine: a loaded model uses what is available.
        """
        parameters = super().get_parameters()
        if "options" in parameters:
            options = self.config.options()
            kept = {name: options[name] for name in options if name not in MACHINE}
            parameters["options"] = kept
        return parameters

    @property
    def is_fitted(self) -> bool:
        """Whether the model was trained, or its weights were set.

        A module that is passed in may have been trained before, so its model counts as fitted and
        can be published; until it is trained here, ``repr(model)`` says "module as given".
        """
        if self._has_module_argument():
            return not any(tensor.is_meta for tensor in named_tensors(self.module).values())
        return bool(self.history) or times_imported(self.module) > 0

    def unfitted(self) -> Self:
        """Return a new model from the same constructor arguments.

        A module among them is copied with the weights it had before the first :meth:`fit`. If those
        are not known, because the model was loaded or its weights were set, the module is made anew
        with initial weights from the config's seed.

        Raises :class:`NotSerializable` if a module must be made anew and its class is not
        registered.
        """
        if self._has_module_argument() and self._knows_first_weights():
            made = self._with_first_weights()
        else:
            with isolated_rng():
                seed_rng(self.config.seed)
                made = super().unfitted()
        options = self.config.options()
        made.config = replace(made.config, **{name: options[name] for name in MACHINE})
        return made

    def to(self, device: str) -> Self:
        """Move the model to ``device`` and return the model itself; training can be resumed there.

        Raises :class:`ParameterError` if the machine does not have that device.
        """
        config = replace(self.config, device=device)
        self._check_values()
        self.module.to(config.resolve_device())
        state = self.get_training_state()
        self.config = config
        self.set_training_state(state)
        return self

    def _make_trainer(self) -> ModuleTrainer:
        self._check_values()
        return ModuleTrainer(self.module, self.config)

    def _runs_callbacks(self) -> bool:
        found = place() if self.config.is_parallel else None
        return found is None or found.rank == 0

    def _train(
        self,
        trainer: Any,
        dataset: Dataset,
        validation: Validation,
        epochs: int,
        callbacks: Sequence[Callback],
    ) -> None:
        if not self.config.is_parallel:
            super()._train(trainer, dataset, validation, epochs, callbacks)
            return
        from dc_torch.launching import training_group

        try:
            with training_group(trainer, dataset, validation, epochs) as group:
                first = group is None or group.rank == 0
                super()._train(trainer, dataset, validation, epochs, callbacks if first else ())
        except BaseException as error:
            if trainer.is_lost:
                self._trainer = None
                error.add_note(
                    "Other processes had a part of the weights. The model has those of when all "
                    "were gathered last, for a checkpoint or at the start of fit(), and no "
                    'training state: fit(..., resume="auto") goes on from the newest checkpoint.'
                )
            raise

    def check_storable(self) -> None:
        """Raise :class:`NotSerializable` if a module or another argument cannot be stored."""
        super().check_storable()
        check_storable(self)

    def _fitness(self) -> str:
        given = self._has_module_argument() and not self.history and self.is_fitted
        return "module as given" if given else super()._fitness()

    def _state(self) -> str:
        try:
            text = super()._state()
            self.check_storable()
        except NotSerializable as error:
            return f"{self._fitness()}, cannot be stored: {error.args[0]}"
        return text

    def _repr_html_(self) -> str:
        try:
            return super()._repr_html_()
        except NotSerializable:  # its weights cannot be described: a lazy layer, say
            return f"<pre>{escape(repr(self))}</pre>"

    def _has_module_argument(self) -> bool:
        return any(True for _ in modules_in(self.get_parameters()))

    def _knows_first_weights(self) -> bool:
        """Whether they were kept, or are still those of the module."""
        return bool(self._first) or times_imported(self.module) == self._imports

    def _before_training(self) -> None:
        if self._has_module_argument() and not self._first and self._knows_first_weights():
            tensors = named_tensors(self.module).items()
            self._first = {name: t.detach().to("cpu", copy=True) for name, t in tensors}
            self._first_extra = ExtraStates(self.module).copied()

    def _with_first_weights(self) -> Self:
        """Return a new model whose modules are copies of this one's, with their first weights."""
        copies: dict[int, Any] = {id(child): child.unfitted() for child in self.children().values()}
        for name, tensor in named_tensors(self.module).items():
            if name in self._first:
                first = self._first[name].clone().as_subclass(type(tensor))
                vars(first).update(vars(tensor))
                copies[id(tensor)] = first.requires_grad_(tensor.requires_grad)
        # deepcopy takes these for the copies that it has made already.
        made = construct(type(self), deepcopy(self.get_parameters(), copies))
        if self._first:
            ExtraStates(made.module).set(self._first_extra)
        return made

    def _check_values(self) -> None:
        for name, tensor in named_tensors(self.module).items():
            if tensor.is_meta:
                raise NotFitted(
                    f"The weight {name!r} has no value: the model was built without any.",
                    hint="Set them with set_weights(), or load them.",
                )
