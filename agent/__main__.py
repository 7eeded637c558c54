"""The command `outpost`: its verbs."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from agent import __version__

FAILED = 1
USAGE_ERROR = 2
INTERRUPTED = 130
SWITCH_S = 0.0005
"""Python's own 0.005 s is all the time that an alarm may take (bench/lamp.py)."""
VERBS = {
    "drill": ("agent.drill", "a drill on this machine 本机演练"),
    "console": ("agent.console", "the page of a small command post 指挥页面"),
    "doctor": ("agent.doctor", "what this machine has, and what is wrong 自检"),
    "replay": ("agent.tools.replay", "a recording through a driver 回放"),
    "capture": ("agent.tools.capture", "record the bytes of a port 录制"),
    "provision": ("agent.provision", "set up a unit from one signed file 部署"),
    "selftest": ("agent.selftest.command", "check the running unit before use 使用前自检"),
    "log": ("agent.incident.command", "verify and export the incident log 事件日志"),
    "media": ("agent.recordings.command", "verify, list and decrypt recordings 录像"),
}
"""Beside `run` and `check`: the module with `add_arguments` and `main`, and a word."""


def main(argv: list[str] | None = None) -> int:
    """Run a verb; returns the exit status (0 done, 1 failed, 2 used wrongly)."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser(argv).parse_args(argv)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        return run(args)
    except KeyboardInterrupt:
        # Before or after the loop, which takes the signal itself.
        return INTERRUPTED


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="outpost",
        description="前哨 Outpost: the field-device edge agent of a command platform.",
    )
    parser.add_argument("--version", action="version", version=f"outpost {__version__}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")

    run = verbs.add_parser("run", help="run a unit 运行单元")
    run.add_argument("--config", required=True, type=Path, metavar="FILE")
    run.add_argument("--dry-run", action="store_true", help="show what would start, and end")
    run.set_defaults(run=_run)

    check = verbs.add_parser("check", help="validate configurations and scenarios 检查配置")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE")
    check.add_argument(
        "--wire", action="store_true", help="the files are captured MQTT traffic (mosquitto_sub -v)"
    )
    check.set_defaults(run=_check)

    for name, (module, text) in VERBS.items():
        verb = verbs.add_parser(name, help=text)
        if name in argv:
            # The others' parts are left alone: a unit that runs has no use for them.
            part = importlib.import_module(module)
            part.add_arguments(verb)
            verb.set_defaults(run=part.main)
    return parser


def _run(args: argparse.Namespace) -> int:
    from agent import log, run
    from agent.settings.remote import Remote
    from agent.settings.restart import start_anew
    from agent.settings.toml import ConfigError
    from agent.tools.dry_run import describe

    try:
        settings, remote = Remote.load(args.config)
    except ConfigError as error:
        return _complain(error.mistakes)
    if args.dry_run:
        sys.stdout.write(describe(settings) + remote.described())
        return 0
    log.set_up(settings.log)
    # A thread that writes may hold the loop, and an alarm with it, for no longer than this.
    sys.setswitchinterval(SWITCH_S)
    failures: list[str] = []
    again = False
    try:
        again = asyncio.run(run.run(settings, remote))
    except* OSError as group:
        failures = _sentences(group)
        again = remote.roll_back("; ".join(failures))
    if again:
        _complain(failures)
        start_anew()
    return _complain(failures, FAILED) if failures else 0


def _sentences(group: BaseExceptionGroup[OSError]) -> list[str]:
    found: list[str] = []
    for error in group.exceptions:
        found += _sentences(error) if isinstance(error, BaseExceptionGroup) else [str(error)]
    return found


def _check(args: argparse.Namespace) -> int:
    if args.wire:
        return _check_wire(args.files)
    from agent.tools.check import mistakes, remarks

    found = [mistake for path in args.files for mistake in mistakes(path)]
    if found:
        return _complain(found)
    for path in args.files:
        sys.stdout.write(f"{path}: good\n")
        sys.stdout.writelines(f"  {line}\n" for line in remarks(path))
    return 0


def _check_wire(paths: Sequence[Path]) -> int:
    from agent.center.traffic import check_file

    found: list[str] = []
    for path in paths:
        try:
            count, mistakes = check_file(path)
        except OSError as error:
            count, mistakes = 0, [f"{path}: cannot be read: {error.strerror}"]
        found += mistakes
        sys.stdout.write(f"{path}: {count} messages, {len(mistakes)} mistakes\n")
    return _complain(found, FAILED) if found else 0


def _complain(sentences: Sequence[str], status: int = USAGE_ERROR) -> int:
    for sentence in sentences:
        sys.stderr.write(f"{sentence}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
