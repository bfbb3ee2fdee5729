"""Steps of the optimizer: accumulation, memory, averages, what stages end with, time."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, SubsetRandomSampler, TensorDataset

from planetvision.core.errors import SettingsError, TrainingError
from planetvision.core.settings import Recipe, Stage
from planetvision.data.loading import ImageDataset
from planetvision.models.network import PlanetNet
from planetvision.results import EpochRecord
from planetvision.training.averaging import MovingAverage
from planetvision.training.callbacks import Callback
from planetvision.training.stage_run import StageRun, Validation
from planetvision.training.state import TrainingState
from planetvision.training.trainer import Trainer

Create = Callable[..., PlanetNet]
STAGE = Stage(name="all", epochs=2, learning_rate=1e-2, trainable_blocks=None, optimizer="sgd")


def make_recipe(stage: Stage = STAGE, **changes: Any) -> Recipe:
    settings: dict[str, Any] = {"augmentation": "none", "batch_size": 12, **changes}
    return Recipe(name="test", stages=(stage,), **settings)


def fit(
    create: Create,
    recipe: Recipe,
    train: ImageDataset,
    val: ImageDataset | None = None,
    *,
    kind: type[Trainer] = Trainer,
    **options: Any,
) -> Trainer:
    trainer = kind(create(), recipe, device="cpu", num_workers=0, **options)
    trainer.fit(train, val)
    return trainer


def flatten(module: nn.Module) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in module.parameters()])


def get_weights(trainer: Trainer | TrainingState) -> torch.Tensor:
    return flatten(trainer.network)


@pytest.mark.slow
def test_accumulated_batches_give_the_step_of_one_large_batch(
    create: Create, train: ImageDataset
) -> None:
    large = fit(create, make_recipe(), train)
    few = replace(STAGE, batch_size=3, accumulation_steps=4)
    small = fit(create, make_recipe(few), train)
    torch.testing.assert_close(get_weights(small), get_weights(large), atol=1e-6, rtol=1e-4)
    assert small.state.history[-1].train_loss == pytest.approx(
        large.state.history[-1].train_loss, rel=1e-5
    )
    other = fit(create, make_recipe(replace(STAGE, batch_size=3)), train)
    assert not torch.allclose(get_weights(other), get_weights(large), atol=1e-4)


class Tight(nn.Module):
    """A network that has memory for so many images only."""

    def __init__(self, network: PlanetNet, limit: int) -> None:
        super().__init__()
        self.network = network
        network.set_trainable(None)  # BatchNorm would see the parts of a batch apart
        self.limit = limit

    def forward(self, images: torch.Tensor) -> Any:
        if self.training and len(images) > self.limit:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.network(images)


@pytest.mark.slow
def test_batch_that_does_not_fit_goes_through_in_parts_with_the_same_result(
    create: Create, train: ImageDataset, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = make_recipe()
    expected, tight = (
        Trainer(Tight(create(), limit), recipe, device="cpu", num_workers=0) for limit in (99, 4)
    )
    expected.fit(train)
    with caplog.at_level(logging.WARNING, logger="planetvision"):
        tight.fit(train)
    torch.testing.assert_close(get_weights(tight), get_weights(expected), atol=1e-6, rtol=1e-4)
    assert caplog.text.count("does not fit into memory") == 2  # two parts, then four
    assert "into 4 chunks, with the same result; batch_size=3 would fit" in caplog.text
    with pytest.raises(TrainingError, match=r"A single image does not fit .*smaller `image_size`"):
        Trainer(Tight(create(), 0), recipe, device="cpu", num_workers=0).fit(train)


def test_other_errors_of_a_step_are_not_taken_for_a_lack_of_memory(
    create: Create, train: ImageDataset
) -> None:
    class Broken(Tight):
        def forward(self, images: torch.Tensor) -> Any:
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        Trainer(Broken(create(), 9), make_recipe(), device="cpu", num_workers=0).fit(train)


def test_moving_average_is_what_is_validated_and_kept(create: Create, train: ImageDataset) -> None:
    class Watch(Callback):
        weights: list[torch.Tensor] = []  # noqa: RUF012 - one instance

        def on_step_end(self, state: TrainingState, loss: float) -> None:
            self.weights.append(get_weights(state))

    watch = Watch()
    stage = replace(STAGE, ema_decay=0.5, epochs=3)
    trainer = fit(create, make_recipe(stage), train, callbacks=[watch])
    average = flatten(create())
    for step, weights in enumerate(watch.weights, start=1):
        average = average.lerp(weights, 1 - min(0.5, (1 + step) / (10 + step)))
    torch.testing.assert_close(get_weights(trainer), average)
    assert not torch.allclose(average, watch.weights[-1], atol=1e-5)


def test_average_is_lent_to_the_module_and_taken_back() -> None:
    module = nn.Linear(2, 1)
    average = MovingAverage(module, 0.9)
    nn.init.constant_(module.weight, 5.0)
    average.update()
    with average.applied():
        assert not (module.weight == 5.0).any()
    assert (module.weight == 5.0).all()


class Scripted(Trainer):
    """Validation as written down: pairs of loss and calibrated loss."""

    script: Sequence[tuple[float, float]] = ()
    asked = 0

    def validate(self, run: StageRun) -> Validation | None:
        self.asked += 1
        loss, calibrated = self.script[min(self.asked, len(self.script)) - 1]
        return Validation(loss=loss, accuracy=0.5, calibrated_loss=calibrated)


class Keep(Callback):
    """Keeps the weights after every epoch."""

    def __init__(self) -> None:
        self.weights: list[torch.Tensor] = []

    def on_epoch_end(self, state: TrainingState, record: EpochRecord) -> None:
        self.weights.append(get_weights(state))


@pytest.mark.parametrize(("monitor", "best"), [("loss", 0), ("calibrated_loss", 1), ("none", 2)])
def test_monitor_says_which_epoch_is_kept(
    monitor: Any, best: int, create: Create, train: ImageDataset
) -> None:
    kind = type("Script", (Scripted,), {"script": ((9, 9), (1.0, 0.8), (2.0, 0.4), (3.0, 0.6))})
    keep = Keep()
    stage = replace(STAGE, epochs=3, monitor=monitor)
    trainer = fit(create, make_recipe(stage), train, train, kind=kind, callbacks=[keep])
    assert torch.equal(get_weights(trainer), keep.weights[best])
    assert trainer.state.val_loss == (1.0, 2.0, 3.0)[best]


def test_stage_ends_between_its_start_and_its_best(create: Create, train: ImageDataset) -> None:
    keep = Keep()
    stage = replace(STAGE, weight_interpolation=0.25, epochs=1)
    trainer = fit(create, make_recipe(stage), train, callbacks=[keep])
    start = flatten(create())
    torch.testing.assert_close(get_weights(trainer), start.lerp(keep.weights[0], 0.25))


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_validation_after_interpolation_is_that_of_the_weights_that_stay(
    ema_decay: float | None, create: Create, train: ImageDataset
) -> None:
    stage = replace(STAGE, weight_interpolation=0.5, ema_decay=ema_decay)
    trainer = fit(create, make_recipe(stage), train, train)
    images = torch.stack([train[row][0] for row in range(len(train))])
    with torch.no_grad():
        logits = trainer.network(images)
    loss = nn.functional.cross_entropy(logits, torch.tensor(train.targets))
    assert trainer.state.val_loss == pytest.approx(float(loss), rel=1e-4)


def test_time_that_is_over_ends_the_stage_and_begins_no_other(
    create: Create,
    train: ImageDataset,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("planetvision.training.trainer.time.monotonic", lambda: now[0])

    class Clock(Callback):
        def on_step_end(self, state: TrainingState, loss: float) -> None:
            now[0] += 25.0

    second = replace(STAGE, name="more")
    recipe = replace(
        make_recipe(replace(STAGE, epochs=9)), stages=(replace(STAGE, epochs=9), second)
    )
    with caplog.at_level(logging.WARNING, logger="planetvision"):
        trainer = fit(create, recipe, train, callbacks=[Clock()], max_minutes=1.0)
    assert len(trainer.state.history) == 3
    assert "stage all ends after 3 of 9 epochs: the time limit is reached" in caplog.text
    assert "stage more is skipped: the time limit is reached" in caplog.text


@pytest.mark.slow
def test_layers_and_options_of_the_optimizer_change_the_result(
    create: Create, train: ImageDataset
) -> None:
    results = [
        get_weights(fit(create, make_recipe(stage), train))
        for stage in (
            STAGE,
            replace(STAGE, layer_decay=0.5),
            replace(STAGE, optimizer_options={"momentum": 0.5}),
            replace(STAGE, optimizer="timm:lion"),
            replace(STAGE, optimizer="torch:RAdam"),
            replace(STAGE, mixup=0.4),
            replace(STAGE, cutmix=1.0),
        )
    ]
    for index, one in enumerate(results):
        assert not any(torch.equal(one, other) for other in results[:index])
    focal = get_weights(fit(create, make_recipe(loss="focal"), train))
    assert not torch.equal(focal, results[0])


class Points(Dataset[Any]):
    """Two clouds of points, as anybody's data set."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.targets = [index % 2 for index in range(40)]
        self.points = (
            torch.randn(40, 5, generator=generator) + 3 * torch.tensor(self.targets)[:, None]
        )

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.points[index], self.targets[index]


OWN = replace(STAGE, epochs=20, learning_rate=0.1)


def test_module_and_data_of_ones_own_are_trained() -> None:
    module = nn.Linear(5, 2)
    trainer = Trainer(module, make_recipe(OWN), device="cpu")
    history = trainer.fit(Points(), Points())
    assert history[-1].val_accuracy == 1.0
    assert not module.training


def test_loader_of_ones_own_is_used_as_it_is() -> None:
    points = Points()
    data = TensorDataset(points.points, torch.tensor(points.targets))
    loader = DataLoader(data, batch_size=7, shuffle=True)
    recipe = make_recipe(OWN, class_weights="none")
    history = Trainer(nn.Linear(5, 2), recipe, device="cpu").fit(loader, loader)
    assert history[-1].val_accuracy == 1.0
    with pytest.raises(SettingsError, match=r"class_weights is 'balanced'.* has no `targets`"):
        Trainer(nn.Linear(5, 2), make_recipe(OWN), device="cpu").fit(loader)


def test_stage_that_needs_what_a_module_of_ones_own_has_not_is_refused() -> None:
    frozen = replace(OWN, trainable_blocks=0)
    with pytest.raises(SettingsError, match=r"got a Linear.*Wrap it"):
        Trainer(nn.Linear(5, 2), make_recipe(frozen), device="cpu").fit(Points())


def test_network_of_the_library_takes_a_plain_data_set_but_not_for_stored_views(
    create: Create, train: ImageDataset
) -> None:
    class Plain(Dataset[Any]):
        targets = train.targets

        def __len__(self) -> int:
            return len(train)

        def __getitem__(self, index: int) -> Any:
            return train[index]

    frozen = replace(OWN, epochs=1, trainable_blocks=0)
    trainer = Trainer(create(), make_recipe(frozen), device="cpu")
    assert math.isfinite(trainer.fit(Plain())[0].train_loss)
    with pytest.raises(SettingsError, match=r"`views` needs an `ImageDataset`, got a _?\w+"):
        Trainer(create(), make_recipe(replace(frozen, views=1)), device="cpu").fit(Plain())


def test_validation_counts_the_images_that_the_sampler_of_a_loader_gives() -> None:
    points = Points()
    counted: list[int] = []

    class Counting(Trainer):
        def validate(self, run: StageRun) -> Validation | None:
            assert run.val_loader is not None
            run.module.register_forward_pre_hook(lambda _, given: counted.append(len(given[0])))
            return super().validate(run)

    rows = list(range(27))
    loader = DataLoader(points, batch_size=8, sampler=SubsetRandomSampler(rows))
    module = nn.Linear(5, 2)
    stage = replace(OWN, epochs=1, learning_rate=1e-6)
    trainer = Counting(module, make_recipe(stage), device="cpu")
    trainer.fit(points, loader)
    with torch.no_grad():
        right = module(points.points).argmax(dim=1) == torch.tensor(points.targets)
    assert trainer.state.val_accuracy == pytest.approx(right[rows].float().mean().item())
    assert counted[:4] == [8, 8, 8, 3]


def test_accumulation_with_a_loader_of_ones_own_is_refused() -> None:
    loader = DataLoader(Points(), batch_size=10)
    recipe = make_recipe(replace(OWN, accumulation_steps=4))
    with pytest.raises(
        SettingsError, match="`accumulation_steps` is 4, and each batch of a loader"
    ):
        Trainer(nn.Linear(5, 2), recipe, device="cpu").fit(loader)


def test_accumulation_leaves_the_size_of_a_validation_batch(
    create: Create, train: ImageDataset
) -> None:
    sizes: list[int] = []

    class Watching(Trainer):
        def validate(self, run: StageRun) -> Validation | None:
            assert run.val_loader is not None
            sizes.append(next(iter(run.val_loader))[1].shape[0])
            return super().validate(run)

    recipe = make_recipe(replace(STAGE, accumulation_steps=3), batch_size=4)
    fit(create, recipe, train, train, kind=Watching)
    assert set(sizes) == {4}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "adamww"}, "Unknown optimizer 'adamww'. Did you mean 'adamw'"),
        ({"optimizer": "torch:Muon"}, "cannot be built"),
        ({"scheduler": "cosin"}, "Did you mean 'cosine'"),
    ],
)
def test_settings_of_a_later_stage_are_checked_before_the_first(
    changes: dict[str, Any], message: str
) -> None:
    module = nn.Linear(5, 2)
    before = copy.deepcopy(module.state_dict())
    stages = (replace(OWN, epochs=1), replace(OWN, name="later", **changes))
    recipe = Recipe(name="test", stages=stages, augmentation="nothing")
    with pytest.raises(SettingsError, match=message) as caught:
        Trainer(module, recipe, device="cpu").fit(Points())
    assert len(caught.value.problems) == 2
    assert "augmentation" in caught.value.problems[0]
    assert all(torch.equal(module.state_dict()[name], value) for name, value in before.items())


@pytest.mark.parametrize("minutes", [0, -1, "10", True])
def test_time_limit_that_is_none_is_refused(minutes: Any) -> None:
    with pytest.raises(SettingsError, match="`max_minutes` must be a number over 0, or None"):
        Trainer(nn.Linear(5, 2), make_recipe(OWN), device="cpu", max_minutes=minutes)


def test_data_that_hold_nothing_are_refused(create: Create, train: ImageDataset) -> None:
    empty = ImageDataset([], [], input_spec=train.input_spec)
    unnamed = ImageDataset(train.sources, input_spec=train.input_spec)
    trainer = Trainer(create(), make_recipe(), device="cpu")
    with pytest.raises(SettingsError) as caught:
        trainer.fit(unnamed, empty)
    assert list(caught.value.problems) == [
        "The training images have no targets. Pass the class index of each: "
        "ImageDataset(sources, targets, ...).",
        "The validation data have no image. Pass None to train without validation.",
    ]
    loader = DataLoader(Points(), batch_size=64, drop_last=True)
    with pytest.raises(SettingsError, match="The training data have no batch"):
        Trainer(nn.Linear(5, 2), make_recipe(OWN), device="cpu").fit(loader)


def test_stored_views_need_images_to_validate_on(create: Create, train: ImageDataset) -> None:
    recipe = make_recipe(replace(STAGE, trainable_blocks=0, views=1))
    with pytest.raises(
        SettingsError, match=r"`views` \(all\) need an `ImageDataset` for validation"
    ):
        Trainer(create(), recipe, device="cpu").fit(train, Points())


@pytest.mark.parametrize("name", ["backbone_rate", "layer_decay"])
def test_rates_of_blocks_are_refused_for_a_module_of_ones_own(name: str) -> None:
    changes: dict[str, Any] = {name: 0.5}
    stage = replace(OWN, **changes)
    with pytest.raises(SettingsError, match=f"`{name}` need the blocks of a `PlanetNet`"):
        Trainer(nn.Linear(5, 2), make_recipe(stage), device="cpu").fit(Points())
