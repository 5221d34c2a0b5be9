"""One process of a measurement: prepare, wait for the signal, act, report; see measure.py.

It runs in other environments too, so it uses only the standard library.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from importlib import import_module
from pathlib import Path


def cpu_seconds() -> float:
    """Return the CPU time of this process, all its threads, and the children it waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def main() -> None:
    module, function, folder, calls, options = sys.argv[1:]
    # Keep what the measured code prints out of the channel.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    start = getattr(import_module(module), function)
    action = start(Path(folder), **json.loads(options))
    gc.collect()
    print("ready", file=channel, flush=True)
    sys.stdin.readline()
    report = []
    result = None
    for _ in range(int(calls)):
        result = None  # free the last result before measuring this call
        wall, cpu = time.perf_counter(), cpu_seconds()
        result = action()
        report.append((time.perf_counter() - wall, cpu_seconds() - cpu))
    done = result if isinstance(result, int) else None
    print(json.dumps([(*times, done) for times in report]), file=channel, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
