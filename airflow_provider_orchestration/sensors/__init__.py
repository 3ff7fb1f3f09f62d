"""Sensors: wait for an instance that somebody else started."""
