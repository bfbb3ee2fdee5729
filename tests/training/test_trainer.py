"""The trainer: one seed, one result; stages, schedules, early stopping, failure."""

from __future__ import annotations

import copy
import math
import pickle
import types
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from planetvision.core.errors import DataError, SettingsError, TrainingError
from planetvision.core.settings import InputSpec, Recipe, Stage
from planetvision.data.loading import ImageDataset
from planetvision.models.network import PlanetNet, create_network
from planetvision.results import EpochRecord, TrainingHistory
from planetvision.training.callbacks import Callback
from planetvision.training.stage_run import StageRun, Validation
from planetvision.training.state import TrainingState
from planetvision.training.trainer import Trainer

SPEC = InputSpec(image_size=32)
# So little that every stage below makes the validation loss better, else its weights go back.
DROPOUT = 0.1
STAGES = {
    "partial": Stage(
        name="partial",
        epochs=2,
        learning_rate=1e-2,
        views=2,
        trainable_blocks=2,
        freeze_batch_norm=False,
    ),
    "views": Stage(name="views", epochs=2, learning_rate=1e-2, views=2),
    "frozen": Stage(name="frozen", epochs=2, learning_rate=1e-2),
    "fine-tune": Stage(
        name="fine-tune",
        epochs=2,
        learning_rate=1e-2,
        trainable_blocks=2,
        freeze_batch_norm=False,
    ),
}


def make_recipe(*stages: Stage, **changes: Any) -> Recipe:
    settings: dict[str, Any] = {"augmentation": "none", "batch_size": 6, **changes}
    return Recipe(name="test", stages=stages, **settings)


def make_network(dropout: float = 0.0, classes: int = 3) -> PlanetNet:
    return create_network(
        "tiny",
        num_classes=classes,
        head_options={"dropout": dropout},
        weights="none",
        input_spec=SPEC,
        seed=0,
    )


def run(
    recipe: Recipe,
    train: ImageDataset,
    val: ImageDataset | None,
    *,
    dropout: float = 0.0,
    kind: type[Trainer] = Trainer,
    store_features: bool = True,
    **options: Any,
) -> tuple[PlanetNet, TrainingHistory]:
    network = make_network(dropout)
    options = {"device": "cpu", "num_workers": 0, **options}
    trainer = kind(network, recipe, **options)
    trainer.store_features = store_features
    return network, trainer.fit(train, val)


def same_weights(left: PlanetNet, right: PlanetNet) -> bool:
    other = right.state_dict()
    return all(torch.equal(value, other[name]) for name, value in left.state_dict().items())


def without_seconds(history: TrainingHistory) -> list[EpochRecord]:
    return [replace(record, seconds=0.0) for record in history]


@pytest.fixture(scope="module", params=list(STAGES))
def stage(request: pytest.FixtureRequest) -> Stage:
    return STAGES[request.param]


@pytest.fixture(scope="module")
def reference(
    stage: Stage, train: ImageDataset, val: ImageDataset
) -> tuple[PlanetNet, TrainingHistory]:
    return run(make_recipe(stage, augmentation="light"), train, val, dropout=DROPOUT)


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_one_seed_gives_identical_runs_whatever_the_workers(
    stage: Stage,
    reference: tuple[PlanetNet, TrainingHistory],
    num_workers: int,
    train: ImageDataset,
    val: ImageDataset,
) -> None:
    torch.manual_seed(num_workers + 100)  # the caller's generators must not matter
    recipe = make_recipe(stage, augmentation="light")
    network, history = run(recipe, train, val, dropout=DROPOUT, num_workers=num_workers)
    assert same_weights(network, reference[0])
    assert without_seconds(history) == without_seconds(reference[1])


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [0, 2])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_stored_features_change_nothing(
    blocks: int, num_workers: int, train: ImageDataset, val: ImageDataset
) -> None:
    stage = Stage(
        name="stored",
        epochs=4,
        learning_rate=1e-2,
        trainable_blocks=blocks,
        views=2,
        refresh_epochs=2,
    )
    recipe = make_recipe(stage, augmentation="light")
    stored, history = run(recipe, train, val, dropout=DROPOUT)
    plain, expected = run(
        recipe, train, val, dropout=DROPOUT, store_features=False, num_workers=num_workers
    )
    assert same_weights(stored, plain)
    assert without_seconds(history) == without_seconds(expected)
    kept, _ = run(make_recipe(replace(stage, refresh_epochs=None)), train, val, dropout=DROPOUT)
    assert not same_weights(stored, kept)


@pytest.mark.slow
def test_backbone_that_cannot_be_stored_is_run_in_each_step_with_a_warning(
    train: ImageDataset, val: ImageDataset, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = make_recipe(replace(STAGES["partial"], trainable_blocks=4))
    network, _ = run(recipe, train, val)
    assert "stage partial: the features of the frozen layers of tiny cannot be" in caplog.text
    plain, _ = run(recipe, train, val, store_features=False)
    assert same_weights(network, plain)


@pytest.mark.slow
def test_another_seed_gives_another_run(
    stage: Stage,
    reference: tuple[PlanetNet, TrainingHistory],
    train: ImageDataset,
    val: ImageDataset,
) -> None:
    network, history = run(
        make_recipe(stage, augmentation="light"), train, val, dropout=DROPOUT, seed=1
    )
    assert not same_weights(network, reference[0])
    assert without_seconds(history) != without_seconds(reference[1])


def test_each_stage_changes_what_it_frees_and_nothing_else(
    stage: Stage, reference: tuple[PlanetNet, TrainingHistory]
) -> None:
    before, after = make_network(DROPOUT).state_dict(), reference[0].state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    free = {"head.1.weight", "head.1.bias"}
    if stage.trainable_blocks:
        free |= {
            name for name in before if name.startswith(("backbone.blocks.2", "backbone.blocks.3"))
        }
    assert changed == free


def test_training_learns_the_discs(train: ImageDataset, val: ImageDataset) -> None:
    stage = replace(STAGES["fine-tune"], epochs=12, trainable_blocks=None, learning_rate=3e-3)
    _, history = run(make_recipe(stage), train, val)
    assert history[-1].train_loss < 0.3 * history[0].train_loss
    assert min(record.val_loss or math.inf for record in history) < 0.5
    assert history[-1].val_accuracy == 1.0


@pytest.mark.slow
def test_precisions_live_side_by_side_in_one_process(
    train: ImageDataset, val: ImageDataset
) -> None:
    recipe = make_recipe(STAGES["views"], STAGES["fine-tune"])
    first, _ = run(recipe, train, val, precision="fp32")
    rounded, history = run(recipe, train, val, precision="bf16")
    again, _ = run(recipe, train, val, precision="fp32")
    assert same_weights(first, again)
    assert not same_weights(first, rounded)
    torch.testing.assert_close(rounded.head.weight, first.head.weight, atol=0.1, rtol=0.1)
    assert rounded.head.weight.dtype == torch.float32
    assert all(math.isfinite(record.train_loss) for record in history)


def test_fp16_on_a_cpu_is_refused() -> None:
    with pytest.raises(SettingsError, match="'fp16' needs a CUDA device"):
        Trainer(make_network(), make_recipe(STAGES["views"]), device="cpu", precision="fp16")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_network_is_left_whole_and_free(
    precision: Any, train: ImageDataset, val: ImageDataset
) -> None:
    network, _ = run(
        make_recipe(STAGES["views"], STAGES["frozen"]), train, val, precision=precision
    )
    for module in (network, network.head, network.backbone):
        # Bound to the module, and not a wrapper of Accelerate's.
        assert module.forward == types.MethodType(type(module).forward, module)
    assert not network.training
    assert all(weight.requires_grad for weight in network.parameters())
    network.train()
    assert all(part.training for part in network.modules())
    network.eval()
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    logits = network(images)
    assert logits.dtype == torch.float32
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(twin(images), logits)
    twin = make_network().eval()
    twin.load_state_dict(network.state_dict())
    assert torch.equal(twin(images), logits)


def test_history_holds_the_rates_of_the_schedule(train: ImageDataset, val: ImageDataset) -> None:
    # 12 images in batches of 6 are 2 steps an epoch: 8 steps, of which 2 warm up.
    first = Stage(
        name="first", epochs=4, learning_rate=0.03, scheduler="linear", warmup_epochs=1, views=1
    )
    second = Stage(name="second", epochs=2, learning_rate=0.01, scheduler="cosine")
    _, history = run(make_recipe(first, second), train, val)
    assert [record.epoch for record in history] == [1, 2, 3, 4, 5, 6]
    assert [record.stage for record in history] == ["first"] * 4 + ["second"] * 2
    rates = [0.03 / 3, 0.03, 0.03 * 4 / 6, 0.03 * 2 / 6, 0.01, 0.01 * 0.5]
    assert [record.learning_rate for record in history] == pytest.approx(rates)
    assert list(history.to_frame().columns) == [
        "stage",
        "epoch",
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "val_calibrated_loss",
        "learning_rate",
        "seconds",
    ]
    assert all(record.seconds > 0 for record in history)


@pytest.mark.slow
def test_scheduler_of_a_stage_sets_its_learning_rates(
    train: ImageDataset, val: ImageDataset
) -> None:
    recipe = make_recipe(STAGES["views"], STAGES["frozen"])
    by_stage, own = run(recipe, train, val)
    stages = tuple(replace(stage, scheduler="constant") for stage in recipe.stages)
    overridden, constant = run(replace(recipe, stages=stages), train, val)
    assert [record.learning_rate for record in constant] == pytest.approx([1e-2] * 4)
    assert [record.learning_rate for record in own] == pytest.approx([1e-2, 5e-3] * 2)
    assert not same_weights(by_stage, overridden)


def direct_logits(dataset: ImageDataset) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits of the untrained network, and the targets."""
    images = torch.stack([dataset[row][0] for row in range(len(dataset))])
    with torch.no_grad():
        return make_network().eval()(images), torch.tensor(dataset.targets)


STANDSTILL = Stage(name="still", epochs=1, learning_rate=1e-12, views=1, batch_size=64)


@pytest.mark.parametrize("weights", ["balanced", "none"])
def test_loss_weighs_classes_by_their_inverse_frequency_when_balanced(
    weights: Any, train: ImageDataset
) -> None:
    rows = [0, 1, 2, 3, 4, 8]  # four of class 0, one of class 1, one of class 2
    few = ImageDataset(
        [train.sources[row] for row in rows], [train.targets[row] for row in rows], input_spec=SPEC
    )
    assert few.targets == (0, 0, 0, 0, 1, 2)
    _, history = run(make_recipe(STANDSTILL, class_weights=weights), few, few)
    logits, targets = direct_logits(few)
    losses = -logits.log_softmax(dim=1)[torch.arange(6), targets]
    # 6 / (3 * count): half for the four, two for each of the others.
    shares = torch.tensor([0.5] * 4 + [2.0] * 2) if weights == "balanced" else torch.ones(6)
    expected = (losses * shares).sum() / shares.sum()
    assert history[0].train_loss == pytest.approx(float(expected), rel=1e-4)
    # Validation tells how good the answers are, and weighs nothing.
    assert history[0].val_loss == pytest.approx(float(losses.mean()), rel=1e-4)
    right = (logits.argmax(dim=1) == targets).float().mean()
    assert history[0].val_accuracy == pytest.approx(float(right))


def test_balanced_loss_of_data_without_the_last_class_weighs_those_that_occur(
    train: ImageDataset,
) -> None:
    rows = [0, 1, 2, 4]  # three of class 0, one of class 1, none of class 2
    few = ImageDataset(
        [train.sources[row] for row in rows], [train.targets[row] for row in rows], input_spec=SPEC
    )
    assert few.targets == (0, 0, 0, 1)
    _, history = run(make_recipe(STANDSTILL, class_weights="balanced"), few, few)
    logits, targets = direct_logits(few)
    losses = -logits.log_softmax(dim=1)[torch.arange(4), targets]
    shares = torch.tensor([1.0, 1.0, 1.0, 3.0])
    expected = (losses * shares).sum() / shares.sum()
    assert history[0].train_loss == pytest.approx(float(expected), rel=1e-4)


def test_training_loss_is_that_of_images_that_have_a_class(train: ImageDataset) -> None:
    # Of batches of two some hold others alone, some hold others and discs.
    rows, none = list(range(5)), [8, 9, 10]
    mixed = ImageDataset(
        [train.sources[row] for row in rows + none],
        [*(train.targets[row] for row in rows), *(-1 for _ in none)],
        input_spec=SPEC,
    )
    stage = replace(STANDSTILL, batch_size=2)
    recipe = make_recipe(stage, class_weights="none", negatives_weight=3.0)
    _, history = run(recipe, mixed, None)
    logits, targets = direct_logits(mixed.choose(rows))
    expected = -logits.log_softmax(dim=1)[torch.arange(len(rows)), targets].mean()
    assert history[0].train_loss == pytest.approx(float(expected), rel=1e-4)


def test_targets_below_that_of_no_class_are_refused(train: ImageDataset, val: ImageDataset) -> None:
    wrong = ImageDataset(train.sources, [-2, *train.targets[1:]], input_spec=SPEC)
    recipe = make_recipe(STANDSTILL)
    message = r"must be a class index, or -1 .* got -2 in the {} data\. Number the classes from 0"
    with pytest.raises(SettingsError, match=message.format("training")):
        run(recipe, wrong, val)
    with pytest.raises(SettingsError, match=message.format("validation")):
        run(recipe, train, wrong)
    # A data set that does not tell its targets is found out by its batches.
    stage = replace(STANDSTILL, views=0)
    plain = [wrong[row] for row in range(len(wrong))]
    with pytest.raises(DataError, match=r"got lower values in a training batch \(images: 1\)"):
        run(make_recipe(stage, class_weights="none"), plain, None)  # type: ignore[arg-type]


def test_targets_that_the_network_has_no_answer_for_are_refused(
    train: ImageDataset, val: ImageDataset
) -> None:
    wrong = ImageDataset(train.sources, [7, *train.targets[1:]], input_spec=SPEC)
    message = r"below 3, the number of the network's classes, got 7\. .* num_classes=8\."
    for parts in ((wrong, val), (train, wrong)):
        with pytest.raises(DataError, match=message):
            run(make_recipe(STANDSTILL), *parts)


def test_label_smoothing_spreads_the_target_in_training_alone(train: ImageDataset) -> None:
    _, history = run(make_recipe(STANDSTILL, label_smoothing=0.3), train, train)
    logits, targets = direct_logits(train)
    logs = logits.log_softmax(dim=1)
    hard = -logs[torch.arange(len(train)), targets]
    smooth = 0.7 * hard - 0.3 * logs.mean(dim=1)
    assert history[0].train_loss == pytest.approx(float(smooth.mean()), rel=1e-4)
    assert history[0].val_loss == pytest.approx(float(hard.mean()), rel=1e-4)


@pytest.mark.slow
def test_gradients_are_clipped_to_the_norm(train: ImageDataset) -> None:
    stage = replace(STANDSTILL, optimizer="sgd", learning_rate=0.1, scheduler="constant")

    def moved(limit: float | None) -> float:
        network, _ = run(make_recipe(stage, max_gradient_norm=limit), train, None)
        before = make_network()
        steps = [
            (after - first).detach().flatten()
            for after, first in zip(
                network.head.parameters(), before.head.parameters(), strict=True
            )
        ]
        return float(torch.cat(steps).norm())

    # Nesterov's first step with momentum 0.9 is 1.9 times rate and gradient.
    assert moved(1e-3) == pytest.approx(1.9 * 0.1 * 1e-3, rel=1e-3)
    assert moved(None) > 10 * moved(1e-3)


class Scripted(Trainer):
    """Validation losses as written down, before the first epoch and after each."""

    losses: Sequence[float] = ()
    asked = 0

    def validate(self, run: StageRun) -> Validation | None:
        self.asked += 1
        loss = self.losses[self.asked - 1]
        return Validation(loss=loss, accuracy=0.5, calibrated_loss=-loss)


class Recorder(Callback):
    """Keeps the head's weights after every epoch, and the order of calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.heads: list[torch.Tensor] = []

    def on_fit_begin(self, state: TrainingState) -> None:
        self.calls.append("fit begin")

    def on_stage_begin(self, state: TrainingState, stage: Stage) -> None:
        learning = sum(weight.requires_grad for weight in state.network.parameters())
        self.calls.append(f"{stage.name} begin, {learning} learn")

    def on_step_end(self, state: TrainingState, loss: float) -> None:
        self.calls.append("step" if loss > 0 else "no loss")

    def on_epoch_end(self, state: TrainingState, record: EpochRecord) -> None:
        self.calls.append(f"epoch {record.epoch}")
        assert state.history[-1] is record
        self.heads.append(state.network.get_parameter("head.weight").detach().clone())

    def on_stage_end(self, state: TrainingState, stage: Stage) -> None:
        self.calls.append(f"{stage.name} end")

    def on_fit_end(self, state: TrainingState) -> None:
        self.calls.append("fit end")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("losses", "patience", "epochs", "best"),
    [
        ((2.0, 1.0, 0.5, 0.7, 0.6, 0.1), 2, 4, 2),
        ((2.0, 1.0, 0.5, 0.7, 0.6, 0.1), None, 5, 5),
        ((2.0, 1.0, 1.1, 1.2, 1.3, 1.4), 3, 4, 1),
        ((2.0, 1.0, 0.9, 0.8, 0.7, 0.75), 1, 5, 4),
        ((math.nan, 1.0, 1.1, 1.2, 0.5, 0.4), 2, 3, 1),
        # None is better than what the stage began with.
        ((0.5, 1.0, 0.9, 0.4, 0.3, 0.2), 2, 2, 0),
        ((0.5, 1.0, 0.9, 0.8, 0.7, 0.6), None, 5, 0),
    ],
)
def test_patience_ends_a_stage_and_the_best_weights_come_back(
    losses: Sequence[float],
    patience: int | None,
    epochs: int,
    best: int,
    train: ImageDataset,
    val: ImageDataset,
) -> None:
    stage = Stage(name="head", epochs=5, learning_rate=0.1, views=1, patience=patience)
    recorder = Recorder()
    kind = type("Script", (Scripted,), {"losses": losses})
    network, history = run(make_recipe(stage), train, val, kind=kind, callbacks=[recorder])
    assert len(history) == epochs
    heads = [make_network().head.get_parameter("weight"), *recorder.heads]
    assert torch.equal(network.head.get_parameter("weight"), heads[best])
    assert not torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[1], heads[2])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_validation_loss_that_is_not_finite_names_stage_and_epoch(
    value: float, train: ImageDataset, val: ImageDataset
) -> None:
    stage = Stage(name="head", epochs=5, learning_rate=0.1, views=1, patience=3)
    kind = type("Script", (Scripted,), {"losses": (2.0, 1.0, value, 0.5)})
    recorder = Recorder()
    with pytest.raises(
        TrainingError, match=f"The validation loss is {value} in stage 'head', epoch 2"
    ) as caught:
        run(make_recipe(stage), train, val, kind=kind, callbacks=[recorder])
    assert (caught.value.stage, caught.value.epoch, caught.value.step) == ("head", 2, 2)
    assert recorder.calls[-1] == "fit end"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["views", "fine-tune"])
def test_stage_that_only_makes_things_worse_leaves_the_weights_as_they_were(
    name: str, train: ImageDataset, val: ImageDataset
) -> None:
    good = replace(STAGES["fine-tune"], name="good", learning_rate=3e-3)
    wild = replace(STAGES[name], name="wild", learning_rate=10.0, scheduler="constant")
    expected, first = run(make_recipe(good), train, val)
    network, history = run(make_recipe(good, wild), train, val)
    best = min(record.val_loss or 0 for record in first)
    assert all((record.val_loss or 0) > best for record in history if record.stage == "wild")
    assert same_weights(network, expected)
    assert not same_weights(network, make_network())


def test_without_validation_the_last_weights_stay(train: ImageDataset) -> None:
    stage = Stage(name="head", epochs=3, learning_rate=0.1, views=1, patience=1)
    recorder = Recorder()
    network, history = run(make_recipe(stage), train, None, callbacks=[recorder])
    assert [record.val_loss for record in history] == [None] * 3
    assert torch.equal(network.head.weight, recorder.heads[-1])  # type: ignore[arg-type]


def test_callbacks_are_called_in_order(train: ImageDataset, val: ImageDataset) -> None:
    recorder = Recorder()
    stages = (replace(STAGES["views"], epochs=1, views=1), replace(STAGES["fine-tune"], epochs=2))
    run(make_recipe(*stages), train, val, callbacks=[recorder])
    assert recorder.calls == [
        "fit begin",
        "views begin, 2 learn",
        "step",
        "step",
        "epoch 1",
        "views end",
        "fine-tune begin, 8 learn",
        "step",
        "step",
        "epoch 2",
        "step",
        "step",
        "epoch 3",
        "fine-tune end",
        "fit end",
    ]


class Poison(Callback):
    """Spoils the weights after the second epoch."""

    def on_epoch_end(self, state: TrainingState, record: EpochRecord) -> None:
        if record.epoch == 2:
            nn.init.constant_(state.network.get_parameter("head.bias"), math.nan)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["views", "frozen"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_loss_that_is_not_finite_names_stage_and_epoch(
    name: str, precision: Any, train: ImageDataset, val: ImageDataset
) -> None:
    recipe = make_recipe(
        replace(STAGES["views"], epochs=1), replace(STAGES[name], name="wild", epochs=3)
    )
    recorder, network = Recorder(), make_network()
    trainer = Trainer(
        network, recipe, device="cpu", precision=precision, callbacks=[Poison(), recorder]
    )
    with pytest.raises(TrainingError, match="The loss is nan in stage 'wild', epoch 3") as caught:
        trainer.fit(train, val)
    assert (caught.value.stage, caught.value.epoch) == ("wild", 3)
    assert recorder.calls[-2:] == ["epoch 2", "fit end"]
    assert len(trainer.state.history) == 2
    assert not network.training
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    assert network.backbone(network.normalize(images)).dtype == torch.float32
    assert network.head(torch.zeros(1, 128)).dtype == torch.float32
    with pytest.raises(TrainingError, match="an accelerator only while `fit` runs"):
        _ = trainer.accelerator


def test_rate_far_too_high_is_a_training_error(train: ImageDataset) -> None:
    stage = Stage(name="wild", epochs=9, learning_rate=1e38, optimizer="sgd", scheduler="constant")
    with pytest.raises(
        TrainingError, match=r"at a learning rate of 1e\+38. Lower the learning rate"
    ):
        run(make_recipe(stage, max_gradient_norm=None), train, None)


def test_failing_callback_ends_training_and_the_others_hear_of_the_end(
    train: ImageDataset, val: ImageDataset
) -> None:
    class Stop(Callback):
        def on_epoch_end(self, state: TrainingState, record: EpochRecord) -> None:
            raise KeyboardInterrupt

    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt):
        run(make_recipe(STAGES["frozen"]), train, val, callbacks=[recorder, Stop()])
    assert recorder.calls[-2:] == ["epoch 1", "fit end"]


def test_step_can_be_replaced_in_a_subclass(train: ImageDataset, val: ImageDataset) -> None:
    class Lazy(Trainer):
        def train_step(
            self, run: StageRun, inputs: Sequence[torch.Tensor], targets: torch.Tensor
        ) -> tuple[float, float, int]:
            return 0.25, float(len(targets)), len(targets)

    network, history = run(make_recipe(STAGES["frozen"]), train, val, kind=Lazy)
    assert [record.train_loss for record in history] == [0.25, 0.25]
    assert [record.train_accuracy for record in history] == [1.0, 1.0]
    assert same_weights(network, make_network())


@pytest.mark.slow
def test_draws_are_the_epochs_through_all_stages(
    train: ImageDataset, val: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: dict[str, list[Any]] = {"light": [], "none": []}
    get_item = ImageDataset.__getitem__

    def record(self: ImageDataset, key: Any) -> tuple[torch.Tensor, int]:
        keys[self.augmentation].append(key)
        return get_item(self, key)

    monkeypatch.setattr(ImageDataset, "__getitem__", record)
    stages = (
        STAGES["frozen"],
        replace(STAGES["fine-tune"], epochs=3),
        replace(STAGES["fine-tune"], name="last", epochs=1),
    )
    run(make_recipe(*stages, augmentation="light"), train, val)
    assert [draw for _, draw in keys["light"]] == [
        draw for draw in range(1, 7) for _ in range(len(train))
    ]
    # Every image once an epoch, and never twice in one guise.
    assert sorted(keys["light"]) == [(row, draw) for row in range(12) for draw in range(1, 7)]
    assert {draw for _, draw in keys["none"]} == {0}


def test_tensorboard_events_hold_the_history(
    train: ImageDataset, val: ImageDataset, tmp_path: Path
) -> None:
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    from planetvision.training.callbacks import TensorBoardLogger

    logger = TensorBoardLogger(tmp_path / "log")
    _, history = run(make_recipe(STAGES["views"]), train, val, callbacks=[logger])
    events = event_accumulator.EventAccumulator(str(tmp_path / "log")).Reload()
    names = ["learning_rate", "train_accuracy", "train_loss", "val_accuracy", "val_loss"]
    assert sorted(events.Tags()["scalars"]) == names
    for name in names:
        scalars = events.Scalars(name)
        assert [scalar.step for scalar in scalars] == [1, 2]
        written = [scalar.value for scalar in scalars]
        assert written == pytest.approx([getattr(record, name) for record in history], rel=1e-6)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[nn.Module]]:
    """What is compiled meanwhile: traced by `torch.compile`, and run without a C++ compiler."""
    modules: list[nn.Module] = []
    compile_module = nn.Module.compile

    def compile_by_tracing(module: nn.Module) -> None:
        modules.append(module)
        compile_module(module, backend="eager")

    monkeypatch.setattr(nn.Module, "compile", compile_by_tracing)
    yield modules
    torch.compiler.reset()


@pytest.mark.slow
def test_compiled_steps_learn_the_same_and_leave_a_plain_network(
    train: ImageDataset, val: ImageDataset, compiled: list[nn.Module]
) -> None:
    recipe = make_recipe(STAGES["fine-tune"])
    plain, expected = run(recipe, train, val)
    assert compiled == []
    network, history = run(recipe, train, val, compile=True)
    assert compiled == [network]
    for found, record in zip(history, expected, strict=True):
        assert found.train_loss == pytest.approx(record.train_loss, rel=1e-4)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value, rtol=1e-3, atol=1e-5)
    pickle.loads(pickle.dumps(network))


def test_stored_features_are_not_compiled(
    train: ImageDataset, val: ImageDataset, compiled: list[nn.Module]
) -> None:
    run(make_recipe(STAGES["views"]), train, val, compile=True)
    assert compiled == []


def test_data_without_any_class_is_refused() -> None:
    class Unlabelled(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return torch.zeros(3, 32, 32, dtype=torch.uint8), -1

    stage = Stage(name="all", epochs=1, learning_rate=1e-2, trainable_blocks=None)
    trainer = Trainer(
        make_network(), make_recipe(stage, class_weights="none"), device="cpu", num_workers=0
    )
    with pytest.raises(DataError, match="No training image has a class"):
        trainer.fit(Unlabelled())
