"""The extra state of modules is stored and restored, and is plain data."""

import json
import math
import threading

import numpy as np
import pytest
import torch
from torch import nn

from dc_core import NumpyDataset, byte_budget, plugins
from dc_core.errors import (
    BudgetExceeded,
    NotSerializable,
    StructureError,
    TrainingStateError,
    WeightsMismatch,
)
from dc_torch import Callback, TorchModel
from dc_torch.extra_state import MAX_BYTES


class Scale(nn.Module):
    """Multiplies by a factor that is neither a parameter nor a buffer."""

    def __init__(self, state=None):
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.state = state
        self.given = 0

    def get_extra_state(self):
        return self.state

    def set_extra_state(self, state):
        self.state = state
        self.given += 1


class Counter(Scale):
    """Accepts integers only."""

    def set_extra_state(self, state):
        if not isinstance(state, int):
            raise TypeError("a count is an integer")
        super().set_extra_state(state)


class Made(nn.Module):
    """Makes a tensor of its own in its constructor, which is its extra state."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.scale = torch.full((3,), 2.0)

    def get_extra_state(self):
        return self.scale

    def set_extra_state(self, state):
        self.scale = state


def holder(module):
    return plugins.claim(module)


def passed_on(state):
    """Return what a module is given whose counterpart has ``state``."""
    module = nn.Sequential(Scale(state))
    other = nn.Sequential(Scale())
    holder(other).import_weights(holder(module).export_weights())
    assert other[0].given == 1
    return other[0].state


def given(array):
    """Return what a module is given of the stored ``array``."""
    module = Scale()
    weights = holder(module).export_weights()
    name = next(n for n, i in holder(module).describe_weights().items() if "extra" in i.native)
    holder(module).import_weights({**weights, name: array})
    return module.state


def text(value):
    return np.frombuffer(value if isinstance(value, bytes) else value.encode(), np.uint8)


def same(first, second):
    if isinstance(first, torch.Tensor):
        return (
            isinstance(second, torch.Tensor)
            and first.dtype == second.dtype
            and first.shape == second.shape
            and torch.equal(first, second)
        )
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second or (first != first and second != second)


class Calls(nn.Module):
    """Counts its calls in training, and keeps the sum of what it saw: state beside the tensors."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 1)
        self.calls, self.seen = 0, torch.zeros(())

    def forward(self, x):
        if self.training:
            self.calls += 1
            self.seen = self.seen + x.sum()
        return self.layer(x)

    def get_extra_state(self):
        return {"calls": self.calls, "seen": self.seen}

    def set_extra_state(self, state):
        self.calls, self.seen = int(state["calls"]), state["seen"]


def counting(**options):
    torch.manual_seed(0)
    settings = {"epochs": 4, "batch_size": 16, "learning_rate": 0.05, **options}
    return TorchModel(nn.Sequential(Calls()), **settings)


def state_of(model):
    return model.module[0].calls, float(model.module[0].seen)


def test_the_best_weights_have_their_extra_state(rows, more_rows):
    states = []

    class Noting(Callback):
        def on_epoch_end(self, model, epoch):
            states.append(state_of(model))

    worse = NumpyDataset(more_rows.X, -more_rows.y)
    model = counting().fit(rows, valid=worse, callbacks=[Noting()])
    best = int(np.argmin([epoch.valid_loss for epoch in model.history]))
    assert best < 3
    assert state_of(model) == states[best]
    other = counting()
    other.set_weights(model.get_weights())
    other.set_training_state(model.get_training_state())
    for each in (model, other):
        each.fit(rows, valid=worse, epochs=1, resume=True)
    assert model._trainer._last["0._extra_state"]["calls"] == 20
    assert other._trainer._last["0._extra_state"]["calls"] == 20


def test_a_step_that_is_not_applied_leaves_the_extra_state(rows):
    X = rows.X.copy()
    X[0] = np.inf
    counts = []

    class Noting(Callback):
        def on_step(self, model, step, steps):
            counts.append(state_of(model)[0])

    model = counting(epochs=2).fit(NumpyDataset(X, rows.y), callbacks=[Noting()])
    assert counts[-1] == 6  # four steps in an epoch, of which one is not applied
    assert np.isfinite(state_of(model)[1])


def test_an_unfitted_copy_has_the_first_extra_state(rows):
    assert state_of(counting().fit(rows).unfitted()) == (0, 0.0)


def test_an_extra_state_that_a_module_refuses_is_no_training_state(rows, more_rows):
    model = counting(epochs=1).fit(rows, valid=more_rows)
    before = state_of(model)
    state = model.get_training_state()
    for wrong in (text("{}"), text("["), np.zeros(3, np.float32)):
        with pytest.raises(TrainingStateError, match="_extra_state"):
            model.set_training_state({**state, "best/0._extra_state": wrong})
    assert state_of(model) == before


def test_an_extra_state_that_cannot_be_copied_is_a_typed_error(rows):
    module = Scale(threading.Lock())
    module.forward = lambda x: module.linear(x[:, :2])
    with pytest.raises(NotSerializable, match="cannot be copied"):
        TorchModel(module).fit(rows)


VALUES = [
    *(None, True, 0, -3, 2**70, 1.5, -0.0, math.inf, math.nan, "", "µm ☃", [], {}, ()),
    *(torch.tensor(3.0), torch.ones(2, 3), torch.empty(0), torch.tensor([True])),
    *(torch.arange(5, dtype=torch.uint8), torch.arange(4).to(torch.bfloat16).reshape(2, 2)),
    {"steps": 3, "amax": torch.tensor([1.0, 2.0]), "names": ["a", ("b", 2.5)], "none": None},
    {3: "three", "$float": {"$tuple": 1}, "z": 0, "a": 1},
]


@pytest.mark.parametrize("state", VALUES, ids=repr)
def test_plain_extra_state_is_restored_exactly(state):
    assert same(passed_on(state), state)


def test_a_tensor_is_stored_as_it_is():
    module = Scale(torch.full((2, 2), 7.0))
    assert np.array_equal(holder(module).export_weights()["0"], np.full((2, 2), 7.0))


def test_the_other_weights_keep_their_names():
    described = holder(nn.Sequential(Scale(1), nn.Linear(1, 1))).describe_weights()
    assert {name: info.native for name, info in described.items()} == {
        "0/linear/0": "0.linear.weight",
        "0/linear/1": "0.linear.bias",
        "0/0": "0._extra_state",
        "1/0": "1.weight",
        "1/1": "1.bias",
    }


def test_a_compiled_module_has_the_same_extra_state():
    compiled = torch.compile(Scale("x"), backend="eager")
    assert holder(compiled).describe_weights() == holder(Scale("x")).describe_weights()
    module = Scale()
    holder(module).import_weights(holder(compiled).export_weights())
    assert module.state == "x"


def test_extra_state_can_be_left_as_it_is():
    module = Scale("mine")
    weights = holder(Scale("other")).export_weights()
    del weights["0"]
    with pytest.raises(WeightsMismatch, match="'0'"):
        holder(module).import_weights(weights)
    holder(module).import_weights(weights, {"0"})
    assert module.state == "mine"


def test_a_tensor_that_the_constructor_makes_is_restored_in_a_skeleton():
    module = plugins.backend("torch").skeleton(Made)
    original = Made()
    original.scale *= 3
    holder(module).import_weights(holder(original).export_weights(), copy=False)
    assert torch.equal(module.scale, original.scale)


def cyclic():
    state = []
    state.append(state)
    return state


UNSTORABLE = {
    "object": object(),
    "set": {1, 2},
    "bytes": b"x",
    "numpy": np.zeros(2),
    "module": nn.Linear(1, 1),
    "callable": print,
    "sparse": torch.eye(2).to_sparse(),
    "integer": 1 << 5000,
    "float key": {1.5: 2},
    "surrogate": "\ud800",
    "within": {"a": [object()]},
    "cycle": cyclic(),
    "long": "x" * (MAX_BYTES + 1),
}


@pytest.mark.parametrize("kind", UNSTORABLE)
def test_what_is_not_plain_is_refused_by_name(kind):
    module = nn.Sequential(Scale(UNSTORABLE[kind]))
    with pytest.raises(NotSerializable, match=r"'0\._extra_state'"):
        holder(module).describe_weights()


def tensor(**changed):
    return json.dumps(
        {"$tensor": {"dtype": "float32", "shape": [1], "data": "AACAPw==", **changed}}
    )


HOSTILE = {
    "empty": b"",
    "not unicode": b"\xff\xfe",
    "not JSON": "{",
    "trailing": "1 2",
    "repeated key": '{"a": 1, "a": 2}',
    "NaN": "NaN",
    "Infinity": "[Infinity]",
    "surrogate": r'"\ud800"',
    "surrogate as key": r'{"\ud800": 1}',
    "deep": "[" * 100 + "]" * 100,
    "very deep": "[" * 1_000_000,
    "long integer": "1" * 5000,
    "unknown tag": '{"$eval": "1"}',
    "two tags": '{"$float": "nan", "$tuple": []}',
    "tag and key": '{"$float": "nan", "a": 1}',
    "float": '{"$float": "1e3"}',
    "float of another kind": '{"$float": ["nan"]}',
    "tuple": '{"$tuple": "ab"}',
    "pairs": '{"$dict": [[1, 2, 3]]}',
    "key that is not hashable": '{"$dict": [[[], 1]]}',
    "repeated pair": '{"$dict": [[1, 2], [1, 3]]}',
    "tensor": '{"$tensor": 1}',
    "tensor with another key": tensor(device="cuda"),
    "dtype": tensor(dtype="object"),
    "dtype of another kind": tensor(dtype=["float32"]),
    "shape": tensor(shape=[2]),
    "negative shape": tensor(shape=[-1]),
    "large shape": tensor(shape=[2**62, 2**62]),
    "shape of another kind": tensor(shape=[True]),
    "no shape": tensor(shape=None),
    "data": tensor(data="!"),
    "data of another kind": tensor(data=[0]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_extra_state_never_reaches_the_module(kind):
    module = Scale("mine")
    weights = holder(module).export_weights()
    changed = {**weights, "0": text(HOSTILE[kind]), "linear/0": np.ones((1, 2), np.float32)}
    with pytest.raises(StructureError):
        holder(module).import_weights(changed)
    assert (module.state, module.given) == ("mine", 0)
    assert np.array_equal(holder(module).export_weights()["linear/0"], weights["linear/0"])


def test_extra_state_is_charged_to_the_load():
    with byte_budget(1 << 20), pytest.raises(BudgetExceeded):
        given(text("[" + ",".join(["[]"] * 100_000) + "]"))


def test_a_module_that_refuses_its_extra_state_leaves_everything_as_it_was():
    module = nn.Sequential(Scale("first"), Counter(3))
    other = nn.Sequential(Scale("second"), Scale("not a count"))
    before = holder(module).export_weights()
    with pytest.raises(StructureError, match=r"'1\._extra_state'.*a count is an integer"):
        holder(module).import_weights(holder(other).export_weights())
    after = holder(module).export_weights()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert (module[0].state, module[1].state) == ("first", 3)
