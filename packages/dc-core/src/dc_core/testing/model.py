"""The laws of a model: what storing, comparing and resuming rely on."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, final

import numpy as np

from dc_core.columns import Ragged
from dc_core.dataset import Dataset
from dc_core.dtypes import dtype_name
from dc_core.errors import (
    EmptyDataset,
    NotFitted,
    StructureError,
    TrainingStateError,
    Unsupported,
    WeightsMismatch,
)
from dc_core.parameters import construct
from dc_core.roles import Estimator
from dc_core.testing.bits import difference, flip, mutants, same_bits
from dc_core.testing.effects import EffectLaws
from dc_core.testing.process import interruptions, survive
from dc_core.testing.suite import LawBroken, law, skip

_MUTANTS: Final = 60
"""About how many changed numbers are tried."""


class ModelSuite(EffectLaws):
    """Every law of an :class:`Estimator`; a subclass writes three methods.

    Required are ``make``, ``blank`` and ``dataset``; ``global_state`` is optional.
    """

    @abstractmethod
    def make(self, seed: int) -> Estimator:
        """Return a fitted model whose weights depend on ``seed``; equal seeds give equal models."""

    @abstractmethod
    def blank(self) -> Estimator:
        """Return a model made with the same arguments and never fitted."""

    @abstractmethod
    def dataset(self) -> Dataset:
        """Return a few rows that the models can be fitted to and predict for."""

    @law(since="0.1")
    def test_the_arguments_make_the_model_again(self) -> None:
        """A model made from another's arguments and given its weights predicts the same."""
        model = self.make(0)
        again = construct(type(model), model.get_parameters())
        if list(again.get_parameters()) != list(model.get_parameters()):
            raise LawBroken(
                f"Its arguments are {again.get_parameters()}, not {model.get_parameters()}.",
                hint="Let dc_core.Component capture the arguments, and return all of them.",
            )
        again.set_weights(model.get_weights())
        self._same_predictions(model, again, "Made again from get_parameters()")

    @law(since="0.1")
    def test_returned_arguments_belong_to_the_caller(self) -> None:
        """Changing the mapping that get_parameters() returns does not change the model."""
        model = self.make(0)
        names = list(model.get_parameters())
        model.get_parameters().clear()
        if list(model.get_parameters()) != names:
            raise LawBroken("The arguments are gone.", hint="Return a new dictionary each time.")

    @law(since="0.1")
    def test_the_model_is_a_mapping_of_its_weights(self) -> None:
        """Iteration, ``len``, ``in`` and ``[]`` agree with get_weights()."""
        model = self.make(0)
        weights, table = model.get_weights(), model.weight_table()
        hint = "Let dc_core.Model be the mapping; declare the weights with `native` and `fitted`."
        views = {
            "iteration": list(model),
            "keys()": list(model.keys()),
            "weight_table()": list(table),
        }
        for view, names in views.items():
            if names != list(weights):
                raise LawBroken(
                    f"{view} gives {names}, get_weights() gives {list(weights)}.", hint=hint
                )
        if len(model) != len(weights):
            raise LawBroken(f"Its length is {len(model)}, not {len(weights)}.", hint=hint)
        for name, array in weights.items():
            if not name.startswith(f"{model.name}/"):
                raise LawBroken(f"{name!r} does not begin with {model.name!r}.", hint=hint)
            if name not in model:
                raise LawBroken(f"{name!r} is not in the model.", hint=hint)
            if not same_bits(model[name], array):
                raise LawBroken(f"model[{name!r}] is another array than its weight.", hint=hint)
            form = (table[name].shape, table[name].dtype)
            if form != (array.shape, array.dtype):
                raise LawBroken(f"{name!r} is described as {form}.", hint=hint)
        for absent in ("none", f"{model.name}/none/0"):
            self._refuses(KeyError, partial(model.__getitem__, absent), f"the name {absent!r}")
            if absent in model:
                raise LawBroken(f"{absent!r} is in the model.", hint=hint)

    @law(since="0.1")
    def test_a_blank_model_takes_the_weights(self) -> None:
        """A model that was never fitted and is given another's weights equals the other."""
        for seed in (0, 1):
            model, blank = self.make(seed), self.blank()
            blank.set_weights(model.get_weights())
            self._same_weights(model.get_weights(), blank, "Given the weights of another")
            self._same_predictions(model, blank, "Given the weights of another")

    @law(since="0.1")
    def test_models_of_different_seeds_differ(self) -> None:
        """make(0) and make(1) predict differently, so that a lost weight is noticed."""
        first, second = (self.make(seed).predict(self.dataset()) for seed in (0, 1))
        if same_bits(np.asarray(first), np.asarray(second)):
            raise LawBroken("They predict the same.", hint="In make(), use the seed.")

    @law(since="0.1")
    def test_returned_weights_belong_to_the_caller(self) -> None:
        """Changing a returned weight does not change the model."""
        model = self.make(0)
        kept = {name: array.copy() for name, array in model.get_weights().items()}
        for array in model.get_weights().values():
            flip(array)
        self._same_weights(kept, model, "After the arrays of get_weights() were changed")
        for name in model:
            flip(model[name])
        self._same_weights(kept, model, "After the arrays of model[name] were changed")

    @law(since="0.1")
    def test_given_weights_belong_to_the_caller(self) -> None:
        """Changing the given arrays later does not change the model."""
        model, given = self.blank(), self.make(0).get_weights()
        kept = {name: array.copy() for name, array in given.items()}
        model.set_weights(given)
        for array in given.values():
            flip(array)
        self._same_weights(kept, model, "After the given arrays were changed")

    @law(since="0.1")
    def test_weights_are_set_in_any_order(self) -> None:
        """The order in which weights are given has no effect."""
        model, blank = self.make(0), self.blank()
        weights = model.get_weights()
        blank.set_weights(dict(reversed(weights.items())))
        self._same_weights(weights, blank, "Given in reverse order")
        self._same_predictions(model, blank, "Given the weights in reverse order")

    @law(since="0.1")
    def test_setting_one_weight_changes_no_other(self) -> None:
        """``model[name] = value`` sets one weight and no other."""
        model = self.make(0)
        for name, array in model.get_weights().items():
            model[name] = array
        self._same_weights(self.make(0).get_weights(), model, "After each weight was set to itself")
        for name, array in self.make(1).get_weights().items():
            model = self.make(0)
            before = model.get_weights()
            wanted = {**before, name: array}
            try:
                model[name] = array
            except (StructureError, WeightsMismatch):
                # It has another shape, or contradicts the other weights: nothing changes.
                wanted = before
            self._same_weights(wanted, model, f"After model[{name!r}] was set")

    @law(since="0.1")
    def test_setting_wrong_weights_changes_nothing(self) -> None:
        """A wrong name, shape or dtype raises WeightsMismatch and does not change the model."""
        model = self.make(0)
        weights = model.get_weights()
        first, array = next(iter(weights.items()))
        other = np.float32 if array.dtype == np.float64 else np.float64
        wrong: dict[str, Mapping[str, Any]] = {
            "without a weight": {name: a for name, a in weights.items() if name != first},
            "with an unknown weight": {**weights, f"{model.name}/none/0": np.zeros(1)},
            "with a name that lacks the model's": {**weights, "none": np.zeros(1)},
            "with a wrong shape": {**weights, first: array[None]},
            "with a wrong dtype": {**weights, first: array.astype(other)},
            "with a list": {**weights, first: array.tolist()},
        }
        for what, given in wrong.items():
            self._refuses(WeightsMismatch, partial(model.set_weights, given), f"weights {what}")
            self._same_weights(weights, model, f"After weights {what} were refused")

    @law(since="0.1")
    def test_a_changed_number_is_set_exactly_or_refused(self) -> None:
        """With one number changed, the weights are set exactly, or refused as a whole."""
        given = self.make(0).get_weights()
        changed = [
            (f"{name!r} with {what}", {**given, name: mutant})
            for name, array in given.items()
            for what, mutant in mutants(array)
        ]
        for what, weights in changed[:: 1 + len(changed) // _MUTANTS]:
            model = self.blank()
            before, wanted = model.get_weights(), weights
            try:
                model.set_weights(weights)
            except (StructureError, WeightsMismatch):
                wanted = before
            self._same_weights(wanted, model, f"Given {what}")

    @law(since="0.1")
    def test_an_interrupt_leaves_the_model_whole(self) -> None:
        """A Ctrl-C passes through set_weights, which then set all weights or none."""
        if threading.current_thread() is not threading.main_thread():
            skip("interrupts arrive in the main thread alone")
        weights = self.make(0).get_weights()
        packages = {"dc_core", type(self.blank()).__module__.partition(".")[0]}
        for interrupt in interruptions(packages, partial(self.blank().set_weights, weights)):
            model = self.blank()
            before = model.get_weights()
            with suppress(KeyboardInterrupt):
                with interrupt:
                    model.set_weights(weights)
                if interrupt.pressed:
                    raise LawBroken(
                        "The call caught a KeyboardInterrupt.", hint="Catch Exception at most."
                    )
            after = model.get_weights()
            changed = difference(before, after)
            if changed and difference(weights, after):
                raise LawBroken(
                    f"An interrupt left the model half changed: {changed}.",
                    hint="Set the checked weights within dc_core.uninterrupted().",
                )

    @law(since="0.1")
    def test_predicting_changes_nothing(self) -> None:
        """Predicting again gives the same bits, and changes no weight."""
        model = self.make(0)
        weights = model.get_weights()
        self._same_predictions(model, model, "Asked again")
        self._same_weights(weights, model, "After predicting")

    @law(since="0.1")
    def test_predictions_have_one_row_per_row(self) -> None:
        """Predictions have the shape ``(n, tasks)`` or ``(n, tasks, classes)`` for any ``n``."""
        model, dataset = self.make(0), self.dataset()
        for n in {1, len(dataset)}:
            shape = np.shape(model.predict(dataset.select(np.arange(n))))
            if shape[:2] != (n, len(dataset.tasks)):
                raise LawBroken(
                    f"For {n} rows of {len(dataset.tasks)} tasks it returned {shape}.",
                    hint="Return an array with an axis for the tasks, even if there is one task.",
                )

    @law(since="0.1")
    def test_a_predicted_distribution_has_the_predicted_means(self) -> None:
        """Distributions have the predictions as means, and deviations that are not negative."""
        model, dataset = self.make(0), self.dataset()
        try:
            mean, std = model.predict_distribution(dataset)
        except Unsupported:
            skip(f"{type(model).__name__} predicts no distributions")
        found = difference({"mean": np.asarray(model.predict(dataset))}, {"mean": mean})
        if found:
            raise LawBroken(
                f"The means are not what predict returns: {found}.",
                hint="Return the same array from both.",
            )
        if np.shape(std) != np.shape(mean) or not np.all(np.asarray(std) >= 0):
            raise LawBroken(
                f"The standard deviations have shape {np.shape(std)} and the means "
                f"{np.shape(mean)}; the lowest deviation is {np.min(std)}.",
                hint="Return one standard deviation for each mean, not variances or their logs.",
            )

    @law(since="0.1")
    def test_empty_datasets_raise_empty_dataset(self) -> None:
        """Fitting to an empty dataset, or predicting for one, raises EmptyDataset."""
        empty = self.dataset().select(np.arange(0))
        self._refuses(EmptyDataset, lambda: self.blank().fit(empty), "no rows to fit to")
        self._refuses(EmptyDataset, lambda: self.make(0).predict(empty), "no rows to predict for")

    @law(since="0.1")
    def test_a_model_without_weights_says_that_it_is_not_fitted(self) -> None:
        """Predicting with a model that has no weights raises NotFitted."""
        blank = self.blank()
        if len(blank):
            skip("blank() has weights")
        self._refuses(NotFitted, lambda: blank.predict(self.dataset()), "an unfitted model")

    @law(since="0.1")
    def test_fitting_returns_the_model_and_keeps_the_data(self) -> None:
        """``fit`` returns the model itself, and changes neither the dataset nor the arguments."""
        model, dataset = self.blank(), self.dataset()
        before = {name: array.copy() for name, array in _arrays(dataset).items()}
        arguments = list(model.get_parameters())
        if model.fit(dataset) is not model:
            raise LawBroken("It returned something else.", hint="End fit with `return self`.")
        changed = difference(before, _arrays(dataset))
        if changed:
            raise LawBroken(f"After fitting, {changed}.", hint="Work on a copy of the data.")
        if list(model.get_parameters()) != arguments:
            raise LawBroken(
                f"After fitting, its arguments are {model.get_parameters()}.",
                hint="Keep what fitting learns in attributes named in `fitted`.",
            )

    @law(since="0.1")
    def test_an_unfitted_copy_learns_what_the_first_fit_learned(self) -> None:
        """However often a model was fitted, fitting ``unfitted()`` equals its first fit."""
        model, dataset = self.blank(), self.dataset()
        first = model.fit(dataset).get_weights()
        last = model.fit(dataset).get_weights()
        again = model.unfitted()
        if again is model or type(again) is not type(model):
            raise LawBroken(f"unfitted() returned {again!r}.", hint="Return a new model.")
        self._same_weights(first, again.fit(dataset), "Fitted anew")
        self._same_weights(last, model, "After its unfitted copy was fitted")

    @law(since="0.1")
    def test_the_training_state_can_be_stored_and_given_back(self) -> None:
        """The training state is named arrays, which a model with equal weights takes exactly."""
        model, other = self.make(0), self.blank()
        state = model.get_training_state()
        for name, array in state.items():
            if not isinstance(name, str):
                raise LawBroken(f"The name {name!r} is not a str.", hint="Name every array.")
            dtype_name(array.dtype)
        other.set_weights(model.get_weights())
        other.set_training_state(state)
        differs = difference(state, other.get_training_state())
        if differs:
            raise LawBroken(f"Given back, {differs}.", hint="Restore all that resuming needs.")

    @law(since="0.1")
    def test_a_foreign_training_state_is_refused(self) -> None:
        """A state of another model raises TrainingStateError and changes nothing."""
        model = self.make(0)
        state, weights = model.get_training_state(), model.get_weights()
        foreign = {**state, "not/of/this/model": np.zeros(3)}
        self._refuses(
            TrainingStateError, lambda: model.set_training_state(foreign), "a foreign state"
        )
        if difference(state, model.get_training_state()):
            raise LawBroken("It was refused, but the state changed.", hint="Check all names first.")
        self._same_weights(weights, model, "After a foreign state was refused")

    @law(since="0.1")
    def test_nothing_is_kept_after_a_call(self) -> None:
        """A model that the caller drops is freed."""
        models = {"fitted": self.make(0), "loaded": self.blank()}
        models["loaded"].set_weights(models["fitted"].get_weights())
        models["fitted"].predict(self.dataset())
        if survive(models):
            raise LawBroken(
                "A model is still in memory after it was dropped.",
                hint="Keep no reference to models: no cache, no registry, no reference cycle.",
            )

    @final
    def _calls(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield every kind of call but ``fit``."""
        model, blank, dataset = self.make(0), self.blank(), self.dataset()
        yield "describe its weights", model.weight_table
        yield "return its weights", model.get_weights
        weights = model.get_weights()
        yield "set its weights", lambda: blank.set_weights(weights)
        yield "predict", lambda: model.predict(dataset)
        yield "return its training state", model.get_training_state

    def _same_predictions(self, model: Estimator, other: Estimator, when: str) -> None:
        first, second = (np.asarray(m.predict(self.dataset())) for m in (model, other))
        if not same_bits(first, second):
            raise LawBroken(
                f"{when}, the predictions are different.",
                hint="Predictions must depend on weights and arguments alone.",
            )

    def _same_weights(
        self, expected: Mapping[str, np.ndarray], model: Estimator, when: str
    ) -> None:
        differs = difference(expected, model.get_weights())
        if differs:
            raise LawBroken(f"{when}: {differs}.", hint="Let dc_core.Model handle the weights.")

    def _refuses(self, error: type[Exception], attempt: Callable[[], object], what: str) -> None:
        with suppress(error):
            attempt()
            raise LawBroken(f"Given {what}, it raised nothing.", hint=f"Raise {error.__name__}.")


def _arrays(dataset: Dataset) -> dict[str, np.ndarray]:
    """Return the arrays of the numbers in ``dataset``, by name."""
    columns = dataset.X if isinstance(dataset.X, Mapping) else {"X": dataset.X}
    arrays = {"y": dataset.y, "w": dataset.w}
    for name, column in columns.items():
        if isinstance(column, Ragged):
            arrays |= {f"{name}/values": column.values, f"{name}/offsets": column.offsets}
        else:
            arrays[name] = column
    return arrays
