"""Finds words and phrases that the style of this project replaces, and prints the replacement.

Without arguments it checks the pages and scripts of the project. It skips names in backticks and,
in Python files, everything but comments and strings.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What `make lint` checks without arguments.
CHECKED = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "Makefile",
    "docs",
    "src",
    "benchmarks",
    "examples",
    "release",
)
_SUFFIXES = {".md", ".py", ".pyi", ".yml", ".toml"}
# Two files contain the phrases themselves; the keys of the third must match stored results.
_EXCLUDED = {Path(__file__).name, "test_check_words.py", "frozen_side.py"}

_UNITS = (
    "answers?|bits|bytes|chunks|figures|folders?|images?|lines?|maps|milliseconds|passes|pictures"
    "|pixels|records?|rows?|seconds|steps?|vectors?|views?|weights"
)
_WHOLES = (
    "batch|body|channel|class|command|epoch|file|finding|fold|header|image|label|member|page"
    "|picture|pixel|row|seed|second|side|stage|step"
)

# Old habit (a regular expression whose spaces match line breaks too) -> what to write.
HABITS = {
    rf"(?:{_UNITS}) an? (?:{_WHOLES})": 'write "per": one row per image, images per step',
    r"once (?:a|each) (?:fold|stage|image|epoch)": 'write "once per fold"',
    r"per cent": 'write "%"',
    r"near-cop(?:y|ies)": 'write "near-duplicates"',
    r"(?:what|that|which) (?:is|are) none of": 'write "negatives" or "OOD images"',
    r"(?:images|pictures) of none of": 'write "negatives" or "OOD images"',
    r"(?:images|pictures) of (?:something else|other things)": 'write "OOD images" or "negatives"',
    r"other things": 'write "OOD images", or name what they are',
    r"(?:as|taught with|shown|the weight of|learn from) others": 'write "negatives"',
    r"scores? of novelty|novelty scores?": 'write "OOD score"',
    r"levers?": 'write "performance options"',
    r"warm[-\s]start(?:s|ed|ing)?": 'write "initialize from" or "fine-tune from"',
    r"(?:goes|go|went|going) on(?=[,.;:]|\s(?:after|at|by|from|if|in|until|where|with))": (
        'write "continues" or "resumes"'
    ),
    r"(?:is|are|was|were|be|been) told": 'write "receives" or "is given"',
    r"(?:is|are|was|were|be|been) asked": 'write "is queried", "is evaluated" or "must"',
    r"(?:says?|said) so": "name what is written or raised",
    r"judg(?:e|es|ed|ing)": 'write "evaluate"',
    r"(?:in|of|from) (?:the|its|each|another|one) rooms?(?! (?:for|that|there))": (
        'write "package" or "module"'
    ),
    r"stored (?:features|views)": 'write "cached features"',
    r"replay(?:s|ed|ing)?": 'write "cached features"',
    r"(?:test|training|train|validation|val|given) parts?": 'write "split"',
}
# A line break, a comment sign or the seam of two strings may separate the words of a phrase.
_GAP = r"""(?:\s|\#|["']\s*\n\s*[rf]?["'])+"""
_PATTERNS = {
    re.compile(rf"(?<![\w-])(?:{habit.replace(' ', _GAP)})(?![\w-])", re.IGNORECASE): remedy
    for habit, remedy in HABITS.items()
}
_NAME = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")


def find_habits(text: str) -> list[tuple[int, str, str]]:
    """Returns line, phrase and replacement of each old habit in a text."""
    prose = _NAME.sub(lambda name: "~" * len(name[0]), text)
    found = [
        (prose.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), remedy)
        for pattern, remedy in _PATTERNS.items()
        for match in pattern.finditer(prose)
    ]
    return sorted(found)


def read_prose(file: Path) -> str:
    """Returns the text of a file; of a Python file, comments and strings at their places."""
    text = file.read_text(encoding="utf-8")
    if file.suffix not in {".py", ".pyi"}:
        return text
    rows = [[" "] * len(line) for line in text.splitlines()]
    source = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if tokenize.tok_name[token.type].startswith(("COMMENT", "STRING", "FSTRING")):
            (first, start), (last, end) = token.start, token.end
            for row in range(first - 1, last):
                begin = start if row == first - 1 else 0
                stop = end if row == last - 1 else len(source[row])
                rows[row][begin:stop] = source[row][begin:stop]
    return "\n".join("".join(row) for row in rows)


def list_files(paths: list[Path]) -> Iterator[Path]:
    """Yields the files to check, folders searched recursively."""
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            is_text = file.suffix in _SUFFIXES or file.name == "Makefile"
            is_excluded = file.name in _EXCLUDED or file.parent.name == "released"  # hashed files
            if is_text and file.is_file() and not is_excluded:
                yield file


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 1 if an old habit was found, unless `--count` is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", type=Path, help="files and folders to check")
    parser.add_argument("--count", action="store_true", help="count per folder, and exit with 0")
    options = parser.parse_args(arguments)
    counts: Counter[str] = Counter()
    for file in list_files(options.paths or [ROOT / path for path in CHECKED]):
        name = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
        for line, phrase, remedy in find_habits(read_prose(file)):
            counts[str(name.parent)] += 1
            if not options.count:
                print(f"{name}:{line}: {phrase!r}: {remedy}")
    if options.count:
        for folder, number in sorted(counts.items()):
            print(f"{number:5d} {folder}")
        return 0
    return int(counts.total() > 0)


if __name__ == "__main__":
    sys.exit(main())
