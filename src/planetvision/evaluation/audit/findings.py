"""Findings: what a survey, its duplicates and its baselines say to a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from planetvision.core.errors import ImageError, count
from planetvision.core.settings import Label
from planetvision.core.text import format_share
from planetvision.data.catalog import Catalog, SplitName
from planetvision.data.duplicates import DuplicatePair, group_duplicates
from planetvision.data.survey import Survey
from planetvision.results.audit import Baseline, Finding

# Beyond these a person should look; below them the numbers are usual.
_IMBALANCE_RATIO = 3.0
_MANY_WITHOUT_BODY = 0.05
_LARGE_GROUP_SHARE = 0.5
_SMALL_SIDE_PIXELS = 64
_TELLING_ACCURACY = 0.9
_SATURATED_ACCURACY = 0.99
_LOOK_ALIKES = ("of copies or look-alikes has", "of copies or look-alikes have")
_FOR_SCORES = ("for validation or testing has", "for validation or testing have")
_ORDER = {"error": 0, "warning": 1, "note": 2}


def find_all(
    catalog: Catalog,
    survey: Survey,
    *,
    unreadable: Sequence[ImageError],
    duplicates: Sequence[DuplicatePair],
    given_splits: Sequence[SplitName] | None,
    pixel_baselines: Sequence[Baseline] = (),
    feature_baseline: Baseline | None = None,
) -> tuple[Finding, ...]:
    """Returns everything that a person should know, the worst first.

    Args:
        catalog: The images that could be read, with labels, and groups and splits where known.
        survey: The survey of each of them.
        unreadable: Why others could not be read.
        duplicates: Exact and near duplicates.
        given_splits: The splits that came with the data; None where they came without.
        pixel_baselines: What was measured without a network.
        feature_baseline: The score of a linear head on frozen features.
    """
    findings = [
        *_find_unreadable(unreadable),
        *_find_imbalance(catalog),
        *_find_copies(catalog, survey, duplicates),
        *_find_leaks(given_splits, duplicates),
        *_find_large_groups(catalog),
        *_find_without_body(survey),
        *_find_small(survey),
        *_find_depths(survey),
        *_find_easy(pixel_baselines, feature_baseline),
    ]
    return tuple(sorted(findings, key=lambda finding: _ORDER[finding.severity]))


def _find_unreadable(unreadable: Sequence[ImageError]) -> Iterator[Finding]:
    if unreadable:
        yield Finding(
            kind="unreadable",
            severity="error",
            message=f"{count(len(unreadable), 'file')} cannot be read.",
            num_images=len(unreadable),
            remedy="Repair or remove them, or train with on_error='skip' (--on-error skip).",
        )


def _find_imbalance(catalog: Catalog) -> Iterator[Finding]:
    counts = catalog.counts
    if len(counts) < 2:
        return
    largest = max(counts, key=lambda label: counts[label])
    smallest = min(counts, key=lambda label: counts[label])
    ratio = counts[largest] / counts[smallest]
    if ratio >= _IMBALANCE_RATIO:
        yield Finding(
            kind="imbalance",
            severity="warning",
            message=f"'{largest}' has {ratio:.1f} times as many images as '{smallest}' "
            f"({counts[largest]} and {counts[smallest]}).",
            remedy="Read the recall of each class and the macro F1, not the accuracy alone; add "
            f"images of '{smallest}'. Training weighs the classes evenly by default.",
        )


def _find_copies(
    catalog: Catalog, survey: Survey, duplicates: Sequence[DuplicatePair]
) -> Iterator[Finding]:
    labels = catalog.labels or ()
    exact = [pair for pair in duplicates if _is_exact(survey, pair)]
    near = [pair for pair in duplicates if not _is_exact(survey, pair)]
    conflicting = [pair for pair in duplicates if labels[pair.first] != labels[pair.second]]
    if conflicting:
        same_file = sum(_is_exact(survey, pair) for pair in conflicting)
        kinds = Counter(
            " and ".join(sorted((str(labels[pair.first]), str(labels[pair.second]))))
            for pair in conflicting
        )
        named = ", ".join(f"{kind} ({number})" for kind, number in kinds.most_common(3))
        yield Finding(
            kind="conflicting_duplicates",
            severity="error" if same_file else "warning",
            message=f"{_say(len(conflicting), 'pair', *_LOOK_ALIKES)} different labels: {named}"
            + (f"; with the same pixels: {same_file}." if same_file else "."),
            remedy="Look at the pairs: one label of each is wrong, or the two bodies cannot be "
            "distinguished in such images.",
            rows=_rows(conflicting),
        )
    if exact:
        yield Finding(
            kind="exact_duplicates",
            severity="note",
            message=f"{_say(len(exact), 'pair', 'of files holds', 'of files hold')} the same "
            "pixels.",
            remedy="Remove the copies: they count twice and say nothing new.",
            rows=_rows(exact),
        )
    alike = [pair for pair in near if labels[pair.first] == labels[pair.second]]
    if alike:
        groups = Counter(group_duplicates(len(catalog), alike))
        sizes = [number for number in groups.values() if number > 1]
        yield Finding(
            kind="near_duplicates",
            severity="note",
            message=f"{len(_rows(alike))} images are near-duplicates of another, in "
            f"{count(len(sizes), 'group')} (the largest holds {max(sizes)} images).",
            remedy="Nothing to do where planetvision splits the data: it keeps each in one part.",
            rows=_rows(alike),
        )


def _find_leaks(
    splits: Sequence[SplitName] | None, duplicates: Sequence[DuplicatePair]
) -> Iterator[Finding]:
    if splits is None:
        return
    leaks = [pair for pair in duplicates if splits[pair.first] != splits[pair.second]]
    if leaks:
        asked = {
            row
            for pair in leaks
            for row in (pair.first, pair.second)
            if splits[row] in ("test", "val")
        }
        yield Finding(
            kind="leaks",
            severity="error",
            message=f"{_say(len(asked), 'image', *_FOR_SCORES)} a near-duplicate in another "
            "split: the scores are too good.",
            remedy="Move each pair into one split, or give the images without splits and let "
            "the library split them.",
            rows=_rows(leaks),
        )


def _find_large_groups(catalog: Catalog) -> Iterator[Finding]:
    labels, groups = catalog.labels or (), catalog.groups or ()
    sizes: dict[Label, Counter[Label]] = {}
    for label, group in zip(labels, groups, strict=False):
        sizes.setdefault(label, Counter())[group] += 1
    for label, counted in sizes.items():
        group, number = counted.most_common(1)[0]
        total = counted.total()
        if number > 1 and number > _LARGE_GROUP_SHARE * total:
            rows = tuple(
                row
                for row, key in enumerate(zip(labels, groups, strict=True))
                if key == (label, group)
            )
            yield Finding(
                kind="large_group",
                severity="warning",
                message=f"{number} of the {total} images of '{label}' belong to one group.",
                remedy=f"Scores of '{label}' stand for few different images: add others.",
                rows=rows,
            )


def _find_without_body(survey: Survey) -> Iterator[Finding]:
    rows = tuple(row for row, image in enumerate(survey.images) if not image.has_body)
    if rows:
        share = len(rows) / len(survey)
        yield Finding(
            kind="no_body",
            severity="warning" if share > _MANY_WITHOUT_BODY else "note",
            message=f"In {count(len(rows), 'image')} ({share:.1%}) no body was found for sure.",
            remedy="Look at them: close-ups, bright backgrounds and thin crescents are like this, "
            "and so are OOD images.",
            rows=rows,
        )


def _find_small(survey: Survey) -> Iterator[Finding]:
    rows = tuple(
        row
        for row, image in enumerate(survey.images)
        if image.facts is not None
        and max(image.facts.width, image.facts.height) < _SMALL_SIDE_PIXELS
    )
    if rows:
        yield Finding(
            kind="small",
            severity="warning",
            message=f"{_say(len(rows), 'image', 'has', 'have')} less than {_SMALL_SIDE_PIXELS} "
            "pixels on the longer side.",
            remedy="They are enlarged; use larger originals where there are any.",
            rows=rows,
        )


def _find_depths(survey: Survey) -> Iterator[Finding]:
    depths = Counter(
        (image.facts.bits, image.is_stretched) for image in survey.images if image.facts is not None
    )
    deep = tuple(row for row, image in enumerate(survey.images) if image.is_stretched)
    if deep:
        named = ", ".join(
            f"{number} of {bits} bits{' with a scale' if is_stretched and bits <= 8 else ''}"
            for (bits, is_stretched), number in sorted(depths.items())
        )
        yield Finding(
            kind="bit_depth",
            severity="warning" if len(depths) > 1 else "note",
            message=f"{_say(len(deep), 'image', 'has', 'have')} values of more than 8 bits "
            f"per channel ({named}).",
            remedy="They are brought to 8 bits by the named stretch: choose it (stretch=..., "
            "--stretch), and see that no class has a depth of its own.",
            rows=deep,
        )


def _find_easy(
    pixel_baselines: Sequence[Baseline], feature_baseline: Baseline | None
) -> Iterator[Finding]:
    if pixel_baselines:
        best = max(pixel_baselines, key=lambda baseline: baseline.accuracy)
        if best.accuracy >= _TELLING_ACCURACY:
            yield Finding(
                kind="easy",
                severity="warning",
                message=f"The {best.name} is right on {format_share(best.accuracy)} of the images "
                "by itself.",
                remedy="Classes differ in colour, background or framing alone: a high score says "
                "little. Evaluate on images from another source.",
            )
    if feature_baseline is not None and feature_baseline.accuracy >= _SATURATED_ACCURACY:
        yield Finding(
            kind="saturated",
            severity="note",
            message=f"The {feature_baseline.name} is right on "
            f"{format_share(feature_baseline.accuracy)} of the images by itself.",
            remedy="This test split cannot tell a better network from a worse one: compare them on "
            "images from another source.",
        )


def _say(number: int, noun: str, one: str, many: str) -> str:
    """Returns the number with its noun and the words that agree with it."""
    return f"{count(number, noun)} {one if number == 1 else many}"


def _is_exact(survey: Survey, pair: DuplicatePair) -> bool:
    """Whether the two hold the same pixels, whatever file they are stored in."""
    first, second = survey[pair.first].descriptor, survey[pair.second].descriptor
    return first is not None and second is not None and first.digest == second.digest


def _rows(pairs: Sequence[DuplicatePair]) -> tuple[int, ...]:
    return tuple(sorted({row for pair in pairs for row in (pair.first, pair.second)}))
