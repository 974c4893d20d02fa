"""Where a service is and how it is reached: botocore's own rules, asked once per client."""

import ssl
from dataclasses import dataclass, field

from aiobotocore.session import AioSession
from botocore.auth import SigV4Auth
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.endpoint import EndpointCreator
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import NoRegionError
from botocore.httpsession import ProxyConfiguration, get_cert_path
from botocore.utils import (
    get_environ_proxies,
    is_valid_endpoint_url,
    is_valid_ipv6_endpoint_url,
    validate_region_name,
)
from yarl import URL


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The endpoint of one service."""

    url: URL
    region: str
    """Of signatures."""

    path: str
    """Canonical, for signatures."""

    proxy: str | None = field(repr=False)
    """The proxy's URL, which may hold a password."""

    proxy_headers: dict[str, str] = field(repr=False)

    @property
    def host(self) -> str:
        """Return the value of the `Host` header."""
        return self.url.host_port_subcomponent or ""


def place_of(chain: AioSession, service: str) -> Place:
    """Return where the chain's settings and variables say that a service is.

    Raises NoRegionError, InvalidRegionError and EndpointProviderError, and ValueError for an
    endpoint that is no URL: as the SDK does when a client is made.
    """
    region, fips = _region(chain)
    url = _endpoint(chain, service, region, fips=fips)
    if not (is_valid_endpoint_url(url) or is_valid_ipv6_endpoint_url(url)):
        raise ValueError(f"Invalid endpoint: {url}")
    proxies = ProxyConfiguration(get_environ_proxies(url))
    proxy = proxies.proxy_url_for(url)
    parsed = URL(url, encoded=True)
    if not parsed.raw_path.strip("/"):
        parsed = parsed.with_path("/")  # a proxy is told the whole URL
    return Place(
        url=parsed,
        region=region,
        path=SigV4Auth(None, "", region)._normalize_url_path(parsed.raw_path),  # noqa: SLF001  the signer's own rule
        proxy=proxy,
        proxy_headers=proxies.proxy_headers_for(proxy) if proxy else {},
    )


def trust(chain: AioSession) -> ssl.SSLContext:
    """Return whom to trust: AWS_CA_BUNDLE or the profile's, REQUESTS_CA_BUNDLE, or certifi's."""
    rules = EndpointCreator(None)
    bundle = rules._get_verify_value(chain.get_config_variable("ca_bundle"))  # noqa: SLF001  no public way
    return ssl.create_default_context(cafile=get_cert_path(bundle))


def _region(chain: AioSession) -> tuple[str, bool]:
    named = chain.get_config_variable("region")
    if not named:
        raise NoRegionError
    region = named.replace("fips-", "").replace("-fips", "")
    validate_region_name(region)
    return region, region != named


def _endpoint(chain: AioSession, service: str, region: str, *, fips: bool) -> str:
    loader = chain.get_component("data_loader")
    rules = EndpointProvider(
        loader.load_service_model(service, "endpoint-rule-set-1"), loader.load_data("partitions")
    )
    parameters = {
        "Region": region,
        "UseFIPS": fips or bool(chain.get_config_variable("use_fips_endpoint")),
        "UseDualStack": bool(chain.get_config_variable("use_dualstack_endpoint")),
    }
    if configured := _configured(chain, service):
        parameters["Endpoint"] = configured
    # The SDK would rather use an account's own endpoint where it knows the account. The region's
    # serves all accounts, whoever the credentials come to be of; so only «required» is passed on,
    # and refused by the rules, instead of being ignored.
    if "AccountIdEndpointMode" in rules.ruleset.parameters:
        mode = chain.get_config_variable("account_id_endpoint_mode")
        parameters["AccountIdEndpointMode"] = "required" if mode == "required" else "disabled"
    url: str = rules.resolve_endpoint(**parameters).url
    return url


def _configured(chain: AioSession, service: str) -> str | None:
    if chain.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    provider = ConfiguredEndpointProvider(
        full_config=chain.full_config,
        scoped_config=chain.get_scoped_config(),
        client_name=service,
    )
    url: str | None = provider.provide()
    return url
