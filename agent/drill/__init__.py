"""A drill on a laptop: scenario, world, instruments' twins, ordinary agents, report."""
