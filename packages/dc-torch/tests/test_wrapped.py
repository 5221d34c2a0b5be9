"""Modules that are compiled or on several devices are stored as what they wrap."""

import copy

import numpy as np
import pytest
import torch
from torch import distributed, nn

from dc_core import construct, plugins, register_component, registry
from dc_torch import TorchModel


@register_component("torchtests/wrapped-net")
class Net(nn.Module):
    class_version = 3

    def __init__(self, width):
        super().__init__()
        self.hidden = nn.Linear(8, width)
        self.norm = nn.BatchNorm1d(width)
        self.output = nn.Linear(width, 1)

    def forward(self, x):
        return self.output(self.norm(self.hidden(x)).relu())


class Holder(nn.Module):
    """Holds a wrapped module within itself."""

    def __init__(self, wrap):
        super().__init__()
        self.encoder = wrap(nn.Linear(8, 4))
        self.output = nn.Linear(4, 1)


class Hooked(nn.Module):
    """Has a hook on its state dict, so that this is what says what is stored."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 1)
        self.register_state_dict_post_hook(lambda *_: None)

    def forward(self, x):
        return self.linear(x)


def compiled(module):
    return torch.compile(module, backend="eager")


@pytest.fixture
def replicated():
    """Wrap a module in ``DistributedDataParallel``, with this process as the only one."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield nn.parallel.DistributedDataParallel
    distributed.destroy_process_group()


@pytest.fixture(params=["compiled", "parallel", "replicated", "compiled and parallel"])
def wrap(request):
    if request.param == "replicated":
        return request.getfixturevalue("replicated")
    return {
        "compiled": compiled,
        "parallel": nn.DataParallel,
        "compiled and parallel": lambda module: nn.DataParallel(compiled(module)),
    }[request.param]


def natives(module):
    return [info.native for info in plugins.claim(module).describe_weights().values()]


def equal(first, second):
    return all(np.array_equal(first[name], second[name]) for name in {**first, **second})


def test_a_wrapped_module_has_the_names_of_what_it_wraps(wrap):
    net = Net(4)
    assert natives(wrap(net)) == natives(net)
    assert all(name in net.state_dict() for name in natives(net))


@pytest.mark.parametrize("build", [lambda: Net(4), Hooked])
def test_weights_pass_between_a_module_and_a_wrapped_one(wrap, build):
    net, other = build(), build()
    wrapped = wrap(net)
    weights = plugins.claim(other).export_weights()
    plugins.claim(wrapped).import_weights(weights)
    assert equal(plugins.claim(net).export_weights(), weights)
    assert equal(plugins.claim(wrapped).export_weights(), weights)


@pytest.mark.parametrize("wrapper", [compiled, nn.DataParallel])
def test_a_module_that_holds_a_wrapped_one_names_no_wrapper(wrapper):
    assert natives(Holder(wrapper)) == natives(Holder(lambda module: module))


def test_a_wrapped_module_is_described_as_what_it_wraps(wrap):
    description = registry.describe(wrap(Net(4)))
    assert description == registry.describe(Net(4))
    assert (description.name, description.version) == ("torchtests/wrapped-net", 3)


def test_a_wrapped_layer_within_a_container_is_described_as_the_layer():
    chain = nn.Sequential(compiled(nn.Linear(8, 4)), nn.Linear(4, 1))
    (first, _) = registry.describe(chain).params["modules"]
    assert registry.describe(first) == registry.describe(nn.Linear(8, 4))


def test_a_wrapped_module_without_a_registered_class_cannot_be_described():
    assert registry.describe(compiled(Holder(lambda module: module))) is None


def test_a_model_of_a_wrapped_module_trains_and_is_rebuilt_without_the_wrapper(wrap, rows):
    torch.manual_seed(0)
    model = TorchModel(wrap(Net(4)), epochs=2, device="cpu").fit(rows, progress=False)
    assert "cannot be stored" not in repr(model)
    described = registry.describe(model.module)
    net = construct(registry.components.lookup(described.name), described.params)
    assert type(net) is Net
    plugins.claim(net).import_weights(plugins.claim(model.module).export_weights())
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(rows.X)).numpy()
    assert np.array_equal(model.predict(rows), expected)


def test_a_model_of_a_wrapped_module_is_made_anew(rows):
    torch.manual_seed(0)
    model = TorchModel(nn.DataParallel(Net(4)), epochs=1, device="cpu")
    first = model.export_weights()
    model.fit(rows, progress=False)
    assert equal(model.unfitted().export_weights(), first)
    plugins.claim(model.module).import_weights(plugins.claim(model.module).export_weights())
    again = TorchModel(model.module, device="cpu").unfitted()
    assert again.describe_weights() == model.describe_weights()


def test_a_training_state_passes_between_a_module_and_a_wrapped_one(wrap, rows, more_rows):
    def trained(module, epochs, state=None):
        model = TorchModel(module, epochs=4, device="cpu", learning_rate_factors={"output.*": 0.1})
        if state is not None:
            model.set_training_state(state)
        model.fit(rows, valid=more_rows, epochs=epochs, resume=state is not None, progress=False)
        return model

    torch.manual_seed(0)
    net = Net(4)
    copies = [copy.deepcopy(net) for _ in range(2)]
    expected = trained(net, 4)
    half = trained(wrap(copies[0]), 2)
    plugins.claim(copies[1]).import_weights(plugins.claim(half.module).export_weights())
    resumed = trained(copies[1], 2, half.get_training_state())
    assert equal(
        plugins.claim(resumed.module).export_weights(), plugins.claim(net).export_weights()
    )
    assert [e.loss for e in resumed.history] == [e.loss for e in expected.history]


def test_a_wrapped_module_is_frozen_by_the_plain_names(rows):
    model = TorchModel(nn.DataParallel(Net(4)), epochs=1, device="cpu", freeze=["hidden.*"])
    before = model.export_weights()
    model.fit(rows, progress=False)
    after = model.export_weights()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert not {name for name in changed if name.startswith("hidden")}
    assert "output/0" in changed
