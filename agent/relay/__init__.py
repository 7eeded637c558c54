"""A vehicle as hub: kits' records are kept unchanged and published on the kits' own topics."""
