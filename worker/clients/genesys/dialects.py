"""The dialects: one object says all that differs between platform and reference (README.md).

Chosen once, from GENESYS_DIALECT; what needs a part of it is handed that part.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Literal, Protocol

from worker.clients.genesys import wire
from worker.clients.genesys.actions import (
    ActionDialect,
    NotFound,
    Output,
    platform_execution,
    reference_execution,
)
from worker.clients.genesys.conversations import (
    DetailsDialect,
    PlatformDetails,
    ReferenceDetails,
)
from worker.clients.genesys.details_query import PagesDialect, PlatformPages, ReferencePages
from worker.clients.genesys.participants import (
    AttributeDialect,
    PlatformAttributes,
    ReferenceAttributes,
)
from worker.clients.genesys.wire import Call, Token
from worker.clients.http_types import Request

Feature = Literal["details_jobs", "integrations", "lookups", "transcripts"]
"""What only some dialects have: details by asynchronous jobs, the EventBridge integration, lookups
of the organization and of a data action, and transcripts with their sentiment."""


class Dialect(ActionDialect, Protocol):
    """What a dialect must offer. Builders raise Permanent for ids that fit no path."""

    @property
    def name(self) -> str:
        """The value of GENESYS_DIALECT."""

    @property
    def features(self) -> frozenset[Feature]:
        """What it has beside the verbs that all have."""

    @property
    def details(self) -> DetailsDialect:
        """Details of conversations by id."""

    @property
    def attributes(self) -> AttributeDialect:
        """Flow inputs and participant attributes."""

    def token(self, client_id: str, client_secret: str) -> Call[Token]:
        """Ask for an access token."""

    def pages(self, page_size: int) -> PagesDialect:
        """Return how the conversations of an interval are asked for."""


class Platform:
    """Requests and replies as PureCloudPlatformClientV2 has them."""

    name = "platform"
    features: frozenset[Feature] = frozenset(
        ("details_jobs", "integrations", "lookups", "transcripts")
    )
    details: DetailsDialect = PlatformDetails()
    attributes: AttributeDialect = PlatformAttributes()

    def __init__(
        self,
        token_path: str = "/oauth/token",  # noqa: S107  a path, no secret
        not_found: NotFound = "unknown",
    ) -> None:
        """`not_found`: what a 404 of the system behind a data action means."""
        self._token_path = token_path
        self._not_found = not_found

    def token(self, client_id: str, client_secret: str) -> Call[Token]:
        """Client-credentials grant: Basic header, form body, on the login host."""
        pair = f"{client_id}:{client_secret}"
        request = Request(
            method="POST",
            path=self._token_path,
            template=self._token_path,
            form={"grant_type": "client_credentials"},
            headers={"Authorization": f"Basic {b64encode(pair.encode()).decode()}"},
        )
        return Call(request, wire.token_of, wire.LOGIN)

    def execute_data_action(self, action_id: str, inputs: Mapping[str, str]) -> Call[Output | None]:
        """Run a data action as the platform does."""
        return platform_execution(action_id, inputs, self._not_found)

    def pages(self, page_size: int) -> PagesDialect:
        """Return the platform's details query."""
        return PlatformPages(page_size)


class Reference:
    """Requests and replies of the five reference texts, r0 to r4, for gateways and test doubles."""

    name = "reference"
    features: frozenset[Feature] = frozenset()
    details: DetailsDialect = ReferenceDetails()
    attributes: AttributeDialect = ReferenceAttributes()

    def __init__(
        self,
        token_path: str = "/api/v2/oauth/token",  # noqa: S107  a path, no secret
        not_found: NotFound = "unknown",
    ) -> None:
        """`token_path`: r1 and r4 have `/oauth/token`. `not_found`: as for the platform."""
        self._token_path = token_path
        self._not_found = not_found

    def token(self, client_id: str, client_secret: str) -> Call[Token]:
        """Client-credentials grant: id and secret in the form body, on the API host."""
        request = Request(
            method="POST",
            path=self._token_path,
            template=self._token_path,
            form={
                "grant_type": "client_credentials",
                "client_id": client_id,
                "client_secret": client_secret,
            },
        )
        return Call(request, wire.token_of, wire.LOGIN)

    def execute_data_action(self, action_id: str, inputs: Mapping[str, str]) -> Call[Output | None]:
        """Run a data action as r0 does."""
        return reference_execution(action_id, inputs, self._not_found)

    def pages(self, page_size: int) -> PagesDialect:
        """Return r4's report query."""
        return ReferencePages(page_size)
