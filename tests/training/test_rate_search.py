"""The range test against what the loss does, and its plot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from planetvision.core.errors import OutputExistsError, SettingsError
from planetvision.core.settings import Recipe, Stage
from planetvision.data.loading import ImageDataset
from planetvision.models.network import PlanetNet
from planetvision.training.rate_search import find_learning_rate
from planetvision.training.trainer import Trainer

STAGE = Stage(name="head", epochs=5, learning_rate=1e-3, views=1, ema_decay=0.9)
RECIPE = Recipe(name="test", stages=(STAGE,), batch_size=6, augmentation="none")
Create = Callable[..., PlanetNet]


def test_rates_rise_evenly_until_the_loss_is_lost(create: Create, train: ImageDataset) -> None:
    network = create()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    trainer = Trainer(network, RECIPE, device="cpu", num_workers=0)
    search = find_learning_rate(trainer, train, low=1e-5, high=1e3, num_steps=60)
    steps = np.diff(np.log(search.rates))
    assert search.rates[0] == pytest.approx(1e-5)
    assert steps == pytest.approx(np.full(len(steps), np.log(1e8) / 59), rel=1e-6)
    assert len(search.rates) < 60  # the last rates are absurd, and end the search
    assert min(search.losses) < 0.8 * search.losses[0]
    lowest = search.rates[int(np.argmin(search.losses))]
    assert search.suggestion in search.rates
    assert search.rates[0] < search.suggestion <= lowest
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert len(trainer.state.history) == 0
    again = find_learning_rate(trainer, train, low=1e-5, high=1e3, num_steps=60)
    assert again == search


def test_search_is_saved_as_a_table_and_a_plot(
    create: Create, train: ImageDataset, tmp_path: Path
) -> None:
    trainer = Trainer(create(), RECIPE, device="cpu", num_workers=0)
    search = find_learning_rate(trainer, train, num_steps=20, high=0.1)
    folder = search.save(tmp_path / "search")
    frame = pd.read_csv(folder / "learning_rates.csv")
    assert frame["loss"].tolist() == pytest.approx(search.losses)
    with Image.open(folder / "learning_rates.png") as picture:
        assert picture.width > 600
    with pytest.raises(OutputExistsError):
        search.save(tmp_path / "search")


def test_wrong_arguments_are_all_named(create: Create, train: ImageDataset) -> None:
    trainer = Trainer(create(), RECIPE, device="cpu")
    with pytest.raises(SettingsError) as caught:
        find_learning_rate(trainer, train, stage=1, low=1.0, high=0.5, num_steps=3)
    assert [problem.split()[0] for problem in caught.value.problems] == [
        "`stage`",
        "`low`",
        "`num_steps`",
    ]
