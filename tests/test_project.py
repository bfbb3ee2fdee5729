"""The files about the project agree: metadata, workflows, Makefile, hooks, constraints."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
SYSTEMS = {
    "macos": "MacOS",
    "ubuntu": "POSIX :: Linux",
    "windows": "Microsoft :: Windows",
}


def read(path: str | Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def read_project(path: str = "pyproject.toml") -> dict[str, Any]:
    return tomllib.loads(read(path))


def read_workflow(name: str) -> Any:
    return yaml.safe_load(read(f".github/workflows/{name}.yml"))


def list_classifiers(prefix: str) -> list[str]:
    classifiers: list[str] = read_project()["project"]["classifiers"]
    return [item[len(prefix) :] for item in classifiers if item.startswith(prefix)]


def get_python(job: str) -> str:
    steps = read_workflow("tests")["jobs"][job]["steps"]
    versions = [step["with"]["python-version"] for step in steps if "setup-python" in str(step)]
    assert len(versions) == 1
    return str(versions[0])


def test_classifiers_are_the_pythons_and_systems_that_the_tests_run_on() -> None:
    matrix = read_workflow("tests")["jobs"]["tests"]["strategy"]["matrix"]
    pythons = list_classifiers("Programming Language :: Python :: 3.")
    assert matrix["python"] == [f"3.{minor}" for minor in pythons]
    assert pythons == [str(minor) for minor in range(int(pythons[0]), int(pythons[-1]) + 1)]
    tested = [SYSTEMS[name.removesuffix("-latest")] for name in matrix["os"]]
    assert sorted(tested) == sorted(list_classifiers("Operating System :: "))


def test_lowest_python_is_the_same_everywhere() -> None:
    lowest = f"3.{list_classifiers('Programming Language :: Python :: 3.')[0]}"
    major, minor = lowest.split(".")
    assert read_project()["project"]["requires-python"] == f">={lowest}"
    plugin = read_project("examples/plugin_package/pyproject.toml")
    assert plugin["project"]["requires-python"] == f">={lowest}"
    assert get_python("lowest") == lowest
    assert f"sys.version_info < ({major}, {minor})" in read("Makefile")
    for page in ("README.md", "CONTRIBUTING.md"):
        assert f"Python {lowest} or newer" in read(page)


def test_newest_python_is_the_one_that_the_formatter_writes_classifiers_for() -> None:
    newest = list_classifiers("Programming Language :: Python :: 3.")[-1]
    assert read_project()["tool"]["pyproject-fmt"]["max_supported_python"] == f"3.{newest}"


def test_extra_all_holds_each_other_extra() -> None:
    extras = read_project()["project"]["optional-dependencies"]
    (everything,) = extras.pop("all")
    names = everything.removeprefix("planetvision[").removesuffix("]").split(",")
    assert names == sorted(extras)


def test_tools_for_contributors_are_no_extras() -> None:
    project = read_project()
    assert {"dev", "docs"} <= set(project["dependency-groups"])
    assert not {"dev", "docs"} & set(project["project"]["optional-dependencies"])


def test_each_bound_has_its_reason() -> None:
    text = read("pyproject.toml")
    bounds = [line for line in text.splitlines() if re.search(r'"[\w\[\]-]+>=', line)]
    assert len(bounds) > 30
    assert [line for line in bounds if "#" not in line] == []


def test_workflows_and_issue_forms_are_found() -> None:
    assert [path.stem for path in WORKFLOWS] == ["docs", "release", "tests"]
    assert [path.stem for path in FORMS] == ["bug", "config", "feature", "wrong-answer"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_calls_make_targets_that_exist(path: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), flags=re.MULTILINE))
    commands = [
        line.strip()
        for job in yaml.safe_load(read(path))["jobs"].values()
        for step in job.get("steps", [])
        for line in step.get("run", "").splitlines()
    ]
    made = [line.split()[1:] for line in commands if line.startswith("make ")]
    assert made
    assert {word for words in made for word in words if "=" not in word} <= targets
    others = [line for line in commands if not line.startswith("make ")]
    if path.stem == "tests":  # Windows has no make
        pattern = r"^(?:TESTS|SNIPPETS) := (.+)$"
        options = re.findall(pattern, read("Makefile"), flags=re.MULTILINE)
        assert len(options) == 2
        assert {f"python -m pytest {one}" for one in options} <= set(others)
        others = [line for line in others if not line.startswith("python -m ")]
    assert others == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_may_only_read_except_where_a_job_says_so(path: Path) -> None:
    workflow = yaml.safe_load(read(path))
    assert workflow["permissions"] == {"contents": "read"}
    granted = {
        name: set(job["permissions"])
        for name, job in workflow["jobs"].items()
        if "permissions" in job
    }
    expected = {"docs": {"deploy": {"id-token", "pages"}}, "release": {"publish": {"id-token"}}}
    assert granted == expected.get(path.stem, {})


def test_release_publishes_after_version_and_tests_with_attestations() -> None:
    jobs = read_workflow("release")["jobs"]
    chain = ["publish"]
    while "needs" in jobs[chain[-1]]:
        chain.append(jobs[chain[-1]]["needs"])
    assert chain == ["publish", "build", "tests", "version"]
    (step,) = (s for s in jobs["publish"]["steps"] if "pypi-publish" in s["uses"])
    assert step["with"] == {"attestations": True}


def test_hooks_have_the_versions_of_the_constraints() -> None:
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", read("constraints.txt"), flags=re.MULTILINE))
    repositories = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    hooks = {
        item["repo"].rpartition("/")[2].removesuffix("-pre-commit"): item["rev"]
        for item in repositories
    }
    assert hooks == {name: f"v{pins[name]}" for name in ("ruff", "codespell", "pyproject-fmt")}


def test_addresses_of_the_project_are_one() -> None:
    urls = read_project()["project"]["urls"]
    citation = yaml.safe_load(read("CITATION.cff"))
    site = re.findall(r"^site_url: (.+)$", read("mkdocs.yml"), flags=re.MULTILINE)
    assert citation["repository-code"] == urls["Repository"]
    assert [citation["url"]] == site == [urls["Documentation"]]
    for name in ("Changelog", "Issues"):
        assert urls[name].startswith(urls["Repository"] + "/")
    report = urls["Repository"] + "/security/advisories/new"
    assert report in read("SECURITY.md")
    assert report in read(".github/ISSUE_TEMPLATE/config.yml")


@pytest.mark.parametrize(
    "path", [item for item in FORMS if item.stem != "config"], ids=lambda path: path.stem
)
def test_issue_form_asks_for_what_is_needed(path: Path) -> None:
    form = yaml.safe_load(read(path))
    assert form["name"]
    assert form["description"]
    names = [field["id"] for field in form["body"]]
    assert len(set(names)) == len(names)
    assert all(field["attributes"]["label"] for field in form["body"])
    assert any(field["validations"]["required"] for field in form["body"])


def test_source_distribution_holds_what_these_tests_read() -> None:
    include = read_project()["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {".github", ".pre-commit-config.yaml", "SECURITY.md", "constraints.txt"} <= set(include)
