"""Verbs of the command line that do one thing and end."""
