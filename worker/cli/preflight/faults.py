"""What an AWS error means to the person who set this up. Pure."""

from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "KMS.AccessDeniedException"}
)
BAD_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
    }
)
MISSING = frozenset(
    {"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "ResourceNotFoundException"}
)

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
    def text(self) -> str:
        """Both in one line."""
        return f"{self.code} — {self.remedy}"


def fault_of(error: ClientError | BotoCoreError) -> Fault:
    """Return what `error` means."""
    code = type(error).__name__
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", code))
    return Fault(code, _remedy(code))


def _remedy(code: str) -> str:
    if code in DENIED:
        return "add the permission to the role, and check the resource's own policy"
    if code in BAD_CREDENTIALS:
        return "the credentials are refused: renew them, and set this machine's clock"
    if code in MISSING:
        return "check its name, the account and the region"
    return _REMEDIES.get(code, "see the AWS documentation of this code")
