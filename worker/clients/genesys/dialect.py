"""What a dialect must offer: one method per verb, each a request and the reader of its reply."""

from collections.abc import Mapping
from typing import Any, Protocol

from worker.clients.genesys.platform import Platform
from worker.clients.genesys.reference import Reference
from worker.clients.genesys.wire import Call, Token
from worker.settings import Genesys


class Dialect(Protocol):
    """The verbs of the Genesys client. Builders raise Permanent for ids that fit no path."""

    def token(self, client_id: str, client_secret: str) -> Call[Token]:
        """Ask for an access token."""

    def execute_data_action(
        self, action_id: str, inputs: Mapping[str, str]
    ) -> Call[Mapping[str, Any] | None]:
        """Run a data action; None: no such customer."""

    def customer_address(self, conversation_id: str) -> Call[str | None]:
        """Ask a live conversation for its customer's raw address; None: none is known."""


def dialect_of(settings: Genesys) -> Dialect:
    """Return the dialect the settings name, with their token path if they have one."""
    kind = Reference if settings.dialect == "reference" else Platform
    if settings.token_path:
        return kind(settings.token_path, not_found=settings.action_not_found)
    return kind(not_found=settings.action_not_found)


def api_url(settings: Genesys) -> str:
    """Return the base URL of the API."""
    return str(settings.api_url or f"https://api.{settings.environment}")


def login_url(settings: Genesys) -> str:
    """Return the base URL of the token request: the login host, or the API's for `reference`."""
    if settings.login_url:
        return str(settings.login_url)
    if settings.dialect == "reference":
        return api_url(settings)
    return f"https://login.{settings.environment}"
