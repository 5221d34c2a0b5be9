"""The number of CPUs that this process may use; containers and batch jobs may limit it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def available_cpus(root: Path = Path("/")) -> int:
    """Return how many CPUs the affinity mask and the cgroup's quota allow, at least 1.

    ``root`` is the directory in which ``proc`` and ``sys`` are.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, int(min([allowed or 1, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas of the process's cgroup and of those around it, in CPUs."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for group in _with_parents(root / "sys/fs/cgroup", path):
                yield from _quota(group / "cpu.max")
        elif "cpu" in controllers.split(","):
            for mount in ("cpu", "cpu,cpuacct", "cpuacct,cpu"):
                for group in _with_parents(root / "sys/fs/cgroup" / mount, path):
                    yield from _quota(group / "cpu.cfs_quota_us", group / "cpu.cfs_period_us")


def _with_parents(mount: Path, path: str) -> Iterator[Path]:
    """Yield the directory of a cgroup and of those around it.

    In a container the path may be that of the host: then only the mount itself exists.
    """
    group = mount / path.lstrip("/")
    while group != mount and mount in group.parents:
        yield group
        group = group.parent
    yield mount


def _quota(*files: Path) -> Iterator[float]:
    """Yield the quota in ``files``, which contain microseconds per period, unless there is none."""
    try:
        quota, period = " ".join(file.read_text(encoding="utf-8") for file in files).split()
        if quota not in ("max", "-1") and float(period) > 0:
            yield float(quota) / float(period)
    except (OSError, ValueError):
        return
