"""``dc-hub``: list, inspect, verify, publish, tag and remove models from the command line.

The exit code is 0 on success, 1 if the answer is no (``diff`` found a difference, ``check-golden``
failed, a question was not answered with yes), and 2 for wrong usage and every error.
"""

from __future__ import annotations

import dataclasses
import io
import sys
import warnings
from importlib import metadata
from typing import Annotated, Any

import typer

from dc_core import DCError
from dc_hub.errors import HubWarning
from dc_hub.hubs import managing
from dc_hub.hubs.contract import MAIN
from dc_hub.hubs.index import write_index
from dc_hub.hubs.opening import open_hub
from dc_hub.hubs.reference import parse
from dc_hub.inspecting import difference
from dc_hub.inspecting import models as inspecting
from dc_hub.printing import (
    MAX_TEXT,
    as_written,
    cut,
    err,
    out,
    plain,
    print_columns,
    print_json,
    progress,
)
from dc_hub.publishing import directories

NO = 1
ERROR = 2

app = typer.Typer(
    help="Models in a hub: verified, readable by anyone, and never executable.",
    epilog="MODEL is a name ('lab/net'), a name and a revision ('lab/net@v2'), or a directory "
    "('./net'). The hub is --hub, else DEEPCHEM_MODEL_HUB, else a folder in your data folder. "
    "Exit codes: 0 success, 1 the answer is no, 2 an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
tags = typer.Typer(
    help="List, set, move and delete tags.",
    epilog="A tag points at one revision. 'main' is the revision that a name alone means.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(tags, name="tag")

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A name, name@revision, or ./directory.")
]
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The name of a model in the hub.")
]
TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME[@REVISION]", help="The revision to point at: a digest, or a tag (main)."
    ),
]
TagArgument = Annotated[str, typer.Argument(metavar="TAG", help="The tag, such as 'v2'.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
ExpectedOption = Annotated[
    str | None,
    typer.Option(metavar="REVISION", help="Fail unless the tag points at this revision now."),
]
HubOption = Annotated[
    str | None,
    typer.Option("--hub", metavar="DIRECTORY", help="The hub: a directory, or the URL of one."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, complete and on one line.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"dc-hub {metadata.version('dc-hub')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command()
def ls(hub: HubOption = None, as_json: JsonOption = False) -> None:
    """List the models of a hub and their tags."""
    found = managing.ls(hub=hub)
    if as_json:
        print_json([dataclasses.asdict(listing) for listing in found])
        return
    if not found:
        out.print(plain(f"There is no model in {open_hub(hub)!r} yet."))
        return
    rows = [("model", "revisions", "tags")]
    for listing in found:
        shown = ", ".join(f"{tag} → {revision[:12]}" for tag, revision in listing.tags.items())
        rows.append((listing.name, str(len(listing.revisions)), shown))
    print_columns(*([row] for row in rows))


@app.command()
def info(model: ModelArgument, hub: HubOption = None, as_json: JsonOption = False) -> None:
    """Show what is stored of a model.

    Its class, arguments, metadata, weights and files; nothing is built.
    """
    found = inspecting.info(model, hub=hub)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    print_columns(
        [
            ("revision", found.revision or "none: the directory has no manifest"),
            ("path", str(found.path)),
            ("class", f"{found.cls or 'none'} (version {found.class_version})"),
            ("backend", found.backend or "none"),
        ],
        ((f"params.{key}", as_written(value)) for key, value in found.params.items()),
        ((f"metadata.{key}", as_written(value)) for key, value in found.metadata.items()),
        ((f"classes.{task}", as_written(list(names))) for task, names in found.classes.items()),
        (
            (f"version.{name}", f"stored with {stored}, {installed} is installed")
            for name, (stored, installed) in found.version_changes.items()
        ),
        (
            (name, f"{weight.dtype} {list(weight.shape)}  {weight.native}")
            for name, weight in found.weights.items()
        ),
        ((name, f"{size:,} bytes") for name, size in found.files.items()),
    )


@app.command()
def verify(model: ModelArgument, hub: HubOption = None) -> None:
    """Hash every file of a model and check it."""
    source = inspecting.verify(model, hub=hub)
    out.print(f"[green]verified[/]  {plain(model)}  revision {source.revision}")


@app.command()
def check_golden(model: ModelArgument, hub: HubOption = None, as_json: JsonOption = False) -> None:
    """Check a model's outputs for golden inputs.

    The model computes them again. The exit code is 1 if they differ from the stored outputs by more
    than the stored tolerance.
    """
    result = inspecting.check_golden(model, hub=hub)
    if as_json:
        print_json(dataclasses.asdict(result))
    else:
        verdict = "[green]passed[/]" if result.passed else "[red]failed[/]"
        out.print(
            f"{verdict}  {result.rows} rows, largest difference {result.max_difference:.3g} "
            f"(allowed: {result.atol:g} + {result.rtol:g} · |stored|)"
        )
    if not result.passed:
        raise typer.Exit(NO)


@app.command()
def pull(model: ModelArgument, hub: HubOption = None) -> None:
    """Fetch a model of a remote hub, so that it loads without the network.

    What has arrived stays if this is interrupted, and the next call goes on.
    """
    with progress() as report:
        source = managing.pull(model, hub=hub, report=report)
    out.print(f"[green]fetched[/]  {plain(model)}  revision {source.revision}")
    out.print(plain(str(source.path)))


@app.command()
def index(
    directory: Annotated[str, typer.Argument(help="The hub, which a web server serves.")],
) -> None:
    """Write the list of a hub's models that readers on the web need to list them."""
    out.print(plain(str(write_index(directory))))


@app.command()
def publish(
    directory: Annotated[str, typer.Argument(help="A model directory, as dc_hub.save writes it.")],
    name: Annotated[str, typer.Argument(help="Its name in the hub: 'net' or 'lab/net'.")],
    tag: Annotated[
        list[str] | None, typer.Option(help="A tag to point at this revision; repeat for more.")
    ] = None,
    move_main: Annotated[bool, typer.Option(help="Move the tag 'main' too, or leave it.")] = True,
    hub: HubOption = None,
) -> None:
    """Publish a model directory to a hub.

    Every file is verified first. The tag 'main' moves to the new revision, and so does each --tag.
    """
    published = directories.publish_directory(
        directory, name, hub=hub, tag=tag or (), move_main=move_main
    )
    out.print(f"[green]published[/]  {plain(name)}  revision {published.revision}")
    out.print(plain(str(published.path)))


@app.command()
def diff(
    before: ModelArgument, after: ModelArgument, hub: HubOption = None, as_json: JsonOption = False
) -> None:
    """Show how two stored models differ.

    The exit code is 1 if they do.
    """
    found = difference.diff(before, after, hub=hub)
    if as_json:
        print_json(dataclasses.asdict(found))
    elif found.identical:
        out.print("[green]equal[/]: the same class, arguments, metadata and weights")
    else:
        print_columns(
            *(
                (
                    (change.where, f"{_side(change.before)} → {_side(change.after)}")
                    for change in changes
                )
                for changes in (found.record, found.weights)
            )
        )
    if not found.identical:
        raise typer.Exit(NO)


@app.command()
def rm(
    model: Annotated[
        str, typer.Argument(metavar="NAME[@REVISION]", help="A model, or one revision of it.")
    ],
    remove_tags: Annotated[
        bool,
        typer.Option("--remove-tags", help="Delete the tags that point at the revision as well."),
    ] = False,
    yes: YesOption = False,
    hub: HubOption = None,
) -> None:
    """Remove a model, or one revision of it.

    A name alone removes all revisions and all tags of the model. A revision that tags point at is
    removed only with --remove-tags.
    """
    if not yes:
        _confirm_removal(model, hub)
    removed = managing.rm(model, hub=hub, remove_tags=remove_tags)
    for revision in removed:
        out.print(f"[green]removed[/]  {plain(model)}  revision {revision}")


def _confirm_removal(model: str, hub: str | None) -> None:
    """Say what would be removed, and abort unless the answer is yes."""
    reference = parse(model)
    if reference.directory is None:
        where = open_hub(hub)
        if reference.revision is not None:
            target = where.resolve(reference.name, reference.revision).revision
            question = f"Remove revision {target} of {reference.name}?"
        else:
            revisions, tagged = where.revisions(reference.name), where.tags(reference.name)
            count = f"{len(revisions)} revision{'s' if len(revisions) != 1 else ''}"
            question = f"Remove {reference.name}: {count}, tags {', '.join(tagged) or 'none'}?"
        typer.confirm(question, abort=True, err=True)


@tags.command("list")
def list_tags(name: NameArgument, hub: HubOption = None, as_json: JsonOption = False) -> None:
    """List the tags and the revisions they point at."""
    found = managing.list_tags(name, hub=hub)
    if as_json:
        print_json(found)
    else:
        print_columns(*([pair] for pair in found.items()))


@tags.command("set")
def set_tag(target: TargetArgument, tag: TagArgument, hub: HubOption = None) -> None:
    """Point a new tag at a revision."""
    _print_tag(tag, managing.set_tag(target, tag, hub=hub).revision)


@tags.command("move")
def move_tag(
    target: TargetArgument,
    tag: TagArgument,
    expected: ExpectedOption = None,
    hub: HubOption = None,
) -> None:
    """Move a tag to another revision.

    It is not moved if another process moves it meanwhile.
    """
    _print_tag(tag, managing.move_tag(target, tag, hub=hub, expected=expected).revision)


@tags.command("delete")
def delete_tag(
    name: NameArgument,
    tag: TagArgument,
    expected: ExpectedOption = None,
    yes: YesOption = False,
    hub: HubOption = None,
) -> None:
    """Delete a tag; its revision is kept.

    Without the tag main, the name of the model alone refers to nothing, so this asks first.
    """
    if tag == MAIN and not yes:
        question = f"Delete the tag {MAIN}, which {name} without a revision refers to?"
        typer.confirm(question, abort=True, err=True)
    managing.delete_tag(name, tag, hub=hub, expected=expected, force=True)
    out.print(f"[green]deleted[/]  {plain(tag)}")


def main() -> None:
    """Run the command; an error is printed as one line and the next step, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", HubWarning)
            warnings.showwarning = _show_warning
            app(prog_name="dc-hub")
    except DCError as error:
        err.print(f"[red]{type(error).__name__}[/]: {plain(str(error.args[0]))}")
        if error.hint:
            err.print(plain(error.hint), style="dim")
        raise SystemExit(ERROR) from None


def _print_tag(tag: str, revision: str) -> None:
    out.print(f"{plain(tag)} → {revision}")


def _side(value: Any) -> str:
    """Return one side of a change, cut so that the other side stays in sight."""
    return cut(as_written(value), MAX_TEXT // 3)


def _show_warning(message: Warning | str, *details: Any, **more: Any) -> None:
    err.print(f"[yellow]warning[/]: {plain(str(message))}")
