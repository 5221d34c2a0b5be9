"""Compare models on the public tasks of MoleculeNet.

:func:`get` describes a task by its name: what is predicted, how the paper divides and scores it
(Wu et al. 2018, doi:10.1039/C7SC02664A), and the digests of its files. Nothing is ever downloaded:
a task is loaded from a file that the user has, or from a URL that the user gives, and it is checked
that the file is the one that is meant. :func:`run` trains and tests models with several seeds::

    task = benchmarks.get("esol")
    result = benchmarks.run({"forest": forest, "ridge": ridge}, task, "delaney-processed.csv")
    print(result.to_markdown())
    print(result.compare("ridge", "forest"))
"""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_pipeline.benchmarks.moleculenet import get as get
    from dc_pipeline.benchmarks.moleculenet import names as names
    from dc_pipeline.benchmarks.result import BenchmarkResult as BenchmarkResult
    from dc_pipeline.benchmarks.result import BenchmarkRun as BenchmarkRun
    from dc_pipeline.benchmarks.running import run as run
    from dc_pipeline.benchmarks.task import BenchmarkFile as BenchmarkFile
    from dc_pipeline.benchmarks.task import BenchmarkTask as BenchmarkTask

_EXPORTS = {
    "dc_pipeline.benchmarks.moleculenet": ["get", "names"],
    "dc_pipeline.benchmarks.result": ["BenchmarkResult", "BenchmarkRun"],
    "dc_pipeline.benchmarks.running": ["run"],
    "dc_pipeline.benchmarks.task": ["BenchmarkFile", "BenchmarkTask"],
}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
