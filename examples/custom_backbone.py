"""Registers a small module as a backbone and trains it from scratch on rendered images."""

from __future__ import annotations

import tempfile

import torch
from torch import nn

from planetvision import InputSpec, PlanetClassifier, register_backbone
from planetvision.render import write_dataset


class SmallNet(nn.Module):
    """Three strided convolutions: images (N, 3, H, W) in, feature maps (N, 64, H/8, W/8) out."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(self._block(*widths) for widths in [(3, 16), (16, 32), (32, 64)])
        )

    @staticmethod
    def _block(before: int, after: int) -> nn.Module:
        convolution = nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the feature maps."""
        features: torch.Tensor = self.blocks(images)
        return features


@register_backbone("small_net", input=InputSpec(image_size=64))
def small_net() -> nn.Module:
    """Three convolutions, 64 px, from scratch."""
    return SmallNet()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(folder, count=70, image_size=64, seed=0)
        # `scratch` trains the whole network: this backbone has no pretrained weights.
        classifier = PlanetClassifier("small_net", recipe="scratch", random_state=0)
        classifier.fit(folder)
        print(classifier.evaluate())
        explanations = classifier.explain(classifier.split_.get_split("test").sources[:1])
        print("Grad-CAM used", ", ".join(explanations[0].layers))


if __name__ == "__main__":
    main()
