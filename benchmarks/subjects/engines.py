"""The engines: CPU-bound rows on two workers that are already running."""

from __future__ import annotations

import atexit
import hashlib
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from measure import Way
from subject import Subject, Target

from dc_core.engines import Task, engine, run

ROWS, SHARD, WORK, WORKERS = 4096, 256, 900, 2


def digest(row: int) -> str:
    """Compute for about a millisecond, holding the interpreter's lock as RDKit's parser does."""
    data = row.to_bytes(8, "little")
    for _ in range(WORK):
        data = hashlib.sha256(data).digest()
    return data.hex()


def digests(start: int, stop: int) -> list[str]:
    return [digest(row) for row in range(start, stop)]


@dataclass(frozen=True)
class Digests(Task):
    rows: int

    def __len__(self) -> int:
        return self.rows

    def run(self, start: int, stop: int, directory: Path) -> None:
        (directory / "digests.txt").write_text("\n".join(digests(start, stop)))


def on_engine(folder: Path, *, name: str) -> Callable[[], Any]:
    """``run`` on the engine ``name``, which is started and warm."""
    running = ExitStack()
    atexit.register(running.close)
    options: dict[str, Any] = {"workers": WORKERS} if name == "processes" else {}
    if name == "dask":
        from distributed import Client

        client = Client(n_workers=WORKERS, threads_per_worker=1, dashboard_address="127.0.0.1:0")
        options = {"client": running.enter_context(client)}
    if name == "ray":
        import ray

        running.enter_context(ray.init(num_cpus=WORKERS, include_dashboard=False))
    started = running.enter_context(engine(name, **options))
    directory = folder / "run"

    def action() -> int:
        shutil.rmtree(directory, ignore_errors=True)
        run(Digests(ROWS), directory, engine=started, shard_rows=SHARD, progress=False)
        return ROWS

    shutil.rmtree(directory, ignore_errors=True)
    run(Digests(4 * WORKERS), directory, engine=started, shard_rows=1, progress=False)
    return action


def joblib(folder: Path) -> Callable[[], Any]:
    """joblib's processes, the same parts, results in memory."""
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=WORKERS).__enter__()
    atexit.register(parallel.__exit__, None, None, None)

    def action() -> int:
        parallel(delayed(digests)(start, start + SHARD) for start in range(0, ROWS, SHARD))
        return ROWS

    parallel(delayed(digests)(row, row + 1) for row in range(4 * WORKERS))
    return action


CLUSTERS = [
    name for name, module in {"dask": "distributed", "ray": "ray"}.items() if find_spec(module)
]

SUBJECTS = (
    Subject(
        title="4 096 rows on two workers",
        note=f"Each row computes for about a millisecond and holds the interpreter's lock; "
        f"parts of {SHARD} rows. Workers have started and have run something before. The engines "
        "write every part to the disk and wait until it is there; joblib keeps results in memory. "
        "The CPU of workers is not in the table.",
        repeats=5,
        versions=("joblib", "ray", "dask"),
        ways=(
            Way("serial", on_engine, {"name": "serial"}),
            Way("processes", on_engine, {"name": "processes"}),
            *(Way(name, on_engine, {"name": name}) for name in CLUSTERS),
            Way("joblib", joblib),
        ),
        targets=(
            Target("wall", "processes", "serial", at_most=1 / 1.8),
            Target("wall", "processes", "joblib"),
            Target("wall", "dask", "processes", at_most=1.15),
            Target("wall", "ray", "processes", at_most=1.15),
        ),
    ),
)
