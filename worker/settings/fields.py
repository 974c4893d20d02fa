"""What the groups of settings are made of: their base, lists, durations, URLs and domains."""

import ast
import re
from functools import cache
from inspect import getsource
from ipaddress import ip_address
from itertools import pairwise
from textwrap import dedent
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    HttpUrl,
    SecretStr,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

ECS_AGENT_HOST = "169.254.170.2"
"""Where ECS tasks find the agent of their host."""


def split(value: object) -> object:
    """Read a comma-separated list; pydantic-settings would want JSON."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def like(pattern: str, otherwise: str) -> AfterValidator:
    """Return a check of a whole text, with the message for a mismatch.

    Not pydantic's `pattern`: its refusal shows the expression, and says nothing to most people.
    """

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(otherwise)
        return text

    return AfterValidator(check)


def _fit_for_a_header(secret: SecretStr) -> SecretStr:
    # Every call would fail otherwise, and none of them would say why.
    if re.fullmatch(r"[!-~]+", secret.get_secret_value()) is None:
        raise ValueError("must be printable ASCII without spaces, as it goes into a header")
    return secret


def is_loopback(host: str | None) -> bool:
    """Return whether `host` can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address((host or "").strip("[]")).is_loopback
    except ValueError:
        return False


def _encrypted_or_local(url: HttpUrl) -> HttpUrl:
    _without_user(url)
    if url.scheme != "https" and not is_loopback(url.host):
        raise ValueError("must begin with https:// unless it names this machine")
    return url


def _of_the_ecs_agent(url: HttpUrl) -> HttpUrl:
    # The address of the agent is plain http by design: link-local, it never leaves the host.
    if (url.scheme, url.host) == ("http", ECS_AGENT_HOST) and not (url.username or url.password):
        return url
    return _encrypted_or_local(url)


def _without_user(url: HttpUrl) -> HttpUrl:
    if url.username or url.password:
        raise ValueError("must not carry a user name or password")
    return url


def example(text: str) -> FieldInfo:
    """Return what a refusal adds: how a value of this type looks."""
    return Field(examples=[text])  # type: ignore[no-any-return]


Uuid = Annotated[
    str,
    like(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "is no UUID"),
    example("3f2b1c9e-8d47-4a56-9b0e-1c2d3e4f5a6b"),
]
Word = Annotated[str, like(r"[!-~]+", "must be printable ASCII without spaces")]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
BearerToken = Annotated[SecretStr, AfterValidator(_fit_for_a_header)]
Globs = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split)]


Bucket = Annotated[
    str,
    # S3 takes the ARN or the alias of an access point in place of a bucket's name.
    like(
        r"(?!xn--|.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]|arn:[\w-]+:s3:[\w:/.-]+",
        "must be the name of a bucket, without s3:// and path",
    ),
    example("my-reports"),
]


class ExactHttpUrl(HttpUrl):
    """A URL whose path and query stay as they were written: a signature may be over them."""

    _rest: str = ""

    def __str__(self) -> str:
        """Return scheme and host in their normal form, and the rest byte for byte."""
        normal = super().__str__()
        return f"{_ORIGIN.match(normal)[0]}{self._rest}" if self._rest else normal  # type: ignore[index]  # every URL has one


_ORIGIN = re.compile(r"[^:/?#]+://[^/?#]*")


def _exact(value: object, validate: ValidatorFunctionWrapHandler) -> ExactHttpUrl:
    url: ExactHttpUrl = validate(value)
    rest = _ORIGIN.sub("", str(value), count=1)
    # Nothing else goes into a request line: white space and letters of other scripts are quoted.
    if rest.startswith("/") and re.fullmatch(r"[!-~]+", rest):
        url._rest = rest  # noqa: SLF001  as good as made here
    return url


Url = Annotated[
    ExactHttpUrl,
    WrapValidator(_exact),
    AfterValidator(_encrypted_or_local),
    example("https://host.example/path"),
]


def _without_api_path(url: HttpUrl) -> HttpUrl:
    # Each call would be a 404, which of speech analytics and conversations means "none there".
    if "/api/v2" in (url.path or ""):
        raise ValueError("must end before /api/v2, which is part of each call's path")
    return url


ApiUrl = Annotated[Url, AfterValidator(_without_api_path), example("https://gateway.example")]
AgentUrl = Annotated[
    HttpUrl, AfterValidator(_of_the_ecs_agent), example(f"http://{ECS_AGENT_HOST}/api/…")
]
CollectorUrl = Annotated[
    HttpUrl, AfterValidator(_without_user), example("http://collector.example:4318")
]


def group(prefix: str) -> SettingsConfigDict:
    """Return the configuration of a group whose variables begin with `prefix`."""
    return SettingsConfigDict(
        env_prefix=prefix,
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )


class Group(BaseSettings):
    """A group of settings; takes only what it is given, so that a test of one is hermetic.

    `load_settings` is the one reader of the environment. Left to itself, pydantic-settings would
    read `os.environ` each time a group is made, whatever the mapping that was to be loaded.
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  pydantic-settings passes these by name
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **_others: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Name the sources of values: the constructor alone."""
        return (init_settings,)


def variable_name(kind: type[Group], field: str) -> str:
    """Return the environment variable of a field, e.g. `SQS_QUEUE_URL`."""
    return f"{kind.model_config.get('env_prefix', '')}{field}".upper()


def doc_of(kind: type[Group], field: str) -> str:
    """Return the docstring of a field in one line.

    Read from the source when it is asked for: pydantic's `use_attribute_docstrings` would parse
    the source of all groups at each start, a tenth of the time of all imports.
    """
    given = kind.model_fields[field].description
    found = given or next((doc for one in kind.__mro__ if (doc := _docs(one).get(field))), "")
    return " ".join(found.split())


@cache
def _docs(kind: type) -> dict[str, str]:
    if not issubclass(kind, Group):
        return {}
    try:
        [declared] = ast.parse(dedent(getsource(kind))).body
    except OSError:  # without its source
        return {}
    lines = declared.body if isinstance(declared, ast.ClassDef) else []
    return {
        field.target.id: doc.value.value
        for field, doc in pairwise(lines)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(doc, ast.Expr)
        and isinstance(doc.value, ast.Constant)
        and isinstance(doc.value.value, str)
    }


REGIONS = {
    "us-east-1": "mypurecloud.com",
    "us-east-2": "use2.us-gov-pure.cloud",
    "us-west-2": "usw2.pure.cloud",
    "ca-central-1": "cac1.pure.cloud",
    "mx-central-1": "mxc1.pure.cloud",
    "sa-east-1": "sae1.pure.cloud",
    "eu-west-1": "mypurecloud.ie",
    "eu-west-2": "euw2.pure.cloud",
    "eu-central-1": "mypurecloud.de",
    "eu-central-2": "euc2.pure.cloud",
    "eusc-de-east-1": "edee1.eusc-pure.cloud",
    "me-central-1": "mec1.pure.cloud",
    "ap-south-1": "aps1.pure.cloud",
    "ap-southeast-1": "apse1.pure.cloud",
    "ap-southeast-2": "mypurecloud.com.au",
    "ap-northeast-1": "mypurecloud.jp",
    "ap-northeast-2": "apne2.pure.cloud",
    "ap-northeast-3": "apne3.pure.cloud",
}
"""AWS regions of Genesys Cloud with their domains. New ones appear every year: any domain will do.

https://help.mypurecloud.com/articles/aws-regions-for-genesys-cloud-deployment/
"""


def _domain(text: str) -> str:
    # As people copy it: a URL out of a browser, a host, a region of the SDK (`us_east_1`).
    name = re.sub(r"^(https://)?((api|apps|login)\.(?=.*\.))?|/$", "", text.lower())
    name = name.replace("_", "-")
    if re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", name):
        return name
    if name not in REGIONS:
        raise ValueError("is neither a domain nor an AWS region of Genesys Cloud")
    return REGIONS[name]


Domain = Annotated[str, AfterValidator(_domain), example("mypurecloud.ie or eu-west-1")]


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _transport(value: object) -> object:
    name = _lower(value)
    return "wire" if name == "lean" else name  # its name until 0.2, and still an alias


def _level(value: object) -> object:
    name = _lower(value)
    # As Python's logging and many others name them.
    return {"warn": "warning", "critical": "error", "fatal": "error"}.get(str(name), name)


Transport = Annotated[Literal["wire", "aiohttp", "sdk"], BeforeValidator(_transport)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_level)]
LogFormat = Annotated[Literal["auto", "json", "console"], BeforeValidator(_lower)]
