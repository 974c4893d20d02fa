"""The README's tables are made from the code; `python -m tests.unit.test_readme` renews them."""

import re
from pathlib import Path

from worker.settings import describe
from worker.telemetry.metrics import REGISTRY

README = Path(__file__).parents[2] / "README.md"


def settings_table():
    rows = [f"| `{row.name}` | {_code(row.default)} | {_line(row.doc)} |" for row in describe({})]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def metrics_table():
    rows = ["| metric | labels | meaning |", "|---|---|---|"]
    for collector in sorted(set(REGISTRY._collector_to_names), key=_name):
        if hasattr(collector, "_labelnames"):
            labels = ", ".join(f"`{label}`" for label in collector._labelnames)
            rows.append(f"| `{_name(collector)}` | {labels} | {_line(collector._documentation)} |")
    return "\n".join(rows)


def _name(collector):
    suffix = {"counter": "_total", "info": "_info"}.get(getattr(collector, "_type", ""), "")
    return getattr(collector, "_name", "") + suffix


def _line(text):
    return " ".join(text.split()).replace("|", "\\|")


def _code(value):
    text = _line(str(value)) if value not in (None, "") else ""
    return f"`{text}`" if text else ""


def with_tables(readme):
    for name, table in (("settings", settings_table()), ("metrics", metrics_table())):
        block = f"<!-- {name} -->\n{table}\n<!-- /{name} -->"
        readme = re.sub(
            rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _, b=block: b, readme, flags=re.DOTALL
        )
    return readme


def test_the_readme_lists_every_setting_and_every_metric_as_they_are():
    readme = README.read_text()

    assert readme == with_tables(readme)


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
