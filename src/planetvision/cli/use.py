"""The commands that use trained models: predict, explain, evaluate, compare, verify and vote."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planetvision.cli.messages import finish
from planetvision.cli.options import (
    RUNNING,
    Columns,
    Data,
    Model,
    ModelAndData,
    ModelAndInputs,
    Out,
    Overwrite,
    RejectionRate,
    Settings,
    join_inputs,
    parse_pairs,
    with_settings,
)
from planetvision.cli.output import (
    list_explanations,
    list_predictions,
    show_evaluation,
    show_rows,
    show_table,
)
from planetvision.core.errors import SettingsError

if TYPE_CHECKING:
    from planetvision.classifiers import PlanetClassifier, VotingPlanetClassifier


@with_settings("tta", "class_map", *RUNNING)
def evaluate(
    data: ModelAndData,
    out: Out,
    negatives: Annotated[
        list[str] | None,
        typer.Option(
            help="Negatives: images, a folder or a pattern that show none of the classes, which "
            "the model should call unknown. May be repeated."
        ),
    ] = None,
    rejection_rate: RejectionRate = None,
    *,
    settings: Settings,
    explain: Annotated[
        bool, typer.Option(help="Explain a sample of the predictions, and check the maps.")
    ] = True,
    audit: Annotated[
        bool, typer.Option(help="Audit the images: duplicates, odd files, position of the disc.")
    ] = True,
    column: Columns = None,
    overwrite: Overwrite = False,
) -> None:
    """Evaluate a model on labelled images."""
    model, (table, *surplus) = _split_model(data, needs="data")
    if surplus:
        raise SettingsError(
            f"`planetvision evaluate` takes a model's folder and one data set, got {len(data)} "
            f"arguments: {', '.join(data)}. If the first of them is a model, check its path."
        )
    classifier = load(model, out, settings, overwrite=overwrite)
    evaluation = classifier.evaluate(
        table,
        columns=parse_pairs(column, "--column"),
        class_map=parse_pairs(settings["class_map"], "--class"),
        negatives=join_inputs(negatives),
        rejection_rate=rejection_rate,
        tta=settings["tta"],
        explain=explain,
        audit=audit,
    )
    evaluation.save(out, overwrite=overwrite)
    show_evaluation(evaluation)
    typer.echo(f"\nreport: {out / 'report.html'}")
    finish([row.error for row in evaluation.failed])


@with_settings("class_map", *RUNNING)
def compare(
    model_a: Annotated[Path, typer.Argument(help="Folder of the first model.", show_default=False)],
    model_b: Annotated[
        Path, typer.Argument(help="Folder of the second model.", show_default=False)
    ],
    data: Data,
    out: Out,
    *,
    settings: Settings,
    column: Columns = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare two models on the same images by a paired test."""
    from planetvision.core.files import check_output
    from planetvision.workflows.compare import compare as compare_models

    check_output(out, overwrite=overwrite)
    comparison = compare_models(
        model_a,
        model_b,
        data,
        columns=parse_pairs(column, "--column"),
        class_map=parse_pairs(settings["class_map"], "--class"),
        **{name: settings[name] for name in RUNNING},
    )
    comparison.save(out, overwrite=overwrite)
    typer.echo(str(comparison))
    for remark in comparison.remarks:
        typer.echo(f"  {remark}")
    typer.echo(f"\npage: {out / 'comparison.html'}")
    finish([row.error for row in comparison.failed])


@with_settings("class_map", *RUNNING)
def verify(
    model: Model,
    data: Annotated[
        Path | None,
        typer.Argument(help="Labelled images, as for `evaluate`.", show_default=False),
    ] = None,
    *,
    settings: Settings,
    column: Columns = None,
) -> None:
    """Check the hashes of a model and, given data, its stored scores."""
    from planetvision.workflows.verification import verify as verify_model

    verification = verify_model(
        model,
        data,
        columns=parse_pairs(column, "--column"),
        class_map=parse_pairs(settings["class_map"], "--class"),
        **{name: settings[name] for name in RUNNING},
    )
    show_table(
        [(check.subject, check.name, check.result) for check in verification.checks],
        flush_right=False,
    )
    for note in verification.notes:
        typer.echo(f"\nnote: {note}")
    typer.echo(f"\n{verification}")
    if not verification.is_intact:
        raise typer.Exit(1)
    finish([row.error for row in verification.evaluation.failed] if verification.evaluation else [])


def vote(
    models: Annotated[
        list[Path], typer.Argument(help="Folders of trained models.", show_default=False)
    ],
    out: Out,
    overwrite: Overwrite = False,
) -> None:
    """Combine trained models into one that averages their probabilities."""
    from planetvision.classifiers import VotingPlanetClassifier
    from planetvision.core.files import check_output

    check_output(out, overwrite=overwrite)
    VotingPlanetClassifier(models).save(out, overwrite=overwrite)
    typer.echo(f"{len(models)} voting models: {out}")


@with_settings("tta", *RUNNING)
def predict(
    inputs: ModelAndInputs,
    out: Annotated[
        Path | None,
        typer.Option(help="New or empty folder for the results; by default only printed."),
    ] = None,
    rejection_rate: RejectionRate = None,
    *,
    settings: Settings,
    overwrite: Overwrite = False,
) -> None:
    """Predict what images show, by the released model if no MODEL is given.

    Prints each prediction; --out writes predictions.csv, annotated/ and collage.png.
    """
    model, images = _split_model(inputs, needs="images")
    classifier = load(model, out, settings, overwrite=overwrite)
    predictions = classifier.predict(
        join_inputs(images), rejection_rate=rejection_rate, tta=settings["tta"]
    )
    if out is not None:
        predictions.save(out, overwrite=overwrite)
    show_rows(list_predictions(predictions), table=None if out is None else out / "predictions.csv")
    if out is not None:
        typer.echo(f"\n{len(predictions) - len(predictions.failed)} predicted: {out}")
    finish([row.error for row in predictions.failed])


@with_settings("device", "progress")
def explain(
    inputs: ModelAndInputs,
    out: Out,
    method: Annotated[
        str, typer.Option(help="Explainer: see `planetvision list explainers`.")
    ] = "gradcam",
    target: Annotated[
        str | None,
        typer.Option(help="Class to explain; by default the most probable one."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(help="Class to contrast with: only evidence that tells the two apart."),
    ] = None,
    layer: Annotated[
        list[str] | None, typer.Option(help="Layer of the backbone to use. May be repeated.")
    ] = None,
    check: Annotated[
        bool,
        typer.Option(help="Check each map, at the cost of 32 passes and four maps per image."),
    ] = True,
    rejection_rate: RejectionRate = None,
    *,
    settings: Settings,
    overwrite: Overwrite = False,
) -> None:
    """Show which regions support a prediction; writes a figure and the raw map per image."""
    model, images = _split_model(inputs, needs="images")
    classifier = load(model, out, settings, overwrite=overwrite)
    # Classes may be integers, and a command line has only strings.
    classes = {str(label): label for label in classifier.classes_.tolist()}
    explanations = classifier.explain(
        join_inputs(images),
        method=method,
        target=classes.get(target, target) if target is not None else None,
        against=classes.get(against, against) if against is not None else None,
        layers=layer or None,
        checks=check,
        rejection_rate=rejection_rate,
    )
    folder = explanations.save(out, overwrite=overwrite)
    show_rows(list(list_explanations(explanations)), table=folder / "explanations.csv")
    if check and explanations.verdict is not None:
        typer.echo(f"\n{explanations.verdict}")
    typer.echo(f"\n{len(explanations) - len(explanations.failed)} explained: {folder}")
    finish([row.error for row in explanations.failed])


def load(
    model: Path | None, out: Path | None, settings: Settings, *, overwrite: bool
) -> PlanetClassifier | VotingPlanetClassifier:
    """Returns a trained model, after a check that its output folder is free.

    Args:
        model: The folder of the model; None for the released one.
        out: The output folder, if there is one.
        settings: The settings, of which those in `RUNNING` apply.
        overwrite: Whether files in the output folder may be replaced.
    """
    from planetvision.classifiers import load_classifier
    from planetvision.classifiers.pretrained import get_pretrained_folder
    from planetvision.core.files import check_output

    if out is not None:
        check_output(out, overwrite=overwrite)
    folder = get_pretrained_folder() if model is None else model
    return load_classifier(folder, **{name: settings[name] for name in RUNNING if name in settings})


def _split_model(arguments: Sequence[str], *, needs: str) -> tuple[Path | None, list[str]]:
    """Returns the folder of the model, or None for the released one, and the other arguments.

    Raises:
        SettingsError: If the first argument is a folder of a run or an incomplete model, whose
            pictures would be taken for images, or if it is a model and nothing follows it.
    """
    from planetvision.classifiers.storage import is_model_folder

    first, *rest = arguments
    is_model = is_model_folder(first)
    if not is_model and (problem := _find_folder_problem(Path(first))):
        raise SettingsError(problem)
    # A missing path without a suffix is a misspelt model, not a misspelt image.
    is_missing = rest and not Path(first).exists() and not Path(first).suffix
    if not is_model and not (is_missing and not set(first) & set("*?[")):
        return None, list(arguments)
    if not rest:
        raise SettingsError(
            f"`{first}` is a model, and there are no {needs} for it. Name them after it."
        )
    return Path(first), rest


def _find_folder_problem(folder: Path) -> str | None:
    """Returns why a folder without a model cannot be a folder of images either, or None."""
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
            return f"`{folder}` is not a model but contains one. Pass {named}."
    if is_run_folder(folder):
        return (
            f"`{folder}` is the folder of a run that has no model. Finish it with "
            f"`planetvision train --resume {shlex.quote(str(folder))}`, or pass another folder."
        )
    if can_resume_cross_validation(folder):
        return (
            f"`{folder}` is the folder of a cross-validation that has no model. Pass another "
            "folder."
        )
    found = [name for name in (WEIGHTS_FILE, TRUST_FILE) if (folder / name).is_file()]
    if found:
        return (
            f"`{folder}` holds {found[0]} and no {CONFIG_FILE}: it is an incomplete model. Save "
            "the model again, or copy the whole folder."
        )
    return None
