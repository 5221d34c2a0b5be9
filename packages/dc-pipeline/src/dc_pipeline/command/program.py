"""``dc-pipeline``: from a file to a model, and from a model to predictions, in a terminal.

The exit code is 0 on success, 1 if the answer is no (a run that was repeated gave another model),
2 for wrong usage and every error, and 130 after Ctrl-C.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from dc_core import DCError, Estimator, FailureReport, engines
from dc_pipeline.command import printing
from dc_pipeline.command.components import ROLES, Spec, make, names_of, parameters_of
from dc_pipeline.command.configuration import (
    EXAMPLE,
    Data,
    Run,
    absolute,
    given_table,
    override,
    read_toml,
)
from dc_pipeline.command.printing import Narrator, err, out, plain, print_json, print_rows

NO = 1
ERROR = 2
INTERRUPTED = 130

app = typer.Typer(
    help="From a file of molecules to a model, and from a model to predictions.",
    epilog="A component is a name and parameters: 'ecfp:size=1024,radius=3'. MODEL is a name in a "
    "hub ('lab/net', 'lab/net@v2') or a directory ('./result/model'). "
    "Exit codes: 0 success, 1 the answer is no, 2 an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

FileArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="A file or URL (.csv .tsv .smi .sdf .parquet .jsonl .fasta, also .gz and .zst), or a "
        "directory that featurize wrote.",
    ),
]
ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A name, name@revision, or ./directory.")
]
FormatOption = Annotated[
    str, typer.Option(metavar="NAME", help="The file's format, if its ending does not say it.")
]
InputsOption = Annotated[
    str,
    typer.Option(
        "--smiles", "--inputs", metavar="COLUMN", help="The column of the inputs.  [smiles]"
    ),
]
TasksOption = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="A column of labels; repeat for more."),
]
IdOption = Annotated[str, typer.Option(metavar="COLUMN", help="The column of the rows' names.")]
WeightsOption = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="A column of weights; repeat for one for each task."),
]
ClassesOption = Annotated[
    list[str] | None,
    typer.Option(metavar="TASK", help="A task whose labels are names; repeat for more."),
]
DelimiterOption = Annotated[
    str, typer.Option(metavar="CHARACTER", help="What is between the fields of a CSV file.  [,]")
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Fail if any row or label cannot be used.")
]
EngineOption = Annotated[
    str,
    typer.Option(metavar="NAME", help="What runs the work: processes, serial, ray or dask."),
]
WorkersOption = Annotated[
    int | None, typer.Option(metavar="N", help="How many processes.  [one for each CPU]")
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Give up an input after so long without a sign of life."),
]
SeedOption = Annotated[int | None, typer.Option(metavar="N", help="The seed.  [0]")]
HubOption = Annotated[
    str, typer.Option(metavar="DIRECTORY", help="The hub: a directory or its file:// URL.")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print no progress, only results and problems.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, complete and on one line.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"dc-pipeline {metadata.version('dc-pipeline')}")
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
def featurize(
    file: FileArgument,
    featurizer: Annotated[str, typer.Option(metavar="COMPONENT", help="Such as 'ecfp:size=1024'.")],
    directory: Annotated[
        str, typer.Option("--out", metavar="DIRECTORY", help="Where the features go.")
    ],
    format: FormatOption = "",
    inputs: InputsOption = "",
    tasks: TasksOption = None,
    id: IdOption = "",
    weights: WeightsOption = None,
    classes: ClassesOption = None,
    delimiter: DelimiterOption = "",
    strict: StrictOption = False,
    engine: EngineOption = "processes",
    workers: WorkersOption = None,
    timeout: TimeoutOption = None,
    shard_rows: Annotated[int, typer.Option(metavar="N", help="Rows in a piece of work.")] = 2048,
    retries: Annotated[int, typer.Option(metavar="N", help="Tries after a crash.")] = 1,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Featurize a file of any size into a dataset on disk.

    Rows that fail are reported and do not stop the others. The same command goes on where one was
    interrupted, on any engine.
    """
    from dc_pipeline.command.reading import loader_for, stored_dataset
    from dc_pipeline.scale.featurizing import featurize as run

    data = _data(file, format, inputs, tasks, id, weights, classes, delimiter)
    made = make("featurizer", Spec.parse(featurizer)).component
    stored = stored_dataset(data)
    narrator = Narrator(quiet=quiet)
    with _interruptible("What is finished is kept: the same command goes on from there."):
        narrator.say(f"reading {file}")
        with narrator.progress("featurizing") as progress:
            dataset, failures = run(
                data.path if stored is None else stored,
                made,
                directory,
                loader=loader_for(data) if stored is None else None,
                engine=_engine(engine, workers),
                shard_rows=shard_rows,
                retries=retries,
                timeout=timeout,
                progress=progress,
                strict=strict,
            )
    report = Path(directory) / "failures.jsonl"
    if as_json:
        print_json(
            {
                "directory": directory,
                "rows": len(dataset),
                "failed": printing.counts_of(failures),
                "report": str(report),
            }
        )
        return
    printing.print_counts(failures, report)
    out.print(plain(f"featurized  {len(dataset):,} rows  {directory}"))


@app.command()
def split(
    file: FileArgument,
    directory: Annotated[
        str, typer.Option("--out", metavar="DIRECTORY", help="A new directory for the split.")
    ],
    splitter: Annotated[
        str, typer.Option(metavar="COMPONENT", help="Such as 'scaffold:fractions=[0.7,0.1,0.2]'.")
    ] = "random",
    format: FormatOption = "",
    inputs: InputsOption = "",
    tasks: TasksOption = None,
    id: IdOption = "",
    weights: WeightsOption = None,
    classes: ClassesOption = None,
    delimiter: DelimiterOption = "",
    seed: SeedOption = None,
    files: Annotated[
        bool, typer.Option("--files", help="Write train.csv, valid.csv and test.csv too.")
    ] = False,
    strict: StrictOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Divide a file into train, valid and test, and report what the parts share.

    The row numbers of the parts are in split.json, for train --split; the report is in
    leakage.json, and the rows that could not be read in failures.jsonl.
    """
    from dc_pipeline.command import splitting
    from dc_pipeline.command.reading import read
    from dc_pipeline.command.writing import new_directory, write_json
    from dc_pipeline.disk.failures import FAILURES, append_failures, failures_file
    from dc_pipeline.splitters.leakage import leakage

    data = _data(file, format, inputs, tasks, id, weights, classes, delimiter)
    made = make("splitter", Spec.parse(splitter), seed=seed or 0)
    narrator = Narrator(quiet=quiet)
    with _interruptible("Nothing was written."), new_directory(Path(directory)) as unfinished:
        narrator.say(f"reading {file}")
        rows = read(data, strict=strict)
        content = splitting.split_content(rows, made.component, made.spec.table())
        write_json(unfinished / splitting.SPLIT, content)
        narrator.say("comparing the parts")
        parts = made.component.split(rows.dataset)
        found = leakage(parts)
        write_json(unfinished / "leakage.json", splitting.leakage_content(found))
        with failures_file(unfinished) as report:
            append_failures(report, rows.failures)
        for name, part in zip(splitting.PARTS, parts, strict=True) if files else ():
            splitting.write_part(unfinished / f"{name}.csv", part, data.inputs or "smiles")
    sizes = {name: len(part) for name, part in zip(splitting.PARTS, parts, strict=True)}
    failures = FailureReport(tuple(rows.failures))
    if as_json:
        print_json(
            {
                "directory": directory,
                "rows": sizes,
                "failed": printing.counts_of(failures),
                "leakage": splitting.leakage_content(found),
            }
        )
        return
    printing.print_counts(failures, Path(directory) / FAILURES)
    print_rows(splitting.leakage_rows(found))
    shown = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
    out.print(plain(f"split  {shown}  {directory}"))


@app.command()
def train(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN.toml]", help="What to do; flags replace what it says."),
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Print a commented RUN.toml and exit.")
    ] = False,
    data: Annotated[str, typer.Option(metavar="FILE", help="The file to learn from.")] = "",
    format: FormatOption = "",
    inputs: InputsOption = "",
    tasks: TasksOption = None,
    id: IdOption = "",
    weights: WeightsOption = None,
    classes: ClassesOption = None,
    delimiter: DelimiterOption = "",
    splitter: Annotated[
        str, typer.Option(metavar="COMPONENT", help="Such as 'scaffold'.  [random]")
    ] = "",
    split: Annotated[
        str, typer.Option(metavar="DIRECTORY", help="A split that dc-pipeline split made.")
    ] = "",
    featurizer: Annotated[
        str, typer.Option(metavar="COMPONENT", help="Such as 'ecfp:size=1024'.")
    ] = "",
    transformers: Annotated[
        list[str] | None,
        typer.Option(
            "--transformer", metavar="COMPONENT", help="Such as 'normalization'; repeat for more."
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(metavar="COMPONENT", help="Such as 'sklearn/Ridge:alpha=0.5'."),
    ] = "",
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="COMPONENT", help="Such as 'rmse'; repeat for more."),
    ] = None,
    seed: SeedOption = None,
    directory: Annotated[
        str, typer.Option("--out", metavar="DIRECTORY", help="A new directory for the result.")
    ] = "",
    report: Annotated[
        bool, typer.Option("--report", help="Write report.html beside the model, too.")
    ] = False,
    publish: Annotated[
        str, typer.Option(metavar="NAME", help="Publish the model to a hub, too.")
    ] = "",
    hub: HubOption = "",
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Such as model.learning_rate=0.01."),
    ] = None,
    strict: StrictOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model on a file, score it, and store it with all that is needed to repeat it.

    The result has its own run.toml: dc-pipeline train result/run.toml repeats the run and says
    whether the model is the same bit for bit; if it is not, the exit code is 1.
    """
    from dc_pipeline.command.training import train as train_run

    if example:
        out.file.write(EXAMPLE)
        return
    content = {} if run is None else read_toml(run)
    given: dict[str, Any] = {
        "splitter": splitter,
        "split": absolute(split),
        "featurizer": featurizer,
        "transformers": transformers,
        "model": model,
        "metrics": metrics,
        "seed": seed,
        "out": absolute(directory),
        "publish": publish,
        "hub": absolute(hub),
        "report": report or None,
        "strict": strict or None,
    }
    read_from = {
        "path": absolute(data),
        "format": format,
        "inputs": inputs,
        "tasks": tasks,
        "id": id,
        "weights": weights,
        "classes": classes,
        "delimiter": delimiter,
    }
    _update(content, given)
    if any(value not in (None, "") for value in read_from.values()):
        _update(given_table("data", content.setdefault("data", {})), read_from)
    for assignment in assignments or ():
        override(content, assignment)
    with _interruptible("Nothing was written."):
        trained = train_run(Run.of(content), Narrator(quiet=quiet))
    record, changes = trained.record, trained.changes
    if as_json:
        print_json({"directory": str(trained.directory), **record, "changes": changes})
    else:
        _print_trained(trained.directory, record, trained.failures)
        if changes is not None:
            _print_changes(changes, record["revision"])
    if changes:
        raise typer.Exit(NO)


@app.command()
def tune(
    run: Annotated[
        Path, typer.Argument(metavar="RUN.toml", help="A run with a table of what to tune.")
    ],
    directory: Annotated[
        str, typer.Option("--out", metavar="DIRECTORY", help="A new directory for the result.")
    ] = "",
    seed: SeedOption = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Such as tuning.folds=5."),
    ] = None,
    engine: EngineOption = "processes",
    workers: WorkersOption = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Give up a trial after so long."),
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tune the parameters of a run, and train the best.

    Trials run in parallel; the same command goes on where one was interrupted. The result is that
    of train with the best parameters, and has the trials in trials.jsonl.
    """
    from dc_pipeline.command.tuning import Tuning
    from dc_pipeline.command.tuning import tune as tune_run

    content = read_toml(run)
    _update(content, {"seed": seed, "out": absolute(directory)})
    for assignment in assignments or ():
        override(content, assignment)
    tuning = Tuning.of(content.pop("tuning", {}))
    options = {"engine": _engine(engine, workers), "timeout": timeout}
    with _interruptible("Finished trials are kept: the same command goes on from there."):
        result, trained = tune_run(Run.of(content), tuning, Narrator(quiet=quiet), options)
    if as_json:
        trials = [
            {
                "status": trial.status,
                "score": trial.score,
                "parameters": dict(trial.parameters),
                "message": trial.message,
            }
            for trial in result.trials
        ]
        print_json({"directory": str(trained.directory), **trained.record, "trials": trials})
        return
    for trial in result.trials:
        if trial.status not in ("ok", "pruned"):
            err.print(
                plain(f"trial {trial.number}: {trial.status}: {trial.message}"), style="yellow"
            )
    out.print(plain(str(result)))
    _print_trained(trained.directory, trained.record, trained.failures)


@app.command()
def predict(
    model: ModelArgument,
    file: FileArgument,
    table: Annotated[
        str, typer.Option("--out", metavar="FILE", help="The table to write: .parquet or .csv.")
    ],
    format: FormatOption = "",
    inputs: InputsOption = "",
    id: IdOption = "",
    delimiter: DelimiterOption = "",
    hub: HubOption = "",
    engine: EngineOption = "processes",
    workers: WorkersOption = None,
    timeout: TimeoutOption = None,
    shard_rows: Annotated[int, typer.Option(metavar="N", help="Rows in a piece of work.")] = 4096,
    retries: Annotated[int, typer.Option(metavar="N", help="Tries after a crash.")] = 1,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Predict for a file of any size, into a table with a row for each of its rows.

    Rows that fail have a status and a reason in the table. The same command goes on where one was
    interrupted, on any engine.
    """
    from dc_pipeline.command.reading import loader_for, stored_dataset
    from dc_pipeline.scale.predicting import predict_to

    data = _data(file, format, inputs, None, id, None, None, delimiter)
    stored = stored_dataset(data)
    loader = loader_for(data) if stored is None else None
    narrator = Narrator(quiet=quiet)
    with _interruptible("What is finished is kept: the same command goes on from there."):
        loaded = _load(model, hub)
        narrator.say(f"reading {file}")
        with narrator.progress("predicting") as progress:
            done = predict_to(
                loaded,
                data.path if stored is None else stored,
                table,
                loader=loader,
                engine=_engine(engine, workers),
                shard_rows=shard_rows,
                retries=retries,
                timeout=timeout,
                progress=progress,
            )
    failed = printing.counts_of(done.failures)
    if as_json:
        print_json({"table": str(done.path), "rows": done.rows, "failed": failed})
        return
    printing.print_counts(done.failures, f"the column status of {done.path}")
    out.print(plain(f"predicted  {done.rows - sum(failed.values()):,} rows  {done.path}"))


@app.command()
def evaluate(
    model: ModelArgument,
    file: FileArgument,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="COMPONENT", help="Such as 'rmse'; repeat for more."),
    ] = None,
    format: FormatOption = "",
    inputs: InputsOption = "",
    tasks: TasksOption = None,
    id: IdOption = "",
    weights: WeightsOption = None,
    classes: ClassesOption = None,
    delimiter: DelimiterOption = "",
    allow_train: Annotated[
        bool, typer.Option("--allow-train", help="Score rows that it was trained on, too.")
    ] = False,
    hub: HubOption = "",
    strict: StrictOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score a model on a file of inputs and labels.

    A pipeline refuses rows that it was trained on unless told --allow-train.
    """
    from dc_pipeline import training_rows
    from dc_pipeline.command.reading import in_source, read
    from dc_pipeline.command.training import usual_metrics

    data = _data(file, format, inputs, tasks, id, weights, classes, delimiter)
    scored_by = [make("metric", Spec.parse(text)).component for text in metrics or ()]
    narrator = Narrator(quiet=quiet)
    with _interruptible(""):
        loaded = _load(model, hub)
        narrator.say(f"reading {file}")
        rows = read(data, strict=strict)
        scored_by = scored_by or [made.component for made in usual_metrics(loaded, rows.dataset)]
        scores = training_rows.evaluate(loaded, rows.dataset, scored_by, allow_train=allow_train)
    found = FailureReport(tuple(in_source(getattr(loaded, "failures", ()), rows.numbers)))
    if strict:
        found.raise_if_any()
    failures = FailureReport((*rows.failures, *found))
    if as_json:
        print_json({"scores": scores, "failed": printing.counts_of(failures)})
        return
    for failure in failures[:10]:
        err.print(plain(str(failure)), style="yellow")
    printing.print_counts(failures, "above" if len(failures) <= 10 else "the first above")
    print_rows([("metric", "score"), *((name, f"{value:.4g}") for name, value in scores.items())])


@app.command()
def report(
    model: ModelArgument,
    file: FileArgument,
    page: Annotated[
        str, typer.Option("--out", metavar="FILE", help="The page to write.")
    ] = "report.html",
    split: Annotated[
        str,
        typer.Option(metavar="DIRECTORY", help="A split of the file, or the result of train."),
    ] = "",
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="COMPONENT", help="Such as 'rmse'; repeat for more."),
    ] = None,
    title: Annotated[str, typer.Option(metavar="TEXT", help="The title of the page.")] = "",
    units: Annotated[str, typer.Option(metavar="TEXT", help="The units of the labels.")] = "",
    format: FormatOption = "",
    inputs: InputsOption = "",
    tasks: TasksOption = None,
    id: IdOption = "",
    weights: WeightsOption = None,
    classes: ClassesOption = None,
    delimiter: DelimiterOption = "",
    hub: HubOption = "",
    strict: StrictOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Report how a model does on a file, in one HTML page that needs nothing else.

    It has the scores with intervals, figures, the molecules that were predicted worst, what the
    parts of the split have in common, and what failed.
    """
    from dc_pipeline.command.reading import read
    from dc_pipeline.command.splitting import stored_split
    from dc_pipeline.reporting.run import report as make_report

    data = _data(file, format, inputs, tasks, id, weights, classes, delimiter)
    scored_by = [make("metric", Spec.parse(text)).component for text in metrics or ()]
    narrator = Narrator(quiet=quiet)
    with _interruptible("Nothing was written."):
        loaded = _load(model, hub)
        narrator.say(f"reading {file}")
        rows = read(data, strict=strict)
        parts: Any = rows.dataset
        if split:
            parts = stored_split(Path(split), rows).split(rows.dataset)
        narrator.say("drawing")
        failures = FailureReport(tuple(rows.failures))
        make_report(
            *(loaded, parts, page),
            metrics=scored_by or None,
            failures=failures,
            title=title,
            units=units,
        )
    if as_json:
        print_json({"page": page, "failed": printing.counts_of(failures)})
        return
    printing.print_counts(failures, page)
    out.print(plain(f"reported  {page}"))


@app.command()
def components(
    role: Annotated[
        str, typer.Argument(metavar="[ROLE]", help=f"One of {', '.join(ROLES)}.  [all]")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """List the components that can be named, with their parameters.

    The estimators of scikit-learn, which are many, are named sklearn/<Class>.
    """
    if role and role not in ROLES:
        raise typer.BadParameter(f"{role!r} is not one of {', '.join(ROLES)}.")
    found = [
        (name, each, parameters_of(cls))
        for each in ([role] if role else ROLES)
        for name, cls in names_of(each)
    ]
    if as_json:
        names = ("name", "role", "parameters")
        print_json([dict(zip(names, line, strict=True)) for line in found])
        return
    print_rows([("component", "role", "parameters"), *found])


def main() -> None:
    """Run the command; an error is printed as one line and the next step, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with printing.warnings_on_one_line():
            app(prog_name="dc-pipeline")
    except DCError as error:
        err.print(plain(f"{type(error).__name__}: {error.args[0]}"), style="red")
        if error.hint:
            err.print(plain(error.hint), style="dim")
        raise SystemExit(ERROR) from None
    except OSError as error:
        err.print(plain(f"{type(error).__name__}: {error}"), style="red")
        raise SystemExit(ERROR) from None


@contextmanager
def _interruptible(then: str) -> Iterator[None]:
    """Print ``then`` on Ctrl-C: the state of the work."""
    try:
        yield
    except KeyboardInterrupt:
        err.print(plain(f"Interrupted. {then}".rstrip()), style="yellow")
        raise typer.Exit(INTERRUPTED) from None


def _data(
    file: str,
    format: str,
    inputs: str,
    tasks: list[str] | None,
    id: str,
    weights: list[str] | None,
    classes: list[str] | None,
    delimiter: str,
) -> Data:
    """Return how a file is read, from flags."""
    return Data(
        path=file,
        format=format,
        inputs=inputs,
        tasks=tuple(tasks or ()),
        id=id,
        weights=tuple(weights or ()),
        classes=tuple(classes or ()),
        delimiter=delimiter,
    )


def _update(content: dict[str, Any], given: dict[str, Any]) -> None:
    """Replace the settings that flags give."""
    content.update({key: value for key, value in given.items() if value not in (None, "")})


def _engine(name: str, workers: int | None) -> Any:
    """Return the engine ``name``, with so many ``workers`` if that is said."""
    return engines.engine(name) if workers is None else engines.engine(name, workers=workers)


def _load(model: str, hub: str) -> Estimator:
    """Return the stored model."""
    loaded: Estimator = Estimator.from_pretrained(model, **({"hub": hub} if hub else {}))
    return loaded


def _print_trained(directory: Path, record: Any, failures: Any) -> None:
    report = FailureReport(tuple(failures))
    printing.print_counts(report, directory / "failures.jsonl")
    names = list(dict.fromkeys(name for found in record["scores"].values() for name in found))
    parts = list(record["scores"])
    if parts:
        rows = [(n, *(f"{record['scores'][part][n]:.4g}" for part in parts)) for n in names]
        print_rows([("metric", *parts), *rows])
    model = os.path.join(".", printing.shown(directory / "model"))  # noqa: PTH118 - keeps the dot
    out.print(plain(f"trained  {model}  revision {record['revision']}"))


def _print_changes(changes: Any, revision: str) -> None:
    if not changes:
        out.print(f"repeated  the same model, bit for bit: revision {revision}")
        return
    out.print("repeated  the result differs:", style="red")
    for key, (before, now) in changes.items():
        out.print(plain(f"{key}: {before} → {now}"))
