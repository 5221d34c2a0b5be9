"""Backends beside each other: each serves its own objects, and all are held to the kit."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from importlib import import_module
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dc_core import plugins
from dc_core.errors import NotClaimed, NotSerializable

ROOT = Path(__file__).parents[1]
ROWS = np.random.default_rng(0).normal(size=(20, 3))


def module(name: str) -> Any:
    """Import a framework; skip the test where it, or its backend, is not installed."""
    if name.partition(".")[0] not in plugins.BACKENDS:
        pytest.skip(f"no backend for {name} is installed")
    return pytest.importorskip(name)


def keras_model() -> Any:
    keras = module("keras")
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])


OBJECTS: dict[str, Callable[[], Any]] = {
    "torch": lambda: module("torch.nn").Linear(3, 2),
    "sklearn": lambda: module("sklearn.linear_model").Ridge().fit(ROWS, ROWS[:, 0]),
    "keras": keras_model,
    "xgboost": lambda: module("xgboost").XGBRegressor(n_estimators=2).fit(ROWS, ROWS[:, 0]),
    "lightgbm": lambda: (
        module("lightgbm").LGBMRegressor(n_estimators=2, verbose=-1).fit(ROWS, ROWS[:, 0])
    ),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_is_served_by_the_backend_of_its_framework(name: str) -> None:
    obj = OBJECTS[name]()
    claimed = plugins.claim(obj)
    assert claimed.backend.name == name
    assert list(claimed.describe_weights()) == list(claimed.export_weights())


@pytest.mark.parametrize(("backend", "stranger"), list(permutations(OBJECTS, 2)))
def test_a_backend_declines_the_objects_of_others(backend: str, stranger: str) -> None:
    """Also where one class inherits from another framework's: XGBRegressor is a BaseEstimator."""
    module(backend)
    obj = OBJECTS[stranger]()
    holder = plugins.Claimed(plugins.backend(backend), obj)
    for attempt in (holder.describe_weights, holder.export_weights):
        with pytest.raises((NotClaimed, NotSerializable)):
            attempt()
    with pytest.raises((NotClaimed, NotSerializable)):
        holder.import_weights({})


@pytest.mark.parametrize("stranger", OBJECTS)
def test_the_name_of_a_component_begins_with_its_backend(stranger: str) -> None:
    described = plugins.claim(OBJECTS[stranger]()).backend.describe_component(OBJECTS[stranger]())
    assert described is None or described[0].startswith(f"{stranger}/")


def backends_of(package: Path) -> list[str]:
    project = tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["project"]
    return list(project.get("entry-points", {}).get("dc.backends.v1", {}))


def test_every_backend_of_the_repository_is_held_to_the_kit() -> None:
    packages = [path.parent for path in (ROOT / "packages").glob("*/pyproject.toml")]
    untested = {
        f"{package.name}: {backend}"
        for package in packages
        for backend in backends_of(package)
        if not any(
            "BackendSuite" in text and f'backend = "{backend}"' in text
            for text in (path.read_text("utf-8") for path in package.glob("tests/**/*.py"))
        )
    }
    assert untested == set()
    assert import_module("dc_core.testing").BackendSuite
