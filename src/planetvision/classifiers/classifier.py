"""`PlanetClassifier`: the classifier with scikit-learn's interface."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin

from planetvision.classifiers.arguments import (
    arguments_from_json,
    arguments_to_json,
    select_portable,
)
from planetvision.classifiers.base import NO_CALIBRATOR, AnsweringModel, ExplainOptions
from planetvision.core.devices import resolve_device, resolve_precision
from planetvision.core.errors import NotFittedError, SettingsError
from planetvision.core.settings import InputSpec, Label, Precision, Recipe, Tta
from planetvision.data import Catalog
from planetvision.inference.ood_scores import check_rejection_rate
from planetvision.training.plan import Plan, create_plan
from planetvision.training.settings import ClassifierSettings

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from planetvision.classifiers.fitting import FitData
    from planetvision.data.sources import ImageInput
    from planetvision.data.tables import ColumnMap
    from planetvision.inference import Calibrator
    from planetvision.models.network import PlanetNet
    from planetvision.results import Audit, Evaluation, Explanations, Predictions, TrainingHistory
    from planetvision.training.callbacks import Callback
    from planetvision.training.state import TrainingState


class PlanetClassifier(AnsweringModel, ClassifierMixin, BaseEstimator, ClassifierSettings):  # type: ignore[misc] # sklearn is untyped
    """Classifier of the solar-system body in an image.

    It follows scikit-learn's conventions: arguments are stored as given and checked by `fit`,
    fitted attributes end in an underscore, and `clone`, `cross_val_score` and `GridSearchCV` work
    on lists of paths.

    Several threads may call `predict`, `predict_proba` and `explain` of one classifier at once.
    `fit`, `evaluate` and changes of settings are not thread-safe.

    Args:
        backbone: A registered backbone; also `timm:NAME`, `torchvision:NAME` or `ensemble:A+B`.
        recipe: A registered recipe, or a `Recipe`.
        head: A registered head; None takes the recipe's.
        augmentation: A registered policy; None takes the recipe's.
        scheduler: A registered schedule for all stages; None takes each stage's own.
        image_size: The side of the input in pixels; None takes the recipe's or the backbone's.
        framing: How a frame becomes a square: `letterbox`, `body`, `squash` or `center_crop`.
        tta: Test-time augmentation, whose logits are averaged: `none`, or joined by `+`: `body` (a
            crop around the body), `flips` and `rotations`. Prediction takes one forward pass per
            view: up to 2, 4 and 4, or 16 with all. None takes the recipe's.
        stretch: How images of more than 8 bits per channel are converted to 8, in training and
            prediction: `linear`, `percentile`, `asinh` or `zscale`.
        batch_size: Images per step; None takes the recipe's.
        weights: The backbone's initial weights: `pretrained`, `none`, or a file; for an ensemble
            also a mapping with one of these per member, such as
            `{"efficientnet_b3": "pretrained", "resnet50": FILE}`.
        val_fraction: The share of the images for validation, which chooses the best epoch.
        test_fraction: The share that is kept for `evaluate()`; 0 keeps none.
        group_duplicates: Whether near-duplicates are found and kept in one split.
        class_map: New names of classes, for `fit`, `score` and `evaluate`. Classes of one new name
            are merged, None drops a class, and the rest keep their names.
        cache: Where decoded images are kept during training: `memory`, `disk`, a folder, or `off`.
        cache_gigabytes: The size limit of the cache, in 10**9 bytes.
        max_minutes: The time limit of all stages together, after which the best weights so far are
            kept. None sets no limit.
        compile: Whether steps that run the whole network are compiled by `torch.compile`.
        on_error: How `fit` treats unreadable files: `raise` lists them all in an error, `skip` in a
            warning.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto`, `fp32`, `fp16` or `bf16`, for training and prediction. With `auto`,
            prediction uses `fp32`.
        num_workers: Loader processes; None lets the machine decide.
        performance: Performance options that are on: `all`, `none`, or `allocator`, `threads` and
            `channels_last` joined by `+`; `auto` takes `PLANETVISION_PERFORMANCE`, else `all`.
        ood_score: The registered OOD score.
        rejection_rate: The share of images of known bodies that may be called `unknown`, in [0, 1);
            0 calls nothing unknown. It can be changed after training, and for each call.
        random_state: The seed of split, weights, order and augmentation.
        progress: Whether to show progress bars.

    Attributes:
        classes_: The labels, sorted.
        history_: One record per epoch.
        split_: The catalog of all images, each with its split; its `to_frame()` is the manifest.
        audit_: The audit of the data; its baselines learn from the training split and are scored
            on the validation split.
        network_: The trained `PlanetNet`.
        calibrator_: The `Calibrator` of probabilities and OOD scores; None in models saved before
            there was one.
        recipe_: The recipe as it ran.
        weights_: The source of the backbone's initial weights; a mapping if `weights` is one.
        metrics_: Numbers of images, validation loss and accuracy; after `evaluate()` the scores on
            the test split (`test`), after `evaluate(X)` those on other images (`elsewhere`). Saved
            with the model.
        data_: The training data as JSON: images by class and split, findings and baselines of the
            audit, the negatives, and the initial model. Saved with the model; None in models saved
            before it was recorded.
    """

    classes_: npt.NDArray[Any]
    history_: TrainingHistory
    split_: Catalog
    audit_: Audit
    network_: PlanetNet
    calibrator_: Calibrator | None
    recipe_: Recipe
    metrics_: dict[str, Any]
    data_: dict[str, Any] | None
    weights_: str | Mapping[str, str]

    def fit(
        self,
        X: ImageInput,
        y: Iterable[Label] | None = None,
        *,
        groups: Iterable[object] | None = None,
        columns: ColumnMap | None = None,
        negatives: ImageInput | None = None,
        init_from: PlanetClassifier | str | os.PathLike[str] | None = None,
        callbacks: Iterable[Callback] = (),
        checkpoints: str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> PlanetClassifier:
        """Trains on labelled images and returns the classifier.

        Settings, files and split are checked before the training starts. Data without given splits
        are split by class, group and seed into 70, 15 and 15 % (`val_fraction`, `test_fraction`);
        near-duplicates stay in one split. Afterwards the validation images calibrate the
        probabilities and the OOD threshold. A warning names trivial baselines that are as good.

        Args:
            X: A folder with one subfolder per class; a folder with `train/`, `val/` and `test/`
                of those; a CSV, TSV or Parquet file or a DataFrame with one row per image; or a
                sequence of paths, arrays (H, W, 3), Pillow images or bytes.
            y: The label of each image of a sequence.
            groups: The group of each image of a sequence; images of one group, such as the frames
                of one observation, stay in one split.
            columns: The names of a table's columns, such as `{"path": "file", "label": "body"}`;
                None guesses them.
            negatives: Images that show none of the classes, as for `predict`. The network
                learns to give each class the same probability for them (`Recipe.negatives_weight`),
                and OOD scores that learn from negatives use them. All of them train: keep some
                back for `evaluate(negatives=...)`.
            init_from: A trained `PlanetClassifier` or the folder of a saved model, with this
                backbone. Its weights are the initial ones instead of `weights`; those of its head
                only if the classes are the same.
            callbacks: Hooks into the training.
            checkpoints: A folder for checkpoints; None keeps none.
            resume: Whether the training continues from them. Data and settings must be the same. On
                CPU the result equals that of an uninterrupted training to the bit.

        Raises:
            CheckpointError: If there is no checkpoint to resume, or it is of another training.
            SettingsError: If arguments are wrong (all are listed), or `init_from` has another
                backbone.
            DataError: If the data cannot be used, or files in them cannot be read.
            WeightsError: If the pretrained weights cannot be had.
            TrainingError: If the loss is no longer a finite number.
            ModelFormatError: If `init_from` names a folder without a model.
        """
        if resume and checkpoints is None:
            raise SettingsError(
                "`resume` needs the folder of the checkpoints, got None. Pass checkpoints=FOLDER."
            )
        from planetvision.classifiers import fitting
        from planetvision.classifiers.initialization import read_initial_model

        plan = create_plan(self)
        start = None if init_from is None else read_initial_model(init_from)
        data = fitting.read_fit_data(
            self, plan, X, y, groups=groups, columns=columns, negatives=negatives
        )
        network, initialization = fitting.prepare_network(self, plan, data.classes, start)
        state = fitting.train_network(
            self,
            plan,
            data,
            network,
            callbacks=tuple(callbacks),
            checkpoints=checkpoints,
            resume=resume,
        )
        self._keep_fit(plan, data, network, state)
        if start is not None:
            self.weights_ = start.origin
        # Last, so that the training is kept if a user-defined OOD score fails.
        self.calibrator_ = fitting.fit_calibration(self, data, network)
        self.audit_ = fitting.audit_fit(data, plan, state)
        self.data_ = fitting.describe_fit(self, data, self.audit_, initialization)
        return self

    def _keep_fit(
        self, plan: Plan, data: FitData, network: PlanetNet, state: TrainingState
    ) -> None:
        """Sets the fitted attributes after the training."""
        self.network_, self.recipe_, self.split_ = network, plan.recipe, data.catalog
        self.history_ = state.history
        self.calibrator_ = self.data_ = self._folder = None
        self.classes_ = np.array(data.classes)
        self.weights_ = plan.weights_used
        self.metrics_ = {
            "num_train": len(data.train),
            "num_val": len(data.val),
            "num_negatives": 0 if data.negatives is None else len(data.negatives),
            "val_loss": state.val_loss,
            "val_accuracy": state.val_accuracy,
        }

    def save(
        self, path: str | os.PathLike[str], *, overwrite: bool = False, half: bool = False
    ) -> Path:
        """Writes the model to a folder as safetensors and JSON, and returns the folder.

        The folder also holds `MODEL_CARD.md`, and `SHA256SUMS` for `planetvision.verify`.

        Args:
            path: The folder.
            overwrite: Whether a model that is there already may be replaced.
            half: Whether the weights are written in half precision, which halves the folder and
                changes the third decimal of probabilities. Tensors with values over 65,504, which
                half precision cannot hold, stay as they are.

        Raises:
            OutputExistsError: If the folder is not empty and `overwrite` is false.
            OutputError: If it cannot be written.
        """
        from planetvision.classifiers.storage import SavedModel, save_model

        model = SavedModel(
            network=self._network(),
            classes=tuple(self.classes_.tolist()),
            head=self.recipe_.head,
            head_options=self.recipe_.head_options,
            recipe=self.recipe_,
            calibrator=self.calibrator_,
            settings=select_portable(self.to_settings()),
            weights=self.weights_,
            metrics=self.metrics_,
            data=self.data_,
        )
        return save_model(model, path, overwrite=overwrite, half=half)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str = "auto",
        precision: Precision = "auto",
        performance: str = "auto",
    ) -> PlanetClassifier:
        """Returns the saved classifier, without any download.

        Args:
            path: The model's folder.
            device: As for the constructor.
            precision: As for the constructor; `auto` is `fp32`.
            performance: As for the constructor.

        Raises:
            ModelFormatError: If a file is missing or damaged, or a newer version wrote it.
            UnknownNameError: If its backbone or head is not registered here.
        """
        from planetvision.classifiers.storage import load_model

        resolve_precision(precision, resolve_device(device))
        model = load_model(path, performance=performance)
        settings = {**model.settings, "recipe": model.recipe}
        settings |= {"device": device, "precision": precision, "performance": performance}
        classifier = cls.from_settings(settings)
        classifier._folder = Path(path)
        classifier.network_ = model.network
        classifier.recipe_ = model.recipe
        classifier.calibrator_ = model.calibrator
        classifier.classes_ = np.array(model.classes)
        classifier.metrics_ = dict(model.metrics)
        classifier.data_ = None if model.data is None else dict(model.data)
        classifier.weights_ = model.weights
        return classifier

    @classmethod
    def from_pretrained(
        cls, *, device: str = "auto", precision: Precision = "auto", performance: str = "auto"
    ) -> PlanetClassifier:
        """Returns the released model, which is part of the package, without any download.

        It knows earth, jupiter, mars, moon, neptune, saturn and uranus, and rejects most other
        images as `unknown`. Its model card describes its training data and its scores.

        Args:
            device: As for the constructor.
            precision: As for the constructor; `auto` is `fp32`.
            performance: As for the constructor.

        Raises:
            ModelFormatError: If the package has no released model.
        """
        from planetvision.classifiers.pretrained import get_pretrained_folder

        return cls.load(
            get_pretrained_folder(), device=device, precision=precision, performance=performance
        )

    def to_settings(self) -> dict[str, Any]:
        """Returns the arguments as JSON values, for `from_settings`."""
        return arguments_to_json(self.get_params(deep=False))

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> PlanetClassifier:
        """Returns an untrained classifier from the result of `to_settings`.

        Args:
            settings: The arguments; those that no longer exist are ignored.
        """
        return cls(**arguments_from_json(settings, cls._get_param_names()))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def _network(self) -> PlanetNet:
        if not hasattr(self, "network_"):
            raise NotFittedError(
                "This PlanetClassifier is not trained. Call fit(...), or "
                "PlanetClassifier.load('MODEL') for a trained one."
            )
        return self.network_

    def _get_rejection(self, rejection_rate: float | None) -> dict[str, Any]:
        """Returns the calibrator and the rejection rate of a call."""
        calibrator = getattr(self, "calibrator_", None)
        if calibrator is None and rejection_rate:
            raise SettingsError(NO_CALIBRATOR.format(name="rejection_rate", value=rejection_rate))
        rate = self.rejection_rate if rejection_rate is None else rejection_rate
        return {"calibrator": calibrator, "rejection_rate": check_rejection_rate(rate)}

    def _can_reject(self, rejection_rate: float | None) -> bool | None:
        rejection = self._get_rejection(rejection_rate)
        calibrator: Calibrator | None = rejection["calibrator"]
        if calibrator is None:
            return None
        return calibrator.get_threshold(rejection["rejection_rate"]) < math.inf

    @property
    def input_spec(self) -> InputSpec:
        """The input of the network."""
        return self._network().input_spec

    def _keep_scores(self, evaluation: Evaluation, origin: str | None) -> None:
        from planetvision.classifiers.records import add_scores, describe_scores

        learned = None
        if hasattr(self, "split_"):
            rows = zip(self.split_.hashes or (), self.split_.splits or (), strict=True)
            learned = {value for value, split in rows if split != "test"}
        add_scores(self.metrics_, describe_scores(evaluation, learned=learned), origin)

    def _describe_model(self) -> dict[str, Mapping[str, Any]]:
        from planetvision.classifiers.records import describe_network

        model = describe_network(
            self._network(), self.classes_.tolist(), self.recipe_, weights=self.weights_
        )
        described: dict[str, Mapping[str, Any]] = {
            "model": model,
            "settings": select_portable(self.to_settings()),
        }
        if (data := getattr(self, "data_", None)) is not None:
            described["training"] = data
        return described

    def _answer(
        self, catalog: Catalog, *, rejection_rate: float | None, tta: Tta | None
    ) -> Predictions:
        from planetvision.inference import predict_catalog

        return predict_catalog(
            self._network(),
            catalog,
            classes=self.classes_.tolist(),
            device=resolve_device(self.device),
            batch_size=int(self.batch_size or 32),
            num_workers=self.num_workers,
            precision=self.precision,
            performance=self.performance,
            progress=self.progress,
            tta=tta,
            **self._get_rejection(rejection_rate),
        )

    def _explain(self, catalog: Catalog, **options: Unpack[ExplainOptions]) -> Explanations:
        from planetvision.explain.explainer import MapSettings, explain_catalog

        given: dict[str, Any] = {**options}
        given.update(self._get_rejection(given.get("rejection_rate")))
        names = [field.name for field in dataclasses.fields(MapSettings) if field.name in given]
        settings = MapSettings(**{name: given.pop(name) for name in names})
        return explain_catalog(
            self._network(),
            catalog,
            settings,
            classes=self.classes_.tolist(),
            device=resolve_device(self.device),
            **given,
        )

    def _test_split(self) -> Catalog:
        test = self.split_.get_split("test") if hasattr(self, "split_") else None
        if not test:
            raise NotFittedError(
                "There is no test split: the model was loaded, or trained without one. Pass the "
                "data to evaluate on: evaluate('FOLDER') or evaluate(paths, labels)."
            )
        return test
