"""What an AWS error means to the person who set this up. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from worker.clients.aws.errors import kind_of

REFUSALS = (ClientError, BotoCoreError, ResponseParserError)
"""All that an AWS call may end with in place of its answer."""

_BY_KIND: Mapping[str | None, str] = {
    "denied": "add the permission to the role, and check the resource's own policy",
    "credentials": "the credentials are refused: renew them, and set this machine's clock",
    "missing": "check its name, the account and the region",
}

_REMEDIES = {
    "NoCredentialsError": "give the task a role, or set AWS_ACCESS_KEY_ID and its secret",
    "PartialCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY together",
    "NoRegionError": "set AWS_REGION",
    "EndpointConnectionError": "check AWS_ENDPOINT_URL, the network and the VPC endpoints",
    "ConnectTimeoutError": "check the network, security groups and VPC endpoints",
    "ReadTimeoutError": "check the network; the service did not answer",
    "RequestTimeTooSkewed": "set this machine's clock",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """An error as code and remedy, without its text: that holds ids and URLs."""

    code: str
    remedy: str

    @property
    def is_denied(self) -> bool:
        """Whether a permission is missing."""
        return kind_of(self.code) == "denied"

    @property
    def is_missing(self) -> bool:
        """Whether the resource does not exist, or not here."""
        return kind_of(self.code) == "missing"

    @property
    def text(self) -> str:
        """Both in one line."""
        return f"{self.code} — {self.remedy}"


def fault_of(error: ClientError | BotoCoreError | ResponseParserError) -> Fault:
    """Return what `error` means."""
    code = type(error).__name__
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", code))
    return fault_called(code)


def is_unreachable(code: str) -> bool:
    """Whether the code is the name of an exception of the network: AWS gave no answer."""
    return re.fullmatch(r"\w*(Connect|DNS|Timeout)\w*Error|gaierror|OSError", code) is not None


def fault_called(code: str) -> Fault:
    """Return what an error of this code means."""
    return Fault(code, _remedy(code))


def _remedy(code: str) -> str:
    return _REMEDIES.get(code) or _BY_KIND.get(
        kind_of(code), "see the AWS documentation of this code"
    )
