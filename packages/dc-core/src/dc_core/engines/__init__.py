"""Run work on many rows in many processes, so that crashes cost a row and interruptions nothing.

A :class:`Task` describes work on numbered rows, :func:`run` runs it on an engine, and the
:class:`Shards` it returns lead to the files that were written, in the order of the rows. An engine
moves descriptions, never data: each worker writes its results and renames them to their final name,
so that what is finished stays, whatever dies, and any engine continues what another one began.

``serial`` and ``processes`` are built in; others are plugins in the group ``dc.engines``.
"""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_core.engines.choosing import engine as engine
    from dc_core.engines.contract import Engine as Engine
    from dc_core.engines.contract import Outcome as Outcome
    from dc_core.engines.cpus import available_cpus as available_cpus
    from dc_core.engines.identity import digest as digest
    from dc_core.engines.isolation import run_isolated as run_isolated
    from dc_core.engines.isolation import stop_isolated as stop_isolated
    from dc_core.engines.mapping import Result as Result
    from dc_core.engines.mapping import map as map
    from dc_core.engines.pickling import dumps as dumps
    from dc_core.engines.pickling import loads as loads
    from dc_core.engines.processes import Processes as Processes
    from dc_core.engines.progress import Progress as Progress
    from dc_core.engines.progress import reporting as reporting
    from dc_core.engines.running import run as run
    from dc_core.engines.serial import Serial as Serial
    from dc_core.engines.shards import Shard as Shard
    from dc_core.engines.shards import Shards as Shards
    from dc_core.engines.task import Task as Task
    from dc_core.engines.watchdog import alive as alive

_EXPORTS = {
    "dc_core.engines.choosing": ["engine"],
    "dc_core.engines.contract": ["Engine", "Outcome"],
    "dc_core.engines.cpus": ["available_cpus"],
    "dc_core.engines.identity": ["digest"],
    "dc_core.engines.isolation": ["run_isolated", "stop_isolated"],
    "dc_core.engines.mapping": ["Result", "map"],
    "dc_core.engines.pickling": ["dumps", "loads"],
    "dc_core.engines.processes": ["Processes"],
    "dc_core.engines.progress": ["Progress", "reporting"],
    "dc_core.engines.running": ["run"],
    "dc_core.engines.serial": ["Serial"],
    "dc_core.engines.shards": ["Shard", "Shards"],
    "dc_core.engines.task": ["Task"],
    "dc_core.engines.watchdog": ["alive"],
}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
