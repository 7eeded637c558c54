"""Refusals as problem details (RFC 9457), and bodies read with a clear word where they are bad."""

from __future__ import annotations

from http import HTTPStatus
from typing import TypeVar

import msgspec
from aiohttp import web

T = TypeVar("T")


class Problem(msgspec.Struct, frozen=True):
    """One refusal: `code` for programs, `detail` for people."""

    title: str
    status: int
    detail: str
    code: str


def problem(status: int, code: str, detail: str, *, retry_after_s: int = 0) -> web.Response:
    """The answer that says no, and why."""
    title = HTTPStatus(status).phrase
    body = msgspec.json.encode(Problem(title, status, detail, code))
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s else None
    return web.Response(
        status=status, body=body, content_type="application/problem+json", headers=headers
    )


async def read_json(request: web.Request, kind: type[T]) -> T:
    """The request's body; an empty one is `{}`.  ValueError says what was expected."""
    body = await request.read()
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        shown = body[:60].decode(errors="replace")
        raise ValueError(f"the body is no good: {error}; read {shown!r}") from error
