"""`release/check_words.py` finds each old habit, and nothing in clean text."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "release" / "check_words.py"
# One text per habit, in the order of HABITS.
TEXTS = (
    "It writes a row an image.",
    "A model is trained once a fold.",
    "The share is 5 per cent.",
    "Near-copies stay together.",
    "A model is shown what is none of its classes.",
    "Give it images of none of the classes.",
    "It draws pictures of something else.",
    "It accepts 22 of 268 other things.",
    "They count as others.",
    "The score of novelty is saved.",
    "Each lever is listed.",
    "A warm start is refused.",
    "A run goes on from its checkpoint.",
    "The network is told the size.",
    "Each model is asked twice.",
    "A log line says so.",
    "The images judge a model.",
    "Each registry lives in the room of its family.",
    "The head learns from stored features.",
    "The replay is drawn anew.",
    "The test part has 105 images.",
)
CLEAN = """
It writes one row per image, once per fold. Near-duplicates stay in one split, 5 % of them in the
test split. The negatives have an OOD score. A run resumes from its checkpoint. The names
`judge_explanations` and `a row an image` are not checked. The part of a model, a folder, an image:
all are evaluated. Cached features take an image and a mask.
"""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_words", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_each_habit_has_a_text(script: ModuleType) -> None:
    assert len(TEXTS) == len(script.HABITS)


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_habit_is_found_with_its_remedy(script: ModuleType, number: int) -> None:
    found = script.find_habits(f"A line before.\n{TEXTS[number]}\n")
    remedies = list(script.HABITS.values())
    assert [(line, remedy) for line, _, remedy in found] == [(2, remedies[number])]


def test_clean_text_passes(script: ModuleType) -> None:
    assert script.find_habits(CLEAN) == []


@pytest.mark.parametrize(
    "text", ["a row\nan image", "# a row\n# an image", '"a row "\n    f"an image"']
)
def test_habit_is_found_across_lines(script: ModuleType, text: str) -> None:
    assert [line for line, _, _ in script.find_habits(f"\n{text}\n")] == [2]


def test_command_prints_place_and_remedy_and_fails(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.md").write_text("Clean.\n\nA row an image.\n", encoding="utf-8")
    (tmp_path / "data.csv").write_text("a row an image\n", encoding="utf-8")
    assert script.main([str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert "page.md:3: 'row an image': " in lines[0].lower()


def test_only_comments_and_strings_of_python_are_checked(
    script: ModuleType, tmp_path: Path
) -> None:
    code = 'replay = lever = 1  # clean\nx = """Clean.\n\nA row an image."""\ny = 2  # a lever\n'
    (tmp_path / "module.py").write_text(code, encoding="utf-8")
    found = script.find_habits(script.read_prose(tmp_path / "module.py"))
    assert [(line, phrase) for line, phrase, _ in found] == [(4, "row an image"), (5, "lever")]


def test_count_prints_folders_and_does_not_fail(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "module.py").write_text("# A row an image, 5 per cent.\n", encoding="utf-8")
    assert script.main(["--count", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == ["2", str(tmp_path)]


def test_clean_folder_passes(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(CLEAN, encoding="utf-8")
    assert script.main([str(tmp_path)]) == 0
