"""Settings: their defaults, and what becomes of bad ones."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.reading import REQUIRED
from worker.app.jobs import describe, load_settings, unknown_settings
from worker.errors import ConfigurationError
from worker.jobs.sentiment import SentimentSettings
from worker.jobs.voice import VoiceSettings
from worker.settings import (
    GROUPS,
    Cache,
    Genesys,
    Settings,
    Sqs,
    heartbeat_capacity,
    load_group,
    variable_name,
)
from worker.settings.fields import REGIONS
from worker.settings.load import cleaned

A_UUID = "3f2b1c9e-8d47-4a56-9b0e-1c2d3e4f5a6b"
A_QUEUE = "https://sqs.eu-west-1.amazonaws.com/111122223333/events"
REGION_EXAMPLE = "e.g. mypurecloud.ie or eu-west-1 (set to 'us-east-9')"
A_URL = "https://host.example/path"
A_BUCKET = "must be the name of a bucket, without s3:// and path; e.g. my-reports"
A_MACHINE = (
    "must be the whole ARN of a state machine; "
    "e.g. arn:aws:states:eu-west-1:111122223333:stateMachine:enrich-conversation"
)

VOICE = {
    "GENESYS_CLIENT_ID": "client",
    "GENESYS_CLIENT_SECRET": "canary-secret",
    "GENESYS_ACTION_ID": "custom_-_1",
    "DYNAMODB_TABLE": "records",
}
GOOD = {"SQS_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/1/work", **VOICE}

DEFAULTS = {
    "SQS_QUEUE_URL": "required",
    "SQS_DEAD_LETTER_QUEUE_URL": "",
    "SQS_CONCURRENCY": "64",
    "SQS_WAIT_SECONDS": "10",
    "SQS_VISIBILITY_SECONDS": "",
    "SQS_DRAIN_SECONDS": "25",
    "SQS_START_SECONDS": "300",
    "SQS_PARK_LIMIT": "50",
    "SQS_ACK_FLUSH_MILLISECONDS": "100",
    "RETRY_BASE_SECONDS": "5",
    "RETRY_CAP_SECONDS": "900",
    "RETRY_AFTER_CAP_SECONDS": "900",
    "RETRY_HORIZON_SECONDS": "21600",
    "HANDLER_DEADLINE_SECONDS": "60",
    "EVENTS_UNROUTED": "drop",
    "EVENTS_VOICE_TYPES": "v2.speechandtextanalytics.conversation.*.sentiment, voice.analytics, "
    "Voice Analytics*",
    "EVENTS_ENDED_TYPES": "v2.detail.events.conversation.*.customer.end, conversation.end",
    "EVENTS_ATTRIBUTES_TYPES": "v2.detail.events.conversation.*.customer.start, "
    "conversation.start, conversation.attributes.requested",
    "EVENTS_CHAT_TYPES": "v2.detail.events.conversation.*.customer.end, chat.sentiment, "
    "conversation.chat.sentiment",
    "EVENTS_REPORT_TYPES": "report.due, Scheduled Event",
    "GENESYS_CLIENT_ID": "",
    "GENESYS_CLIENT_SECRET": "",
    "GENESYS_ENVIRONMENT": "mypurecloud.com",
    "GENESYS_DIALECT": "platform",
    "GENESYS_REFERENCE": "",
    "GENESYS_API_URL": "",
    "GENESYS_LOGIN_URL": "",
    "GENESYS_TOKEN_PATH": "",
    "GENESYS_REQUESTS_PER_MINUTE": "240",
    "GENESYS_FLEET_REQUESTS_PER_MINUTE": "",
    "BUDGET_TABLE": "",
    "GENESYS_TIMEOUT_SECONDS": "10",
    "GENESYS_DEADLINE_SECONDS": "25",
    "GENESYS_ATTEMPTS": "3",
    "GENESYS_ACTION_REPEATABLE": "true",
    "GENESYS_ACTION_ID": "",
    "GENESYS_ACTION_NOT_FOUND": "unknown",
    "GENESYS_ACTION_CONCURRENCY": "15",
    "GENESYS_TRANSCRIPT_BUCKETS": "inin-prod-*",
    "GENESYS_ORGANIZATION_ID": "",
    "GENESYS_FLOW_ID": "",
    "VOICE_DEGRADE_AFTER_SECONDS": "",
    "VOICE_FROM": "sentiment",
    "VOICE_SETTLE_SECONDS": "1800",
    "VOICE_INPUT_FIELD": "phone_number",
    "VOICE_TIER_FIELD": "tier",
    "VOICE_LTV_FIELD": "ltv",
    "DYNAMODB_TABLE": "",
    "DYNAMODB_RETENTION_SECONDS": "",
    "LEDGER_TABLE": "",
    "LEDGER_LEASE_SECONDS": "120",
    "LEDGER_RETENTION_SECONDS": "1296000",
    "LEDGER_FAIL_OPEN": "false",
    "ATTRIBUTES_MAX_AGE_SECONDS": "900",
    "ATTRIBUTES_STRICT": "false",
    "ATTRIBUTES_MAX_COUNT": "50",
    "ATTRIBUTES_MAX_LENGTH": "1024",
    "ATTRIBUTES_PREFIX": "",
    "CRM_API_ENDPOINT": "",
    "CRM_API_TOKEN": "",
    "CRM_CACHE_BY": "conversation",
    "CRM_TIMEOUT_SECONDS": "5",
    "CRM_DEADLINE_SECONDS": "12",
    "CRM_ATTEMPTS": "2",
    "CRM_WEBHOOK_URL": "",
    "ANALYTICS_WEBHOOK_URL": "",
    "WEBHOOK_SECRET": "",
    "WORKFLOW_SETTLE_SECONDS": "1800",
    "WORKFLOW_STEPS": "fetch_crm_contact, analyze_sentiment, update_ticket_system",
    "WORKFLOW_BATCH_MILLISECONDS": "50",
    "WORKFLOW_DETAILS_BUCKET": "",
    "STEP_FUNCTIONS_ARN": "",
    "STEP_FUNCTIONS_TYPE": "STANDARD",
    "SENTIMENT_MIN_CONFIDENCE": "0.75",
    "SENTIMENT_ESCALATION_THRESHOLD": "0.8",
    "SENTIMENT_SETTLE_SECONDS": "1800",
    "SENTIMENT_MARK": "true",
    "EVENT_BUS_NAME": "default",
    "ALERT_WEBHOOK_URL": "",
    "REPORT_BUCKET": "",
    "REPORT_READ_PREVIOUS": "false",
    "REPORT_WEBHOOK_FORMAT": "json",
    "REPORT_WEBHOOK_URL": "",
    "REPORT_URL_SECONDS": "86400",
    "REPORT_USE_JOBS": "false",
    "REPORT_CONCURRENCY": "4",
    "REPORT_PAGE_SIZE": "100",
    "REPORT_DEADLINE_SECONDS": "3600",
    "FORWARD_TYPES": "",
    "FORWARD_TO": "",
    "FORWARD_BATCH_BYTES": "5242880",
    "FORWARD_BATCH_SECONDS": "5",
    "CACHE_MAX_ENTRIES": "10000",
    "CACHE_SOFT_TTL_SECONDS": "300",
    "CACHE_HARD_TTL_SECONDS": "3600",
    "CACHE_NEGATIVE_TTL_SECONDS": "60",
    "BREAKER_ENABLED": "true",
    "BREAKER_WINDOW_SECONDS": "30",
    "BREAKER_MIN_CALLS": "10",
    "BREAKER_FAILURE_RATIO": "0.5",
    "BREAKER_OPEN_SECONDS": "5",
    "BREAKER_MAX_OPEN_SECONDS": "30",
    "OPS_HOST": "127.0.0.1",
    "OPS_PORT": "9464",
    "OPS_STALL_SECONDS": "30",
    "LOG_LEVEL": "info",
    "LOG_FORMAT": "auto",
    "AWS_REGION": "",
    "AWS_ENDPOINT_URL": "",
    "AWS_TRANSPORT": "wire",
    "ECS_AGENT_URI": "",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "",
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_SDK_DISABLED": "false",
    "HANDLERS": "",
}

BAD = {
    "SQS_QUEUE_URL": "http://canary-7f3a.example/q",
    "SQS_DEAD_LETTER_QUEUE_URL": "canary-7f3a",
    "EVENTS_UNROUTED": "canary-7f3a",
    "GENESYS_ENVIRONMENT": "CANARY-7f3a!",
    "GENESYS_DIALECT": "canary-7f3a",
    "GENESYS_API_URL": "https://user:canary-7f3a@api.example",
    "GENESYS_LOGIN_URL": "ftp://canary-7f3a",
    "GENESYS_TOKEN_PATH": "canary-7f3a",
    "GENESYS_FLOW_ID": "canary-7f3a",
    "CRM_API_ENDPOINT": "http://canary-7f3a.example",
    "CRM_API_TOKEN": "canary 7f3a\u00e9",
    "CRM_WEBHOOK_URL": "canary-7f3a",
    "ANALYTICS_WEBHOOK_URL": "http://canary-7f3a.example/hook",
    "FORWARD_TO": "s3:canary-7f3a",
    "LOG_LEVEL": "canary-7f3a",
    "LOG_FORMAT": "canary-7f3a",
    "AWS_ENDPOINT_URL": "http://canary-7f3a.example",
    "AWS_TRANSPORT": "canary-7f3a",
    "ECS_AGENT_URI": "http://169.254.170.3/api/canary-7f3a",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "canary-7f3a:4317",
    "HANDLERS": "voice,canary-7f3a",
    **dict.fromkeys(
        (
            name
            for name, default in DEFAULTS.items()
            if default.replace(".", "", 1).isdigit() or default == "true"
        ),
        "canary-7f3a",
    ),
    "SQS_VISIBILITY_SECONDS": "canary-7f3a",
    "VOICE_DEGRADE_AFTER_SECONDS": "canary-7f3a",
    "DYNAMODB_RETENTION_SECONDS": "canary-7f3a",
}


def problems_of(**environ):
    with pytest.raises(ConfigurationError) as caught:
        load_settings({**GOOD, **environ})
    return caught.value.problems


def test_every_setting_has_the_default_pinned_here():
    assert {row.name: row.default for row in describe({})} == DEFAULTS


def test_every_setting_is_documented():
    assert [row.name for row in describe({}) if not row.doc.endswith(".")] == []


def test_a_good_environment_loads():
    settings = load_settings(GOOD)

    assert str(settings.sqs.queue_url) == GOOD["SQS_QUEUE_URL"]
    assert settings.genesys.client_secret.get_secret_value() == "canary-secret"


def test_the_process_environment_is_read_when_none_is_given(monkeypatch):
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)

    assert load_settings().of(VoiceSettings).dynamodb_table == "records"


def test_only_the_given_environment_counts(monkeypatch):
    monkeypatch.setenv("SQS_CONCURRENCY", "7")

    assert load_settings(GOOD).sqs.concurrency == 64
    assert Sqs(queue_url=GOOD["SQS_QUEUE_URL"]).concurrency == 64


def test_an_empty_variable_counts_as_unset():
    assert (
        load_settings({**GOOD, "SQS_DEAD_LETTER_QUEUE_URL": ""}).sqs.dead_letter_queue_url is None
    )


UNSHOWN = {
    "CRM_API_TOKEN",
    "CRM_WEBHOOK_URL",  # no host: it may be a token in the wrong variable
    "ECS_AGENT_URI",  # in its path
    "GENESYS_API_URL",  # its password
    "OTEL_EXPORTER_OTLP_ENDPOINT",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_is_named_and_shown_unless_it_may_be_a_secret(name):
    (problem,) = problems_of(**{name: BAD[name]})

    assert problem.split(":")[0] == name
    assert ("7f3a" in problem) == (name not in UNSHOWN)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GENESYS_FLOW_ID", "x", f"is no UUID; e.g. {A_UUID} (set to 'x')"),
        ("GENESYS_TOKEN_PATH", "x", "must begin with /; e.g. /oauth/token (set to 'x')"),
        ("SQS_CONCURRENCY", "many", "must be a whole number; e.g. 64 (set to 'many')"),
        ("SQS_CONCURRENCY", "0", "must be at least 1; e.g. 64 (set to '0')"),
        ("SQS_DRAIN_SECONDS", "-1", "must be greater than 0; e.g. 25 (set to '-1')"),
        ("OPS_PORT", "70000", "must be at most 65535; e.g. 9464 (set to '70000')"),
        ("LEDGER_FAIL_OPEN", "maybe", "must be true or false (set to 'maybe')"),
        ("GENESYS_DIALECT", "r0", "must be 'platform' or 'reference' (set to 'r0')"),
        (
            "GENESYS_ENVIRONMENT",
            "us-east-9",
            f"is neither a domain nor an AWS region of Genesys Cloud; {REGION_EXAMPLE}",
        ),
        (
            "SQS_QUEUE_URL",
            "events",
            f"is neither the URL of a queue nor its ARN; e.g. {A_QUEUE} (set to 'events')",
        ),
        (
            "CRM_WEBHOOK_URL",
            "hooks.example/T0/s3cret",
            f"must be a URL; e.g. {A_URL} (set to 'hooks.example')",
        ),
        (
            "CRM_WEBHOOK_URL",
            "http://me@hooks.example:81/T0?sig=s3cret",
            f"must not carry a user name or password; e.g. {A_URL} (set to 'http://hooks.example:81')",
        ),
        ("CRM_WEBHOOK_URL", "whsec_s3cret", f"must be a URL; e.g. {A_URL}"),
        *(
            (name, value, f"{A_BUCKET} (set to {value!r})")
            for name in ("REPORT_BUCKET", "WORKFLOW_DETAILS_BUCKET")
            for value in ("s3://x", "My_Bucket", "a/b", "b", "a..b")
        ),
        *(
            ("STEP_FUNCTIONS_ARN", value, f"{A_MACHINE} (set to {value!r})")
            for value in ("my-machine", "arn:aws:lambda:eu-west-1:1:function:f")
        ),
        ("HANDLERS", "voise", f"'voise' is not a job; jobs: {', '.join(REQUIRED)}"),
    ],
)
def test_a_refusal_says_what_is_wrong_how_it_looks_and_what_was_set(name, value, said):
    assert problems_of(**{name: value}) == [f"{name}: {said}"]


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("/a%2Fb%3A/%27%28/%2e%2e/x?sig=%2F%3A%27&q='(1)'", None),
        ("/a/../b//c", None),
        ("", "/"),
        ("/\u00fc", "/%C3%BC"),
    ],
)
def test_the_bytes_of_a_webhooks_path_and_query_stay_as_they_are(written, sent):
    settings = load_settings({**GOOD, "CRM_WEBHOOK_URL": f"https://Hooks.example:443{written}"})

    url = settings.of(SentimentSettings).crm_webhook_url
    assert str(url) == f"https://hooks.example{sent or written}"


@pytest.mark.parametrize("region", REGIONS)
def test_an_aws_region_of_genesys_is_its_domain(region):
    settings = load_settings({**GOOD, "GENESYS_ENVIRONMENT": region.upper()})

    assert settings.genesys.environment == REGIONS[region]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://api.mypurecloud.ie", "mypurecloud.ie"),
        ("https://login.euw2.pure.cloud/", "euw2.pure.cloud"),
        ("apps.mypurecloud.de", "mypurecloud.de"),
        ("us_east_1", "mypurecloud.com"),
        ("api.example", "api.example"),
    ],
)
def test_the_domain_is_read_out_of_what_people_copy(written, meant):
    assert load_settings({**GOOD, "GENESYS_ENVIRONMENT": written}).genesys.environment == meant


@pytest.mark.parametrize("name", ["GENESYS_API_URL", "GENESYS_LOGIN_URL"])
def test_the_url_of_the_api_ends_before_the_paths_of_its_calls(name):
    (problem,) = problems_of(**{name: "https://gw.example/x/api/v2/"})

    assert problem.startswith(f"{name}: must end before /api/v2")
    assert "gw.example" in problem


def test_any_domain_is_taken_as_it_is():
    settings = load_settings({**GOOD, "GENESYS_ENVIRONMENT": "New1.pure.cloud"})

    assert settings.genesys.environment == "new1.pure.cloud"


@pytest.mark.parametrize(
    ("level", "meant"), [("WARN", "warning"), ("Fatal", "error"), ("CRITICAL", "error")]
)
def test_levels_have_the_names_that_other_programs_use_too(level, meant):
    assert load_settings({**GOOD, "LOG_LEVEL": level}).log.level == meant


@pytest.mark.parametrize(
    "form",
    ["{}\n", " {}\t", '"{}"', "'{}'", '" {} "\r\n', "\ufeff{}", "\u200b{}\xa0", "\u201c{}\u201d"],
)
def test_white_space_and_quotes_around_a_value_are_no_part_of_it(form):
    environ = {name: form.format(value) for name, value in GOOD.items()}

    assert load_settings(environ) == load_settings(GOOD)


@pytest.mark.parametrize("value", ['"', '"a', "a'", "\"a'", "it's"])
def test_quotes_that_are_no_pair_are_part_of_the_value(value):
    assert cleaned(value) == value


@pytest.mark.parametrize("value", [" ", '""', "' '", "\n"])
def test_a_variable_of_nothing_counts_as_unset(value):
    assert load_settings({**GOOD, "SQS_CONCURRENCY": value}).sqs.concurrency == 64


def test_all_bad_fields_of_all_groups_are_named_at_once():
    assert {line.split(":")[0] for line in problems_of(**BAD)} == set(BAD)


def test_a_missing_setting_is_named_with_what_it_is():
    with pytest.raises(ConfigurationError) as caught:
        load_settings(VOICE)

    [problem] = caught.value.problems
    assert problem.startswith("SQS_QUEUE_URL: is not set — URL of the queue the events arrive on,")


@pytest.mark.parametrize("need", REQUIRED["voice"])
def test_a_job_that_is_named_without_its_settings_is_refused(need):
    assert problems_of(HANDLERS="voice", **{need: ""}) == [
        f"{need}: is not set — HANDLERS names voice"
    ]


def test_a_misspelt_job_is_one_line_whatever_else_is_not_set():
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"SQS_QUEUE_URL": GOOD["SQS_QUEUE_URL"], "HANDLERS": "voise"})

    assert caught.value.problems == [f"HANDLERS: 'voise' is not a job; jobs: {', '.join(REQUIRED)}"]


def test_a_worker_without_any_job_is_refused():
    problems = problems_of(GENESYS_CLIENT_ID="")

    assert "HANDLERS: no job is on — voice lacks GENESYS_CLIENT_ID" in problems
    assert len(problems) == len(REQUIRED)


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"SQS_WAIT_SECONDS": "20", "SQS_DRAIN_SECONDS": "20"}, "SQS_WAIT_SECONDS"),
        ({"SQS_VISIBILITY_SECONDS": "10", "SQS_CONCURRENCY": "501"}, "SQS_CONCURRENCY"),
        ({"SQS_VISIBILITY_SECONDS": "9"}, "SQS_VISIBILITY_SECONDS"),
        ({"GENESYS_DEADLINE_SECONDS": "60"}, "GENESYS_DEADLINE_SECONDS"),
        ({"GENESYS_TIMEOUT_SECONDS": "26"}, "GENESYS_TIMEOUT_SECONDS"),
        (
            {"GENESYS_FLEET_REQUESTS_PER_MINUTE": "300", "LEDGER_TABLE": ""},
            "GENESYS_FLEET_REQUESTS_PER_MINUTE",
        ),
        ({"RETRY_BASE_SECONDS": "901"}, "RETRY_BASE_SECONDS"),
        ({"GENESYS_REFERENCE": "r1"}, "GENESYS_REFERENCE"),
        ({"CACHE_SOFT_TTL_SECONDS": "3601"}, "CACHE_SOFT_TTL_SECONDS"),
        ({"CRM_TIMEOUT_SECONDS": "13"}, "CRM_TIMEOUT_SECONDS"),
        ({"BREAKER_OPEN_SECONDS": "61"}, "BREAKER_OPEN_SECONDS"),
        ({"SQS_DRAIN_SECONDS": "inf"}, "SQS_DRAIN_SECONDS"),
        ({"GENESYS_API_URL": "http://10.0.0.1"}, "GENESYS_API_URL"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(environ, name):
    assert [line.split(":")[0] for line in problems_of(**environ)] == [name]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"])
def test_plain_http_is_fine_on_this_machine(url):
    assert load_settings({**GOOD, "GENESYS_API_URL": url}).genesys.api_url is not None


@pytest.mark.parametrize(
    "url", ["http://169.254.170.2/api/0123-4567", "http://127.0.0.1:1", "https://agent.example"]
)
def test_the_ecs_agent_may_be_asked_where_ecs_puts_it(url):
    assert load_settings({**GOOD, "ECS_AGENT_URI": url}).ecs.agent_uri is not None


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/api", "http://10.0.0.1/api", "http://me:pw@169.254.170.2/api"]
)
def test_the_ecs_agent_is_asked_nowhere_else_without_encryption(url):
    assert [line.split(":")[0] for line in problems_of(ECS_AGENT_URI=url)] == ["ECS_AGENT_URI"]


def test_a_collector_in_the_cluster_may_be_reached_in_plain_http():
    settings = load_settings({**GOOD, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel.monitoring:4318"})

    assert settings.otel.exporter_otlp_endpoint is not None


def test_the_heartbeat_of_one_second_of_visibility_keeps_fifty_messages():
    assert heartbeat_capacity(10) == 500


def test_a_handler_is_on_when_its_settings_are_there():
    settings = load_settings(GOOD)

    assert settings.enabled_jobs() == ("voice",)
    assert "voice" not in settings.disabled_jobs()


def test_a_handler_that_is_off_says_what_it_lacks():
    settings = load_settings(GOOD)
    lacking = Settings(
        **{name: getattr(settings, name) for name in GROUPS if name != "genesys"},
        genesys=Genesys(),
        jobs=settings.jobs,
        declared=settings.declared,
    )

    assert lacking.enabled_jobs() == ()
    assert lacking.disabled_jobs()["voice"] == REQUIRED["voice"][:2]


def test_one_group_loads_without_the_others():
    assert load_group(Sqs, {"SQS_QUEUE_URL": GOOD["SQS_QUEUE_URL"]}).concurrency == 64


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("QUEUE_URL", "SQS_QUEUE_URL"),
        ("SQS_QUEUE_ARN", "SQS_QUEUE_URL"),
        ("GENESYS_SECRET", "GENESYS_CLIENT_SECRET"),
        ("GENESYSCLOUD_OAUTHCLIENT_ID", "GENESYS_CLIENT_ID"),
        ("GENESYS_ACTIONID", "GENESYS_ACTION_ID"),
        ("DYNAMO_DB_TABLE", "DYNAMODB_TABLE"),
    ],
)
def test_a_near_name_is_pointed_out_when_the_start_fails_for_it(written, meant):
    environ = {name: text for name, text in GOOD.items() if name != meant}
    with pytest.raises(ConfigurationError) as caught:
        load_settings({**environ, "HANDLERS": "voice", written: "x"})

    assert f"{written}: unknown; did you mean {meant}?" in caught.value.problems


def test_misspelt_variables_are_pointed_out():
    environ = {**GOOD, "SQS_CONCURENCY": "2", "GENESIS_CLIENT_ID": "x"}

    assert unknown_settings(environ) == [
        "GENESIS_CLIENT_ID: unknown; did you mean GENESYS_CLIENT_ID?",
        "SQS_CONCURENCY: unknown; did you mean SQS_CONCURRENCY?",
    ]


@pytest.mark.parametrize(
    "name", ["CACHE_SERVICE_HOST", "AWS_REGIONS", "OTEL_TRACES_EXPORTERS", "PATH", "LOG_GROUP_NAME"]
)
def test_variables_of_others_are_left_alone(name):
    assert unknown_settings({**GOOD, name: "x"}) == []


def test_describe_hides_secrets_but_says_that_they_are_set():
    rows = {row.name: row.value for row in describe(load_settings(GOOD))}

    assert rows["GENESYS_CLIENT_SECRET"] == "********"
    assert rows["GENESYS_CLIENT_ID"] == "client"


@pytest.mark.parametrize("name", BAD)
def test_describe_of_a_bad_environment_shows_neither_the_value_nor_a_secret(name):
    shown = str(describe({**GOOD, name: BAD[name]}))

    assert "7f3a" not in shown
    assert "canary-secret" not in shown


@given(
    st.dictionaries(
        st.sampled_from([variable_name(k, f) for k in GROUPS.values() for f in k.model_fields]),
        st.text(max_size=20),
    )
)
def test_any_environment_loads_or_is_a_configuration_error(environ):
    describe(environ)
    with suppress(ConfigurationError):
        load_settings(environ)


def test_settings_built_by_hand_obey_the_same_rules():
    with pytest.raises(ValueError, match="CACHE_SOFT_TTL_SECONDS"):
        Cache(soft_ttl_seconds=2, hard_ttl_seconds=1)
