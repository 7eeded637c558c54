"""Fuzzing of every decoder and of the agent's own parsers: `make fuzz`, and a short one in tests.

Decoders are found, not listed: each driver module brings its own (`agent.config.driver_names`), and
is tried with the keys that its captures and its `PROBES` name.
"""
