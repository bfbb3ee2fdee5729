"""`PlanetClassifier`: the whole library behind scikit-learn's interface."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin

from planetvision.augment import POLICIES
from planetvision.backbones import BACKBONES
from planetvision.config import FRAMINGS, Framing, InputSpec, Precision, Recipe
from planetvision.data import Catalog, Label, read_inputs, read_labelled, split_catalog
from planetvision.data.splits import check_fractions
from planetvision.errors import (
    DataError,
    DataWarning,
    NotFittedError,
    PlanetVisionError,
    SettingsError,
    WeightsWarning,
    itemize,
)
from planetvision.explain import EXPLAINERS
from planetvision.heads import HEADS
from planetvision.runtime import resolve_device, resolve_precision
from planetvision.schedules import SCHEDULES
from planetvision.training import RECIPES

if TYPE_CHECKING:
    import torch

    from planetvision.network import PlanetNet
    from planetvision.results import Evaluation, Explanations, Predictions, TrainingHistory
    from planetvision.training.callbacks import Callback

__all__ = ["PlanetClassifier"]

OnError = Literal["raise", "skip"]
T = TypeVar("T")


class PlanetClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # sklearn is untyped
    """Tells which body an image shows.

    It follows scikit-learn's conventions: arguments are stored as given and checked by `fit`, what
    `fit` learns ends in an underscore, and `clone`, `cross_val_score` and `GridSearchCV` work over
    lists of paths.

    Args:
        backbone: A registered backbone; `timm:NAME`, `torchvision:NAME` and `ensemble:A+B` too.
        recipe: A registered recipe, or a `Recipe`.
        head: A registered head; None takes the recipe's.
        augmentation: A registered policy; None takes the recipe's.
        scheduler: A registered schedule for all stages; None takes each stage's own.
        image_size: The side of the input in pixels; None takes the recipe's, else the backbone's.
        framing: How a frame becomes a square: `letterbox`, `body`, `squash` or `center_crop`.
        batch_size: Images a step; None takes the recipe's.
        weights: The backbone's first weights: `pretrained`, `none`, or a file.
        val_fraction: The share of the images that choose the best epoch.
        test_fraction: The share that is kept for `evaluate()`; 0 keeps none.
        on_error: What `fit` does with files that cannot be read: `raise` names them all and stops,
            `skip` names them in a warning and goes on.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto`, `fp32`, `fp16` or `bf16`.
        num_workers: Loader processes; None lets the machine decide.
        random_state: The seed of split, weights, order and augmentation.
        progress: Whether to show progress bars.

    Attributes:
        classes_: The labels, sorted.
        history_: One record an epoch.
        split_: The catalog of all images with the part that each belongs to; its `to_frame()` is
            the manifest.
        network_: The trained `PlanetNet`.
        recipe_: The recipe as it was run.
        metrics_: What was measured on the way: numbers of images, validation loss and accuracy,
            and, after `evaluate()`, the accuracy on the test part. It is saved with the model.
    """

    classes_: npt.NDArray[Any]
    history_: TrainingHistory
    split_: Catalog
    network_: PlanetNet
    recipe_: Recipe
    metrics_: dict[str, Any]

    def __init__(
        self,
        backbone: str = "efficientnet_lite0",
        *,
        recipe: str | Recipe = "balanced",
        head: str | None = None,
        augmentation: str | None = None,
        scheduler: str | None = None,
        image_size: int | None = None,
        framing: Framing = "letterbox",
        batch_size: int | None = None,
        weights: str | os.PathLike[str] = "pretrained",
        val_fraction: float = 0.15,
        test_fraction: float = 0.15,
        on_error: OnError = "raise",
        device: str = "auto",
        precision: Precision = "auto",
        num_workers: int | None = None,
        random_state: int = 0,
        progress: bool = False,
    ) -> None:
        self.backbone = backbone
        self.recipe = recipe
        self.head = head
        self.augmentation = augmentation
        self.scheduler = scheduler
        self.image_size = image_size
        self.framing = framing
        self.batch_size = batch_size
        self.weights = weights
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.on_error = on_error
        self.device = device
        self.precision = precision
        self.num_workers = num_workers
        self.random_state = random_state
        self.progress = progress

    def fit(
        self,
        X: Any,
        y: Iterable[Label] | None = None,
        *,
        callbacks: Iterable[Callback] = (),
    ) -> PlanetClassifier:
        """Trains on labelled images and returns the classifier.

        Settings, files and split are checked before any training starts. A folder without
        `train/`, `val/` and `test/`, and a list, are split by class and seed into 70, 15 and 15 %
        (`val_fraction`, `test_fraction`).

        Args:
            X: A folder with a folder a class; a folder with `train/`, `val/`, `test/` of those; or
                a sequence of paths, uint8 arrays (H, W, 3), Pillow images or bytes.
            y: The label of each image of a sequence.
            callbacks: Hooks into the training.

        Raises:
            SettingsError: If arguments are wrong; all of them are named at once.
            DataError: If the data cannot be used, or files in them cannot be read.
            WeightsError: If the pretrained weights cannot be had.
            TrainingError: If the loss is no longer a finite number.
        """
        recipe, spec = self._check_settings()
        from planetvision.data.loading import ImageDataset
        from planetvision.network import create_network
        from planetvision.training.trainer import Trainer

        # The split is tried first: it costs nothing, and decoding every file does.
        catalog = read_labelled(X, y)
        self._split(catalog)
        catalog = self._split(self._drop_unreadable(catalog))
        classes = catalog.part("train").classes
        network = create_network(
            self.backbone,
            num_classes=len(classes),
            head=recipe.head,
            head_options=recipe.head_options,
            weights=self.weights,
            input_spec=spec,
            seed=self.random_state,
        )
        self._warn_of_random_features(network, recipe)
        parts = {}
        for name in ("train", "val"):
            part = catalog.part(name)
            parts[name] = ImageDataset(
                part.sources,
                [classes.index(label) for label in part.labels or ()],
                input_spec=spec,
                seed=self.random_state,
            )
        trainer = Trainer(
            network,
            recipe,
            device=self.device,
            precision=self.precision,
            scheduler=self.scheduler,
            seed=self.random_state,
            num_workers=self.num_workers,
            callbacks=tuple(callbacks),
            progress=self.progress,
        )
        history = trainer.fit(parts["train"], parts["val"])
        self.network_, self.history_, self.recipe_, self.split_ = network, history, recipe, catalog
        self.classes_ = np.array(classes)
        last = [record for record in history if record.stage == recipe.stages[-1].name]
        best = min(last, key=lambda record: record.val_loss or 0.0)
        self.metrics_ = {
            "num_train": len(parts["train"]),
            "num_val": len(parts["val"]),
            "val_loss": best.val_loss,
            "val_accuracy": best.val_accuracy,
        }
        return self

    def predict(self, X: Any) -> Predictions:
        """Returns the answer for each image.

        Images that cannot be read have a row with their error, and the rest goes on.

        Args:
            X: A path, a folder, a glob pattern, an array (H, W, 3) of uint8, a Pillow image, the
                bytes of a file, or a sequence of these.

        Raises:
            NotFittedError: If there is no trained network.
            SourceNotFoundError: If a file, folder or pattern that stands alone does not exist.
        """
        from planetvision.inference import predict_catalog

        return predict_catalog(
            self._network(),
            read_inputs(X),
            classes=self.classes_.tolist(),
            device=self._device(),
            batch_size=self.batch_size or 32,
            num_workers=self.num_workers,
            progress=self.progress,
        )

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Returns the probability of each class for each image, (N, C), columns as `classes_`.

        Raises:
            DataError: If an image cannot be read; all of them are named.
        """
        predictions = self.predict(X)
        self._raise_failed(predictions)
        return predictions.probabilities

    def score(
        self,
        X: Any,
        y: Iterable[Label] | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> float:
        """Returns the accuracy on labelled images, in [0, 1].

        Args:
            X: As for `fit`.
            y: As for `fit`.
            sample_weight: The weight of each image.

        Raises:
            DataError: If an image cannot be read.
        """
        catalog = read_labelled(X, y)
        predictions = self.predict(catalog)
        self._raise_failed(predictions)
        right = [
            answer == label
            for answer, label in zip(predictions.labels, catalog.labels or (), strict=True)
        ]
        weights = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        return float(np.average(np.array(right, dtype=np.float64), weights=weights))

    def evaluate(self, X: Any = None, y: Iterable[Label] | None = None) -> Evaluation:
        """Returns how good the classifier is, with intervals.

        Classes that the model does not know are left out with a warning.

        Args:
            X: As for `fit`; of a folder with a `test/` part, that part alone is used. None takes
                the test part that `fit` kept.
            y: As for `fit`.

        Raises:
            NotFittedError: If there is no trained network, or no test part was kept.
            DataError: If the model knows none of the classes, or no image can be read.
        """
        from planetvision.evaluation.evaluator import evaluate_catalog

        network = self._network()
        evaluation = evaluate_catalog(
            network,
            self._test_part() if X is None else _keep_test(read_labelled(X, y)),
            classes=self.classes_.tolist(),
            device=self._device(),
            batch_size=self.batch_size or 32,
            num_workers=self.num_workers,
            progress=self.progress,
        )
        if X is None:
            kept = ("accuracy", "n", "accuracy_ci95", "macro_f1")
            self.metrics_["test"] = {name: evaluation.metrics[name] for name in kept}
        return evaluation

    def explain(
        self,
        X: Any,
        *,
        method: str = "gradcam",
        target: Label | None = None,
    ) -> Explanations:
        """Returns where in each image the network found the evidence for a class.

        Args:
            X: As for `predict`.
            method: A registered explainer.
            target: The class to explain; None explains the answer.

        Raises:
            ExplanationError: If the method cannot explain this network.
        """
        from planetvision.explain.explainer import explain_catalog

        EXPLAINERS.get(method)
        return explain_catalog(
            self._network(),
            read_inputs(X),
            classes=self.classes_.tolist(),
            device=self._device(),
            method=method,
            target=target,
        )

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes the model to a folder, safetensors and JSON, and returns the folder.

        Raises:
            OutputExistsError: If the folder is not empty and `overwrite` is false.
            OutputError: If it cannot be written.
        """
        from planetvision.storage import SavedModel, save_model

        model = SavedModel(
            network=self._network(),
            classes=tuple(self.classes_.tolist()),
            head=self.recipe_.head,
            head_options=self.recipe_.head_options,
            recipe=self.recipe_,
            settings=self._portable_settings(),
            metrics=self.metrics_,
        )
        return save_model(model, path, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str = "auto") -> PlanetClassifier:
        """Returns the classifier that `save` wrote; needs no network and no pretrained weights.

        Args:
            path: The model's folder.
            device: Where it shall run.

        Raises:
            ModelFormatError: If a part is missing or damaged, or a newer version wrote it.
            UnknownNameError: If its backbone or head is not registered here.
        """
        from planetvision.storage import load_model

        resolve_device(device)
        model = load_model(path)
        known = cls._get_param_names()
        settings = {name: value for name, value in model.settings.items() if name in known}
        classifier = cls(**{**settings, "recipe": model.recipe, "device": device})
        classifier.network_ = model.network
        classifier.recipe_ = model.recipe
        classifier.classes_ = np.array(model.classes)
        classifier.metrics_ = dict(model.metrics)
        return classifier

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def _network(self) -> PlanetNet:
        if not hasattr(self, "network_"):
            raise NotFittedError(
                "This PlanetClassifier is not trained. Call fit(...), or "
                "PlanetClassifier.load('MODEL') for a trained one."
            )
        return self.network_

    def _device(self) -> torch.device:
        return resolve_device(self.device)

    def _test_part(self) -> Catalog:
        test = self.split_.part("test") if hasattr(self, "split_") else None
        if not test:
            raise NotFittedError(
                "There is no test part: the model was loaded, or trained without one. Pass the "
                "data to evaluate on: evaluate('FOLDER') or evaluate(paths, labels)."
            )
        return test

    def _split(self, catalog: Catalog) -> Catalog:
        return split_catalog(
            catalog,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.random_state,
        )

    def _drop_unreadable(self, catalog: Catalog) -> Catalog:
        from planetvision.data.loading import find_unreadable

        errors = find_unreadable(catalog, progress=self.progress)
        if not errors:
            return catalog
        problems = [str(error) for error in errors.values()]
        if self.on_error == "raise":
            heading = (
                f"{len(errors)} of {len(catalog)} files of {catalog.origin} cannot be read. Repair "
                "or remove them, or go on without them by on_error='skip' (--on-error skip):"
            )
            raise DataError(itemize(heading, problems), problems=problems)
        heading = f"{len(errors)} of {len(catalog)} files cannot be read and are left out:"
        warnings.warn(itemize(heading, problems), DataWarning, stacklevel=3)
        return catalog.select(row for row in range(len(catalog)) if row not in errors)

    def _check_settings(self) -> tuple[Recipe, InputSpec]:
        """Returns the recipe and input as they will be run, or raises all problems at once."""
        problems: list[str] = []

        def attempt(check: Callable[[], T]) -> T | None:
            try:
                return check()
            except SettingsError as error:
                problems.extend(error.problems)
            except PlanetVisionError as error:
                problems.append(str(error))
            return None

        backbone = attempt(lambda: BACKBONES.get(self.backbone))
        recipe = self.recipe if isinstance(self.recipe, Recipe) else None
        if recipe is None:
            name = self.recipe
            recipe = attempt(lambda: RECIPES.get(str(name)).build())
        if recipe is not None:
            base, head = recipe, self.head or recipe.head
            changes: dict[str, Any] = {"head": head}
            if head != base.head:
                changes["head_options"] = {}
            if self.augmentation is not None:
                changes["augmentation"] = self.augmentation
            if self.batch_size is not None:
                changes["batch_size"] = self.batch_size
                changes["stages"] = tuple(replace(item, batch_size=None) for item in base.stages)
            recipe = attempt(lambda: replace(base, **changes)) or base
            options = recipe.head_options
            attempt(lambda: HEADS.get(head).check_options(options))
            policy = base.augmentation if self.augmentation is None else self.augmentation
            attempt(lambda: POLICIES.get(policy))
            schedules = {self.scheduler or stage.scheduler for stage in recipe.stages}
            for schedule in sorted(schedules):
                attempt(lambda name=schedule: SCHEDULES.get(name))  # type: ignore[misc]
        spec = None
        if backbone is not None:
            shown = backbone.input
            size = self.image_size
            if size is None:
                size = recipe.image_size if recipe and recipe.image_size else shown.image_size
            spec = attempt(lambda: replace(shown, image_size=size, framing=self.framing))
        elif self.framing not in FRAMINGS:
            problems.append(
                f"`framing` must be one of {', '.join(FRAMINGS)}, not {self.framing!r}."
            )
        device = attempt(lambda: resolve_device(self.device))
        if device is not None:
            attempt(lambda: resolve_precision(self.precision, device))
        attempt(lambda: check_fractions(self.val_fraction, self.test_fraction))
        if self.weights not in ("pretrained", "none") and not Path(self.weights).is_file():
            problems.append(
                f"`weights` must be 'pretrained', 'none' or a file, and there is no file "
                f"'{os.fspath(self.weights)}'. Check the path."
            )
        problems += self._check_options()
        if problems or recipe is None or spec is None:
            raise SettingsError.from_problems(problems)
        return recipe, spec

    def _check_options(self) -> list[str]:
        problems = []
        if self.on_error not in ("raise", "skip"):
            problems.append(f"`on_error` must be 'raise' or 'skip', got {self.on_error!r}.")
        if self.num_workers is not None and self.num_workers < 0:
            problems.append(
                f"`num_workers` must be 0 or more, got {self.num_workers!r}. Pass None to leave "
                "it to the machine."
            )
        if isinstance(self.random_state, bool) or not isinstance(
            self.random_state, int | np.integer
        ):
            problems.append(
                f"`random_state` must be an integer, got {self.random_state!r}. Pass 0."
            )
        return problems

    def _warn_of_random_features(self, network: PlanetNet, recipe: Recipe) -> None:
        from_scratch = self.weights == "none" or (
            self.weights == "pretrained" and not network.spec.weights
        )
        if from_scratch and all(stage.trainable_blocks is not None for stage in recipe.stages):
            warnings.warn(
                f"The backbone '{self.backbone}' starts without pretrained weights, and the recipe "
                f"'{recipe.name}' never trains all of it. Use recipe='scratch', or say where its "
                "weights come from: register_backbone(weights=...).",
                WeightsWarning,
                stacklevel=3,
            )

    def _raise_failed(self, predictions: Predictions) -> None:
        problems = [row.error for row in predictions.failed]
        if problems:
            heading = f"{len(problems)} of {len(predictions)} images cannot be read:"
            raise DataError(itemize(heading, problems), problems=problems)

    def _portable_settings(self) -> Mapping[str, Any]:
        """The arguments that hold on any machine; the recipe has a place of its own."""
        left_out = {"recipe", "device", "precision", "num_workers", "progress", "weights"}
        values = self.get_params(deep=False)
        settings = {name: value for name, value in values.items() if name not in left_out}
        # A grid search hands over NumPy's numbers, which JSON does not take.
        return {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in settings.items()
        }


def _keep_test(catalog: Catalog) -> Catalog:
    """Of data with a test part, that part; of other data, all."""
    if catalog.splits is None or "test" not in catalog.splits:
        return catalog
    return catalog.part("test")
