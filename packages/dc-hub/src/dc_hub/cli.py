"""``dc-hub``: look at a hub, verify it, and publish to it, from the command line."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from dc_core import DCError
from dc_hub.errors import HubWarning
from dc_hub.escaping import escape_controls
from dc_hub.hubs.local import open_hub
from dc_hub.inspecting import difference
from dc_hub.inspecting import models as inspecting
from dc_hub.publishing.directories import publish_directory

app = typer.Typer(
    help="Models in a hub: verified, readable by anyone, and never executable.",
    epilog="A MODEL is a name ('lab/net'), a name and a revision ('lab/net@v2'), or a directory "
    "('./net'). The hub is --hub, or DEEPCHEM_MODEL_HUB, or a folder of the user's.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_out = Console(soft_wrap=True, highlight=False, emoji=False)
_err = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A name, or ./a-directory.")]
HubOption = Annotated[
    Path | None, typer.Option("--hub", metavar="DIRECTORY", help="The hub to use.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs to read.")]


@app.command()
def ls(hub: HubOption = None, as_json: JsonOption = False) -> None:
    """List the models of a hub, with their tags and revisions."""
    where = open_hub(hub)
    found = {name: (where.tags(name), where.revisions(name)) for name in where.names()}
    if as_json:
        _print_json([{"name": name, "tags": t, "revisions": r} for name, (t, r) in found.items()])
        return
    if not found:
        _out.print(_text(f"There is no model in {where!r} yet."))
        return
    rows = [("model", "revisions", "tags")]
    for name, (tags, revisions) in found.items():
        shown = ", ".join(f"{tag} → {revision[:12]}" for tag, revision in tags.items())
        rows.append((name, str(len(revisions)), shown))
    _print_columns(rows)


@app.command()
def info(model: ModelArgument, hub: HubOption = None, as_json: JsonOption = False) -> None:
    """Show what a stored model is: class, arguments, metadata, weights, files."""
    found = inspecting.info(model, hub=hub)
    if as_json:
        _print_json(dataclasses.asdict(found))
        return
    rows = [
        ("revision", found.revision or "none: the directory has no manifest"),
        ("path", str(found.path)),
        ("class", f"{found.cls or 'none'} (version {found.class_version})"),
        ("backend", found.backend or "none"),
    ]
    rows += [(f"params.{key}", _spoken(value)) for key, value in found.params.items()]
    rows += [(f"metadata.{key}", _spoken(value)) for key, value in found.metadata.items()]
    rows += [
        (name, f"{weight.dtype} {list(weight.shape)}  {weight.native}")
        for name, weight in found.weights.items()
    ]
    rows += [(name, f"{size:,} bytes") for name, size in found.files.items()]
    _print_columns(rows)


@app.command()
def verify(model: ModelArgument, hub: HubOption = None) -> None:
    """Hash every file of a model and compare with its manifest."""
    source = inspecting.verify(model, hub=hub)
    _out.print(f"[green]whole[/]  {_text(model)}  revision {source.revision}")


@app.command()
def check(model: ModelArgument, hub: HubOption = None, as_json: JsonOption = False) -> None:
    """Let a model compute its golden inputs anew and compare with the outputs stored."""
    result = inspecting.check_golden(model, hub=hub)
    if as_json:
        _print_json(dataclasses.asdict(result))
    else:
        verdict = "[green]as stored[/]" if result.passed else "[red]different[/]"
        _out.print(
            f"{verdict}  {result.rows} rows, largest difference {result.max_difference:.3g} "
            f"(allowed: {result.atol:g} + {result.rtol:g} · |stored|)"
        )
    if not result.passed:
        raise typer.Exit(1)


@app.command()
def publish(
    directory: Annotated[Path, typer.Argument(help="A model directory, as dc_hub.save writes it.")],
    name: Annotated[str, typer.Argument(help="Its name in the hub: 'net' or 'lab/net'.")],
    tag: Annotated[list[str] | None, typer.Option(help="A tag to move; repeat for more.")] = None,
    move_main: Annotated[bool, typer.Option(help="Move the tag 'main' too.")] = True,
    hub: HubOption = None,
) -> None:
    """Publish a model directory to a hub under a name; its files are verified first."""
    published = publish_directory(directory, name, hub=hub, tag=tag or (), move_main=move_main)
    _out.print(f"[green]published[/]  {_text(name)}  revision {published.revision}")
    _out.print(_text(str(published.path)))


@app.command()
def diff(
    before: ModelArgument, after: ModelArgument, hub: HubOption = None, as_json: JsonOption = False
) -> None:
    """Show how two stored models differ; the exit code is 1 if they do."""
    found = difference.diff(before, after, hub=hub)
    if as_json:
        _print_json(dataclasses.asdict(found))
    elif found.identical:
        _out.print("[green]equal[/]: the same class, arguments, metadata and weights")
    else:
        _print_columns(
            (change.where, f"{_spoken(change.before)} → {_spoken(change.after)}")
            for change in (*found.record, *found.weights)
        )
    if not found.identical:
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; an error of this project is one line and the next step, and exit 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", HubWarning)
            warnings.showwarning = _show_warning
            app(prog_name="dc-hub")
    except DCError as error:
        _err.print(f"[red]{type(error).__name__}[/]: {_text(str(error.args[0]))}")
        if error.hint:
            _err.print(_text(error.hint), style="dim")
        raise SystemExit(1) from None


def _show_warning(message: Warning | str, *details: Any, **more: Any) -> None:
    _err.print(f"[yellow]warning[/]: {_text(str(message))}")


def _print_json(value: Any) -> None:
    # JSON lacks NaN and infinity: null stands for them.
    plain = json.loads(json.dumps(value, default=str), parse_constant=lambda name: None)
    _out.print_json(data=plain, ensure_ascii=True)


def _print_columns(rows: Iterable[tuple[str, ...]]) -> None:
    """Print a line a row, its columns aligned and the last one whole, however wide that is."""
    shown = [[escape_controls(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)][:-1]
    for *cells, last in shown:
        padded = "  ".join(map(str.ljust, cells, widths))
        _out.print(f"[bold]{escape(padded)}[/]  {escape(last)}")


def _text(text: str) -> str:
    return escape(escape_controls(text))


def _spoken(value: Any) -> str:
    """Return a stored value as one would write it: nested objects as calls, arrays by name."""
    match value:
        case list():
            return f"[{', '.join(map(_spoken, value))}]"
        case {"$tuple": list(items)}:
            return f"({', '.join(map(_spoken, items))})"
        case {"$model": {"class": str(name), "params": dict(params)}} | {
            "$component": {"class": str(name), "params": dict(params)}
        }:
            return f"{name}({', '.join(f'{k}={_spoken(v)}' for k, v in params.items())})"
        case {"$dict": [*pairs]} if all(type(pair) is list and len(pair) == 2 for pair in pairs):
            return ", ".join(f"{_spoken(key)} {_spoken(item)}" for key, item in pairs)
        case dict():
            return ", ".join(f"{key.removeprefix('$')} {_spoken(v)}" for key, v in value.items())
    return str(value)
