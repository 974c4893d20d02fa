"""The READMEs agree with the code; `python -m tests.unit.test_readme` writes their tables anew."""

import ast
import io
import re
import tokenize
import tomllib
from functools import cache
from pathlib import Path

from tests.support.text_table import texts_table
from worker.app.jobs import BUILT_IN, describe, known_jobs, permissions
from worker.cli.commands import COMMANDS
from worker.cli.settings import env_text
from worker.clients.http_network import BUNDLES
from worker.telemetry.metrics import REGISTRY

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
READMES = sorted(
    path
    for folder in ("worker", "tests", "deploy")
    for path in (ROOT / folder).rglob("README.md")
    if not {"node_modules", ".terraform"} & set(path.parts)
)
DOCUMENTS = [README, *READMES]

README_LINES = 150

VENDORS = (
    # Genesys, and its code
    "help.mypurecloud.com/",
    "developer.genesys.cloud/",
    "community.genesys.com/",
    "github.com/MyPureCloud/",
    "github.com/GenesysCloudBlueprints/",
    "pypi.org/project/PureCloudPlatformClientV2/",
    # AWS
    "docs.aws.amazon.com/",
    "smithy.io/",
    "github.com/aws/",
    # whose format we write
    "opentelemetry.io/",
    "www.asyncapi.com/",
    "www.standardwebhooks.com/",
    "github.com/standard-webhooks/",
    "docs.slack.dev/",
    "docs.github.com/",
    "learn.microsoft.com/",
)
"""Where links lead. What others found out about a vendor is named, and not linked."""

EXAMPLES = re.compile(
    r"https?://(127\.0\.0\.1|localhost|…|\w+\.example|host:port|(login|api)\.\{|sqs\.|otel-collector\.)"
)

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
NUMBERED = {"10": "debug", "20": "info", "30": "warning", "40": "error", "50": "critical"}
LOGGERS = {"log", "_log", "get_logger", "audit_logger"}


def settings_table():
    rows = [f"| `{row.name}` | {_code(row.default)} | {_line(row.doc)} |" for row in describe({})]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def metrics_table():
    rows = [
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {_line(doc)} |"
        for name, kind, labels, doc in metrics()
    ]
    return "\n".join(["| metric | type | labels | meaning |", "|---|---|---|---|", *rows])


def metrics():
    """Name as scraped, type, labels and help text of each of our own metrics."""
    found = []
    for collector in set(REGISTRY._collector_to_names):
        labels = getattr(collector, "label_names", getattr(collector, "_labelnames", None))
        if labels is not None:
            (family,) = collector.describe()
            suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
            found.append((family.name + suffix, family.type, labels, family.documentation))
    return sorted(found)


def events_table():
    rows = ["| event | level | fields | logged in |", "|---|---|---|---|"]
    for event, (levels, fields, modules) in sorted(log_events().items()):
        named = ", ".join(f"`{field}`" for field in fields)
        rows.append(f"| `{event}` | {', '.join(levels)} | {named} | {', '.join(modules)} |")
    return "\n".join(rows)


@cache
def log_events():
    """Levels, fields and modules by event, as the calls of the loggers have them."""
    found = {}
    for path in sorted((ROOT / "worker").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (call := _log_call(node)) is not None:
                level, event = call
                levels, fields, modules = found.setdefault(event, ([], [], []))
                module = f"`{path.relative_to(ROOT)}`"
                names = [one.arg for one in node.keywords if one.arg not in {None, "exc_info"}]
                for kept, new in ((levels, level), (fields, names), (modules, [module])):
                    kept += [one for one in new if one not in kept]
    return found


def _log_call(node):
    """Levels and event of a call such as `log.info("event", …)`; None for any other node."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return None
    receiver = node.func.value.func if isinstance(node.func.value, ast.Call) else node.func.value
    if getattr(receiver, "attr", getattr(receiver, "id", "")) not in LOGGERS:
        return None
    if node.func.attr in LEVELS and node.args:
        return [node.func.attr], ast.literal_eval(node.args[0])
    if node.func.attr == "log":
        return _levels_of(node.args[0]), ast.literal_eval(node.args[1])
    return None


def _levels_of(level):
    """Names of the numbers in an expression such as `40 if broken else 30`."""
    numbers = [NUMBERED.get(str(getattr(one, "value", ""))) for one in ast.walk(level)]
    return [name for name in numbers if name] or ["by case"]


VARIANTS = (
    ("", {}),
    (" with `VOICE_FROM=ended`", {"voice_from": "ended"}),
    (" with `REPORT_USE_JOBS=true`", {"report_use_jobs": True}),
)
"""Settings by which a job makes other calls, too."""


def permissions_table():
    rows = ["| job | call | permission | without it |", "|---|---|---|---|"]
    for job in map(known_jobs().get, BUILT_IN):
        shown = set()
        for when, over in VARIANTS:
            fields = {
                name: value for name, value in over.items() if name in job.settings.model_fields
            }
            for call, permission in permissions(job, job.settings(**fields)).items():
                if call not in shown:
                    rows.append(_permission(f"`{job.name}`{when}", call, permission, "it waits"))
                shown.add(call)
        for call, permission in job.optional_permissions.items():
            rows.append(_permission(f"`{job.name}`", call, permission, "it does the rest"))
    return "\n".join(rows)


def _permission(job, call, permission, without):
    words = re.sub(r"[\w:]*:[\w:]*", lambda name: f"`{name[0]}`", permission)
    return f"| {job} | `{call}` | {words or 'none is published: a 403 names it'} | {without} |"


def _line(text):
    return " ".join(text.split()).replace("|", "\\|")


def _code(value):
    text = _line(str(value)) if value not in (None, "") else ""
    return f"`{text}`" if text else ""


TABLES = {
    "settings": (ROOT / "worker/settings/README.md", settings_table),
    "metrics": (ROOT / "worker/telemetry/README.md", metrics_table),
    "events": (ROOT / "worker/telemetry/README.md", events_table),
    "permissions": (ROOT / "worker/clients/genesys/README.md", permissions_table),
    "texts": (ROOT / "worker/clients/genesys/README.md", texts_table),
}


def with_tables(path, text):
    for name, (home, table) in TABLES.items():
        if home == path:
            block = f"<!-- {name} -->\n{table()}\n<!-- /{name} -->"
            marked = rf"<!-- {name} -->.*?<!-- /{name} -->"
            text = re.sub(marked, lambda _, b=block: b, text, flags=re.DOTALL)
    return text


def shown(path):
    return str(path.relative_to(ROOT))


def text_of(path):
    return path.read_text()


def bad_in(documents, bad_names_of):
    """What a check finds at fault in each document that has anything."""
    found = {shown(path): bad_names_of(path) for path in documents}
    return {path: names for path, names in found.items() if names}


def test_the_generated_tables_are_those_of_the_code():
    homes = {home for home, _ in TABLES.values()}

    assert [
        shown(home) for home in homes if with_tables(home, text_of(home)) != text_of(home)
    ] == []


def test_the_example_of_an_env_file_has_every_setting():
    assert (ROOT / ".env.example").read_text() == env_text(describe({}))


def test_each_table_stands_in_its_readme_once():
    counts = {
        name: home.read_text().count(f"<!-- {name} -->") for name, (home, _) in TABLES.items()
    }

    assert set(counts.values()) == {1}, counts


def test_the_readme_is_read_in_a_minute_or_two():
    assert len(README.read_text().splitlines()) <= README_LINES


def targets_of(text):
    """Targets of Markdown links, those within code left out."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", prose)


def anchors_of(path):
    """Anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {text.replace(" ", "-") for text in plain}


def broken_links_of(path):
    broken = []
    for target in targets_of(path.read_text()):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (anchor and anchor not in anchors_of(file)):
            broken.append(target)
    return broken


def test_every_link_to_a_file_or_heading_resolves():
    assert bad_in(DOCUMENTS, broken_links_of) == {}


def test_every_heading_cited_in_a_docstring_exists():
    cited = re.compile(r'([\w/]*README\.md)[),]+ "([^"]+)"')
    broken = []
    for module in (ROOT / "worker").rglob("*.py"):
        for name, heading in cited.findall(" ".join(module.read_text().split())):
            home = (ROOT if "/" in name else module.parent) / name
            anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            if not home.exists() or anchor not in anchors_of(home):
                broken.append((shown(module), heading))

    assert broken == []


def test_every_path_named_exists():
    named = re.compile(r"`((?:worker|tests|deploy|\.ci)/[\w./-]+)`")

    def missing(path):
        return [name for name in named.findall(text_of(path)) if not (ROOT / name).exists()]

    assert bad_in(DOCUMENTS, missing) == {}


def strange_links(text):
    urls = re.findall(r"https?://[^\s)`'\"|<>]+", text)
    plain = [url.partition("://")[2] for url in urls if not EXAMPLES.match(url)]
    return {url for url in plain if not url.startswith(VENDORS)}


def comments_of(path):
    """Comments and docstrings of a module; of another file, what follows a `#`."""
    text = path.read_text()
    if "://" not in text:
        return ""
    if path.suffix != ".py":
        return "\n".join(re.findall(r"(?:^|\s)#.*", text))
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    texts = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Expr)]
    return "\n".join(comments + [str(one.value) for one in texts if isinstance(one, ast.Constant)])


def test_every_link_in_a_document_leads_to_a_vendor():
    assert bad_in(DOCUMENTS, lambda path: strange_links(text_of(path))) == {}


def test_every_link_in_a_comment_leads_to_a_vendor():
    kinds = (".py", ".tf", ".hcl", ".sh", ".yml", ".yaml", ".toml")
    sources = [
        path
        for folder in ("worker", "tests", "deploy")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in kinds and ".terraform" not in path.parts
    ]

    assert (
        bad_in([*sources, ROOT / "pyproject.toml"], lambda path: strange_links(comments_of(path)))
        == {}
    )


def test_every_command_named_exists():
    command = re.compile(r"(?:`|^    )worker ([a-z]+(?:-[a-z]+)*)\b", re.MULTILINE)

    assert bad_in(DOCUMENTS, lambda path: set(command.findall(text_of(path))) - set(COMMANDS)) == {}


def test_the_readme_names_every_command():
    named = set(re.findall(r"^\| `worker ([a-z-]+)", text_of(README), re.MULTILINE))

    assert set(COMMANDS) - named == set()


def test_the_layers_are_described_as_they_are_checked():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [layers] = [one["layers"] for one in contracts["contracts"] if one["type"] == "layers"]
    rows = re.findall(r"^\| (`worker/.*?) \|", text_of(ROOT / "worker/README.md"), re.MULTILINE)

    described = {name for row in rows for name in re.findall(r"`worker/(\w+)(?:\.py)?`", row)}

    assert described == set(re.findall(r"\w+", " ".join(layers))) - {"__main__"}


def test_every_make_target_named_exists():
    target = re.compile(r"(?:`|^    )make ([a-z-]+)\b", re.MULTILINE)
    known = set(make_targets())

    assert bad_in(DOCUMENTS, lambda path: set(target.findall(text_of(path))) - known) == {}


def test_every_metric_named_exists():
    known = {name for name, *_ in metrics()} | set(log_events())
    known |= {name + end for name in known for end in ("_bucket", "_sum", "_count")}
    metric = re.compile(r"`(worker_[a-z_]+)[`{ ]")

    assert bad_in(DOCUMENTS, lambda path: set(metric.findall(text_of(path))) - known) == {}


def test_every_setting_named_exists():
    known = {row.name for row in describe({})} | {"AWS_PROFILE", "INVALID_CREDENTIALS"}
    known |= {f"{name}_FILE" for name in (*known, "X")} | {*BUNDLES, "AWS_CA_BUNDLE"}
    known |= {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}
    setting = re.compile(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)[`=]")
    ours = [path for path in DOCUMENTS if "deploy" not in path.parts]

    assert bad_in(ours, lambda path: set(setting.findall(text_of(path))) - known) == {}


def make_targets():
    """Targets of the Makefile, with the comment that `make help` shows."""
    lines = (ROOT / "Makefile").read_text().splitlines()
    found = (re.match(r"([a-z-]+):[^=#]*(?:## *(.*))?$", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def test_make_help_shows_every_target():
    assert {name for name, comment in make_targets().items() if not comment} == set()


if __name__ == "__main__":
    for home in {home for home, _ in TABLES.values()}:
        home.write_text(with_tables(home, home.read_text()))
    (ROOT / ".env.example").write_text(env_text(describe({})))
