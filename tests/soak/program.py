"""A program that trains with checkpoints: killed and run again, it goes on; see ``__main__``.

    python tests/soak/program.py PLACE KIND EPOCHS

KIND is ``directory``, ``hub`` or ``pipeline``. It prints a line at the start and after each step,
and at the end a digest of the weights and of the training state.
"""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import torch

from dc_core import NumpyDataset
from dc_core.training import Trainable
from dc_pipeline import NormalizationTransformer, Pipeline
from dc_torch import Callback, Checkpoint, MultitaskRegressor


class Counting(Callback):
    """Tells who kills the program how far it is."""

    def on_step(self, model: Trainable, step: int, steps: int) -> None:
        print("step", flush=True)


def train(place: str, kind: str, epochs: int) -> str:
    """Train, and return the digest."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 16)).astype(np.float32)
    y = np.tanh(X @ rng.normal(size=(16, 1))) + 0.1 * rng.normal(size=(600, 1))
    rows, valid = NumpyDataset(X[:500], y[:500]), NumpyDataset(X[500:], y[500:])
    model = MultitaskRegressor(
        1, 16, layer_sizes=(64,), dropout=0.2, batch_size=16, epochs=epochs, schedule="cosine"
    )
    if kind == "pipeline":
        model = Pipeline(model, transformers=[NormalizationTransformer("y")])
    where = {"where": "soak/net", "hub": place} if kind == "hub" else {"where": place}
    checkpoint = Checkpoint(**where, every=5, every_steps=13, keep_last=3, best=True)
    callbacks = [Counting(), checkpoint]
    print("step", flush=True)
    model.fit(rows, valid=valid, callbacks=callbacks, resume="auto", progress=False)
    digest = hashlib.sha256()
    for arrays in (model.get_weights(), model.get_training_state()):
        for name, array in sorted(arrays.items()):
            digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    print(train(sys.argv[1], sys.argv[2], int(sys.argv[3])))
