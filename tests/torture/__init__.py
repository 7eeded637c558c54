"""Torture: an agent under steady load while everything around it breaks at random.

`make torture` (TORTURE_S=180 by default, TORTURE_SEED, TORTURE_RELAY=1) ends with one line:
`made N, received N, missing 0, repeated after removal 0, alarms late 0`.
"""
