"""Training a module that ``torch.compile`` compiles."""

import shutil

import numpy as np
import pytest
import torch
from torch import nn

from dc_core.errors import ParameterError
from dc_torch import MultitaskRegressor, TorchModel

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.*")

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "clang++", "cl", "g++"))), reason="there is no C++ compiler"
)


def regressor(**options):
    settings = {"layer_sizes": (16,), "epochs": 2, "batch_size": 20, "device": "cpu", **options}
    return MultitaskRegressor(1, 8, **settings)


@needs_compiler
def test_a_module_is_trained_alike_if_it_is_compiled(rows, more_rows):
    plain = regressor(dropout=0.0).fit(rows, valid=more_rows)
    compiled = regressor(dropout=0.0, compile=True).fit(rows, valid=more_rows)
    assert compiled.get_weights().keys() == plain.get_weights().keys()
    for weight, expected in zip(compiled.values(), plain.values(), strict=True):
        np.testing.assert_allclose(weight, expected, atol=1e-5)
    for epoch, other in zip(compiled.history, plain.history, strict=True):
        assert epoch.valid_loss == pytest.approx(other.valid_loss, rel=1e-4)


@needs_compiler
def test_compiled_training_with_dropout_is_resumed_exactly(rows):
    def model():
        return regressor(dropout=0.5, compile="default")

    whole, first, second = model().fit(rows), model().fit(rows, epochs=1), model()
    second.set_weights(first.get_weights())
    second.set_training_state(first.get_training_state())
    second.fit(rows, resume=True)
    for weight, expected in zip(second.values(), whole.values(), strict=True):
        assert np.array_equal(weight, expected)


def test_a_compiler_that_fails_is_named(rows):
    import torch._inductor.config as inductor

    class Own(nn.Linear):
        def forward(self, x):
            return super().forward(torch.sin(x) + 0.123)

    model = TorchModel(Own(8, 1), epochs=1, compile=True, device="cpu")
    weights = model.get_weights()
    with (
        inductor.patch({"cpp.cxx": ("/no/compiler",), "force_disable_caches": True}),
        pytest.raises(ParameterError, match="Own cannot be compiled") as failure,
    ):
        model.fit(rows)
    assert "compile=False" in failure.value.hint
    for name, weight in model.get_weights().items():
        assert np.array_equal(weight, weights[name])


@pytest.mark.parametrize("choice", ["fast", 1, None], ids=str)
def test_an_unknown_mode_is_refused(choice):
    with pytest.raises(ParameterError, match="compile="):
        regressor(compile=choice)


def test_the_choice_is_the_machine_s_and_not_stored():
    assert "compile" not in regressor(compile=True).get_parameters()["options"]


def test_a_module_that_is_spread_over_processes_is_not_compiled():
    with pytest.raises(ParameterError, match="spread over processes"):
        regressor(compile=True, strategy="fsdp", devices=2)
