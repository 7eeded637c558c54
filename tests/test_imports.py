"""Who may import whom (DESIGN: 'The house'), read from the source, not from what happens to run."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path.relative_to(ROOT)
    for folder in ("agent", "drivers")
    for path in (ROOT / folder).rglob("*.py")
    if "node_modules" not in path.parts
)

IMPORTER = {
    "paho": ("agent/mqtt/*",),
    "zstandard": ("agent/delivery/compression.py",),
    "sqlite3": ("agent/store/*",),
    "aiortc": ("agent/media/*",),
    "av": ("agent/media/*", "drivers/camera.py", "drivers/microphone.py", "drivers/speaker.py"),
    "cv2": ("agent/media/*", "drivers/camera.py"),
    "aiohttp": ("agent/console/*", "agent/media/ways/*"),
    "gpiozero": ("drivers/panel.py",),
    "serial": ("drivers/port.py",),
    "pynmea2": ("drivers/nmea.py",),
    "pymodbus": (),
    "minimalmodbus": (),
}
"""Outside library -> the files that alone may import it (the two Modbus libraries are the tests'
oracles)."""

PURE = (
    "agent/messages/*",
    "agent/topics.py",
    "agent/center/receiver.py",
    "agent/alarms/*",
    "agent/drill/world.py",
    "agent/drill/plume.py",
    "agent/drill/cell.py",
    "agent/drill/route.py",
)
IMPURE_MODULES = {
    "asyncio", "threading", "multiprocessing", "subprocess", "signal", "socket", "select",
    "selectors", "time", "os", "io", "pathlib", "shutil", "tempfile", "fcntl", "termios", "logging",
    "sqlite3",
}  # fmt: skip
"""What loops, files and clocks come from.  `datetime` is a value; its clocks are sought below."""
CLOCKS = {"now", "utcnow", "today"}

ALL_PARTS = {"hub", "outbox", "uplink", "supervise", "commands"}
"""Only `app.py` knows these all."""


def modules_imported(path: Path) -> Iterator[str]:
    """Each absolute module name that a file imports, wherever in the file it does."""
    package = path.with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, node.module)) if node.module else ".".join(above)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_under(path: Path, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(path.as_posix(), pattern) for pattern in patterns)


def top(module: str) -> str:
    return module.partition(".")[0]


def test_there_is_something_to_read() -> None:
    assert Path("agent/messages/base.py") in SOURCES
    assert Path("drivers/checksum.py") in SOURCES
    assert set(modules_imported(Path("agent/messages/position.py"))) >= {
        "agent.messages.base", "drivers.Fix",
    }  # fmt: skip


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_a_library_has_one_importer(path: Path) -> None:
    for module in modules_imported(path):
        allowed = IMPORTER.get(top(module))
        assert allowed is None or is_under(path, allowed), (
            f"{path} imports {module}; only {', '.join(allowed) or 'tests'} may"
        )


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parts[0] == "drivers"], ids=str)
def test_a_driver_never_imports_the_agent(path: Path) -> None:
    assert "agent" not in {top(module) for module in modules_imported(path)}


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parts[:2] == ("drivers", "sim")], ids=str)
def test_a_twin_shares_no_code_with_its_driver(path: Path) -> None:
    """An error in a framing or checksum would cancel out if both sides used it."""
    for module in modules_imported(path):
        allowed = {*sys.stdlib_module_names, "msgspec"}
        assert top(module) in allowed or module.startswith("drivers.sim"), (
            f"{path} imports {module}; a twin imports drivers.sim, msgspec and the standard library"
        )


@pytest.mark.parametrize("path", [p for p in SOURCES if is_under(p, PURE)], ids=str)
def test_what_is_pure_has_no_loop_no_file_and_no_clock(path: Path) -> None:
    assert not IMPURE_MODULES & {top(module) for module in modules_imported(path)}
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            assert name not in CLOCKS | {"open"}, f"{path}:{node.lineno} calls {name}()"


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parts[0] == "agent"], ids=str)
def test_only_the_composition_root_knows_all_parts(path: Path) -> None:
    known = {module.split(".")[1] for module in modules_imported(path) if module[:6] == "agent."}
    assert path == Path("agent/app.py") or not ALL_PARTS <= known


def test_the_core_starts_without_what_a_soldier_kit_does_not_carry() -> None:
    """Modules that `outpost run` loads reach no extra: not at the top of any file, at least."""
    extras = {"aiortc", "av", "cv2", "numpy", "aiohttp"}
    core = [p for p in SOURCES if p.parts[0] == "agent" and len(p.parts) == 2]
    assert core
    for path in core:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        for node in tree.body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            assert not extras & {top(name) for name in names}, f"{path}:{node.lineno}"
