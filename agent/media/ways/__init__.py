"""The ways that pictures go out and how they find a path: WHIP to a media server, WHEP on the
vehicle's own network, STUN and TURN, and a path that died replaced by another."""
