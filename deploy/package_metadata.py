"""The package's metadata that depends on where its repository is; hatchling runs this at a build.

`PROJECT_URL` is where the repository can be read; .github/workflows/release.yml sets it. Not in
pyproject.toml: a fork that releases would link to someone else's files.
"""  # noqa: INP001  a script of the build

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)([^)]+)\)")
"""A link to a file of the repository, which a package index does not have beside the text."""


class Metadata(MetadataHookInterface):
    """README and URLs."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add what is not there: a wheel that is built from an sdist takes over the sdist's."""
        url = os.environ.get("PROJECT_URL", "").rstrip("/")
        files = f"{url}/blob/v{metadata['version']}/" if url else None
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata.setdefault(
            "readme", {"content-type": "text/markdown", "text": with_links_that_hold(text, files)}
        )
        if files:
            metadata.setdefault("urls", urls(url, files))


def with_links_that_hold(text: str, files: str | None) -> str:
    """Return a text whose links to files are absolute; without an address they are plain text."""
    return LINK.sub(rf"[\1]({files}\2)" if files else r"\1", text)


def urls(url: str, files: str) -> dict[str, str]:
    """Return the URLs by the labels that package indexes know."""
    return {
        "Homepage": url,
        "Source": url,
        "Documentation": f"{files}README.md",
        "Changelog": f"{files}CHANGELOG.md",
        "Issues": f"{url}/issues",
    }
