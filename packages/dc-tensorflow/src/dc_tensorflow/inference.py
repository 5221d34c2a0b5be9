"""Predict for a dataset, call by call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from dc_core import Columns, Dataset, row_count
from dc_core.errors import DatasetError, EmptyDataset
from dc_tensorflow.network import Network

_BATCHES_PER_CALL: Final = 8
"""Prediction takes at most so many batches of vectors at once."""

_BYTES_PER_CALL: Final = 4 << 20
"""It takes more than one only if they are no larger than this."""


def predict(
    network: Network,
    dataset: Dataset,
    batch_size: int,
    seed: int,
    read: Callable[[Any], Any],
) -> np.ndarray:
    """Return what ``read`` makes of the outputs for all rows: ``(n, tasks, ...)``.

    They are float64 if the network's output is, and float32 otherwise. They stay on the device
    until all are computed; of X, only the rows of one call are in memory at a time. How many these
    are depends on the dataset and the batch size alone, so that equal calls give equal bits. What
    layers draw depends on ``seed``. Raises :class:`EmptyDataset` if there is no row.
    """
    parts = []
    for X in _inputs(dataset, batch_size):
        part = network.predicted(read, X, seed)
        if part.shape.rank == 0 or part.shape[0] != row_count(X):
            raise DatasetError(
                f"For {row_count(X)} rows the {type(network.layer).__name__} returned an output of "
                f"shape {tuple(part.shape)}.",
                hint="It must return one row per row.",
            )
        parts.append(part)
    if not parts:
        raise EmptyDataset("There is no row to predict for.")
    if len({tuple(part.shape[1:]) for part in parts}) > 1:
        raise DatasetError(
            f"The {type(network.layer).__name__} returned outputs of different shapes.",
            hint="It must return the same shape for each row.",
        )
    return np.concatenate([part.numpy() for part in parts])


def _inputs(dataset: Dataset, batch_size: int) -> Iterator[Columns]:
    """Yield X in order, as many rows at once as the network is called with.

    Vectors of features are cheap, and small calls cost more than their sums; how many are taken
    follows from the first batch. What rows of any other form need within the network is not known,
    so they are as many as in training.
    """
    done, rows, total = 0, batch_size, len(dataset)
    while done < total:
        asked = np.arange(done, min(done + rows, total))
        X = dataset.rows(asked, ("X",)).X
        if row_count(X) != len(asked) or len(dataset) != total:
            raise DatasetError(
                f"The dataset gave {row_count(X)} of {len(asked)} rows, and has {len(dataset)} now "
                f"of {total}: it changes while it is read.",
                hint="Predict for a dataset that stays as it is: copy it, or read it first.",
            )
        if done == 0 and isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind == "f":
            fitting = _BYTES_PER_CALL // max(1, X.nbytes // len(X))
            rows = max(batch_size, min(_BATCHES_PER_CALL * batch_size, fitting))
        yield X
        done += row_count(X)
