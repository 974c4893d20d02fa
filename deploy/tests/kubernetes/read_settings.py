"""Reads an environment (JSON on stdin) as the worker does; prints the handlers that would run."""  # noqa: INP001  a script's folder

import json
import sys

from worker.app.jobs import load_settings, unknown_settings
from worker.errors import ConfigurationError

environment = json.load(sys.stdin)
try:
    settings = load_settings(environment)
except ConfigurationError as error:
    sys.exit("\n".join(error.problems))
if unknown := list(unknown_settings(environment)):
    sys.exit(f"unknown: {unknown}")
sys.stdout.write(", ".join(settings.enabled_jobs()))
