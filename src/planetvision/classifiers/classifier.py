"""`PlanetClassifier`: the whole library behind scikit-learn's interface."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin

from planetvision.classifiers.base import NO_TRUST, AnsweringModel
from planetvision.core.devices import is_main_process, resolve_device, resolve_precision
from planetvision.core.errors import NotFittedError, SettingsError
from planetvision.core.settings import Framing, InputSpec, Precision, Recipe, Stretch, Tta
from planetvision.data import Catalog, Label, read_labelled, split_catalog
from planetvision.data.cache import CACHES, DEFAULT_CACHE_GIGABYTES
from planetvision.data.catalog import ClassMap, make_plain, name_origin
from planetvision.inference.ood_scores import check_rejection_rate
from planetvision.models.backbones.first_weights import (
    WeightsSetting,
    format_weights,
    make_weights_absolute,
)
from planetvision.results import UNKNOWN
from planetvision.training.plan import OnError, create_plan

if TYPE_CHECKING:
    import torch

    from planetvision.data.cache import DecodedCache
    from planetvision.data.loading import ImageDataset
    from planetvision.data.preparation import Prepared
    from planetvision.data.tables import ColumnMap
    from planetvision.inference import Trust
    from planetvision.models.network import PlanetNet
    from planetvision.results import Audit, Evaluation, Explanations, Predictions, TrainingHistory
    from planetvision.training.callbacks import Callback

__all__ = ["PlanetClassifier"]

logger = logging.getLogger(__name__)

# Reading has warned of the first two, and of the last the comparison with the network says more.
_TOLD_ELSEWHERE = ("unreadable", "bit_depth", "easy")


class PlanetClassifier(AnsweringModel, ClassifierMixin, BaseEstimator):  # type: ignore[misc] # sklearn is untyped
    """Tells which body an image shows.

    It follows scikit-learn's conventions: arguments are stored as given and checked by `fit`, what
    `fit` learns ends in an underscore, and `clone`, `cross_val_score` and `GridSearchCV` work over
    lists of paths.

    Several threads may call `predict`, `predict_proba` and `explain` of one classifier at once, and
    each gets the result that it would get alone. `fit`, `evaluate` and changes of settings are not
    safe beside other calls.

    Args:
        backbone: A registered backbone; `timm:NAME`, `torchvision:NAME` and `ensemble:A+B` too.
        recipe: A registered recipe, or a `Recipe`.
        head: A registered head; None takes the recipe's.
        augmentation: A registered policy; None takes the recipe's.
        scheduler: A registered schedule for all stages; None takes each stage's own.
        image_size: The side of the input in pixels; None takes the recipe's, else the backbone's.
        framing: How a frame becomes a square: `letterbox`, `body`, `squash` or `center_crop`.
        tta: What prediction is shown beside the framed image, its logits averaged with the others:
            `none`, or joined by `+` `body`, a crop around the body where one is found, `flips` and
            `rotations`, each of these mirrored and turned too; None takes the recipe's. Prediction
            takes as many forward passes as there are views: up to 2, 4 and 4, or 16 with all.
        stretch: How images of more than 8 bits a channel are brought to 8, in training and ever
            after: `linear`, `percentile`, `asinh` or `zscale`.
        batch_size: Images a step; None takes the recipe's.
        weights: The backbone's first weights: `pretrained`, `none`, or a file; of an ensemble
            also a mapping with one of these for each member, such as
            `{"efficientnet_b3": "pretrained", "resnet50": FILE}`.
        val_fraction: The share of the images that choose the best epoch.
        test_fraction: The share that is kept for `evaluate()`; 0 keeps none.
        group_duplicates: Whether near-copies of an image are looked for and kept in one part.
        class_map: New names of classes, for `fit`, `score` and `evaluate`: several names to one
            merge, None drops, those not mentioned stay.
        cache: Where decoded images are kept while it trains: `memory`, `disk`, a folder, or `off`.
        cache_gigabytes: The most that is kept, in 10**9 bytes.
        max_minutes: How long the stages may take in all: when the time is over, the best weights
            so far are kept. None sets no limit.
        compile: Whether steps that run the whole network are compiled by `torch.compile`.
        on_error: What `fit` does with files that cannot be read: `raise` names them all and stops,
            `skip` names them in a warning and goes on.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto`, `fp32`, `fp16` or `bf16`: the arithmetic of training and, unless it is
            `auto`, of prediction, which is in `fp32` otherwise.
        num_workers: Loader processes; None lets the machine decide.
        tuning: The levers of the machine that are on: `all`, `none`, `allocator`, `threads` and
            `channels_last` joined by `+`, or `auto`, what `PLANETVISION_TUNING` says, else `all`.
        novelty_score: The registered score of how little an image is like those of the training.
        rejection_rate: The share of images of known bodies that may be called `unknown`, in [0, 1);
            0 calls nothing unknown. It can be changed after training, and for one call.
        random_state: The seed of split, weights, order and augmentation.
        progress: Whether to show progress bars.

    Attributes:
        classes_: The labels, sorted.
        history_: One record an epoch.
        split_: The catalog of all images with the part that each belongs to; its `to_frame()` is
            the manifest.
        audit_: What is to be known of the data; its baselines learned from the training part and
            were asked about the validation part.
        network_: The trained `PlanetNet`.
        trust_: The `Trust` that makes probabilities and novelty of its evidence; None in models
            that were saved before there was any.
        recipe_: The recipe as it was run.
        weights_: Where the backbone's first weights came from; a mapping where `weights` is one.
        metrics_: What was measured on the way: numbers of images, validation loss and accuracy,
            after `evaluate()` the scores on the test part (`test`), and after `evaluate(X)` those
            on other images (`elsewhere`). It is saved with the model.
        data_: What it was trained on, as JSON can hold it: images by class and part, the split,
            findings and baselines of the audit, the others, and the model it began with. It is
            saved with the model; None in models that were saved before it was recorded.
    """

    classes_: npt.NDArray[Any]
    history_: TrainingHistory
    split_: Catalog
    audit_: Audit
    network_: PlanetNet
    trust_: Trust | None
    recipe_: Recipe
    metrics_: dict[str, Any]
    data_: dict[str, Any] | None
    weights_: str | Mapping[str, str]

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
        stretch: Stretch = "linear",
        batch_size: int | None = None,
        weights: WeightsSetting = "pretrained",
        val_fraction: float = 0.15,
        test_fraction: float = 0.15,
        group_duplicates: bool = True,
        class_map: ClassMap | None = None,
        cache: str | os.PathLike[str] = "memory",
        cache_gigabytes: float = DEFAULT_CACHE_GIGABYTES,
        max_minutes: float | None = None,
        compile: bool = False,
        on_error: OnError = "raise",
        device: str = "auto",
        precision: Precision = "auto",
        num_workers: int | None = None,
        tuning: str = "auto",
        novelty_score: str = "mahalanobis",
        rejection_rate: float = 0.05,
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
        self.stretch = stretch
        self.batch_size = batch_size
        self.weights = weights
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.group_duplicates = group_duplicates
        self.class_map = class_map
        self.cache = cache
        self.cache_gigabytes = cache_gigabytes
        self.max_minutes = max_minutes
        self.compile = compile
        self.on_error = on_error
        self.device = device
        self.precision = precision
        self.num_workers = num_workers
        self.tuning = tuning
        self.novelty_score = novelty_score
        self.rejection_rate = rejection_rate
        self.random_state = random_state
        self.progress = progress

    def fit(
        self,
        X: Any,
        y: Iterable[Label] | None = None,
        *,
        groups: Iterable[object] | None = None,
        columns: ColumnMap | None = None,
        others: Any = None,
        warm_start_from: Any = None,
        callbacks: Iterable[Callback] = (),
        checkpoints: str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> PlanetClassifier:
        """Trains on labelled images and returns the classifier.

        When it is trained, the validation part says how sure it may be of its answers and what it
        has to call unknown.

        Settings, files and split are checked before any training starts. Data that do not come in
        parts are split by class, group and seed into 70, 15 and 15 % (`val_fraction`,
        `test_fraction`); near-copies of an image stay in one part.

        Where a trivial answer, such as the nearest neighbour by mean colour, comes within a point
        of the network, a line in the log says so.

        Args:
            X: A folder with a folder a class; a folder with `train/`, `val/`, `test/` of those; a
                CSV, TSV or Parquet file, or a DataFrame, with a row an image; or a sequence of
                paths, arrays (H, W, 3), Pillow images or bytes.
            y: The label of each image of a sequence.
            groups: The group of each image of a sequence: images of one group, such as the frames
                of one observation, stay in one part.
            columns: The names of a table's columns, such as `{"path": "file", "label": "body"}`;
                None guesses them.
            others: Images that show none of the classes, as for `predict`: the network learns to
                find no class likelier than another for them (`Recipe.others_weight`), and so do
                scores of novelty that learn from such images. With the weight 0 these scores alone
                learn from them. All of them train; keep some back, from elsewhere, for
                `evaluate(others=...)`.
            warm_start_from: A trained `PlanetClassifier`, or the folder of a saved model, of the
                same backbone: its weights are the first ones, instead of `weights`, and its head's
                too where the classes are the same.
            callbacks: Hooks into the training.
            checkpoints: A folder in which the training can go on if it is cut off; None keeps
                nothing.
            resume: Whether it goes on from there. Data and settings must be the same; on CPU the
                result is that of a training that was never cut off, to the bit.

        Raises:
            CheckpointError: If it shall go on and there is no checkpoint, or it is of another
                training.
            SettingsError: If arguments are wrong; all of them are named at once. Also if
                `warm_start_from` has another backbone, or one of other shapes.
            DataError: If the data cannot be used, or files in them cannot be read.
            WeightsError: If the pretrained weights cannot be had.
            TrainingError: If the loss is no longer a finite number.
            ModelFormatError: If `warm_start_from` names a folder without a model.
        """
        if resume and checkpoints is None:
            raise SettingsError(
                "`resume` needs the folder of the checkpoints, got None. Pass checkpoints=FOLDER."
            )
        plan = create_plan(self)
        recipe, spec = plan.recipe, plan.input_spec
        start = None
        if warm_start_from is not None:
            from planetvision.classifiers.initialization import read_warm_start

            start = read_warm_start(warm_start_from)
        from planetvision.classifiers.model_card import describe_data, describe_others
        from planetvision.data.cache import create_cache
        from planetvision.data.loading import create_datasets
        from planetvision.data.preparation import prepare_catalog
        from planetvision.inference import fit_trust
        from planetvision.models.network import create_network
        from planetvision.training.trainer import Trainer

        # The split is tried first: it costs nothing, and decoding every file does.
        catalog = read_labelled(X, y, groups=groups, columns=columns, class_map=self.class_map)
        self._split(catalog)
        has_groups = catalog.groups is not None
        cache = create_cache(self.cache, gigabytes=self.cache_gigabytes)
        prepared = prepare_catalog(
            catalog,
            spec,
            cache=cache,
            group_duplicates=self.group_duplicates,
            num_parts=3 if self.test_fraction > 0 else 2,
            on_error=self.on_error,
            progress=self.progress,
        )
        catalog = self._split(prepared.catalog)
        classes = catalog.part("train").classes
        if UNKNOWN in classes:
            logger.warning(
                "There is a class '%s', as the answer for images of none of the classes is called: "
                "`known` tells the two apart, `label` does not. Rename the class, or leave it out: "
                "class_map={'%s': None}.",
                UNKNOWN,
                UNKNOWN,
            )
        network = create_network(
            self.backbone,
            num_classes=len(classes),
            head=recipe.head,
            head_options=recipe.head_options,
            weights=self.weights if start is None else "none",
            input_spec=spec,
            seed=self.random_state,
            tuning=self.tuning,
        )
        warm_start = None
        if start is None:
            plan.warn_of_random_features()
        else:
            has_head = start.copy_to(network, classes)
            warm_start = {"origin": start.origin, "has_head": has_head}
        train, val = create_datasets(
            catalog, classes=classes, input_spec=spec, seed=self.random_state, cache=cache
        )
        unlike = self._read_others(others, spec, cache)
        trainer = Trainer(
            network,
            recipe,
            device=self.device,
            precision=self.precision,
            scheduler=self.scheduler,
            seed=self.random_state,
            num_workers=self.num_workers,
            compile=bool(self.compile),
            tuning=self.tuning,
            max_minutes=self.max_minutes,
            checkpoints=checkpoints,
            callbacks=tuple(callbacks),
            progress=self.progress,
        )
        history = trainer.fit(
            train if unlike is None else train.join(unlike),
            val,
            resume=checkpoints if resume else None,
        )
        self.network_, self.history_, self.recipe_, self.split_ = network, history, recipe, catalog
        self.trust_ = self.data_ = self._folder = None
        self.classes_ = np.array(classes)
        self.weights_ = plan.weights_used if start is None else start.origin
        self.metrics_ = {
            "num_train": len(train),
            "num_val": len(val),
            "num_others": 0 if unlike is None else len(unlike),
            "val_loss": trainer.val_loss,
            "val_accuracy": trainer.val_accuracy,
        }
        # Now that the rest is kept: a score of one's own may fail, and the training is not lost.
        self.trust_ = fit_trust(
            network,
            train,
            val,
            others=unlike,
            score=self.novelty_score,
            device=self._device(),
            batch_size=int(self.batch_size or 32),
            num_workers=self.num_workers,
            precision=self.precision,
            seed=self.random_state,
            progress=self.progress and is_main_process(),
        )
        self.audit_ = self._audit(prepared)
        self.data_ = describe_data(
            self.audit_,
            given_splits=prepared.given_splits,
            has_groups=has_groups,
            group_duplicates=self.group_duplicates,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.random_state,
            others=None
            if unlike is None
            else describe_others(others, num_images=len(unlike), weight=recipe.others_weight),
            warm_start=warm_start,
        )
        return self

    def _read_others(
        self, others: Any, spec: InputSpec, cache: DecodedCache | None
    ) -> ImageDataset | None:
        """Returns the images of none of the classes that can be read, each decoded once."""
        if others is None:
            return None
        from planetvision.data import read_inputs
        from planetvision.data.loading import ImageDataset
        from planetvision.data.survey import drop_unreadable, survey_catalog

        catalog = read_inputs(others)
        survey = survey_catalog(
            catalog,
            min_size=spec.decode_size,
            stretch=spec.stretch,
            cache=cache,
            progress=self.progress,
        )
        catalog, survey = drop_unreadable(catalog, survey, on_error=self.on_error)
        return ImageDataset(
            catalog.sources,
            input_spec=spec,
            seed=self.random_state,
            hashes=survey.hashes,
            cache=cache,
        )

    def save(
        self, path: str | os.PathLike[str], *, overwrite: bool = False, half: bool = False
    ) -> Path:
        """Writes the model to a folder, safetensors and JSON, and returns the folder.

        `MODEL_CARD.md` in it tells what the model is, and `SHA256SUMS` lists its files' hashes for
        `planetvision.verify`.

        Args:
            path: The folder.
            overwrite: Whether a model that is there already may be replaced.
            half: Whether the weights are written in half precision: a folder of about half the
                size, and probabilities that differ in the third decimal. Tensors with values over
                65,504, which half precision cannot hold, stay as they are.

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
            trust=self.trust_,
            settings=self._portable_settings(),
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
        tuning: str = "auto",
    ) -> PlanetClassifier:
        """Returns the classifier that `save` wrote; needs no network and no pretrained weights.

        Args:
            path: The model's folder.
            device: Where it shall run.
            precision: In which arithmetic; `auto` is `fp32`.
            tuning: The levers of the machine that are on.

        Raises:
            ModelFormatError: If a part is missing or damaged, or a newer version wrote it.
            UnknownNameError: If its backbone or head is not registered here.
        """
        from planetvision.classifiers.storage import load_model

        resolve_precision(precision, resolve_device(device))
        running = {"device": device, "precision": precision, "tuning": tuning}
        model = load_model(path, tuning=tuning)
        settings = {**model.settings, "recipe": model.recipe, **running}
        classifier = cls.from_settings(settings)
        classifier._folder = Path(path)
        classifier.network_ = model.network
        classifier.recipe_ = model.recipe
        classifier.trust_ = model.trust
        classifier.classes_ = np.array(model.classes)
        classifier.metrics_ = dict(model.metrics)
        classifier.data_ = None if model.data is None else dict(model.data)
        classifier.weights_ = model.weights
        return classifier

    @classmethod
    def from_pretrained(
        cls, *, device: str = "auto", precision: Precision = "auto", tuning: str = "auto"
    ) -> PlanetClassifier:
        """Returns the released model, which comes with the package: no training, no network.

        It knows earth, jupiter, mars, moon, neptune, saturn and uranus, and says `unknown` of all
        else as far as it can. What it was trained on and how good it is stands in its model card.

        Args:
            device: Where it shall run.
            precision: In which arithmetic; `auto` is `fp32`.
            tuning: The levers of the machine that are on.

        Raises:
            ModelFormatError: If this copy of the package has no model.
        """
        from planetvision.classifiers.pretrained import get_pretrained_folder

        return cls.load(get_pretrained_folder(), device=device, precision=precision, tuning=tuning)

    def to_settings(self) -> dict[str, Any]:
        """Returns the arguments as JSON can hold them, for `from_settings`."""
        values: dict[str, Any] = self.get_params(deep=False)
        # JSON's keys are strings, and a class may be an integer.
        values["class_map"] = list(make_plain(self.class_map or {}).items()) or None
        values["weights"] = make_weights_absolute(self.weights)
        if isinstance(self.cache, str | os.PathLike) and self.cache not in CACHES:
            values["cache"] = os.path.abspath(self.cache)  # noqa: PTH100 - Path.absolute keeps ".."
        for name, value in values.items():
            if isinstance(value, Recipe):
                values[name] = value.to_dict()
            elif isinstance(value, np.generic):  # as a grid search hands them over
                values[name] = value.item()
        return values

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> PlanetClassifier:
        """Returns an untrained classifier of the arguments that `to_settings` gave.

        Args:
            settings: The arguments; those that there are no more are passed over.
        """
        known = cls._get_param_names()
        values = {name: value for name, value in settings.items() if name in known}
        if values.get("class_map"):
            values["class_map"] = dict(values["class_map"])
        if isinstance(values.get("recipe"), Mapping):
            values["recipe"] = Recipe.from_dict(values["recipe"])
        return cls(**values)

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

    def _judging(self, rejection_rate: float | None) -> dict[str, Any]:
        """How evidence becomes an answer."""
        trust = getattr(self, "trust_", None)
        if trust is None and rejection_rate:
            raise SettingsError(NO_TRUST.format(name="rejection_rate", value=rejection_rate))
        rate = self.rejection_rate if rejection_rate is None else rejection_rate
        return {"trust": trust, "rejection_rate": check_rejection_rate(rate)}

    def _can_reject(self, rejection_rate: float | None) -> bool | None:
        judging = self._judging(rejection_rate)
        trust: Trust | None = judging["trust"]
        return None if trust is None else trust.get_threshold(judging["rejection_rate"]) < math.inf

    @property
    def input_spec(self) -> InputSpec:
        """What the network is shown."""
        return self._network().input_spec

    def _keep_scores(self, evaluation: Evaluation, origin: str | None) -> None:
        """Keeps the scores on the test part, or on other images and what they are called."""
        from planetvision.classifiers.model_card import describe_scores

        learned = None
        if hasattr(self, "split_"):
            rows = zip(self.split_.hashes or (), self.split_.splits or (), strict=True)
            learned = {value for value, split in rows if split != "test"}
        scores = describe_scores(evaluation, learned=learned)
        if origin is None:
            self.metrics_["test"] = scores
            return
        kept = [
            other
            for other in self.metrics_.get("elsewhere", ())
            if other["fingerprint"] != scores["fingerprint"]
        ]
        if scores["fingerprint"] != self.metrics_.get("test", {}).get("fingerprint"):
            self.metrics_["elsewhere"] = [*kept, {"origin": name_origin(origin), **scores}]

    def _describe_model(self) -> dict[str, Mapping[str, Any]]:
        network = self._network()
        model = {
            "classes": ", ".join(map(str, self.classes_.tolist())),
            "backbone": network.spec.name,
            "weights before training": format_weights(self.weights_),
            "recipe": self.recipe_.name,
            "head": self.recipe_.head,
            **network.input_spec.to_dict(),
        }
        described = {"model": model, "settings": self._portable_settings()}
        data = getattr(self, "data_", None)
        return described if data is None else {**described, "training": data}

    def _running(self) -> dict[str, Any]:
        """How prediction runs."""
        return {
            "classes": self.classes_.tolist(),
            "device": self._device(),
            "batch_size": int(self.batch_size or 32),
            "num_workers": self.num_workers,
            "precision": self.precision,
            "tuning": self.tuning,
            "progress": self.progress,
        }

    def _answer(
        self, catalog: Catalog, *, rejection_rate: float | None, tta: Tta | None
    ) -> Predictions:
        from planetvision.inference import predict_catalog

        return predict_catalog(
            self._network(),
            catalog,
            tta=tta,
            **self._judging(rejection_rate),
            **self._running(),
        )

    def _explain(
        self,
        catalog: Catalog,
        *,
        method: str = "gradcam",
        target: Label | None = None,
        against: Label | None = None,
        layers: Sequence[str] | None = None,
        pairs: Sequence[tuple[Label | None, Label | None]] | None = None,
        checked: Collection[int] | None = (),
        rejection_rate: float | None = None,
        tta: Tta | None = None,
    ) -> Explanations:
        from planetvision.explain.explainer import MapSettings, explain_catalog

        return explain_catalog(
            self._network(),
            catalog,
            MapSettings(method=method, target=target, against=against, layers=layers),
            classes=self.classes_.tolist(),
            device=self._device(),
            pairs=pairs,
            checked=checked,
            tta=tta,
            **self._judging(rejection_rate),
        )

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

    def _audit(self, prepared: Prepared) -> Audit:
        """Audits the data of the fit, and logs what trivial answers are worth beside it."""
        from planetvision.evaluation.audit.added_value import (
            compare_with_network,
            score_frozen_stage,
        )
        from planetvision.evaluation.audit.auditor import audit_catalog

        audit = audit_catalog(
            self.split_,
            prepared.survey,
            unreadable=prepared.unreadable,
            duplicates=prepared.duplicates,
            given_splits=prepared.given_splits,
            scored="val",
        )
        for finding in audit.findings:
            level = logging.WARNING
            if finding.severity == "note" or finding.kind in _TOLD_ELSEWHERE:
                level = logging.INFO
            logger.log(level, "%s %s", finding.message, finding.remedy)
        frozen = score_frozen_stage(self.history_, self.recipe_, self.metrics_["num_val"])
        baselines = [*audit.baselines, *([frozen] if frozen else [])]
        line = compare_with_network(baselines, self.metrics_["val_accuracy"], scored="validation")
        if line:
            logger.warning("%s", line)
        return audit

    def _portable_settings(self) -> Mapping[str, Any]:
        """The arguments that hold on any machine; the recipe has a place of its own."""
        left_out = {
            "recipe",
            "device",
            "precision",
            "num_workers",
            "tuning",
            "progress",
            "weights",
            "cache",
            "cache_gigabytes",
            "max_minutes",
            "compile",
        }
        return {name: value for name, value in self.to_settings().items() if name not in left_out}
