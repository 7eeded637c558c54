"""The house stays in order: its folders, its rooms' sizes, its two languages, no address in it."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"agent", "drivers", "config", "systemd", "tests", "bench", "docs", ".ci"}
FILES = {
    "pyproject.toml", "requirements.lock", "Makefile", "LICENSE", ".gitignore",
    "README.md", "README.zh-CN.md", "CHANGELOG.md", "CONTRIBUTING.md",
}  # fmt: skip
CODE = {".py", ".js", ".css", ".html", ".sh", ".toml"}
TEXT = CODE | {".md", ".json", ".lock", ".service", ".rules", ".conf", ""}
MOST_LINES = 450

LEFT_OPEN = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b|raise NotImplemented" r"Error")
OF_A_MACHINE = re.compile(r"(?<![\w.-])/(?:home|Users|work|root|tmp/\w)[\w.-]*/")
REGISTRY = re.compile(
    r"--(?:extra-)?index" r"-url|https?://[^\s\"']*(?:/simple\b|\.whl|\.tgz|/packages/)|"
    r"\"resolved\": *\"http|registry *= *\"?http"
)  # fmt: skip


def tracked() -> list[Path]:
    """The files of the checkout that git knows; a source archive has no git to ask."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True
        ).stdout.decode()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no git checkout here: {error}")
    return [Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()]


def lines_that_match(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in tracked()
        if path.suffix in TEXT
        for number, line in enumerate((ROOT / path).read_text("utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def test_the_top_level_is_the_one_of_the_design() -> None:
    top = {path.parts[0] for path in tracked()}
    assert top <= FOLDERS | FILES
    assert top >= FOLDERS | FILES


def test_one_noun_a_file_so_no_file_is_long() -> None:
    long = {
        str(path): lines
        for path in tracked()
        if path.suffix in CODE
        and (lines := len((ROOT / path).read_text("utf-8").splitlines())) > MOST_LINES
    }
    assert not long


def test_nothing_is_left_open() -> None:
    assert not lines_that_match(LEFT_OPEN)


def test_no_path_of_a_machine_is_written_down() -> None:
    assert not lines_that_match(OF_A_MACHINE)


def test_no_registry_s_address_is_written_down() -> None:
    assert not lines_that_match(REGISTRY)


def test_both_readmes_say_the_same_things() -> None:
    def outline(name: str) -> list[int]:
        text = re.sub(r"```.*?```", "", (ROOT / name).read_text("utf-8"), flags=re.DOTALL)
        return [len(head) for head in re.findall(r"^(#+) ", text, flags=re.MULTILINE)]

    def commands(name: str) -> list[str]:
        blocks = re.findall(r"```\w*\n(.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL)
        lines = [
            line.partition("  #")[0].rstrip() for block in blocks for line in block.split("\n")
        ]
        return [line for line in lines if line and not line.startswith("#")]

    assert outline("README.md") == outline("README.zh-CN.md")
    assert commands("README.md") == commands("README.zh-CN.md")


def test_every_link_of_a_page_leads_somewhere() -> None:
    broken = [
        f"{page}: {target}"
        for page in tracked()
        if page.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s]+)", (ROOT / page).read_text("utf-8"))
        if "://" not in target and not (ROOT / page.parent / target).exists()
    ]
    assert not broken


def test_the_lock_pins_what_the_project_asks_for() -> None:
    def name(requirement: str) -> str:
        return re.split(r"[\s\[<>=!;~]", requirement, maxsplit=1)[0].lower().replace("_", "-")

    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    assert all(re.match(r"[a-z0-9-]+==[^ ]+( ; .+)?$", line) for line in lines), "name==version"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        asked += extra
    assert {name(line) for line in asked} - {"outpost"} <= {name(line) for line in lines}


def test_the_changelog_knows_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{version}]" in changelog or "## [Unreleased]" in changelog
