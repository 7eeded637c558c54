"""Outpost: the field-device edge agent."""

__version__ = "0.1.0"
