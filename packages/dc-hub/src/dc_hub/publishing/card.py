"""The model card: a README.md for people, with the front matter that Hugging Face's hub reads.

It is written from the record and the packages that the model needs, so that equal models have equal
cards: it names neither the hub nor the day.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from dc_core import escape_controls

if TYPE_CHECKING:
    import numpy as np

    from dc_hub.format.record import Record


_DATASET: Final = re.compile(r"[\w.-]+(/[\w.-]+)?")
"""What Hugging Face's hub accepts as the name of a dataset."""


def model_card(
    record: Record, weights: Mapping[str, np.ndarray], install: str, *, is_model: bool = True
) -> str:
    """Return the card of a model, or of a component that is not one.

    ``weights`` are its arrays by the names in the file, ``install`` is the command that installs
    what it needs.
    """
    title = str(record.metadata.get("title") or record.cls or "Weights")
    count = sum(array.size for array in weights.values())
    size = sum(array.nbytes for array in weights.values())
    parts = [
        "---",
        *_front_matter(record),
        "---",
        "",
        f"# {_cell(title)}",
        "",
        *_description(record),
        "| | |",
        "|---|---|",
        f"| class | {_cell(record.cls or 'not registered')} |",
        f"| backend | {_cell(record.backend or 'none')} |",
        f"| weights | {len(weights)} arrays, {count:,} values, {size:,} bytes |",
        *(
            f"| classes of {_cell(task)} | {_cell(list(names))} |"
            for task, names in record.classes.items()
        ),
        *(f"| {_cell(key)} | {_cell(value)} |" for key, value in _rows(record.metadata)),
        "",
        "To load it, verified to the last byte, install what it needs:",
        "",
        "```sh",
        install,
        "```",
        "",
        "```python",
        *_usage(record, is_model=is_model),
        "```",
        "",
        "`params.json` describes the model, `MANIFEST.json` holds the digest of every file; the",
        "weights are plain safetensors. Nothing in these files can execute.",
        "",
    ]
    return "\n".join(parts)


def _front_matter(record: Record) -> list[str]:
    metadata = record.metadata
    lines = ['library_name: "dc-hub"']
    licence = metadata.get("licence", metadata.get("license"))
    if isinstance(licence, str):
        lines.append(f"license: {_quoted(licence.lower())}")
    tags = ["dc-model", *filter(None, [record.backend, record.cls]), *_strings(metadata, "task")]
    lines += _sequence("tags", tags)
    datasets = _strings(metadata, "dataset")
    lines += _sequence("datasets", [name for name in datasets if _DATASET.fullmatch(name)])
    lines += _sequence("metrics", metadata.get("metrics") or ())
    return lines


def _sequence(key: str, items: Iterable[Any]) -> list[str]:
    lines = [f"- {_quoted(str(item))}" for item in items]
    return [f"{key}:", *lines] if lines else []


def _quoted(text: str) -> str:
    """Return a YAML double-quoted scalar: every JSON string of printable characters is one."""
    return json.dumps(escape_controls(text), ensure_ascii=False)


def _strings(metadata: Mapping[str, Any], key: str) -> list[str]:
    value = metadata.get(key)
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]


def _description(record: Record) -> list[str]:
    text = record.metadata.get("description")
    return [_text(text), ""] if isinstance(text, str) else []


def _rows(metadata: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Flatten the metadata into rows of a table; ``created_with`` becomes one row."""
    for key, value in sorted(metadata.items()):
        if not prefix and key in ("title", "description"):
            continue
        if not prefix and key == "created_with" and isinstance(value, dict):
            yield "created with", ", ".join(f"{k} {v}" for k, v in sorted(value.items()))
        elif isinstance(value, dict):
            yield from _rows(value, f"{prefix}{key} / ")
        else:
            yield prefix + key, value


def _usage(record: Record, *, is_model: bool) -> list[str]:
    if record.cls is None:
        return ["import dc_hub", "", 'dc_hub.load_weights("<name or ./directory>", into=module)']
    namespace, _, cls = record.cls.partition("/")
    if not is_model:
        return ["import dc_hub", "", f'dc_hub.from_pretrained("<name or ./directory>", cls={cls})']
    if namespace == "local":
        return [f'model = {cls}.from_pretrained("<name or ./directory>")']
    return ["import dc_hub", "", 'model = dc_hub.from_pretrained("<name or ./directory>")']


def _cell(value: Any) -> str:
    """Return a value as the text of one table cell, whatever characters it contains."""
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return _text(" ".join(str(value).split())).replace("|", "\\|")


def _text(text: str) -> str:
    """Return ``text`` as Markdown without HTML, and without invisible characters."""
    lines = text.replace("\r", "").expandtabs(4).split("\n")
    return "\n".join(map(escape_controls, lines)).replace("&", "&amp;").replace("<", "&lt;")
