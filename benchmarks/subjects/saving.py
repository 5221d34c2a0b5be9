"""Saving 1 GiB of weights durably, with their hash."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import Way
from subject import Subject, Target

BLOCK = 1 << 18


def prepare(folder: Path, *, quick: bool) -> Callable[[], Any]:
    """Record the requested size."""
    return lambda: (folder / "quick").write_text("1" if quick else "")


def publish(folder: Path) -> Callable[[], Any]:
    """Publish into an empty hub: weights, params, card, manifest, each durable; the tag last."""
    import dc_hub

    stack = _stack(folder)
    hub = _clean(folder)
    dc_hub.publish(_small(), "small", hub=hub)
    return lambda: dc_hub.publish(stack, "large", hub=hub)


def raw(folder: Path) -> Callable[[], Any]:
    """Write the bytes to a file, fsync it, and hash them in one pass.

    In blocks of 256 KiB: the kernel takes larger ones at two to ten times the cost, or not, by
    what memory it finds.
    """
    arrays = [weight.numpy() for weight in _stack(folder).state_dict().values()]
    path = _clean(folder) / "raw"

    def action() -> str:
        with path.open("xb", buffering=0) as file:
            for array in arrays:
                data = memoryview(array).cast("B")
                for start in range(0, len(data), BLOCK):
                    file.write(data[start : start + BLOCK])
            os.fsync(file.fileno())
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(array.data)
        return digest.hexdigest()

    return action


def save_file(folder: Path, *, durable: bool = False) -> Callable[[], Any]:
    """Write with safetensors; ``durable`` adds the fsync and the hash that it omits."""
    from safetensors.torch import save_file as save

    state = _stack(folder).state_dict()
    path = _clean(folder) / "model.safetensors"
    save(_small().state_dict(), path.with_name("small.safetensors"))

    def action() -> None:
        save(state, path)
        if durable:
            with path.open("rb") as file:
                os.fsync(file.fileno())
                hashlib.file_digest(file, "sha256")

    return action


def torch_save(folder: Path) -> Callable[[], Any]:
    """Write with ``torch.save``."""
    import torch

    state = _stack(folder).state_dict()
    path = _clean(folder) / "model.pt"
    return lambda: torch.save(state, path)


def _stack(folder: Path) -> Any:
    from subjects.stack import large

    return large(quick=bool((folder / "quick").read_text()))


def _small() -> Any:
    from subjects.stack import small

    return small()


def _clean(folder: Path) -> Path:
    """Return an empty folder after all earlier writes have reached the disk."""
    saved = folder / "saved"
    shutil.rmtree(saved, ignore_errors=True)
    saved.mkdir()
    os.sync()
    return saved


SUBJECTS = (
    Subject(
        title="Saving 1 GiB of weights",
        note="256 float32 matrices to a durable file of known hash. dc-hub hashes the whole and "
        "each chunk of 16 MiB (so that a download can resume), in threads beside the writing: two "
        "passes where the peer makes one. The target is for the time that a user waits.",
        prepare=prepare,
        repeats=5,
        memory=True,
        versions=("torch", "safetensors"),
        ways=(
            Way("dc-hub publish", publish),
            Way("write + fsync + sha256", raw),
            Way("safetensors.torch + fsync + sha256", save_file, {"durable": True}),
            Way("safetensors.torch, no fsync, no hash", save_file),
            Way("torch.save, no fsync, no hash", torch_save),
        ),
        targets=(
            Target("wall", "dc-hub publish", "write + fsync + sha256", at_most=1.15),
            Target("cpu", "dc-hub publish", "write + fsync + sha256"),
        ),
    ),
)
