"""The incident log: chained lines, their check, and their export as JSON, CSV and CAP."""
