"""Run a function on each of a few items: trials, dockings, seeds."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from dc_core.engines.progress import Report
from dc_core.engines.running import run
from dc_core.engines.shards import Shard
from dc_core.engines.task import Task
from dc_core.errors import NotSerializable

_RESULT: Final = "result.json"


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one item.

    ``status`` is ``ok``, ``error`` (the function raised an exception), ``crash`` or ``timeout``.
    ``value`` is what the function returned, None unless it is ok.
    """

    status: str
    value: Any = None
    message: str = ""


def map(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    directory: str | Path | None = None,
    *,
    engine: Any = "serial",
    retries: int = 1,
    timeout: float | None = None,
    progress: Report | bool | None = None,
) -> list[Result]:
    """Return the result of ``function`` for each item, in the order of the items.

    It is for few calls that take long and do not depend on each other. Values are JSON: numbers,
    strings, lists and dictionaries; anything else, such as arrays, the function writes to files
    itself. An exception costs its item only.

    With a ``directory``, a map that was interrupted continues there; see :func:`run` for that and
    the other arguments. ``timeout`` is for one item.

    Raises :class:`NotSerializable` if a value is not JSON.
    """
    values = list(items)
    with (
        tempfile.TemporaryDirectory(prefix="dc-map-")
        if directory is None
        else nullcontext(directory)
    ) as place:
        shards = run(
            _Map(function, values, "" if directory is None else None),
            place,
            engine=engine,
            shard_rows=1,
            retries=retries,
            timeout=timeout,
            progress=progress,
        )
        return [_result(shard) for shard in shards]


def _result(shard: Shard) -> Result:
    if shard.status != "ok":
        return Result(shard.status, None, shard.message)
    return Result(**json.loads((shard.path / _RESULT).read_bytes()))


class _Map(Task):
    """A function of each of some items, of which the first is row ``first``."""

    def __init__(
        self, function: Callable[[Any], Any], items: list[Any], key: str | None, first: int = 0
    ) -> None:
        self._function = function
        self._items = items
        self._key = key
        self._first = first

    @property
    def key(self) -> str:
        """A digest of the function and the items, unless the results are not kept."""
        return super().key if self._key is None else self._key

    def __len__(self) -> int:
        return len(self._items)

    def part(self, start: int, stop: int) -> _Map:
        """Return the task with these items alone."""
        items = self._items[start - self._first : stop - self._first]
        return _Map(self._function, items, self._key, start)

    def run(self, start: int, stop: int, directory: Path) -> None:
        """Call the function with the one item, and write its result or error."""
        (item,) = self._items[start - self._first : stop - self._first]
        try:
            value = self._function(item)
        except Exception as error:  # noqa: BLE001 - it is the result
            result = Result("error", None, f"{type(error).__name__}: {error}")
        else:
            result = Result("ok", _checked(value, "The result"))
        text = json.dumps(asdict(result))
        (directory / _RESULT).write_text(text, encoding="utf-8")


def _checked(value: Any, where: str) -> Any:
    """Return ``value`` as JSON will give it back; raise :class:`NotSerializable` if it cannot."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (list, tuple):
        return [_checked(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if type(value) is dict and all(type(key) is str for key in value):
        return {key: _checked(item, f"{where}[{key!r}]") for key, item in value.items()}
    raise NotSerializable(
        f"{where} is a {type(value).__name__}, which is not JSON.",
        hint="Return numbers, strings, lists and dictionaries with str keys; float(x) and "
        "x.tolist() convert those of NumPy. Write anything else to a file.",
    )
