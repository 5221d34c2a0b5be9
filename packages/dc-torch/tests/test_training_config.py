"""Options, losses and schedules: closed sets of names, checked when a model is made."""

import re
import typing
from dataclasses import fields
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from dc_core import construct
from dc_core.errors import ParameterError, UnknownParameter
from dc_torch import (
    Checkpoint,
    MultitaskClassifier,
    MultitaskRegressor,
    TorchModel,
    TrainingConfig,
    TrainingOptions,
)


def test_options_are_the_fields_of_the_config():
    hints = typing.get_type_hints(TrainingOptions)
    assert list(hints) == [each.name for each in fields(TrainingConfig)]
    assert hints == typing.get_type_hints(TrainingConfig)


def test_an_unknown_option_lists_the_known_ones():
    with pytest.raises(UnknownParameter, match=r"'learning_speed'.*learning_rate"):
        MultitaskRegressor(1, 8, learning_speed=1)


def test_a_config_copies_the_mappings_it_was_made_from():
    options = {"weight_decay": 0.1}
    config = TrainingConfig(optimizer_options=options)
    options["weight_decay"] = 0.2
    config.options()["optimizer_options"]["weight_decay"] = 0.3
    assert config.optimizer_options == {"weight_decay": 0.1}


@pytest.mark.parametrize("option", ["loss_options", "optimizer_options", "schedule_options"])
def test_options_that_are_not_mappings_are_refused(option):
    for given in (3, {1: 2}):
        with pytest.raises(ParameterError, match=option):
            TrainingConfig(**{option: given})


def test_a_seed_that_is_too_large_is_refused():
    with pytest.raises(ParameterError, match="at most 9223372036854775807"):
        TrainingConfig(seed=2**63)


BAD_OPTIONS = {
    "loss": "hinge",
    "loss_options": {"margin": 1},
    "class_weight": [1, 5],
    "optimizer": "lbfgs",
    "optimizer_options": {"momentum": 0.9},
    "learning_rate": 0,
    "learning_rate_factors": 7,
    "weight_decay_factors": 7,
    "freeze": "layers",
    "unfreeze_after": -3,
    "schedule": "staircase",
    "schedule_options": {"gamma": 1},
    "batch_size": 0,
    "epochs": 1.5,
    "average": "median",
    "average_decay": 1.0,
    "average_start": 1.5,
    "monitor": 5,
    "patience": 0,
    "min_delta": -0.5,
    "accumulate": 0,
    "gradient_clip": -1.0,
    "gradient_clip_value": -2.0,
    "precision": "float16",
    "input_dtype": "tensor",
    "seed": -1,
    "compile": "fast",
    "device": "abacus",
    "devices": 0,
    "strategy": "fastest",
}


@pytest.mark.parametrize("option", [each.name for each in fields(TrainingConfig)])
def test_an_invalid_value_is_named(option, rows):
    value = BAD_OPTIONS[option]
    shown = {
        "optimizer_options": "momentum",
        "schedule_options": "gamma",
        "loss_options": "margin",
        "class_weight": "class_weight",
    }.get(option, str(value))
    with pytest.raises(ParameterError, match=shown):
        MultitaskRegressor(1, 8, **{option: value}).fit(rows)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("loss", ["mse"]),
        ("schedule", ["cosine"]),
        ("input_dtype", torch.float32),
        ("device", "meta"),
        ("device", None),
        ("batch_size", np.float64(8)),
        ("batch_size", np.True_),
        ("epochs", np.array([3])),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(option, value, rows):
    with pytest.raises(ParameterError):
        MultitaskRegressor(1, 8, **{option: value}).fit(rows)


NUMPY_OPTIONS = {
    "learning_rate": np.float32(0.5),
    "batch_size": np.int64(8),
    "epochs": np.array(3),
    "patience": np.uint8(2),
    "gradient_clip": np.float64(1.5),
    "seed": np.int32(5),
    "optimizer_options": {"betas": (np.float64(0.5), np.float64(0.75)), "amsgrad": np.True_},
    "schedule": np.str_("cosine"),
    "schedule_options": {"warmup": np.float64(0.25)},
}


def test_numpy_numbers_are_accepted_and_become_python_numbers():
    plain = {
        "learning_rate": 0.5,
        "batch_size": 8,
        "epochs": 3,
        "patience": 2,
        "gradient_clip": 1.5,
        "seed": 5,
        "optimizer_options": {"betas": (0.5, 0.75), "amsgrad": True},
        "schedule": "cosine",
        "schedule_options": {"warmup": 0.25},
    }
    config = TrainingConfig(**NUMPY_OPTIONS)
    assert repr(config) == repr(TrainingConfig(**plain))
    first = MultitaskClassifier(
        np.int64(2),
        np.array(8),
        n_classes=np.int8(3),
        layer_sizes=np.array([4, 3]),
        dropout=np.float64(0.5),
        **NUMPY_OPTIONS,
    )
    second = MultitaskClassifier(2, 8, n_classes=3, layer_sizes=[4, 3], dropout=0.5, **plain)
    assert repr(first.get_parameters()) == repr(second.get_parameters())
    for name, array in second.items():
        assert np.array_equal(first[name], array)


MEANT = {
    "batchsize": "'batch_size'",
    "bs": "'batch_size'",
    "lr": "'learning_rate'",
    "n_epochs": "'epochs'",
    "num_epochs": "'epochs'",
    "nb_epoch": "'epochs'",
    "early_stopping": "'patience'",
    "clip": "'gradient_clip'",
    "max_grad_norm": "'gradient_clip'",
    "criterion": "'loss'",
    "optim": "'optimizer'",
    "scheduler": "'schedule'",
    "random_state": "'seed'",
    "class_weights": "'class_weight'",
    "cuda": "'device'",
    "dtype": "'input_dtype'",
    "weight_decay": "optimizer_options={'weight_decay': ...}",
    "momentum": "optimizer_options={'momentum': ...}",
    "label_smoothing": "loss_options={'label_smoothing': ...}",
    "gamma": "loss_options={'gamma': ...}",
    "warmup": "schedule_options={'warmup': ...}",
    "gradient_accumulation_steps": "'accumulate'",
    "clipvalue": "'gradient_clip_value'",
}


@pytest.mark.parametrize("name", MEANT)
def test_the_name_of_an_option_in_other_libraries_is_answered_with_the_option_s(name):
    with pytest.raises(UnknownParameter, match=re.escape(f"Did you mean {MEANT[name]}?")):
        TorchModel(nn.Linear(2, 1), **{name: 3})


def test_an_argument_of_fit_is_sent_there():
    with pytest.raises(UnknownParameter, match=r"model\.fit\(dataset, metrics=\.\.\.\)"):
        TorchModel(nn.Linear(2, 1), metrics=[])


@pytest.mark.parametrize("device", ["abacus", "cuda:x", "cuda:63", "meta", "", None, 0])
def test_an_unavailable_device_is_an_error_at_construction_that_lists_the_available_ones(device):
    for make in (TrainingConfig, partial(MultitaskRegressor, 1, 8)):
        with pytest.raises(ParameterError, match=r"device=.*Use 'auto', 'cpu'"):
            make(device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_an_error_at_construction():
    with pytest.raises(ParameterError, match="'cuda' is not a device of this machine"):
        MultitaskRegressor(1, 8, device="cuda")


def test_weights_are_not_lost_to_the_meta_device(rows):
    model = MultitaskRegressor(1, 8)
    expected = model.predict(rows)
    with pytest.raises(ParameterError, match="meta"):
        model.to("meta")
    assert np.array_equal(model.predict(rows), expected)


@pytest.mark.parametrize("options", [{"lr": 1}, {"fused": True, "foreach": True}, {"eps": -1}])
def test_optimizer_options_that_torch_refuses_are_named(options, rows):
    with pytest.raises(ParameterError, match=r"'adam'.*torch\.optim\.Adam"):
        MultitaskRegressor(1, 8, optimizer_options=options).fit(rows)


def test_checkpoints_are_at_least_one_epoch_apart():
    with pytest.raises(ParameterError, match="every=0"):
        Checkpoint("run", every=0)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("n_tasks", 0),
        ("n_features", 2.0),
        ("layer_sizes", (3, 0)),
        ("layer_sizes", 3),
        ("dropout", 1.0),
        ("dropout", "0.5"),
        ("activation", "sigmoidal"),
        ("n_classes", 1),
        ("loss", "mse"),
    ],
)
def test_invalid_network_arguments_are_refused(parameter, value):
    with pytest.raises(ParameterError, match=parameter if parameter != "loss" else "cross_entropy"):
        MultitaskClassifier(**{"n_tasks": 1, "n_features": 2, parameter: value})


def test_too_many_layers_are_refused_before_any_is_made():
    for sizes in ([1] * 1001, (1,) * 10**6):
        for cls in (MultitaskRegressor, MultitaskClassifier):
            with pytest.raises(ParameterError, match=r"layer_sizes.* at most 1000"):
                cls(1, 2, layer_sizes=sizes)


def test_parameters_contain_every_option_and_make_an_equal_model(rows):
    model = MultitaskRegressor(2, 8, layer_sizes=[4, 3], activation="gelu", seed=5, epochs=3)
    parameters = model.get_parameters()
    assert parameters["layer_sizes"] == [4, 3]
    expected = TrainingConfig(seed=5, epochs=3).options()
    for name in ("compile", "device", "devices", "strategy"):  # these belong to the machine
        del expected[name]
    assert parameters["options"] == expected
    assert list(parameters["options"]) == sorted(parameters["options"]), "a plain object in JSON"
    other = construct(MultitaskRegressor, parameters)
    assert other.config == model.config
    assert np.array_equal(other.predict(rows), model.predict(rows))


def test_a_given_module_is_among_the_parameters():
    module = nn.Linear(2, 1)
    assert TorchModel(module, loss="mae").get_parameters()["module"] is module


def test_a_subclass_with_fixed_options_stores_its_own_arguments():
    class Fixed(TorchModel):
        def __init__(self, width):
            super().__init__(nn.Linear(width, 1), loss="mae")

    assert Fixed(3).get_parameters() == {"width": 3}


def test_layers_have_the_requested_sizes():
    model = MultitaskClassifier(2, 8, n_classes=3, layer_sizes=(5, 4), activation="tanh")
    shapes = {name: info.shape for name, info in model.weight_table().items()}
    assert shapes == {
        "multitask_classifier/layers/0/0": (5, 8),
        "multitask_classifier/layers/0/1": (5,),
        "multitask_classifier/layers/3/0": (4, 5),
        "multitask_classifier/layers/3/1": (4,),
        "multitask_classifier/layers/6/0": (6, 4),
        "multitask_classifier/layers/6/1": (6,),
    }
    assert isinstance(model.native.layers[1], nn.Tanh)
    assert MultitaskRegressor(1, 3, layer_sizes=())["multitask_regressor/layers/0/0"].shape == (
        1,
        3,
    )


def test_seeds_determine_the_initial_weights():
    def first(seed):
        return MultitaskRegressor(1, 8, seed=seed)["multitask_regressor/layers/0/0"]

    assert np.array_equal(first(1), first(1))
    assert not np.array_equal(first(1), first(2))
