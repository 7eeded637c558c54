"""Local candidates: this machine's addresses at once, and what STUN and TURN servers add.

aioice knows one STUN and one TURN server and waits 5 s for each that is not there.  Here all are
asked at a time, none is waited for longer than `gather_s`, and where all lately gave nothing they
are hardly waited for at all.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Coroutine
from typing import Any

import msgspec
from aioice import Connection, ice, stun
from aioice.candidate import Candidate
from aioice.ice import StunProtocol

from agent.media.ways.servers import Address, IceServer

log = logging.getLogger(__name__)

SHORT_S = 0.2
"""So long a server is waited for that lately gave nothing."""
LATELY_S = 30.0
GIVES_NOTHING = (OSError, stun.TransactionError, ssl.SSLError, asyncio.IncompleteReadError)
MAX_QUERIES = 16

_Question = Coroutine[Any, Any, tuple[Candidate, StunProtocol | None]]
_failed_at: dict[Address, float] = {}


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """What one connection gathers from."""

    servers: tuple[IceServer, ...] = ()
    relay_only: bool = False
    gather_s: float = 1.5
    ca_files: dict[str, str] = {}
    """Host of a `turns:` server -> whom to trust; the system's authorities for others."""

    def wait_s(self, now: float) -> float:
        """So long is waited for servers: little where all failed lately."""
        failing = [now - _failed_at.get(address, -LATELY_S) < LATELY_S for address, _ in self.all()]
        return SHORT_S if failing and all(failing) else self.gather_s

    def all(self) -> list[tuple[Address, IceServer]]:
        every = [(Address.parse(url), server) for server in self.servers for url in server.urls]
        return every[:MAX_QUERIES]


async def gather(connection: Connection, servers: Servers, component: int = 1) -> list[Candidate]:
    """New sockets of `connection` on every address of now, and their candidates."""
    found: list[Candidate] = []
    if not servers.relay_only:
        addresses = ice.get_host_addresses(connection._use_ipv4, connection._use_ipv6)
        found += await connection.get_component_candidates(component, addresses)
    hosts = [p for p in connection._protocols if p.local_candidate in found]
    return found + await ask_servers(connection, servers, hosts, component)


async def ask_servers(
    connection: Connection, servers: Servers, hosts: list[StunProtocol], component: int = 1
) -> list[Candidate]:
    """What the servers add to sockets that are there."""
    tasks = [
        asyncio.create_task(_ask(connection, address, asked), name=f"ice {address.host}")
        for address, asked in _questions(connection, servers, component, hosts)
    ]
    if tasks:
        _, pending = await asyncio.wait(tasks, timeout=servers.wait_s(time.monotonic()))
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)
    results = [task.result() for task in tasks if not task.cancelled()]
    return [candidate for candidate in results if candidate is not None]


async def reach(servers: Servers) -> str:
    """The address that the one server of `servers` gives.  OSError: why it gives none."""
    connection = Connection(ice_controlling=True)
    ((address, _),) = servers.all()
    own = ice.get_host_addresses(use_ipv4=True, use_ipv6=True)
    try:
        await connection.get_component_candidates(1, own)
        questions = _questions(connection, servers, 1, list(connection._protocols))
        tasks = [asyncio.create_task(question, name="reach") for _, question in questions]
        if not tasks:
            raise OSError("this machine has no IPv4 address to ask from")
        await asyncio.wait(tasks, timeout=servers.gather_s)
        return await _given(connection, tasks)
    except GIVES_NOTHING as error:
        why = str(error) or "no answer"
        raise OSError(f"{address.host}:{address.port} ({address.transport}): {why}") from error
    finally:
        await connection.close()


async def _given(
    connection: Connection, tasks: list[asyncio.Task[tuple[Candidate, StunProtocol | None]]]
) -> str:
    """The first answer, else the first error; TimeoutError: none came."""
    answers: list[Candidate] = []
    errors: list[BaseException] = []
    for task in tasks:
        if not task.done():
            task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, BaseException):
            errors.append(result)
        else:
            answers.append(result[0])
            connection._protocols += [result[1]] if result[1] is not None else []
    if answers:
        return f"{answers[0].host}:{answers[0].port}"
    told = [error for error in errors if not isinstance(error, asyncio.CancelledError)]
    raise told[0] if told else TimeoutError("no answer")


def _questions(
    connection: Connection, servers: Servers, component: int, hosts: list[StunProtocol]
) -> list[tuple[Address, _Question]]:
    questions: list[tuple[Address, _Question]] = []
    for address, server in servers.all():
        if address.scheme == "stun":
            for protocol in hosts:
                if ":" not in protocol.local_candidate.host:
                    at = (address.host, address.port)
                    questions.append((address, ice.server_reflexive_candidate(protocol, at)))
            continue
        questions.append((address, _relayed(connection, servers, component, address, server)))
    return questions


async def _relayed(
    connection: Connection, servers: Servers, component: int, address: Address, server: IceServer
) -> tuple[Candidate, StunProtocol | None]:
    trusted: Any = False
    if address.scheme == "turns":
        trusted = await asyncio.to_thread(
            ssl.create_default_context, cafile=servers.ca_files.get(address.host) or None
        )
    return await ice.relayed_candidate(
        component=component,
        hide_related_address=servers.relay_only,
        protocol_factory=lambda: StunProtocol(connection),
        turn_server=(address.host, address.port),
        turn_username=server.username,
        turn_password=server.credential,
        turn_ssl=trusted,
        turn_transport=address.transport,
    )


async def _ask(
    connection: Connection,
    address: Address,
    question: _Question,
) -> Candidate | None:
    """None: the server gave nothing, which the log says and no viewer must wait for again."""
    try:
        candidate, protocol = await question
    except GIVES_NOTHING as error:
        _failed_at[address] = time.monotonic()
        log.warning("%s:%s gave nothing: %s", address.scheme, address.host, error or "no answer")
        return None
    except asyncio.CancelledError:
        _failed_at[address] = time.monotonic()
        raise
    _failed_at.pop(address, None)
    if protocol is not None:
        connection._protocols.append(protocol)
    return candidate
