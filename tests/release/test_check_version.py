"""A release is refused unless its tag is the version that every file names."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import planetvision

SCRIPT = Path(__file__).parents[2] / "release" / "check_version.py"
FILES = {
    "src/planetvision/__init__.py": '__version__ = "{}"\n',
    "CITATION.cff": "cff-version: 1.2.0\nversion: {}\n",
    "CHANGELOG.md": "## [Unreleased]\n\n## [{}] - 2030-01-01\n\n## [0.0.1] - 2029-01-01\n",
}


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_version", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_files(root: Path, **versions: str) -> Path:
    for place, text in FILES.items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(versions.get(path.stem, "1.2.0")), encoding="utf-8")
    return root


def test_tag_of_the_version_of_all_files_is_accepted(script: ModuleType, tmp_path: Path) -> None:
    script.check_tag("v1.2.0", write_files(tmp_path))


@pytest.mark.parametrize("tag", ["", "1.2.0", "v1.2", "v1.2.0rc1", "v1.2.1", "vNone"])
def test_other_tag_is_refused(script: ModuleType, tmp_path: Path, tag: str) -> None:
    with pytest.raises(SystemExit, match=rf"^The tag '{tag}' differs .*__init__.py \(1\.2\.0\)"):
        script.check_tag(tag, write_files(tmp_path))


@pytest.mark.parametrize("place", FILES)
def test_file_with_another_version_is_named(script: ModuleType, tmp_path: Path, place: str) -> None:
    root = write_files(tmp_path, **{Path(place).stem: "1.1.9"})
    with pytest.raises(SystemExit) as caught:
        script.check_tag("v1.2.0", root)
    found = str(caught.value).split(". Expected")[0]
    assert found == f"The tag 'v1.2.0' differs from the version in {place} (1.1.9)"


def test_changes_that_are_all_unreleased_name_no_version(
    script: ModuleType, tmp_path: Path
) -> None:
    root = write_files(tmp_path)
    (root / "CHANGELOG.md").write_text("## [Unreleased]\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"in CHANGELOG\.md \(no version\)"):
        script.check_tag("v1.2.0", root)


def test_files_of_this_project_name_one_version(script: ModuleType) -> None:
    found = script.find_versions()
    found.pop("CHANGELOG.md")  # no heading before the first release
    assert set(found.values()) == {planetvision.__version__}
