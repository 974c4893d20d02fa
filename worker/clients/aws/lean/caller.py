"""One call: signed, sent, and made again while that may help."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any
from uuid import uuid4

from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.retries.quota import RetryQuota

from worker.clients.aws.lean.clock import Clock
from worker.clients.aws.lean.dialects import Answer, Dialect
from worker.clients.aws.lean.reply import answer_of
from worker.clients.aws.lean.retry import Attempts
from worker.clients.aws.lean.signing import Signer
from worker.clients.aws.lean.transport import Transport
from worker.clients.aws.lean.values import encoded

Credentials = Callable[[], Awaitable[ReadOnlyCredentials | None]]
"""Asked before each attempt: those of a role are renewed on the way."""


class Caller:
    """Calls the operations of one service."""

    def __init__(
        self,
        dialect: Dialect,
        signer: Signer,
        transport: Transport,
        credentials: Credentials,
        most_attempts: int,
    ) -> None:
        self._dialect = dialect
        self._signer = signer
        self._transport = transport
        self._credentials = credentials
        self._most_attempts = most_attempts
        self._quota = RetryQuota()
        self._clock = Clock()
        self._random = Random()  # noqa: S311  jitter, not secrets

    async def __call__(self, operation: str, parameters: Mapping[str, Any]) -> Answer:
        """Return the answer. Raises ClientError and BotoCoreError, as the SDK's clients do."""
        body, invocation = encoded(parameters), str(uuid4())
        attempts = Attempts(self._most_attempts, self._quota, self._random.random)
        put_right = False
        while True:
            try:
                answer = await self._attempt(operation, body, invocation, attempts)
            except (ClientError, BotoCoreError) as error:
                # Once, and not as an attempt: nothing was tried but a wrong time.
                if not put_right and isinstance(error, ClientError):
                    put_right = self._clock.put_right(error)
                    if put_right:
                        continue
                pause = attempts.pause_after(error)
                if pause is None:
                    raise
            else:
                attempts.succeeded()
                return answer
            await asyncio.sleep(pause)

    async def _attempt(
        self, operation: str, body: bytes, invocation: str, attempts: Attempts
    ) -> Answer:
        credentials = await self._credentials()
        if credentials is None:
            raise NoCredentialsError
        headers = self._signer.headers(operation, body, credentials, self._clock.seconds())
        headers["amz-sdk-invocation-id"] = invocation
        headers["amz-sdk-request"] = f"attempt={attempts.number}; max={attempts.most}"
        reply = await self._transport.post(headers, body)
        return answer_of(reply, self._dialect, operation, attempts.metadata())
