"""Audits a data set: survey, duplicates, split and baselines become an `Audit`."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from planetvision.core.devices import create_accelerator, resolve_device
from planetvision.core.errors import (
    ConversionWarning,
    DataError,
    ImageError,
    SettingsError,
    WeightsError,
)
from planetvision.core.performance import apply_performance
from planetvision.core.settings import ClassMap, InputSpec, Label, Stretch
from planetvision.data.cache import DecodedCache, create_cache
from planetvision.data.catalog import Catalog, SplitName
from planetvision.data.duplicates import DuplicatePair, find_duplicates
from planetvision.data.preparation import prepare_surveyed
from planetvision.data.sources import read_labelled
from planetvision.data.splits import split_catalog
from planetvision.data.survey import Survey, survey_catalog
from planetvision.data.tables import ColumnMap
from planetvision.evaluation.audit.baselines import score_features, score_pixels
from planetvision.evaluation.audit.findings import find_all
from planetvision.models.backbones.first_weights import WeightsSetting, find_weights_problems
from planetvision.models.backbones.registry import BACKBONES
from planetvision.results.audit import Audit, Baseline, Finding

_FEATURES = "linear head on frozen features"
# Remedies where images evaluate a model and do not train it.
_ALIKE = "Read them as one: they are counted, and the intervals take them for several."
_REMEDIES = {
    "unreadable": "Repair or remove them; they are left out of the numbers.",
    "exact_duplicates": _ALIKE,
    "near_duplicates": _ALIKE,
}


def audit(
    data: Any,
    labels: Iterable[Label] | None = None,
    *,
    groups: Iterable[object] | None = None,
    columns: ColumnMap | None = None,
    class_map: ClassMap | None = None,
    backbone: str | None = "efficientnet_lite0",
    weights: WeightsSetting = "pretrained",
    group_duplicates: bool = True,
    stretch: Stretch = "linear",
    device: str = "auto",
    random_state: int = 0,
    progress: bool = False,
) -> Audit:
    """Checks a data set before a model is trained on it or scored on it.

    The audit lists class counts, unreadable files, exact and near-duplicates (under different
    labels, and across given splits), images without a visible body, and sizes and bit depths. It
    also measures trivial baselines, on the split that `PlanetClassifier.fit` makes with its default
    fractions and the same seed, backbone and input size.

    Args:
        data: Labelled images, as for `PlanetClassifier.fit`.
        labels: The label of each image, if `data` is a sequence.
        groups: The group of each image, if `data` is a sequence.
        columns: The names of a table's columns, as for `PlanetClassifier.fit`.
        class_map: New names of classes, as for `PlanetClassifier.fit`.
        backbone: The backbone whose frozen features the linear baseline uses, and whose input size
            decides how images are decoded; None skips this baseline.
        weights: The backbone's weights, as for `PlanetClassifier`.
        group_duplicates: Whether near-duplicates stay in one split.
        stretch: How images of more than 8 bits are reduced to 8.
        device: Where the backbone runs.
        random_state: The seed of the split.
        progress: Whether to show progress bars.

    Raises:
        DataError: If no labelled image can be read.
        SettingsError: If an argument is wrong.
    """
    resolve_device(device)
    spec = dataclasses.replace(_get_input_spec(backbone, weights), stretch=stretch)
    catalog = read_labelled(data, labels, groups=groups, columns=columns, class_map=class_map)
    cache = create_cache("memory")
    survey = survey_catalog(
        catalog, min_size=spec.decode_size, stretch=stretch, cache=cache, progress=progress
    )
    catalog, readable, unreadable = _leave_out_unreadable(catalog, survey)
    if not len(catalog):
        raise DataError(f"None of the {len(unreadable)} images of {catalog.origin} can be read.")
    prepared = prepare_surveyed(
        catalog, readable, unreadable=unreadable, group_duplicates=group_duplicates
    )
    duplicates = prepared.duplicates if group_duplicates else find_duplicates(readable.descriptors)
    catalog, features = prepared.catalog, None
    remarks: list[str] = []
    try:
        catalog = split_catalog(catalog, val_fraction=0.15, test_fraction=0.15, seed=random_state)
    except DataError as error:
        remarks.append(f"The images cannot be split, so no baseline was measured. {error}")
        backbone = None
    if backbone is not None:
        try:
            features = _compute_features(
                catalog, backbone, weights, spec, cache, device=device, progress=progress
            )
        except WeightsError as error:
            remarks.append(f"The {_FEATURES} was not measured. {error}")
    return audit_catalog(
        catalog,
        prepared.survey,
        unreadable=prepared.unreadable,
        duplicates=duplicates,
        given_splits=prepared.given_splits,
        scored="test" if "test" in (catalog.splits or ()) else "val",
        features=features,
        remarks=remarks,
    )


def _get_input_spec(backbone: str | None, weights: WeightsSetting) -> InputSpec:
    if backbone is None:
        return InputSpec()
    entry = BACKBONES.get(backbone)
    problems = find_weights_problems(weights, entry)
    if problems:
        raise SettingsError.from_problems(problems)
    return entry.input


def _leave_out_unreadable(
    catalog: Catalog, survey: Survey
) -> tuple[Catalog, Survey, tuple[ImageError, ...]]:
    """Returns the images that can be read, what was noted of them, and why others cannot."""
    errors = survey.errors
    kept = [row for row in range(len(catalog)) if row not in errors]
    return catalog.select(kept), survey.select(kept), tuple(errors.values())


def audit_catalog(
    catalog: Catalog,
    survey: Survey,
    *,
    unreadable: Sequence[ImageError] = (),
    duplicates: Sequence[DuplicatePair] = (),
    given_splits: Sequence[SplitName] | None = None,
    scored: SplitName = "test",
    features: Any = None,
    remarks: Sequence[str] = (),
) -> Audit:
    """Returns the audit of images that were surveyed before.

    Args:
        catalog: The images that could be read; without splits no baseline is measured.
        survey: The survey of each of them.
        unreadable: Why others could not be read.
        duplicates: Exact and near duplicates.
        given_splits: The splits that came with the data; None where they came without.
        scored: The split that the baselines are scored on.
        features: Frozen features of each image, (N, C), for the linear baseline.
        remarks: What was not measured, and why.
    """
    pixels: tuple[Baseline, ...] = ()
    linear = None
    if catalog.splits is not None and scored in catalog.splits:
        pixels = score_pixels(catalog, survey, scored=scored)
        if features is not None:
            linear = score_features(catalog, features, name=_FEATURES, scored=scored)
    return Audit(
        catalog=catalog,
        survey=survey,
        unreadable=tuple(unreadable),
        findings=find_all(
            catalog,
            survey,
            unreadable=unreadable,
            duplicates=duplicates,
            given_splits=given_splits,
            pixel_baselines=pixels,
            feature_baseline=linear,
        ),
        duplicates=tuple(duplicates),
        baselines=pixels if linear is None else (*pixels, linear),
        scored=scored,
        remarks=tuple(remarks),
    )


def audit_images(
    catalog: Catalog, *, min_size: int | None = None, stretch: Stretch = "linear"
) -> tuple[Survey, tuple[Finding, ...]]:
    """Returns findings about images that a model is evaluated on: no split, no baselines.

    Args:
        catalog: The labelled images.
        min_size: As in `read_image`: large images may be reduced on the way.
        stretch: How images of more than 8 bits are reduced to 8.

    Returns:
        The survey of all images, also of those that cannot be read, and the findings.
    """
    with warnings.catch_warnings():
        # Prediction says it of the same images.
        warnings.simplefilter("ignore", ConversionWarning)
        survey = survey_catalog(catalog, min_size=min_size, stretch=stretch)
    kept, readable, unreadable = _leave_out_unreadable(catalog, survey)
    findings = find_all(
        dataclasses.replace(kept, splits=None, hashes=readable.hashes),
        readable,
        unreadable=unreadable,
        duplicates=find_duplicates(readable.descriptors),
        given_splits=None,
    )
    return survey.without_views(), tuple(
        dataclasses.replace(finding, remedy=_REMEDIES.get(finding.kind, finding.remedy))
        for finding in findings
    )


def _compute_features(
    catalog: Catalog,
    backbone: str,
    weights: WeightsSetting,
    spec: InputSpec,
    cache: DecodedCache | None,
    *,
    device: str,
    progress: bool,
) -> Any:
    """Returns the pooled features of each image as the network is shown it, (N, C)."""
    from planetvision.data.loading import ImageDataset
    from planetvision.inference.features import ViewDataset, compute_features
    from planetvision.models.network import create_network

    apply_performance()
    place = resolve_device(device)
    network = create_network(
        backbone, num_classes=len(catalog.classes), weights=weights, input_spec=spec, seed=0
    )
    images = ImageDataset(catalog.sources, input_spec=spec, hashes=catalog.hashes, cache=cache)
    network.to(place).eval()
    with create_accelerator("no", place) as accelerator:
        stored = compute_features(
            lambda batch: (network.forward_features(batch),),
            ViewDataset(images, 1),
            accelerator=accelerator,
            progress=progress,
        )
    return np.asarray(stored.features[0])
