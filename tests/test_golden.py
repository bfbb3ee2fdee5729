"""What must not change unnoticed: answers, a map, a split and the options of the command.

The values are in `golden/behaviour.json` and hold to 1e-3 on any processor. After a change that
is meant, `python tests/test_golden.py` writes them again; read the difference before you commit it.
`benchmarks/frozen_behaviour.py` compares two versions on one machine to 1e-6.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import typer

from planetvision import PlanetClassifier
from planetvision.cli.main import app
from planetvision.data import Catalog, split_catalog

GOLDEN = Path(__file__).parent / "golden" / "behaviour.json"
TOLERANCE = 1e-3
SIZE = 168
# Colour, bands, craters, ring, phase angle in degrees.
DISCS = (
    ((214, 186, 150), 9.0, 0, False, 10),
    ((226, 204, 150), 6.0, 0, True, 15),
    ((198, 104, 66), 0.0, 6, False, 30),
    ((150, 148, 144), 0.0, 40, False, 60),
    ((78, 112, 220), 2.0, 0, False, 20),
    ((160, 216, 226), 0.0, 0, False, 5),
)


def draw_disc(
    colour: tuple[int, int, int], bands: float, craters: int, has_ring: bool, phase: float
) -> npt.NDArray[np.uint8]:
    """Returns a lit sphere before a dark sky, drawn by a formula and nothing of the library."""
    y, x = (np.mgrid[:SIZE, :SIZE] - SIZE / 2) / (SIZE * 0.3)
    inside = x**2 + y**2 <= 1
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, None))
    angle = np.radians(phase)
    light = np.clip(z * np.cos(angle) + x * np.sin(angle), 0, None)
    light = light * (1 + 0.25 * np.sin(bands * np.pi * y))
    generator = np.random.default_rng(craters)
    for row, column, radius in generator.uniform((-1, -1, 0.03), (1, 1, 0.12), (craters, 3)):
        light = np.where(np.hypot(x - column, y - row) < radius, light * 0.6, light)
    image = np.where(inside, light, 0)
    if has_ring:
        distance = np.hypot(x, 4 * y)
        ring = (distance > 1.2) & (distance < 1.6) & (~inside | (y > 0))
        image = np.where(ring, 0.7, image)
    pixels: npt.NDArray[np.uint8] = (image[..., None] * colour).clip(0, 255).astype(np.uint8)
    return pixels


def draw_inputs() -> list[npt.NDArray[np.uint8]]:
    """Returns six discs, a slope of colours and a board."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    slope = np.stack([rows, columns, rows + columns], axis=-1) * 0.7
    board = np.repeat(((rows // 21 + columns // 21) % 2 * 200)[..., None], 3, axis=-1)
    return [
        *(draw_disc(*disc) for disc in DISCS),
        slope.astype(np.uint8),
        board.astype(np.uint8),
    ]


def reduce_map(heatmap: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Returns the means of 7 x 7 tiles of a map."""
    tiles = [np.array_split(rows, 7, axis=1) for rows in np.array_split(heatmap, 7)]
    return np.array([[tile.mean() for tile in row] for row in tiles])


def describe_split() -> dict[str, list[str]]:
    labels = [name for name in ("mars", "moon", "saturn") for _ in range(14)]
    paths = tuple(f"planets/{name}/{number:03}.png" for number, name in enumerate(labels))
    catalog = split_catalog(Catalog(sources=paths, labels=tuple(labels)), seed=5)
    frame = catalog.to_frame()
    return {str(part): rows["path"].tolist() for part, rows in frame.groupby("split")}


def describe_options(command: Any, name: str = "planetvision") -> dict[str, list[str]]:
    found = {name: sorted(option for item in command.params for option in item.opts)}
    for key, part in getattr(command, "commands", {}).items():
        found |= describe_options(part, f"{name} {key}")
    return found


def describe_answers() -> dict[str, Any]:
    classifier = PlanetClassifier.from_pretrained(device="cpu", precision="fp32")
    inputs = draw_inputs()
    answers = classifier.predict(inputs)
    assert answers.novelty is not None
    (explanation,) = classifier.explain(inputs[:1], method="gradcam", checks=False)
    return {
        "labels": np.asarray(answers).tolist(),
        "probabilities": answers.probabilities.round(5).tolist(),
        "ood_scores": answers.novelty.round(5).tolist(),
        "gradcam": reduce_map(explanation.heatmap).round(5).tolist(),
    }


def describe() -> dict[str, Any]:
    return {
        "answers": describe_answers(),
        "split": describe_split(),
        "options": describe_options(typer.main.get_command(app)),
    }


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return stored


def test_released_model_answers_and_explains_as_before(golden: dict[str, Any]) -> None:
    expected, found = golden["answers"], describe_answers()
    assert found["labels"] == expected["labels"]
    for name in ("probabilities", "gradcam"):
        np.testing.assert_allclose(found[name], expected[name], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(
        found["ood_scores"], expected["ood_scores"], atol=TOLERANCE, rtol=TOLERANCE
    )


def test_split_of_fixed_paths_is_as_before(golden: dict[str, Any]) -> None:
    assert describe_split() == golden["split"]


def test_commands_have_the_options_that_they_had(golden: dict[str, Any]) -> None:
    assert describe_options(typer.main.get_command(app)) == golden["options"]


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    text = json.dumps(describe(), indent=1, ensure_ascii=False)
    GOLDEN.write_text(text + "\n", encoding="utf-8")
    print(f"wrote {GOLDEN}")
