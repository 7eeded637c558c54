"""Recordings on the core's side: the index, what locks them, and their bytes for who asks."""
