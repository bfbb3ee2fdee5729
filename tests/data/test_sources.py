"""Sources: what a user has becomes a catalog, and what cannot be one says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from planetvision.core.errors import DataError, DataWarning, SourceNotFoundError, UnknownNameError
from planetvision.data import Catalog, read_inputs, read_labelled


def create_files(root: Path, *names: str) -> None:
    """Files of one byte: sources are listed, not decoded."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def get_rows(catalog: Catalog, root: Path) -> list[tuple[str, object]]:
    assert catalog.labels is not None
    names = [Path(name).relative_to(root).as_posix() for name in catalog.names]
    return list(zip(names, catalog.labels, strict=True))


def test_folder_a_class_gives_sorted_files_with_folder_names(tmp_path: Path) -> None:
    create_files(tmp_path, "venus/b.png", "mars/2.jpg", "mars/1.png", "mars/deep/0.tif")
    catalog = read_labelled(tmp_path)
    assert get_rows(catalog, tmp_path) == [
        ("mars/1.png", "mars"),
        ("mars/2.jpg", "mars"),
        ("mars/deep/0.tif", "mars"),
        ("venus/b.png", "venus"),
    ]
    assert catalog.splits is None
    assert catalog.origin == f"'{tmp_path}'"
    assert read_labelled(str(tmp_path)) == catalog


@pytest.mark.parametrize(
    ("label_name", "data_name", "content", "expected"),
    [
        ("data.lbl", "DATA.IMG", b"raw", "DATA.IMG"),
        ("DATA.LBL", "data.img", b"raw", "data.img"),
        # Without its label nothing is known of such data, and from them it is not found.
        ("other.lbl", "data.img", b"raw", "other.lbl"),
        ("data.lbl", "DATA.DAT", b"raw", "data.lbl"),
        ("data.lbl", "data.dat", b"raw", "data.lbl"),
        ("other.xml", "data.dat", b"raw", "other.xml"),
        ("other.xml", "data.fits", b"SIMPLE  =                    T", "data.fits"),
    ],
)
def test_label_and_the_data_that_it_names_are_the_one_that_can_be_read(
    label_name: str, data_name: str, content: bytes, expected: str, tmp_path: Path
) -> None:
    label = f'PDS_VERSION_ID = PDS3\r\n^STRUCTURE = "a.fmt"\r\n^IMAGE = ("{data_name.upper()}", 1)'
    if label_name.endswith(".xml"):
        label = f"<Product_Observational pds.nasa.gov/pds4><file_name>{data_name}</file_name>"
    else:
        (tmp_path / "a.fmt").write_bytes(b"OBJECT = COLUMN")
    (tmp_path / label_name).write_text(label)
    (tmp_path / data_name).write_bytes(content)
    assert [Path(name).name for name in read_inputs(tmp_path).names] == [expected]


def test_data_with_labels_of_both_standards_are_one_image(tmp_path: Path) -> None:
    (tmp_path / "a.lbl").write_text('PDS_VERSION_ID = PDS3\r\n^IMAGE = "A.IMG"')
    (tmp_path / "a.xml").write_text("pds.nasa.gov/pds4 <file_name>A.IMG</file_name>")
    (tmp_path / "A.IMG").write_bytes(b"raw")
    assert [Path(name).name for name in read_inputs(tmp_path).names] == ["A.IMG"]


def test_label_beside_its_data_is_no_image_of_its_own(tmp_path: Path) -> None:
    create_files(tmp_path, "mars/a.img", "mars/a.lbl", "mars/b.XML", "mars/b.dat", "moon/c.lbl")
    create_files(tmp_path, "moon/deep/a.lbl", "moon/notes/D.JPG", "moon/notes/d.xml")
    names = [Path(name).name for name in read_labelled(tmp_path).names]
    assert names == ["a.img", "b.dat", "c.lbl", "a.lbl", "D.JPG"]
    assert len(read_inputs(tmp_path / "mars")) == 2


def test_hidden_and_system_files_are_left_out(tmp_path: Path) -> None:
    create_files(tmp_path, "mars/1.png", "mars/.hidden.png", "mars/.cache/2.png", ".git/x.png")
    create_files(tmp_path, "mars/Thumbs.db", "mars/desktop.ini", "venus/1.png", "venus/.DS_Store")
    assert get_rows(read_labelled(tmp_path), tmp_path) == [
        ("mars/1.png", "mars"),
        ("venus/1.png", "venus"),
    ]
    names = [Path(name).name for name in read_inputs(tmp_path).names]
    assert names == ["1.png", "1.png"]


def test_loose_images_beside_class_folders_are_left_out_with_a_warning(tmp_path: Path) -> None:
    create_files(tmp_path, "mars/1.png", "venus/1.png", "loose.JPG", "readme.txt")
    with pytest.warns(DataWarning, match=r"1 image in .*first: 'loose\.JPG'"):
        catalog = read_labelled(tmp_path)
    assert len(catalog) == 2


def test_other_loose_files_give_no_warning(tmp_path: Path) -> None:
    create_files(tmp_path, "mars/1.png", "venus/1.png", "readme.txt", "labels.csv")
    assert len(read_labelled(tmp_path)) == 2


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("training", "validation", "testing"), ("Train", "valid")]
)
def test_split_folders_give_splits(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        create_files(tmp_path, f"{name}/mars/1.png", f"{name}/venus/1.png", f"{name}/venus/2.png")
    catalog = read_labelled(tmp_path)
    assert catalog.splits is not None
    expected = dict(zip(names, ("train", "val", "test"), strict=False))
    found = {
        (Path(path).relative_to(tmp_path).parts[0], split)
        for path, split in zip(catalog.names, catalog.splits, strict=True)
    }
    assert found == set(expected.items())
    assert len(catalog) == 3 * len(names)
    assert catalog.get_split("train").counts == {"mars": 1, "venus": 2}


def test_class_folders_beside_train_are_classes(tmp_path: Path) -> None:
    create_files(tmp_path, "train/1.png", "mars/1.png")
    catalog = read_labelled(tmp_path)
    assert catalog.splits is None
    assert catalog.classes == ["mars", "train"]


@pytest.mark.parametrize(
    "names", [("train",), ("train", "test", "extra"), ("train", "val", "valid")]
)
def test_split_folders_with_others_or_alone_are_refused(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        create_files(tmp_path, f"{name}/mars/1.png", f"{name}/venus/1.png")
    with pytest.raises(DataError, match=r"holds .*train/.*: this is neither train/ with"):
        read_labelled(tmp_path)


@pytest.mark.parametrize("names", [("val", "test"), ("test",), ("validation",)])
def test_split_folders_without_train_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        create_files(tmp_path, f"{name}/mars/1.png", f"{name}/venus/1.png")
    with pytest.raises(DataError, match=rf"holds .*{names[0]}/.*: this is neither train/ with"):
        read_labelled(tmp_path)


def test_labels_of_two_types_are_refused() -> None:
    with pytest.raises(DataError, match="all strings or all integers, got both int and str"):
        read_labelled(["1.png", "2.png"], [1, "mars"])


def test_labels_in_one_string_are_refused() -> None:
    with pytest.raises(DataError, match="got the single string 'ab'"):
        read_labelled(["1.png", "2.png"], "ab")


def test_split_with_a_class_that_train_lacks_names_it(tmp_path: Path) -> None:
    create_files(tmp_path, "train/mars/1.png", "train/venus/1.png")
    create_files(tmp_path, "val/pluto/1.png", "test/moon/1.png", "test/mars/1.png")
    with pytest.raises(DataError, match=r"The parts of .* disagree\. Give each class") as caught:
        read_labelled(tmp_path)
    assert caught.value.problems == (
        "the class 'pluto' is in val but not in train",
        "the class 'moon' is in test but not in train",
    )


def test_missing_folder_raises(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"There is no folder '.*missing'\.") as caught:
        read_labelled(tmp_path / "missing")
    assert caught.value.source == str(tmp_path / "missing")
    assert isinstance(caught.value, FileNotFoundError)


def test_file_instead_of_a_folder_raises(tmp_path: Path) -> None:
    create_files(tmp_path, "a.png")
    with pytest.raises(DataError, match=r"'.*a\.png' is a file\. "):
        read_labelled(tmp_path / "a.png")


def test_folder_without_class_folders_raises(tmp_path: Path) -> None:
    create_files(tmp_path, "a.png")
    with pytest.raises(DataError, match=r"has no subfolders; .* was expected"):
        read_labelled(tmp_path)


def test_empty_class_folders_are_all_named(tmp_path: Path) -> None:
    create_files(tmp_path, "mars/1.png", "moon/.hidden")
    (tmp_path / "venus").mkdir()
    with pytest.raises(DataError, match=r"these class folders hold no files: moon, venus\.") as e:
        read_labelled(tmp_path)
    assert e.value.problems == ("'moon' holds no files", "'venus' holds no files")


def test_lists_keep_their_order_and_numpy_labels_become_plain() -> None:
    catalog = read_labelled(["b.png", Path("a.png")], np.array([2, 1]))
    assert catalog.sources == ("b.png", Path("a.png"))
    assert catalog.labels == (2, 1)
    assert type(catalog.classes[0]) is int
    assert read_labelled(np.array(["a", "b"]), np.array(["x", "y"])).labels == ("x", "y")


def test_array_of_images_with_labels_gives_one_row_an_image() -> None:
    images = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    catalog = read_labelled(images, ["mars", "venus"])
    assert catalog.names == ["<array 0>", "<array 1>"]
    np.testing.assert_array_equal(np.asarray(catalog.sources[1]), images[1])


def test_columns_of_a_table_are_lists_too() -> None:
    table = pd.DataFrame({"path": ["a.png", "b.png"], "label": ["mars", "venus"]}, index=[5, 9])
    catalog = read_labelled(table["path"], table["label"])
    assert (catalog.sources, catalog.labels) == (("a.png", "b.png"), ("mars", "venus"))
    assert read_inputs(table["path"]).sources == ("a.png", "b.png")


@pytest.mark.parametrize(
    ("data", "labels", "message"),
    [
        (["a.png"], None, r"Images in a sequence need their labels, got none"),
        ("a.png", ["mars"], r"a sequence of images was expected, got the single path 'a\.png'"),
        (["a.png", "b.png"], ["mars"], r"There are 2 images but 1 labels"),
        ([], [], r"There are no images: the list is empty"),
        (["a.png"], [1.5], r"A label must be a string or an integer, got 1\.5 of type float"),
        (["a.png"], [None], r"A label must be a string or an integer, got None"),
        (["a.png"], [True], r"A label must be a string or an integer, got True"),
    ],
)
def test_lists_that_cannot_be_used_say_why(data: object, labels: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labelled(data, labels)


def test_groups_of_a_list_follow_its_images() -> None:
    catalog = read_labelled(["a", "b", "c"], ["x", "x", "y"], groups=np.array([1, 1, 2]))
    assert catalog.groups == (1, 1, 2)
    assert read_labelled(["a", "b"], ["x", "y"], groups=["s", None]).groups == ("s", "b")
    assert read_labelled(["a", "b"], ["x", "y"], groups=[None, float("nan")]).groups is None


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["s"], r"There are 2 images but 1 groups\."),
        ("ab", r"got the single string 'ab'"),
    ],
)
def test_groups_that_do_not_fit_say_why(groups: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labelled(["a", "b"], ["x", "y"], groups=groups)  # type: ignore[arg-type]


def test_groups_of_a_folder_are_in_the_order_of_its_images(tmp_path: Path) -> None:
    create_files(tmp_path, "venus/b.png", "mars/2.jpg", "mars/1.png")
    catalog = read_labelled(tmp_path, groups=["m1", "m2", "v"], class_map={"venus": None})
    assert get_rows(catalog, tmp_path) == [("mars/1.png", "mars"), ("mars/2.jpg", "mars")]
    assert catalog.groups == ("m1", "m2")


def test_group_in_two_given_parts_is_named(tmp_path: Path) -> None:
    create_files(tmp_path, "train/mars/1.png", "train/mars/2.png", "test/mars/3.png")
    assert read_labelled(tmp_path, groups=["a", "b", "c"]).groups == ("a", "b", "c")
    with pytest.raises(DataError, match=r"Keep each group in one split: the group 'b' is in train"):
        read_labelled(tmp_path, groups=["b", "a", "b"])


def test_class_map_of_a_folder_renames_merges_and_drops(tmp_path: Path) -> None:
    create_files(tmp_path, "luna/1.png", "moon/1.png", "sun/1.png", "mars/1.png")
    catalog = read_labelled(tmp_path, class_map={"luna": "moon", "sun": None})
    assert get_rows(catalog, tmp_path) == [
        ("luna/1.png", "moon"),
        ("mars/1.png", "mars"),
        ("moon/1.png", "moon"),
    ]
    with pytest.raises(UnknownNameError, match=r"'mras', .* does not have\. Did you mean 'mars'\?"):
        read_labelled(tmp_path, class_map={"mras": None})


def test_class_map_spares_a_dropped_class_the_checks(tmp_path: Path) -> None:
    create_files(tmp_path, "train/mars/1.png", "val/mars/1.png", "val/pluto/1.png")
    (tmp_path / "train" / "empty").mkdir()
    catalog = read_labelled(tmp_path, class_map={"pluto": None, "empty": None})
    assert catalog.labels == ("mars", "mars")
    assert catalog.splits == ("train", "val")
    with pytest.raises(DataError, match="these class folders hold no files: empty"):
        read_labelled(tmp_path, class_map={"pluto": None})


def test_class_map_of_a_list_may_mend_labels_of_two_types() -> None:
    assert read_labelled(["a", "b"], [1, "mars"], class_map={1: "moon"}).labels == ("moon", "mars")


def test_catalog_is_taken_with_groups_and_class_map() -> None:
    catalog = Catalog(sources=("a", "b"), labels=("x", "y"), origin="mine")
    assert read_labelled(catalog) == catalog
    changed = read_labelled(catalog, groups=[1, 2], class_map={"x": "z"})
    assert (changed.labels, changed.groups, changed.origin) == (("z", "y"), (1, 2), "mine")
    with pytest.raises(DataError, match="labels of its own, got one without"):
        read_labelled(Catalog(sources=("a",)))
    with pytest.raises(DataError, match="labels of its own, got others beside it"):
        read_labelled(catalog, ["x", "y"])


@pytest.mark.parametrize(("data", "labels"), [(["a"], ["x"]), ("folder", None)])
def test_columns_without_a_table_are_refused(data: object, labels: list[str] | None) -> None:
    with pytest.raises(DataError, match=r"names the columns of a table, and .* is none"):
        read_labelled(data, labels, columns={"path": "file"})


def test_folder_with_the_suffix_of_a_table_is_a_folder(tmp_path: Path) -> None:
    create_files(tmp_path / "set.csv", "mars/1.png", "venus/1.png")
    assert read_labelled(tmp_path / "set.csv").labels == ("mars", "venus")
    assert len(read_inputs(tmp_path / "set.csv")) == 2


def test_inputs_of_one_file(tmp_path: Path) -> None:
    create_files(tmp_path, "a.png")
    assert read_inputs(str(tmp_path / "a.png")).sources == (str(tmp_path / "a.png"),)
    assert read_inputs(tmp_path / "a.png").names == [str(tmp_path / "a.png")]
    assert read_inputs(tmp_path / "a.png").labels is None


def test_inputs_of_a_folder_are_searched_to_the_bottom(tmp_path: Path) -> None:
    create_files(tmp_path, "b.png", "a/deep/c.png", "a/.hidden/d.png")
    assert read_inputs(tmp_path).names == [
        str(tmp_path / "a/deep/c.png"),
        str(tmp_path / "b.png"),
    ]


def test_inputs_of_a_glob_are_sorted_files_only(tmp_path: Path) -> None:
    create_files(tmp_path, "b.png", "a.png", "c.jpg", "deep/d.png")
    assert read_inputs(str(tmp_path / "*.png")).names == [
        str(tmp_path / "a.png"),
        str(tmp_path / "b.png"),
    ]
    assert len(read_inputs(str(tmp_path / "**" / "*.png"))) == 3
    assert len(read_inputs(str(tmp_path / "*"))) == 3


def test_inputs_of_a_file_with_magic_characters_is_that_file(tmp_path: Path) -> None:
    create_files(tmp_path, "mars[1].png", "mars1.png")
    assert read_inputs(str(tmp_path / "mars[1].png")).names == [str(tmp_path / "mars[1].png")]


def test_inputs_of_a_mixed_list_are_expanded_in_order(tmp_path: Path) -> None:
    create_files(tmp_path, "folder/a.png", "folder/b.png", "c.png")
    array = np.zeros((4, 4, 3), np.uint8)
    image = Image.new("RGB", (2, 2))
    inputs = [tmp_path / "c.png", tmp_path / "folder", array, image, b"data", "missing.png"]
    assert read_inputs(inputs).names == [
        str(tmp_path / "c.png"),
        str(tmp_path / "folder/a.png"),
        str(tmp_path / "folder/b.png"),
        "<array 3>",
        "<image 4>",
        "<bytes 5>",
        "missing.png",
    ]


def test_inputs_of_a_list_with_an_empty_folder_and_an_unmatched_glob_keep_a_row_each(
    tmp_path: Path,
) -> None:
    create_files(tmp_path, "a.png")
    (tmp_path / "empty").mkdir()
    inputs = [tmp_path / "empty", tmp_path / "a.png", str(tmp_path / "*.tif")]
    assert read_inputs(inputs).names == [str(item) for item in inputs]


def test_inputs_of_arrays() -> None:
    one = np.zeros((4, 5, 3), np.uint8)
    many = np.stack([one, one + 1])
    assert read_inputs(one).names == ["<array 0>"]
    catalog = read_inputs(many)
    assert catalog.names == ["<array 0>", "<array 1>"]
    assert int(np.asarray(catalog.sources[1]).max()) == 1
    assert read_inputs(np.array(["a.png", "b.png"])).sources == ("a.png", "b.png")


def test_inputs_of_a_generator_are_its_items(tmp_path: Path) -> None:
    create_files(tmp_path, "a.png", "b.png")
    assert len(read_inputs(tmp_path.glob("*.png"))) == 2


def test_inputs_of_a_catalog_are_that_catalog() -> None:
    catalog = Catalog(sources=("a.png",))
    assert read_inputs(catalog) is catalog


def test_inputs_of_a_table_are_its_paths(tmp_path: Path) -> None:
    create_files(tmp_path, "a.png")
    table = tmp_path / "list.csv"
    table.write_text("file;label;note\na.png;mars;x\nmissing.png;;y\n")
    catalog = read_inputs(table)
    assert catalog.sources == (str(tmp_path / "a.png"), str(tmp_path / "missing.png"))
    assert catalog.labels is None
    assert read_inputs([str(table), "c.png"]).sources == (*catalog.sources, "c.png")
    assert read_inputs(table, columns={"path": "note"}).names == [
        str(tmp_path / "x"),
        str(tmp_path / "y"),
    ]


def test_inputs_of_a_table_without_paths_say_why(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("a.png\nb.png\n")
    with pytest.raises(DataError, match=r"line 1: no column is called path or .*: 'a\.png'\. Name"):
        read_inputs(tmp_path / "list.csv")
    (tmp_path / "list.csv").write_text("path,label\n,mars\nb.png,mars\n,moon\n")
    with pytest.raises(DataError) as caught:
        read_inputs(tmp_path / "list.csv")
    assert caught.value.problems == ("line 2: the path is empty", "line 4: the path is empty")


def test_inputs_of_a_frame_are_its_paths() -> None:
    frame = pd.DataFrame({"filename": ["a.png", "b.png"], "class": ["x", "y"], "body": [1, 2]})
    assert read_inputs(frame).sources == ("a.png", "b.png")
    with pytest.raises(UnknownNameError, match=r"Did you mean 'path'\?"):
        read_inputs(frame, columns={"paht": "filename"})


def test_inputs_of_a_folder_leave_tables_in_it_alone(tmp_path: Path) -> None:
    create_files(tmp_path, "a.png")
    (tmp_path / "list.csv").write_text("path\nb.png\n")
    assert read_inputs(tmp_path).names == [str(tmp_path / "a.png"), str(tmp_path / "list.csv")]


def test_inputs_that_stand_alone_and_are_not_there_raise(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"There is no file or folder '.*no\.png'\."):
        read_inputs(tmp_path / "no.png")
    with pytest.raises(SourceNotFoundError, match=r"The pattern '.*\*\.png' matches no file"):
        read_inputs(str(tmp_path / "*.png"))
    with pytest.raises(SourceNotFoundError, match=r"The folder '.*' holds no files"):
        read_inputs(tmp_path)


def test_inputs_with_a_name_that_the_system_refuses_raise_ours() -> None:
    with pytest.raises(SourceNotFoundError, match="There is no file or folder"):
        read_inputs("x" * 5000)


def test_class_folder_whose_name_is_no_valid_text_is_refused() -> None:
    labels = ["mars", "mars-\udcff"]
    with pytest.raises(DataError, match=r"valid text, got 'mars-.*\. Rename it"):
        read_labelled(["1.png", "2.png"], labels)
