"""Pictures of what is no planet: each kind, its chance, and wrong arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from planetvision.core.errors import OutputExistsError, SettingsError, UnknownNameError
from planetvision.render import (
    NON_PLANETS,
    render_non_planet,
    render_non_planets,
    write_non_planets,
)


@pytest.mark.parametrize("kind", NON_PLANETS)
@pytest.mark.parametrize("size", [16, 50])
def test_each_kind_draws_a_picture_of_that_size(kind: str, size: int) -> None:
    pictures = [render_non_planet(kind, image_size=size, seed=seed) for seed in range(8)]
    assert {picture.shape for picture in pictures} == {(size, size, 3)}
    assert {picture.dtype for picture in pictures} == {np.dtype(np.uint8)}
    assert len({picture.tobytes() for picture in pictures}) == 8
    assert any(np.ptp(picture) > 20 for picture in pictures), "not all are plain"


def test_stars_of_clusters_crowd_towards_a_middle() -> None:
    def measure_spread(kind: str) -> float:
        spreads = []
        for seed in range(40):
            light = render_non_planet(kind, image_size=96, seed=seed).mean(axis=-1)
            weights = (light - np.median(light)).clip(0)
            places = np.indices(light.shape).reshape(2, -1)
            middle = np.average(places, axis=1, weights=weights.ravel())
            offsets = ((places - middle[:, None]) ** 2).sum(axis=0)
            spreads.append(np.sqrt(np.average(offsets, weights=weights.ravel())))
        return float(np.median(spreads))

    assert measure_spread("cluster") < 0.85 * measure_spread("stars")


def test_same_seed_gives_the_same_picture() -> None:
    first, second = (list(render_non_planets(count=12, image_size=24, seed=3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    other = list(render_non_planets(count=12, image_size=24, seed=4))
    assert not np.array_equal(first, other)


def test_kinds_come_in_turn() -> None:
    pictures = list(render_non_planets(count=4, image_size=20, kinds=["ball", "noise"]))
    alone = list(render_non_planets(count=2, image_size=20, kinds=["noise"]))
    np.testing.assert_array_equal(pictures[1::2], alone)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "`count` must be a whole number of at least 1, got 0"),
        ({"count": 1, "kinds": []}, "`kinds` must name at least one kind, got none"),
        ({"count": 1, "seed": 0.5}, "`seed` must be a whole number, got 0.5"),
        ({"count": 1, "image_size": 15}, "`image_size` must be a whole number of at least 16"),
        ({"count": 1, "kinds": "noise"}, r"got the string 'noise'\. Pass a list such as \['noise'"),
        ({"count": 1, "kinds": ["noise", 3]}, "must be a name, a string, got 3 of type int"),
        ({"count": 1, "kinds": [["noise"]]}, r"a string, got \['noise'\] of type list"),
        ({"count": 1, "kinds": ["noise", "nose"]}, "Unknown kind of non-planet 'nose'"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    """When they are passed, and not when the first picture is asked for."""
    with pytest.raises((SettingsError, UnknownNameError), match=message):
        render_non_planets(**arguments)


def test_wrong_size_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="`image_size` must be a whole number of at least 16"):
        write_non_planets(tmp_path / "others", count=1, image_size=4)
    assert not (tmp_path / "others").exists()


def test_files_hold_the_pictures_and_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    paths = write_non_planets(tmp_path / "others", count=15, image_size=20, seed=2)
    assert [path.name for path in paths[:2]] == ["noise_00000.png", "texture_00000.png"]
    assert paths[len(NON_PLANETS)].name == "noise_00001.png"
    drawn = list(render_non_planets(count=15, image_size=20, seed=2))
    for path, picture in zip(paths, drawn, strict=True):
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(image), picture)
    with pytest.raises(OutputExistsError):
        write_non_planets(tmp_path / "others", count=1, image_size=20)
    assert len(write_non_planets(tmp_path / "others", count=1, image_size=20, overwrite=True)) == 1


def test_wrong_kind_gets_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown kind of non-planet 'galaxi'.*galaxy"):
        render_non_planet("galaxi")
    with pytest.raises(SettingsError, match="`image_size` must be a whole number of at least 16"):
        render_non_planet("noise", image_size=4)
