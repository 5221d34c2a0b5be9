"""A model small enough to read that keeps every law, and a bad one for each check of the kit."""

import os
import random
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np

from dc_core import Estimator, NormalDistribution, NumpyDataset
from dc_core.errors import (
    EmptyDataset,
    NotFitted,
    StructureError,
    TrainingStateError,
    WeightsMismatch,
)
from dc_core.testing import ModelSuite
from dc_core.testing.bits import same_bits


@dataclass(frozen=True)
class Grave:
    """A suite with a bad model, the law that it breaks, and what the kit says about it."""

    law: str
    says: str
    suite: type[ModelSuite]


GRAVES: dict[str, Grave] = {}


class Line(Estimator):
    """Least squares on powers of X, with a step counter for a training state."""

    name = "line"
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

    def predict_distribution(self, dataset):
        mean = self.predict(dataset)
        return NormalDistribution(mean, 1 + np.abs(mean))

    def get_training_state(self):
        return {"steps": self.steps.copy()}

    def set_training_state(self, state):
        if set(state) != {"steps"}:
            raise TrainingStateError(f"The state has {sorted(state)}.")
        if self.coef is None:
            raise TrainingStateError("The line has no weights that the state could belong to.")
        self.steps = state["steps"].copy()


class Memory(Estimator):
    """The label of the nearest row: the shapes of its weights depend on the data."""

    fitted = ("rows", "labels")

    def __init__(self):
        self.rows = self.labels = None

    def fit(self, dataset):
        if len(dataset) == 0:
            raise EmptyDataset("There is no row to remember.")
        self.rows, self.labels = dataset.X.copy(), dataset.y.copy()
        return self

    def predict(self, dataset):
        if self.rows is None:
            raise NotFitted("Nothing was remembered yet.", hint="Call fit first.")
        if len(dataset) == 0:
            raise EmptyDataset("There is no row to predict for.")
        return self.labels[self._distances(dataset).argmin(axis=1)]

    def predict_distribution(self, dataset):
        mean = self.predict(dataset)
        return NormalDistribution(mean, np.sqrt(self._distances(dataset).min(axis=1))[:, None])

    def _distances(self, dataset):
        return ((dataset.X[:, None] - self.rows) ** 2).sum(axis=-1)

    def set_weights(self, weights, allow_missing=()):
        if not all(np.isfinite(a).all() for a in weights.values() if isinstance(a, np.ndarray)):
            raise WeightsMismatch("A row is not finite.")
        super().set_weights(weights, allow_missing)


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


class TestMemory(TestLine):
    model = Memory

    def data(self, seed):
        rng = np.random.default_rng(seed)
        return NumpyDataset(rng.normal(size=(6 + seed, 2)), rng.normal(size=(6 + seed, 1)))

    def make(self, seed):
        return Memory().fit(self.data(seed))

    def blank(self):
        return Memory()


class FittedBlankSuite(TestLine):
    """Its blank models have weights, as those of some frameworks do."""

    def blank(self):
        return self.make(9)


class UnseededSuite(TestLine):
    def make(self, seed):
        return super().make(0)


def breaks(law, says):
    """Bury the class below: it breaks ``law``, and the kit ``says`` so."""

    def bury(cls):
        suite = cls if issubclass(cls, ModelSuite) else type("Suite", (TestLine,), {"model": cls})
        GRAVES[cls.__name__] = Grave(law, says, suite)
        return cls

    return bury


breaks("test_models_of_different_seeds_differ", "They predict the same")(UnseededSuite)


MADE_AGAIN = "test_the_arguments_make_the_model_again"


@breaks(MADE_AGAIN, "Made again from get_parameters(), the predictions are different")
class ForgetsItsPower(Line):
    def get_parameters(self):
        return {"power": 1}


@breaks(MADE_AGAIN, "Its arguments are {'power': 1}, not {}")
class ForgetsItsArguments(Line):
    def get_parameters(self):
        return {} if self.power == 3 else super().get_parameters()


@breaks("test_returned_arguments_belong_to_the_caller", "The arguments are gone")
class HandsOutItsArguments(Line):
    def __init__(self, power=1):
        super().__init__(power)
        self.arguments = {"power": power}

    def get_parameters(self):
        return self.arguments


MAPPING = "test_the_model_is_a_mapping_of_its_weights"


@breaks(MAPPING, "iteration gives []")
class IteratesOverNothing(Line):
    def __iter__(self):
        return iter([])


@breaks(MAPPING, "keys() gives []")
class HasNoKeys(Line):
    def keys(self):
        return []


@breaks(MAPPING, "weight_table() gives ['line/intercept/0', 'line/coef/0']")
class DescribesInAnotherOrder(Line):
    def weight_table(self):
        return dict(reversed(super().weight_table().items()))

    def __iter__(self):
        return iter(super().weight_table())

    def keys(self):
        return super().weight_table().keys()


@breaks(MAPPING, "Its length is 3, not 2")
class CountsWrong(Line):
    def __len__(self):
        return super().__len__() + 1


@breaks(MAPPING, "'coef/0' does not begin with 'line'")
class LeavesOutItsName(Line):
    def weight_table(self):
        return self.describe_weights()

    def get_weights(self):
        return self.export_weights()


@breaks(MAPPING, "'line/coef/0' is not in the model")
class ContainsNothing(Line):
    def __contains__(self, name):
        return False


@breaks(MAPPING, "model['line/coef/0'] is another array than its weight")
class ReturnsAnotherArray(Line):
    def __getitem__(self, name):
        return super().__getitem__(name) + 1


@breaks(MAPPING, "'line/coef/0' is described as ((2, 1), dtype('float32'))")
class DescribesAnotherDtype(Line):
    def weight_table(self):
        table = super().weight_table().items()
        return {name: replace(info, dtype=np.dtype("f4")) for name, info in table}


@breaks(MAPPING, "Given the name 'none', it raised nothing")
class FindsAnything(Line):
    def __getitem__(self, name):
        return super().__getitem__(name) if name in self else np.zeros(1)


@breaks(MAPPING, "Given the name 'line/none/0', it raised nothing")
class InventsWeights(Line):
    def __getitem__(self, name):
        return np.zeros(1) if name == "line/none/0" else super().__getitem__(name)


@breaks(MAPPING, "'none' is in the model")
class ContainsEverything(Line):
    def __contains__(self, name):
        return True


BLANK = "test_a_blank_model_takes_the_weights"


@breaks(BLANK, "Given the weights of another: 'line/coef/0' is missing")
class ForgetsToSet(Line):
    def set_weights(self, weights, allow_missing=()):
        pass


@breaks(BLANK, "Given the weights of another, the predictions are different")
class ForgetsTheIntercept(Line):
    fitted = ("coef",)

    def __init__(self, power=1):
        super().__init__(power)
        self.intercept = 0


@breaks(BLANK, "Given the weights of another: 'line/coef/0' has different values")
class SetsTheFirstWeightsAgain(Line):
    first = None

    def set_weights(self, weights, allow_missing=()):
        SetsTheFirstWeightsAgain.first = SetsTheFirstWeightsAgain.first or dict(weights)
        super().set_weights(SetsTheFirstWeightsAgain.first, allow_missing)


@breaks(
    "test_returned_weights_belong_to_the_caller",
    "After the arrays of get_weights() were changed: 'line/coef/0' has different values",
)
class HandsOutItsWeights(Line):
    def get_weights(self):
        return {f"{self.name}/{n}": a for n, a in self.export_weights(copy=False).items()}


@breaks(
    "test_returned_weights_belong_to_the_caller",
    "After the arrays of model[name] were changed: 'line/coef/0' has different values",
)
class HandsOutOneWeight(Line):
    def __getitem__(self, name):
        return self.export_weights(copy=False)[name.removeprefix("line/")]


class KeepsGivenArrays(Line):
    def set_weights(self, weights, allow_missing=()):
        super().set_weights(weights, allow_missing)
        self.coef = weights["line/coef/0"]


breaks(
    "test_given_weights_belong_to_the_caller",
    "After the given arrays were changed: 'line/coef/0' has different values",
)(KeepsGivenArrays)


ANY_ORDER = "test_weights_are_set_in_any_order"


@breaks(ANY_ORDER, "Given in reverse order: the names are in a different order")
class KeepsTheGivenOrder(Line):
    order = None

    def set_weights(self, weights, allow_missing=()):
        super().set_weights(weights, allow_missing)
        self.order = list(weights)

    def get_weights(self):
        weights = super().get_weights()
        return {name: weights[name] for name in self.order or weights}


@breaks(ANY_ORDER, "Given the weights in reverse order, the predictions are different")
class PredictsInTheGivenOrder(Line):
    sign = 1

    def set_weights(self, weights, allow_missing=()):
        super().set_weights(weights, allow_missing)
        self.sign = 1 if list(weights) == sorted(weights) else -1

    def predict(self, dataset):
        return self.sign * super().predict(dataset)


ONE_WEIGHT = "test_setting_one_weight_changes_no_other"


@breaks(ONE_WEIGHT, "After each weight was set to itself: 'line/intercept/0' has different values")
class SetsMore(Line):
    def __setitem__(self, name, value):
        super().__setitem__(name, value)
        self.intercept = np.zeros_like(self.intercept)


@breaks(ONE_WEIGHT, "After model['line/coef/0'] was set: 'line/coef/0' has different values")
class SetsNothing(Line):
    def __setitem__(self, name, value):
        pass


@breaks(ONE_WEIGHT, "After model['line/coef/0'] was set: 'line/coef/0' has different values")
class RefusesTooLate(Line):
    def __setitem__(self, name, value):
        if not same_bits(self[name], value):
            super().__setitem__(name, value)
            raise StructureError("The weights contradict each other.")


WRONG = "test_setting_wrong_weights_changes_nothing"


def accepting(what, change):
    """Bury a line that changes weights into acceptable ones where the kit gives ``what``."""

    class Accepts(Line):
        def set_weights(self, weights, allow_missing=()):
            weights = {**self.get_weights(), **weights} if what == "without a weight" else weights
            kept = {}
            for name, array in weights.items():
                changed = change(name, array)
                if changed is not None:
                    kept[name] = changed
            super().set_weights(kept, allow_missing)

    Accepts.__name__ = f"Accepts weights {what}"
    breaks(WRONG, f"Given weights {what}, it raised nothing")(Accepts)


def same(name, array):
    return array


def without(unknown):
    return lambda name, array: None if name == unknown else array


def without_axis(name, array):
    return array[0] if np.ndim(array) == 3 else array


def as_double(name, array):
    return array.astype(np.float64) if isinstance(array, np.ndarray) else array


def as_array(name, array):
    return np.array(array) if isinstance(array, list) else array


accepting("without a weight", same)
accepting("with an unknown weight", without("line/none/0"))
accepting("with a name that lacks the model's", without("none"))
accepting("with a wrong shape", without_axis)
accepting("with a wrong dtype", as_double)
accepting("with a list", as_array)


@breaks(WRONG, "After weights without a weight were refused: 'line/coef/0' has different values")
class ChecksTooLate(Line):
    def set_weights(self, weights, allow_missing=()):
        self.coef = self.coef if self.coef is None else np.zeros_like(self.coef)
        super().set_weights(weights, allow_missing)


@breaks(
    "test_a_changed_number_is_set_exactly_or_refused",
    "'line/coef/0' has different values",
)
class Clips(Line):
    def set_weights(self, weights, allow_missing=()):
        clipped = {name: np.clip(array, -1e30, 1e30) for name, array in weights.items()}
        super().set_weights(clipped, allow_missing)


@breaks(
    "test_a_changed_number_is_set_exactly_or_refused",
    "'line/coef/0' is unexpected",
)
class RefusesAfterSetting(Line):
    def set_weights(self, weights, allow_missing=()):
        super().set_weights(weights, allow_missing)
        if not all(np.isfinite(array).all() for array in weights.values()):
            raise StructureError("A weight is not finite.")


WHOLE = "test_an_interrupt_leaves_the_model_whole"


@breaks(WHOLE, "An interrupt left the model half changed: 'line/coef/0' is unexpected")
class SetsOneByOne(Line):
    def set_weights(self, weights, allow_missing=()):
        self.coef = weights["line/coef/0"]
        self.intercept = weights["line/intercept/0"]


@breaks(WHOLE, "The call caught a KeyboardInterrupt")
class SwallowsInterrupts(Line):
    def set_weights(self, weights, allow_missing=()):
        with suppress(BaseException):
            super().set_weights(weights, allow_missing)


@breaks("test_predicting_changes_nothing", "Asked again, the predictions are different")
class Drifts(Line):
    def predict(self, dataset):
        predicted = super().predict(dataset)
        self.intercept = self.intercept + 1
        return predicted


@breaks(
    "test_predicting_changes_nothing",
    "After predicting: 'line/intercept/0' has different values",
)
class DriftsUnseen(Drifts):
    first = None

    def predict(self, dataset):
        self.first = super().predict(dataset) if self.first is None else self.first
        return self.first


ROWS = "test_predictions_have_one_row_per_row"


@breaks(ROWS, "For 6 rows of 1 tasks it returned (6,)")
class SqueezesTasks(Line):
    def predict(self, dataset):
        predicted = super().predict(dataset)
        return predicted if len(dataset) == 1 else predicted.squeeze()


@breaks(ROWS, "For 1 rows of 1 tasks it returned (1,)")
class SqueezesOneRow(Line):
    def predict(self, dataset):
        predicted = super().predict(dataset)
        return predicted[0] if len(dataset) == 1 else predicted


@breaks("test_empty_datasets_raise_empty_dataset", "Given no rows to fit to, it raised nothing")
class FitsToNothing(Line):
    def fit(self, dataset):
        return super().fit(dataset) if len(dataset) else self


@breaks(
    "test_empty_datasets_raise_empty_dataset", "Given no rows to predict for, it raised nothing"
)
class PredictsForNobody(Line):
    def predict(self, dataset):
        return super().predict(dataset) if len(dataset) else np.zeros((1, 1))


@breaks(
    "test_a_model_without_weights_says_that_it_is_not_fitted",
    "Given an unfitted model, it raised nothing",
)
class PredictsZeros(Line):
    def predict(self, dataset):
        return np.zeros((len(dataset), 1)) if self.coef is None else super().predict(dataset)


FITTING = "test_fitting_returns_the_model_and_keeps_the_data"


@breaks(FITTING, "It returned something else")
class ReturnsNothing(Line):
    def fit(self, dataset):
        super().fit(dataset)


def changing(part):
    """Bury a line whose fit changes a part of the dataset in place."""

    class Changes(Line):
        def fit(self, dataset):
            getattr(dataset, part)[:] = getattr(dataset, part) + 1
            return super().fit(dataset)

    Changes.__name__ = f"Changes {part}"
    breaks(FITTING, f"After fitting, '{part}' has different values")(Changes)


changing("X")
changing("y")
changing("w")


@breaks(FITTING, "After fitting, its arguments are {'power': 3, 'rows': 6}")
class AddsAnArgument(Line):
    rows = None

    def fit(self, dataset):
        self.rows = len(dataset)
        return super().fit(dataset)

    def get_parameters(self):
        return super().get_parameters() | ({"rows": self.rows} if self.rows else {})


UNFITTED = "test_an_unfitted_copy_learns_what_the_first_fit_learned"


class Continues(Line):
    def fit(self, dataset):
        past = 0 if self.coef is None else self.coef
        super().fit(dataset)
        self.coef = self.coef + past
        return self


@breaks(UNFITTED, "Fitted anew: 'line/coef/0' has different values")
class CopiesWhatWasLearned(Continues):
    def unfitted(self):
        return deepcopy(self)


@breaks(UNFITTED, "After its unfitted copy was fitted: 'line/coef/0' has different values")
class SharesWhatIsLearned(Continues):
    def unfitted(self):
        copied = super().unfitted()
        copied.fit = lambda dataset: Continues.fit(self, dataset) and Continues.fit(copied, dataset)
        return copied


@breaks(UNFITTED, "unfitted() returned ForgetsInPlace(")
class ForgetsInPlace(Line):
    def unfitted(self):
        self.__init__(self.power)
        return self


@breaks(UNFITTED, "unfitted() returned Line(")
class ReturnsAnotherClass(Line):
    def unfitted(self):
        return Line(self.power)


STATE = "test_the_training_state_can_be_stored_and_given_back"


@breaks(STATE, "Given back, 'steps' has different values")
class LosesTheState(Line):
    def set_training_state(self, state):
        pass


@breaks(STATE, "Instead there was ParameterError: Arrays of dtype object")
class KeepsObjects(Line):
    def get_training_state(self):
        return {"steps": np.array([None])}


@breaks(STATE, "The name 0 is not a str")
class NumbersItsState(Line):
    def get_training_state(self):
        return {0: self.steps}


FOREIGN = "test_a_foreign_training_state_is_refused"


@breaks(FOREIGN, "Given a foreign state, it raised nothing")
class TakesAnyState(Line):
    def set_training_state(self, state):
        self.steps = state["steps"].copy()


@breaks(FOREIGN, "It was refused, but the state changed")
class ChecksTheStateTooLate(Line):
    def set_training_state(self, state):
        self.steps = state["steps"] + 1
        super().set_training_state(state)


@breaks(FOREIGN, "After a foreign state was refused: 'line/coef/0' has different values")
class StartsAfreshBeforeChecking(Line):
    def set_training_state(self, state):
        self.coef = np.zeros_like(self.coef)
        super().set_training_state(state)


KEPT = []
METHODS = {
    "describe its weights": "weight_table",
    "return its weights": "get_weights",
    "set its weights": "set_weights",
    "predict": "predict",
    "return its training state": "get_training_state",
}


def with_effect(name, law, says, method, effect):
    """Bury a line with a side effect of one of its methods."""

    def call(self, *arguments):
        effect(self)
        return getattr(super(cls, self), method)(*arguments)

    cls = type(name, (Line,), {method: call})
    breaks(law, says)(cls)


for verb, method in METHODS.items():
    with_effect(
        f"draws numbers to {verb}",
        "test_calls_leave_the_process_as_it_was",
        f"After it was asked to {verb}, the state of the module random is different",
        method,
        lambda self: random.random(),
    )
    with_effect(
        f"prints to {verb}",
        "test_calls_print_nothing",
        f"Asked to {verb}, it wrote 'busy\\n'",
        method,
        lambda self: print("busy"),
    )
for method in ("predict", "set_weights"):
    with_effect(
        f"keeps the model in {method}",
        "test_nothing_is_kept_after_a_call",
        "A model is still in memory",
        method,
        KEPT.append,
    )


class Modal(Line):
    mode = 0

    def predict(self, dataset):
        Modal.mode += 1
        return super().predict(dataset)


@breaks(
    "test_calls_leave_the_process_as_it_was",
    "After it was asked to predict, the framework's global state is different",
)
class ModalSuite(TestLine):
    model = Modal

    def global_state(self):
        return Modal.mode


class SetsAVariable(Line):
    def predict(self, dataset):
        os.environ["LINE"] = "1"
        return super().predict(dataset)


@breaks(
    "test_first_calls_leave_the_process_as_it_was",
    "After it was asked for the first time to predict, os.environ is different",
)
class SetsAVariableSuite(TestLine):
    model = SetsAVariable


@breaks("test_a_predicted_distribution_has_the_predicted_means", "The means are not what predict")
class OtherMeans(Line):
    def predict_distribution(self, dataset):
        mean, std = super().predict_distribution(dataset)
        return NormalDistribution(mean + 1e-9, std)


@breaks("test_a_predicted_distribution_has_the_predicted_means", "the lowest deviation is -")
class LogDeviations(Line):
    def predict_distribution(self, dataset):
        mean, std = super().predict_distribution(dataset)
        return NormalDistribution(mean, -std)


@breaks("test_a_predicted_distribution_has_the_predicted_means", "deviations have shape (6,)")
class FlatDeviations(Line):
    def predict_distribution(self, dataset):
        mean, std = super().predict_distribution(dataset)
        return NormalDistribution(mean, std[:, 0])
