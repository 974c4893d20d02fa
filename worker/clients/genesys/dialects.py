"""The dialects: one object says all that differs between platform and reference (README.md).

Chosen once for a job, by GENESYS_DIALECT and, among the reference texts, by GENESYS_REFERENCE or
the job itself; what needs a part of it is handed that part.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, Protocol
from urllib.parse import quote, urlencode

from msgspec import Struct

from worker.clients.genesys import wire
from worker.clients.genesys.actions import (
    ActionDialect,
    NotFound,
    Output,
    platform_execution,
    reference_execution,
)
from worker.clients.genesys.conversations import DetailsDialect, PlatformDetails
from worker.clients.genesys.details_query import (
    PagesDialect,
    PlatformPages,
    ReferenceDetails,
    ReferencePages,
)
from worker.clients.genesys.participants import (
    AttributeDialect,
    PlatformAttributes,
    ReferenceAttributes,
)
from worker.clients.genesys.wire import Call, Token
from worker.clients.http_types import Reply, Request

Feature = Literal["details_jobs", "integrations", "live_conversations", "lookups", "transcripts"]
"""What only some dialects have: details by asynchronous jobs, the EventBridge integration, reads of
live conversations, lookups of the organization and of a data action, and transcripts with their
sentiment."""

Host = Literal["api", "login"]
Text = Literal["r0", "r1", "r2", "r3", "r4"]
"""The reference texts."""


FOREIGN = {403, 404, 405, 410}
"""Statuses that are read as an answer, and which firewalls and gateways send as well."""


class Dialect(ActionDialect, Protocol):
    """What a dialect must offer. Builders raise Permanent for ids that fit no path."""

    @property
    def name(self) -> str:
        """The value of GENESYS_DIALECT."""

    @property
    def features(self) -> frozenset[Feature]:
        """What it has beside the verbs that all have."""

    @property
    def text(self) -> Text | None:
        """The reference text by which tokens are asked for; None on the platform."""

    @property
    def issuer(self) -> Host:
        """The host that tokens are asked of."""

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

    def foreign(self, reply: Reply) -> bool:
        """Return whether it is a refusal that Genesys did not write."""


class Platform:
    """Requests and replies as PureCloudPlatformClientV2 has them."""

    name = "platform"
    features: frozenset[Feature] = frozenset(
        ("details_jobs", "integrations", "live_conversations", "lookups", "transcripts")
    )
    text: Text | None = None
    issuer: Host = "login"
    details: DetailsDialect = PlatformDetails()
    attributes: AttributeDialect = PlatformAttributes()

    def __init__(
        self,
        token_path: str | None = None,
        not_found: NotFound = "unknown",
    ) -> None:
        """`not_found`: what a 404 of the system behind a data action means."""
        self._token_path = token_path or "/oauth/token"
        self._not_found = not_found

    def token(self, client_id: str, client_secret: str) -> Call[Token]:
        """Client-credentials grant: Basic header, form body, on the login host."""
        return basic_grant(self._token_path, client_id, client_secret)

    def execute_data_action(self, action_id: str, inputs: Mapping[str, str]) -> Call[Output | None]:
        """Run a data action as the platform does."""
        return platform_execution(action_id, inputs, self._not_found)

    def pages(self, page_size: int) -> PagesDialect:
        """Return the platform's details query."""
        return PlatformPages(page_size)

    def foreign(self, reply: Reply) -> bool:
        """Return whether it is a refusal that has neither correlation id nor code of Genesys'.

        A proxy's 404 must not be read as "no such conversation", and drop an event.
        """
        if reply.status not in FOREIGN:
            return False
        body = wire.error_body_of(reply)
        return body.correlation_id is None and "." not in (body.code or "")


class Profile(Struct, frozen=True):
    """How one reference text asks for its token."""

    path: str
    form: Literal["basic", "form", "json", "query"]
    """Where id and secret are: in a header beside a form, in a form, in a JSON object; or in a
    header, and all else in the query, without a body."""

    scope: str | None = None
    host: Host = "api"


PROFILES: Mapping[Text, Profile] = {
    "r0": Profile("/api/v2/oauth/token", "form", "data:actions:execute"),
    "r1": Profile("/oauth/token", "json"),
    "r2": Profile("/oauth/token", "basic", host="login"),
    "r3": Profile(
        "/api/v2/oauth/token",
        "query",
        "conversation:view conversation:write analytics:conversations:view",
    ),
    "r4": Profile("/oauth/token", "form", "analytics:read"),
}


class Reference:
    """Requests and replies of the five reference texts, for gateways and test doubles.

    No two texts have the same call, so each verb is that of its text; the profile says by which
    text a token is asked for.
    """

    name = "reference"
    features: frozenset[Feature] = frozenset()
    details: DetailsDialect = ReferenceDetails()
    attributes: AttributeDialect = ReferenceAttributes()

    def __init__(
        self, text: Text, token_path: str | None = None, not_found: NotFound = "unknown"
    ) -> None:
        """`token_path`: in place of the text's own. `not_found`: as for the platform."""
        self.text: Text | None = text
        self._profile = PROFILES[text]
        self._token_path = token_path or self._profile.path
        self._not_found = not_found

    @property
    def issuer(self) -> Host:
        """Where the text asks for its token."""
        return self._profile.host

    def token(self, client_id: str, client_secret: str) -> Call[Token]:
        """Client-credentials grant, as the text has it."""
        grant = {"grant_type": "client_credentials"}
        pair = {"client_id": client_id, "client_secret": client_secret}
        scope = {"scope": self._profile.scope} if self._profile.scope else {}
        request = Request(method="POST", path=self._token_path, template=self._token_path)
        match self._profile.form:
            case "basic":
                return basic_grant(self._token_path, client_id, client_secret)
            case "form":
                request = replace(request, form=grant | pair | scope)
            case "json":
                request = replace(request, json=grant | pair)
            case "query":
                asked = urlencode(grant | scope, quote_via=quote)
                headers = basic(client_id, client_secret)
                request = replace(request, path=f"{self._token_path}?{asked}", headers=headers)
        return Call(request, wire.token_of, wire.LOGIN)

    def execute_data_action(self, action_id: str, inputs: Mapping[str, str]) -> Call[Output | None]:
        """Run a data action as r0 does."""
        return reference_execution(action_id, inputs, self._not_found)

    def pages(self, page_size: int) -> PagesDialect:
        """Return r4's report query."""
        return ReferencePages(page_size)

    def foreign(self, reply: Reply) -> bool:  # noqa: ARG002  any is a text's own
        """Return False: the texts say nothing of how a refusal is written."""
        return False


def basic_grant(path: str, client_id: str, client_secret: str) -> Call[Token]:
    """Ask for a token with a Basic header and a form."""
    request = Request(
        method="POST",
        path=path,
        template=path,
        form={"grant_type": "client_credentials"},
        headers=basic(client_id, client_secret),
    )
    return Call(request, wire.token_of, wire.LOGIN)


def basic(client_id: str, client_secret: str) -> dict[str, str]:
    """Return the header with both."""
    pair = b64encode(f"{client_id}:{client_secret}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}
