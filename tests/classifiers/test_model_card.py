"""The model card: its numbers, its honesty about what it does not know, and its Markdown."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.classifiers.model_card import render_card
from planetvision.classifiers.records import describe_scores
from planetvision.classifiers.storage import SavedModel, save_model
from planetvision.core.settings import Recipe
from planetvision.data.catalog import name_origin
from planetvision.evaluation import wilson_interval

HOSTILE = ["a|b", "*c*", "<script>d", "`e`", "f_g_h", "[i](j)", "# k", "l\nm", "{{ n }}", "~~o~~"]


@pytest.fixture(scope="module")
def config(model_folder: Path) -> dict[str, Any]:
    """What the trained model's folder tells, with scores that are put in by hand."""
    config: dict[str, Any] = json.loads((model_folder / "config.json").read_text())
    config["metrics"] = {
        "num_train": 18,
        "num_val": 3,
        "val_accuracy": 1.0,
        "test": {
            "accuracy": 0.9,
            "n": 20,
            "accuracy_ci95": wilson_interval(18, 20),
            "balanced_accuracy": 0.875,
            "macro_f1": 0.8712345,
            "ece": 0.0421,
            "fingerprint": "0" * 64,
        },
    }
    return config


def render(config: dict[str, Any], *, threshold: float | None = None, **changes: Any) -> str:
    return render_card({**copy.deepcopy(config), **changes}, threshold=threshold)


def read_front_matter(card: str) -> dict[str, Any]:
    """What the Hugging Face hub reads of it."""
    return dict(ModelCard(card).data.to_dict())  # type: ignore[no-untyped-call]


def read_row(card: str, first: str) -> list[str]:
    """The cells of the table's row that begins like this."""
    found = [line for line in card.splitlines() if line.startswith(f"| {first} |")]
    assert len(found) == 1, found
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", found[0])[1:-1]]


def test_card_has_the_numbers_of_the_test_part(config: dict[str, Any]) -> None:
    card = render(config)
    assert read_row(card, "the test split") == [
        "the test split", "20", "18", "90.0%", "69.9% to 97.2%", "0.875", "0.871", "4.2%",
    ]  # fmt: skip
    assert "Validation split: accuracy 100% on 3 images. It selected the kept weights" in card
    assert "The test split has 20 images: the accuracy on similar images can be" in card
    assert "from 69.9% to 97.2%" in card


def test_card_has_the_numbers_of_the_data(config: dict[str, Any]) -> None:
    card = render(config)
    assert "24 images from data." in card
    for name in ("blue", "green", "red"):
        assert read_row(card, name) == [name, "6", "1", "1"]
    assert read_row(card, "all") == ["all", "18", "3", "3"]
    assert "the seed 0: 15 % for validation, 15 % for testing, the rest for training." in card
    assert "The data have no groups." in card
    assert "Near-duplicates were searched" in card
    assert "fewer than 10 test images: blue (1), green (1), red (1)." in card


def test_card_has_findings_and_baselines_of_the_audit(
    config: dict[str, Any], trained: PlanetClassifier
) -> None:
    card = render(config)
    audit = trained.audit_
    assert len(audit.findings) >= 2
    for finding in audit.findings:
        assert f"| {finding.severity} | {finding.message} |" in card
    assert read_row(card, "largest class") == ["largest class", "3", "33.3%", "6.1% to 79.2%"]
    assert "nearest neighbour on the mean colour 100%" in card
    assert "These images cannot show what the network adds." in card


def test_card_says_how_it_calls_images_unknown(config: dict[str, Any]) -> None:
    calibrator = {"temperature": 3.3412, "score": "knn", "num_images": 19}
    card = render(config, trust=calibrator, threshold=1.2345)
    assert "the temperature 3.34 before the softmax. It was fitted on 19 validation images" in card
    assert read_row(card, "OOD score")[1] == "`knn`"
    assert read_row(card, "rejection rate")[1] == "5 %"
    assert read_row(card, "OOD threshold")[1] == "1.23"
    assert "The rate bounds the share of similar images" in card
    assert "more than the rate can be rejected" not in card
    # 1 / 0.05 - 1 = 19 images are needed.
    fewer = render(config, trust={**calibrator, "num_images": 18}, threshold=1.2345)
    assert "more than the rate can be rejected" in fewer
    none = render(config, trust=calibrator, threshold=math.inf)
    assert "nothing is called unknown" in read_row(none, "OOD threshold")[1]


def test_threshold_of_the_saved_card_is_that_of_prediction(
    model_folder: Path, trained: PlanetClassifier
) -> None:
    card = (model_folder / "MODEL_CARD.md").read_text()
    assert trained.calibrator_ is not None
    threshold = trained.calibrator_.get_threshold(0.05)
    assert read_row(card, "OOD threshold")[1] == f"{threshold:.3g}"


def test_front_matter_is_read_by_the_hub(config: dict[str, Any]) -> None:
    backbone = {"name": "x", "weights": "timm/x.in1k", "licence": "Apache-2.0"}
    card = render(config, backbone=backbone)
    found = read_front_matter(card)
    assert "astronomy" in found.pop("tags")
    assert found == {
        "library_name": "planetvision",
        "pipeline_tag": "image-classification",
        "license": "apache-2.0",
        "metrics": ["accuracy", "f1"],
    }


@pytest.mark.parametrize(
    ("weights", "licence", "expected", "told"),
    [
        ("torchvision", "BSD-3-Clause (torchvision)", "bsd-3-clause", "BSD-3-Clause (torchvision)"),
        ("timm/x", "somebody's own", None, "somebody's own"),
        ("timm/x", "", None, "not recorded"),
        # The licence is that of the registered weights, which these are not.
        ("file mine.pth", "Apache-2.0", None, "not recorded"),
        ("none", "Apache-2.0", None, "none: it started from random weights"),
    ],
)
def test_licence_is_told_where_it_is_known(
    config: dict[str, Any], weights: str, licence: str, expected: str | None, told: str
) -> None:
    card = render(config, backbone={"name": "x", "weights": weights, "licence": licence})
    assert read_front_matter(card).get("license") == expected
    assert read_row(card, "licence of those weights")[1] == told


def test_hostile_names_of_classes_are_shown_and_not_obeyed(config: dict[str, Any]) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    data = copy.deepcopy(config["data"])
    data["parts"] = {name: dict.fromkeys(HOSTILE, 2) for name in ("train", "val", "test")}
    data["origin"] = "da|ta<b>"
    data["findings"][0]["message"] = "'*c*' has | and <b>."
    card = render(config, classes=HOSTILE, data=data, settings={"class_map": [["*", "a|b"]]})
    assert "<script>" not in card
    tokens = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).parse(card)
    tables: list[list[list[str]]] = []
    for token, inline in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type in ("td_open", "th_open"):
            kinds = {child.type for child in inline.children}
            assert kinds <= {"text", "text_special", "code_inline"}, inline.content
            tables[-1][-1].append("".join(child.content for child in inline.children))
    classes = next(table for table in tables if table[0][0] == "class")
    shown = [name.replace("\n", "\\n") for name in HOSTILE]
    assert [row[0] for row in classes] == ["class", *shown, "all"]
    assert all(row[1:] == ["2", "2", "2"] for row in classes[1:-1])
    findings = next(table for table in tables if table[0][0] == "severity")
    assert findings[1][1] == "'*c*' has | and <b>."
    headings = [
        inline.content
        for token, inline in itertools.pairwise(tokens)
        if token.type == "heading_open"
    ]
    assert len(headings) == 12
    assert {token.type for token in tokens if "html" in token.type} == set()


@pytest.mark.parametrize("version", [1, 2])
def test_card_of_an_earlier_format_says_what_is_not_recorded(
    config: dict[str, Any], version: int
) -> None:
    old = copy.deepcopy(config)
    old["format_version"] = version
    for name in ("data", "fingerprint", *(["trust"] if version == 1 else [])):
        del old[name]
    old["metrics"] = {"num_val": 3, "val_accuracy": 1.0}
    card = render_card(old)
    assert "Training data: not recorded." in card
    assert "Findings and baselines: not recorded." in card
    assert "Test split: not recorded." in card
    assert "No score on a test split is recorded" in card
    assert ("Temperature: not recorded." in card) == (version == 1)
    assert ("OOD score and threshold: not recorded." in card) == (version == 1)
    assert "metrics" not in read_front_matter(card)


def test_card_of_earlier_test_scores_leaves_what_they_lack(config: dict[str, Any]) -> None:
    test = {"accuracy": 0.5, "n": 2, "accuracy_ci95": [0.1, 0.9], "macro_f1": 0.5}
    card = render(config, metrics={"test": test})
    assert read_row(card, "the test split")[5:] == ["not recorded", "0.500", "not recorded"]
    assert "Validation split: not recorded." in card


def test_card_of_nothing_is_complete() -> None:
    card = render_card({})
    headings = re.findall(r"^## (.+)$", card, flags=re.MULTILINE)
    assert headings == [
        "Model details", "Intended use", "Training data", "Audit of the data", "Scores",
        "Calibration", "The prediction `unknown`", "Limits", "Versions", "Repeat the training",
        "References",
    ]  # fmt: skip
    assert "None" not in card


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"given": ["train", "test"]}, "was taken from the training split (15 %), by class"),
        ({"given": ["train", "val", "test"]}, "The data came with these splits: train, val, test."),
        ({"test_fraction": 0.0}, "15 % for validation, none for testing"),
        ({"has_groups": True}, "images of one group are in one split"),
        ({"group_duplicates": False}, "Near-duplicates were not searched"),
        ({"num_copies": 5, "num_copies_across": 0}, "5 pairs found, each within one split."),
        ({"num_copies": 5, "num_copies_across": 2}, "2 of them in different splits"),
    ],
)
def test_card_says_how_the_data_were_split(
    config: dict[str, Any], changes: dict[str, Any], expected: str
) -> None:
    data = copy.deepcopy(config["data"])
    data["split"] |= changes
    assert expected in render(config, data=data)


def test_given_test_part_is_not_said_to_be_of_the_same_source(config: dict[str, Any]) -> None:
    assert "The test split is from 'data', as the training images" in render(config)
    data = copy.deepcopy(config["data"])
    data["split"]["given"] = ["train", "val", "test"]
    card = render(config, data=data)
    assert "The test split is from" not in card
    assert "whether it is from another source than the training images is not" in card


def test_weights_that_validation_did_not_choose_are_not_said_to_be(
    config: dict[str, Any],
) -> None:
    recipe = copy.deepcopy(config["recipe"])
    recipe["stages"][0]["monitor"] = "none"
    card = render(config, recipe=recipe)
    assert "It did not select the kept weights." in card
    assert "the bound is only approximate" not in card


def test_card_and_config_name_no_path_of_the_machine(
    trained: PlanetClassifier, tmp_path: Path, disc_folder: Path
) -> None:
    folder = trained.save(tmp_path / "model")
    for name in ("MODEL_CARD.md", "config.json"):
        text = (folder / name).read_text()
        assert str(disc_folder) not in text
        assert str(disc_folder.parent) not in text
        assert str(tmp_path) not in text


@pytest.mark.slow
def test_scores_elsewhere_are_told_with_what_was_learned_from(
    trained: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    own = copy.copy(trained)
    own.metrics_ = {name: trained.metrics_[name] for name in ("num_val", "val_accuracy")}
    own.evaluate()
    assert "elsewhere" not in own.metrics_
    own.evaluate(disc_folder)
    own.evaluate(disc_folder)  # counts once
    fresh = Path(shutil.copytree(disc_folder, tmp_path / "photos"))
    for file in fresh.glob("*/*.png"):
        file.write_bytes(file.read_bytes() + b"other bytes")
    only_known = (own.save(tmp_path / "model") / "MODEL_CARD.md").read_text()
    assert "No measurement on images from another source is recorded." in only_known
    own.evaluate(fresh)
    seen = [(scores["origin"], scores["num_learned"]) for scores in own.metrics_["elsewhere"]]
    assert seen == [("data", 21), ("photos", 0)]
    card = (own.save(tmp_path / "model", overwrite=True) / "MODEL_CARD.md").read_text()
    assert "data (given to `evaluate()`; 21 of them used for training or validation)" in card
    assert read_row(card, "photos (given to `evaluate()`)")[1] == "24"
    assert "No measurement on images from another source" not in card


def test_test_scores_are_kept_with_a_fingerprint_of_the_images(
    trained: PlanetClassifier,
) -> None:
    own = copy.copy(trained)
    own.metrics_ = dict(trained.metrics_)
    evaluation = own.evaluate()
    kept = own.metrics_["test"]
    for name in ("accuracy", "n", "accuracy_ci95", "macro_f1", "ece", "balanced_accuracy"):
        assert kept[name] == evaluation.metrics[name]
    hashes = sorted(
        hashlib.sha256(Path(str(source)).read_bytes()).hexdigest()
        for source in own.split_.get_split("test").sources
    )
    expected = hashlib.sha256("".join(f"{value}\n" for value in hashes).encode()).hexdigest()
    assert kept["fingerprint"] == expected
    assert kept["num_learned"] == 0


def test_fingerprint_tells_images_apart_and_not_their_order(
    trained: PlanetClassifier, disc_paths: list[str], disc_labels: list[str]
) -> None:
    own = copy.copy(trained)
    own.metrics_ = dict(trained.metrics_)

    def get_fingerprint(rows: list[int], *, as_bytes: bool = False) -> str:
        paths = [Path(disc_paths[row]) for row in rows]
        images: list[Any] = [path.read_bytes() for path in paths] if as_bytes else list(paths)
        evaluation = own.evaluate(images, [disc_labels[row] for row in rows])
        return str(describe_scores(evaluation)["fingerprint"])

    first = get_fingerprint([0, 8, 16])
    assert get_fingerprint([16, 0, 8], as_bytes=True) == first
    assert get_fingerprint([0, 8, 17]) != first


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        ("'/home/someone/data/planets'", "planets"),
        ("'planets.csv'", "planets.csv"),
        ("the list of 3 images", "the list of 3 images"),
        ("'/a/mars-\udcff'", "mars-\\udcff"),
        ("'/a/new\nline'", "new\nline"),
    ],
)
def test_origin_is_called_by_the_last_part_of_its_path(origin: str, name: str) -> None:
    assert name_origin(origin) == name


def test_origin_that_is_the_working_folder_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planets").mkdir()
    monkeypatch.chdir(tmp_path / "planets")
    assert name_origin("'.'") == "planets"


def test_snippet_of_the_card_repeats_the_training(
    trained: PlanetClassifier,
    model_folder: Path,
    disc_folder: Path,
    disc_paths: list[str],
) -> None:
    card = (model_folder / "MODEL_CARD.md").read_text()
    snippet = re.findall(r"```python\n(.+?)```", card, flags=re.DOTALL)[-1]
    names: dict[str, Any] = {}
    exec(
        snippet.replace("MODEL", str(model_folder)).replace('"DATA"', repr(str(disc_folder))),
        names,
    )
    again = names["classifier"].predict_proba(disc_paths[:3])
    np.testing.assert_array_equal(again, trained.predict_proba(disc_paths[:3]))


def test_rate_that_prediction_refuses_does_not_keep_a_model_from_being_saved(
    trained: PlanetClassifier, quick_recipe: Recipe, tmp_path: Path
) -> None:
    model = SavedModel(
        network=trained.network_,
        classes=("a", "b", "c"),
        head="linear",
        head_options={},
        recipe=quick_recipe,
        calibrator=trained.calibrator_,
        settings={"rejection_rate": 7},
    )
    card = (save_model(model, tmp_path / "model") / "MODEL_CARD.md").read_text()
    assert read_row(card, "OOD threshold")[1] == "not recorded"
