"""Small data and a small network for the tests of training."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from planetvision.core.settings import InputSpec
from planetvision.data.loading import ImageDataset
from planetvision.models.network import PlanetNet, create_network

SPEC = InputSpec(image_size=32)


@pytest.fixture(scope="session")
def train(disc_paths: list[str]) -> ImageDataset:
    """Four images of each class."""
    rows = [row for row in range(24) if row % 8 < 4]
    return ImageDataset([disc_paths[row] for row in rows], [r // 8 for r in rows], input_spec=SPEC)


@pytest.fixture(scope="session")
def val(disc_paths: list[str]) -> ImageDataset:
    """Two other images of each class."""
    rows = [row for row in range(24) if row % 8 > 5]
    return ImageDataset([disc_paths[row] for row in rows], [r // 8 for r in rows], input_spec=SPEC)


@pytest.fixture
def create() -> Callable[..., PlanetNet]:
    """Returns the same untrained network of three classes at each call."""

    def create_tiny(dropout: float = 0.0) -> PlanetNet:
        return create_network(
            "tiny",
            num_classes=3,
            head_options={"dropout": dropout},
            weights="none",
            input_spec=SPEC,
            seed=0,
        )

    return create_tiny
