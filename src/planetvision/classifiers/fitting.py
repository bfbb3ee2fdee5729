"""The steps of `PlanetClassifier.fit`: read the data, prepare the network, train, finish."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from planetvision.classifiers.initialization import InitialModel
from planetvision.classifiers.records import describe_data, describe_negatives
from planetvision.core.devices import is_main_process, resolve_device
from planetvision.core.settings import Label
from planetvision.data import Catalog, read_inputs, read_labelled, split_catalog
from planetvision.data.cache import DecodedCache, create_cache
from planetvision.data.loading import ImageDataset, create_datasets
from planetvision.data.preparation import Prepared, prepare_catalog
from planetvision.data.survey import drop_unreadable, survey_catalog
from planetvision.evaluation.audit.added_value import compare_with_network, score_frozen_stage
from planetvision.evaluation.audit.auditor import audit_catalog
from planetvision.inference.calibrator import Calibrator, fit_calibrator
from planetvision.inference.ood_scores import OOD_SCORES
from planetvision.models.network import PlanetNet, create_network
from planetvision.render import render_non_planets
from planetvision.results import UNKNOWN, Audit
from planetvision.training.callbacks import Callback
from planetvision.training.plan import Plan
from planetvision.training.settings import ClassifierSettings
from planetvision.training.state import TrainingState
from planetvision.training.trainer import Trainer

if TYPE_CHECKING:
    from planetvision.data.sources import ImageInput
    from planetvision.data.tables import ColumnMap


logger = logging.getLogger(__name__)

# Reading warns of the first two, and comparing with the network says more of the last.
_REPORTED_ELSEWHERE = ("unreadable", "bit_depth", "easy")
_NUM_DRAWN_NEGATIVES = 600
_DRAWN_NEGATIVES_SIZE = 224
# More negatives than this give an OOD score no more to learn.
_MAX_NEGATIVES = 2000


@dataclass(frozen=True, kw_only=True, eq=False)
class FitData:
    """Images of a fit, decoded once and split.

    Args:
        catalog: The labelled images, each with its split.
        classes: The labels of the training images, sorted.
        prepared: The results of decoding and of the search for near-duplicates.
        has_groups: Whether the data have groups.
        train: The training images.
        val: The validation images.
        negatives: Images that show none of the classes, or None.
        description: The description of the negatives in the model card, or None.
    """

    catalog: Catalog
    classes: list[Label]
    prepared: Prepared
    has_groups: bool
    train: ImageDataset
    val: ImageDataset
    negatives: ImageDataset | None
    description: dict[str, Any] | None

    @property
    def learned(self) -> ImageDataset:
        """The training images and the negatives."""
        return self.train if self.negatives is None else self.train.join(self.negatives)


def read_fit_data(
    settings: ClassifierSettings,
    plan: Plan,
    X: ImageInput,
    y: Iterable[Label] | None,
    *,
    groups: Iterable[object] | None,
    columns: ColumnMap | None,
    negatives: ImageInput | None,
) -> FitData:
    """Reads and splits the data of a fit.

    Args:
        settings: The classifier.
        plan: Its plan.
        X: As for `PlanetClassifier.fit`.
        y: As for `PlanetClassifier.fit`.
        groups: As for `PlanetClassifier.fit`.
        columns: As for `PlanetClassifier.fit`.
        negatives: As for `PlanetClassifier.fit`.

    Raises:
        DataError: If the data cannot be used, or files in them cannot be read.
    """
    catalog = read_labelled(X, y, groups=groups, columns=columns, class_map=settings.class_map)
    has_groups = catalog.groups is not None
    # Splitting is tried first, since it is fast and decoding all files is not.
    _split(catalog, settings)
    cache = create_cache(settings.cache, gigabytes=settings.cache_gigabytes)
    prepared = prepare_catalog(
        catalog,
        plan.input_spec,
        cache=cache,
        group_duplicates=settings.group_duplicates,
        num_splits=3 if settings.test_fraction > 0 else 2,
        on_error=settings.on_error,
        progress=settings.progress,
    )
    catalog = _split(prepared.catalog, settings)
    classes = catalog.get_split("train").classes
    if UNKNOWN in classes:
        logger.warning(
            "There is a class '%s', which is also the answer for out-of-distribution images: "
            "`known` tells the two apart, `label` does not. Rename the class, or leave it out: "
            "class_map={'%s': None}.",
            UNKNOWN,
            UNKNOWN,
        )
    train, val = create_datasets(
        catalog,
        classes=classes,
        input_spec=plan.input_spec,
        seed=settings.random_state,
        cache=cache,
    )
    read, description = None, None
    if negatives is not None:
        read = _read_negatives(negatives, settings, plan, cache)
        description = describe_negatives(
            negatives, num_images=len(read), weight=plan.recipe.negatives_weight
        )
    return FitData(
        catalog=catalog,
        classes=classes,
        prepared=prepared,
        has_groups=has_groups,
        train=train,
        val=val,
        negatives=read,
        description=description,
    )


def _split(catalog: Catalog, settings: ClassifierSettings) -> Catalog:
    return split_catalog(
        catalog,
        val_fraction=settings.val_fraction,
        test_fraction=settings.test_fraction,
        seed=settings.random_state,
    )


def _read_negatives(
    images: ImageInput, settings: ClassifierSettings, plan: Plan, cache: DecodedCache | None
) -> ImageDataset:
    """Returns the negatives that can be read, each decoded once."""
    catalog = read_inputs(images)
    spec = plan.input_spec
    survey = survey_catalog(
        catalog,
        min_size=spec.decode_size,
        stretch=spec.stretch,
        cache=cache,
        progress=settings.progress,
    )
    catalog, survey = drop_unreadable(catalog, survey, on_error=settings.on_error)
    return ImageDataset(
        catalog.sources,
        input_spec=spec,
        seed=settings.random_state,
        hashes=survey.hashes,
        cache=cache,
    )


def prepare_network(
    settings: ClassifierSettings, plan: Plan, classes: list[Label], start: InitialModel | None
) -> tuple[PlanetNet, dict[str, Any] | None]:
    """Returns the network with its initial weights, and their description in the model card.

    The description is None if the weights are those of the backbone.

    Args:
        settings: The classifier.
        plan: Its plan.
        classes: The labels.
        start: The trained model to fine-tune from; None takes the plan's weights.
    """
    network = create_network(
        settings.backbone,
        num_classes=len(classes),
        head=plan.recipe.head,
        head_options=plan.recipe.head_options,
        weights=plan.weights if start is None else "none",
        input_spec=plan.input_spec,
        seed=settings.random_state,
        performance=settings.performance,
    )
    if start is None:
        plan.warn_of_random_features()
        return network, None
    has_head = start.copy_to(network, classes)
    return network, {"origin": start.origin, "has_head": has_head}


def train_network(
    settings: ClassifierSettings,
    plan: Plan,
    data: FitData,
    network: PlanetNet,
    *,
    callbacks: Sequence[Callback],
    checkpoints: str | os.PathLike[str] | None,
    resume: bool,
) -> TrainingState:
    """Runs the stages of the plan's recipe, and returns the state of the training.

    Args:
        settings: The classifier.
        plan: Its plan.
        data: The images.
        network: The network, which is trained in place.
        callbacks: The callbacks.
        checkpoints: The folder of the checkpoints; None keeps none.
        resume: Whether the training continues from them.

    Raises:
        CheckpointError: If `resume` finds no checkpoint, or one of another training.
        TrainingError: If the loss is no longer a finite number.
    """
    trainer = Trainer(
        network,
        plan.recipe,
        device=settings.device,
        precision=settings.precision,
        seed=settings.random_state,
        num_workers=settings.num_workers,
        compile=bool(settings.compile),
        performance=settings.performance,
        max_minutes=settings.max_minutes,
        checkpoints=checkpoints,
        callbacks=callbacks,
        progress=settings.progress,
    )
    trainer.fit(data.learned, data.val, resume=checkpoints if resume else None)
    return trainer.state


def fit_calibration(settings: ClassifierSettings, data: FitData, network: PlanetNet) -> Calibrator:
    """Calibrates the network on the validation images, and fits the OOD score.

    Args:
        settings: The classifier.
        data: The images of the fit.
        network: The trained network.
    """
    negatives = None
    if OOD_SCORES.get(settings.ood_score).needs_negatives:
        negatives = _draw_negatives(data.negatives, network, seed=settings.random_state)
    return fit_calibrator(
        network,
        data.train,
        data.val,
        negatives=negatives,
        score=settings.ood_score,
        device=resolve_device(settings.device),
        batch_size=int(settings.batch_size or 32),
        num_workers=settings.num_workers,
        precision=settings.precision,
        progress=settings.progress and is_main_process(),
    )


def _draw_negatives(given: ImageDataset | None, network: PlanetNet, *, seed: int) -> ImageDataset:
    """Returns a sample of the given negatives, followed by rendered negatives."""
    drawn = render_non_planets(
        count=_NUM_DRAWN_NEGATIVES, image_size=_DRAWN_NEGATIVES_SIZE, seed=seed
    )
    pictures = ImageDataset(tuple(drawn), input_spec=network.input_spec)
    if given is None:
        return pictures
    rows = np.random.default_rng(seed).permutation(len(given))[:_MAX_NEGATIVES]
    return given.choose(rows.tolist()).join(pictures)


def audit_fit(data: FitData, plan: Plan, state: TrainingState) -> Audit:
    """Audits the data of a fit, and logs how trivial baselines compare with the network."""
    audit = audit_catalog(
        data.catalog,
        data.prepared.survey,
        unreadable=data.prepared.unreadable,
        duplicates=data.prepared.duplicates,
        given_splits=data.prepared.given_splits,
        scored="val",
    )
    for finding in audit.findings:
        is_quiet = finding.severity == "note" or finding.kind in _REPORTED_ELSEWHERE
        level = logging.INFO if is_quiet else logging.WARNING
        logger.log(level, "%s %s", finding.message, finding.remedy)
    assert state.val_accuracy is not None  # a fit always has a validation split
    frozen = score_frozen_stage(state.history, plan.recipe, len(data.val))
    baselines = [*audit.baselines, *([frozen] if frozen else [])]
    line = compare_with_network(baselines, state.val_accuracy, scored="validation")
    if line:
        logger.warning("%s", line)
    return audit


def describe_fit(
    settings: ClassifierSettings, data: FitData, audit: Audit, initialization: dict[str, Any] | None
) -> dict[str, Any]:
    """Returns the description of the training data in a saved model, as JSON values."""
    return describe_data(
        audit,
        settings,
        given_splits=data.prepared.given_splits,
        has_groups=data.has_groups,
        negatives=data.description,
        initial_model=initialization,
    )
