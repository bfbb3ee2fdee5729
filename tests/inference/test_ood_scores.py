"""Scores of novelty: each ranks what is far over what is near, and two agree with references."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist, mahalanobis
from sklearn.metrics import roc_auc_score

from planetvision.core.errors import SettingsError, UnknownNameError
from planetvision.inference.ood_scores import (
    OOD_SCORES,
    NetworkOutputs,
    check_rejection_rate,
    join_outputs,
    list_ood_scores,
    register_ood_score,
)

SIZE, CLASSES = 12, 3
CENTRES = 4.0 * np.eye(SIZE)[:CLASSES]


def draw(targets: Any, seed: int, spread: float = 0.4) -> NetworkOutputs:
    """Features about the centre of each class; those of class -1 have centres of their own."""
    generator = np.random.default_rng(seed)
    targets = np.asarray(targets)
    centres = np.concatenate([CENTRES, 4.0 * np.eye(SIZE)[CLASSES : CLASSES + 1]])
    features = centres[targets] + generator.normal(0, spread, (len(targets), SIZE))
    return NetworkOutputs(
        features=features, logits=features @ CENTRES.T / 4, targets=targets.astype(np.int64)
    )


KNOWN = draw(np.arange(90) % CLASSES, seed=0)
STRANGE = draw(np.full(60, -1), seed=1)


@pytest.mark.parametrize("name", OOD_SCORES.names())
@pytest.mark.parametrize("num_known", [7, 90])
def test_each_score_tells_what_is_far_from_what_is_near(name: str, num_known: int) -> None:
    scorer = OOD_SCORES.get(name).build()
    known = KNOWN.choose(slice(num_known))
    state = scorer.fit(known, STRANGE)
    near = scorer.score(state, draw(np.arange(60) % CLASSES, seed=2))
    far = scorer.score(state, draw(np.full(60, -1), seed=3))
    assert near.shape == far.shape == (60,)
    assert np.isfinite([near, far]).all()
    both = np.concatenate([near, far])
    assert roc_auc_score(np.arange(120) >= 60, both) > (0.95 if num_known == 90 else 0.85)


def test_mahalanobis_is_the_distance_by_the_shrunk_covariance() -> None:
    scorer = OOD_SCORES.get("mahalanobis").build()
    state = scorer.fit(KNOWN, None)
    images = draw(np.arange(9) % CLASSES, seed=5)
    assert KNOWN.targets is not None
    unit = KNOWN.features / np.linalg.norm(KNOWN.features, axis=1, keepdims=True)
    means = np.stack([unit[KNOWN.targets == index].mean(axis=0) for index in range(CLASSES)])
    spread = unit - means[KNOWN.targets]
    covariance = spread.T @ spread / len(spread)
    shrunk = 0.5 * covariance + 0.5 * np.trace(covariance) / SIZE * np.eye(SIZE)
    inverse = np.linalg.inv(shrunk)
    expected = [
        min(mahalanobis(row, mean, inverse) ** 2 for mean in means) for row in images.directions
    ]
    # All axes but one are kept, so that only rounding to float32 differs.
    np.testing.assert_allclose(scorer.score(state, images), expected, rtol=1e-4)


def test_mahalanobis_of_more_features_than_axes_has_one_variance_for_the_rest() -> None:
    generator = np.random.default_rng(0)
    targets = np.arange(400) % 2
    features = generator.normal(0, 1, (400, 300)) + 5 * targets[:, None]
    known = NetworkOutputs(features=features, logits=features[:, :2], targets=targets)
    scorer = OOD_SCORES.get("mahalanobis").build()
    state = scorer.fit(known, None)
    assert state["axes"].shape == (256, 300)
    total = float(state["variances"].sum() + state["rest"][0] * (300 - 256))
    unit = known.directions
    means = np.stack([unit[targets == index].mean(axis=0) for index in range(2)])
    assert total == pytest.approx(((unit - means[targets]) ** 2).sum() / 400, rel=1e-5)


def test_knn_is_the_distance_to_the_fifth_nearest() -> None:
    scorer = OOD_SCORES.get("knn").build()
    state = scorer.fit(KNOWN, None)
    images = draw(np.arange(9) % CLASSES, seed=5)
    expected = np.sort(cdist(images.directions, KNOWN.directions), axis=1)[:, 4]
    np.testing.assert_allclose(scorer.score(state, images), expected, rtol=1e-5)


def test_scores_stay_finite_where_features_are_all_alike_or_nothing() -> None:
    alike = NetworkOutputs(
        features=np.ones((4, SIZE)), logits=np.zeros((4, 2)), targets=np.array([0, 0, 1, 1])
    )
    nothing = NetworkOutputs(features=np.zeros((2, SIZE)), logits=np.zeros((2, 2)))
    for name in ("mahalanobis", "knn", "softmax", "energy"):
        scorer = OOD_SCORES.get(name).build()
        state = scorer.fit(alike, None)
        assert np.isfinite(scorer.score(state, nothing)).all(), name
        assert np.isfinite(scorer.score(state, alike)).all(), name


@pytest.fixture
def registered() -> Iterator[str]:
    name = "length_for_a_test"

    @register_ood_score(name)
    class Length:
        """How short the features are."""

        def fit(self, known: NetworkOutputs, negatives: NetworkOutputs | None) -> dict[str, Any]:
            assert negatives is None
            return {"mean": known.features.mean(axis=0)}

        def score(self, state: Any, images: NetworkOutputs) -> Any:
            return -np.linalg.norm(images.features, axis=1)

    yield name
    OOD_SCORES.remove(name)


def test_registered_score_is_listed_with_its_summary(registered: str) -> None:
    assert registered in list_ood_scores()
    assert OOD_SCORES.get(registered).summary == "How short the features are."


def test_unknown_score_gets_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown OOD score 'mahalanobi'.*mahalanobis"):
        OOD_SCORES.get("mahalanobi")


@pytest.mark.parametrize("value", [-0.1, 1, 1.5, float("nan"), "0.05", None, True])
def test_rejection_rate_that_is_no_share_is_refused(value: object) -> None:
    with pytest.raises(SettingsError, match="`rejection_rate`"):
        check_rejection_rate(value)


@pytest.mark.parametrize("value", [0, 0.0, 0.5, np.float32(0.25)])
def test_rejection_rate_is_a_share(value: Any) -> None:
    assert check_rejection_rate(value) == float(value)


def add_levels(images: NetworkOutputs, shift: float, seed: int) -> NetworkOutputs:
    """Two levels beside the features, of which only the first tells by `shift`."""
    generator = np.random.default_rng(seed)
    first = generator.normal(1.0, 0.1, (len(images), 6))
    first[:, 0] += shift
    return replace(images, levels=(first, generator.normal(5.0, 0.5, (len(images), 4))))


def test_layered_tells_what_only_an_early_level_shows() -> None:
    scorer = OOD_SCORES.get("layered").build()
    state = scorer.fit(add_levels(KNOWN, 0, seed=4), add_levels(STRANGE, 0, seed=5))
    near, far = (
        add_levels(draw(np.arange(60) % CLASSES, seed=seed), shift, seed)
        for seed, shift in ((6, 0.0), (7, 5.0))
    )
    both = np.concatenate([scorer.score(state, near), scorer.score(state, far)])
    assert roc_auc_score(np.arange(120) >= 60, both) > 0.99
    deep = OOD_SCORES.get("mahalanobis").build()
    state = deep.fit(KNOWN, None)
    both = np.concatenate([deep.score(state, near), deep.score(state, far)])
    assert roc_auc_score(np.arange(120) >= 60, both) < 0.7


def test_layered_has_its_parts_on_the_scale_of_images_held_out() -> None:
    scorer = OOD_SCORES.get("layered").build()
    state = scorer.fit(KNOWN, STRANGE)
    fresh = scorer.score(state, draw(np.arange(300) % CLASSES, seed=8))
    assert abs(np.median(fresh)) < 0.6
    assert 1 < np.quantile(fresh, 0.95) < 3


@pytest.mark.parametrize("counts", [(5, 1, 1), (5, 4, 4), (4, 4, 4), (1, 1, 1), (9, 2, 2)])
def test_layered_of_few_images_keeps_both_parts(counts: tuple[int, ...]) -> None:
    targets = np.repeat(np.arange(CLASSES), counts)
    scorer = OOD_SCORES.get("layered").build()
    state = scorer.fit(draw(targets, seed=10), STRANGE)
    near, far = draw(np.arange(60) % CLASSES, seed=11), draw(np.full(60, -1), seed=12)
    both = np.concatenate([scorer.score(state, near), scorer.score(state, far)])
    # One part alone would be many thousands where the other is one.
    assert np.abs(both).max() < 1000
    assert roc_auc_score(np.arange(120) >= 60, both) > 0.9


def test_evidence_is_chosen_and_joined_with_its_levels() -> None:
    images = add_levels(KNOWN, 1, seed=9)
    joined = join_outputs([images.choose(slice(30)), images.choose(slice(30, None))])
    assert (joined.features == images.features).all()
    assert all(
        (one == other).all() for one, other in zip(joined.levels, images.levels, strict=True)
    )
    sides = images.with_levels()
    assert sides.features.shape == (90, 6 + 4 + SIZE)
    assert np.linalg.norm(sides.features[:, :6], axis=1) == pytest.approx(1)
    assert sides.levels == ()
