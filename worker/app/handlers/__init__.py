"""Wires each handler to the event it wants; one module per job."""
