"""`OOD_SCORES`: the registry of out-of-distribution (OOD) scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from planetvision.core.errors import SettingsError
from planetvision.core.registry import Entry, Registry

Floats: TypeAlias = "npt.NDArray[np.float64]"
State: TypeAlias = "Mapping[str, npt.NDArray[np.floating]]"

# Values from 0.3 to 0.9 make little difference: see benchmarks/novelty.py.
_SHRINKAGE = 0.5
_MAX_COMPONENTS = 256
_NEIGHBOURS = 5
# Every fifth known image of a class only sets the scale of the terms of `layered`.
_HOLD_EVERY = 5
# The smallest scale, as a fraction of the gap between known images and negatives.
_MIN_STEP = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkOutputs:
    """The outputs of a network for images.

    Args:
        features: The pooled features, float64 of shape (N, D).
        logits: The logits, float64 of shape (N, C).
        targets: The class index of each image, (N,); None if unknown.
        levels: The outputs of earlier blocks from `PlanetNet.forward_levels`, each float64 with one
            row per image; empty if the score does not use them.
    """

    features: Floats
    logits: Floats
    targets: npt.NDArray[np.int64] | None = None
    levels: tuple[Floats, ...] = ()

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def directions(self) -> Floats:
        """The features at unit length, (N, D): their length depends mostly on the exposure."""
        return _scale_to_unit(self.features)

    def with_levels(self) -> NetworkOutputs:
        """Returns outputs whose features are those of all levels, concatenated.

        Each level is scaled to unit length, so that all have equal weight.
        """
        parts = [_scale_to_unit(level) for level in (*self.levels, self.features)]
        return replace(self, features=np.concatenate(parts, axis=1), levels=())

    def choose(self, rows: npt.NDArray[np.bool_] | slice) -> NetworkOutputs:
        """Returns the outputs of selected images."""
        return NetworkOutputs(
            features=self.features[rows],
            logits=self.logits[rows],
            targets=None if self.targets is None else self.targets[rows],
            levels=tuple(level[rows] for level in self.levels),
        )


def join_outputs(parts: Sequence[NetworkOutputs]) -> NetworkOutputs:
    """Returns the concatenated outputs, without targets.

    Args:
        parts: One or more sets of outputs of the same network.
    """
    levels = zip(*(part.levels for part in parts), strict=True)
    return NetworkOutputs(
        features=np.concatenate([part.features for part in parts]),
        logits=np.concatenate([part.logits for part in parts]),
        levels=tuple(np.concatenate(level) for level in levels),
    )


def _scale_to_unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = rows / np.maximum(lengths, np.finfo(np.float64).tiny)
    return unit


class OODScore(Protocol):
    """An OOD score: higher means less like the training images."""

    def fit(self, known: NetworkOutputs, negatives: NetworkOutputs | None) -> State:
        """Returns the arrays of the fitted score, which are saved with the model.

        Args:
            known: The training images, with targets.
            negatives: The negatives, if the score needs them.
        """
        ...

    def score(self, state: State, images: NetworkOutputs) -> Floats:
        """Returns the score per image, (N,), on any scale."""
        ...


ScoreBuilder: TypeAlias = Callable[[], OODScore]


@dataclass(frozen=True, kw_only=True)
class OODScoreSpec(Entry):
    """An OOD score.

    `build()` returns a `OODScore`: `fit(known, negatives)` returns a mapping of names to arrays,
    and `score(state, images)` returns the score per image by it.

    Args:
        needs_negatives: Whether `fit` needs negatives, which the library draws if none are given.
        needs_levels: Whether the score uses `NetworkOutputs.levels`.
    """

    build: ScoreBuilder
    needs_negatives: bool = False
    needs_levels: bool = False


OOD_SCORES: Registry[OODScoreSpec, ScoreBuilder] = Registry("ood_scores", OODScoreSpec)
register_ood_score = OOD_SCORES.register
list_ood_scores = OOD_SCORES.names


def check_rejection_rate(value: object) -> float:
    """Returns the rejection rate as a float.

    Raises:
        SettingsError: If the value is not a number in [0, 1).
    """
    if isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_):
        rate = float(value)
        if 0 <= rate < 1:
            return rate
    raise SettingsError(
        "`rejection_rate` must be the fraction of images of known bodies that may be called "
        f"unknown, from 0 to under 1, got {value!r}. Pass 0.05, or 0 to call nothing unknown."
    )


@register_ood_score("softmax", source="Hendrycks & Gimpel 2017, arXiv:1610.02136")
class _Softmax:
    """One minus the highest probability."""

    def fit(self, known: NetworkOutputs, negatives: NetworkOutputs | None) -> State:
        return {}

    def score(self, state: State, images: NetworkOutputs) -> Floats:
        from scipy.special import log_softmax

        # The logarithm has the same order and does not saturate at 1 for confident networks.
        best: Floats = log_softmax(images.logits, axis=1).max(axis=1)
        return -best


@register_ood_score("energy", source="Liu et al. 2020, arXiv:2010.03759, equation 4")
class _Energy:
    """The negative logarithm of the sum of the exponentials of the logits."""

    def fit(self, known: NetworkOutputs, negatives: NetworkOutputs | None) -> State:
        return {}

    def score(self, state: State, images: NetworkOutputs) -> Floats:
        from scipy.special import logsumexp

        energy: Floats = -logsumexp(images.logits, axis=1)
        return energy


@register_ood_score("mahalanobis", source="Lee et al. 2018, arXiv:1807.03888, equation 2")
class _Mahalanobis:
    """The Mahalanobis distance to the nearest class mean, with one covariance for all classes.

    Features are scaled to unit length. The covariance about the class means keeps its leading 256
    axes; the other axes share one variance. It is shrunk by 0.5 towards a sphere of the same trace,
    since there are fewer images than features.
    """

    def fit(self, known: NetworkOutputs, negatives: NetworkOutputs | None) -> State:
        from sklearn.decomposition import PCA

        directions, targets = known.directions, known.targets
        assert targets is not None
        present = np.unique(targets)
        means = np.stack([directions[targets == target].mean(axis=0) for target in present])
        spread = directions - means[np.searchsorted(present, targets)]
        num_images, size = spread.shape
        total = float((spread**2).sum() / num_images)
        sphere = total / size
        # One axis stays out, so that the rest has a variance.
        wanted = min(_MAX_COMPONENTS, num_images - 1, size - 1)
        if wanted < 1 or total == 0:
            axes, variances = np.zeros((0, size)), np.zeros(0)
        else:
            solver = "randomized" if wanted < min(num_images, size) // 2 else "full"
            found = PCA(wanted, svd_solver=solver, random_state=0).fit(spread)
            axes = found.components_
            variances = found.singular_values_**2 / num_images
        rest = max(total - float(variances.sum()), 0.0) / max(size - len(variances), 1)
        floor = np.finfo(np.float64).eps
        return {
            "means": means.astype(np.float32),
            "axes": axes.astype(np.float32),
            "variances": (1 - _SHRINKAGE) * variances + _SHRINKAGE * sphere + floor,
            "rest": np.array([(1 - _SHRINKAGE) * rest + _SHRINKAGE * sphere + floor]),
        }

    def score(self, state: State, images: NetworkOutputs) -> Floats:
        means, axes = (state[name].astype(np.float64) for name in ("means", "axes"))
        distances = []
        for mean in means:
            offset = images.directions - mean
            along = offset @ axes.T
            outside = ((offset**2).sum(axis=1) - (along**2).sum(axis=1)).clip(min=0)
            distances.append(
                (along**2 / state["variances"]).sum(axis=1) + outside / state["rest"][0]
            )
        nearest: Floats = np.min(distances, axis=0)
        return nearest


@register_ood_score("knn", source="Sun et al. 2022, arXiv:2204.06507")
class _Neighbours:
    """The distance to the fifth-nearest training image, for features of unit length."""

    def fit(self, known: NetworkOutputs, negatives: NetworkOutputs | None) -> State:
        return {"directions": known.directions.astype(np.float32)}

    def score(self, state: State, images: NetworkOutputs) -> Floats:
        from sklearn.neighbors import NearestNeighbors

        stored = state["directions"].astype(np.float64)
        found = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(stored))).fit(stored)
        distances: Floats = found.kneighbors(images.directions)[0][:, -1]
        return distances


@register_ood_score(
    "drawn",
    needs_negatives=True,
    source="after Hendrycks et al. 2019, Deep Anomaly Detection with Outlier Exposure, "
    "arXiv:1812.04606",
)
class _Drawn:
    """The log-odds of a linear head that has the negatives as one more class."""

    def fit(self, known: NetworkOutputs, negatives: NetworkOutputs | None) -> State:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        assert negatives is not None
        assert known.targets is not None
        rows = np.concatenate([known.directions, negatives.directions])
        # -1 becomes the first of the sorted classes.
        targets = np.concatenate([known.targets, np.full(len(negatives), -1)])
        scaler = StandardScaler().fit(rows)
        head = LogisticRegression(C=1e-3, max_iter=500).fit(scaler.transform(rows), targets)
        weights = head.coef_ / scaler.scale_
        return {
            "weights": weights.astype(np.float32),
            "bias": head.intercept_ - weights @ scaler.mean_,
        }

    def score(self, state: State, images: NetworkOutputs) -> Floats:
        from scipy.special import logsumexp

        logits = images.directions @ state["weights"].astype(np.float64).T + state["bias"]
        odds: Floats = logits[:, 0] - logsumexp(logits[:, 1:], axis=1)
        return odds


@register_ood_score(
    "layered",
    needs_negatives=True,
    needs_levels=True,
    source="`mahalanobis` on features of several layers, as in section 2.2 of Lee et al. 2018, "
    "arXiv:1807.03888, and `drawn`",
)
class _Layered:
    """The sum of `mahalanobis` and `drawn`, both on the features of several layers.

    Early layers recognise textures that no body has, late layers bodies outside of the classes.
    Each term is scaled so that the median of known images is 0 and 95 % of them lie below 1. Every
    fifth image of a class, if it has five, is held out for the scale.
    """

    def fit(self, known: NetworkOutputs, negatives: NetworkOutputs | None) -> State:
        assert negatives is not None
        known, negatives = known.with_levels(), negatives.with_levels()
        assert known.targets is not None
        is_held = np.zeros(len(known), dtype=bool)
        for target in np.unique(known.targets):
            is_held[np.flatnonzero(known.targets == target)[_HOLD_EVERY - 1 :: _HOLD_EVERY]] = True
        state: dict[str, npt.NDArray[np.floating]] = {}
        for name, scorer in self._parts.items():
            learned = scorer.fit(known.choose(~is_held), negatives)
            held = known.choose(is_held if is_held.any() else ~is_held)
            middle, high = np.quantile(scorer.score(learned, held), [0.5, 0.95])
            # With few images both quantiles may be equal.
            gap = abs(float(np.median(scorer.score(learned, negatives))) - middle)
            state.update({f"{name}.{key}": value for key, value in learned.items()})
            state[f"{name}.scale"] = np.array([middle, max(high, middle + _MIN_STEP * gap)])
        return state

    def score(self, state: State, images: NetworkOutputs) -> Floats:
        images = images.with_levels()
        total: Floats = np.zeros(len(images))
        for name, scorer in self._parts.items():
            learned = {
                key.removeprefix(f"{name}."): value
                for key, value in state.items()
                if key.startswith(f"{name}.")
            }
            middle, high = learned["scale"]
            total = total + (scorer.score(learned, images) - middle) / ((high - middle) or 1.0)
        return total

    @property
    def _parts(self) -> dict[str, OODScore]:
        return {"distance": _Mahalanobis(), "odds": _Drawn()}
