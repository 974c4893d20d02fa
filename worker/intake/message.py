"""Moved to `worker.clients.aws.sqs_replies`; kept until the command line imports it from there."""

from worker.clients.aws.sqs_replies import Message  # noqa: F401
