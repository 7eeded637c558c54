"""Recordings: the fan-out's packets in fragmented MP4 on disk, with what was known beside them."""
