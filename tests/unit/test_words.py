"""The words of the field, and none of the private ones they replaced (see the glossary)."""

import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[2]

COVERED = [
    "README.md",
    "deploy",
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
GONE_WORDS = {re.compile(rf"\b({gone})\b"): instead for gone, instead in GONE.items()}
ANY_GONE = re.compile(rf"\b({'|'.join(GONE)})\b")
"""Asked first: nearly every text has none of them."""

KEPT = re.compile(
    r"SQS_PARK_LIMIT|park_limit|EVENTS_UNROUTED=park|LEDGER_\w*|\S+::\w+|https?://\S+"
)
"""Names of settings stay, and links and test ids are names of something else."""

ALLOWED = {
    "tests/intake/test_consumer.py": {"park": "value of EVENTS_UNROUTED"},
    "tests/intake/test_series.py": {"park": "value of EVENTS_UNROUTED"},
    "worker/app/intake.py": {"park": "value of EVENTS_UNROUTED"},
    "worker/demo/environment.py": {"ledger": "name of the demo's table, as LEDGER_TABLE has it"},
    "worker/demo/process.py": {"tell": "method of a file"},
    "worker/settings/groups.py": {
        "lean": "alias of AWS_TRANSPORT=wire",
        "park": "value of EVENTS_UNROUTED",
    },
}
"""Path → word → reason."""


def as_words(text):
    """Lower-case words of a text or an identifier, separated at `_`, `-` and camelCase."""
    text = KEPT.sub(" ", text)
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    return re.sub(r"[\s_\-#]+", " ", text).lower()


def gone_words(text):
    words = as_words(text)
    if not ANY_GONE.search(words):
        return set()
    return {
        (match[0], instead)
        for gone, instead in GONE_WORDS.items()
        for match in gone.finditer(words)
    }


def offenders(texts, path):
    allowed = ALLOWED.get(path, {})
    return [
        f"{path}:{line}: {word} → {instead}"
        for line, text in texts
        for word, instead in sorted(gone_words(text))
        if word not in allowed
    ]


def covered(*suffixes):
    """Files below the covered paths, as paths from the root."""
    for name in COVERED:
        home = ROOT / name
        files = sorted(home.rglob("*")) if home.is_dir() else [home]
        for path in files:
            ours = path != Path(__file__) and not {"__pycache__", ".terraform"} & set(path.parts)
            if ours and path.suffix in suffixes:
                yield path.relative_to(ROOT).as_posix()


def tokens_of(path):
    """Line and text of each identifier and string; comments that follow each other as one."""
    text, comment, began = (ROOT / path).read_text(), "", 0
    if not ANY_GONE.search(as_words(text)):  # taking a file apart costs twenty times as much
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
    return enumerate((ROOT / path).read_text().splitlines(), 1)


def all_offenders(texts_of, *suffixes):
    return [found for path in covered(*suffixes) for found in offenders(texts_of(path), path)]


def test_identifiers_strings_and_comments_use_the_words_of_the_field():
    assert all_offenders(tokens_of, ".py") == []


def test_documents_use_the_words_of_the_field():
    assert all_offenders(lines_of, ".md") == []


def test_infrastructure_and_alerts_use_the_words_of_the_field():
    suffixes = (".yml", ".yaml", ".tf", ".hcl", ".json", ".sh")

    assert all_offenders(lines_of, *suffixes) == []


def test_each_allowed_word_is_there():
    unused = [
        (path, word)
        for path, words in ALLOWED.items()
        for word in words
        if not any(word == found for found, _ in gone_words((ROOT / path).read_text()))
    ]

    assert unused == []
