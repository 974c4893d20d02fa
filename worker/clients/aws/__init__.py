"""AWS: a file per service, one table of errors, and a wire client of our own."""

from worker.clients.aws.bus import Bus
from worker.clients.aws.errors import CREDENTIALS
from worker.clients.aws.service import AwsService
from worker.clients.aws.wire.connection import ClientLimits

__all__ = ["CREDENTIALS", "AwsService", "Bus", "ClientLimits"]
