"""``dc-hub``: list, inspect, verify, publish, tag and remove models from the command line.

The exit code is 0 on success, 1 if the answer is no (``diff`` found a difference, ``check-golden``
failed, a question was not answered with yes), 2 for wrong usage and every error, and 130 if it was
interrupted.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from contextlib import suppress
from importlib import metadata
from typing import Annotated, Any

import typer

from dc_core import DCError
from dc_hub.command import (
    bundling,
    carding,
    collecting,
    converting,
    diagnosing,
    fetching,
    locking,
    reading,
    relating,
    searching,
    showing,
    signing,
    tagging,
    writing,
)
from dc_hub.command.exit_codes import ERROR, INTERRUPTED, NO
from dc_hub.command.printing import err, out, plain
from dc_hub.errors import HubWarning

app = typer.Typer(
    help="Models in a hub: verified, readable by anyone, and never executable.",
    epilog="MODEL is a name ('lab/net'), a name and a revision ('lab/net@v2'), or a directory "
    "('./net'). The hub is --hub, else DEEPCHEM_MODEL_HUB, else a folder in your data folder. "
    "Exit codes: 0 success, 1 the answer is no, 2 an error.",
    no_args_is_help=True,
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
keys = typer.Typer(
    help="List, make, trust and remove keys for signatures.",
    epilog="The trust policy (trust.toml in your configuration folder, or the file that "
    "DEEPCHEM_TRUST names) says which hubs need whose signatures.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(keys, name="key")


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


for _command in (
    reading.ls,
    searching.search,
    reading.info,
    reading.verify,
    reading.check_golden,
    reading.diff,
    fetching.pull,
    locking.lock,
    bundling.bundle,
    bundling.unbundle,
    collecting.gc,
    writing.publish,
    signing.sign,
    carding.card,
    relating.lineage,
    converting.convert,
    converting.export,
    writing.rm,
    writing.index,
    showing.site,
    showing.serve,
    diagnosing.doctor,
):
    app.command()(_command)

for _name, _action in (
    ("list", tagging.list_tags),
    ("set", tagging.set_tag),
    ("move", tagging.move_tag),
    ("delete", tagging.delete_tag),
):
    tags.command(_name)(_action)

for _name, _key_action in (
    ("list", signing.list_keys),
    ("new", signing.new_key),
    ("trust", signing.trust_key),
    ("remove", signing.remove_key),
):
    keys.command(_name)(_key_action)


def main() -> None:
    """Run the command; an error is printed as one line and the next step, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", HubWarning)
            warnings.showwarning = _show_warning
            try:
                app(prog_name="dc-hub")
            finally:
                out.file.flush()
    except SystemExit as ended:
        if ended.code != INTERRUPTED:
            raise
        os._exit(INTERRUPTED)  # threads may be waiting for a server, for minutes
    except DCError as error:
        err.print(f"[red]{type(error).__name__}[/]: {plain(str(error.args[0]))}")
        if error.hint:
            err.print(plain(error.hint), style="dim")
        raise SystemExit(ERROR) from None
    except BrokenPipeError:
        _drop_output()
        raise SystemExit(NO) from None
    except OSError as error:  # of the output: files and networks have errors of their own
        _drop_output()
        err.print(f"[red]{type(error).__name__}[/]: {plain(str(error))}")
        raise SystemExit(ERROR) from None


def _drop_output() -> None:
    """Discard the rest of the output, so that the interpreter does not try to write it again."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_warning(message: Warning | str, *details: Any, **more: Any) -> None:
    err.print(f"[yellow]warning[/]: {plain(str(message))}")
