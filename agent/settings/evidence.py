"""How sure the drivers of a unit are, and what hangs on that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.config import SourceConfig

FROM_MEMORY = "from memory"

GASES = frozenset(
    "cl2 co co2 h2s o2 nh3 so2 no no2 nox ch4 ch2o o3 hcl hf hcn ph3 ash3 sih4 eto c2h4 c2h2 c3h8"
    " c6h6 h2 clo2 voc combustible".split()
)
"""Quantities of which a wrong value may cost a life (drivers/README.md)."""


def how_sure(source: SourceConfig) -> str:
    """`seen on hardware`, `from datasheet` or `from memory`."""
    evidence: str = source.options.how_sure() or source.module.INSTRUMENT.evidence
    return evidence


def gases(source: SourceConfig) -> tuple[str, ...]:
    """The gases that a source is known to measure, in its own order."""
    return tuple(name for name in dict.fromkeys(source.options.measures()) if name in GASES)


def is_gas_instrument(source: SourceConfig) -> bool:
    """Also where only its registers will say which gas it is."""
    return not GASES.isdisjoint(source.options.may_measure())


def unverified(sources: Sequence[SourceConfig]) -> Iterator[tuple[int, str]]:
    """(index, sentence) of each source that alone answers for a gas, is known from memory only, and
    whose table does not name that risk."""
    sure = {gas for source in sources if not _from_memory(source) for gas in gases(source)}
    for index, source in enumerate(sources):
        alone = [gas for gas in gases(source) if gas not in sure]
        if alone and _from_memory(source) and not source.table.accept_unverified:
            yield (
                index,
                f"{source.table.driver!r} is written from memory here, and nothing better measures "
                f"{', '.join(alone)}; check it with test gas and say accept_unverified = true",
            )


def _from_memory(source: SourceConfig) -> bool:
    return how_sure(source).startswith(FROM_MEMORY)
