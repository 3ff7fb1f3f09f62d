"""Operators: run a workflow, send an event, cancel an instance."""
