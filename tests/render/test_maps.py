"""Maps of one's own: found by name, checked, and seen on the body."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from planetvision.core.errors import DataError, SettingsError
from planetvision.render import BODIES, OTHER_BODIES, Camera, render_body, render_dataset
from planetvision.render.appearance import get_body
from planetvision.render.maps import get_maps, load_map
from planetvision.render.surfaces import get_surface


def save_map(path: Path, width: int = 64, height: int = 32) -> Path:
    """Saves a map that is red in the north, green in the south, and blue east of 90 degrees."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, :, 0] = 200
    pixels[height // 2 :, :, 1] = 200
    pixels[:, 3 * width // 4 :] = (0, 0, 200)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_maps_are_found_by_body_and_other_files_left_alone(tmp_path: Path) -> None:
    mars = save_map(tmp_path / "mars.png")
    venus = save_map(tmp_path / "venus.jpg")
    save_map(tmp_path / "marble.png", 10, 10)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    assert dict(get_maps(tmp_path)) == {"mars": mars.absolute(), "venus": venus.absolute()}


def test_map_is_seen_where_it_belongs(tmp_path: Path) -> None:
    save_map(tmp_path / "mars.png")
    camera = Camera(
        sub_observer_latitude_degrees=0, sub_observer_longitude_degrees=0, position_angle_degrees=0
    )
    rendered = render_body(
        "mars", image_size=96, seed=3, phase_angle_degrees=0, camera=camera, maps=tmp_path
    )
    rows, columns = np.nonzero(rendered.mask)
    north = rendered.image[int(np.quantile(rows, 0.2)), int(np.median(columns))].astype(int)
    south = rendered.image[int(np.quantile(rows, 0.8)), int(np.median(columns))].astype(int)
    assert north[0] > 2 * north[1]
    assert south[1] > 2 * south[0]
    # East is to the right: beyond 90 degrees nothing is seen from here, and it is from 90 degrees.
    turned = render_body(
        "mars",
        image_size=96,
        seed=3,
        phase_angle_degrees=0,
        camera=Camera(
            sub_observer_latitude_degrees=0,
            sub_observer_longitude_degrees=90,
            position_angle_degrees=0,
        ),
        maps=tmp_path,
    )
    right = turned.image[int(np.median(rows)), int(np.quantile(columns, 0.8))].astype(int)
    left = turned.image[int(np.median(rows)), int(np.quantile(columns, 0.2))].astype(int)
    assert right[2] > 2 * max(right[0], right[1])
    assert left[2] < max(left[0], left[1])
    assert rendered.parameters["map"] == "mars.png"


def test_body_without_a_map_is_painted(tmp_path: Path) -> None:
    save_map(tmp_path / "mars.png")
    with_maps = render_body("saturn", image_size=48, seed=1, maps=tmp_path)
    np.testing.assert_array_equal(
        with_maps.image, render_body("saturn", image_size=48, seed=1).image
    )
    assert with_maps.parameters["map"] == ""


def test_photo_look_takes_the_map_for_most_pictures_in_natural_colour(tmp_path: Path) -> None:
    save_map(tmp_path / "mars.png")
    drawn = [
        render_body("mars", image_size=24, seed=seed, look="photo", maps=tmp_path).parameters
        for seed in range(60)
    ]
    natural = [it["map"] == "mars.png" for it in drawn if it["filters"] == "red+green+blue"]
    assert 0.4 < np.mean(natural) < 0.9
    beyond = [it["map"] for it in drawn if "methane" in str(it["filters"])]
    assert set(beyond) <= {""}


@pytest.mark.parametrize(("width", "height"), [(64, 64), (100, 49), (32, 64)])
def test_map_that_is_not_twice_as_wide_as_high_is_refused(
    tmp_path: Path, width: int, height: int
) -> None:
    file = save_map(tmp_path / "mars.png", width, height)
    message = (
        rf"must be twice as wide as high.*mars\.png' has {width} x {height} pixels\. Project it"
    )
    with pytest.raises(DataError, match=message):
        render_body("mars", image_size=32, maps=tmp_path)
    with pytest.raises(DataError, match=message):
        render_dataset(count=1, image_size=32, maps=tmp_path)
    with pytest.raises(DataError, match=message):
        load_map(file, 32)


def test_map_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mars.png").write_bytes(b"not a picture")
    with pytest.raises(
        DataError, match=r"The map '.*mars\.png' cannot be read: .* Save it as a PNG"
    ):
        render_body("mars", image_size=32, maps=tmp_path)


def test_folder_without_maps_says_how_to_name_them(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"holds none of a body.*such as mars\.png\. Known: earth"
    ):
        render_body("mars", image_size=32, maps=tmp_path)


def test_maps_that_are_no_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"`maps` must be a folder .* which is no folder\."):
        render_body("mars", image_size=32, maps=tmp_path / "nowhere")


def test_map_is_resized_in_either_direction(tmp_path: Path) -> None:
    file = save_map(tmp_path / "mars.png")
    for height in (16, 64):
        colour = load_map(file, height)
        assert colour.shape == (height, 2 * height, 3)
        assert colour[2, 2, 0] > 0.3
        assert colour[-3, 2, 1] > 0.3


def test_earth_map_gets_clouds(tmp_path: Path) -> None:
    pixels = np.full((64, 128, 3), (8, 20, 60), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "earth.png")
    rendered = render_body("earth", image_size=96, seed=2, phase_angle_degrees=10, maps=tmp_path)
    assert (rendered.image[rendered.mask].min(axis=1) > 120).mean() > 0.05


def test_maps_change_no_other_part_of_a_scene(tmp_path: Path) -> None:
    save_map(tmp_path / "mars.png")
    shown = 0
    for seed in range(60):
        without = dict(render_body("mars", image_size=16, seed=seed, look="photo").parameters)
        with_map = dict(
            render_body("mars", image_size=16, seed=seed, look="photo", maps=tmp_path).parameters
        )
        without.pop("map")
        shown += with_map.pop("map") == "mars.png"
        assert with_map == without, seed
    assert shown > 20


def test_fine_tones_of_a_map_are_slopes_where_the_body_says_so() -> None:
    with_slopes = {name for name in (*BODIES, *OTHER_BODIES) if get_body(name).map_relief_radii}
    cratered = {name for name, body in OTHER_BODIES.items() if body.painter == "craters"}
    assert with_slopes == {"moon", *cratered}
    assert {"mercury", "ganymede", "vesta", "mimas"} <= cratered


@pytest.mark.parametrize(("name", "has_slopes"), [("moon", True), ("rhea", True), ("mars", False)])
def test_map_has_details_where_it_has_slopes(tmp_path: Path, name: str, has_slopes: bool) -> None:
    file = save_map(tmp_path / f"{name}.png")
    surface = get_surface(name, 0, 96, map_file=file)[0]
    assert (surface.details is not None) is has_slopes


def test_map_without_tones_has_craters_and_fewer_on_dark_plains(tmp_path: Path) -> None:
    pixels = np.full((576, 1152, 3), 200, np.uint8)
    pixels[:, 576:] = 60
    Image.fromarray(pixels).save(tmp_path / "moon.png")
    surface = get_surface("moon", 0, 576, map_file=tmp_path / "moon.png")[0]
    assert surface.details is not None
    bright, dark = surface.details[60:-60, 60:520], surface.details[60:-60, 640:1100]
    steep, flat = (np.abs(half[..., 1:]).max(axis=-1) for half in (bright, dark))
    assert (steep > 0.1).mean() > 0.02
    assert flat.mean() < 0.4 * steep.mean()


def save_gray(file: Path, values: np.ndarray[tuple[int, ...], np.dtype[Any]]) -> Path:
    Image.fromarray(values).save(file)
    return file


def test_gray_map_of_16_bits_keeps_its_tones(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 65535, 64)[None], 32, axis=0)
    deep = load_map(save_gray(tmp_path / "moon.png", ramp.astype(np.uint16)), 32)
    plain = load_map(save_gray(tmp_path / "mars.png", (ramp / 257).astype(np.uint8)), 32)
    np.testing.assert_allclose(deep, plain, atol=0.01)
    fractions = load_map(save_gray(tmp_path / "io.tif", (ramp / 65535).astype(np.float32)), 32)
    np.testing.assert_allclose(fractions, plain, atol=0.01)


def test_gray_map_of_other_values_is_refused(tmp_path: Path) -> None:
    file = save_gray(tmp_path / "io.tif", np.full((32, 64), -3.0, np.float32))
    with pytest.raises(DataError, match=r"from 0 to 65535.*io\.tif' holds -3 to -3\. Save it as"):
        load_map(file, 32)


def test_truncated_map_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "mars.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 128, 3)).astype(np.uint8)
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:4000])
    with pytest.raises(DataError, match=r"The map '.*mars\.png' cannot be read: .* Save it as"):
        render_body("mars", image_size=32, maps=tmp_path)


def write_header(file: Path, width: int, height: int) -> None:
    """Writes a PNG file that claims to be that large and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("height", [8193, 60_000])
def test_huge_map_is_refused_before_it_is_read(tmp_path: Path, height: int) -> None:
    write_header(tmp_path / "mars.png", 2 * height, height)
    with pytest.raises(
        DataError, match=r"at most 134,217,728 pixels, and '.*mars\.png' has .*\. Shrink it"
    ):
        render_body("mars", image_size=32, maps=tmp_path)


def test_case_of_a_name_does_not_matter(tmp_path: Path) -> None:
    save_map(tmp_path / "plain.png").rename(tmp_path / "Mars.PNG")
    assert dict(get_maps(tmp_path)) == {"mars": (tmp_path / "Mars.PNG").absolute()}
    assert render_body("mars", image_size=32, maps=tmp_path).parameters["map"] == "Mars.PNG"


def test_first_ending_counts(tmp_path: Path) -> None:
    for ending in ("webp", "jpg", "tif"):
        save_map(tmp_path / f"mars.{ending}")
    assert get_maps(tmp_path)["mars"].name == "mars.jpg"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"maps": 3}, r"`maps` must be a folder .*, got 3 of type int\. Pass a path, or None"),
        ({"maps": ["a"]}, r"`maps` must be a folder .*, got \['a'\] of type list\."),
        ({"camera": "far"}, r"`camera` must be a `Camera`, got 'far' of type str\. Pass Camera\("),
        ({"look": 1}, r"`look` must be a name, a string, got 1 of type int\. Known: clean"),
        ({"look": ["clean"]}, r"`look` must be a name, a string, got \['clean'\] of type list\."),
    ],
)
def test_wrong_type_says_given_expected_and_remedy(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        render_body("mars", image_size=32, **arguments)


def test_faces_share_a_map_but_for_clouds(tmp_path: Path) -> None:
    mars, earth = save_map(tmp_path / "mars.png"), save_map(tmp_path / "earth.png")
    assert get_surface("mars", 0, 96, map_file=mars) is get_surface("mars", 3, 96, map_file=mars)
    first, last = (get_surface("earth", face, 96, map_file=earth)[0].colour for face in (0, 3))
    assert not np.array_equal(first, last)


def test_tiff_map_is_read_by_its_layout(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (32, 64)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "moon.tif", values, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "ceres.tif", 65535 - values)
    np.testing.assert_array_equal(
        load_map(tmp_path / "moon.tif", 32), load_map(tmp_path / "ceres.tif", 32)
    )
    # Pillow alone would show another picture.
    planes = np.stack([values] * 3)
    tifffile.imwrite(tmp_path / "mars.tif", planes, photometric="rgb", planarconfig="separate")
    with pytest.raises(DataError, match=r"The map '.*mars\.tif' cannot be read: .* Save it as"):
        load_map(tmp_path / "mars.tif", 32)
