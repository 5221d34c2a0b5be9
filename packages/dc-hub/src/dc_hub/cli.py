"""``dc-hub``: look at a hub, verify it, and publish to it, from the command line."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dc_core import DCError
from dc_hub import difference, inspecting
from dc_hub.copying import publish_directory
from dc_hub.errors import HubWarning
from dc_hub.hub import MAIN, open_hub

app = typer.Typer(
    help="Models in a hub: verified, readable by anyone, and never executable.",
    epilog="A MODEL is a name ('lab/net'), a name and a revision ('lab/net@v2'), or a directory "
    "('./net'). The hub is --hub, or DEEPCHEM_MODEL_HUB, or a folder of the user's.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_out = Console(soft_wrap=True, highlight=False)
_err = Console(stderr=True, soft_wrap=True, highlight=False)

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
    table = Table("model", "tags", "revisions", box=None)
    for name, (tags, revisions) in found.items():
        shown = ", ".join(f"{tag} → {revision[:12]}" for tag, revision in tags.items())
        table.add_row(name, shown, str(len(revisions)))
    _out.print(table if found else f"There is no model in {where!r} yet.")


@app.command()
def info(model: ModelArgument, hub: HubOption = None, as_json: JsonOption = False) -> None:
    """Show what a stored model is: class, arguments, metadata, weights, files."""
    found = inspecting.info(model, hub=hub)
    if as_json:
        _print_json(dataclasses.asdict(found))
        return
    table = Table(box=None, show_header=False)
    table.add_column(style="bold", overflow="fold")
    table.add_column(overflow="fold")
    table.add_row("revision", found.revision or "none: the directory has no manifest")
    table.add_row("path", escape(str(found.path)))
    table.add_row("class", escape(f"{found.cls or 'none'} (version {found.class_version})"))
    table.add_row("backend", escape(found.backend or "none"))
    for key, value in found.params.items():
        table.add_row(f"params.{escape(key)}", escape(_spoken(value)))
    for key, value in found.metadata.items():
        table.add_row(f"metadata.{escape(key)}", escape(_spoken(value)))
    for name, weight in found.weights.items():
        text = f"{weight.dtype} {list(weight.shape)}  {weight.native}"
        table.add_row(escape(name), escape(text))
    for name, size in found.files.items():
        table.add_row(escape(name), f"{size:,} bytes")
    _out.print(table)


@app.command()
def verify(model: ModelArgument, hub: HubOption = None) -> None:
    """Hash every file of a model and compare with its manifest."""
    source = inspecting.verify(model, hub=hub)
    _out.print(f"[green]whole[/]  {escape(model)}  revision {source.revision}")


@app.command()
def check(model: ModelArgument, hub: HubOption = None, as_json: JsonOption = False) -> None:
    """Let a model compute its golden inputs anew and compare with the outputs stored."""
    result = inspecting.check(model, hub=hub)
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
    hub: HubOption = None,
) -> None:
    """Publish a model directory to a hub under a name; its files are verified first."""
    published = publish_directory(directory, name, hub=hub, tags=tuple(tag or [MAIN]))
    _out.print(f"[green]published[/]  {escape(name)}  revision {published.revision}")
    _out.print(escape(str(published.path)))


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
        table = Table("what", "before", "after", box=None)
        for change in (*found.record, *found.weights):
            table.add_row(*map(escape, (change.where, _short(change.before), _short(change.after))))
        _out.print(table)
    if not found.identical:
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; an error of this project is one line and the next step, and exit 1."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", HubWarning)
            warnings.showwarning = _show_warning
            app(prog_name="dc-hub")
    except DCError as error:
        _err.print(f"[red]{type(error).__name__}[/]: {escape(str(error.args[0]))}")
        if error.hint:
            _err.print(escape(error.hint), style="dim")
        raise SystemExit(1) from None


def _show_warning(message: Warning | str, *details: Any, **more: Any) -> None:
    _err.print(f"[yellow]warning[/]: {escape(str(message))}")


def _print_json(value: Any) -> None:
    _out.print_json(json.dumps(value, default=str, allow_nan=True))


def _spoken(value: Any) -> str:
    """Return a stored value as one would write it: nested objects as calls, arrays by name."""
    if isinstance(value, list):
        return f"[{', '.join(map(_spoken, value))}]"
    if not isinstance(value, dict):
        return str(value)
    for tag in ("$model", "$component"):
        if tag in value:
            params = value[tag]["params"].items()
            return f"{value[tag]['class']}({', '.join(f'{k}={_spoken(v)}' for k, v in params)})"
    if "$tuple" in value:
        return f"({', '.join(map(_spoken, value['$tuple']))})"
    if "$dict" in value:
        value = {_spoken(key): item for key, item in value["$dict"]}
    return ", ".join(f"{key.removeprefix('$')} {_spoken(item)}" for key, item in value.items())


def _short(value: Any, most: int = 100) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[: most - 1]}…"
