"""The public face: its names, and how light it is to import."""

from __future__ import annotations

import importlib
import subprocess
import sys
import typing

import pytest

import planetvision

# Removing or renaming one of these breaks users: deprecate it first.
PUBLIC = [
    "Audit",
    "BackboneSpec",
    "CSVLogger",
    "Callback",
    "Catalog",
    "Comparison",
    "CrossValidation",
    "DecoderSpec",
    "Evaluation",
    "Explanation",
    "Explanations",
    "InputSpec",
    "PlanetClassifier",
    "PlanetNet",
    "PlanetVisionError",
    "PlanetVisionWarning",
    "Prediction",
    "Predictions",
    "Recipe",
    "Stage",
    "TensorBoardLogger",
    "TrackerLogger",
    "Trainer",
    "TrainingHistory",
    "Verification",
    "VotingPlanetClassifier",
    "__version__",
    "audit",
    "compare",
    "cross_validate",
    "find_learning_rate",
    "list_augmentations",
    "list_backbones",
    "list_decoders",
    "list_explainers",
    "list_heads",
    "list_losses",
    "list_novelty_scores",
    "list_optimizers",
    "list_recipes",
    "list_schedulers",
    "load_classifier",
    "read_image",
    "read_labelled",
    "register_augmentation",
    "register_backbone",
    "register_decoder",
    "register_explainer",
    "register_head",
    "register_loss",
    "register_novelty_score",
    "register_optimizer",
    "register_recipe",
    "register_scheduler",
    "render_body",
    "save_manifest",
    "verify",
    "write_dataset",
]
ROOMS = {
    "auditing": [
        "audit",
        "audit_catalog",
        "audit_images",
        "compare_with_network",
        "score_frozen_stage",
    ],
    "augment": [
        "POLICIES",
        "AugmentationSpec",
        "ImageTransform",
        "create_transform",
        "list_augmentations",
        "register_augmentation",
    ],
    "backbones": [
        "BACKBONES",
        "BackboneSpec",
        "FeatureLayout",
        "list_backbones",
        "register_backbone",
    ],
    "data": [
        "DECODERS",
        "Catalog",
        "ClassMap",
        "ColumnMap",
        "DecodedImage",
        "DecoderSpec",
        "DuplicatePair",
        "ImageArray",
        "ImageDescriptor",
        "ImageFacts",
        "ImageFile",
        "ImageSource",
        "Label",
        "decode_image",
        "describe_image",
        "describe_source",
        "find_duplicates",
        "group_catalog",
        "group_duplicates",
        "hash_source",
        "list_decoders",
        "read_image",
        "read_inputs",
        "read_labelled",
        "register_decoder",
        "save_manifest",
        "split_catalog",
        "split_folds",
    ],
    "evaluation": [
        "compute_areas",
        "compute_classwise_calibration_error",
        "compute_metrics",
        "compute_precision_recall_curves",
        "compute_reliability",
        "compute_risk_area",
        "compute_risk_coverage",
        "compute_roc_curves",
        "wilson_interval",
    ],
    "explain": ["EXPLAINERS", "ExplainerSpec", "list_explainers", "register_explainer"],
    "figures": [
        "ACCENT_COLOR",
        "BAD_COLOR",
        "GOOD_COLOR",
        "HISTORY_COLUMNS",
        "INK_COLOR",
        "MUTED_COLOR",
        "NEUTRAL_COLOR",
        "PAPER_COLOR",
        "TONES",
        "Block",
        "Code",
        "Details",
        "Facts",
        "Gallery",
        "Highlights",
        "Link",
        "Plot",
        "Section",
        "Table",
        "Tile",
        "Tone",
        "annotate_image",
        "create_figure",
        "draw_collage",
        "draw_explanation",
        "draw_policy",
        "draw_tile",
        "encode_figure",
        "load_font",
        "overlay_heatmap",
        "pair_images",
        "plot_confusion_matrix",
        "plot_faithfulness",
        "plot_history",
        "plot_novelty",
        "plot_per_class_accuracy",
        "plot_precision_recall_curves",
        "plot_rate_search",
        "plot_reliability",
        "plot_risk_coverage",
        "plot_roc_curves",
        "plot_slices",
        "render_page",
        "save_figure",
        "save_image",
        "save_page",
        "use_style",
    ],
    "geometry": [
        "BodyRegion",
        "Ellipse",
        "find_body",
    ],
    "heads": ["HEADS", "HeadSpec", "list_heads", "register_head"],
    "inference": ["Trust", "fit_trust", "predict_catalog"],
    "render": [
        "BODIES",
        "NON_PLANETS",
        "OTHER_BODIES",
        "Body",
        "Camera",
        "Haze",
        "RenderedImage",
        "Ring",
        "render_body",
        "render_dataset",
        "render_non_planet",
        "render_non_planets",
        "write_dataset",
        "write_non_planets",
    ],
    "results": [
        "UNKNOWN",
        "Audit",
        "Baseline",
        "BlindResult",
        "Check",
        "Comparison",
        "CrossValidation",
        "EpochRecord",
        "Evaluation",
        "Explanation",
        "ExplanationChecks",
        "ExplanationVerdict",
        "Explanations",
        "Finding",
        "FoldScore",
        "Prediction",
        "Predictions",
        "SignTest",
        "TrainingHistory",
        "Verification",
    ],
    "schedules": [
        "SCHEDULES",
        "Schedule",
        "SchedulerSpec",
        "list_schedulers",
        "register_scheduler",
    ],
    "training": ["RECIPES", "RecipeSpec", "list_recipes", "register_recipe"],
}
MODULES = (
    "calibration",
    "card",
    "classifier",
    "cli",
    "comparing",
    "config",
    "crossval",
    "demo",
    "doctor",
    "errors",
    "files",
    "losses",
    "network",
    "optimizers",
    "registry",
    "runs",
    "runtime",
    "storage",
    "verifying",
)
HEAVY = ("torch", "torchvision", "timm", "accelerate", "sklearn", "matplotlib", "pandas")


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_public_names_are_those_of_the_list() -> None:
    assert planetvision.__all__ == PUBLIC
    assert dir(planetvision) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_can_be_had_and_is_the_one_of_its_room(name: str) -> None:
    value = getattr(planetvision, name)
    assert value is not None
    module = getattr(value, "__module__", None)
    if module is not None:
        assert module.startswith("planetvision.")
        assert getattr(importlib.import_module(module), name) is value


def test_name_that_does_not_exist_raises_like_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'planetvision' has no attribute 'PlanetNest'"):
        planetvision.PlanetNest  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'PlanetNest'"):
        exec("from planetvision import PlanetNest")


def test_type_checkers_see_every_public_name() -> None:
    # The names under TYPE_CHECKING must not drift from those that are loaded late.
    hidden = set(planetvision._HOMES) | {"__version__"}
    assert hidden == set(PUBLIC)
    assert typing.TYPE_CHECKING is False


@pytest.mark.parametrize("room", ROOMS)
def test_names_of_a_room_are_those_of_the_list_and_can_be_had(room: str) -> None:
    module = importlib.import_module(f"planetvision.{room}")
    assert module.__all__ == ROOMS[room]
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_names_of_a_module_can_be_had(name: str) -> None:
    module = importlib.import_module(f"planetvision.{name}")
    assert module.__all__
    assert all(hasattr(module, public) for public in module.__all__)


def test_import_loads_nothing_heavy() -> None:
    result = run_python("-X", "importtime", "-c", "import planetvision")
    assert result.returncode == 0, result.stderr
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in result.stderr.splitlines()}
    assert "planetvision" in loaded
    assert loaded.isdisjoint({*HEAVY, "numpy", "PIL", "cv2", "scipy"})


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_help_of_the_command_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['planetvision', *{arguments!r}]\n"
        "from planetvision.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    result = run_python("-c", code)
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout
    loaded = set(result.stdout.rsplit("LOADED", 1)[1].split())
    assert "planetvision" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_python_m_planetvision_is_the_command() -> None:
    result = run_python("-m", "planetvision", "--help")
    assert result.returncode == 0, result.stderr
    assert "Usage: " in result.stdout
    for command in (
        "train",
        "evaluate",
        "compare",
        "crossval",
        "predict",
        "explain",
        "predict",
        "explain",
        "verify",
        "list",
        "doctor",
        "demo",
        "data",
    ):
        assert command in result.stdout
