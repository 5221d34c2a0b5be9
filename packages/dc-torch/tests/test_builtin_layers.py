"""torch.nn's own layers are stored as what they are, or refused by the name of what is wrong."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from dc_core import plugins, register_component
from dc_core.errors import NotSerializable, ParameterError, UnknownClass
from dc_torch import Checkpoint, MultitaskRegressor, TorchModel
from dc_torch.layers import CONTAINERS, LAYERS


def describe(module):
    return plugins.backend("torch").describe_component(module)


def build(name, params):
    return plugins.backend("torch").build_component(name, params)


def arguments(name):
    """Return arguments that make a small layer, none of them a default where that is possible."""
    special = {
        "Linear": [
            {"in_features": 3, "out_features": 2, "bias": False},
            {"in_features": 3, "out_features": 0},
        ],
        "Bilinear": [{"in1_features": 3, "in2_features": 2, "out_features": 4}],
        "Embedding": [
            {"num_embeddings": 5, "embedding_dim": 3, "padding_idx": -1, "max_norm": 1.5}
        ],
        "EmbeddingBag": [
            {"num_embeddings": 5, "embedding_dim": 3, "mode": "sum", "padding_idx": 1}
        ],
        "Flatten": [{}, {"start_dim": 2, "end_dim": -2}],
        "Unflatten": [
            {"dim": 1, "unflattened_size": (2, 2)},
            {"dim": -1, "unflattened_size": [2, -1]},
        ],
        "LayerNorm": [
            {"normalized_shape": 3, "bias": False},
            {"normalized_shape": [2, 3], "eps": 0.5},
        ],
        "RMSNorm": [
            {"normalized_shape": (3,)},
            {"normalized_shape": 3, "elementwise_affine": False},
        ],
        "GroupNorm": [{"num_groups": 2, "num_channels": 4, "affine": False}],
        "LocalResponseNorm": [{"size": 2, "k": 2.0}],
        "CrossMapLRN2d": [{"size": 2}],
        "PReLU": [{"num_parameters": 3, "init": 0.5}],
        "Threshold": [{"threshold": 0.1, "value": 20, "inplace": True}],
        "GELU": [{}, {"approximate": "tanh"}],
        "ChannelShuffle": [{"groups": 2}],
        "PixelShuffle": [{"upscale_factor": 2}],
        "PixelUnshuffle": [{"downscale_factor": 2}],
        "Fold": [{"output_size": (4, 4), "kernel_size": 2}],
        "Unfold": [{"kernel_size": (2, 3), "padding": 1}],
        "Upsample": [
            {"scale_factor": 2.0, "mode": "bilinear", "align_corners": True},
            {"size": (3, 4)},
        ],
        "UpsamplingNearest2d": [{"size": 4}],
        "UpsamplingBilinear2d": [{"scale_factor": (2, 2)}],
        "MultiheadAttention": [
            {"embed_dim": 4, "num_heads": 2, "add_bias_kv": True, "batch_first": True},
            {"embed_dim": 4, "num_heads": 1, "bias": False, "kdim": 3, "vdim": 5},
        ],
        "TransformerEncoderLayer": [
            {
                "d_model": 4,
                "nhead": 2,
                "dim_feedforward": 8,
                "activation": "gelu",
                "batch_first": True,
            },
            {"d_model": 4, "nhead": 2, "dim_feedforward": 8, "norm_first": True, "bias": False},
        ],
        "TransformerDecoderLayer": [
            {"d_model": 4, "nhead": 2, "dim_feedforward": 8, "dropout": 0.5}
        ],
    }
    if name in special:
        return special[name]
    if name in ("RNN", "LSTM", "GRU"):
        several = {
            "num_layers": 2,
            "bidirectional": True,
            "dropout": 0.5,
            "bias": False,
            "batch_first": True,
        }
        own = {"RNN": {"nonlinearity": "relu"}, "LSTM": {"proj_size": 2}}.get(name, {})
        return [dict(input_size=3, hidden_size=4, **more) for more in ({}, several | own)]
    if name.endswith("Cell"):
        return [{"input_size": 3, "hidden_size": 4, "bias": bias} for bias in (True, False)]
    if name.startswith("ConvT"):
        sizes = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
        return [sizes, dict(**sizes, stride=2, output_padding=1, groups=2, bias=False)]
    if name.startswith("Conv"):
        sizes = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
        return [sizes, dict(**sizes, padding="same", padding_mode="circular", dilation=2, groups=2)]
    if name.startswith("Adaptive"):
        return [{"output_size": 2}]
    if name.startswith("LPPool"):
        return [{"norm_type": 2, "kernel_size": 2}]
    if "Pool" in name:
        return [{"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}]
    if "Norm" in name:
        momentum = {"momentum": None, "affine": True, "track_running_stats": True}
        return [{"num_features": 4}, dict(num_features=4, eps=0.5, **momentum)]
    if "Pad" in name:
        return [{"padding": 1, "value": 0.5} if name.startswith("Constant") else {"padding": 1}]
    if "Dropout" in name:
        return [{"p": 0.25, "inplace": True}]
    return [{}]


CASES = [(name, given) for name in LAYERS for given in arguments(name)]


def tensors(module):
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


@pytest.mark.parametrize(("name", "given"), CASES, ids=[f"{name}-{given}" for name, given in CASES])
def test_a_layer_is_made_again_from_its_description(name, given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a size of 0 initialises nothing
        layer = LAYERS[name](**given)
        described = describe(layer)
        assert described[0] == f"torch/{name}"
        again = build(*described)
    assert type(again) is type(layer)
    assert repr(again) == repr(layer)
    assert describe(again) == described
    for path, tensor in tensors(layer).items():
        other = tensors(again)[path]
        assert (other.shape, other.dtype) == (tensor.shape, tensor.dtype)


def test_all_given_arguments_are_in_the_description():
    given = {"num_embeddings": np.int64(5), "embedding_dim": 3, "max_norm": np.float64(1.5)}
    name, params = describe(nn.Embedding(**given, padding_idx=1))
    assert (name, params["num_embeddings"], params["max_norm"]) == ("torch/Embedding", 5, 1.5)
    assert {type(value) for value in params.values()} <= {int, float, bool, str}
    assert params["padding_idx"] == 1


def test_dtypes_are_kept_whatever_the_default_is():
    half, double = nn.Linear(2, 2).bfloat16(), nn.BatchNorm1d(2).double()
    described = [describe(nn.Linear(2, 2)), describe(half), describe(double)]
    torch.set_default_dtype(torch.float64)
    try:
        made = [build(*each) for each in described]
    finally:
        torch.set_default_dtype(torch.float32)
    assert [layer.weight.dtype for layer in made] == [
        torch.float32,
        torch.bfloat16,
        torch.float64,
    ]
    assert made[2].num_batches_tracked.dtype == torch.int64


def test_frozen_parameters_stay_frozen():
    layer = nn.MultiheadAttention(4, 2)
    layer.out_proj.weight.requires_grad_(False)
    name, params = describe(layer)
    assert params["frozen"] == ["out_proj.weight"]
    again = build(name, params)
    assert [n for n, p in again.named_parameters() if not p.requires_grad] == ["out_proj.weight"]


def test_containers_hold_their_modules_under_their_names():
    assert set(CONTAINERS) == {"ModuleDict", "ModuleList", "Sequential"}
    first, second = nn.Linear(2, 2), nn.Tanh()
    named = nn.ModuleDict({"b": first, "a": second})
    for container in (nn.Sequential(first, second), nn.ModuleList([first, second])):
        name, params = describe(container)
        assert params == {"modules": [first, second]}
        assert list(build(name, params)._modules.values()) == [first, second]
    name, params = describe(named)
    assert list(params["modules"]) == ["b", "a"]
    assert list(build(name, params)) == ["b", "a"]
    assert describe(nn.Sequential()) == ("torch/Sequential", {"modules": []})


def hooked(layer):
    layer.register_forward_hook(lambda *_: None)


def replaced(layer):
    layer.forward = lambda x: x


def attributed(layer):
    layer.temperature = 3.0


def extended(layer):
    layer.extra = nn.Linear(1, 1)


def with_buffer(layer):
    layer.register_buffer("window", torch.ones(2))


def resized(layer):
    layer.weight = nn.Parameter(torch.ones(5, 5))


def relabelled(layer):
    layer.out_features = 7


def mixed(layer):
    layer.bias.data = layer.bias.data.double()


def normed(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        nn.utils.weight_norm(layer)


def listed(layer):
    layer.history = [torch.ones(1)]


CHANGES = {
    hooked: "_forward_hooks",
    replaced: "forward",
    attributed: "temperature",
    extended: "_modules",
    with_buffer: "window",
    resized: "weight",
    relabelled: "weight",
    mixed: "several dtypes",
    normed: "_forward_pre_hooks|weight_g",
    listed: "history",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changes_that_arguments_do_not_describe_are_refused_by_name(change):
    module = nn.Sequential(nn.Tanh(), nn.Linear(2, 2))
    assert describe(module[1])
    change(module[1])
    with pytest.raises(NotSerializable, match=CHANGES[change]):
        describe(module[1])
    assert "cannot be stored: The Linear '1' " in repr(TorchModel(module))


def test_a_changed_container_is_refused_by_name():
    for change in (hooked, replaced, attributed, with_buffer):
        module = nn.Sequential(nn.Linear(2, 2))
        change(module)
        with pytest.raises(NotSerializable, match=CHANGES[change]):
            describe(module)


def tied_by_module():
    layer = nn.Linear(2, 2)
    return nn.Sequential(layer, layer)


def tied_by_parameter():
    module = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)))
    module[1][0].weight = module[0].weight
    return module


def tied_by_memory():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[1].bias = nn.Parameter(module[0].bias.data)
    return module


@pytest.mark.parametrize("build_tied", [tied_by_module, tied_by_parameter, tied_by_memory])
def test_layers_that_share_weights_are_refused(build_tied):
    with pytest.raises(NotSerializable, match="share weights"):
        describe(build_tied())


class Unregistered(nn.Linear):
    """A layer of a class without a name."""


@register_component("dc-torch-tests/Doubled")
class Doubled(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return 2 * self.inner(x)


@pytest.mark.parametrize(
    "module",
    [
        Unregistered(2, 2),
        nn.Sequential(Unregistered(2, 2)),
        nn.ModuleList([parametrizations.weight_norm(nn.Linear(2, 2))]),
        nn.LazyLinear(2),
        nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2),
    ],
    ids=lambda module: type(module).__name__,
)
def test_a_module_of_another_class_has_no_stored_form(module):
    assert describe(module) is None
    assert "cannot be stored: The" in repr(TorchModel(module))


def test_registered_modules_can_be_in_containers():
    inner = nn.Linear(8, 1)
    module = nn.Sequential(Doubled(inner))
    assert describe(module)[1]["modules"] == [module[0]]
    assert "cannot be stored" not in repr(TorchModel(module))
    hooked(inner)
    assert "cannot be stored: The Linear has '_forward_hooks'" in repr(TorchModel(module))


def test_a_checkpoint_of_what_cannot_be_stored_is_refused_before_training(rows, tmp_path):
    model = TorchModel(nn.Sequential(nn.Tanh(), Unregistered(8, 1)), epochs=3)
    before = model.get_weights()
    with pytest.raises(NotSerializable, match=r"'1' is of a class that is not registered"):
        model.fit(rows, callbacks=[Checkpoint(str(tmp_path / "run"))])
    assert model.history == ()
    assert all(np.array_equal(model[name], array) for name, array in before.items())
    assert not list(tmp_path.iterdir())


def test_a_model_is_shown_with_its_arguments_whether_it_is_fitted_and_its_weights(rows):
    model = MultitaskRegressor(1, 8, layer_sizes=(4,), epochs=1)
    text = "MultitaskRegressor(n_tasks=1, n_features=8, layer_sizes=(4,), epochs=1)  # "
    assert repr(model) == text + "not fitted, 4 weights of 41 numbers"
    assert repr(model.fit(rows)) == text + "fitted, 4 weights of 41 numbers"
    shown = TorchModel(nn.Linear(8, 1))._repr_html_()
    for part in ("Linear(in_features=8", "torch_model/0", "(1, 8)", "float32"):
        assert part in shown


def test_a_lazy_module_can_be_shown():
    for text in (repr(TorchModel(nn.LazyLinear(2))), TorchModel(nn.LazyLinear(2))._repr_html_()):
        assert "cannot be stored" in text


def test_a_copy_of_a_layer_is_described_alike():
    layer = nn.LSTM(3, 4)
    layer(torch.zeros(1, 1, 3))
    assert describe(copy.deepcopy(layer)) == describe(layer)
    assert describe(layer.eval()) == describe(layer)


@pytest.mark.parametrize(
    "name", ["torch/nn", "torch/Module", "torch/TransformerEncoder", "Linear", "torch/linear", "/"]
)
def test_names_outside_the_table_are_refused(name):
    with pytest.raises(UnknownClass):
        build(name, {})


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("Linear", {}),
        ("Linear", {"in_features": "2", "out_features": 2}),
        ("Linear", {"in_features": 2, "out_features": -1}),
        ("Linear", {"in_features": 2, "out_features": 2, "forward": 1}),
        ("Linear", {"in_features": 2, "out_features": 2, "device": "cuda"}),
        ("Linear", {"in_features": 2, "out_features": 2, "dtype": "Tensor"}),
        ("Linear", {"in_features": 2, "out_features": 2, "frozen": ["none"]}),
        ("Linear", {"in_features": 2, "out_features": 2, "frozen": 3}),
        ("Linear", {"in_features": nn.Linear(1, 1), "out_features": 2}),
        ("Embedding", {"num_embeddings": 1, "embedding_dim": 1, "_weight": None}),
        ("GroupNorm", {"num_groups": 0, "num_channels": 4}),
        ("MultiheadAttention", {"embed_dim": 3, "num_heads": 2}),
        ("Upsample", {"scale_factor": 1e30}),
        ("ZeroPad2d", {"padding": 10**9}),
        ("GRU", {"input_size": 1, "hidden_size": 1, "num_layers": 10**9}),
        ("Sequential", {}),
        ("Sequential", {"modules": "abc"}),
        ("Sequential", {"modules": [1]}),
        ("Sequential", {"modules": {"forward": nn.Tanh()}}),
        ("Sequential", {"modules": {"a.b": nn.Tanh()}}),
        ("Sequential", {"modules": {"": nn.Tanh()}}),
        ("Sequential", {"modules": {3: nn.Tanh()}}),
        ("Sequential", {"modules": [], "args": ()}),
        ("ModuleDict", {"modules": [nn.Tanh()]}),
        ("ModuleDict", {"modules": {"keys": nn.Tanh()}}),
        ("ModuleList", {"modules": {"0": nn.Tanh()}}),
    ],
    ids=str,
)
def test_invalid_layer_arguments_are_a_typed_error(name, params):
    with pytest.raises(ParameterError):
        build(f"torch/{name}", params)
