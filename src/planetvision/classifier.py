"""`PlanetClassifier`: the whole library behind scikit-learn's interface."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin

from planetvision.config import Framing, Precision, Recipe, Tta
from planetvision.data import Catalog, Label, read_inputs, read_labelled, split_catalog
from planetvision.errors import DataError, NotFittedError, itemize
from planetvision.explain import EXPLAINERS
from planetvision.runtime import resolve_device
from planetvision.training.plan import OnError, create_plan

if TYPE_CHECKING:
    import torch

    from planetvision.network import PlanetNet
    from planetvision.results import Evaluation, Explanations, Predictions, TrainingHistory
    from planetvision.training.callbacks import Callback

__all__ = ["PlanetClassifier"]


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
        tta: What prediction is shown beside the framed image, its logits averaged with the others:
            `none`, or `body`, a crop around the body where one is found; None takes the recipe's.
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
        weights_: Where the backbone's first weights came from.
        metrics_: What was measured on the way: numbers of images, validation loss and accuracy,
            and, after `evaluate()`, the accuracy on the test part. It is saved with the model.
    """

    classes_: npt.NDArray[Any]
    history_: TrainingHistory
    split_: Catalog
    network_: PlanetNet
    recipe_: Recipe
    metrics_: dict[str, Any]
    weights_: str

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
        tta: Tta | None = None,
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
        self.tta = tta
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
        plan = create_plan(self)
        recipe, spec = plan.recipe, plan.input_spec
        from planetvision.data.loading import ImageDataset, drop_unreadable
        from planetvision.network import create_network
        from planetvision.training.trainer import Trainer

        # The split is tried first: it costs nothing, and decoding every file does.
        catalog = read_labelled(X, y)
        self._split(catalog)
        catalog = drop_unreadable(catalog, on_error=self.on_error, progress=self.progress)
        catalog = self._split(catalog)
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
        plan.warn_of_random_features()
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
        self.weights_ = plan.weights_used
        self.metrics_ = {
            "num_train": len(parts["train"]),
            "num_val": len(parts["val"]),
            "val_loss": trainer.val_loss,
            "val_accuracy": trainer.val_accuracy,
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
            batch_size=int(self.batch_size or 32),
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
            batch_size=int(self.batch_size or 32),
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
            weights=self.weights_,
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
        classifier.weights_ = model.weights
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

    def _raise_failed(self, predictions: Predictions) -> None:
        problems = [row.error for row in predictions.failed]
        if problems:
            heading = f"{len(problems)} of {len(predictions)} images cannot be read:"
            raise DataError(itemize(heading, problems, limit=len(problems)), problems=problems)

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
