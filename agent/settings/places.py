"""Where the files that came with the program are."""

from __future__ import annotations

import sysconfig
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2]


def config_dir() -> Path:
    """The `config` folder: of the checkout, else of the installation (share/outpost/config)."""
    here = _CHECKOUT / "config"
    return here if here.is_dir() else Path(sysconfig.get_path("data")) / "share/outpost/config"


def named(folder: str, name: str) -> Path:
    """A file that is given by its name in a folder of `config`, or by its path."""
    path = Path(name)
    if path.suffix or len(path.parts) > 1:
        return path
    return config_dir() / folder / f"{name}.toml"


def names(folder: str) -> list[str]:
    """What `named` knows by name."""
    return sorted(path.stem for path in (config_dir() / folder).glob("*.toml"))
