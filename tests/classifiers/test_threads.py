"""Several threads ask one model at once: each gets the answer that it would get alone."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from timm.models import VisionTransformer
from torch import nn
from torchvision.models import VisionTransformer as TorchvisionTransformer

from planetvision import PlanetClassifier
from planetvision.core.settings import InputSpec, Tta
from planetvision.data import read_inputs
from planetvision.explain import list_explainers
from planetvision.explain.explainer import MapSettings, explain_catalog
from planetvision.explain.gradcam import compute_gradcam
from planetvision.inference.calibrator import Calibrator
from planetvision.inference.ood_scores import OOD_SCORES, list_ood_scores
from planetvision.inference.outputs import iterate_outputs
from planetvision.inference.predictor import FramedImages, predict_catalog
from planetvision.models.backbones.spec import BackboneSpec
from planetvision.models.network import PlanetNet, create_network

CPU = torch.device("cpu")
CLASSES = ("blue", "green", "red")
NUM_THREADS = 4
SPEC = InputSpec(image_size=32)

Arrays = tuple[npt.NDArray[np.floating], ...]
Images = list[npt.NDArray[np.uint8]]


def create_transformer(kind: str) -> PlanetNet:
    backbone: nn.Module
    if kind == "timm":
        backbone = VisionTransformer(
            img_size=32, patch_size=8, num_classes=0, embed_dim=8, depth=3, num_heads=2
        )
    else:
        backbone = TorchvisionTransformer(32, 8, 3, 2, 8, 16)
        backbone.heads = nn.Identity()
    spec = BackboneSpec(name=kind, build=nn.Identity, summary="", input=SPEC)
    network = PlanetNet(backbone, nn.Linear(8, 3), input_spec=SPEC, spec=spec)
    generator = torch.Generator().manual_seed(0)
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.3, generator=generator)
    return network.eval()


@pytest.fixture
def network() -> PlanetNet:
    """A small convolutional one, whose feature layers are not known yet."""
    network = create_network("tiny", num_classes=3, weights="none", input_spec=SPEC, seed=0)
    return network.eval()


def list_explained() -> list[tuple[str, str]]:
    """Every explainer with the backbones to try it on."""
    pairs = [(method, "tiny") for method in list_explainers() if method != "attention_rollout"]
    return [*pairs, *[("attention_rollout", kind) for kind in ("timm", "torchvision")]]


@pytest.fixture(scope="module")
def images(disc_paths: list[str]) -> Images:
    """Decoded, so that the threads meet in the network."""
    return [np.asarray(Image.open(path)) for path in disc_paths]


@pytest.fixture(autouse=True)
def _frequent_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def fit_score(network: PlanetNet, score: str, images: Images) -> Calibrator:
    """What `fit_calibrator` does, without drawing pictures."""
    catalog = read_inputs([*images, *(image[::-1, :, ::-1] for image in images)])
    batches = iterate_outputs(
        network, FramedImages(catalog.sources, SPEC), device=CPU, batch_size=24, levels=True
    )
    known, negatives = (evidence for _, evidence in batches if evidence is not None)
    known = dataclasses.replace(known, targets=np.arange(24) // 8)
    scorer = OOD_SCORES.get(score).build()
    state = scorer.fit(known, negatives)
    return Calibrator(
        temperature=1.5,
        score=score,
        state=state,
        raw_novelties=np.sort(scorer.score(state, known)),
        num_images=24,
    )


def predict(
    network: PlanetNet, calibrator: Calibrator | None, images: Images, tta: Tta | None = None
) -> Arrays:
    found = predict_catalog(
        network, read_inputs(images), classes=CLASSES, device=CPU, calibrator=calibrator, tta=tta
    )
    assert not found.failed
    return (found.probabilities, np.zeros(0) if found.novelty is None else found.novelty)


def explain(
    network: PlanetNet,
    method: str,
    images: Images,
    target: str | None = None,
    against: str | None = None,
    layers: Sequence[str] | None = None,
    **options: Any,
) -> Arrays:
    found = explain_catalog(
        network,
        read_inputs(images),
        MapSettings(method=method, target=target, against=against, layers=layers),
        classes=CLASSES,
        device=CPU,
        **options,
    )
    assert not any(item.error for item in found)
    figures = () if found.checks is None else (found.checks.deletion, found.checks.randomized)
    return (*(item.heatmap for item in found), *figures)


def assert_same_from_threads(*calls: Callable[[], Arrays]) -> None:
    """Each call gives in threads, beside the others, what it gives alone, to the bit.

    The threads go first: what a network finds out on its first call is found by all at once.
    """
    ready = threading.Barrier(NUM_THREADS)

    def run(number: int) -> list[tuple[int, Arrays]]:
        ready.wait()
        order = [(number + turn) % len(calls) for turn in range(len(calls))]
        return [(which, calls[which]()) for which in order]

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        answers = [answer for part in pool.map(run, range(NUM_THREADS)) for answer in part]
    alone = [call() for call in calls]
    for which, answer in answers:
        for given, expected in zip(answer, alone[which], strict=True):
            np.testing.assert_array_equal(given, expected)


@pytest.mark.parametrize("score", list_ood_scores())
def test_every_score_from_threads_is_that_of_one(
    score: str, network: PlanetNet, images: Images
) -> None:
    calibrator = fit_score(network, score, images)
    pixels = torch.zeros(8, 3, 32, 32, dtype=torch.uint8)
    targets = torch.arange(8) % 3

    def draw() -> Arrays:
        maps = [compute_gradcam(network, pixels, targets) for _ in range(8)]
        return tuple(one.numpy() for one in maps)

    assert_same_from_threads(
        lambda: predict(network, calibrator, images[:4]),
        draw,
        lambda: predict(network, calibrator, images[-3:], "flips"),
        draw,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("method", "kind"), list_explained())
def test_every_explainer_from_threads_is_that_of_one(
    method: str, kind: str, network: PlanetNet, images: Images
) -> None:
    if kind != "tiny":
        network = create_transformer(kind)
    calibrator = fit_score(network, "layered", images)
    assert_same_from_threads(
        lambda: explain(network, method, images[:2], calibrator=calibrator),
        lambda: explain(network, method, images[-1:], calibrator=calibrator),
        lambda: predict(network, calibrator, images[8:12]),
        lambda: predict(network, None, images[8:12]),
    )


def test_checks_layers_and_rivals_from_threads_are_those_of_one(
    network: PlanetNet, images: Images
) -> None:
    layers = network.feature_layers
    assert_same_from_threads(
        lambda: explain(network, "gradcam", images[:2], checked=None),
        lambda: explain(network, "layercam", images[:4], layers=layers),
        lambda: explain(network, "gradcam", images[-4:], target="red", against="blue"),
        lambda: explain(network, "gradcam", images[:2], checked=None),
    )


def test_explaining_from_threads_leaves_the_modes_of_a_network_in_training(
    network: PlanetNet, images: Images
) -> None:
    network.train()
    tensors = {name: value.clone() for name, value in network.state_dict().items()}
    assert_same_from_threads(
        lambda: explain(network, "gradcam", images[:2]),
        lambda: explain(network, "occlusion", images[-2:]),
    )
    assert all(part.training for part in network.modules())
    assert all(torch.equal(value, tensors[name]) for name, value in network.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize(("method", "kind"), list_explained())
def test_neither_prediction_nor_explanation_changes_a_shared_module(
    method: str,
    kind: str,
    network: PlanetNet,
    images: Images,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind != "tiny":
        network = create_transformer(kind)
    calibrator = fit_score(network, "layered", images)
    assert network.feature_layers
    shared = {id(part) for part in network.modules()}
    changed: list[str] = []

    def guard(name: str) -> None:
        method = getattr(nn.Module, name)

        def watch(part: nn.Module, *arguments: Any, **options: Any) -> Any:
            same = name == "__setattr__" and getattr(part, arguments[0], None) is arguments[1]
            if id(part) in shared and not same:
                changed.append(f"{type(part).__name__}.{name}{arguments[:1]}")
            return method(part, *arguments, **options)

        monkeypatch.setattr(nn.Module, name, watch)

    for name in (
        "__setattr__",
        "_apply",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
    ):
        guard(name)
    predict(network, calibrator, images[:2], "flips")
    explain(network, method, images[:1])
    assert changed == []


def test_loaded_classifier_answers_threads_as_one(model_folder: Path, images: Images) -> None:
    classifier = PlanetClassifier.load(model_folder, device="cpu")

    def ask() -> Arrays:
        found = classifier.predict(images[:6])
        assert found.novelty is not None
        return found.probabilities, found.novelty

    def show() -> Arrays:
        return tuple(item.heatmap for item in classifier.explain(images[:2], checks=False))

    assert_same_from_threads(ask, show)
