"""Commands that read: list, describe, verify, check and compare models."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from dc_hub.command.exit_codes import NO
from dc_hub.command.options import HubOption, JsonOption, ModelArgument
from dc_hub.command.printing import (
    MAX_TEXT,
    counted,
    counting,
    cut,
    out,
    plain,
    print_columns,
    print_json,
)
from dc_hub.command.signing import signature_row
from dc_hub.format.written import as_written
from dc_hub.hubs import managing
from dc_hub.hubs.locating import place
from dc_hub.hubs.opening import open_hub
from dc_hub.inspecting import difference, verification
from dc_hub.inspecting import models as inspecting
from dc_hub.inspecting.signatures import signatures_in


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


def info(model: ModelArgument, hub: HubOption = None, as_json: JsonOption = False) -> None:
    """Show the record of a model.

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
        map(signature_row, found.signatures),
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


def verify(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Names, name@revision, or ./directories."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All revisions of all models of the hub.")
    ] = False,
    cache: Annotated[bool, typer.Option("--cache", help="All models in the cache.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Fetch again what is damaged in the cache.")
    ] = False,
    hub: HubOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hash every file of models and check them, and their signatures.

    Of several models, all that are damaged, or lack the signatures that the trust policy requires,
    are listed, and then the exit code is 1.
    """
    names = models or []
    if not names and not everything and not cache:
        raise typer.BadParameter("Give the models, or --all, or --cache.")
    if len(names) == 1 and not (everything or cache or repair):
        _verify_one(names[0], hub, as_json)
        return
    found = []
    with counting("verified") as report:
        if names or everything:
            found += verification.verify_models(
                names, hub=hub, everything=everything, repair=repair, report=report
            )
        if cache:
            found += verification.verify_cache(hub=hub, repair=repair, report=report)
    if as_json:
        print_json([dataclasses.asdict(model) | {"intact": model.intact} for model in found])
    else:
        for model in found:
            _print_verified(model)
    if not all(model.intact for model in found):
        raise typer.Exit(NO)


def _verify_one(model: str, hub: HubOption, as_json: bool) -> None:
    source = inspecting.verify(model, hub=hub)
    signed = signatures_in(source, place(model, hub))
    if as_json:
        facts = {"name": source.name, "revision": source.revision, "path": str(source.path)}
        print_json({**facts, "signatures": list(map(dataclasses.asdict, signed))})
        return
    out.print(f"[green]verified[/]  {plain(model)}  revision {source.revision}")
    print_columns(map(signature_row, signed))


def _print_verified(model: verification.Verified) -> None:
    name = plain(model.name or model.path)
    if model.intact:
        done = "repaired" if model.repaired else "verified"
        out.print(f"[green]{done}[/]  {name}  revision {model.revision}")
    else:
        out.print(f"[red]failed[/]  {name}  revision {model.revision or 'unknown'}")
        out.print(f"  {plain(model.error)}")


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
            f"{verdict}  {counted(result.rows, 'row')}, "
            f"largest difference {result.max_difference:.3g} "
            f"(allowed: {result.atol:g} + {result.rtol:g} · |stored|)"
        )
    if not result.passed:
        raise typer.Exit(NO)


def diff(
    before: ModelArgument,
    after: ModelArgument,
    hub: HubOption = None,
    fetch: Annotated[
        bool,
        typer.Option("--fetch", help="Fetch models of remote hubs, to compare all values."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show how two stored models differ.

    The weights of models in remote hubs are compared by their digests. The exit code is 1 if the
    models differ.
    """
    found = difference.diff(before, after, hub=hub, fetch=fetch)
    if as_json:
        print_json(dataclasses.asdict(found))
    elif found.identical:
        out.print("[green]equal[/]: the same class, arguments, metadata and weights")
    else:
        print_columns(
            (
                (change.where, f"{_sides(change)}{_step(change.before, change.after)}")
                for change in found.record
            ),
            ((change.where, f"{_sides(change)}{_distance(change)}") for change in found.weights),
        )
    if not found.identical:
        raise typer.Exit(NO)


def _sides(change: difference.Change | difference.WeightChange) -> str:
    """Return both sides of a change, each cut so that the other stays in sight."""
    before, after = (cut(as_written(v), MAX_TEXT // 3) for v in (change.before, change.after))
    return f"{before} → {after}"


def _step(before: Any, after: Any) -> str:
    """Return by how much a number changed, such as a metric."""
    if not all(type(value) in (int, float) for value in (before, after)):
        return ""
    return f"  ({after - before:+.4g})"


def _distance(change: difference.WeightChange) -> str:
    """Return by how much the values of a weight differ, as far as it is known."""
    if change.unread:
        return ", perhaps other values (--fetch compares them)"
    if change.differing is None:
        return ""
    return (
        f", {change.differing} of {change.size} values differ, by up to {change.largest:.3g}; "
        f"norm {change.norm_before:.4g} → {change.norm_after:.4g}, "
        f"of the difference {change.norm_of_difference:.3g}"
    )
