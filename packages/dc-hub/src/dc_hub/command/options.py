"""The arguments and options that commands share."""

from __future__ import annotations

from typing import Annotated

import typer

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
    list[str] | None,
    typer.Option(
        "--hub",
        metavar="HUB",
        help="The hub: a directory, or the URL of one; repeat for several in order.",
    ),
]
LockOption = Annotated[str, typer.Option("--lock", metavar="FILE", help="The file of pins.")]
OptionalLockOption = Annotated[
    str | None, typer.Option("--lock", metavar="FILE", help="Fetch all that this file pins.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, complete and on one line.")]
