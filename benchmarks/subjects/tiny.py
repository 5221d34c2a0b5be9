"""Loading a tiny model: the fixed cost of a load."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import Way
from subject import Subject, Target

SIZE: dict[str, Any] = {"n_tasks": 1, "n_features": 32, "layer_sizes": (16,)}


def prepare(folder: Path, *, quick: bool) -> Callable[[], Any]:
    """Store the same small network with each library."""
    import dc_hub
    from dc_torch import MultitaskRegressor

    def write() -> None:
        dc_hub.publish(MultitaskRegressor(**SIZE), "tiny", hub=folder / "hub", unfitted=True)
        _mixin()(32, 16).save_pretrained(folder / "mixin")
        # What has just changed is hashed again at the next load: let it settle first.
        time.sleep(3)
        from_pretrained(folder)

    return write


def from_pretrained(folder: Path) -> Callable[[], Any]:
    """Load a registered model from a hub, by its name."""
    from dc_torch import MultitaskRegressor

    os.environ["DEEPCHEM_CACHE"] = str(folder / "cache")
    return _warm(lambda: MultitaskRegressor.from_pretrained("tiny", hub=folder / "hub"))


def construct(folder: Path) -> Callable[[], Any]:
    """Construct the same model without loading."""
    from dc_torch import MultitaskRegressor

    return _warm(lambda: MultitaskRegressor(**SIZE))


def mixin(folder: Path) -> Callable[[], Any]:
    """Load the same network from a local directory with ``PyTorchModelHubMixin``."""
    cls = _mixin()
    return _warm(lambda: cls.from_pretrained(folder / "mixin"))


def construct_mixin(folder: Path) -> Callable[[], Any]:
    """Construct the mixin's network without loading."""
    cls = _mixin()
    return _warm(lambda: cls(32, 16))


def _warm(action: Callable[[], Any]) -> Callable[[], Any]:
    action()
    return action


def _mixin() -> Any:
    import torch
    from huggingface_hub import PyTorchModelHubMixin

    class Tiny(torch.nn.Module, PyTorchModelHubMixin):
        def __init__(self, n_features: int, hidden: int) -> None:
            super().__init__()
            self.hidden = torch.nn.Linear(n_features, hidden)
            self.out = torch.nn.Linear(hidden, 1)

    return Tiny


SUBJECTS = (
    Subject(
        title="Loading a tiny model",
        note="A network of 32 × 16 × 1 from a local directory, once everything is imported. The "
        "construction alone stands beside each.",
        prepare=prepare,
        calls=100,
        unit="ms",
        versions=("torch", "huggingface-hub"),
        ways=(
            Way("dc-hub from_pretrained", from_pretrained),
            Way("its construction", construct),
            Way("PyTorchModelHubMixin", mixin),
            Way("the mixin's construction", construct_mixin),
        ),
        targets=(
            Target(
                "wall",
                "dc-hub from_pretrained",
                "its construction",
                kind="difference",
                at_most=1e-3,
            ),
            Target("wall", "PyTorchModelHubMixin", "the mixin's construction", kind="difference"),
            Target("wall", "dc-hub from_pretrained", "PyTorchModelHubMixin", at_most=1.0),
        ),
    ),
)
