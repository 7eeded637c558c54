"""Units near each other: alarms and calls for help over multicast, with no broker and no center."""
