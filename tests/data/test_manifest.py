"""The manifest: written and read again, it is the same catalog; changed files are noticed."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from planetvision.core.errors import (
    DataError,
    DataWarning,
    OutputError,
    OutputExistsError,
    SettingsError,
)
from planetvision.data import (
    DECODERS,
    Catalog,
    hash_source,
    read_labelled,
    register_decoder,
    save_manifest,
    split_catalog,
)
from planetvision.data.catalog import SPLIT_NAMES
from planetvision.data.manifest import hash_sources


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Twelve files of two classes in six groups, split."""
    folder = tmp_path / "images"
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(12)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]))
    bare = Catalog(sources=tuple(map(str, paths)), labels=("mars", "venus") * 6)
    return replace(split_catalog(bare), groups=tuple(range(12)))


def test_manifest_has_its_columns_in_their_order(catalog: Catalog, tmp_path: Path) -> None:
    path = save_manifest(catalog, tmp_path / "new" / "manifest.csv")
    assert path == tmp_path / "new" / "manifest.csv"
    lines = path.read_text().splitlines()
    assert lines[0] == "path,label,split,group,sha256"
    assert lines[4] == (
        f"{catalog.names[3]},venus,{(catalog.splits or ())[3]},3,"
        f"{hashlib.sha256(bytes([3])).hexdigest()}"
    )
    assert len(lines) == 13


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.tsv"])
def test_manifest_repeats_labels_groups_and_split(
    catalog: Catalog, tmp_path: Path, name: str
) -> None:
    again = read_labelled(save_manifest(catalog, tmp_path / name))
    assert again.hashes == hash_sources(catalog.sources)
    assert replace(again, hashes=None, origin=catalog.origin) == catalog
    assert split_catalog(again, seed=5) == again


def test_manifest_of_a_manifest_is_the_same(catalog: Catalog, tmp_path: Path) -> None:
    first = save_manifest(catalog, tmp_path / "first.csv")
    second = save_manifest(read_labelled(first), tmp_path / "second.csv")
    assert second.read_bytes() == first.read_bytes()


def test_changed_file_is_noticed(catalog: Catalog, tmp_path: Path) -> None:
    path = save_manifest(catalog, tmp_path / "manifest.csv")
    Path(catalog.names[7]).write_bytes(b"changed")
    with pytest.raises(DataError) as caught:
        read_labelled(path)
    assert caught.value.problems == (
        f"line 9: '{catalog.names[7]}' has changed since its sha256 was written",
    )
    accepted = pd.read_csv(path).drop(columns="sha256")
    accepted.to_csv(path, index=False)
    assert read_labelled(path).splits == catalog.splits


def test_relative_sources_are_written_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(b"x")
    path = save_manifest(Catalog(sources=("./a.png",), labels=("x",)), tmp_path / "sub" / "m.csv")
    assert read_labelled(path).sources == (str(tmp_path / "a.png"),)


def test_known_hashes_are_taken_as_they_are(catalog: Catalog, tmp_path: Path) -> None:
    known = ("ab" * 32, *[""] * 11)
    path = save_manifest(replace(catalog, hashes=known), tmp_path / "manifest.csv")
    written = pd.read_csv(path)["sha256"].tolist()
    assert written == ["ab" * 32, *hash_sources(catalog.sources)[1:]]


def test_images_in_memory_are_hashed_and_cannot_be_read_back(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    catalog = Catalog(sources=(pixels, b"bytes", Image.fromarray(pixels)), labels=("a", "b", "a"))
    path = save_manifest(catalog, tmp_path / "manifest.csv")
    frame = pd.read_csv(path)
    assert frame["path"].tolist() == ["<array 0>", "<bytes 1>", "<image 2>"]
    assert frame["sha256"].str.len().tolist() == [64, 64, 64]
    with pytest.raises(DataError, match="Pass images in memory themselves, with labels") as caught:
        read_labelled(path)
    assert caught.value.problems == (
        "line 2: '<array 0>' was an image in memory, which a table cannot hold",
        "line 3: '<bytes 1>' was an image in memory, which a table cannot hold",
        "line 4: '<image 2>' was an image in memory, which a table cannot hold",
    )


def test_hash_is_that_of_the_bytes_and_tells_pixels_apart(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000  # more than one block
    (tmp_path / "a").write_bytes(content)
    expected = hashlib.sha256(content).hexdigest()
    assert hash_source(tmp_path / "a") == hash_source(content) == expected
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    hashes = {
        hash_source(array)
        for array in (pixels, pixels + 1, pixels.reshape(4, 2, 3), pixels[::-1], pixels[:, ::-1])
    }
    assert len(hashes) == 5
    assert hash_source(pixels[:, ::2]) == hash_source(pixels[:, ::2].copy())
    assert hash_source(Image.fromarray(pixels)) == hash_source(pixels)


def encode_with_orientation(orientation: int) -> bytes:
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.new("L", (4, 4)).save(stream, "PNG", exif=exif)
    return stream.getvalue()


def test_hash_of_a_pillow_image_tells_palette_opacity_mode_and_orientation_apart() -> None:
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    images = [Image.fromarray(pixels, "P") for _ in range(4)]
    for number, image in enumerate(images):
        image.putpalette(bytes(range(256)) * 3 if number else bytes(range(255, -1, -1)) * 3)
    images[2].info["transparency"] = 5
    images[3].info["transparency"] = bytes([9] * 16)
    colour = Image.new("RGB", (4, 4), (10, 20, 30))
    images += [colour, Image.frombytes("YCbCr", (4, 4), colour.tobytes())]
    images += [Image.open(io.BytesIO(encode_with_orientation(turn))) for turn in (1, 6)]
    images[-1].putpixel((0, 0), 7)
    images[-2].putpixel((0, 0), 7)
    assert len({hash_source(image) for image in images}) == len(images)


PDS3_LABEL = b'PDS_VERSION_ID = PDS3\r\n^IMAGE = "M.IMG"\r\nEND\r\n'
PDS4_LABEL = b"""<?xml version="1.0"?>
<Product_Observational xmlns="http://pds.nasa.gov/pds4/pds/v1">
<file_name>m.dat</file_name></Product_Observational>"""


@pytest.mark.parametrize(
    ("label_name", "label", "data_name"),
    [
        ("m.lbl", PDS3_LABEL, "M.IMG"),
        ("other.LBL", PDS3_LABEL.replace(b'"M.IMG"', b'("M.IMG", 3)'), "m.img"),
        ("other.xml", PDS4_LABEL, "m.dat"),
        ("other.lblx", PDS4_LABEL.replace(b"file_name", b"p:file_name"), "m.dat"),
    ],
)
def test_changed_data_of_a_label_apart_are_noticed(
    label_name: str, label: bytes, data_name: str, tmp_path: Path
) -> None:
    (tmp_path / label_name).write_bytes(label)
    (tmp_path / data_name).write_bytes(b"data")
    catalog = Catalog(sources=(str(tmp_path / label_name),), labels=("mars",))
    path = save_manifest(catalog, tmp_path / "manifest.csv")
    assert len(read_labelled(path)) == 1
    (tmp_path / data_name).write_bytes(b"date")
    with pytest.raises(DataError, match="has changed since its sha256 was written"):
        read_labelled(path)


def test_changed_label_of_data_is_noticed(tmp_path: Path) -> None:
    data = tmp_path / "m.img"
    data.write_bytes(b"data")
    alone = hash_source(data)
    assert alone == hashlib.sha256(b"data").hexdigest()
    (tmp_path / "other.lbl").write_bytes(PDS3_LABEL)
    assert hash_source(data) == alone
    (tmp_path / "M.LBL").write_bytes(PDS3_LABEL)
    beside = hash_source(data)
    assert beside != alone
    (tmp_path / "M.LBL").write_bytes(PDS3_LABEL.replace(b"END", b"LINES = 3\r\nEND"))
    assert hash_source(data) not in (beside, alone)


def test_hash_of_a_label_with_its_data_behind_it_is_that_of_the_bytes(tmp_path: Path) -> None:
    content = b'PDS_VERSION_ID = PDS3\r\n^IMAGE = 2\r\nEND\r\n^IMAGE = "b.img"'
    (tmp_path / "a.img").write_bytes(content)
    (tmp_path / "b.img").write_bytes(b"of another image")
    assert hash_source(tmp_path / "a.img") == hashlib.sha256(content).hexdigest()


def test_companions_of_a_decoder_of_ones_own_are_hashed(tmp_path: Path) -> None:
    (tmp_path / "a.two").write_bytes(b"one")
    (tmp_path / "a.half").write_bytes(b"half")
    register_decoder(
        "two", suffixes=(".two",), companions=lambda path: (path.with_suffix(".half"),)
    )(lambda file: np.zeros((2, 2), np.uint8))
    try:
        before = hash_source(tmp_path / "a.two")
        (tmp_path / "a.half").write_bytes(b"other")
        assert hash_source(tmp_path / "a.two") != before
    finally:
        DECODERS.remove("two")


def test_file_that_is_gone_has_no_hash_and_a_warning(catalog: Catalog, tmp_path: Path) -> None:
    Path(catalog.names[2]).unlink()
    with pytest.warns(DataWarning, match=r"1 file could not be read to be hashed \(first: '.*2\."):
        path = save_manifest(catalog, tmp_path / "manifest.csv")
    assert pd.read_csv(path)["sha256"].isna().tolist() == [False, False, True, *[False] * 9]


def test_manifest_replaces_nothing_unasked(catalog: Catalog, tmp_path: Path) -> None:
    path = save_manifest(catalog, tmp_path / "manifest.csv")
    with pytest.raises(OutputExistsError, match=r"The manifest '.*' exists\. Name another file"):
        save_manifest(catalog, path)
    save_manifest(catalog.select([0]), path, overwrite=True)
    assert len(pd.read_csv(path)) == 1


def test_manifest_where_it_cannot_be_says_so(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"written as \.csv or \.tsv, got '.*m\.xlsx'"):
        save_manifest(catalog, tmp_path / "m.xlsx")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot be written"):
        save_manifest(catalog, tmp_path / "file" / "m.csv")


@pytest.mark.skipif(os.name != "posix", reason="names of bytes are a matter of POSIX")
def test_name_that_is_no_text_is_written_with_a_warning(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/v\xe9nus.png")
    Path(name).write_bytes(b"x")
    with pytest.warns(DataWarning, match="are not valid text"):
        path = save_manifest(Catalog(sources=(name,), labels=("x",)), tmp_path / "m.csv")
    with pytest.raises(DataError, match="does not exist"):
        read_labelled(path)


NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=12
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    st.sampled_from(["7", "007", "-1", " x", "a,b", 'q"', "a;b;c\td", "x\r", "a\r\nb"]),
).filter(lambda text: bool(text.strip()))


@given(data=st.data(), names=st.lists(NAMES, min_size=1, max_size=5, unique=True))
def test_manifest_of_any_names_labels_and_groups_gives_them_back(
    data: st.DataObject, names: list[str]
) -> None:
    size = len(names)
    parts = SPLIT_NAMES[:1] * size

    def draw(of: st.SearchStrategy[object]) -> tuple[object, ...]:
        return tuple(data.draw(st.lists(of, min_size=size, max_size=size)))

    labels = draw(data.draw(st.sampled_from([TEXTS, st.integers()])))
    groups = data.draw(st.sampled_from([None, TEXTS, st.integers()]))
    with tempfile.TemporaryDirectory() as folder:
        sources = [os.path.join(folder, f"{n}{name}") for n, name in enumerate(names)]  # noqa: PTH118
        for source in sources:
            with open(source, "wb") as file:  # noqa: PTH123 - Path would change nothing
                file.write(source.encode())
        catalog = Catalog(
            sources=tuple(sources),
            labels=labels,  # type: ignore[arg-type]
            splits=parts if data.draw(st.booleans()) else None,
            groups=None if groups is None else draw(groups),  # type: ignore[arg-type]
        )
        path = save_manifest(catalog, Path(folder, "the manifest.csv"))
        again = read_labelled(path)
        assert replace(again, hashes=None, origin=catalog.origin) == catalog
        assert again.hashes == tuple(
            hashlib.sha256(source.encode()).hexdigest() for source in sources
        )
