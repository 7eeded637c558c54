"""The instruments' twins: each plays one datasheet on a pseudo-terminal, byte for byte.

A twin is written from the datasheet a second time: it imports nothing of the drivers and computes
its checksums by itself, so that one mistake cannot cancel out.  It ships with the drivers because
tests, the drill and a technician at a bench all use it:

    python -m drivers.sim winsen --link /tmp/gas0 --gas cl2
"""
