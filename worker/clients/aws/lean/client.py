"""Opens lean clients: one pool of connections each, with the chain's credentials."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from ssl import SSLContext

from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.session import AioSession
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import CredentialRetrievalError

from worker.clients.aws.lean.caller import Caller, Credentials
from worker.clients.aws.lean.dialects import DYNAMODB, EVENTS, SQS, STEP_FUNCTIONS, dialect_of
from worker.clients.aws.lean.operations import Call, DynamoDb, Events, Sqs, StepFunctions
from worker.clients.aws.lean.place import place_of, trust
from worker.clients.aws.lean.signing import Signer
from worker.clients.aws.lean.transport import transport_to
from worker.clients.aws.limits import ClientLimits

Client = Sqs | DynamoDb | StepFunctions | Events


class LeanClients:
    """Makes clients of four services with the region, endpoint and credentials of one chain."""

    def __init__(self, chain: AioSession) -> None:
        self._chain = chain

    @staticmethod
    def speaks(service: str) -> bool:
        """Return True for the four."""
        return dialect_of(service) is not None

    @asynccontextmanager
    async def open(self, service: str, limits: ClientLimits) -> AsyncIterator[Client]:
        """Open a client of one of the four. Raises as `place_of` does, and KeyError for others."""
        dialect = dialect_of(service)
        if dialect is None:
            raise KeyError(service)
        place = place_of(self._chain, service)
        trusted = self._trusted if place.url.scheme == "https" else None
        credentials = await self._credentials(limits.attempt_seconds)
        async with transport_to(place, limits, trusted) as transport:
            signer = Signer(dialect, place)
            yield _client(service, Caller(dialect, signer, transport, credentials, limits.attempts))

    async def _credentials(self, renewal_seconds: float) -> Credentials:
        # None is no error yet: the SDK's clients open without, too, and fail when they call.
        found = await self._chain.get_credentials()

        async def current() -> ReadOnlyCredentials | None:
            if not isinstance(found, AioRefreshableCredentials):
                return None if found is None else await found.get_frozen_credentials()
            try:
                async with asyncio.timeout(renewal_seconds):
                    return await found.get_frozen_credentials()
            except TimeoutError as error:
                raise CredentialRetrievalError(provider="role", error_msg="no answer") from error
            except RuntimeError as error:
                # Renewed, and past their end by our clock: the one failure that the chain has no
                # word of its own for. Unknown to callers, it would end the heartbeat.
                raise CredentialRetrievalError(provider="role", error_msg=error) from error

        return current

    @cached_property
    def _trusted(self) -> SSLContext:
        # Shared: the certificates of a context take a megabyte.
        return trust(self._chain)


def _client(service: str, call: Call) -> Client:
    match service:
        case SQS.service:
            return Sqs(call)
        case DYNAMODB.service:
            return DynamoDb(call)
        case STEP_FUNCTIONS.service:
            return StepFunctions(call)
        case EVENTS.service:
            return Events(call)
    raise KeyError(service)
