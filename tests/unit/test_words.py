"""The words of the field, and none of the private ones they replaced (see the glossary)."""

import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[2]

COVERED = [
    "CHANGELOG.md",
    "Dockerfile",
    "Makefile",
    "README.md",
    "deploy",
    "docker-compose.yml",
    "pyproject.toml",
    "tests",
    "worker",
]
"""What is read."""

GONE = {
    r"twins?": "copy, in-flight deduplication",
    r"suspects?": "quarantined message",
    r"(outage )?judges?|verdicts?": "result, state",
    r"valves?": "gate",
    r"waiting rooms?|hides? again": "deferred retry",
    r"lanes?|followers?|works? off": "FIFO group",
    r"desk|workshop": "AppContext",
    r"park(s|ed|ing)?": "dead-letter",
    r"(give|gives|gave|given) back": "release, refund",
    r"(show|shows|shown) again": "release, change visibility",
    r"fates?": "settlement, disposition",
    r"ledgers?": "idempotency store",
    r"late owners?": "stale owner",
    r"heap|hurry|goodbye|young": "GC tuning, force, log exit",
    r"staircase|spent|turn(s|ed)? away": "rate schedule, exhausted, reject",
    r"take off|pumps?|lands?|arms?": "load, flush, finish, schedule",
    r"grave|trail": "severe, audit record",
    r"lean|put right|told": "wire client, adjust, reported",
    r"complaints?|decipher(s|ed)?": "error body, parse",
    r"patience|strikes|too heavy": "time limit, failure count, too large",
    r"surroundings|afterthoughts?": "fixtures, late duplicates",
    r"mend(s|ed|ing)?": "fix",
    r"(is|are|all|not) well|ends well": "ok, passed, healthy",
    r"in hand": "in flight",
    r"tells?": "report, log, return, distinguish",
    r"somebody|nobody|everybody|whoever": "any, none, a caller",
    r"looks? (at|around)|looked at": "check, poll",
    r"look ups": "lookups",
    r"rights": "permissions",
    r"parted": "separated",
    r"burn(s|ed)? (a )?receives?": "use up a receive",
    r"(stands?|stood) still": "is not moving",
    r"full house": "all permits in use",
}
GONE_FROM_THE_PRODUCT = {
    r"watch(es|ed)?": "status snapshot, sample",
    r"stages?": "phase, environment",
    r"steps": "once per key, actions",
    r"(?<!dead )letters?": "dead letter",
    r"receivers|shelf|shelves": "sinks, file store",
    r"(?<!bus )listeners?": "subscriber",
    r"pace|spent for|rush": "rate, exhausted for, force exit",
    r"play(s|ed|ing)?|noise|troubles?": "scenario, invalid traffic, fault",
    r"company|careful|terms|packing": "quarantine, body encoding",
    r"rooms?|call back": "permits, bytes left, retry",
    r"exchanges?|refusals|rounds": "request and reply, errors, page batches",
    r"sourcing|inspecting|reporting|telling": "source, inspect, report",
    r"other hands|to be seen|ours to take|in vain|are at their end": "plain English",
    r"[a-z0-9]+: is missing|there is no such": "is not set, does not exist",
}
"""Gone from `worker`, `deploy` and the README. Tests may use them as any text does."""


def compiled(words):
    """Each word as a pattern, and all as one: asked first, as nearly every text has none."""
    each = {re.compile(rf"\b({word})\b"): instead for word, instead in words.items()}
    return each, re.compile(rf"\b({'|'.join(words)})\b")


IN_TESTS, IN_PRODUCT = compiled(GONE), compiled(GONE | GONE_FROM_THE_PRODUCT)

KEPT = re.compile(
    r"SQS_PARK_LIMIT|park_limit|EVENTS_UNROUTED=park|LEDGER_\w*|\S+::\w+|https?://\S+"
    r"|CloudWatch|GF_ANALYTICS_REPORTING_ENABLED|WORKFLOW_STEPS|workflow_steps|enrichmentSteps|letter-spacing"
)
"""Names of settings stay, and links and test ids are names of something else."""

LETTERS = {"letters": "of the alphabet"}
SOCKETS = {"listener": "socket that listens", "listeners": "sockets that listen"}
STEPS = {"steps": "of the workflow, as WORKFLOW_STEPS has it"}

ALLOWED = {
    "CHANGELOG.md": {"stage": "of the Dockerfile"},
    "Dockerfile": {"stage": "of a Dockerfile"},
    "deploy/README.md": {"steps": "of the workflow, and of the autoscaler"},
    "deploy/monitoring/grafana/": {"steps": "field of a Grafana threshold"},
    "deploy/state-machine/": STEPS,
    "deploy/terraform/collector.tf": {"receivers": "of a collector's configuration"},
    "deploy/terraform/": LETTERS | STEPS | {"letter": "of the alphabet"},
    "deploy/tests/container/own_job.sh": {
        "stage": "of a Dockerfile",
        "stages": "of a Dockerfile",
    },
    "deploy/tests/terraform/": STEPS,
    "tests/intake/test_consumer.py": {"park": "value of EVENTS_UNROUTED"},
    "tests/intake/test_series.py": {"park": "value of EVENTS_UNROUTED"},
    "worker/app/intake.py": {"park": "value of EVENTS_UNROUTED"},
    "worker/cli/jobs/__init__.py": LETTERS,
    "worker/cli/report.py": LETTERS,
    "README.md": {"watch": "option, as kubectl has it"},
    "worker/cli/commands.py": {"watch": "option, as kubectl has it"},
    "worker/cli/status.py": {"watch": "option, as kubectl has it"},
    "worker/cli/demo.py": {"company": "that has a proxy"},
    "worker/cli/source.py": LETTERS | {"steps": "of a plan"},
    "worker/demo/environment.py": {"ledger": "name of the demo's table, as LEDGER_TABLE has it"},
    "worker/demo/process.py": {"tell": "method of a file"},
    "worker/emulators/moto.py": {"steps": "of a thread"},
    "worker/emulators/sqs/protocol.py": LETTERS,
    "worker/jobs/attributes/inspector.py": {"letter": "of the alphabet"},
    "worker/jobs/reports/": LETTERS | {"steps": "of an axis"},
    "worker/jobs/workflow/": STEPS,
    "worker/ops/": SOCKETS,
    "worker/settings/fields.py": LETTERS | {"lean": "alias of AWS_TRANSPORT=wire"},
    "worker/settings/groups.py": {
        "park": "value of EVENTS_UNROUTED",
    },
}
"""Path, or where it begins → word → reason."""


def as_words(text):
    """Lower-case words of a text or an identifier, separated at `_`, `-` and camelCase."""
    text = KEPT.sub(" ", text)
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    return re.sub(r"[\s_\-#]+", " ", text).lower()


def gone_words(text, path):
    each, any_of_them = IN_TESTS if path.startswith("tests/") else IN_PRODUCT
    words = as_words(text)
    if not any_of_them.search(words):
        return set()
    return {(match[0], instead) for gone, instead in each.items() for match in gone.finditer(words)}


def offenders(texts, path):
    allowed = {word for home, words in ALLOWED.items() if path.startswith(home) for word in words}
    return [
        f"{path}:{line}: {word} → {instead}"
        for line, text in texts
        for word, instead in sorted(gone_words(text, path))
        if word not in allowed
    ]


def covered(*suffixes):
    """Files below the covered paths, as paths from the root."""
    for name in COVERED:
        home = ROOT / name
        files = sorted(home.rglob("*")) if home.is_dir() else [home]
        for path in files:
            ours = path != Path(__file__) and not {"__pycache__", ".terraform"} & set(path.parts)
            itself = path.is_file() and not path.is_symlink()
            if ours and itself and path.suffix in suffixes:
                yield path.relative_to(ROOT).as_posix()


def tokens_of(path):
    """Line and text of each identifier and string; comments that follow each other as one."""
    text, comment, began = (ROOT / path).read_text(), "", 0
    if not gone_words(text, path):  # taking a file apart costs twenty times as much
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            began, comment = began or token.start[0], f"{comment} {token.string}"
        elif token.type not in {tokenize.NL, tokenize.NEWLINE}:
            if comment:
                yield began, comment
                comment, began = "", 0
            yield token.start[0], token.string


def lines_of(path):
    text = (ROOT / path).read_text()
    if path == "CHANGELOG.md":  # which says what a name in backticks was called before
        text = re.sub(r"`[^`\n]+`", "", text)
    return enumerate(text.splitlines(), 1)


def all_offenders(texts_of, *suffixes):
    return [found for path in covered(*suffixes) for found in offenders(texts_of(path), path)]


def test_identifiers_strings_and_comments_use_the_words_of_the_field():
    assert all_offenders(tokens_of, ".py") == []


def test_documents_use_the_words_of_the_field():
    assert all_offenders(lines_of, ".md") == []


def test_infrastructure_and_alerts_use_the_words_of_the_field():
    suffixes = (".yml", ".yaml", ".tf", ".hcl", ".json", ".sh", ".toml", "")

    assert all_offenders(lines_of, *suffixes) == []


def test_each_allowed_word_is_there():
    texts = {
        path: (ROOT / path).read_text()
        for path in covered(".py", ".md", ".tf", ".hcl", ".json", ".sh", ".yml", "")
    }
    found = {path: {word for word, _ in gone_words(texts[path], path)} for path in texts}

    unused = [
        (home, word)
        for home, words in ALLOWED.items()
        for word in words
        if not any(word in found[path] for path in found if path.startswith(home))
    ]

    assert unused == []
