"""Commands that convert files of other programs, and write models out of a hub."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from dc_hub.command.options import HubOption, JsonOption, ModelArgument
from dc_hub.command.printing import cut, out, plain, print_columns, print_json
from dc_hub.converting import models
from dc_hub.errors import ParamsError
from dc_hub.files.urls import local_path
from dc_hub.format import strict_json, values
from dc_hub.format.written import as_written
from dc_hub.publishing import exporting

_MAX_FACT = 200


def convert(
    file: Annotated[str, typer.Argument(help="A file that another program has written.")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="DIRECTORY", help="Save it there.")
    ] = None,
    publish: Annotated[
        str | None, typer.Option(metavar="NAME", help="Publish it to the hub under this name.")
    ] = None,
    cls: Annotated[
        str | None,
        typer.Option("--class", metavar="CLASS", help="A registered class that takes the weights."),
    ] = None,
    params: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="The arguments of the class, as in params.json."),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW",
            help="Another name for a weight, or for the beginning of many ('encoder.='); repeat "
            "for more.",
        ),
    ] = None,
    omit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Leave out a weight, or the beginning of many."),
    ] = None,
    metadata: Annotated[
        str | None, typer.Option(metavar="JSON", help="An object: task, units, licence, …")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="A tag to point at this revision; repeat for more.")
    ] = None,
    move_main: Annotated[bool, typer.Option(help="Move the tag 'main' too, or leave it.")] = True,
    trust: Annotated[
        bool,
        typer.Option(
            "--i-trust-this-file", help="Read it even if that can execute code in the file."
        ),
    ] = False,
    kind: Annotated[
        str, typer.Option(help="The converter to use, if the file is not recognized.")
    ] = "",
    timeout: Annotated[float, typer.Option(help="Seconds after which reading is given up.")] = 600,
    hub: HubOption = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a file of another program to a model, without executing anything of it.

    Checkpoints and state dicts of PyTorch, DeepChem and Chemprop; .keras files; scikit-learn
    estimators that skops or joblib stored. The file is read in a confined process. What is a pickle
    can execute code when it is read: it takes --i-trust-this-file.
    """
    where = publish if output is None else local_path(output)
    if where is None or (output is not None and publish is not None):
        raise ParamsError(
            "The model goes to a directory or to a hub, and one of the two is to be given.",
            path="output",
            hint="Give -o DIRECTORY, or --publish NAME.",
        )
    result = models.convert(
        file,
        where,
        cls=cls,
        params=None if params is None else _arguments(params),
        rename=dict(_pair(text) for text in rename or ()),
        omit=omit or (),
        metadata=None if metadata is None else _object(metadata, "--metadata"),
        trust=trust,
        kind=kind,
        hub=hub,
        tag=tag or (),
        move_main=move_main,
        timeout=timeout,
    )
    if as_json:
        print_json(dataclasses.asdict(result))
        return
    out.print(f"[green]converted[/]  {plain(file)}")
    print_columns(
        [
            ("recognized", f"{result.recognized}: {result.what}"),
            ("sha256", result.sha256),
            ("class", result.cls or _how_to_use(result)),
            ("weights", f"{result.weights:,}"),
        ],
        (
            (f"facts.{name}", cut(as_written(value), _MAX_FACT))
            for name, value in result.facts.items()
        ),
        ((f"left out: {name}", reason) for name, reason in result.omitted.items()),
        [
            ("revision", result.model.revision),
            ("path", str(result.model.path)),
            ("confined by", ", ".join(result.confined_by)),
        ],
    )


def export(
    model: ModelArgument,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="PATH", help="Where to write it.")
    ],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            "--to",
            metavar="FORMAT",
            help="directory: the whole model; onnx: what it predicts, for other programs; "
            "safetensors, npz: its weights, in one file.",
        ),
    ] = "directory",
    inputs: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.npy",
            help="Rows of X to check the ONNX model with; by default the golden inputs.",
        ),
    ] = None,
    hub: HubOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a model out of a hub: a verified copy with its signatures, its weights, or ONNX."""
    exported = exporting.export(
        model,
        local_path(output),
        format=form,  # type: ignore[arg-type]
        inputs=None if inputs is None else _read_npy(local_path(inputs)),
        hub=hub,
    )
    if as_json:
        print_json(dataclasses.asdict(exported))
        return
    out.print(f"[green]exported[/]  {plain(model)}  revision {exported.revision or 'none'}")
    out.print(plain(str(exported.path)))


def _read_npy(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ParamsError(
            f"{path} cannot be read as an array: {error}",
            path="inputs",
            hint="Write it with np.save(path, X).",
        ) from error
    return array


def _arguments(text: str) -> dict[str, Any]:
    """Return the arguments of a class from JSON, in which tags may stand for other values."""
    return {
        key: values.decode(value, path=key, arrays={}, build=_no_objects)
        for key, value in _object(text, "--params").items()
    }


def _no_objects(kind: str, body: Any, where: str) -> Any:
    raise ParamsError(
        f"{where} is a {kind}, which cannot be given on the command line.",
        path=where,
        hint="Use dc_hub.convert in Python.",
    )


def _how_to_use(result: models.Conversion) -> str:
    if result.backend is None:
        return "none: dc_hub.read_tensors reads the weights"
    return "none: dc_hub.load_weights(..., into=object) takes the weights"


def _object(text: str, what: str) -> dict[str, Any]:
    value = strict_json.loads(text.encode(), what=what)
    if type(value) is not dict:
        raise ParamsError(
            f"{what} is not a JSON object.", path=what, hint="Write it as '{\"n_tasks\": 1}'."
        )
    return value


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not old or not equals:
        raise ParamsError(
            f"--rename {text!r} is not of the form OLD=NEW.", path=text, hint="Write 'old.=new.'."
        )
    return old, new
