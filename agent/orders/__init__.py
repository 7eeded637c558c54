"""What a center tells people at a unit: messages to be confirmed, tasks, the incident's id."""
