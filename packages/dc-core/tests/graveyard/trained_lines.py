"""The trainer in NumPy that keeps every law, and a bad one for each check of the kit."""

import math
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from dc_core import NumpyDataset
from dc_core.errors import EmptyDataset, NotFitted, TrainingStateError
from dc_core.testing import TrainerSuite
from dc_core.training import Evaluated, TrainedEstimator, Trainer, TrainingConfig


class LineTrainer(Trainer):
    """Least squares by gradient descent with momentum, on rows with a little noise."""

    def __init__(self, model):
        super().__init__(model.config)
        self.model = model
        self.velocity = np.zeros_like(model.coef)

    def isolated(self):
        return nullcontext()

    def training(self, epoch):
        return nullcontext()

    def evaluating(self):
        return nullcontext()

    def gradients(self, X, labels, weight, seed, before=None):
        noise = self.model.noise * np.random.default_rng(seed).normal(size=X.shape)
        with np.errstate(invalid="ignore"):
            wrong = (X + noise) @ self.model.coef - labels.y
            loss = float((labels.w * wrong**2).sum() / weight)
            slope = 2 * (X + noise).T @ (labels.w * wrong) / weight
        return (loss, slope) if before is None else (before[0] + loss, before[1] + slope)

    def apply(self, gradients, rate):
        loss, slope = gradients
        if not (np.isfinite(loss) and np.isfinite(slope).all()):
            return math.nan
        clip = self.config.gradient_clip_value
        if clip is not None:
            slope = slope.clip(-clip, clip)
        if self.config.gradient_clip is not None:
            slope = slope * min(1.0, self.config.gradient_clip / np.linalg.norm(slope))
        self.velocity = 0.5 * self.velocity + slope
        self.model.coef = self.model.coef - rate * self.velocity
        return loss

    def read(self, losses):
        return list(losses)

    def evaluated(self, X, labels, *, predict):
        predictions = X @ self.model.coef
        loss = float((labels.w * (predictions - labels.y) ** 2).sum())
        return Evaluated(loss, predictions if predict else None)

    def copied_weights(self, into):
        return {"coef": self.model.coef.copy()}

    def moved_weights(self, weights, share):
        return {"coef": weights["coef"] + share * (self.model.coef - weights["coef"])}

    def set_weights(self, weights):
        self.model.coef = weights["coef"].copy()

    def weights_to_arrays(self, weights):
        return {name: array.copy() for name, array in weights.items()}

    def weights_from_arrays(self, arrays):
        if {name: a.shape for name, a in arrays.items()} != {"coef": self.model.coef.shape}:
            raise TrainingStateError("These are not the weights of the line.")
        return {name: array.copy() for name, array in arrays.items()}

    def optimizer_state(self):
        return {"velocity": self.velocity.copy()}

    def load_optimizer_state(self, state):
        if {name: a.shape for name, a in state.items()} != {"velocity": self.velocity.shape}:
            raise TrainingStateError("This is not the state of the line's optimizer.")
        self.velocity = state["velocity"].copy()


class TrainedLine(TrainedEstimator):
    """A linear model of two features and two tasks."""

    name = "trained_line"
    fitted = ("coef",)
    trainer = LineTrainer

    def __init__(self, noise=0.1, **options):
        self.noise = noise
        self.config = TrainingConfig.of({"learning_rate": 0.1, **options})
        self.coef = np.full((2, 2), 0.5)

    def _make_trainer(self):
        return self.trainer(self)

    def predict(self, dataset):
        if self.coef is None:
            raise NotFitted("The line is not fitted.")
        if len(dataset) == 0:
            raise EmptyDataset("There is no row to predict for.")
        return dataset.X @ self.coef


class TestTrainedLine(TrainerSuite):
    model = TrainedLine

    def make(self, **options):
        return self.model(**options)

    def without_noise(self, **options):
        return self.model(noise=0.0, **options)

    def rows(self, seed):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(11, 2))
        return NumpyDataset(X, X @ [[1.0, -2.0], [0.5, 3.0]] + 0.1 * rng.normal(size=(11, 2)))

    def dataset(self):
        return self.rows(0)

    def valid(self):
        return self.rows(1)


@dataclass(frozen=True)
class Grave:
    """A suite with a bad trainer, the law that it breaks, and what the kit says about it."""

    law: str
    says: str
    suite: type


GRAVES = {}


def breaks(law, says):
    """Bury a trainer for the law that it breaks."""

    def bury(trainer):
        model = type("BadLine", (TrainedLine,), {"trainer": trainer})
        suite = type(f"{trainer.__name__}Suite", (TestTrainedLine,), {"model": model})
        GRAVES[f"{trainer.__name__}: {law}"] = Grave(law, says, suite)
        return trainer

    return bury


@breaks("test_equal_models_are_trained_equally", "Trained twice, of the weights")
class DrawsFromTheProgram(LineTrainer):
    numbers = np.random.default_rng(5)

    def gradients(self, X, labels, weight, seed, before=None):
        return super().gradients(X, labels, weight, int(self.numbers.integers(2**40)), before)


@breaks("test_an_interruption_after_any_step_loses_nothing", "Interrupted after step 1")
@breaks("test_training_is_resumed_from_weights_and_state", "Given the state after step 1")
class CountsItsSteps(LineTrainer):
    """What it draws depends on how many steps it did since it was made."""

    done = 0

    def run(self, *arguments):
        self.done = 0
        return super().run(*arguments)

    def gradients(self, X, labels, weight, seed, before=None):
        self.done += 1
        return super().gradients(X, labels, weight, self.done, before)


@breaks("test_an_interruption_after_any_step_loses_nothing", "did not end training")
class HearsNothing(LineTrainer):
    def run(self, dataset, validation, epochs, on_step):
        def deaf(step, steps):
            try:
                on_step(step, steps)
            except KeyboardInterrupt:
                return

        import signal

        former = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            yield from super().run(dataset, validation, epochs, deaf)
        finally:
            signal.signal(signal.SIGINT, former)


@breaks("test_a_step_that_is_not_finite_is_not_applied", "[0, 0, 0] were counted")
class HidesInfinity(LineTrainer):
    def apply(self, gradients, rate):
        loss = super().apply(gradients, rate)
        return 0.0 if math.isnan(loss) else loss


@breaks("test_a_step_that_is_not_finite_is_not_applied", "After such a step")
@breaks("test_training_ends_after_steps_in_a_row_that_are_not_finite", "After infinite X")
class AppliesInfinity(LineTrainer):
    def apply(self, gradients, rate):
        loss = super().apply(gradients, rate)
        if math.isnan(loss):
            self.model.coef = self.model.coef * 0.5
        return loss


@breaks("test_training_ends_after_steps_in_a_row_that_are_not_finite", "raised nothing")
class GoesOn(LineTrainer):
    def apply(self, gradients, rate):
        loss = super().apply(gradients, rate)
        return 0.0 if math.isnan(loss) else loss


@breaks("test_training_ends_when_patience_runs_out", "ended after 8 epochs")
class HasPatience(LineTrainer):
    def _out_of_patience(self, validation):
        return False


@breaks("test_the_model_ends_with_the_weights_of_its_best_epoch", "being the best")
class KeepsNoCopies(LineTrainer):
    def set_weights(self, weights):
        pass


@breaks("test_training_is_not_resumed_with_other_rows", "Given other rows, it raised nothing")
class TakesAnyRows(LineTrainer):
    def check_data(self, dataset, valid=None):
        pass


@breaks("test_validation_does_not_affect_training", "the training losses are different")
class LearnsFromValidation(LineTrainer):
    def evaluated(self, X, labels, *, predict):
        self.model.coef = self.model.coef * 0.9
        return super().evaluated(X, labels, predict=predict)


@breaks("test_a_missing_label_counts_for_nothing", "With other missing labels")
class FillsLabels(LineTrainer):
    def run(self, dataset, validation, epochs, on_step):
        counted = NumpyDataset(dataset.X, dataset.y, np.ones_like(dataset.w))
        return super().run(counted, validation, epochs, on_step)


@breaks("test_the_parts_of_a_step_have_the_gradient_of_all_its_rows", "with accumulate and")
class ForgetsParts(LineTrainer):
    def gradients(self, X, labels, weight, seed, before=None):
        return super().gradients(X, labels, weight, seed)


@breaks("test_training_ends_with_the_averaged_weights", "is not the mean over the epochs")
class KeepsTheFirstWeights(LineTrainer):
    def moved_weights(self, weights, share):
        return weights


@breaks("test_a_step_that_is_not_applied_leaves_the_average", "After such a step, of the average")
class AveragesEveryStep(LineTrainer):
    """Leaves its losses on a device, as it were, and takes any share for a half."""

    def apply(self, gradients, rate):
        return np.array(super().apply(gradients, rate))

    def moved_weights(self, weights, share):
        return super().moved_weights(weights, 0.5)
