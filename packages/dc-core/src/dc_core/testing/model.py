"""The laws of a model: what everything that stores, compares or resumes one relies on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from dc_core.dataset import Dataset
from dc_core.dtypes import dtype_name
from dc_core.errors import EmptyDataset, NotFitted, TrainingStateError, WeightsMismatch
from dc_core.parameters import construct
from dc_core.roles import Estimator
from dc_core.testing.bits import difference, flip, same_bits
from dc_core.testing.suite import LawBroken, Suite, law, skip


class ModelSuite(Suite):
    """Every law of an :class:`Estimator`; a subclass writes three methods."""

    @abstractmethod
    def make(self, seed: int) -> Estimator:
        """Return a fitted model whose weights depend on ``seed``; equal seeds give equal models."""

    @abstractmethod
    def blank(self) -> Estimator:
        """Return a model made with the same arguments and never fitted."""

    @abstractmethod
    def dataset(self) -> Dataset:
        """Return a few rows that the models can be fitted to and predict for."""

    @law
    def test_the_arguments_make_the_model_again(self) -> None:
        """A model made from another's arguments and given its weights predicts the same."""
        model = self.make(0)
        twin = construct(type(model), model.get_parameters())
        twin.set_weights(model.get_weights())
        self._same_predictions(model, twin, "Made again from get_parameters()")
        if list(twin.get_parameters()) != list(model.get_parameters()):
            raise LawBroken(
                f"Its arguments are {twin.get_parameters()}, not {model.get_parameters()}.",
                hint="Leave capturing to dc_core.Component, and give all of them back.",
            )

    @law
    def test_returned_arguments_belong_to_the_caller(self) -> None:
        """Changing the mapping that get_parameters() returns changes nothing in the model."""
        model = self.make(0)
        names = list(model.get_parameters())
        model.get_parameters().clear()
        if list(model.get_parameters()) != names:
            raise LawBroken("The arguments are gone.", hint="Return a new dictionary each time.")

    @law
    def test_the_model_is_a_mapping_of_its_weights(self) -> None:
        """Iteration, len, ``in`` and ``[]`` agree with get_weights(), under the model's name."""
        model = self.make(0)
        weights, table = model.get_weights(), model.weight_table()
        views = {
            "iteration": list(model),
            "keys()": list(model.keys()),
            "weight_table()": list(table),
        }
        hint = "Leave the mapping to dc_core.Model; say where weights lie by `native` and `fitted`."
        for view, names in views.items():
            if names != list(weights) or len(model) != len(weights):
                raise LawBroken(f"{view} gives {names}; get_weights(): {list(weights)}.", hint=hint)
        for name, array in weights.items():
            form = (table[name].shape, table[name].dtype)
            if name not in model or not same_bits(model[name], array):
                raise LawBroken(f"model[{name!r}] is not its weight.", hint=hint)
            if form != (array.shape, array.dtype) or not name.startswith(f"{model.name}/"):
                raise LawBroken(f"{name!r} is described as {form}.", hint=hint)
        self._refuses(KeyError, lambda: model[f"{model.name}/none/0"], "an unknown name")
        if "none" in model or f"{model.name}/none/0" in model:
            raise LawBroken("A name it does not have is in it.", hint=hint)

    @law
    def test_a_blank_model_takes_the_weights(self) -> None:
        """A model that was never fitted predicts like the one whose weights it was given."""
        for seed in (0, 1):
            model, blank = self.make(seed), self.blank()
            blank.set_weights(model.get_weights())
            self._same_predictions(model, blank, "With the weights of another")
            self._same_weights(model.get_weights(), blank, "Given the weights of another")

    @law
    def test_models_of_different_seeds_differ(self) -> None:
        """make(0) and make(1) predict differently, so that a lost weight is noticed."""
        first, second = (self.make(seed).predict(self.dataset()) for seed in (0, 1))
        if same_bits(np.asarray(first), np.asarray(second)):
            raise LawBroken("They predict the same.", hint="Let make() depend on its seed.")

    @law
    def test_returned_weights_belong_to_the_caller(self) -> None:
        """Changing a returned weight changes nothing in the model."""
        model = self.make(0)
        kept = {name: array.copy() for name, array in model.get_weights().items()}
        for array in model.get_weights().values():
            flip(array)
        for name in model:
            flip(model[name])
        self._same_weights(kept, model, "After returned arrays were changed")

    @law
    def test_setting_one_weight_sets_that_one_alone(self) -> None:
        """``model[name] = value`` sets one weight and leaves all others."""
        model = self.make(0)
        for name, array in model.get_weights().items():
            model[name] = array
        self._same_weights(self.make(0).get_weights(), model, "Each weight set to itself")
        for name, array in self.make(1).get_weights().items():
            model = self.make(0)
            if name not in model or model[name].shape != array.shape:
                continue
            wanted = {**model.get_weights(), name: array}
            try:
                model[name] = array
            except ValueError:
                # A structure that the other weights contradict may refuse it, if it stays whole.
                wanted = self.make(0).get_weights()
            self._same_weights(wanted, model, f"After model[{name!r}] = …")

    @law
    def test_setting_what_does_not_fit_changes_nothing(self) -> None:
        """A wrong name, shape or dtype is WeightsMismatch, and the model is as it was."""
        model = self.make(0)
        weights = model.get_weights()
        first, array = next(iter(weights.items()))
        other = np.float32 if array.dtype == np.float64 else np.float64
        wrong: dict[str, Mapping[str, Any]] = {
            "without a weight": {name: a for name, a in weights.items() if name != first},
            "with a surplus weight": {**weights, f"{model.name}/none/0": np.zeros(1)},
            "with a name without the model's": {**weights, "none": np.zeros(1)},
            "with a wrong shape": {**weights, first: array[None]},
            "with a wrong dtype": {**weights, first: array.astype(other)},
            "with a list": {**weights, first: array.tolist()},
        }
        for what, given in wrong.items():
            self._refuses(WeightsMismatch, partial(model.set_weights, given), what)
            self._same_weights(weights, model, f"After weights {what} were refused")

    @law
    def test_predicting_changes_nothing(self) -> None:
        """Predicting twice gives the same bits, and leaves every weight as it was."""
        model = self.make(0)
        weights = model.get_weights()
        self._same_predictions(model, model, "Predicted again")
        self._same_weights(weights, model, "After predicting")

    @law
    def test_predictions_have_one_row_per_row(self) -> None:
        """Predictions are ``(n, tasks)`` or ``(n, tasks, classes)``, whatever the batch."""
        model, dataset = self.make(0), self.dataset()
        for n in {1, len(dataset)}:
            shape = np.shape(model.predict(dataset.select(np.arange(n))))
            wanted = (n, len(dataset.tasks))
            if shape[:2] != wanted:
                raise LawBroken(
                    f"For {wanted[0]} rows of {wanted[1]} tasks it returned {shape}.",
                    hint="Return an array with an axis for the tasks, also where there is one.",
                )

    @law
    def test_no_rows_are_an_error(self) -> None:
        """Fitting to no row, and predicting for none, is EmptyDataset."""
        empty = self.dataset().select(np.arange(0))
        self._refuses(EmptyDataset, lambda: self.blank().fit(empty), "no row to fit to")
        self._refuses(EmptyDataset, lambda: self.make(0).predict(empty), "no row to predict for")

    @law
    def test_a_model_without_weights_says_that_it_is_not_fitted(self) -> None:
        """Predicting with a model that has no weights is NotFitted."""
        blank = self.blank()
        if len(blank):
            skip("blank() has weights")
        self._refuses(NotFitted, lambda: blank.predict(self.dataset()), "an unfitted model")

    @law
    def test_fitting_returns_the_model_and_keeps_the_data(self) -> None:
        """``fit`` returns the model itself, and changes neither the dataset nor the arguments."""
        model, dataset = self.blank(), self.dataset()
        before = {"X": dataset.X.copy(), "y": dataset.y.copy(), "w": dataset.w.copy()}
        arguments = list(model.get_parameters())
        if model.fit(dataset) is not model:
            raise LawBroken("It returned something else.", hint="End fit with `return self`.")
        changed = difference(before, {"X": dataset.X, "y": dataset.y, "w": dataset.w})
        if changed or list(model.get_parameters()) != arguments:
            raise LawBroken(f"After fitting, {changed or 'the arguments differ'}.", hint="Copy.")

    @law
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

    @law
    def test_the_training_state_can_be_stored_and_given_back(self) -> None:
        """The training state is named arrays; a model with equal weights takes it, bit for bit."""
        model, twin = self.make(0), self.blank()
        state = model.get_training_state()
        for name, array in state.items():
            dtype_name(array.dtype)
            if not isinstance(name, str):
                raise LawBroken(f"{name!r} is no name.", hint="Name every array of the state.")
        twin.set_weights(model.get_weights())
        twin.set_training_state(state)
        differs = difference(state, twin.get_training_state())
        if differs:
            raise LawBroken(f"Given back, {differs}.", hint="Restore all that resuming needs.")

    @law
    def test_a_foreign_training_state_is_refused(self) -> None:
        """A state of another model is TrainingStateError, and changes nothing."""
        model = self.make(0)
        state, weights = model.get_training_state(), model.get_weights()
        foreign = {**state, "not/of/this/model": np.zeros(3)}
        self._refuses(
            TrainingStateError, lambda: model.set_training_state(foreign), "a foreign state"
        )
        if difference(state, model.get_training_state()):
            raise LawBroken("It was refused, but the state changed.", hint="Check all names first.")
        self._same_weights(weights, model, "After a foreign state was refused")

    def _same_predictions(self, model: Estimator, twin: Estimator, when: str) -> None:
        first, second = (np.asarray(m.predict(self.dataset())) for m in (model, twin))
        if not same_bits(first, second):
            raise LawBroken(
                f"{when}, it predicts otherwise.",
                hint="Weights and arguments together are all that prediction may depend on.",
            )

    def _same_weights(
        self, expected: Mapping[str, np.ndarray], model: Estimator, when: str
    ) -> None:
        differs = difference(expected, model.get_weights())
        if differs:
            raise LawBroken(f"{when}: {differs}.", hint="Leave weights to dc_core.Model.")

    def _refuses(self, error: type[Exception], attempt: Callable[[], object], what: str) -> None:
        try:
            attempt()
        except error:
            return
        raise LawBroken(f"Given {what}, it raised nothing.", hint=f"Raise {error.__name__}.")
