"""What publishes, loads: publishing restores the model first, and writes nothing otherwise."""

import random
import tracemalloc

import numpy as np
import pytest

from dc_core import Component, Estimator, charge, register_component, register_model
from dc_core.errors import StructureError, TrainingStateError
from dc_hub import errors, from_pretrained, publish


class Constant(Estimator):
    """Predicts one number: the base of the classes below, each of which breaks one promise."""

    fitted = ("value",)

    def __init__(self, digits=3):
        self.digits = digits

    def fit(self, dataset):
        self.value = np.array([np.pi]).round(self.digits)
        return self

    def predict(self, dataset):
        return np.broadcast_to(self.value, (len(dataset), 1))


@register_model("restoring/Strict")
class RefusesItsArguments(Constant):
    def __init__(self, digits=3):
        if isinstance(digits, str):
            raise TypeError("digits must not be text")
        super().__init__(digits)

    def get_parameters(self):
        return {"digits": str(self.digits)}


@register_model("restoring/Doubles")
class ChangesItsArguments(Constant):
    def get_parameters(self):
        return {"digits": 2 * super().get_parameters()["digits"]}


class Watched(Constant):
    """Sees its weights when they are set by anything but ``fit``."""

    @property
    def value(self):
        return self.__dict__.get("_value")

    @value.setter
    def value(self, value):
        self._value = self.taken(value) if not hasattr(self, "_fitting") else value

    def fit(self, dataset):
        self._fitting = True
        return super().fit(dataset)


@register_model("restoring/Lossy")
class ChangesItsWeights(Watched):
    def taken(self, value):
        return np.floor(value)


@register_model("restoring/Picky")
class RefusesItsWeights(Watched):
    def taken(self, value):
        raise StructureError("The value contradicts itself.")


@register_model("restoring/Forgetful")
class HidesItsState(Constant):
    def fit(self, dataset):
        self.offset = 1.0
        return super().fit(dataset)

    def predict(self, dataset):
        return super().predict(dataset) + getattr(self, "offset", 0.0)


@register_model("restoring/Hungry")
class NeedsMemory(Constant):
    def __init__(self, digits=3):
        charge(1 << 30, "The table of digits")
        super().__init__(digits)


@register_model("restoring/Untyped")
class Crashes(Constant):
    error = None

    def __init__(self, digits=3):
        if self.error is not None:
            raise self.error
        super().__init__(digits)

    def fit(self, dataset):
        self.__class__.error = RuntimeError("made once only")
        return super().fit(dataset)


@register_model("restoring/Whole")
class Whole(Estimator):
    """A model of parts."""

    def __init__(self, part):
        self.part = part

    def fit(self, dataset):
        return self

    def predict(self, dataset):
        return np.zeros((len(dataset), 1))


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (RefusesItsArguments, r"not loaded again: ParamsError.*digits must not be text"),
        (ChangesItsArguments, "another value for its argument digits"),
        (ChangesItsWeights, "other values for its weight 'value/0'"),
        (RefusesItsWeights, r"not loaded again: StructureError.*contradicts itself"),
        (HidesItsState, "other predictions for the golden rows: they differ by up to 1"),
        (NeedsMemory, r"not loaded again: .*The table of digits needs"),
        (Crashes, r"not loaded again: .*made once only"),
    ],
)
def test_a_model_that_would_not_load_as_it_is_is_refused_before_anything_is_written(
    hub, dataset, monkeypatch, cls, message
):
    monkeypatch.setattr(Crashes, "error", None)
    model = cls().fit(dataset)
    with pytest.raises(errors.NotSerializable, match=message) as caught:
        publish(model, "m", hub=hub, golden=dataset)
    assert "Nothing was written" in caught.value.hint
    assert caught.value.path
    assert not hub.path.exists()


def test_a_part_without_a_registered_name_is_refused_with_the_line_that_registers_it(hub):
    class Nowhere(Component):
        pass

    for part in (Nowhere(), [Nowhere()], Whole(Nowhere())):
        with pytest.raises(errors.NotSerializable, match="contains a Nowhere") as caught:
            publish(Whole(part), "m", hub=hub)
        assert "@dc_core.register_component('<namespace>/Nowhere')" in caught.value.hint
    assert not hub.path.exists()


def test_a_component_comes_back_by_its_class_with_its_arguments_and_weights(hub, models, dataset):
    publish(models["Letters"]("CN"), "letters", hub=hub)
    assert from_pretrained("letters", cls=models["Letters"], hub=hub).alphabet == "CN"
    assert from_pretrained("letters", cls=Component, hub=hub).alphabet == "CN"
    with pytest.raises(errors.ClassMismatch, match="cls=Letters"):
        from_pretrained("letters", hub=hub)
    card = (hub.resolve("letters").path / "README.md").read_text()
    assert 'dc_hub.from_pretrained("<name or ./directory>", cls=Letters)' in card

    class Mine(models["Shift"]):
        pass

    shift = Mine().fit(dataset)
    publish(shift, "shift", hub=hub)
    back = from_pretrained("shift", cls=Mine, hub=hub)
    np.testing.assert_array_equal(back.mean, shift.mean)
    with pytest.raises(errors.ClassMismatch):
        from_pretrained("letters", cls=models["Shift"], hub=hub)


def test_restoring_copies_no_large_weights(hub, dataset):
    model = Constant().fit(dataset)
    model.value = np.zeros(4 << 20)
    publish(model, "warm", hub=hub)
    model.value = np.ones(4 << 20)
    tracemalloc.start()
    try:
        publish(model, "m", hub=hub)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < model.value.nbytes / 4
    np.testing.assert_array_equal(model.value, 1.0)


def test_a_weight_is_compared_bit_for_bit(hub, dataset):
    model = Constant().fit(dataset)
    model.value = np.array([np.nan, -0.0, 5e-324, np.inf])
    publish(model, "m", hub=hub)
    back = Constant.from_pretrained("m", hub=hub)
    assert back.value.tobytes() == model.value.tobytes()


class Trains(Constant):
    steps = np.array([0.0])

    def fit(self, dataset):
        self.steps = np.array([np.nan, -0.0, 3.0])
        return super().fit(dataset)

    def get_training_state(self):
        return {"steps": self.steps}

    def set_training_state(self, state):
        self.steps = state["steps"].copy()  # equal bits, in other memory


@register_model("restoring/Resumes")
class Resumes(Trains):
    pass


@register_model("restoring/Rounds")
class RoundsItsTrainingState(Trains):
    def set_training_state(self, state):
        self.steps = np.abs(state["steps"])


@register_model("restoring/Forgets")
class ForgetsItsTrainingState(Trains):
    def set_training_state(self, state):
        pass


@register_model("restoring/RefusesState")
class RefusesItsTrainingState(Trains):
    def set_training_state(self, state):
        raise TrainingStateError("The state is of another model.")


@pytest.mark.parametrize(
    "cls", [RoundsItsTrainingState, ForgetsItsTrainingState, RefusesItsTrainingState]
)
def test_a_training_state_that_would_not_load_is_refused_before_anything_is_written(
    hub, dataset, cls
):
    model = cls().fit(dataset)
    with pytest.raises(errors.NotSerializable, match=r"loaded again"):
        publish(model, "m", hub=hub, training=True)
    assert not hub.path.exists()
    publish(model, "m", hub=hub)


def test_a_training_state_that_loads_is_published_and_the_model_keeps_its_own(hub, dataset):
    model = Resumes().fit(dataset)
    steps = model.steps
    publish(model, "m", hub=hub, training=True)
    assert model.steps is steps
    back = Resumes.from_pretrained("m", hub=hub, training=True)
    assert back.steps.tobytes() == steps.tobytes()


def test_publishing_leaves_the_random_generators_as_they_are(hub, dataset):
    @register_component("restoring/Random")
    class Random(Component):
        def __init__(self):
            self.draw = random.random() + np.random.random()  # noqa: NPY002

    model = Whole(Random())
    before = random.getstate(), np.random.get_state()[1].tobytes()  # noqa: NPY002
    publish(model, "m", hub=hub)
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == before  # noqa: NPY002


def test_ctrl_c_while_restoring_passes_and_writes_nothing(hub, dataset, monkeypatch):
    monkeypatch.setattr(Crashes, "error", None)
    model = Crashes().fit(dataset)
    Crashes.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        publish(model, "m", hub=hub)
    assert not hub.path.exists()
