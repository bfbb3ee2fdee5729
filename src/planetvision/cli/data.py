"""The commands for data: `augment`, `data render`, `data check`, `blind make` and `blind score`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from planetvision.cli.messages import finish
from planetvision.cli.options import (
    Columns,
    Data,
    Model,
    Out,
    Overwrite,
    Settings,
    parse_pairs,
    with_settings,
)
from planetvision.cli.output import show_audit, show_evaluation
from planetvision.cli.use import load


def augment(
    image: Annotated[Path, typer.Argument(help="An image.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The sheet, a PNG file.")],
    policy: Annotated[
        str, typer.Option(help="Augmentation policy: see `planetvision list augmentations`.")
    ] = "celestial",
    count: Annotated[int, typer.Option(help="Number of views.")] = 23,
    size: Annotated[int, typer.Option(help="Side of each view in pixels.")] = 224,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Show an image under an augmentation policy."""
    from planetvision.core.files import check_output_file
    from planetvision.data import read_image
    from planetvision.results.plots.gallery import save_image
    from planetvision.workflows.augmentation_sheet import draw_policy

    file = check_output_file(out, overwrite=overwrite)
    sheet = draw_policy(read_image(image), policy, count=count, seed=seed, image_size=size)
    save_image(sheet, file)
    typer.echo(f"{count} views of {image} under {policy}: {file}")


def render_data(
    out: Out,
    count: Annotated[int, typer.Option(help="Total number of images.")] = 350,
    size: Annotated[int, typer.Option(help="Side of the images in pixels.")] = 224,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    look: Annotated[
        str, typer.Option(help="clean, or photo: as varied as archive images.")
    ] = "clean",
    body: Annotated[
        list[str] | None,
        typer.Option(help="Body to render; by default seven bodies. May be repeated."),
    ] = None,
    maps: Annotated[
        Path | None,
        typer.Option(help="Folder of equirectangular maps, named mars.png and so on."),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Second folder, for the masks of the bodies.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Render images of bodies, in one subfolder per class, with a table of their parameters."""
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


@with_settings("group_duplicates", "class_map", "stretch", "random_state", "device", "progress")
def check_data(
    data: Data,
    out: Annotated[
        Path | None,
        typer.Option(help="New or empty folder for index.html, audit.json and tables."),
    ] = None,
    column: Columns = None,
    backbone: Annotated[
        str, typer.Option(help="Backbone of the features of the linear baseline, or none.")
    ] = "efficientnet_lite0",
    *,
    settings: Settings,
    overwrite: Overwrite = False,
) -> None:
    """Audit data: counts, duplicates, leaks between splits, odd files and trivial baselines."""
    from planetvision.core.files import check_output
    from planetvision.evaluation.audit.auditor import audit

    if out is not None:
        check_output(out, overwrite=overwrite)
    result = audit(
        data,
        columns=parse_pairs(column, "--column"),
        backbone=None if backbone == "none" else backbone,
        **{**settings, "class_map": parse_pairs(settings["class_map"], "--class")},
    )
    show_audit(result)
    if out is not None:
        result.save(out, overwrite=overwrite)
        typer.echo(f"\npage: {out / 'index.html'}")
    finish([str(error) for error in result.unreadable])


@with_settings("class_map", "stretch")
def make_blind(
    data: Data,
    out: Out,
    mapping: Annotated[
        Path | None,
        typer.Option(help="Table of the true names; by default OUT.mapping.csv, beside OUT."),
    ] = None,
    column: Columns = None,
    *,
    settings: Settings,
    seed: Annotated[
        int | None,
        typer.Option(help="Random seed of names and order; by default from the system."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Copy images under random names, without metadata; writes the true names to a table."""
    from planetvision.workflows.blind import make_blind_set

    made = make_blind_set(
        data,
        out,
        columns=parse_pairs(column, "--column"),
        class_map=parse_pairs(settings["class_map"], "--class"),
        mapping=mapping,
        stretch=settings["stretch"],
        seed=seed,
        overwrite=overwrite,
    )
    typer.echo(f"{made.num_images} images: {made.folder}\nmapping: {made.mapping}")
    finish()


@with_settings("device", "progress")
def score_blind(
    model: Model,
    folder: Annotated[Path, typer.Argument(help="The blind images.", show_default=False)],
    mapping: Annotated[
        Path, typer.Argument(help="The table that `blind make` wrote.", show_default=False)
    ],
    out: Out,
    *,
    settings: Settings,
    overwrite: Overwrite = False,
) -> None:
    """Predict blind images, then compare with the true names; writes a table and a collage."""
    from planetvision.workflows.blind import score_blind_set

    classifier = load(model, out, settings, overwrite=overwrite)
    result = score_blind_set(classifier, folder, mapping)
    result.save(out, overwrite=overwrite)
    show_evaluation(result.evaluation)
    typer.echo(f"\nresult: {out}")
    finish([row.error for row in result.evaluation.predictions.failed])
