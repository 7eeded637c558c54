"""What a unit is told: reading and checking files, limits in force, changes from afar."""
