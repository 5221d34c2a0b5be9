"""Training a network, and predicting with it, on the CPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from measure import Way
from subject import Subject, Target

SIZES = {"small": (32, 64, 1), "large": (2048, 1024, 512, 1)}
EPOCHS = {"small": 8, "large": 3}
BATCH = 64
PREDICTION_BATCH = 1024

LARGE_MIB = sum((n + 1) * m for n, m in pairwise(SIZES["large"])) / 2**18
"""The weights of the large network."""


def prepare(folder: Path, *, quick: bool) -> Callable[[], Any]:
    """Write the rows of each network, to train on, to validate on and to predict for."""
    rows = {
        "small": {"train": 16_384, "valid": 1024, "predict": 131_072},
        "large": {"train": 2048, "valid": 512, "predict": 4096},
    }

    def write() -> None:
        rng = np.random.default_rng(0)
        for network, parts in rows.items():
            weights = rng.normal(size=(SIZES[network][0], 1))
            for part, n in parts.items():
                X = rng.normal(size=(n // 16 if quick else n, SIZES[network][0]))
                np.save(folder / f"{network}-{part}-X.npy", X.astype(np.float32))
                np.save(folder / f"{network}-{part}-y.npy", (X @ weights).astype(np.float32))

    return write


def read(folder: Path, network: str, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Read X and y into memory."""
    X, y = (np.load(folder / f"{network}-{part}-{name}.npy") for name in "Xy")
    return X, y


def make(network: str) -> Any:
    """Return the network."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    sizes = SIZES[network]
    layers: list[nn.Module] = []
    for n, m in pairwise(sizes):
        layers += [nn.Linear(n, m), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def warmed(
    train: Callable[[Any, np.ndarray, np.ndarray, int], Any], folder: Path, network: str
) -> Callable[[], Any]:
    """Train the small network on a few rows; return the action that trains ``network`` on all."""
    X, y = read(folder, "small", "train")
    train(make("small"), X[: 2 * BATCH], y[: 2 * BATCH], 1)
    X, y = read(folder, network, "train")
    module = make(network)
    return lambda: train(module, X, y, EPOCHS[network])


def ours(folder: Path, *, network: str, valid: bool = False) -> Callable[[], Any]:
    """``TorchModel.fit``."""
    from dc_core import NumpyDataset
    from dc_torch import TorchModel

    parts = {n: NumpyDataset(*read(folder, name, "valid")) for name, (n, *_) in SIZES.items()}

    def train(module: Any, X: np.ndarray, y: np.ndarray, epochs: int) -> Any:
        model = TorchModel(module, batch_size=BATCH, epochs=epochs, device="cpu")
        held_out = parts[X.shape[1]] if valid else None
        return model.fit(NumpyDataset(X, y), valid=held_out, progress=False)

    return warmed(train, folder, network)


def ours_by_name(folder: Path, *, network: str) -> Callable[[], Any]:
    """``MultitaskRegressor.fit`` of the same network with validation rows."""
    from dc_core import NumpyDataset
    from dc_torch import MultitaskRegressor

    def model(name: str) -> Any:
        first, *hidden, last = SIZES[name]
        return MultitaskRegressor(
            last,
            first,
            layer_sizes=hidden,
            dropout=0.0,
            batch_size=BATCH,
            epochs=EPOCHS[name],
            device="cpu",
        )

    def rows(name: str, part: str) -> Any:
        return NumpyDataset(*read(folder, name, part))

    model("small").fit(rows("small", "valid"), valid=rows("small", "valid"), progress=False)
    trained, train, valid = model(network), rows(network, "train"), rows(network, "valid")
    return lambda: trained.fit(train, valid=valid, progress=False)


def bare(folder: Path, *, network: str) -> Callable[[], Any]:
    """Write the loop in PyTorch, and read the losses when an epoch ends."""
    import torch
    from torch.nn.functional import mse_loss

    def train(module: Any, X: np.ndarray, y: np.ndarray, epochs: int) -> Any:
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, fused=True)
        rng = np.random.default_rng(0)
        history = []
        module.train()
        for _ in range(epochs):
            order = rng.permutation(len(X))
            losses = []
            for start in range(0, len(X), BATCH):
                rows = order[start : start + BATCH]
                optimizer.zero_grad()
                loss = mse_loss(module(torch.from_numpy(X[rows])), torch.from_numpy(y[rows]))
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
            history.append(torch.stack(losses).mean().item())
        return history

    return warmed(train, folder, network)


def lightning(folder: Path, *, network: str) -> Callable[[], Any]:
    """``lightning.Trainer`` without loggers, checkpoints and progress bars."""
    import logging
    import warnings

    import torch
    from lightning import LightningModule, Trainer
    from torch.utils.data import DataLoader, TensorDataset

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")

    class Regression(LightningModule):
        def __init__(self, module: Any) -> None:
            super().__init__()
            self.module = module

        def training_step(self, batch: Any, _: int) -> Any:
            X, y = batch
            return torch.nn.functional.mse_loss(self.module(X), y)

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=1e-3, fused=True)

    def train(module: Any, X: np.ndarray, y: np.ndarray, epochs: int) -> Any:
        rows = TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
        trainer = Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Regression(module), DataLoader(rows, batch_size=BATCH, shuffle=True))

    return warmed(train, folder, network)


def keras_network(network: str) -> Any:
    """Return the network in Keras on PyTorch."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    keras.utils.set_random_seed(0)
    first, *hidden, last = SIZES[network]
    layers = [keras.layers.Dense(size, activation="relu") for size in hidden]
    model = keras.Sequential([keras.Input((first,)), *layers, keras.layers.Dense(last)])
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse")
    return model


def keras(folder: Path, *, network: str) -> Callable[[], Any]:
    """``Model.fit`` of Keras on PyTorch."""
    X, y = read(folder, "small", "train")
    options = {"batch_size": BATCH, "verbose": 0}
    keras_network("small").fit(X[: 2 * BATCH], y[: 2 * BATCH], **options)
    X, y = read(folder, network, "train")
    model = keras_network(network)
    return lambda: model.fit(X, y, epochs=EPOCHS[network], **options)


def predict_ours(folder: Path, *, network: str) -> Callable[[], Any]:
    """``TorchModel.predict``."""
    from dc_core import NumpyDataset
    from dc_torch import TorchModel

    X, _ = read(folder, network, "predict")
    model = TorchModel(make(network), batch_size=BATCH, device="cpu")
    model.predict(NumpyDataset(X[:BATCH]))
    return lambda: model.predict(NumpyDataset(X))


def predict_bare(folder: Path, *, network: str, rows: int) -> Callable[[], Any]:
    """Write the loop in PyTorch."""
    import torch

    X, _ = read(folder, network, "predict")
    module = make(network).eval()

    @torch.inference_mode()
    def predict(X: np.ndarray) -> np.ndarray:
        parts = [module(torch.from_numpy(X[i : i + rows])) for i in range(0, len(X), rows)]
        return torch.cat(parts).numpy()

    predict(X[:BATCH])
    return lambda: predict(X)


def predict_lightning(folder: Path, *, network: str) -> Callable[[], Any]:
    """``lightning.Trainer.predict``."""
    import logging
    import warnings

    import torch
    from lightning import LightningModule, Trainer
    from torch.utils.data import DataLoader, TensorDataset

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")

    class Prediction(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.module = make(network)

        def predict_step(self, batch: Any) -> Any:
            return self.module(batch[0])

    X, _ = read(folder, network, "predict")

    def predict(X: np.ndarray) -> np.ndarray:
        trainer = Trainer(
            accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
        )
        rows = DataLoader(TensorDataset(torch.from_numpy(X)), batch_size=PREDICTION_BATCH)
        return torch.cat(trainer.predict(Prediction(), rows)).numpy()

    predict(X[:BATCH])
    return lambda: predict(X)


def predict_keras(folder: Path, *, network: str) -> Callable[[], Any]:
    """``Model.predict`` of Keras on PyTorch."""
    X, _ = read(folder, network, "predict")
    model = keras_network(network)
    options = {"batch_size": PREDICTION_BATCH, "verbose": 0}
    model.predict(X[:BATCH], **options)
    return lambda: model.predict(X, **options)


def training(network: str, *targets: Target, **options: Any) -> Subject:
    """Return the subject of training ``network``."""
    given = {"network": network}
    return Subject(
        title=f"Training {'→'.join(map(str, SIZES[network]))}",
        prepare=prepare,
        repeats=5,
        versions=("torch", "lightning", "keras"),
        ways=(
            Way("dc-torch", ours, given),
            Way("bare loop", bare, given),
            Way("Lightning", lightning, given, needs="lightning"),
            Way("Keras on PyTorch", keras, given, needs="keras"),
            Way("dc-torch, with validation", ours, {**given, "valid": True}),
            Way("MultitaskRegressor, with validation", ours_by_name, given),
        ),
        targets=targets,
        **options,
    )


def prediction(network: str) -> Subject:
    """Return the subject of predicting with ``network``."""
    given = {"network": network}
    return Subject(
        title=f"Predicting with {'→'.join(map(str, SIZES[network]))}",
        note=f"Batches of {PREDICTION_BATCH} rows, in dc-torch of its own choice.",
        prepare=prepare,
        repeats=5,
        memory=True,
        unit="ms",
        versions=("torch", "lightning", "keras"),
        ways=(
            Way("dc-torch", predict_ours, given),
            Way("bare loop", predict_bare, {**given, "rows": PREDICTION_BATCH}),
            Way("bare call of all rows", predict_bare, {**given, "rows": 1 << 30}),
            Way("Lightning", predict_lightning, given, needs="lightning"),
            Way("Keras on PyTorch", predict_keras, given, needs="keras"),
        ),
        targets=(
            Target("cpu", "dc-torch", "bare loop", at_most=1.1),
            Target("cpu", "Lightning", "bare loop"),
            Target("cpu", "Keras on PyTorch", "bare loop"),
        ),
    )


SUBJECTS = (
    training(
        "small",
        Target("cpu", "dc-torch", "bare loop", at_most=1.05),
        Target("cpu", "Lightning", "bare loop"),
        Target("cpu", "Keras on PyTorch", "bare loop"),
        note="Batches of 64 rows in an order that is shuffled anew in each epoch, from NumPy "
        "arrays; Adam, fused where it can be. The bare loop reads its losses once an epoch. "
        "dc-torch also applies no step whose loss or gradient is not finite, seeds each step, and "
        "can end and resume after any.",
    ),
    training(
        "large",
        Target("cpu", "dc-torch", "bare loop", at_most=1.0),
        Target("cpu", "Lightning", "bare loop"),
        Target("cpu", "Keras on PyTorch", "bare loop"),
        Target(
            "anonymous",
            "MultitaskRegressor, with validation",
            "bare loop",
            kind="difference",
            at_most=LARGE_MIB,
        ),
        note=f"As above. The weights take {LARGE_MIB:.1f} MiB; with validation rows the best are "
        "kept, which is what may be added to the bare loop's memory. A module that is passed in "
        "(dc-torch) costs its first weights too, for ``unfitted()``; MultitaskRegressor makes "
        "its own.",
        memory=True,
    ),
    prediction("small"),
    prediction("large"),
)
