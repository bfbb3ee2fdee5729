"""Compares the tag of a release, such as v0.2.0, with the versions in the files."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACES = {
    "src/planetvision/__init__.py": r'^__version__ = "(.+)"$',
    "CITATION.cff": r"^version: (.+)$",
    "CHANGELOG.md": r"^## \[(\d[^]]*)\]",  # the newest heading that is not "Unreleased"
}


def find_versions(root: Path = ROOT) -> dict[str, str | None]:
    """Returns the version in each file, None if it has none."""
    found = {
        place: re.search(pattern, (root / place).read_text(encoding="utf-8"), re.MULTILINE)
        for place, pattern in PLACES.items()
    }
    return {place: match and match[1] for place, match in found.items()}


def check_tag(tag: str, root: Path = ROOT) -> None:
    """Raises `SystemExit` unless the tag is "v" and the version in every file."""
    wrong = {place: got for place, got in find_versions(root).items() if f"v{got}" != tag}
    if wrong:
        found = ", ".join(f"{place} ({got or 'no version'})" for place, got in wrong.items())
        raise SystemExit(
            f"The tag {tag!r} differs from the version in {found}. Expected one version in "
            f"{', '.join(PLACES)}, and the tag v<version>. Correct the files, then move the tag."
        )


if __name__ == "__main__":
    check_tag(sys.argv[1] if len(sys.argv) > 1 else "")
