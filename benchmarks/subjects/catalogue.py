"""A hub of 10 000 tiny models: listing, searching, and publishing into it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import Way
from subject import Subject, Target

from dc_core import Dataset, Estimator, register_model

MODELS = 10_000
QUICK = 500


@register_model("bench/Line")
class Line(Estimator):
    """A model of three numbers."""

    fitted = ("slope",)

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.slope = np.full(3, float(number))

    def fit(self, dataset: Dataset, **options: Any) -> Line:
        """Do nothing."""
        return self

    def predict(self, dataset: Dataset) -> np.ndarray:
        """Return zeros."""
        return np.zeros(len(dataset))


def prepare(folder: Path, *, quick: bool) -> Callable[[], Any]:
    """Publish the models, without waiting for the disk at each."""
    import dc_hub

    def write() -> None:
        os.fsync = lambda descriptor: None
        for number in range(QUICK if quick else MODELS):
            dc_hub.publish(
                Line(number),
                f"group{number % 100}/model{number}",
                hub=folder / "hub",
                metadata={
                    "task": "regression" if number % 2 else "classification",
                    "description": f"Model {number} predicts the property {number % 1000}.",
                },
                metrics={"test": {"rmse": number / MODELS, "r2": 0.5}},
                dataset={"name": f"set{number % 50}", "sha256": f"{number:064x}"},
                licence="MIT",
            )
        os.sync()
        # What has just changed is read again at the next listing: let it settle first.
        time.sleep(3)

    return write


def ls(folder: Path, *, first: bool = False) -> Callable[[], int]:
    """List all models: for the first time, or with what was remembered."""
    import dc_hub

    _cache(folder, first)
    if not first:
        dc_hub.search(hub=folder / "hub")
    return lambda: len(dc_hub.ls(hub=folder / "hub"))


def search(folder: Path, *, first: bool = False, **query: Any) -> Callable[[], int]:
    """Search all models: for the first time, or with what was remembered."""
    import dc_hub

    _cache(folder, first)
    if not first:
        dc_hub.search(hub=folder / "hub")
    return lambda: len(dc_hub.search(hub=folder / "hub", **query))


def walk(folder: Path) -> Callable[[], int]:
    """Read the file of every tag, and the names of all revisions, with nothing checked."""

    def action() -> int:
        found = 0
        for group in os.scandir(folder / "hub"):
            for model in os.scandir(group.path):
                found += sum(1 for _ in os.scandir(f"{model.path}/revisions"))
                for tag in os.scandir(f"{model.path}/refs"):
                    Path(tag.path).read_bytes()
        return found

    return action


def publish(folder: Path, *, into: str) -> Callable[[], Any]:
    """Publish a new model, durably."""
    import dc_hub

    hub = folder / into
    dc_hub.publish(Line(-1), f"fresh/{uuid.uuid4().hex}", hub=hub)
    numbers = iter(range(1 << 40, 1 << 41))

    def action() -> None:
        number = next(numbers)
        dc_hub.publish(Line(number), f"fresh/{uuid.uuid4().hex}", hub=hub)

    return action


def _cache(folder: Path, first: bool) -> None:
    """Choose the folder of the cache: an empty one, or the one that all processes share."""
    place = folder / "cache"
    if first:
        place = Path(tempfile.mkdtemp(dir=folder))
        shutil.rmtree(place)
    os.environ["DEEPCHEM_CACHE"] = str(place)


SUBJECTS = (
    Subject(
        title="Listing and searching a hub of 10 000 models",
        note="A hub in a directory, two levels of names, one revision and one tag each. The first "
        "listing and the first search read the models; later ones read what changed since. The "
        "walk reads every tag's file and checks nothing.",
        prepare=prepare,
        repeats=5,
        memory=True,
        ways=(
            Way("dc-hub ls", ls),
            Way("dc-hub search, words", search, {"text": "regression predicts 77"}),
            Way("dc-hub search, a metric", search, {"metrics": "rmse<0.01"}),
            Way("a walk over the tags", walk),
            Way("dc-hub ls, the first", ls, {"first": True}),
            Way("dc-hub search, the first", search, {"first": True}),
        ),
        targets=(
            Target("wall", "dc-hub ls", kind="value", at_most=1.0),
            Target("wall", "dc-hub search, words", kind="value", at_most=1.0),
            Target("wall", "dc-hub search, a metric", kind="value", at_most=1.0),
            Target("anonymous", "dc-hub ls", kind="value", at_most=32),
            Target("anonymous", "dc-hub search, a metric", kind="value", at_most=32),
        ),
    ),
    Subject(
        title="Publishing into a hub of 10 000 models",
        note="A model of three numbers, durably. Publishing writes no list of models, so it does "
        "not depend on how many there are.",
        prepare=prepare,
        calls=20,
        unit="ms",
        ways=(
            Way("into the hub of 10 000", publish, {"into": "hub"}),
            Way("into an empty hub", publish, {"into": "empty"}),
        ),
        targets=(Target("wall", "into the hub of 10 000", "into an empty hub", at_most=1.1),),
    ),
)
