"""A model small enough to read that keeps every law, and one bad one for each law."""

from copy import deepcopy

import numpy as np

from dc_core import Estimator, NumpyDataset
from dc_core.errors import EmptyDataset, NotFitted, TrainingStateError
from dc_core.testing import ModelSuite

BURIED = {}


class Line(Estimator):
    """Least squares on powers of X, with a step counter for a training state."""

    fitted = ("coef", "intercept")

    def __init__(self, power=1):
        self.power = power
        self.coef = self.intercept = None
        self.steps = np.zeros((), np.int64)

    def fit(self, dataset):
        if len(dataset) == 0:
            raise EmptyDataset("There is no row to fit to.")
        x = np.column_stack([dataset.X**self.power, np.ones(len(dataset))])
        solution = np.linalg.lstsq(x, dataset.y, rcond=None)[0]
        self.coef, self.intercept = solution[:-1], solution[-1]
        self.steps = self.steps + 1
        return self

    def predict(self, dataset):
        if self.coef is None:
            raise NotFitted("The line is not fitted.", hint="Call fit first.")
        if len(dataset) == 0:
            raise EmptyDataset("There is no row to predict for.")
        return dataset.X**self.power @ self.coef + self.intercept

    def get_training_state(self):
        return {"steps": self.steps.copy()}

    def set_training_state(self, state):
        if set(state) != {"steps"}:
            raise TrainingStateError(f"The state has {sorted(state)}.")
        self.steps = state["steps"].copy()


class TestLine(ModelSuite):
    model = Line

    def data(self, seed):
        rng = np.random.default_rng(seed)
        return NumpyDataset(rng.normal(size=(6, 2)), rng.normal(size=(6, 1)))

    def make(self, seed):
        return self.model(power=3).fit(self.data(seed))

    def blank(self):
        return self.model(power=3)

    def dataset(self):
        return self.data(7)


class UnseededSuite(TestLine):
    def make(self, seed):
        return super().make(0)


def breaks(law):
    """Bury the class below: it stands for the broken ``law``."""

    def bury(cls):
        suite = cls if issubclass(cls, ModelSuite) else type("Suite", (TestLine,), {"model": cls})
        BURIED.setdefault(law, []).append(suite)
        return cls

    return bury


breaks("test_models_of_different_seeds_differ")(UnseededSuite)


@breaks("test_the_arguments_make_the_model_again")
class ForgetsItsArguments(Line):
    def get_parameters(self):
        return {}


@breaks("test_returned_arguments_belong_to_the_caller")
class HandsOutItsArguments(Line):
    def __init__(self, power=1):
        super().__init__(power)
        self.arguments = {"power": power}

    def get_parameters(self):
        return self.arguments


@breaks("test_the_model_is_a_mapping_of_its_weights")
class CountsWrong(Line):
    def __len__(self):
        return super().__len__() + 1


@breaks("test_the_model_is_a_mapping_of_its_weights")
class InventsWeights(Line):
    def __getitem__(self, name):
        return super().__getitem__(name) if name in self else np.zeros(1)


@breaks("test_a_blank_model_takes_the_weights")
class ForgetsTheIntercept(Line):
    fitted = ("coef",)


@breaks("test_returned_weights_belong_to_the_caller")
class HandsOutItsWeights(Line):
    def get_weights(self):
        return {f"{self.name}/{n}": a for n, a in self.export_weights(copy=False).items()}


@breaks("test_setting_one_weight_sets_that_one_alone")
class SetsMore(Line):
    def __setitem__(self, name, value):
        super().__setitem__(name, value)
        self.intercept = np.zeros_like(self.intercept)


@breaks("test_setting_what_does_not_fit_changes_nothing")
class Casts(Line):
    def set_weights(self, weights, allow_missing=()):
        cast = {name: np.asarray(array, np.float64) for name, array in weights.items()}
        super().set_weights(cast, allow_missing)


@breaks("test_setting_what_does_not_fit_changes_nothing")
class ChecksTooLate(Line):
    def set_weights(self, weights, allow_missing=()):
        self.coef = self.coef if self.coef is None else np.zeros_like(self.coef)
        super().set_weights(weights, allow_missing)


@breaks("test_predicting_changes_nothing")
class Drifts(Line):
    def predict(self, dataset):
        predicted = super().predict(dataset)
        self.intercept = self.intercept + 1
        return predicted


@breaks("test_predictions_have_one_row_per_row")
class Squeezes(Line):
    def predict(self, dataset):
        return super().predict(dataset).squeeze()


@breaks("test_no_rows_are_an_error")
class FitsToNothing(Line):
    def fit(self, dataset):
        return super().fit(dataset) if len(dataset) else self


@breaks("test_no_rows_are_an_error")
class PredictsForNobody(Line):
    def predict(self, dataset):
        return super().predict(dataset) if len(dataset) else np.zeros((1, 1))


@breaks("test_a_model_without_weights_says_that_it_is_not_fitted")
class PredictsZeros(Line):
    def predict(self, dataset):
        return np.zeros((len(dataset), 1)) if self.coef is None else super().predict(dataset)


@breaks("test_fitting_returns_the_model_and_keeps_the_data")
class ReturnsNothing(Line):
    def fit(self, dataset):
        super().fit(dataset)


@breaks("test_fitting_returns_the_model_and_keeps_the_data")
class CentresInPlace(Line):
    def fit(self, dataset):
        dataset.y[:] -= 1
        return super().fit(dataset)


class Continues(Line):
    def fit(self, dataset):
        past = 0 if self.coef is None else self.coef
        super().fit(dataset)
        self.coef = self.coef + past
        return self


@breaks("test_an_unfitted_copy_learns_what_the_first_fit_learned")
class CopiesWhatWasLearned(Continues):
    def unfitted(self):
        return deepcopy(self)


@breaks("test_an_unfitted_copy_learns_what_the_first_fit_learned")
class SharesWhatIsLearned(Continues):
    def unfitted(self):
        copied = super().unfitted()
        copied.fit = lambda dataset: Continues.fit(self, dataset) and Continues.fit(copied, dataset)
        return copied


@breaks("test_an_unfitted_copy_learns_what_the_first_fit_learned")
class ForgetsInPlace(Line):
    def unfitted(self):
        self.__init__(self.power)
        return self


@breaks("test_the_training_state_can_be_stored_and_given_back")
class LosesTheState(Line):
    def set_training_state(self, state):
        pass


@breaks("test_the_training_state_can_be_stored_and_given_back")
class KeepsObjects(Line):
    def get_training_state(self):
        return {"steps": np.array([None])}


@breaks("test_a_foreign_training_state_is_refused")
class TakesAnyState(Line):
    def set_training_state(self, state):
        self.steps = state["steps"].copy()
