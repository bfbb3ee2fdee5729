"""The commands that train: `demo`, `train` and `crossval`."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planetvision.cli.messages import finish
from planetvision.cli.options import (
    Columns,
    Out,
    Overwrite,
    Settings,
    join_inputs,
    parse_pairs,
    parse_weights,
    with_settings,
)
from planetvision.cli.output import show_evaluation, show_run
from planetvision.core.errors import SettingsError

if TYPE_CHECKING:
    from planetvision.classifiers import PlanetClassifier


RunData = Annotated[
    Path | None,
    typer.Argument(help="A folder with one subfolder per class, or a CSV, TSV or Parquet table."),
]
RunOut = Annotated[Path | None, typer.Option(help="New or empty folder for the results.")]
Resume = Annotated[
    Path | None,
    typer.Option(help="Folder of an interrupted run to resume with its data and settings."),
]


def demo(
    out: Out = Path("demo"),
    count: Annotated[int, typer.Option(help="Number of images.")] = 350,
    image_size: Annotated[int, typer.Option(help="Side of the images in pixels.")] = 224,
    seed: Annotated[int, typer.Option(help="Random seed of rendering and training.")] = 0,
    overwrite: Overwrite = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress bars.")] = False,
) -> None:
    """Render a data set, then train, evaluate, explain and predict on it."""
    from planetvision.workflows.demo import run_demo

    result = run_demo(
        out,
        count=count,
        image_size=image_size,
        seed=seed,
        overwrite=overwrite,
        progress=not quiet,
        say=typer.echo,
    )
    typer.echo("")
    show_evaluation(result.evaluation)
    negatives = sum(Path(path).parent.name == "negatives" for path in result.predictions.paths)
    typer.echo(
        f"\nfresh images: {result.fresh_right} of {len(result.predictions) - negatives} right; "
        f"{result.negatives_unknown} of {negatives} negatives called unknown; "
        f"total time {result.seconds:.0f} s"
    )
    typer.echo("\nLook at:")
    for name in (
        "predictions/collage.png",
        "run/report/report.html",
        "run/report/metrics.json",
        "run/history.png",
        "explanations",
        "run/model",
    ):
        typer.echo(f"  {result.folder / name}")


@with_settings()
def train(
    context: typer.Context,
    data: RunData = None,
    out: RunOut = None,
    resume: Resume = None,
    *,
    settings: Settings,
    init_from: Annotated[
        Path | None,
        typer.Option(help="Folder of a trained model to fine-tune from, instead of --weights."),
    ] = None,
    column: Columns = None,
    negatives: Annotated[
        list[str] | None,
        typer.Option(
            help="Negatives: images, a folder or a pattern that show none of the classes. May be "
            "repeated."
        ),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also log for TensorBoard, to OUT/tensorboard.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Train a classifier; writes OUT/model, OUT/history.csv, OUT/split.csv and OUT/report."""
    from planetvision.workflows.run import can_resume, resume_run, train_run

    folder = _check_run(context, data, out, resume)
    callbacks = []
    if tensorboard:
        from planetvision.training.callbacks import TensorBoardLogger

        callbacks.append(TensorBoardLogger(folder / "tensorboard"))
    with _explain_interrupt(context, folder, can_resume, is_new=resume is None):
        if resume is not None:
            run = resume_run(folder, callbacks=callbacks, progress=settings["progress"])
        else:
            run = train_run(
                _create_classifier(settings, folder, overwrite=overwrite),
                data,
                folder,
                columns=parse_pairs(column, "--column"),
                negatives=join_inputs(negatives),
                init_from=init_from,
                callbacks=callbacks,
                overwrite=overwrite,
            )
    show_run(run)
    finish()


@with_settings()
def crossval(
    context: typer.Context,
    data: RunData = None,
    out: RunOut = None,
    resume: Resume = None,
    folds: Annotated[int, typer.Option(help="Number of folds.")] = 5,
    keep_models: Annotated[bool, typer.Option(help="Keep the model of each fold.")] = True,
    *,
    settings: Settings,
    column: Columns = None,
    overwrite: Overwrite = False,
) -> None:
    """Cross-validate: train once per fold and test on the fold, so each image is tested once."""
    from planetvision.workflows.crossval import (
        can_resume_cross_validation,
        cross_validate,
        resume_cross_validation,
    )

    folder = _check_run(context, data, out, resume)
    say = typer.echo if settings["progress"] else None
    with _explain_interrupt(context, folder, can_resume_cross_validation, is_new=resume is None):
        if resume is not None:
            result = resume_cross_validation(folder, progress=settings["progress"], say=say)
        else:
            result = cross_validate(
                _create_classifier(settings, folder, overwrite=overwrite),
                data,
                folder,
                num_folds=folds,
                columns=parse_pairs(column, "--column"),
                keep_models=keep_models,
                overwrite=overwrite,
                say=say,
            )
    typer.echo(str(result))
    for score in result.scores:
        typer.echo(f"  {score}")
    typer.echo("")
    show_evaluation(result.evaluation)
    typer.echo(f"\npage: {folder / 'crossval.html'}")
    finish([row.error for row in result.evaluation.predictions.failed])


def _create_classifier(settings: Settings, folder: Path, *, overwrite: bool) -> PlanetClassifier:
    """Returns the classifier, after a check that its output folder is free."""
    from planetvision.classifiers import PlanetClassifier
    from planetvision.core.files import check_output

    check_output(folder, overwrite=overwrite)
    parsed: dict[str, Any] = {
        "weights": parse_weights(settings["weights"]),
        "class_map": parse_pairs(settings["class_map"], "--class"),
    }
    return PlanetClassifier(**{**settings, **parsed})


@contextlib.contextmanager
def _explain_interrupt(
    context: typer.Context, folder: Path, can_resume: Callable[..., bool], *, is_new: bool
) -> Iterator[None]:
    """Ends an interrupted command with the command that resumes it."""
    began = time.time()
    try:
        yield
    except KeyboardInterrupt:
        # Files of an earlier run that was to be overwritten do not count.
        if can_resume(folder, written_since=began if is_new else 0.0):
            words = ["planetvision", str(context.command.name), "--resume", str(folder)]
            typer.echo(f"\nInterrupted. Resume with: {shlex.join(words)}", err=True)
        else:
            typer.echo("\nInterrupted too early to resume. Start again.", err=True)
        raise typer.Exit(130) from None


def _check_run(
    context: typer.Context, data: Path | None, out: Path | None, resume: Path | None
) -> Path:
    """Returns the folder of the run, new or to be resumed."""
    if resume is None:
        if data is None or out is None:
            missing = [name for name, value in (("DATA", data), ("--out", out)) if value is None]
            command = f"planetvision {context.command.name}"
            raise SettingsError(
                f"A new run needs DATA and --out, got no {' and no '.join(missing)}. Write "
                f"`{command} DATA --out RUN`, or `{command} --resume RUN`."
            )
        return out
    sources = {
        parameter: context.get_parameter_source(str(parameter.name))
        for parameter in context.command.params
        if parameter.name not in ("resume", "progress", "tensorboard")
    }
    given = [
        parameter.opts[-1] if parameter.param_type_name == "option" else "DATA"
        for parameter, source in sources.items()
        if source is not None and source.name == "COMMANDLINE"
    ]
    if given:
        raise SettingsError(
            f"`--resume` takes the data and settings of the run, got {', '.join(given)} as well. "
            "Leave that out."
        )
    return resume
