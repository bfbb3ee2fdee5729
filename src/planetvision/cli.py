"""The `planetvision` command: thin, with the names of the library."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from enum import Enum
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from planetvision.errors import (
    DataWarning,
    PlanetVisionError,
    PlanetVisionWarning,
    UnknownNameError,
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

_SHOWN_ROWS = 20
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


class Tta(str, Enum):
    """The values of --tta."""

    none = "none"
    body = "body"


Model = Annotated[Path, typer.Argument(help="The model's folder.", show_default=False)]
Inputs = Annotated[
    list[str],
    typer.Argument(help="Images, folders or glob patterns.", show_default=False),
]
Out = Annotated[Path, typer.Option(help="A new or empty folder for the results.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files in the output folder.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
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
    from planetvision.demo import run_demo

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
    typer.echo(
        f"\nfresh images: {result.fresh_right} of {len(result.predictions)} right; "
        f"the whole took {result.seconds:.0f} s"
    )
    typer.echo("\nLook at:")
    for name in (
        "predictions/collage.png",
        "run/report/gradcam_grid.png",
        "run/report/confusion_matrix.png",
        "run/report/metrics.json",
        "run/history.png",
        "explanations",
        "run/model",
    ):
        typer.echo(f"  {result.folder / name}")


@app.command()
def train(
    data: Annotated[
        Path,
        typer.Argument(
            help="A folder with a folder a class, or with train/, val/, test/ of those.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="A new or empty folder for the run.")],
    backbone: Annotated[
        str, typer.Option(help="See `planetvision list backbones`; timm:NAME and others too.")
    ] = "efficientnet_lite0",
    recipe: Annotated[str, typer.Option(help="See `planetvision list recipes`.")] = "balanced",
    head: Annotated[Optional[str], typer.Option(help="Instead of the recipe's.")] = None,  # noqa: UP045 - Typer on Python 3.10
    augment: Annotated[Optional[str], typer.Option(help="Instead of the recipe's.")] = None,  # noqa: UP045
    scheduler: Annotated[Optional[str], typer.Option(help="Instead of the recipe's.")] = None,  # noqa: UP045
    image_size: Annotated[Optional[int], typer.Option(help="Pixels a side.")] = None,  # noqa: UP045
    framing: Annotated[
        Framing, typer.Option(help="How a frame becomes a square.")
    ] = Framing.letterbox,
    tta: Annotated[Optional[Tta], typer.Option(help="What prediction adds to it.")] = None,  # noqa: UP045
    batch_size: Annotated[Optional[int], typer.Option(help="Images a step.")] = None,  # noqa: UP045
    weights: Annotated[str, typer.Option(help="pretrained, none, or a file.")] = "pretrained",
    seed: Annotated[int, typer.Option(help="The seed of everything.")] = 0,
    device: Device = "auto",
    precision: Annotated[Precision, typer.Option(help="Arithmetic.")] = Precision.auto,
    num_workers: Annotated[Optional[int], typer.Option(help="Loader processes.")] = None,  # noqa: UP045
    on_error: Annotated[
        OnError, typer.Option(help="What to do about files that cannot be read.")
    ] = OnError.stop,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also log for TensorBoard, into RUN/tensorboard.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train a classifier; writes RUN/model, RUN/history.csv, RUN/split.csv and RUN/report."""
    from planetvision.classifier import PlanetClassifier
    from planetvision.files import check_output
    from planetvision.runs import train_run

    check_output(out, overwrite=overwrite)
    callbacks = []
    if tensorboard:
        from planetvision.training.callbacks import TensorBoardLogger

        callbacks.append(TensorBoardLogger(out / "tensorboard"))
    classifier = PlanetClassifier(
        backbone,
        recipe=recipe,
        head=head,
        augmentation=augment,
        scheduler=scheduler,
        image_size=image_size,
        framing=framing.value,
        tta=tta.value if tta else None,
        batch_size=batch_size,
        weights=weights,
        on_error=on_error.value,
        device=device,
        precision=precision.value,
        num_workers=num_workers,
        random_state=seed,
        progress=not quiet,
    )
    run = train_run(classifier, data, out, callbacks=callbacks, overwrite=overwrite)
    if run.evaluation is None:
        typer.echo("no test part: the model is trained, and not judged")
    else:
        _show_evaluation(run.evaluation)
    typer.echo(f"\nrun: {run.folder}")
    for name in ("model", "history.csv", "split.csv", "report"):
        if (run.folder / name).exists():
            typer.echo(f"  {run.folder / name}")
    _finish([])


@app.command()
def evaluate(
    model: Model,
    data: Annotated[
        Path, typer.Argument(help="A folder with a folder a class.", show_default=False)
    ],
    out: Out,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Judge a model on labelled images."""
    classifier = _load(model, out, device=device, overwrite=overwrite, quiet=quiet)
    evaluation = classifier.evaluate(data)
    evaluation.save(out, overwrite=overwrite)
    _show_evaluation(evaluation)
    typer.echo(f"\nreport: {out}")
    _finish(evaluation.predictions.failed)


@app.command()
def predict(
    model: Model,
    inputs: Inputs,
    out: Out,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Say what images show; writes predictions.csv, annotated/ and collage.png."""
    classifier = _load(model, out, device=device, overwrite=overwrite, quiet=quiet)
    from planetvision.results.predictions import format_share

    predictions = classifier.predict(inputs if len(inputs) > 1 else inputs[0])
    predictions.save(out, overwrite=overwrite)
    _show_rows(
        [
            (row.path, str(row.label), format_share(row.confidence))
            for row in predictions
            if not row.error
        ]
    )
    typer.echo(f"\n{len(predictions) - len(predictions.failed)} predicted: {out}")
    _finish(predictions.failed)


@app.command()
def explain(
    model: Model,
    inputs: Inputs,
    out: Out,
    method: Annotated[str, typer.Option(help="See `planetvision list explainers`.")] = "gradcam",
    target: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The class to explain; by default the answer."),
    ] = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Show where the evidence for the answer lies; writes a picture and the raw map of each."""
    classifier = _load(model, out, device=device, overwrite=overwrite, quiet=quiet)
    # Classes may be integers, and a command line has only strings.
    classes = {str(label): label for label in classifier.classes_.tolist()}
    explanations = classifier.explain(
        inputs if len(inputs) > 1 else inputs[0],
        method=method,
        target=classes.get(target, target) if target is not None else None,
    )
    folder = explanations.save(out, overwrite=overwrite)
    _show_rows([(row.path, str(row.target), row.method) for row in explanations if not row.error])
    typer.echo(f"\n{len(explanations) - len(explanations.failed)} explained: {folder}")
    _finish(explanations.failed)


@data_app.command("render")
def data_render(
    out: Out,
    count: Annotated[int, typer.Option(help="How many images in all.")] = 350,
    size: Annotated[int, typer.Option(help="Their side in pixels.")] = 224,
    seed: Annotated[int, typer.Option(help="The seed.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Draw the embedded data set as files, a folder a class."""
    from planetvision.render import write_dataset

    paths = write_dataset(out, count=count, image_size=size, seed=seed, overwrite=overwrite)
    classes = sorted({path.parent.name for path in paths})
    typer.echo(f"{len(paths)} images of {', '.join(classes)}: {out}")


@app.command("list")
def list_entries(
    family: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(help="backbones, heads, augmentations, schedulers, recipes or explainers."),
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
    """Show versions, devices, and which weights and extras can be had."""
    from planetvision.doctor import examine

    for heading, facts in examine().items():
        typer.echo(f"{heading}:")
        width = max(len(name) for name in facts)
        for name, value in facts.items():
            typer.echo(f"  {name:<{width}}  {value}")


def _families() -> dict[str, Any]:
    from planetvision.augment import POLICIES
    from planetvision.backbones import BACKBONES
    from planetvision.explain import EXPLAINERS
    from planetvision.heads import HEADS
    from planetvision.schedules import SCHEDULES
    from planetvision.training import RECIPES

    registries = (BACKBONES, HEADS, POLICIES, SCHEDULES, RECIPES, EXPLAINERS)
    return {registry.family: registry for registry in registries}


def _load(model: Path, out: Path, *, device: str, overwrite: bool, quiet: bool) -> Any:
    from planetvision.classifier import PlanetClassifier
    from planetvision.files import check_output

    check_output(out, overwrite=overwrite)
    return PlanetClassifier.load(model, device=device).set_params(progress=not quiet)


def _show_evaluation(evaluation: Any) -> None:
    typer.echo(str(evaluation))
    rows: list[tuple[str, ...]] = [("class", "right", "of", "precision", "recall", "F1")]
    metrics = evaluation.metrics
    for index, name in enumerate(map(str, metrics["classes"])):
        values = metrics["per_class"][name]
        right = metrics["confusion_matrix"][index][index]
        shares = ["-" if values[key] is None else f"{values[key]:.3f}" for key in _SHARES]
        rows.append((name, str(right), str(values["support"]), *shares))
    _show_table(rows)


_SHARES = ("precision", "recall", "f1")


def _show_rows(rows: Sequence[tuple[str, ...]]) -> None:
    _show_table(rows[:_SHOWN_ROWS])
    if len(rows) > _SHOWN_ROWS:
        typer.echo(f"... and {len(rows) - _SHOWN_ROWS} more")


def _show_table(rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        typer.echo("  ".join(cells).rstrip())


def _finish(failed: Sequence[Any]) -> None:
    for row in failed:
        typer.echo(row.error, err=True)
    if failed:
        typer.echo(f"{len(failed)} of the inputs failed.", err=True)
    if failed or any(issubclass(category, DataWarning) for category in _shown):
        raise typer.Exit(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command; ends the process with 0, 1 (some inputs failed) or 2 (a wrong call)."""
    _shown.clear()
    show = warnings.showwarning

    def show_ours(message: Any, category: type[Warning], *rest: Any, **options: Any) -> None:
        # Ours are lines for a person, to whom the place in the code says nothing.
        if issubclass(category, PlanetVisionWarning):
            _shown.append(category)
            typer.echo(f"Warning: {message}", err=True)
        else:
            show(message, category, *rest, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("always", PlanetVisionWarning)
        warnings.showwarning = show_ours
        try:
            app(args=list(arguments) if arguments is not None else None)
        except PlanetVisionError as error:
            typer.echo(f"Error: {error}", err=True)
            sys.exit(2)


if __name__ == "__main__":
    main()
