"""The far side: what a command center does with records, and the published contract."""
