"""Train in several processes: join those that a launcher has started, or start the others.

The program itself is rank 0, so that its callbacks run where they are, and its model has the
weights at any time. The other ranks are new interpreters that end with it. If one of them fails,
the others are ended, and its error is raised in the program.
"""

from __future__ import annotations

import math
import shutil
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import distributed, nn

from dc_core import Dataset
from dc_core.engines import (
    Outcome,
    available_cpus,
    dumps,
    loads,
    run_isolated,
    stop_isolated,
)
from dc_core.errors import ParameterError
from dc_core.training import Validation
from dc_torch.errors import RankFailed
from dc_torch.process_group import (
    Place,
    ProcessGroup,
    check_installed,
    check_place,
    joined_group,
    place,
    started_group,
)
from dc_torch.trainer import ModuleTrainer
from dc_torch.training_config import TrainingConfig

_MEETING: Final = "meeting"
_TRAINING: Final = "training"
"""The file of what all ranks are told, so that nobody keeps it in memory while they train."""

_POLL: Final = 0.02
_PATIENCE: Final = 10
"""How many seconds a rank may take to notice that this process has left."""

_GRACE: Final = 0.3
"""How many seconds after one rank others may take to say why they failed."""


@contextmanager
def training_group(
    trainer: ModuleTrainer, dataset: Dataset, validation: Validation, epochs: int
) -> Iterator[ProcessGroup | None]:
    """Let ``trainer`` train with other processes in the block, which calls its ``run``.

    They are those that a launcher has started, where the same program makes the same calls; or
    processes that are started here, where ``run`` is called with the same arguments. Without
    others it is None.

    Raises what the first of them raised that failed, and :class:`RankFailed` if it has died;
    :class:`ParallelNotInstalled`; and :class:`NotSerializable` if the module or a dataset cannot be
    sent to a process.
    """
    config = trainer.config
    found = place(config.devices)
    if found is not None:
        check_installed()
        check_place(found, config.devices)
        group = joined_group(trainer.device, found)
        with trainer.joined(group):
            yield group
    elif config.devices == 1 or epochs == 0:
        yield None
    elif distributed.is_initialized():
        raise ParameterError(
            "This process is alone in a process group of torch.distributed already.",
            hint="Call torch.distributed.destroy_process_group() before fit().",
        )
    else:
        check_installed()
        with _started(trainer, dataset, validation, epochs) as group, trainer.joined(group):
            yield group


@dataclass(frozen=True)
class _Training:
    """What the program trains."""

    module: nn.Module
    config: TrainingConfig
    state: Mapping[str, np.ndarray]
    dataset: Dataset
    validation: Validation
    epochs: int

    def trainer(self, device: str) -> ModuleTrainer:
        """Return the trainer of a rank with that device."""
        trainer = ModuleTrainer(self.module, replace(self.config, device=device))
        trainer.load_state(self.state)
        return trainer


@dataclass(frozen=True)
class _Rank:
    """What a process that is not the program does, in a training that ``folder`` tells."""

    rank: int
    size: int
    device: str
    folder: Path
    threads: int

    def __call__(self) -> None:
        """Train along with the program."""
        # The program decides what a signal to all of its processes means.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        torch.set_num_threads(self.threads)
        told: _Training = loads((self.folder / _TRAINING).read_bytes())
        trainer = told.trainer(self.device)
        dataset, validation, epochs = told.dataset, told.validation, told.epochs
        del told  # with the state
        (self.folder / str(self.rank)).touch()
        here = Place(self.rank, self.size, self.rank)
        with (
            started_group(trainer.device, here, self.folder / _MEETING) as group,
            trainer.joined(group, keeps=False),
        ):
            for _ in trainer.run(dataset, validation, epochs, lambda *_: None):
                pass


class _Others:
    """The other ranks. A thread waits for each; when one fails, the rest are ended."""

    def __init__(self, calls: Mapping[int, bytes]) -> None:
        self.abort: Callable[[], None] = _nothing
        self._owner = uuid.uuid4().hex
        self._failed: dict[int, Outcome] = {}
        self._lock = threading.Lock()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._run, args=item, name="dc-rank", daemon=True)
            for item in calls.items()
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, rank: int, call: bytes) -> None:
        outcome = run_isolated(call, self._owner)
        with self._lock:
            if outcome.status == "ok" or self._stopping:
                return
            first = not self._failed
            self._failed[rank] = outcome
        if first:
            # The others lose a rank that has died at the same moment, and may be heard first.
            time.sleep(_GRACE)
            self.stop()
            self.abort()

    def stop(self) -> None:
        """End those that still run, without counting it as a failure."""
        with self._lock:
            self._stopping = True
        stop_isolated(self._owner)

    def wait(self, seconds: float = math.inf) -> None:
        """Wait until all have ended, or for so many seconds."""
        end = time.monotonic() + seconds
        for thread in self._threads:
            while thread.is_alive() and time.monotonic() < end:
                thread.join(1)

    def wait_until_ready(self, folder: Path) -> None:
        """Wait until all can meet this process, or one has failed, whose error is raised."""
        ranks = {str(rank) for rank in range(1, len(self._threads) + 1)}
        while not ranks <= {path.name for path in folder.iterdir()}:
            error = self.error()
            if error is not None:
                raise error
            time.sleep(_POLL)

    def error(self) -> BaseException | None:
        """Return why a rank has failed, None if none has; having lost another one counts last."""
        with self._lock:
            failed = sorted(self._failed.items(), key=lambda item: _is_lost(item[1].error))
        for rank, outcome in failed:
            if outcome.error is not None:
                outcome.error.add_note(f"It was rank {rank} of the training.")
                return outcome.error
            return RankFailed(
                f"Rank {rank} of the training has died. {outcome.message}",
                hint="The model has the weights of the last step, and fit(..., resume=True) goes "
                "on from there.",
            )
        return None


@contextmanager
def _started(
    trainer: ModuleTrainer, dataset: Dataset, validation: Validation, epochs: int
) -> Iterator[ProcessGroup]:
    """Start the other ranks, and end them with the block at the latest."""
    config, device = trainer.config, trainer.device
    check_devices(config)
    threads = max(1, available_cpus() // config.devices)
    folder = Path(tempfile.mkdtemp(prefix="dc-training-"))
    own_threads = torch.get_num_threads()
    others: _Others | None = None
    try:
        told = _Training(trainer.module, config, trainer.state(), dataset, validation, epochs)
        (folder / _TRAINING).write_bytes(dumps(told))
        del told
        calls = {}
        for rank in range(1, config.devices):
            where = "cpu" if device.type == "cpu" else f"cuda:{rank}"
            calls[rank] = dumps(_Rank(rank, config.devices, where, folder, threads))
        if device.type == "cpu":
            torch.set_num_threads(threads)
        others = _Others(calls)
        others.wait_until_ready(folder)
        (folder / _TRAINING).unlink()
        with started_group(device, Place(0, config.devices, 0), folder / _MEETING) as group:
            others.abort = group.abort
            yield group
            others.wait()
    except BaseException as error:
        if others is not None:
            if _is_lost(error):
                others.wait(_PATIENCE)
            others.stop()
            others.wait()
            first = others.error()
            if first is not None and _is_lost(error):
                raise first from None
        raise
    finally:
        torch.set_num_threads(own_threads)
        shutil.rmtree(folder, ignore_errors=True)


def check_devices(config: TrainingConfig) -> None:
    """Raise :class:`ParameterError` unless the machine has ``config.devices`` such devices."""
    device = config.resolve_device()
    there = torch.cuda.device_count() if device.type == "cuda" else None
    if device.type not in ("cpu", "cuda") or device.index not in (None, 0):
        raise ParameterError(
            f"device={config.device!r} cannot be one of devices={config.devices}.",
            hint="Use device='cpu', or device='cuda' for as many GPUs.",
        )
    if there is not None and there < config.devices:
        raise ParameterError(f"devices={config.devices}: this machine has {there} GPUs.")


def _is_lost(error: BaseException | None) -> bool:
    """Whether the error says that a collective of torch.distributed has lost another rank."""
    while error is not None:
        if isinstance(error, distributed.DistError | RankFailed) or "/gloo/" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _nothing() -> None:
    """Do nothing."""
