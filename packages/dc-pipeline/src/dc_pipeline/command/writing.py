"""Write a directory of results as a whole, or not at all."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dc_core import sync_directory, sync_file
from dc_pipeline.disk.writing import writing
from dc_pipeline.errors import PipelineError


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """Yield a directory to write to, which becomes ``target`` when the block has ended.

    If the block raises, it is removed and nothing is left. Raises :class:`PipelineError` if
    ``target`` exists or cannot be written.
    """
    if target.exists():
        raise PipelineError(f"{target} exists already.", hint="Choose a new directory: --out.")
    unfinished = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        with writing(target, hint="Free space, or choose another place."):
            unfinished.mkdir(parents=True)
            yield unfinished
            for file in unfinished.iterdir():
                if file.is_file():
                    sync_file(file)
            unfinished.rename(target)
            sync_directory(target.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def check_writable(target: Path) -> None:
    """Raise :class:`PipelineError` if the new directory ``target`` cannot be made."""
    probe = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    with writing(target, hint="Choose another place."):
        probe.mkdir(parents=True)
        probe.rmdir()


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as JSON, in lines that can be read and compared; NaN is null."""
    finite = json.loads(json.dumps(content), parse_constant=lambda name: None)
    file.write_text(json.dumps(finite, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
