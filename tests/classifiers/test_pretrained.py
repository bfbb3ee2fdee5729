"""The released model: where it is looked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from planetvision.classifiers import pretrained
from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.errors import ModelFormatError


def test_classifier_comes_trained(released: PlanetClassifier, disc_paths: list[str]) -> None:
    classifier = PlanetClassifier.from_pretrained()
    np.testing.assert_allclose(
        classifier.predict_proba(disc_paths), released.predict_proba(disc_paths), atol=5e-3
    )


def test_package_without_a_model_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "RELEASED_FOLDER", tmp_path / "none")
    with pytest.raises(ModelFormatError, match=r"has no released model .* release/train.py"):
        PlanetClassifier.from_pretrained()
