"""Datasets as PyTorch's ``DataLoader``, for training loops of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils import data

from dc_core import PARTS, Dataset, check_count, check_dataset, explained
from dc_core.errors import ParameterError
from dc_core.training import LABELLED, labels_of
from dc_torch.batches import Input, input_of
from dc_torch.weights import to_tensor


class TensorBatch(NamedTuple):
    """A batch of rows, as tensors on the CPU.

    ``X`` is a tensor ``(b, ...)``, a :class:`RaggedTensor`, or a dict of both by column. ``y`` and
    ``w`` are ``(b, tasks)``; a missing label is 0 and has the weight 0. ``ids`` are the rows'
    names, empty unless they were asked for.
    """

    X: Input
    y: Tensor
    w: Tensor
    ids: list[str]


class EpochSampler(data.Sampler[np.ndarray]):
    """The row numbers of each batch; each iteration is an epoch, with an order of its own.

    ``epoch`` is the number of the next one. It is sampler and batch sampler in one, so a
    ``DataLoader`` gets it as ``sampler``, with ``batch_size=None``.
    """

    def __init__(self, dataset: Dataset, size: int, epoch: int, **order: Any) -> None:
        self.dataset = dataset
        self.size = size
        self.order = order
        self._batches = sum(1 for _ in dataset.batch_indices(size, **{**order, "shuffle": False}))
        self.set_epoch(epoch)

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be the epoch of this number, to resume or to repeat it."""
        self.epoch = check_count("epoch", epoch, minimum=0)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return self._batches

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the row numbers of each batch of the next epoch."""
        epoch, self.epoch = self.epoch, self.epoch + 1
        yield from self.dataset.batch_indices(self.size, epoch=epoch, **self.order)


class _Rows(data.Dataset[TensorBatch]):
    """The batch of given rows, in the process that loads it."""

    def __init__(self, dataset: Dataset, dtype: torch.dtype, *, ids: bool) -> None:
        self.dataset = dataset
        self.dtype = dtype
        self.parts = PARTS if ids else LABELLED

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, indices: np.ndarray) -> TensorBatch:
        batch = self.dataset.rows(indices, self.parts)
        labels = labels_of(batch)
        return TensorBatch(
            input_of(batch.X, self.dtype, torch.device("cpu")),
            to_tensor(labels.y).to(self.dtype),
            to_tensor(labels.w).to(self.dtype),
            batch.ids.tolist() if "ids" in self.parts else [],
        )


@explained
def data_loader(
    dataset: Dataset,
    batch_size: int,
    *,
    shuffle: bool = False,
    seed: int = 0,
    epoch: int = 0,
    drop_last: bool = False,
    rank: int = 0,
    world: int = 1,
    ids: bool = False,
    dtype: torch.dtype | None = None,
    num_workers: int = 0,
    **options: Any,
) -> data.DataLoader[TensorBatch]:
    """Return a ``DataLoader`` of the rows of ``dataset``, in the batches of ``dataset.batches``.

    Each iteration is the next epoch, and its batches depend on ``(seed, epoch)`` alone, not on the
    number of workers: ``epoch=5``, or ``loader.sampler.set_epoch(5)``, goes on where a training
    stopped. ``drop_last``, ``rank`` and ``world`` are as in :meth:`dc_core.Dataset.batches`.

    The loader yields :class:`TensorBatch`. X that is one array becomes ``dtype`` (PyTorch's default
    unless given), and so do y and w; of ragged and named columns only floating-point numbers do,
    and integers become int32 or int64. ``ids`` reads the ids too.

    ``num_workers`` processes read and convert whole batches; where they are not forked, the dataset
    is pickled for them. ``options`` are others of ``DataLoader``, such as ``pin_memory``,
    ``persistent_workers`` and ``prefetch_factor``. The program's random numbers stay the same.

    Raises :class:`ParameterError` for arguments that ``batches`` or ``DataLoader`` refuses, and,
    when a batch is read, :class:`DatasetError` for text in X.
    """
    check_dataset(dataset)
    order = {
        "shuffle": shuffle,
        "seed": seed,
        "drop_last": drop_last,
        "rank": rank,
        "world": world,
    }
    sampler = EpochSampler(dataset, batch_size, epoch, **order)
    rows = _Rows(dataset, dtype or torch.get_default_dtype(), ids=ids)
    try:
        return data.DataLoader(
            rows,
            batch_size=None,
            sampler=sampler,
            collate_fn=_unchanged,
            num_workers=num_workers,
            generator=torch.Generator().manual_seed(seed % (1 << 63)),  # PyTorch takes 64 bits
            **options,
        )
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"DataLoader refuses its options: {error}.",
            hint="Give options that it has besides those of this function.",
        ) from error


def _unchanged(batch: Any) -> Any:
    return batch
