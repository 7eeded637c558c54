"""Hot, warm and cold areas around an incident: `zone`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from agent import topics
from agent.alarms.zones import Zone
from agent.commands import RefusedError, Verb
from agent.person.areas import zone_of
from agent.settings.person import ZoneConfig

if TYPE_CHECKING:
    from agent.person.responder import Responder

Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90)]
Longitude = Annotated[float, msgspec.Meta(ge=-180, le=180)]
Corner = tuple[Latitude, Longitude]
ZoneId = Annotated[str, msgspec.Meta(pattern=topics.SLUG.pattern)]


class ZoneArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A circle (`center` and `radius_m`) or a `polygon`, WGS-84; neither: the zone is removed."""

    id: ZoneId
    kind: Literal["hot", "warm", "cold"] = "hot"
    name: Annotated[dict[str, Annotated[str, msgspec.Meta(max_length=64)]],
                    msgspec.Meta(max_length=4)] = {}  # fmt: skip
    center: Corner | None = None
    radius_m: Annotated[float, msgspec.Meta(gt=0, le=100_000)] | None = None
    polygon: Annotated[tuple[Corner, ...], msgspec.Meta(min_length=3, max_length=200)] | None = None
    alarm: Literal["enter", "leave", "none"] | None = None
    """What is an alarm; left out: entering a hot or warm zone."""


ARGUMENTS: dict[str, type[msgspec.Struct]] = {"zone": ZoneArgs}


def verbs(responder: Responder) -> dict[str, Verb]:
    def zone(args: ZoneArgs, by: str, _uplink: Any) -> dict[str, Any]:
        try:
            if args.center is None and args.polygon is None and args.radius_m is None:
                responder.remove_zone(args.id, by)
            else:
                responder.put_zone(_zone(args), by)
        except LookupError as error:
            raise RefusedError("not_found", str(error.args[0])) from error
        except ValueError as error:
            raise RefusedError("bad_arguments", f"args: {error}") from error
        return {}

    return {"zone": Verb(ZoneArgs, zone)}


def _zone(args: ZoneArgs) -> Zone:
    """ValueError: what is drawn is neither a circle nor a polygon."""
    config = ZoneConfig(
        id=args.id, name=args.name, kind=args.kind, center=args.center, radius_m=args.radius_m,
        polygon=args.polygon, alarm=args.alarm,
    )  # fmt: skip
    for key, sentence in config.mistakes():
        raise ValueError(f"{key}: {sentence}")
    return zone_of(config)
