"""Prediction: rows in the order of the input, and errors in rows."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.data import Catalog
from planetvision.explain.gradcam import compute_gradcam
from planetvision.inference import predict_catalog
from planetvision.inference.outputs import compute_outputs
from planetvision.inference.predictor import load_views
from planetvision.models.network import PlanetNet
from planetvision.results import Predictions

CPU = torch.device("cpu")


def predict(
    classifier: PlanetClassifier, sources: list[str], *, batch_size: int = 32, workers: int = 0
) -> Predictions:
    return predict_catalog(
        classifier.network_,
        Catalog(sources=tuple(sources)),
        classes=classifier.classes_.tolist(),
        device=CPU,
        batch_size=batch_size,
        num_workers=workers,
    )


def test_probabilities_are_the_softmax_of_the_framed_images(
    trained: PlanetClassifier, disc_paths: list[str]
) -> None:
    network = trained.network_
    views = [load_views(path, network.input_spec)[0] for path in disc_paths]
    with torch.no_grad():
        expected = network(torch.cat([item[:, 0] for item in views if item is not None]))
    found = predict(trained, disc_paths)
    np.testing.assert_allclose(
        found.probabilities, expected.double().softmax(dim=1).numpy(), atol=1e-6
    )
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-12)
    assert found.paths == tuple(disc_paths)


def test_logits_of_several_views_are_their_mean(trained: PlanetClassifier) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (6, 3, 32, 32)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    with torch.no_grad():
        one_by_one = trained.network_(pixels).double()
        features = trained.network_.forward_features(pixels).double()
    found = compute_outputs(
        trained.network_, [part[:, None] for part in (pixels[:2], pixels[2:3], pixels[3:])]
    )
    for values, expected in ((found.logits, one_by_one), (found.features, features)):
        parts = (expected[:2], expected[2:3], expected[3:])
        means = torch.stack([part.mean(dim=0) for part in parts]).numpy()
        np.testing.assert_allclose(values, means, rtol=1e-5, atol=1e-6)


def test_features_are_those_of_the_views_that_stand_upright(trained: PlanetClassifier) -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=generator)
    with torch.no_grad():
        features = trained.network_.forward_features(pixels).double().numpy()
        logits = trained.network_(pixels).double().numpy()
    found = compute_outputs(trained.network_, [pixels.view(2, 4, 3, 32, 32)])
    np.testing.assert_allclose(found.features[0], features[[0, 4]].mean(axis=0), rtol=1e-5)
    assert found.levels == ()
    np.testing.assert_allclose(found.logits[0], logits.mean(axis=0), rtol=1e-5, atol=1e-6)


def test_levels_are_asked_of_the_upright_views_alone(
    trained: PlanetClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, 4, 3, 32, 32), dtype=torch.uint8, generator=generator)
    network = trained.network_
    with torch.no_grad():
        _, expected = network.forward_levels(pixels[:, 0])
    asked: list[torch.Tensor] = []
    ask = network.forward_levels

    def watch(images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        asked.append(images)
        return ask(images)

    monkeypatch.setattr(network, "forward_levels", watch)
    found = compute_outputs(network, [pixels[:1], pixels[1:]], levels=True)
    assert torch.equal(torch.cat(asked), pixels[:, 0])
    assert len(found.levels) == len(expected) > 0
    for level, wanted in zip(found.levels, expected, strict=True):
        np.testing.assert_allclose(level, wanted.double().numpy(), rtol=1e-5, atol=1e-6)


def test_turns_change_the_answer_and_not_the_novelty(
    trained: PlanetClassifier, disc_paths: list[str]
) -> None:
    plain = trained.predict(disc_paths)
    assert plain.novelty is not None
    for tta in ("flips", "rotations", "flips+rotations"):
        turned = trained.predict(disc_paths, tta=tta)
        assert turned.novelty is not None
        np.testing.assert_allclose(turned.novelty, plain.novelty, rtol=1e-4, atol=1e-4)
        assert np.abs(turned.probabilities - plain.probabilities).max() > 1e-4


def test_prediction_with_the_body_as_a_second_view_weighs_both(
    trained: PlanetClassifier, tmp_path: Path
) -> None:
    frame = np.zeros((200, 200, 3), np.uint8)
    cv2.circle(frame, (40, 150), 12, (220, 60, 40), thickness=-1)
    Image.fromarray(frame).save(tmp_path / "small.png")
    classifier = copy.deepcopy(trained)
    frame_alone = trained.network_.input_spec
    found = []
    for spec in (
        frame_alone,
        replace(frame_alone, framing="body"),
        replace(frame_alone, tta="body"),
    ):
        classifier.network_.input_spec = spec
        found.append(predict(classifier, [str(tmp_path / "small.png")]).probabilities)
    letterbox, body, both = found
    expected = np.sqrt(letterbox * body) / np.sqrt(letterbox * body).sum()
    np.testing.assert_allclose(both, expected, atol=1e-6)
    assert np.abs(expected - letterbox).max() > 1e-3


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (5, 0), (5, 2)])
def test_batch_size_and_workers_do_not_matter(
    batch_size: int, workers: int, trained: PlanetClassifier, disc_paths: list[str]
) -> None:
    found = predict(trained, disc_paths, batch_size=batch_size, workers=workers)
    expected = predict(trained, disc_paths)
    assert found.labels == expected.labels
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)


def test_images_that_cannot_be_read_have_their_error_and_the_rest_goes_on(
    trained: PlanetClassifier, disc_paths: list[str], tmp_path: Path
) -> None:
    text, empty, cut = (tmp_path / name for name in ("text.png", "empty.png", "cut.png"))
    text.write_text("no image")
    empty.touch()
    cut.write_bytes(Path(disc_paths[0]).read_bytes()[:200])
    gone = tmp_path / "gone.png"
    sources = [
        str(text),
        disc_paths[0],
        str(empty),
        str(gone),
        disc_paths[9],
        str(cut),
        disc_paths[20],
    ]
    found = predict(trained, sources, batch_size=2)
    assert [bool(error) for error in found.errors] == [True, False, True, True, False, True, False]
    assert "text.png': it is not an image" in found.errors[0]
    assert "empty.png': it is empty" in found.errors[2]
    assert "gone.png': there is no such file" in found.errors[3]
    assert "cut.png': it is damaged or truncated" in found.errors[5]
    good = [1, 4, 6]
    expected = predict(trained, [sources[row] for row in good])
    np.testing.assert_allclose(found.probabilities[good], expected.probabilities, atol=1e-6)
    assert np.isnan(found.probabilities[[0, 2, 3, 5]]).all()
    assert [found.labels[row] for row in good] == expected.labels


def test_nothing_readable_and_nothing_at_all_give_rows_and_none(
    trained: PlanetClassifier, tmp_path: Path
) -> None:
    found = predict(trained, [str(tmp_path / "gone.png")])
    assert found.labels == [None]
    assert len(predict(trained, [])) == 0


def test_network_in_training_mode_is_put_in_evaluation_mode(
    trained: PlanetClassifier, disc_paths: list[str]
) -> None:
    expected = predict(trained, disc_paths[:3])
    trained.network_.train()
    found = predict(trained, disc_paths[:3])
    assert not trained.network_.training
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


def test_network_that_is_moved_to_predict_can_be_explained_afterwards(
    trained: PlanetClassifier, disc_paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = copy.deepcopy(trained.network_)

    def move(device: torch.device) -> PlanetNet:
        """As from CPU to CUDA, where every weight becomes a new tensor."""
        for part in network.modules():
            for name, weight in list(part.named_parameters(recurse=False)):
                setattr(part, name, nn.Parameter(weight.detach().clone().to(device)))
        return network

    monkeypatch.setattr(network, "move_to", move)
    old = network.head.get_parameter("weight")
    catalog = Catalog(sources=tuple(disc_paths[:2]))
    found = predict_catalog(network, catalog, classes=("a", "b", "c"), device=CPU)
    assert network.head.get_parameter("weight") is not old
    assert not any(weight.is_inference() for weight in network.parameters())
    np.testing.assert_array_equal(
        found.probabilities, predict(trained, disc_paths[:2]).probabilities
    )
    images = torch.stack(
        [torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1) for path in disc_paths[:2]]
    )
    maps = compute_gradcam(network, images, torch.tensor([0, 1]))
    assert torch.equal(maps, compute_gradcam(trained.network_, images, torch.tensor([0, 1])))


def test_letterbox_keeps_the_whole_frame_in_view(trained: PlanetClassifier) -> None:
    wide = np.full((20, 40, 3), 200, dtype=np.uint8)
    views, error, is_stretched = load_views(Image.fromarray(wide), trained.network_.input_spec)
    assert not is_stretched
    assert views is not None
    assert error == ""
    assert views.shape == (1, 1, 3, 32, 32)
    framed = views[0, 0]
    assert set(framed[:, 8:24].flatten().tolist()) == {200}
    assert set(framed[:, :8].flatten().tolist()) == {0}
    assert set(framed[:, 24:].flatten().tolist()) == {0}
