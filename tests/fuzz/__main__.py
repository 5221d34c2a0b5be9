"""Change what stored models say, load them, use them: nothing but typed errors may come of it.

    python tests/fuzz [--cases N] [--seed S] [--first C] [--only NAME] [--report FILE]

Case C of seed S is the same change on every run. Each runs in a worker process under a limit on
address space and on processor time; a worker that dies costs its case alone. With ``--report`` each
case's outcome is a line of JSON in FILE, and the next run goes on after the last case there.
"""

import argparse
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

ROOM = 512 << 20
"""How many bytes of address space a case may take beyond those of the program itself."""

ROWS = 131
"""How many rows a model is used on: the output of one column already is a block of its own."""

SECONDS = 10
"""How many seconds of the processor a case may take; most take some milliseconds."""

WALL = 300
"""After how many seconds without an answer a worker is taken to hang."""

METHODS = ("predict", "predict_proba", "decision_function", "transform", "kneighbors")
FINE = ("unwritable", "refused", "declined", "answered")
LIMITS = {
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")},
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_CHECK_": "3",
    "MALLOC_PERTURB_": "165",
    "LD_PRELOAD": "libc_malloc_debug.so.0",
}
"""One thread for native code, and one arena for all others: each arena reserves 64 MiB of address
space, used or not, which is what ROOM limits. The C library ends a worker that has written beyond a
block of the heap, and fills blocks with other bytes than 0 before and after their use."""

STACK = 256 << 10
"""How many bytes of address space the stack of a thread reserves, for the same reason."""


class Worker:
    """Runs cases one after the other, in this process."""

    def __init__(self, corpus: Path, seed: int) -> None:
        import runpy

        import numpy as np

        import dc_hub
        from dc_hub.format.tensors import read_tensors

        self.np, self.seed, self.corpus = np, seed, corpus
        self.names = sorted(file.stem for file in corpus.glob("*.npz"))
        conftest = Path(__file__).parents[2] / "packages/dc-hub/tests/conftest.py"
        self.seal = runpy.run_path(str(conftest))["seal"]
        self.stored = {
            name: (
                json.loads((corpus / name / "params.json").read_bytes()),
                {
                    n: np.array(array)
                    for n, array in read_tensors(corpus / name / "model.safetensors").items()
                },
            )
            for name in self.names
        }
        self.rows = {}
        for name in self.names:
            with np.load(corpus / f"{name}.npz") as file:
                # NumPy hands blocks of less than 1 KiB back to the C library when it ends.
                rows = np.resize(file["rows"], (ROWS, *file["rows"].shape[1:]))
                self.rows[name] = (rows, bool(file["sparse"]))
            if name.startswith(("chain", "Multitask", "Random")):  # these import the most
                self.use(dc_hub.load(corpus / name), name)

    def limit(self) -> None:
        """Bound the address space from here on."""
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + ROOM
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def run(self, case: int) -> dict[str, Any]:
        """Return what became of the case."""
        import copy

        from mutations import mutate

        from dc_core.errors import DCError
        from dc_hub import HubError, load
        from dc_hub.errors import NotSerializable
        from dc_hub.format.tensors import write_tensors

        rng = self.np.random.default_rng([self.seed, case])
        name, other = (self.names[int(rng.integers(len(self.names)))] for _ in range(2))
        params, arrays = copy.deepcopy(self.stored[name][0]), dict(self.stored[name][1])
        done = mutate(params, arrays, self.stored[other], rng)
        outcome: dict[str, Any] = {"case": case, "model": name, "changes": done}
        changed = self.corpus.parent / "changed"
        shutil.rmtree(changed, ignore_errors=True)
        changed.mkdir()
        (changed / "params.json").write_text(json.dumps(params))
        try:
            with (changed / "model.safetensors").open("wb") as file:
                write_tensors(file, arrays, {"format": "pt"})
        except NotSerializable as error:
            return outcome | {"outcome": "unwritable", "error": str(error)}
        self.seal(changed)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        started = time.process_time()
        try:
            model = load(changed)
        except (HubError, DCError) as error:
            outcome |= {"outcome": "refused", "error": f"{type(error).__name__}: {error}"}
        except BaseException as error:  # noqa: BLE001
            outcome |= _fault("load", error)
        else:
            outcome |= self.use(model, name)
        signal.setitimer(signal.ITIMER_PROF, 0)
        return outcome | {"seconds": round(time.process_time() - started, 4)}

    def use(self, model: Any, name: str) -> dict[str, Any]:
        """Call all that a model and its estimator offer; the first fault is what is returned."""
        from scipy import sparse

        from dc_core import NumpyDataset
        from dc_core.errors import DCError
        from dc_hub import HubError

        rows, is_sparse = self.rows[name]
        native = getattr(model, "native", None)
        calls: list[tuple[str, Any, tuple[type[BaseException], ...]]] = []
        for role in ("predict", "transform", "embed"):
            if hasattr(model, role):
                call = partial(getattr(model, role), NumpyDataset(rows))
                calls.append((f"model.{role}", call, (HubError, DCError)))
        if hasattr(native, "get_params"):
            given = sparse.csr_matrix(rows) if is_sparse else rows
            # scikit-learn raises ValueError for input that does not fit; so may the estimator.
            own: tuple[type[BaseException], ...] = (ValueError,)
            if name.startswith("lightgbm"):
                from lightgbm.basic import LightGBMError

                own = (ValueError, LightGBMError)
            calls += [(m, partial(_call, native, m, given), own) for m in METHODS]
        errors = []
        for what, call, typed in calls:
            try:
                call()
            except typed as error:
                errors.append(f"{what}: {type(error).__name__}: {error}")
            except BaseException as error:  # noqa: BLE001
                return _fault(what, error)
        return {"outcome": "declined" if errors else "answered", "error": "; ".join(errors)[:300]}


def _call(estimator: Any, method: str, rows: Any) -> Any:
    if hasattr(type(estimator), method) and hasattr(estimator, method):
        return getattr(estimator, method)(rows)
    return None


def _fault(what: str, error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    last = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-6:]]
    kind = "memory" if isinstance(error, MemoryError) else "untyped"
    text = f"{type(error).__name__}: {error}"[:300]
    return {"outcome": kind, "error": f"{what}: {text}", "at": " ".join(last)}


def work(corpus: Path, seed: int) -> None:
    """Answer each case number that stands in the input with a line of JSON."""
    import numpy as np

    answers = os.fdopen(os.dup(1), "w")
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    threading.stack_size(STACK)
    worker = Worker(corpus, seed)
    worker.limit()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(worker.run(int(line))), file=answers, flush=True)


def start(corpus: Path, seed: int, log: Any) -> Any:
    """Return a worker process that is ready."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--work", str(corpus), "--seed", str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=os.environ | LIMITS,
    )
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        sys.exit("A worker did not start; see its errors above.")
    return process


def ask(process: Any, case: int) -> dict[str, Any]:
    """Return the outcome of the case; one that ends the worker is an outcome too."""
    process.stdin.write(f"{case}\n")
    process.stdin.flush()
    ready, _, _ = select.select([process.stdout], [], [], WALL)
    line = process.stdout.readline() if ready else ""
    if line:
        return json.loads(line)
    if not ready:
        process.kill()
    code = process.wait()
    dead = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    hang = not ready or dead in ("SIGPROF", "SIGKILL")
    return {"case": case, "outcome": "hang" if hang else "crash", "error": dead}


def main() -> int:
    """Run the cases, print what came of them, and return 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--only", default="", help="parts of models' names, with commas")
    parser.add_argument("--report", type=Path, help="a file of one JSON line per case")
    parser.add_argument("--corpus", type=Path, help="where the models are kept between runs")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.seed)
        return 0
    outcomes = []
    if options.report and options.report.exists():
        outcomes = [json.loads(line) for line in options.report.read_text().splitlines()]
    first = max([options.first, *(outcome["case"] + 1 for outcome in outcomes)])
    with tempfile.TemporaryDirectory() as temporary, Path(os.devnull).open("w") as log:
        place = Path(temporary)
        if options.corpus:
            (place / "corpus").symlink_to(options.corpus.resolve(), target_is_directory=True)
        os.environ |= {"DEEPCHEM_CACHE": str(place / "cache")}
        corpus = place / "corpus"
        if not options.corpus or not any(options.corpus.glob("*.npz")):
            from corpus import build

            corpus.resolve().mkdir(parents=True, exist_ok=True)
            build(corpus, options.only)
        process = start(corpus, options.seed, log)
        for case in range(first, options.first + options.cases):
            outcome = ask(process, case)
            if process.poll() is not None or outcome["outcome"] == "memory":
                process.kill()
                process.wait()
                process = start(corpus, options.seed, log)
            outcomes.append(outcome)
            if options.report:
                with options.report.open("a") as report:
                    report.write(json.dumps(outcome) + "\n")
        process.stdin.close()
        process.wait()
    counts = Counter(outcome["outcome"] for outcome in outcomes)
    print(f"{len(outcomes)} cases: {dict(counts.most_common())}")
    faults = [outcome for outcome in outcomes if outcome["outcome"] not in FINE]
    for fault in faults[:50]:
        print(json.dumps(fault))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    from corpus import Holder  # noqa: F401  (it is registered by this import)

    sys.exit(main())
