"""``ProcessGroup``: the processes that train a module together, through torch.distributed.

Numbers that decide what training does next travel between CPUs, so that no GPU is waited for. They
travel when all processes are between two steps. There rank 0 runs the callbacks, which may need
what the others hold (``ask``), while these wait for it.
"""

from __future__ import annotations

import atexit
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, distributed, nn

from dc_core.errors import ParameterError
from dc_core.training import World
from dc_torch.errors import ParallelNotInstalled, RankFailed

_LONGEST_PAUSE: Final = timedelta(days=7)
"""How long processes wait for each other: one may run callbacks, and one that dies is noticed."""

_LONGEST_START: Final = timedelta(minutes=2)
_INTERFACE: Final = "GLOO_SOCKET_IFNAME"

_SLOTS: Final = 8
"""The length of a message: the request of rank 0, whether the rank leaves, and values."""

_LEAVE: Final = 1
"""The last request of rank 0. Others have other numbers."""


class Place(NamedTuple):
    """The place of this process among those that a launcher has started."""

    rank: int
    size: int
    local_rank: int
    """Its number on its machine."""

    address: str = "env://"
    """Where all of them meet, as torch.distributed writes it."""


def place(devices: int = 1) -> Place | None:
    """Return where the environment, or a process group that is there already, places this process.

    None means that it was not started as one of several. ``devices`` is the number of processes per
    machine, for launchers that do not number those of a machine. The environment is that of
    torchrun, which Kubernetes operators and Ray Train set too, or of SLURM, LSF or MPI.

    Raises :class:`ParallelNotInstalled` if it needs Fabric to understand the environment.
    """
    env = os.environ
    found = None
    if {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= env.keys():
        rank = int(env["RANK"])
        found = Place(rank, int(env["WORLD_SIZE"]), int(env.get("LOCAL_RANK", rank % devices)))
    elif env.keys() & {"SLURM_NTASKS", "LSB_JOBID", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}:
        kinds = _fabric().plugins.environments
        for kind in (kinds.SLURMEnvironment, kinds.LSFEnvironment, kinds.MPIEnvironment):
            if kind.detect():
                at = kind()
                address = f"tcp://{at.main_address}:{at.main_port}"
                found = Place(at.global_rank(), at.world_size(), at.local_rank(), address)
                break
    elif distributed.is_available() and distributed.is_initialized():
        rank = distributed.get_rank()
        found = Place(rank, distributed.get_world_size(), rank % devices)
    return found if found is not None and found.size > 1 else None


class ProcessGroup(World):
    """The processes that train together.

    ``answers`` are what ranks other than 0 do when rank 0 calls :meth:`ask`, by the number of its
    request, from 2 on.
    """

    def __init__(self, device: torch.device) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self._device = device
        self._control = distributed.new_group(backend="gloo", timeout=_LONGEST_PAUSE)
        self._strategies = _fabric().strategies
        self.answers: Mapping[int, Callable[[], object]] = {}
        self._has_left = False

    def gather(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        """Return the values of every rank, in the order of ranks; answer what rank 0 asks for.

        Raises :class:`RankFailed` if another rank leaves the training.
        """
        few = values if len(values) <= _SLOTS - 2 else ()
        while True:
            every = self._exchange([0, 0, *few, *[0] * (_SLOTS - 2 - len(few))])
            request = int(every[0][0])
            self._has_left = request == _LEAVE
            left = [0] if self._has_left else [i for i, each in enumerate(every) if each[1]]
            if left:
                raise RankFailed(
                    f"Rank {left[0]} has left the training.",
                    hint="Its own error says why.",
                )
            if not request:
                break
            self.answers[request]()
        if len(few) < len(values):
            return self._exchange(values)
        return [each[2 : 2 + len(values)] for each in every]

    def ask(self, request: int) -> None:
        """Let the others, which wait between two steps, answer this request of rank 0."""
        self._exchange([request, *[0] * (_SLOTS - 1)])

    def leave(self) -> None:
        """Leave the training between two steps, when rank 0 does so, and answer it until then."""
        if self.rank == 0:
            self.ask(_LEAVE)
        while self.rank and not self._has_left:
            every = self._exchange([0, 1, *[0] * (_SLOTS - 2)])
            request = int(every[0][0])
            self._has_left = request == _LEAVE
            if request and not self._has_left:
                self.answers[request]()

    def _exchange(self, message: Sequence[float]) -> list[tuple[float, ...]]:
        mine = torch.from_numpy(np.array(message, np.float64))
        every = [torch.empty_like(mine) for _ in range(self.size)]
        distributed.all_gather(every, mine, group=self._control)
        return [tuple(each.tolist()) for each in every]

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all ranks; nothing waits for the device."""
        total = tensor.detach().clone()
        distributed.all_reduce(total)
        return total

    def parallel(self, module: nn.Module, *, unused: bool) -> nn.Module:
        """Return ``module`` such that each rank gets the mean of all ranks' gradients.

        All ranks get the tensors of rank 0. ``unused`` says that a parameter can be without one.
        """
        strategy = self._strategies.DDPStrategy(
            parallel_devices=[self._device], find_unused_parameters=unused
        )
        wrapped: nn.Module = strategy.setup_module(module)
        return wrapped

    def abort(self) -> None:
        """Let whatever waits for the GPUs of other ranks fail, in whatever thread."""
        if self._device.type == "cuda":
            group: Any = distributed.group.WORLD
            group.abort()

    @torch.no_grad()
    def share_buffers(self, module: nn.Module) -> None:
        """Give the module's buffers, such as statistics of a batch norm, the values of rank 0."""
        for buffer in module.buffers():
            distributed.broadcast(buffer, 0)


@contextmanager
def started_group(device: torch.device, place: Place, meeting: Path) -> Iterator[ProcessGroup]:
    """Meet the other processes at the file ``meeting``, and leave them at the end."""
    store: Any = vars(distributed)["FileStore"](str(meeting), place.size)
    store.set_timeout(_LONGEST_START)
    with _on_loopback():
        _initialize(device, place, store=store)
        group = ProcessGroup(device)
    try:
        yield group
    finally:
        distributed.destroy_process_group()


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let gloo, which asks nobody who they are, listen where this machine alone can reach it.

    An interface that the user names stays.
    """
    names = {name for _, name in socket.if_nameindex()} & {"lo", "lo0"}
    if _INTERFACE in os.environ or not names:
        yield
        return
    os.environ[_INTERFACE] = names.pop()
    try:
        yield
    finally:
        del os.environ[_INTERFACE]


def joined_group(device: torch.device, place: Place) -> ProcessGroup:
    """Return the group of the processes that a launcher has started, for as long as they run.

    One that is there already is used.
    """
    if not distributed.is_initialized():
        _initialize(device, place, init_method=place.address)
        atexit.register(distributed.destroy_process_group)
    return ProcessGroup(device)


def _initialize(device: torch.device, place: Place, **meeting: Any) -> None:
    gpu = device.type == "cuda"
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if gpu else "gloo",
        rank=place.rank,
        world_size=place.size,
        timeout=_LONGEST_PAUSE,
        device_id=device if gpu else None,
        **meeting,
    )


def check_installed() -> None:
    """Raise :class:`ParallelNotInstalled` if Fabric is not installed."""
    _fabric()


def _fabric() -> Any:
    if not distributed.is_available():
        raise ParallelNotInstalled(
            "This build of PyTorch cannot train on several devices.", hint="Use devices=1."
        )
    try:
        import lightning_fabric
    except ImportError as error:
        raise ParallelNotInstalled(
            "Training on several devices needs Lightning Fabric.",
            hint='Run: pip install "dc-torch[parallel]"',
        ) from error
    return lightning_fabric


def check_place(place: Place, devices: int) -> None:
    """Raise :class:`ParameterError` unless ``devices`` is the number of processes per machine."""
    if place.size % devices or place.local_rank >= devices:
        raise ParameterError(
            f"devices={devices} is not the number of processes that the launcher has started on "
            f"this machine: there are {place.size} in all, and this is number {place.local_rank} "
            "here.",
            hint="devices= is the number of processes per machine, as in "
            f"torchrun --nproc-per-node {devices}.",
        )
