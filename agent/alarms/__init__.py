"""Alarms: pure state machines.  No loop, no file, no clock: time is an argument."""
