"""The blind test: whether a model predicts from the pixels alone, not from file names."""

from __future__ import annotations

import contextlib
import os
import random
import re
import secrets
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from planetvision.core.errors import (
    ConversionWarning,
    DataError,
    DataWarning,
    ImageError,
    OutputError,
    OutputExistsError,
    count,
    itemize,
)
from planetvision.core.files import (
    check_output,
    create_output_folder,
    create_table,
    write_atomically,
    write_table,
)
from planetvision.core.settings import ClassMap, Label, Stretch
from planetvision.data import Catalog, read_labelled
from planetvision.data.images import decode_image
from planetvision.data.manifest import hash_source
from planetvision.data.survey import warn_of_conversion
from planetvision.data.tables import ColumnMap
from planetvision.results.blind import BlindResult
from planetvision.results.predictions import check_not_replaced

if TYPE_CHECKING:
    import pandas as pd

    from planetvision.classifiers.base import AnsweringModel


_NAME_BITS = 48
_NAME = re.compile(rf"[0-9a-f]{{{_NAME_BITS // 4}}}\.png")


class _Row(NamedTuple):
    """A row of the mapping."""

    name: str
    original: str
    label: Label
    sha256: str
    stretch: str


@dataclass(frozen=True, kw_only=True)
class BlindSet:
    """Images under random names.

    Args:
        folder: The folder of the images.
        mapping: The table with the original and the label of each; it lies elsewhere.
        num_images: The number of images.
    """

    folder: Path
    mapping: Path
    num_images: int


def make_blind_set(
    data: Any,
    folder: str | os.PathLike[str],
    *,
    labels: Iterable[Label] | None = None,
    columns: ColumnMap | None = None,
    class_map: ClassMap | None = None,
    mapping: str | os.PathLike[str] | None = None,
    stretch: Stretch = "linear",
    seed: int | None = None,
    overwrite: bool = False,
) -> BlindSet:
    """Copies images under random names, without metadata, and writes the mapping elsewhere.

    Each image becomes an 8-bit RGB PNG file of the pixels that a model sees: no EXIF, no comments,
    and no trace of the original in name, order or format.

    An earlier set stays complete until every image of the new one is written. Then its remaining
    images are removed: those in its mapping, if `mapping` is the same table, and all files with
    names of blind images.

    Args:
        data: Labelled images, as for `PlanetClassifier.fit`.
        folder: The folder of the copies. It must be new or empty, or hold only an earlier set and
            hidden files.
        labels: The label of each image of a sequence.
        columns: The names of a table's columns, as for `PlanetClassifier.fit`.
        class_map: New names of classes, as for `PlanetClassifier.fit`.
        mapping: The table of names; None puts it beside the folder, as `<folder>.mapping.csv`.
        stretch: How images with more than 8 bits per channel are reduced to 8, as for the model.
        seed: The seed of names and order; None takes one from the system.
        overwrite: Whether an earlier set and its mapping may be replaced.

    Returns:
        The paths. Unreadable images are left out with a warning.

    Raises:
        OutputExistsError: If the folder is not empty, or the mapping exists, and `overwrite` is
            false; or if the folder holds other files than images of a set.
        OutputError: If the mapping would lie in the folder of the images, if an image of the data
            lies there, or if a file cannot be written.
        DataError: If the data cannot be used, or no image can be read.
    """
    target = Path(folder)
    table = Path(mapping) if mapping else target.with_name(target.name + ".mapping.csv")
    _check_mapping(table, target, overwrite=overwrite)
    earlier = _find_earlier(check_output(target, overwrite=overwrite), table)
    catalog = read_labelled(data, labels, columns=columns, class_map=class_map)
    check_not_replaced(catalog.sources, target)
    create_output_folder(target, overwrite=overwrite)
    create_output_folder(table.parent, overwrite=True)
    # One seed draws the names of an earlier set again: the images move when all are there.
    with tempfile.TemporaryDirectory(dir=target, prefix=".") as stage:
        written, failed = _copy_images(catalog, Path(stage), stretch=stretch, seed=seed)
        if not written:
            raise DataError(itemize("None of the images can be read:", failed), problems=failed)
        if failed:
            heading = f"{count(len(failed), 'image')} cannot be read and are left out:"
            warnings.warn(itemize(heading, failed, limit=len(failed)), DataWarning, stacklevel=2)
        stretched = {row.original for row in written if row.stretch}
        warn_of_conversion(catalog, [name in stretched for name in catalog.names], stretch)
        for row in written:
            Path(stage, row.name).replace(target / row.name)
    cells = zip(*sorted(written), strict=True)
    write_table(table, create_table(dict(zip(_Row._fields, cells, strict=True))))
    for name in earlier.difference(row.name for row in written):
        (target / name).unlink(missing_ok=True)
    return BlindSet(folder=target, mapping=table, num_images=len(written))


def _check_mapping(table: Path, folder: Path, *, overwrite: bool) -> None:
    if table.resolve().is_relative_to(folder.resolve()):
        raise OutputError(
            f"The mapping '{table}' would lie in the folder of the images, '{folder}', and give "
            "them away. Choose a path outside of it.",
            path=str(table),
        )
    if table.exists() and not overwrite:
        raise OutputExistsError(
            f"The mapping '{table}' exists already. Choose another one, or pass overwrite=True "
            "(--overwrite on the command line) to replace it.",
            path=str(table),
        )


def _copy_images(
    catalog: Catalog, folder: Path, *, stretch: Stretch, seed: int | None
) -> tuple[list[_Row], list[str]]:
    """Writes the images under random names; returns their rows, and the errors of the others."""
    generator = random.Random(secrets.randbits(64) if seed is None else seed)
    rows = list(range(len(catalog)))
    generator.shuffle(rows)
    names = generator.sample(range(2**_NAME_BITS), len(rows))
    written, failed = [], []
    for row, number in zip(rows, names, strict=True):
        name = f"{number:0{_NAME_BITS // 4}x}.png"
        try:
            decoded = decode_image(catalog.sources[row], stretch=stretch)
        except ImageError as error:
            failed.append(str(error))
            continue
        write_atomically(folder / name, partial(_write_png, decoded.array))
        written.append(
            _Row(
                name=name,
                original=catalog.names[row],
                label=(catalog.labels or ())[row],
                sha256=hash_source(folder / name),
                stretch=stretch if decoded.is_stretched else "",
            )
        )
    return written, failed


def score_blind_set(
    classifier: AnsweringModel,
    folder: str | os.PathLike[str],
    mapping: str | os.PathLike[str],
) -> BlindResult:
    """Predicts the images of a blind set, then joins the predictions with the mapping.

    Args:
        classifier: A trained classifier.
        folder: The folder that `make_blind_set` wrote.
        mapping: The table that it wrote.

    Raises:
        DataError: If the mapping is not valid, if files are missing, unexpected or changed (all are
            listed), or if the model lacks a class of the mapping.

    Warns:
        ConversionWarning: If the stretch of the set is not that of the model.
    """
    from planetvision.evaluation.evaluator import judge_predictions

    table = _read_mapping(Path(mapping))
    names = table["name"].tolist()
    _check_files(Path(folder), Path(mapping), names, table["sha256"].tolist())
    known = {str(label): label for label in classifier.classes_.tolist()}
    strange = sorted(set(table["label"]) - set(known))
    if strange:
        raise DataError(
            f"The mapping '{mapping}' has labels that the model does not have: "
            f"{', '.join(strange)}. It has {', '.join(known)}. Create the set with class_map=... "
            "(--class OLD=NEW, or OLD= to leave a class out).",
            problems=strange,
        )
    _warn_of_stretch(classifier, table["stretch"].tolist())
    predictions = classifier.predict([str(Path(folder, name)) for name in names])
    labels = tuple(known[label] for label in table["label"])
    evaluation = judge_predictions(predictions, labels, classes=classifier.classes_.tolist())
    return BlindResult(evaluation=evaluation, originals=tuple(table["original"]))


def _write_png(pixels: Any, file: Path) -> None:
    from PIL import Image

    Image.fromarray(pixels).save(file, format="PNG", compress_level=3)


def _read_mapping(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise DataError(
            f"There is no mapping '{path}'. Pass the table that `planetvision blind make` wrote, "
            "by default '<folder>.mapping.csv' beside the folder."
        )
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as cause:
        raise DataError(
            f"The mapping '{path}' cannot be read as a table ({cause}). Pass the one that "
            "`planetvision blind make` wrote."
        ) from cause
    missing = [name for name in _Row._fields if name not in frame.columns]
    if missing or not len(frame):
        what = f"lacks the columns {', '.join(missing)}" if missing else "has no rows"
        raise DataError(
            f"The mapping '{path}' {what}. Pass the one that `planetvision blind make` wrote."
        )
    twice = sorted(frame["name"][frame["name"].duplicated()].unique())
    if twice:
        raise DataError(itemize(f"The mapping '{path}' names images twice:", twice), problems=twice)
    return frame


def _warn_of_stretch(classifier: AnsweringModel, stretches: list[str]) -> None:
    expected = classifier.input_spec.stretch
    other = [stretch for stretch in stretches if stretch not in ("", expected)]
    if other:
        warnings.warn(
            f"{count(len(other), 'image')} of the blind set were reduced to 8 bits by the stretch "
            f"'{other[0]}', but the model was trained with '{expected}'. Create the set again with "
            f"stretch='{expected}' (--stretch {expected}).",
            ConversionWarning,
            stacklevel=3,
        )


def _check_files(folder: Path, mapping: Path, names: list[str], hashes: list[str]) -> None:
    if not folder.is_dir():
        raise DataError(f"There is no folder '{folder}'. Pass the folder of the blind images.")
    present = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if present.isdisjoint(names):
        own = folder.with_name(folder.name + ".mapping.csv")
        hint = f" There is '{own}'." if own.is_file() and own != mapping else ""
        raise DataError(
            f"None of the images of '{folder}' is in the mapping '{mapping}', which belongs to "
            f"another set. Pass the mapping of this set.{hint}"
        )
    problems = [f"'{name}' is missing" for name in names if name not in present]
    problems += [f"'{name}' is not in the mapping" for name in sorted(present - set(names))]
    problems += [
        f"'{name}' has changed since the mapping was written"
        for name, expected in zip(names, hashes, strict=True)
        if name in present and hash_source(folder / name) != expected
    ]
    if problems:
        raise DataError(
            itemize(
                f"'{folder}' is not the blind set of this mapping. Create it again with "
                "`planetvision blind make`. Found:",
                problems,
            ),
            problems=problems,
        )


def _find_earlier(folder: Path, mapping: Path) -> set[str]:
    """Returns the names of the images of an earlier set.

    Raises:
        OutputExistsError: If the folder holds any other file.
    """
    if not folder.is_dir():
        return set()
    named: set[str] = set()
    if mapping.is_file():
        with contextlib.suppress(DataError):  # another table, which is about to be replaced
            named.update(_read_mapping(mapping)["name"])
    found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    strange = sorted(
        f"'{path.name}'"
        for path in found
        if not path.is_file() or not (path.name in named or _NAME.fullmatch(path.name))
    )
    if strange:
        raise OutputExistsError(
            itemize(
                f"The folder '{folder}' must be empty or hold only images of an earlier blind set. "
                "Move the other files away, or choose another folder. Found:",
                strange,
            ),
            path=str(folder),
        )
    return {path.name for path in found}
