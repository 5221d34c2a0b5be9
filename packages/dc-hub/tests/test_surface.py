"""What importing dc_hub costs, and what it offers."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import dc_hub
from dc_core.errors import MissingParameter, UnknownParameter

FORBIDDEN = ["numpy", "pluggy", "torch", "sklearn", "typer", "rich", "platformdirs", "tensorflow"]


def test_importing_dc_hub_loads_no_numpy_no_pluggy_no_framework():
    script = f"import sys, dc_hub; print(*[m for m in {FORBIDDEN} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == ""
    assert run.stderr == ""


def test_publishing_and_loading_a_numpy_model_loads_no_framework_and_no_command_line():
    script = (
        "import sys, dc_hub; [getattr(dc_hub, name) for name in dc_hub.__all__]; "
        f"print(*[m for m in {FORBIDDEN[2:]} if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == ""


@pytest.mark.parametrize("name", dc_hub.__all__)
def test_every_public_name_is_there_and_documented(name):
    thing = getattr(dc_hub, name)
    assert thing.__doc__
    assert name in dir(dc_hub)


def test_public_names_are_sorted():
    assert dc_hub.__all__ == sorted(dc_hub.__all__)


def test_the_type_checkers_names_are_the_exported_ones():
    source = Path(dc_hub.__file__).read_text()
    checked = {line.split(" as ")[1] for line in source.splitlines() if line.startswith("    from")}
    assert checked == set(dc_hub.__all__)


@pytest.mark.parametrize(
    "function",
    [found for name in dc_hub.__all__ if inspect.isfunction(found := getattr(dc_hub, name))],
    ids=lambda function: function.__name__,
)
def test_a_call_that_does_not_fit_is_typed_and_names_the_parameters(function):
    parameters = inspect.signature(function).parameters.values()
    if all(p.kind is not p.VAR_KEYWORD for p in parameters):
        with pytest.raises(UnknownParameter, match=f"{function.__name__} has no parameter 'taggs'"):
            function(taggs=["a"])
    named = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    if any(p.default is p.empty for p in named):
        with pytest.raises(MissingParameter, match=f"^{function.__name__} cannot be called"):
            function()


def test_options_of_a_model_name_the_nearest_one(hub, linear):
    with pytest.raises(UnknownParameter, match="Did you mean 'tag'"):
        linear.to_pretrained("x", hub=hub, tags=["a"])
    with pytest.raises(UnknownParameter, match="Did you mean 'verify'"):
        type(linear).from_pretrained("x", hub=hub, verfy="full")
    with pytest.raises(UnknownParameter, match="Did you mean 'verify'"):
        dc_hub.load("x", verfy="full")
