"""What botocore knows of AWS, without what a worker never reads.

Its files carry the documentation of every operation and the endpoints of every service there is.
Parsed and kept, as botocore does, they are an eighth of the memory of an idle worker.
"""

from typing import Any, Final

from botocore.loaders import Loader, create_loader
from botocore.session import Session

ENDPOINTS = "endpoints"
USED: Final = {"dynamodb", "events", "s3", "sqs", "states", "sts"}
"""Endpoint prefixes that are kept. A service without one still resolves, by its partition."""


class SlimLoader:
    """Stands for botocore's loader, as the session's component `data_loader`.

    Each file is read by a loader of its own: botocore's keeps whatever it has read, whole.
    """

    def __init__(self, data_path: str | None) -> None:
        self._data_path = data_path
        self._kept: dict[object, Any] = {}

    def __getattr__(self, name: str) -> Any:
        """Leave to botocore what loads nothing large: versions, names, paths."""
        return getattr(self._fresh(), name)

    def load_service_model(
        self, service_name: str, type_name: str, api_version: str | None = None
    ) -> Any:
        """Load a model, without its documentation."""
        key = (service_name, type_name, api_version)
        if key not in self._kept:
            self._kept[key] = _undocumented(self._fresh().load_service_model(*key))
        return self._kept[key]

    def load_data(self, name: str) -> Any:
        """Load a file, without its documentation."""
        return self.load_data_with_path(name)[0]

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """Load a file, without its documentation, and tell where it is."""
        if name not in self._kept:
            whole, path = self._fresh().load_data_with_path(name)
            slim = _few_services(whole) if name == ENDPOINTS else _undocumented(whole)
            self._kept[name] = slim, path
        kept: tuple[Any, str] = self._kept[name]
        return kept

    def _fresh(self) -> Loader:
        return create_loader(self._data_path)


def slim(session: Session) -> None:
    """Let a session read its models without documentation; before its first client."""
    session.register_component("data_loader", SlimLoader(session.get_config_variable("data_path")))


def _few_services(endpoints: dict[str, Any]) -> dict[str, Any]:
    partitions = [
        {**one, "services": {name: one["services"][name] for name in USED & set(one["services"])}}
        for one in endpoints["partitions"]
    ]
    return {**endpoints, "partitions": partitions}


def _undocumented(model: Any) -> Any:
    """Return a copy whose texts are empty, not gone: botocore reads some of them unasked.

    A member or a shape of that name is no text, and stays.
    """
    if isinstance(model, dict):
        return {
            key: "" if key == "documentation" and isinstance(value, str) else _undocumented(value)
            for key, value in model.items()
        }
    return [_undocumented(one) for one in model] if isinstance(model, list) else model
