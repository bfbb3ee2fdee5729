"""The blind test: does a model answer from the pixels, whatever the files are called?"""

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
from typing import TYPE_CHECKING, Any, TypeAlias

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
from planetvision.core.settings import Stretch
from planetvision.data import Label, read_labelled
from planetvision.data.catalog import ClassMap
from planetvision.data.images import decode_image
from planetvision.data.manifest import hash_source
from planetvision.data.survey import warn_of_conversion
from planetvision.data.tables import ColumnMap
from planetvision.results.blind import BlindResult
from planetvision.results.predictions import check_not_replaced

if TYPE_CHECKING:
    import pandas as pd

    from planetvision.classifiers.base import AnsweringModel

__all__ = ["BlindSet", "make_blind_set", "score_blind_set"]

_COLUMNS = ("name", "original", "label", "sha256", "stretch")
_NAME_BITS = 48
_NAME = re.compile(rf"[0-9a-f]{{{_NAME_BITS // 4}}}\.png")
_Row: TypeAlias = tuple[str, str, Label, str, str]


@dataclass(frozen=True, kw_only=True)
class BlindSet:
    """Images under random names.

    Args:
        folder: The images.
        mapping: The table that says what each is; it lies apart from them.
        num_images: How many there are.
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
    """Copies images under random names, without metadata, and writes the mapping apart.

    Each image becomes an 8-bit RGB PNG file of the pixels that a model is shown: no EXIF, no
    comments, no hint in name, order or format of what it was.

    An earlier set stays as it was until every image of the new one is written. Then the images that
    it left are removed: those that its mapping names, where `mapping` is the same table, and those
    that are named as images of a set are.

    Args:
        data: Labelled images, as for `PlanetClassifier.fit`.
        folder: Where the copies go; it must be new or empty, or hold an earlier set and no other
            file that is not hidden, which `score_blind_set` would refuse.
        labels: The label of each image of a sequence.
        columns: The names of a table's columns, as for `PlanetClassifier.fit`.
        class_map: New names of classes, as for `PlanetClassifier.fit`.
        mapping: The table of names; None puts it beside the folder, as `<folder>.mapping.csv`.
        stretch: How images of more than 8 bits a channel are brought to 8; that of the model.
        seed: The seed of names and order; None draws them from the system.
        overwrite: Whether an earlier set and the mapping may be replaced.

    Returns:
        Where everything is. Images that cannot be read are left out with a warning.

    Raises:
        OutputExistsError: If the folder is not empty, or the mapping exists, and `overwrite` is
            false; or if the folder holds what is no image of a set.
        OutputError: If the mapping would lie in the folder of the images, if an image of the data
            lies there, or if something cannot be written.
        DataError: If the data cannot be used, or no image can be read.
    """
    target = Path(folder)
    table = Path(mapping) if mapping else target.with_name(target.name + ".mapping.csv")
    if table.resolve().is_relative_to(target.resolve()):
        raise OutputError(
            f"The mapping '{table}' would lie in the folder of the images, '{target}', and give "
            "them away. Name a path outside of it.",
            path=str(table),
        )
    if table.exists() and not overwrite:
        raise OutputExistsError(
            f"The mapping '{table}' exists already. Name another one, or pass overwrite=True "
            "(--overwrite on the command line) to replace it.",
            path=str(table),
        )
    earlier = _find_earlier(check_output(target, overwrite=overwrite), table)
    catalog = read_labelled(data, labels, columns=columns, class_map=class_map)
    check_not_replaced(catalog.sources, target)
    create_output_folder(target, overwrite=overwrite)
    create_output_folder(table.parent, overwrite=True)
    generator = random.Random(secrets.randbits(64) if seed is None else seed)
    rows = list(range(len(catalog)))
    generator.shuffle(rows)
    names = generator.sample(range(2**_NAME_BITS), len(rows))
    failed: list[str] = []
    is_stretched = [False] * len(catalog)
    written: list[_Row] = []
    # One seed draws the names of an earlier set again: the images move when all are there.
    with tempfile.TemporaryDirectory(dir=target, prefix=".") as stage:
        for row, number in zip(rows, names, strict=True):
            name = f"{number:0{_NAME_BITS // 4}x}.png"
            file = Path(stage, name)
            try:
                decoded = decode_image(catalog.sources[row], stretch=stretch)
            except ImageError as error:
                failed.append(str(error))
                continue
            is_stretched[row] = decoded.is_stretched
            write_atomically(file, partial(_write_png, decoded.array))
            label = (catalog.labels or ())[row]
            used = stretch if decoded.is_stretched else ""
            written.append((name, catalog.names[row], label, hash_source(file), used))
        if not written:
            raise DataError(itemize("None of the images can be read:", failed), problems=failed)
        if failed:
            heading = f"{count(len(failed), 'image')} cannot be read and are left out:"
            warnings.warn(itemize(heading, failed, limit=len(failed)), DataWarning, stacklevel=2)
        warn_of_conversion(catalog, is_stretched, stretch)
        for name, *_ in written:
            Path(stage, name).replace(target / name)
    cells = zip(*sorted(written), strict=True)
    write_table(table, create_table(dict(zip(_COLUMNS, cells, strict=True))))
    for name in earlier.difference(name for name, *_ in written):
        (target / name).unlink(missing_ok=True)
    return BlindSet(folder=target, mapping=table, num_images=len(written))


def score_blind_set(
    classifier: AnsweringModel,
    folder: str | os.PathLike[str],
    mapping: str | os.PathLike[str],
) -> BlindResult:
    """Predicts the images of a blind set, and joins the answers with the mapping afterwards.

    Args:
        classifier: A trained one.
        folder: The images, as `make_blind_set` wrote them.
        mapping: The table that it wrote.

    Raises:
        DataError: If the mapping is not one, files are missing, strange or changed (all of them are
            named), or the model does not know a class of the mapping.

    Warns:
        ConversionWarning: If the set was made by another stretch than the model's.
    """
    from planetvision.evaluation.evaluator import judge_predictions

    table = _read_mapping(Path(mapping))
    names = table["name"].tolist()
    _check_files(Path(folder), Path(mapping), names, table["sha256"].tolist())
    known = {str(label): label for label in classifier.classes_.tolist()}
    strange = sorted(set(table["label"]) - set(known))
    if strange:
        raise DataError(
            f"The mapping '{mapping}' has labels that the model does not know: "
            f"{', '.join(strange)}. It knows {', '.join(known)}. Make the set with class_map=... "
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
            f"There is no mapping '{path}'. Name the table that `planetvision blind make` wrote, "
            "by default '<folder>.mapping.csv' beside the folder."
        )
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as cause:
        raise DataError(
            f"The mapping '{path}' cannot be read as a table ({cause}). Name the one that "
            "`planetvision blind make` wrote."
        ) from cause
    missing = [name for name in _COLUMNS if name not in frame.columns]
    if missing or not len(frame):
        what = f"lacks the columns {', '.join(missing)}" if missing else "has no rows"
        raise DataError(
            f"The mapping '{path}' {what}. Name the one that `planetvision blind make` wrote."
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
            f"{count(len(other), 'image')} of the blind set came to 8 bits by the stretch "
            f"'{other[0]}', and the model was trained with '{expected}'. Make the set again with "
            f"stretch='{expected}' (--stretch {expected}).",
            ConversionWarning,
            stacklevel=3,
        )


def _check_files(folder: Path, mapping: Path, names: list[str], hashes: list[str]) -> None:
    if not folder.is_dir():
        raise DataError(f"There is no folder '{folder}'. Name the one of the blind images.")
    present = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if present.isdisjoint(names):
        own = folder.with_name(folder.name + ".mapping.csv")
        hint = f" There is '{own}'." if own.is_file() and own != mapping else ""
        raise DataError(
            f"None of the images of '{folder}' is in the mapping '{mapping}': it belongs to "
            f"another set. Name the mapping of this one.{hint}"
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
                f"'{folder}' is not the blind set of this mapping. Make it anew by `planetvision "
                "blind make`. Found:",
                problems,
            ),
            problems=problems,
        )


def _find_earlier(folder: Path, mapping: Path) -> set[str]:
    """Returns the names of the images of an earlier set, which are all that the folder may hold.

    Raises:
        OutputExistsError: If it holds anything else.
    """
    if not folder.is_dir():
        return set()
    named: set[str] = set()
    if mapping.is_file():
        with contextlib.suppress(DataError):  # somebody else's table, which is about to be replaced
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
                f"The folder '{folder}' must be empty or hold images of an earlier blind set and "
                "nothing else. Move the rest away, or name another folder. Found:",
                strange,
            ),
            path=str(folder),
        )
    return {path.name for path in found}
