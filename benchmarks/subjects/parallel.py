"""Training in two processes on the CPU, beside DistributedDataParallel by hand."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import Way
from subject import Subject, Target

from subjects.training import BATCH, EPOCHS, SIZES, make, prepare, read

WORLD = 2


def ours(folder: Path, *, network: str) -> Callable[[], Any]:
    """``TorchModel.fit`` with two devices, whose other process runs already."""
    from dc_core import NumpyDataset
    from dc_torch import TorchModel

    def train(rows: int | None, epochs: int) -> Any:
        X, y = read(folder, network, "train")
        options = {"batch_size": BATCH, "epochs": epochs, "device": "cpu"}
        model = TorchModel(make(network), devices=WORLD, **options)
        return model.fit(NumpyDataset(X[:rows], y[:rows]), progress=False)

    train(2 * BATCH, 1)
    return lambda: train(None, EPOCHS[network])


def bare(folder: Path, *, network: str) -> Callable[[], Any]:
    """Write the loop with DistributedDataParallel; the other process waits for it."""
    import torch.multiprocessing

    threads = max(1, len(os.sched_getaffinity(0)) // WORLD)
    meeting = Path(tempfile.mkdtemp(dir=folder)) / "meeting"
    arguments = (str(meeting), str(folder), network, threads)
    torch.multiprocessing.spawn(_other, arguments, nprocs=WORLD - 1, join=False)
    return _joined(0, *arguments)


def _other(number: int, meeting: str, folder: str, network: str, threads: int) -> None:
    _joined(number + 1, meeting, folder, network, threads)()


def _joined(rank: int, meeting: str, folder: str, network: str, threads: int) -> Callable[[], Any]:
    """Join the group, take a few steps, and return the action that trains on this rank's rows."""
    import torch
    from torch import distributed
    from torch.nn.functional import mse_loss
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(threads)
    store = distributed.FileStore(meeting, WORLD)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=WORLD)
    X, y = read(Path(folder), network, "train")

    def train(rows: int, epochs: int) -> Any:
        module = DistributedDataParallel(make(network))
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, fused=True)
        rng = np.random.default_rng(0)
        history = []
        for _ in range(epochs):
            order = rng.permutation(rows)
            losses = []
            for start in range(0, rows, BATCH):
                own = order[start : start + BATCH][rank::WORLD]
                optimizer.zero_grad()
                loss = mse_loss(module(torch.from_numpy(X[own])), torch.from_numpy(y[own]))
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
            history.append(torch.stack(losses).mean().item())
        return history

    train(2 * BATCH, 1)
    return lambda: train(len(X), EPOCHS[network])


def subject(network: str) -> Subject:
    """Return the subject of training ``network`` in two processes."""
    given = {"network": network}
    return Subject(
        title=f"Training {'→'.join(map(str, SIZES[network]))} in {WORLD} processes",
        prepare=prepare,
        repeats=5,
        versions=("torch", "lightning-fabric"),
        ways=(Way("dc-torch", ours, given), Way("DistributedDataParallel", bare, given)),
        targets=(Target("wall", "dc-torch", "DistributedDataParallel"),),
        note=f"Batches of {BATCH} rows for both processes together, over gloo. dc-torch includes "
        "sending the data and the network to the other process, which runs already. Before each "
        "step it also exchanges the weight of the labels, and after it the loss.",
    )


SUBJECTS = (subject("small"), subject("large"))
