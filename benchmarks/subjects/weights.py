"""Loading 1 GiB of weights into a PyTorch module, lazily."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import Way
from subject import Subject, Target


def prepare(folder: Path, *, quick: bool) -> Callable[[], Any]:
    """Publish a large and a small stack, load each once, and write the other libraries' files."""
    import torch
    from safetensors.torch import save_file

    import dc_hub
    from dc_torch import TorchModel
    from subjects import stack

    stacks = {"large": stack.large(quick=quick), "small": stack.small()}

    def write() -> None:
        shapes = {name: stack.shape(module) for name, module in stacks.items()}
        (folder / "shapes.json").write_text(json.dumps(shapes))
        for name, module in stacks.items():
            dc_hub.publish(module, f"module.{name}", hub=folder / "hub")
            dc_hub.publish(TorchModel(module), f"model.{name}", hub=folder / "hub")
            save_file(module.state_dict(), folder / f"{name}.safetensors")
            torch.save(module.state_dict(), folder / f"{name}.pt")
            mixin = _mixin()(*shapes[name])
            mixin.load_state_dict(module.state_dict())
            mixin.save_pretrained(folder / f"{name}.mixin")
        _read_anew(folder)
        # What has just changed is hashed again at the next load: let it settle first.
        time.sleep(3)
        for way in (load_weights, from_pretrained):
            way(folder)()

    return write


def load_weights(
    folder: Path, *, touched: bool = False, verified: bool = True
) -> Callable[[], Any]:
    """Construct the module on the meta device and load into it: ``dc_hub.load_weights``."""
    import dc_hub
    from subjects.stack import without_memory

    shapes = _use(folder, verified=verified)

    def load(name: str) -> Any:
        module = without_memory(*shapes[name])
        dc_hub.load_weights(f"module.{name}", into=module, hub=folder / "hub")
        return module

    return _warm(load, touched=touched)


def from_pretrained(folder: Path, *, touched: bool = False) -> Callable[[], Any]:
    """Load the whole model, class, options and weights: ``TorchModel.from_pretrained``."""
    from dc_torch import TorchModel
    from subjects import stack

    _use(folder, verified=True)
    stack.small()  # importing the module is what registers its class

    def load(name: str) -> Any:
        return TorchModel.from_pretrained(f"model.{name}", hub=folder / "hub").native

    return _warm(load, touched=touched)


def load_file(folder: Path, *, touched: bool = False) -> Callable[[], Any]:
    """Do the same with ``safetensors.torch.load_file`` and ``load_state_dict(assign=True)``."""
    from safetensors.torch import load_file as load_tensors

    from subjects.stack import without_memory

    shapes = json.loads((folder / "shapes.json").read_text())

    def load(name: str) -> Any:
        module = without_memory(*shapes[name])
        module.load_state_dict(load_tensors(folder / f"{name}.safetensors"), assign=True)
        return module

    return _warm(load, touched=touched)


def torch_load(folder: Path, *, touched: bool = False) -> Callable[[], Any]:
    """Do the same with ``torch.load(mmap=True)``."""
    import torch

    from subjects.stack import without_memory

    shapes = json.loads((folder / "shapes.json").read_text())

    def load(name: str) -> Any:
        module = without_memory(*shapes[name])
        state = torch.load(folder / f"{name}.pt", mmap=True, weights_only=True)
        module.load_state_dict(state, assign=True)
        return module

    return _warm(load, touched=touched)


def from_mixin(folder: Path) -> Callable[[], Any]:
    """Do the same with ``PyTorchModelHubMixin.from_pretrained``."""
    cls = _mixin()
    return _warm(lambda name: cls.from_pretrained(folder / f"{name}.mixin"), touched=False)


def _mixin() -> Any:
    from huggingface_hub import PyTorchModelHubMixin

    from subjects.stack import Stack

    return type("MixinStack", (Stack, PyTorchModelHubMixin), {})


def _read_anew(folder: Path) -> None:
    """Read every file from the disk into the page cache, as the first reader of a day would.

    Left as they were written, the files would lie in pieces of whatever size each writer used, and
    what a mapping costs depends on that.
    """
    for path in filter(Path.is_file, folder.rglob("*")):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while file.read(1 << 20):
                pass


def _use(folder: Path, *, verified: bool) -> dict[str, tuple[int, int]]:
    """Use the cache with the files' stamps, or an empty one; return the shapes of the stacks."""
    cache = folder / "cache" if verified else tempfile.mkdtemp(prefix="cache-", dir=folder)
    os.environ["DEEPCHEM_CACHE"] = str(cache)
    shapes: dict[str, tuple[int, int]] = json.loads((folder / "shapes.json").read_text())
    return shapes


def _warm(load: Callable[[str], Any], *, touched: bool) -> Callable[[], Any]:
    """Load and touch the small stack; return the action that loads the large stack."""
    from subjects.stack import touch

    touch(load("small"))

    def action() -> Any:
        module = load("large")
        if touched:
            touch(module)
        return module

    return action


TOUCHED = {"touched": True}

SUBJECTS = (
    Subject(
        title="Loading 1 GiB of weights into a PyTorch module",
        note="256 float32 matrices into a module made on the meta device, its construction "
        "included. The revision was verified at an earlier load, so this one only checks that no "
        "file changed; the first load hashes. *Touched*: one value of each page is then read.",
        prepare=prepare,
        memory=True,
        versions=("torch", "safetensors", "huggingface-hub"),
        ways=(
            Way("dc-hub load_weights", load_weights),
            Way("dc-hub from_pretrained", from_pretrained),
            Way("safetensors.torch", load_file),
            Way("torch.load(mmap=True)", torch_load),
            Way("PyTorchModelHubMixin", from_mixin),
            Way("dc-hub load_weights, touched", load_weights, TOUCHED),
            Way("dc-hub from_pretrained, touched", from_pretrained, TOUCHED),
            Way("safetensors.torch, touched", load_file, TOUCHED),
            Way("dc-hub load_weights, first load", load_weights, {"verified": False}),
        ),
        targets=(
            Target("cpu", "dc-hub load_weights", "safetensors.torch", at_most=1.0),
            Target("cpu", "dc-hub from_pretrained", "safetensors.torch", at_most=1.0),
            Target("wall", "dc-hub from_pretrained", "PyTorchModelHubMixin", at_most=1 / 20),
            Target(
                "cpu",
                "dc-hub load_weights, touched",
                "safetensors.torch, touched",
                at_most=1.0,
            ),
            Target("resident", "dc-hub load_weights", "safetensors.torch", at_most=1.0),
            Target("anonymous", "dc-hub load_weights, touched", kind="value", at_most=32),
            Target("anonymous", "dc-hub from_pretrained, touched", kind="value", at_most=32),
        ),
    ),
)
