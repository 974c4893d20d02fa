"""Genesys Cloud events from SQS, acted upon: start reading at `worker.intake.delivery`."""

from importlib.metadata import version

__version__ = version("genesys-event-worker")
