"""Every metric of the worker. Label values are closed sets: never an id, a URL or a text.

An operator reads this file as the legend of the dashboard; `tests/unit/test_metrics.py` pins it.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from worker.telemetry.tallies import Tally, TallyHistogram

# One more series per series, which nothing here reads.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the package annotates most, not this
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
AGES = (0.1, 0.5, 1, 5, 15, 30, 60, 300, 900, 3600, 14400, 86400)

info = Info("worker", "Version of the running code.", registry=REGISTRY)

# ── intake ─────────────────────────────────────────────────────────────────────────────────────
messages_received = Tally(
    "worker_messages_received_total",
    "Messages received from the queue.",
    [],
    REGISTRY,
)
messages_acked = Tally(
    "worker_messages_acked_total",
    "Messages whose delete SQS confirmed.",
    [],
    REGISTRY,
)
messages_released = Counter(
    "worker_messages_released_total",
    "Messages made visible again, by reason: retry, blocked, drain, lease_lost, fifo_group, "
    "dead_letter_failed, dead_letter_limit.",
    ["reason"],
    registry=REGISTRY,
)
messages_dead_lettered = Counter(
    "worker_messages_dead_lettered_total",
    "Messages copied to the dead-letter queue, by class of the failure.",
    ["reason"],
    registry=REGISTRY,
)
dead_letter_failures = Counter(
    "worker_dead_letter_failures_total",
    "Messages that the dead-letter queue did not take; they stay on their queue.",
    registry=REGISTRY,
)
messages_unrouted = Counter(
    "worker_messages_unrouted_total", "Messages of a type that no job wants.", registry=REGISTRY
)
messages_duplicate = Counter(
    "worker_messages_duplicate_total",
    "Copies not run: the same message was in flight, or was done and its delete had failed.",
    registry=REGISTRY,
)
receives = Tally(
    "worker_receives_total",
    "ReceiveMessage calls, by outcome: messages, empty, error.",
    ["outcome"],
    REGISTRY,
)
inflight = Gauge("worker_inflight", "Messages being handled now.", registry=REGISTRY)
concurrency_limit = Gauge(
    "worker_concurrency_limit", "Messages that may be handled at once.", registry=REGISTRY
)
paused = Gauge(
    "worker_paused",
    "1 while the gate of a queue is not open: none of its jobs can succeed now.",
    ["queue"],
    registry=REGISTRY,
)
pollers = Gauge("worker_pollers", "Pollers running now.", registry=REGISTRY)
visibility_extensions = Tally(
    "worker_visibility_extensions_total",
    "Leases extended by the heartbeat, by outcome: ok, error, lost.",
    ["outcome"],
    REGISTRY,
)
ack_failures = Counter(
    "worker_ack_failures_total",
    "Entries of delete and visibility batches that failed, by code: sender, service.",
    ["code"],
    registry=REGISTRY,
)
queue_messages = Gauge(
    "worker_queue_messages",
    "Approximate messages on a queue, by state: visible, in_flight, delayed.",
    ["queue", "state"],
    registry=REGISTRY,
)
dlq_messages = Gauge(
    "worker_dlq_messages",
    "Approximate messages on a dead-letter queue.",
    ["queue"],
    registry=REGISTRY,
)

# ── jobs ───────────────────────────────────────────────────────────────────────────────────────
messages_processed = Tally(
    "worker_messages_processed_total",
    "Runs of a job, by outcome: ok, skipped, degraded, duplicate, expired, retry, blocked, "
    "permanent.",
    ["handler", "outcome"],
    REGISTRY,
)
job_state = Gauge(
    "worker_job_state",
    "0 open, 1 half-open, 2 closed; 3: a setting or a permission must be fixed.",
    ["handler"],
    registry=REGISTRY,
)
message_duration = TallyHistogram(
    "worker_message_duration_seconds",
    "One run of a job.",
    ["handler"],
    buckets=SECONDS,
    registry=REGISTRY,
)
message_age = TallyHistogram(
    "worker_message_age_seconds",
    "From SentTimestamp to done, per message.",
    [],
    buckets=AGES,
    registry=REGISTRY,
)
event_age = TallyHistogram(
    "worker_event_age_seconds",
    "From the event's own time to done, per job.",
    ["handler"],
    buckets=AGES,
    registry=REGISTRY,
)
last_success = Gauge(
    "worker_last_success_timestamp_seconds", "When a message was last done.", registry=REGISTRY
)
idempotency_outcomes = Tally(
    "worker_idempotency_outcomes_total",
    "Idempotency, by outcome: claimed, done, busy; stale_owner: a claim was taken over by another; "
    "unavailable: no answer.",
    ["outcome"],
    REGISTRY,
)
sentiment_escalations = Counter(
    "worker_sentiment_escalations_total",
    "Chats whose negative share was above the threshold.",
    registry=REGISTRY,
)

# ── upstreams ──────────────────────────────────────────────────────────────────────────────────
dependency_requests = Tally(
    "worker_dependency_requests_total",
    "Calls to an upstream, by result: ok, rejected, rate_limited, too_large, unreadable, "
    "unavailable, unauthorized, misconfigured, lease_lost, not_yet, breaker_open, cancelled, "
    "error.",
    ["dependency", "result"],
    REGISTRY,
)
dependency_duration = TallyHistogram(
    "worker_dependency_duration_seconds",
    "One attempt of a call, without waits for limiter or backoff.",
    ["dependency"],
    buckets=SECONDS,
    registry=REGISTRY,
)
dependency_retries = Counter(
    "worker_dependency_retries_total",
    "Attempts after the first.",
    ["dependency"],
    registry=REGISTRY,
)
breaker_state = Gauge(
    "worker_breaker_state", "0 closed, 1 half-open, 2 open.", ["dependency"], registry=REGISTRY
)
breaker_transitions = Counter(
    "worker_breaker_transitions_total",
    "Changes of state, by new state.",
    ["dependency", "to"],
    registry=REGISTRY,
)
ratelimit_wait = TallyHistogram(
    "worker_ratelimit_wait_seconds",
    "Time a call waited for the request budget.",
    ["dependency"],
    buckets=SECONDS,
    registry=REGISTRY,
)
ratelimit_remaining = Gauge(
    "worker_ratelimit_remaining_ratio",
    "Share of the burst budget that is free; 0 while a 429 pauses it.",
    ["dependency"],
    registry=REGISTRY,
)
ratelimit_throttled = Counter(
    "worker_ratelimit_throttled_total", "429 replies.", ["dependency"], registry=REGISTRY
)
fleet_budget_draws = Counter(
    "worker_fleet_budget_draws_total",
    "Writes for a lease of the fleet's request budget: granted, refused (others were before us), "
    "unavailable.",
    ["outcome"],
    registry=REGISTRY,
)
fleet_budget_shared = Gauge(
    "worker_fleet_budget_shared",
    "1 while the request budget is shared with the other replicas, 0 while the table does not "
    "answer and this one goes on at its own average; 1 without a table, too.",
    registry=REGISTRY,
)
replicas_useful = Gauge(
    "worker_replicas_useful",
    "Replicas that the shared request budget keeps busy with traffic like that of the last two "
    "minutes: more would wait for it. 1000: most messages need none of it. 0: not known, or no "
    "budget is shared.",
    registry=REGISTRY,
)
asked_pause = Gauge(
    "worker_asked_pause_seconds",
    "Seconds left of a pause that an upstream asked for (Retry-After); 0 without one.",
    ["dependency"],
    registry=REGISTRY,
)
cache_requests = Tally(
    "worker_cache_requests_total",
    "Lookups, by result: hit, miss, stale, negative, coalesced.",
    ["cache", "result"],
    REGISTRY,
)
cache_entries = Gauge("worker_cache_entries", "Entries held now.", ["cache"], registry=REGISTRY)
token_refresh = Counter(
    "worker_token_refresh_total",
    "Token requests, by outcome: ok, error, refused.",
    ["outcome"],
    registry=REGISTRY,
)
token_expires = Gauge(
    "worker_token_expires_seconds", "Seconds the token had left when issued.", registry=REGISTRY
)
best_effort_failures = Counter(
    "worker_best_effort_failures_total",
    "Optional effects that failed and were let go.",
    ["effect"],
    registry=REGISTRY,
)

# ── process ────────────────────────────────────────────────────────────────────────────────────
loop_lag = Histogram(
    "worker_loop_lag_seconds",
    "How late the event loop ran its heartbeat.",
    buckets=SECONDS,
    registry=REGISTRY,
)
log_lines_dropped = Counter(
    "worker_log_lines_dropped_total",
    "Log lines that were not written, by kind: log, audit. The sink failed, or took too little.",
    ["kind"],
    registry=REGISTRY,
)
drain_messages = Gauge(
    "worker_drain_messages",
    "What the drain did, by disposition: finished, released, stranded.",
    ["disposition"],
    registry=REGISTRY,
)

# Children of closed sets start at 0: `increase()` does not see a series that is born at 1.
for _counter, _values in (
    (
        messages_released,
        "retry blocked drain lease_lost dead_letter_failed dead_letter_limit fifo_group",
    ),
    (receives, "messages empty error"),
    (visibility_extensions, "ok error lost"),
    (ack_failures, "sender service"),
    (token_refresh, "ok error refused"),
    (idempotency_outcomes, "claimed done busy stale_owner unavailable"),
    (fleet_budget_draws, "granted refused unavailable"),
    (log_lines_dropped, "log audit"),
    (drain_messages, "finished released stranded"),
):
    for _value in _values.split():
        _counter.labels(_value)


def fold() -> None:
    """Sort the values of the last messages into their buckets: the event loop's ticker calls it."""
    for histogram in (message_duration, message_age, event_age):
        histogram.fold()
