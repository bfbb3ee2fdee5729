"""PDS labels: none makes the library read a file that is not beside it."""

from __future__ import annotations

import gzip
import importlib.util
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from planetvision.core.errors import ImageError
from planetvision.data import read_image
from planetvision.data.decoders.pds import find_pds_companions

VALUES = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
OPENED: list[Path] = []


def load_fuzz() -> ModuleType:
    script = Path(__file__).parents[2] / "benchmarks" / "fuzz_images.py"
    spec = importlib.util.spec_from_file_location("fuzz_labels", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FUZZ = load_fuzz()


def record(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and RECORDING and isinstance(arguments[0], str | bytes | os.PathLike):
        OPENED.append(Path(os.fsdecode(arguments[0])))


RECORDING: list[bool] = []
sys.addaudithook(record)


@contextmanager
def recording() -> Iterator[list[Path]]:
    """Notes which files this process opens, by whatever library."""
    OPENED.clear()
    RECORDING.append(True)
    try:
        yield OPENED
    finally:
        RECORDING.pop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a label, with a secret outside of it that would do as its data."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for place in (inside / "sub", outside):
        place.mkdir(parents=True)
        (place / "secret.dat").write_bytes(VALUES.tobytes())
    (outside / "secret.fmt").write_text("A = 1\nEND\n")
    (inside / "link.dat").symlink_to(outside / "secret.dat")
    return inside


NAMES = {
    "absolute": "{outside}/secret.dat",
    "parent": "../outside/secret.dat",
    "subfolder": "sub/secret.dat",
    "there_and_back": "../inside/image.img",
    "backslash": r"..\outside\secret.dat",
    "drive": "C:secret.dat",
    "dots": "..",
    "link": "link.dat",
}


def create_label(kind: str, name: str) -> dict[str, bytes]:
    """Returns a label that names a file in the way `kind`, and its own data, which are good."""
    data = VALUES.tobytes()
    if kind == "pds4":
        label, data = FUZZ.create_pds4(VALUES, file_name=name)
        return {"image.xml": label, "image.img": data}
    if kind == "pds4_utf16":
        label = FUZZ.create_pds4(VALUES, file_name=name)[0].decode().replace("UTF-8", "UTF-16")
        return {"image.xml": label.encode("utf-16"), "image.img": data}
    if kind == "pds4_comment":
        label = FUZZ.create_pds4(VALUES, file_name=f"<!-- > -->{name}")[0]
        return {"image.xml": label, "image.img": data}
    label = FUZZ.create_pds3(VALUES, data_name="image.img")[0]
    pointers = {
        "image": (b'^IMAGE = "image.img"', f'^IMAGE = "{name}"'),
        "image_and_record": (b'^IMAGE = "image.img"', f'^IMAGE = ("{name}", 1)'),
        "image_on_two_lines": (b'^IMAGE = "image.img"', f'^IMAGE =\r\n  ("{name}",\r\n  1)'),
        "image_and_bytes": (b'^IMAGE = "image.img"', f'^IMAGE = ("{name}", 1 <BYTES>)'),
        "image_without_quotes": (b'^IMAGE = "image.img"', f"^IMAGE = {name}"),
        "image_with_equals": (b'^IMAGE = "image.img"', f'^IMAGE = (\r\n"{name}", "x=y")'),
        "label": (b"OBJECT = IMAGE", f'^LABEL = "{name}"\r\nOBJECT = IMAGE'),
        "structure": (b"  LINES", f'  ^STRUCTURE = "{name}"\r\n  LINES'),
        "description": (b"OBJECT = IMAGE", f'^A_DESCRIPTION = "{name}"\r\nOBJECT = IMAGE'),
    }
    old, new = pointers[kind]
    assert label.count(old) >= 1
    return {"image.lbl": label.replace(old, new.encode(), 1), "image.img": data}


KINDS = [
    "pds4",
    "pds4_utf16",
    "pds4_comment",
    "image",
    "image_and_record",
    "image_on_two_lines",
    "image_and_bytes",
    "image_without_quotes",
    "image_with_equals",
    "label",
    "structure",
    "description",
]


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder / next(iter(files))


def is_elsewhere(path: Path, folder: Path) -> bool:
    root = folder.parent.resolve()
    path = Path(os.path.realpath(path))
    return path.is_relative_to(root) and path.parent != folder.resolve()


@pytest.mark.parametrize("source", ["label", "data", "bytes"])
@pytest.mark.parametrize("name", list(NAMES))
@pytest.mark.parametrize("kind", KINDS)
def test_label_that_names_a_file_elsewhere_is_refused_and_nothing_there_is_opened(
    folder: Path, kind: str, name: str, source: str
) -> None:
    target = NAMES[name].format(outside=folder.parent / "outside")
    path = write(folder, create_label(kind, target))
    sources: dict[str, Path | bytes] = {
        "label": path,
        "data": folder / "image.img",
        "bytes": path.read_bytes(),
    }
    given = sources[source]
    # What is not opened anyway may be a link; bytes have nothing beside them to link to.
    refused = name != "link" or kind.startswith(("pds4", "image"))
    with recording() as opened:
        if refused:
            with pytest.raises(ImageError) as caught:
                read_image(given)
        else:
            read_image(given if source != "bytes" else path)
    assert not [item for item in opened if is_elsewhere(item, folder)]
    if not refused:
        return
    message = str(caught.value)
    assert message.count(". ") == 0
    if "UTF-16" in message:  # given as bytes without a name, it is no image at all
        return
    if source == "label" and (kind, name) != ("image_without_quotes", "dots"):
        assert f"its label names '{target}' (" in message
        pointer = "<file_name>" if kind.startswith("pds4") else "^"
        assert pointer in message or name == "link"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", list(NAMES))
def test_companions_are_files_of_the_same_folder(folder: Path, kind: str, name: str) -> None:
    target = NAMES[name].format(outside=folder.parent / "outside")
    path = write(folder, create_label(kind, target))
    for start in (path, folder / "image.img"):
        with recording() as opened:
            companions = find_pds_companions(start)
        for other in companions:
            assert other.is_file()
            assert not is_elsewhere(other, folder)
        assert not [item for item in opened if is_elsewhere(item, folder)]


def test_label_beside_the_data_that_is_a_link_out_is_not_opened(folder: Path) -> None:
    label = FUZZ.create_pds3(VALUES, data_name="image.img")[0]
    outside = folder.parent / "outside" / "image.lbl"
    outside.write_bytes(label)
    (folder / "image.img").write_bytes(VALUES.tobytes())
    (folder / "image.lbl").symlink_to(outside)
    with recording() as opened, pytest.raises(ImageError):
        read_image(folder / "image.img")
    assert not [item for item in opened if is_elsewhere(item, folder)]
    assert find_pds_companions(folder / "image.img") == ()


@pytest.mark.parametrize("kind", KINDS)
def test_plain_names_are_read_as_before(folder: Path, kind: str) -> None:
    files = create_label(kind, "image.img")
    expected = np.repeat(VALUES[..., None], 3, axis=2)
    path = write(folder, files)
    np.testing.assert_array_equal(read_image(path), expected)
    (folder / "image.img").rename(folder / "IMAGE.IMG")  # as in archives
    if not kind.startswith("pds4"):
        np.testing.assert_array_equal(read_image(path), expected)
    (folder / "IMAGE.IMG").rename(folder / "real.dat")
    (folder / "image.img").symlink_to("real.dat")
    np.testing.assert_array_equal(read_image(path), expected)
    link = folder.parent / path.name  # a link that the user names is the user's choice
    (folder.parent / "image.img").write_bytes(VALUES.tobytes())
    link.symlink_to(path)
    np.testing.assert_array_equal(read_image(link), expected)


@given(st.text(st.sampled_from("ab./\\:~ \x00"), min_size=1, max_size=8))
def test_no_name_leaves_the_folder(name: str) -> None:
    from planetvision.data.decoders.pds import _PLAIN

    if _PLAIN.fullmatch(name):
        assert Path("folder", name).parent == Path("folder")
        assert os.path.normpath(os.path.join("folder", name)) == os.path.join("folder", name)  # noqa: PTH118
        assert not set(name) & set("/\\:\0")
    else:
        assert set(name) & set("/\\:\0") or name in (".", "..")


DOCTYPES = {
    "external": '<!DOCTYPE a [<!ENTITY x SYSTEM "{outside}/secret.fmt">]>',
    "bomb": '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY x "'
    + "&b;" * 100
    + '"><!ENTITY y "'
    + "&x;" * 100
    + '">]>',
    "external_subset": '<!DOCTYPE a SYSTEM "{outside}/secret.fmt">',
}


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16"])
@pytest.mark.parametrize("kind", list(DOCTYPES))
def test_pds4_label_with_entities_is_refused(folder: Path, kind: str, encoding: str) -> None:
    label, data = FUZZ.create_pds4(VALUES)
    doctype = DOCTYPES[kind].format(outside=folder.parent / "outside")
    text = label.decode().replace("<Product_Observational", f"{doctype}<Product_Observational", 1)
    text = text.replace("UTF-8", encoding)
    path = write(folder, {"image.xml": text.encode(encoding), "image.img": data})
    with (
        recording() as opened,
        pytest.raises(ImageError, match="its label declares a document type or entities"),
    ):
        read_image(path)
    assert not [item for item in opened if is_elsewhere(item, folder)]


@pytest.mark.parametrize(
    ("label", "cause"),
    [
        ("A = 1\r\n" * 90_000, "too many pointers and values"),
        ("^A = 1\r\n" * 900, "too many pointers and values"),
        ("A = (" + "1 <m>, " * 90_000 + "1)\r\n", "too many pointers and values"),
        ("OBJECT = A\r\n" * 2000, "damaged|holds neither"),
        ("<a>" * 200 + "</a>" * 200, "nests over 100 elements"),
        ("<a/>" * 100_000, "more than the limit of 20,000 elements"),
        ("<a>" + "x" * 2_000_000 + "</a>", "more than the limit of 1,048,576 bytes"),
    ],
    ids=["statements", "pointers", "units", "objects", "depth", "elements", "bytes"],
)
def test_labels_that_would_take_minutes_are_refused(folder: Path, label: str, cause: str) -> None:
    if label.startswith("<"):
        text, data = FUZZ.create_pds4(VALUES)
        text = text.replace(b"<Identification_Area>", label.encode() + b"<Identification_Area>")
        path = write(folder, {"image.xml": text, "image.img": data})
    else:
        text, data = FUZZ.create_pds3(VALUES, data_name="image.img")
        start = b"PDS_VERSION_ID = PDS3\r\n"
        text = text.replace(start, start + label.encode())
        path = write(folder, {"image.lbl": text, "image.img": data})
    with pytest.raises(ImageError, match=cause):
        read_image(path)


def test_data_in_another_format_have_its_limits(folder: Path) -> None:
    stream = io.BytesIO()
    packed = fits.CompImageHDU(VALUES, compression_type="HCOMPRESS_1")
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(stream)
    picture = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99), np.uint8)).save(
        picture, "PNG"
    )
    other = {
        "image.fits": (stream.getvalue(), "HDU 1 is packed by HCOMPRESS_1"),
        "image.png": (picture.getvalue(), r"64 x 64 pixels, 'image\.png' has 99 x 99"),
        "image.img.gz": (
            gzip.compress(np.random.default_rng(0).bytes(9999)),
            r"are packed \('image\.img\.gz'\): unpack them",
        ),
    }
    for name, (data, cause) in other.items():
        for label, make in (("a.lbl", FUZZ.create_pds3), ("a.xml", FUZZ.create_pds4)):
            option = {"data_name" if label == "a.lbl" else "file_name": name}
            path = write(folder, {label: make(VALUES, **option)[0], name: data})
            with pytest.raises(ImageError, match=cause):
                read_image(path)
            path.unlink()


def test_table_that_is_called_an_image_is_not_read(folder: Path) -> None:
    (folder / "a.fmt").write_text(f'^STRUCTURE = "{folder.parent}/outside/secret.fmt"\nEND\n')
    label = FUZZ.create_pds3(VALUES, data_name="image.img")[0]
    label = label.replace(b"= IMAGE", b"= IMAGE_TABLE").replace(b"^IMAGE", b"^IMAGE_TABLE")
    label = label.replace(b"  LINES", b'  ^STRUCTURE = "a.fmt"\r\n  LINES')
    path = write(folder, {"image.lbl": label, "image.img": VALUES.tobytes()})
    with recording() as opened, pytest.raises(ImageError, match="it holds IMAGE_TABLE"):
        read_image(path)
    assert not [item for item in opened if is_elsewhere(item, folder)]
