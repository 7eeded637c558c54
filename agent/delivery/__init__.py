"""Durable delivery below the outbox: the writing thread, cursors, lanes, retention."""
