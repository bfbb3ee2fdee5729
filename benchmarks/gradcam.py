"""Compares speed and values of Grad-CAM maps with those of the package `grad-cam`.

Both explain the most probable class of the same images by the same layer of the same network, in
batches of the same size; `grad-cam` (pip install grad-cam) is what most people use. Each is timed
in turn, several times, and medians are compared. The package resizes its maps to the image by
OpenCV, and so does this script with ours; both are then scaled to 0 to 1 and compared. Both also
run on a frozen backbone, as after transfer learning.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import torch

from planetvision.core.performance import apply_performance
from planetvision.core.settings import InputSpec
from planetvision.explain.gradcam import compute_gradcam
from planetvision.models.network import PlanetNet, create_network
from planetvision.render import render_dataset

Maps = npt.NDArray[np.float32]
NUM_CLASSES = 7


def draw(count: int, size: int) -> torch.Tensor:
    images = [rendered.image for rendered in render_dataset(count=count, image_size=size)]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


def explain(network: PlanetNet, images: torch.Tensor, targets: torch.Tensor, batch: int) -> Maps:
    """Ours, at the size of the image, each map from 0 to 1."""
    found = []
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        found += list(compute_gradcam(network, images[part], targets[part]).numpy())
    return scale(np.stack([cv2.resize(one, images.shape[-2:]) for one in found]))


def create_peer(network: PlanetNet, batch: int) -> Callable[[torch.Tensor, torch.Tensor], Maps]:
    """The package's, on images that are normalised beforehand."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    class Normalised(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = network.backbone, network.head

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            features: torch.Tensor = self.head(self.backbone(images))
            return features

    layers = [network.backbone.get_submodule(name) for name in network.feature_layers]
    cam = GradCAM(model=Normalised(), target_layers=layers)

    def run(images: torch.Tensor, targets: torch.Tensor) -> Maps:
        found = []
        for start in range(0, len(images), batch):
            part = slice(start, start + batch)
            wanted = [ClassifierOutputTarget(int(target)) for target in targets[part]]
            cams: Maps = cam(input_tensor=network.normalize(images[part]), targets=wanted)
            found.append(cams)
        return scale(np.concatenate(found))

    return run


def scale(maps: Maps) -> Maps:
    lifted = maps - maps.min(axis=(1, 2), keepdims=True)
    peaks = lifted.max(axis=(1, 2), keepdims=True)
    scaled: Maps = lifted / np.where(peaks > 0, peaks, 1)
    return scaled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--count", type=int, default=64, help="images")
    parser.add_argument("--batch", type=int, default=16, help="images per pass")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--weights", default="pretrained", help="pretrained, none, or a file")
    arguments = parser.parse_args()
    apply_performance("auto")
    network = create_network(
        arguments.backbone,
        num_classes=NUM_CLASSES,
        weights=arguments.weights,
        input_spec=None if arguments.backbone != "tiny" else InputSpec(image_size=64),
        seed=0,
    ).eval()
    images = draw(arguments.count, network.input_spec.image_size)
    with torch.no_grad():
        starts = range(0, len(images), arguments.batch)
        logits = [network(images[start : start + arguments.batch]) for start in starts]
    targets = torch.cat(logits).argmax(dim=1)
    peer = create_peer(network, arguments.batch)
    seconds: dict[str, list[float]] = {"planetvision": [], "grad-cam": []}
    maps: dict[str, Maps] = {}
    for repeat in range(arguments.repeats + 1):
        for name in seconds:
            started = time.perf_counter()
            if name == "planetvision":
                maps[name] = explain(network, images, targets, arguments.batch)
            else:
                maps[name] = peer(images, targets)
            if repeat:  # the first pass warms up
                seconds[name].append(time.perf_counter() - started)
    rates = {name: len(images) / statistics.median(times) for name, times in seconds.items()}
    for name, rate in rates.items():
        print(f"{name:14}{rate:8.1f} maps/s")
    print(f"ratio {rates['planetvision'] / rates['grad-cam']:.2f}")
    difference = np.abs(maps["planetvision"] - maps["grad-cam"]).max()
    print(f"largest difference of two maps that go from 0 to 1: {difference:.1e}")
    network.requires_grad_(False)
    explain(network, images[:4], targets[:4], arguments.batch)
    print("frozen network, planetvision: works")
    try:
        peer(images[:4], targets[:4])
        print("frozen network, grad-cam: works")
    except Exception as error:  # whatever it raises is the result
        print(f"frozen network, grad-cam: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
