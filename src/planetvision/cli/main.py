"""The `planetvision` command: thin, with the names of the library."""

from __future__ import annotations

import logging
import shlex
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from planetvision.core.errors import (
    DataWarning,
    PlanetVisionError,
    PlanetVisionWarning,
    SettingsError,
    UnknownNameError,
    count,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="planetvision",
    help="Tells which body of the solar system an image shows.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Make and look at data.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")
blind_app = typer.Typer(
    help="Test a model on images under random names.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(blind_app, name="blind")

_SHOWN_ROWS = 20
_SHOWN_NAMES = 4
# The options of `train` and `crossval` that the classifier calls by the same name.
_PLAIN_OPTIONS = (
    "backbone",
    "recipe",
    "head",
    "scheduler",
    "image_size",
    "tta",
    "batch_size",
    "group_duplicates",
    "cache",
    "cache_gigabytes",
    "novelty_score",
    "rejection_rate",
    "max_minutes",
    "compile",
    "device",
    "num_workers",
    "tuning",
)
_CHOICES = ("framing", "stretch", "on_error", "precision")
# The warnings of ours that this call has printed: what was left out decides the exit code.
_shown: list[type[Warning]] = []


class Precision(str, Enum):
    """The values of --precision."""

    auto = "auto"
    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"


class OnError(str, Enum):
    """The values of --on-error."""

    stop = "raise"
    skip = "skip"


class Framing(str, Enum):
    """The values of --framing."""

    letterbox = "letterbox"
    body = "body"
    squash = "squash"
    center_crop = "center_crop"


class Stretch(str, Enum):
    """The values of --stretch."""

    linear = "linear"
    percentile = "percentile"
    asinh = "asinh"
    zscale = "zscale"


Model = Annotated[Path, typer.Argument(help="The model's folder.", show_default=False)]
ModelAndInputs = Annotated[
    list[str],
    typer.Argument(
        metavar="[MODEL] IMAGES...",
        help="Images, folders or glob patterns; before them a model's folder, or the released "
        "model answers.",
        show_default=False,
    ),
]
ModelAndData = Annotated[
    list[str],
    typer.Argument(
        metavar="[MODEL] DATA",
        help="A folder with a folder a class, or with train/, val/, test/ of those; or a CSV, TSV "
        "or Parquet file. Before it a model's folder, or the released model is judged.",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option(help="A new or empty folder for the results.")]
GroupDuplicates = Annotated[bool, typer.Option(help="Keep near-copies of an image in one part.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files in the output folder.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Arithmetic = Annotated[Precision, typer.Option("--precision", help="Arithmetic of the network.")]
Tuning = Annotated[
    str, typer.Option(help="Levers of this machine, joined by +; all, none; see `doctor`.")
]
Data = Annotated[
    Path,
    typer.Argument(
        help="A folder with a folder a class, or with train/, val/, test/ of those; or a CSV, TSV "
        "or Parquet file.",
        show_default=False,
    ),
]
Columns = Annotated[
    Optional[list[str]],  # noqa: UP045 - Typer on Python 3.10
    typer.Option(
        "--column",
        help="A table's column, as path=FILE or label=BODY, or split= to leave it out; by default "
        "guessed. May be repeated.",
    ),
]
ClassMap = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--class",
        help="Another name of a class, as LUNA=MOON; LUNA= drops it. May be repeated.",
    ),
]
StretchOption = Annotated[
    Stretch, typer.Option(help="How images of more than 8 bits a channel are brought to 8.")
]
RejectionRate = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(
        help="The share of images of known bodies that may be called unknown, 0 for none; by "
        "default as the model was trained."
    ),
]
Backbone = Annotated[
    str, typer.Option(help="See `planetvision list backbones`; timm:NAME and others too.")
]
RecipeName = Annotated[str, typer.Option(help="See `planetvision list recipes`.")]
InsteadOfRecipe = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Instead of the recipe's."),
]
ImageSize = Annotated[Optional[int], typer.Option(help="Pixels a side.")]  # noqa: UP045
FramingOption = Annotated[Framing, typer.Option(help="How a frame becomes a square.")]
TtaOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="What prediction adds: none, or body, flips, rotations joined by +."),
]
BatchSize = Annotated[Optional[int], typer.Option(help="Images a step.")]  # noqa: UP045
Weights = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        help="pretrained, none, or a file; by default pretrained. Or one of these for each member "
        "of an ensemble, as NAME=FILE. May be repeated."
    ),
]
Seed = Annotated[int, typer.Option(help="The seed of everything.")]
NumWorkers = Annotated[Optional[int], typer.Option(help="Loader processes.")]  # noqa: UP045
OnErrorOption = Annotated[OnError, typer.Option(help="What to do about files that cannot be read.")]
Cache = Annotated[
    str, typer.Option(help="Where decoded images are kept: memory, disk, a folder, or off.")
]
CacheGigabytes = Annotated[float, typer.Option(help="The most that is kept.")]
NoveltyScore = Annotated[str, typer.Option(help="See `planetvision list novelty_scores`.")]
TrainedRejectionRate = Annotated[
    float,
    typer.Option(help="The share of images of known bodies that may be called unknown."),
]
MaxMinutes = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(help="How long the stages may take in all."),
]
Compile = Annotated[bool, typer.Option("--compile", help="Compile steps of the whole network.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress bars.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"planetvision {metadata.version('planetvision')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Tells which body of the solar system an image shows."""


@app.command()
def demo(
    out: Out = Path("demo"),
    count: Annotated[int, typer.Option(help="How many images to draw.")] = 350,
    image_size: Annotated[int, typer.Option(help="Their side in pixels.")] = 224,
    seed: Annotated[int, typer.Option(help="The seed of drawing and training.")] = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Draw a data set, train on it, judge, explain and predict."""
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
    _show_evaluation(result.evaluation)
    others = sum(Path(path).parent.name == "others" for path in result.predictions.paths)
    typer.echo(
        f"\nfresh images: {result.fresh_right} of {len(result.predictions) - others} right; "
        f"of {others} other things {result.others_unknown} called unknown; "
        f"the whole took {result.seconds:.0f} s"
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


@app.command()
def train(
    context: typer.Context,
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(help="A folder with a folder a class, or a CSV, TSV or Parquet table."),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A new or empty folder for the run."),
    ] = None,
    resume: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The folder of a run that was cut off: it goes on. Needs nothing else."),
    ] = None,
    backbone: Backbone = "efficientnet_lite0",
    recipe: RecipeName = "balanced",
    head: InsteadOfRecipe = None,
    augment: InsteadOfRecipe = None,
    scheduler: InsteadOfRecipe = None,
    image_size: ImageSize = None,
    framing: FramingOption = Framing.letterbox,
    tta: TtaOption = None,
    stretch: StretchOption = Stretch.linear,
    batch_size: BatchSize = None,
    weights: Weights = None,
    warm_start: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The folder of a trained model to begin with, instead of --weights."),
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    precision: Arithmetic = Precision.auto,
    num_workers: NumWorkers = None,
    tuning: Tuning = "auto",
    on_error: OnErrorOption = OnError.stop,
    column: Columns = None,
    class_map: ClassMap = None,
    others: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            help="Images, a folder or a pattern that show none of the classes, to learn what is "
            "unknown. May be repeated."
        ),
    ] = None,
    group_duplicates: GroupDuplicates = True,
    cache: Cache = "memory",
    cache_gigabytes: CacheGigabytes = 2.0,
    novelty_score: NoveltyScore = "mahalanobis",
    rejection_rate: TrainedRejectionRate = 0.05,
    max_minutes: MaxMinutes = None,
    compile: Compile = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also log for TensorBoard, into RUN/tensorboard.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train a classifier; writes RUN/model, RUN/history.csv, RUN/split.csv and RUN/report."""
    from planetvision.workflows.run import can_resume, resume_run, train_run

    began = time.time()
    folder = _check_run(context, data, out, resume)
    callbacks = []
    if tensorboard:
        from planetvision.training.callbacks import TensorBoardLogger

        callbacks.append(TensorBoardLogger(folder / "tensorboard"))
    try:
        if resume is not None:
            run = resume_run(folder, callbacks=callbacks, progress=not quiet)
        else:
            classifier = _create_classifier(context.params, folder)
            run = train_run(
                classifier,
                data,
                folder,
                columns=_parse_pairs(column, "--column"),
                others=_join_inputs(others),
                warm_start_from=warm_start,
                callbacks=callbacks,
                overwrite=overwrite,
            )
    except KeyboardInterrupt:
        # Of an earlier run that was to be overwritten nothing is said.
        if can_resume(folder, written_since=0.0 if resume is not None else began):
            _say_how_to_go_on("train", folder)
        else:
            typer.echo("\nInterrupted before the first stage. Start anew.", err=True)
        raise typer.Exit(130) from None
    _show_run(run)
    _finish([])


@app.command()
def crossval(
    context: typer.Context,
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(help="A folder with a folder a class, or a CSV, TSV or Parquet table."),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A new or empty folder for the folds and the scores."),
    ] = None,
    resume: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The folder of one that was cut off: it goes on. Needs nothing else."),
    ] = None,
    folds: Annotated[int, typer.Option(help="How many parts the images are dealt into.")] = 5,
    keep_models: Annotated[bool, typer.Option(help="Keep the model of each fold.")] = True,
    backbone: Backbone = "efficientnet_lite0",
    recipe: RecipeName = "balanced",
    head: InsteadOfRecipe = None,
    augment: InsteadOfRecipe = None,
    scheduler: InsteadOfRecipe = None,
    image_size: ImageSize = None,
    framing: FramingOption = Framing.letterbox,
    tta: TtaOption = None,
    stretch: StretchOption = Stretch.linear,
    batch_size: BatchSize = None,
    weights: Weights = None,
    seed: Seed = 0,
    device: Device = "auto",
    precision: Arithmetic = Precision.auto,
    num_workers: NumWorkers = None,
    tuning: Tuning = "auto",
    on_error: OnErrorOption = OnError.stop,
    column: Columns = None,
    class_map: ClassMap = None,
    group_duplicates: GroupDuplicates = True,
    cache: Cache = "memory",
    cache_gigabytes: CacheGigabytes = 2.0,
    novelty_score: NoveltyScore = "mahalanobis",
    rejection_rate: TrainedRejectionRate = 0.05,
    max_minutes: MaxMinutes = None,
    compile: Compile = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train once a fold and test on the fold, so that each image is tested once."""
    from planetvision.workflows.crossval import (
        can_resume_cross_validation,
        cross_validate,
        resume_cross_validation,
    )

    began = time.time()
    folder = _check_run(context, data, out, resume)
    say = None if quiet else typer.echo
    try:
        if resume is not None:
            result = resume_cross_validation(folder, progress=not quiet, say=say)
        else:
            classifier = _create_classifier(context.params, folder)
            result = cross_validate(
                classifier,
                data,
                folder,
                num_folds=folds,
                columns=_parse_pairs(column, "--column"),
                keep_models=keep_models,
                overwrite=overwrite,
                say=say,
            )
    except KeyboardInterrupt:
        # Of an earlier one that was to be overwritten nothing is said.
        since = 0.0 if resume is not None else began
        if can_resume_cross_validation(folder, written_since=since):
            _say_how_to_go_on("crossval", folder)
        else:
            typer.echo("\nInterrupted before the first fold. Start anew.", err=True)
        raise typer.Exit(130) from None
    typer.echo(str(result))
    for score in result.scores:
        typer.echo(f"  {score}")
    typer.echo("")
    _show_evaluation(result.evaluation)
    typer.echo(f"\npage: {folder / 'crossval.html'}")
    _finish(result.evaluation.predictions.failed)


@app.command()
def evaluate(
    data: ModelAndData,
    out: Out,
    others: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            help="Images, a folder or a pattern that show none of the classes: how many of them "
            "are called unknown? May be repeated."
        ),
    ] = None,
    rejection_rate: RejectionRate = None,
    tta: TtaOption = None,
    explain: Annotated[
        bool, typer.Option(help="Explain and check a sample of the answers.")
    ] = True,
    audit: Annotated[
        bool, typer.Option(help="Look at the images: copies, odd files, where the disc is.")
    ] = True,
    column: Columns = None,
    class_map: ClassMap = None,
    device: Device = "auto",
    precision: Arithmetic = Precision.auto,
    tuning: Tuning = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Judge a model on labelled images."""
    model, (table, *surplus) = _split_model(data, needs="data")
    if surplus:
        raise SettingsError(
            f"`planetvision evaluate` takes a model's folder and one data set, got {len(data)} "
            f"arguments: {', '.join(data)}. Where the first of them is a model, check its path."
        )
    classifier = _load(
        model,
        out,
        device=device,
        precision=precision.value,
        tuning=tuning,
        overwrite=overwrite,
        quiet=quiet,
    )
    evaluation = classifier.evaluate(
        table,
        columns=_parse_pairs(column, "--column"),
        class_map=_parse_pairs(class_map, "--class"),
        others=_join_inputs(others),
        rejection_rate=rejection_rate,
        tta=tta,
        explain=explain,
        audit=audit,
    )
    evaluation.save(out, overwrite=overwrite)
    _show_evaluation(evaluation)
    typer.echo(f"\nreport: {out / 'report.html'}")
    _finish(evaluation.failed)


@app.command()
def compare(
    model_a: Annotated[Path, typer.Argument(help="The folder of a model.", show_default=False)],
    model_b: Annotated[Path, typer.Argument(help="That of another.", show_default=False)],
    data: Data,
    out: Out,
    column: Columns = None,
    class_map: ClassMap = None,
    device: Device = "auto",
    precision: Arithmetic = Precision.auto,
    tuning: Tuning = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Say which of two models is better on the same images, if these can tell."""
    from planetvision.core.files import check_output
    from planetvision.workflows.compare import compare as compare_models

    check_output(out, overwrite=overwrite)
    comparison = compare_models(
        model_a,
        model_b,
        data,
        columns=_parse_pairs(column, "--column"),
        class_map=_parse_pairs(class_map, "--class"),
        device=device,
        precision=precision.value,
        tuning=tuning,
        progress=not quiet,
    )
    comparison.save(out, overwrite=overwrite)
    typer.echo(str(comparison))
    for remark in comparison.remarks:
        typer.echo(f"  {remark}")
    typer.echo(f"\npage: {out / 'comparison.html'}")
    _finish(comparison.failed)


@app.command()
def verify(
    model: Model,
    data: Annotated[
        Optional[Path],  # noqa: UP045 - Typer on Python 3.10
        typer.Argument(
            help="Labelled images to evaluate it on again, as for `evaluate`.", show_default=False
        ),
    ] = None,
    column: Columns = None,
    class_map: ClassMap = None,
    device: Device = "auto",
    precision: Arithmetic = Precision.auto,
    tuning: Tuning = "auto",
    quiet: Quiet = False,
) -> None:
    """Compare a model with its hashes and, given data, its scores with those that were saved."""
    from planetvision.workflows.verification import verify as verify_model

    verification = verify_model(
        model,
        data,
        columns=_parse_pairs(column, "--column"),
        class_map=_parse_pairs(class_map, "--class"),
        device=device,
        precision=precision.value,
        tuning=tuning,
        progress=not quiet,
    )
    _show_table(
        [(check.subject, check.name, check.result) for check in verification.checks],
        flush_right=False,
    )
    for note in verification.notes:
        typer.echo(f"\nnote: {note}")
    typer.echo(f"\n{verification}")
    if not verification.is_intact:
        raise typer.Exit(1)
    _finish(verification.evaluation.failed if verification.evaluation else [])


@app.command()
def vote(
    models: Annotated[
        list[Path], typer.Argument(help="The folders of trained models.", show_default=False)
    ],
    out: Out,
    overwrite: Overwrite = False,
) -> None:
    """Join trained models into one that answers by the mean of their probabilities."""
    from planetvision.classifiers.voting import VotingPlanetClassifier
    from planetvision.core.files import check_output

    check_output(out, overwrite=overwrite)
    VotingPlanetClassifier(models).save(out, overwrite=overwrite)
    typer.echo(f"{len(models)} models that vote: {out}")


@app.command()
def predict(
    inputs: ModelAndInputs,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A new or empty folder for the results; without it they are printed."),
    ] = None,
    rejection_rate: RejectionRate = None,
    tta: TtaOption = None,
    device: Device = "auto",
    precision: Arithmetic = Precision.auto,
    tuning: Tuning = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Say what images show, by the released model where no MODEL is named.

    Prints every answer; --out writes predictions.csv, annotated/ and collage.png.
    """
    model, images = _split_model(inputs, needs="images")
    classifier = _load(
        model,
        out,
        device=device,
        precision=precision.value,
        tuning=tuning,
        overwrite=overwrite,
        quiet=quiet,
    )
    from planetvision.core.text import format_share

    predictions = classifier.predict(_join_inputs(images), rejection_rate=rejection_rate, tta=tta)
    if out is not None:
        predictions.save(out, overwrite=overwrite)
    _show_rows(
        [
            (row.path, str(row.label), format_share(row.confidence))
            if row.known
            else (row.path, str(row.label), row.remark)
            for row in predictions
            if not row.error
        ],
        table=None if out is None else out / "predictions.csv",
    )
    if out is not None:
        typer.echo(f"\n{len(predictions) - len(predictions.failed)} predicted: {out}")
    _finish(predictions.failed)


@app.command()
def explain(
    inputs: ModelAndInputs,
    out: Out,
    method: Annotated[str, typer.Option(help="See `planetvision list explainers`.")] = "gradcam",
    target: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The class to explain; by default the most probable one."),
    ] = None,
    against: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The class that it is set against: what speaks for the one alone."),
    ] = None,
    layer: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="A layer of the backbone to look at; may be given more than once."),
    ] = None,
    check: Annotated[
        bool, typer.Option(help="Check each map, by 32 passes and four more maps an image.")
    ] = True,
    rejection_rate: RejectionRate = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Show where the evidence for the answer lies; writes a picture and the raw map of each."""
    model, images = _split_model(inputs, needs="images")
    classifier = _load(model, out, device=device, overwrite=overwrite, quiet=quiet)
    # Classes may be integers, and a command line has only strings.
    classes = {str(label): label for label in classifier.classes_.tolist()}
    explanations = classifier.explain(
        _join_inputs(images),
        method=method,
        target=classes.get(target, target) if target is not None else None,
        against=classes.get(against, against) if against is not None else None,
        layers=layer or None,
        checks=check,
        rejection_rate=rejection_rate,
    )
    folder = explanations.save(out, overwrite=overwrite)
    _show_rows(list(_list_explanations(explanations)), table=folder / "explanations.csv")
    if check and explanations.verdict is not None:
        typer.echo(f"\n{explanations.verdict}")
    typer.echo(f"\n{len(explanations) - len(explanations.failed)} explained: {folder}")
    _finish(explanations.failed)


@app.command()
def augment(
    image: Annotated[Path, typer.Argument(help="An image.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The sheet, a PNG file.")],
    policy: Annotated[
        str, typer.Option(help="See `planetvision list augmentations`.")
    ] = "celestial",
    count: Annotated[int, typer.Option(help="How many views.")] = 23,
    size: Annotated[int, typer.Option(help="The side of each view in pixels.")] = 224,
    seed: Annotated[int, typer.Option(help="The seed.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Show what an augmentation policy makes of an image."""
    from planetvision.core.files import check_output_file
    from planetvision.data import read_image
    from planetvision.results.plots.gallery import save_image
    from planetvision.workflows.augmentation_sheet import draw_policy

    file = check_output_file(out, overwrite=overwrite)
    sheet = draw_policy(read_image(image), policy, count=count, seed=seed, image_size=size)
    save_image(sheet, file)
    typer.echo(f"{count} views of {image} under {policy}: {file}")


def _list_explanations(explanations: Any) -> Iterator[tuple[str, ...]]:
    from planetvision.core.text import format_share

    yield "image", "evidence for", "method", "on the body", "by chance"
    figures = explanations.checks.to_figures()
    for row, item in enumerate(explanations):
        if item.error:
            continue
        shares = (figures["energy_on_body"][row], figures["body_share"][row])
        cells = ["-" if share != share else format_share(share) for share in shares]
        yield item.path, item.subject, item.method, *cells


@data_app.command("render")
def data_render(
    out: Out,
    count: Annotated[int, typer.Option(help="How many images in all.")] = 350,
    size: Annotated[int, typer.Option(help="Their side in pixels.")] = 224,
    seed: Annotated[int, typer.Option(help="The seed.")] = 0,
    look: Annotated[
        str, typer.Option(help="`clean`, or `photo`: as varied as archives are.")
    ] = "clean",
    body: Annotated[
        list[str] | None, typer.Option(help="A body to draw, repeatable; the seven without it.")
    ] = None,
    maps: Annotated[
        Path | None,
        typer.Option(help="A folder of equirectangular maps, called mars.png and so on."),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Another folder, for the masks of the bodies.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw images of bodies as files, a folder a class, and a table of what was drawn."""
    from planetvision.render import write_dataset

    paths = write_dataset(
        out,
        count=count,
        image_size=size,
        seed=seed,
        bodies=body or None,
        look=look,
        maps=maps,
        masks=masks,
        overwrite=overwrite,
    )
    classes = sorted({path.parent.name for path in paths})
    typer.echo(f"{len(paths)} images of {', '.join(classes)}: {out}")


@data_app.command("check")
def data_check(
    data: Data,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A new or empty folder for index.html, audit.json and tables."),
    ] = None,
    column: Columns = None,
    class_map: ClassMap = None,
    backbone: Annotated[
        str, typer.Option(help="Whose frozen features the linear baseline learns on; or none.")
    ] = "efficientnet_lite0",
    group_duplicates: GroupDuplicates = True,
    stretch: StretchOption = Stretch.linear,
    seed: Annotated[int, typer.Option(help="The seed of the split.")] = 0,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Audit data: counts, copies, leaks, odd files, and what trivial answers are worth."""
    from planetvision.core.files import check_output
    from planetvision.evaluation.audit.auditor import audit

    if out is not None:
        check_output(out, overwrite=overwrite)
    result = audit(
        data,
        columns=_parse_pairs(column, "--column"),
        class_map=_parse_pairs(class_map, "--class"),
        backbone=None if backbone == "none" else backbone,
        group_duplicates=group_duplicates,
        stretch=stretch.value,
        device=device,
        random_state=seed,
        progress=not quiet,
    )
    _show_audit(result)
    if out is not None:
        result.save(out, overwrite=overwrite)
        typer.echo(f"\npage: {out / 'index.html'}")
    _finish_errors([str(error) for error in result.unreadable])


@blind_app.command("make")
def blind_make(
    data: Data,
    out: Out,
    mapping: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="The table of what each image is; by default OUT.mapping.csv, beside OUT."
        ),
    ] = None,
    column: Columns = None,
    class_map: ClassMap = None,
    stretch: StretchOption = Stretch.linear,
    seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="The seed of names and order; by default drawn by the system."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Copy images under random names, without metadata; writes what each is into a table apart."""
    from planetvision.workflows.blind import make_blind_set

    made = make_blind_set(
        data,
        out,
        columns=_parse_pairs(column, "--column"),
        class_map=_parse_pairs(class_map, "--class"),
        mapping=mapping,
        stretch=stretch.value,
        seed=seed,
        overwrite=overwrite,
    )
    typer.echo(f"{made.num_images} images: {made.folder}\nmapping: {made.mapping}")
    _finish([])


@blind_app.command("score")
def blind_score(
    model: Model,
    folder: Annotated[Path, typer.Argument(help="The blind images.", show_default=False)],
    mapping: Annotated[
        Path, typer.Argument(help="The table that `blind make` wrote.", show_default=False)
    ],
    out: Out,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Predict blind images, then join with the mapping; writes a table and a collage."""
    from planetvision.workflows.blind import score_blind_set

    classifier = _load(model, out, device=device, overwrite=overwrite, quiet=quiet)
    result = score_blind_set(classifier, folder, mapping)
    result.save(out, overwrite=overwrite)
    _show_evaluation(result.evaluation)
    typer.echo(f"\nresult: {out}")
    _finish(result.evaluation.predictions.failed)


@app.command("list")
def list_entries(
    family: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(
            help="backbones, heads, augmentations, schedulers, optimizers, losses, recipes, "
            "novelty_scores, explainers or decoders."
        ),
    ] = None,
) -> None:
    """List what can be named."""
    families = _families()
    if family is not None and family not in families:
        raise UnknownNameError(f"Unknown family {family!r}. Known: {', '.join(families)}.")
    for name in [family] if family else list(families):
        registry = families[name]
        typer.echo(f"{name}:")
        specs = registry.specs()
        width = max((len(spec.name) for spec in specs), default=0)
        for spec in specs:
            extra = f"  [{spec.extra}]" if spec.extra else ""
            typer.echo(f"  {spec.name:<{width}}  {spec.summary}{extra}")
        for prefix in registry.prefixes():
            typer.echo(f"  {prefix}:{'A+B' if prefix == 'ensemble' else 'NAME'}")


@app.command()
def doctor() -> None:
    """Show versions, devices, where weights are, the released model, and which extras there are."""
    from planetvision.workflows.doctor import examine

    for heading, facts in examine().items():
        typer.echo(f"{heading}:")
        width = max(len(name) for name in facts)
        for name, value in facts.items():
            typer.echo(f"  {name:<{width}}  {value}")


def _families() -> dict[str, Any]:
    from planetvision.data import DECODERS
    from planetvision.explain import EXPLAINERS
    from planetvision.imaging.policies import POLICIES
    from planetvision.inference.ood_scores import NOVELTY_SCORES
    from planetvision.models.backbones.registry import BACKBONES
    from planetvision.models.heads import HEADS
    from planetvision.training import RECIPES
    from planetvision.training.losses import LOSSES
    from planetvision.training.optimizers import OPTIMIZERS
    from planetvision.training.schedules import SCHEDULES

    registries = (
        BACKBONES,
        HEADS,
        POLICIES,
        SCHEDULES,
        OPTIMIZERS,
        LOSSES,
        RECIPES,
        NOVELTY_SCORES,
        EXPLAINERS,
        DECODERS,
    )
    return {registry.family: registry for registry in registries}


def _create_classifier(options: Mapping[str, Any], folder: Path) -> Any:
    """Returns the classifier of a command's options, once the output folder proves free."""
    from planetvision.classifiers.classifier import PlanetClassifier
    from planetvision.core.files import check_output

    check_output(folder, overwrite=options["overwrite"])
    return PlanetClassifier(
        **{name: options[name] for name in _PLAIN_OPTIONS},
        **{name: options[name].value for name in _CHOICES},
        augmentation=options["augment"],
        weights=_parse_weights(options["weights"]),
        class_map=_parse_pairs(options["class_map"], "--class"),
        random_state=options["seed"],
        progress=not options["quiet"],
    )


def _say_how_to_go_on(command: str, folder: Path) -> None:
    words = ["planetvision", command, "--resume", str(folder)]
    typer.echo(f"\nInterrupted. Go on with: {shlex.join(words)}", err=True)


def _join_inputs(inputs: Sequence[str] | None) -> Any:
    """Returns one input by itself, several as a list, and None where there is none.

    Alone it may be a folder or a table, whose name the library then says.
    """
    if not inputs:
        return None
    return list(inputs) if len(inputs) > 1 else inputs[0]


def _split_model(arguments: Sequence[str], *, needs: str) -> tuple[Path | None, list[str]]:
    """Returns the model's folder, or None for the released one, and what is to be looked at.

    Raises:
        SettingsError: If the first argument is a folder of a run or a part of a model, whose
            pictures would be taken for images, or if it is a model and nothing follows it.
    """
    from planetvision.classifiers.storage import is_model_folder

    first, *rest = arguments
    is_model = is_model_folder(first)
    if not is_model and (problem := _find_folder_problem(Path(first))):
        raise SettingsError(problem)
    # What is not there and looks like a folder's name is a misspelt model, not a misspelt image.
    is_missing = rest and not Path(first).exists() and not Path(first).suffix
    if not is_model and not (is_missing and not set(first) & set("*?[")):
        return None, list(arguments)
    if not rest:
        raise SettingsError(
            f"`{first}` is a model, and there are no {needs} for it. Name them after it."
        )
    return Path(first), rest


def _find_folder_problem(folder: Path) -> str | None:
    """Returns why a folder that is no model's is no folder of images either; None if it may be."""
    if not folder.is_dir():
        return None  # before imports that cost a second
    from planetvision.classifiers.storage import (
        CONFIG_FILE,
        TRUST_FILE,
        WEIGHTS_FILE,
        is_model_folder,
    )
    from planetvision.workflows.crossval import can_resume_cross_validation
    from planetvision.workflows.run import is_run_folder

    for model in (folder / "model", *sorted(folder.glob("*/model"))):
        if is_model_folder(model):
            named = shlex.quote(str(model))
            return f"`{folder}` is no model's folder: a model lies in it. Pass {named}."
    if is_run_folder(folder):
        return (
            f"`{folder}` is the folder of a run that has no model. Train it to its end, "
            f"`planetvision train --resume {shlex.quote(str(folder))}`, or name another."
        )
    if can_resume_cross_validation(folder):
        return f"`{folder}` is the folder of a cross-validation that has no model. Name another."
    found = [name for name in (WEIGHTS_FILE, TRUST_FILE) if (folder / name).is_file()]
    if found:
        return (
            f"`{folder}` holds {found[0]} and no {CONFIG_FILE}: it is a part of a model. Save the "
            "model again, or copy the whole folder."
        )
    return None


def _load(
    model: Path | None, out: Path | None, *, overwrite: bool, quiet: bool, **running: Any
) -> Any:
    """Returns the model that is to run in this way, once its output folder proves free."""
    from planetvision.classifiers.pretrained import get_pretrained_folder
    from planetvision.classifiers.voting import load_classifier
    from planetvision.core.files import check_output

    if out is not None:
        check_output(out, overwrite=overwrite)
    folder = get_pretrained_folder() if model is None else model
    return load_classifier(folder, progress=not quiet, **running)


def _check_run(
    context: typer.Context, data: Path | None, out: Path | None, resume: Path | None
) -> Path:
    """Returns the folder of the run, new or to go on with."""
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
        if parameter.name not in ("resume", "quiet", "tensorboard")
    }
    given = [
        parameter.opts[-1] if parameter.param_type_name == "option" else "DATA"
        for parameter, source in sources.items()
        if source is not None and source.name == "COMMANDLINE"
    ]
    if given:
        raise SettingsError(
            f"`--resume` goes on with the data and settings of the run, got {', '.join(given)} "
            "beside it. Leave that out."
        )
    return resume


def _show_run(run: Any) -> None:
    from planetvision.core.devices import is_main_process

    if not is_main_process():
        return
    if run.evaluation is None:
        typer.echo("no test part: the model is trained, and not judged")
    else:
        _show_evaluation(run.evaluation)
    typer.echo(f"\nrun: {run.folder}")
    for name in ("model", "history.csv", "split.csv", "report"):
        if (run.folder / name).exists():
            typer.echo(f"  {run.folder / name}")


def _show_evaluation(evaluation: Any) -> None:
    typer.echo(str(evaluation))
    columns, rows = evaluation.class_table
    _show_table([columns, *(tuple(map(str, row)) for row in rows)])
    for remark in evaluation.remarks:
        typer.echo(remark)
    _show_mistakes(evaluation)


def _show_mistakes(evaluation: Any) -> None:
    from planetvision.core.text import format_share

    wrong = evaluation.misclassified
    if not wrong:
        return
    typer.echo(f"the surest of {count(len(wrong), 'mistake')}:")
    _show_table(
        [
            (
                f"  {answer.path}",
                f"{answer.top_label} {format_share(answer.confidence)}",
                f"is {label} {format_share(answer.probabilities[label])}",
            )
            for answer, label in wrong[:_SHOWN_NAMES]
        ]
    )


def _show_audit(audit: Any) -> None:
    typer.echo(f"{audit}\n")
    parts = [name for name in ("train", "val", "test") if name in (audit.catalog.splits or ())]
    counts = {name: audit.catalog.part(name).counts for name in parts}
    _show_table(
        [
            ("class", "images", *parts),
            *(
                (str(label), str(number), *(str(counts[name].get(label, 0)) for name in parts))
                for label, number in audit.catalog.counts.items()
            ),
        ]
    )
    for finding in audit.findings:
        remedy = f" {finding.remedy}" if finding.remedy else ""
        typer.echo(f"\n{finding.severity}: {finding.message}{remedy}")
        names = audit.get_names(finding)
        for name in names[:_SHOWN_NAMES]:
            typer.echo(f"  {name}")
        if len(names) > _SHOWN_NAMES:
            typer.echo(f"  ... and {len(names) - _SHOWN_NAMES} more; --out DIR names them all")
    if audit.baselines:
        typer.echo(f"\nHow far trivial answers come on the {audit.scored} part:")
    for baseline in audit.baselines:
        typer.echo(f"  {baseline}")
    for remark in audit.remarks:
        typer.echo(f"\n{remark}")


def _show_rows(rows: Sequence[tuple[str, ...]], *, table: Path | None) -> None:
    """Shows the first rows of a table that was written, and all of one that was not."""
    num_shown = len(rows) if table is None else _SHOWN_ROWS
    _show_table(rows[:num_shown])
    if len(rows) > num_shown:
        typer.echo(f"... and {len(rows) - num_shown} more: {table}")


def _show_table(rows: Sequence[tuple[str, ...]], *, flush_right: bool = True) -> None:
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if column and flush_right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        typer.echo("  ".join(cells).rstrip())


def _parse_pairs(pairs: Sequence[str] | None, option: str) -> dict[Any, Any] | None:
    """Returns the mapping that NAME=VALUE options make; an empty value is None."""
    if not pairs:
        return None
    parsed: dict[str, Any] = {}
    problems = []
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            problems.append(f"{option} takes NAME=VALUE, got {pair!r}.")
        elif name in parsed:
            problems.append(
                f"{option} names {name!r} twice, with {parsed[name] or ''!r} and {value!r}. "
                "Leave one out."
            )
        parsed[name] = value or None
    if problems:
        raise SettingsError.from_problems(problems)
    return parsed


def _parse_weights(given: Sequence[str] | None) -> Any:
    """Returns the classifier's `weights`: one source, or one for each member of an ensemble."""
    sources = given or ["pretrained"]
    # A file may have the sign in its name.
    if len(sources) == 1 and ("=" not in sources[0] or Path(sources[0]).exists()):
        return sources[0]
    return _parse_pairs(sources, "--weights")


def _finish(failed: Sequence[Any]) -> None:
    _finish_errors([row.error for row in failed])


def _finish_errors(failed: Sequence[str]) -> None:
    for error in failed:
        typer.echo(error, err=True)
    if failed:
        typer.echo(f"{len(failed)} of the inputs failed.", err=True)
    if failed or any(issubclass(category, DataWarning) for category in _shown):
        raise typer.Exit(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command; ends the process with 0, 1 (some inputs failed) or 2 (a wrong call)."""
    from planetvision.core.devices import is_main_process

    _shown.clear()
    show = warnings.showwarning

    def show_ours(message: Any, category: type[Warning], *rest: Any, **options: Any) -> None:
        # Ours are lines for a person, to whom the place in the code says nothing.
        if issubclass(category, PlanetVisionWarning):
            _shown.append(category)
            if speaks:
                typer.echo(f"Warning: {message}", err=True)
        else:
            show(message, category, *rest, **options)

    # The library's log, in the same form as its warnings.
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("Warning: %(message)s"))
    handler.setLevel(logging.WARNING)
    log = logging.getLogger("planetvision")
    # Of the processes of a launcher one speaks for all.
    speaks = is_main_process()
    if speaks:
        log.addHandler(handler)
    with warnings.catch_warnings():
        warnings.simplefilter("always", PlanetVisionWarning)
        warnings.showwarning = show_ours
        try:
            app(args=list(arguments) if arguments is not None else None)
        except PlanetVisionError as error:
            typer.echo(f"Error: {error}", err=True)
            sys.exit(2)
        finally:
            log.removeHandler(handler)


if __name__ == "__main__":
    main()
