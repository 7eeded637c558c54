"""What `outpost selftest` asks of a running unit, over its control socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

if TYPE_CHECKING:
    from agent.selftest.part import Selftest

By = Annotated[str, msgspec.Meta(max_length=64)]
Answer = Callable[[dict[str, Any]], dict[str, Any]]


class _Zero(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    by: By = ""


class _Bump(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    quantity: str
    concentration: float
    by: By = ""


class _Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    by: By = ""
    clean_air: bool = False


class _Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


def answers(part: Selftest) -> dict[str, Answer]:
    def look(_: _Look) -> None:
        pass

    def zero(args: _Zero) -> None:
        part.zero(args.by)

    def bump(args: _Bump) -> None:
        part.bump(args.source, args.quantity, args.concentration, args.by)

    def run(args: _Run) -> None:
        part.run(args.by, clean_air=args.clean_air)

    def answer(args: dict[str, Any], shape: Any, do: Callable[[Any], None]) -> dict[str, Any]:
        try:
            do(msgspec.convert(args, shape))
        except (ValueError, LookupError) as error:
            return {"ok": False, "error": str(error.args[0])}
        report = part.report
        return {
            "selftest": msgspec.to_builtins(part.status()),
            "report": None if report is None else msgspec.to_builtins(report),
        }

    return {
        "selftest.look": lambda args: answer(args, _Look, look),
        "selftest.zero": lambda args: answer(args, _Zero, zero),
        "selftest.bump": lambda args: answer(args, _Bump, bump),
        "selftest.run": lambda args: answer(args, _Run, run),
    }
