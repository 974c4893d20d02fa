"""AWS clients to test with, of each transport."""

from contextlib import asynccontextmanager

from worker.clients.aws.session import AwsSession, ClientLimits

WIRE = ("wire", "aiohttp")
"""The wire client, by whose connections."""

TRANSPORTS = ("sdk", *WIRE)
LIMITS = ClientLimits(pool=5, read_seconds=60, attempts=1)

SET_UP = frozenset(
    {
        "create_event_bus",
        "create_queue",
        "create_state_machine",
        "create_table",
        "delete_table",
        "describe_execution",
        "list_executions",
        "put_rule",
        "put_targets",
        "scan",
    }
)
"""What the tests call and the worker never does: always by the SDK."""


class Client:
    """A client of the worker's; what only tests call goes to another, of the SDK."""

    def __init__(self, tested, sdk):
        self._tested = tested
        self._sdk = sdk

    def __getattr__(self, operation):
        return getattr(self._sdk if operation in SET_UP else self._tested, operation)


@asynccontextmanager
async def an_aws_client(service, transport="wire", limits=LIMITS):
    """Of the server at AWS_ENDPOINT_URL."""
    async with sdk_client(service, limits) as sdk:
        if transport == "sdk":
            yield sdk
            return
        async with AwsSession(transport=transport).client(service, limits) as tested:
            yield Client(tested, sdk)


def sdk_client(service, limits=LIMITS):
    """To see what the worker did, and for servers that are tested themselves."""
    return AwsSession(transport="sdk").client(service, limits)
