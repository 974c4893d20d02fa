"""Metrics: their names and labels are a contract with dashboards and alerts."""

import re

from prometheus_client.metrics import MetricWrapperBase

from worker.telemetry import metrics
from worker.telemetry.tallies import Distribution, Tally, TallyHistogram

PINNED = {
    "worker_info": ("info", ()),
    "worker_messages_received": ("counter", ()),
    "worker_messages_acked": ("counter", ()),
    "worker_messages_released": ("counter", ("reason",)),
    "worker_messages_dead_lettered": ("counter", ("reason",)),
    "worker_dead_letter_failures": ("counter", ()),
    "worker_messages_unrouted": ("counter", ()),
    "worker_messages_duplicate": ("counter", ()),
    "worker_receives": ("counter", ("outcome",)),
    "worker_inflight": ("gauge", ()),
    "worker_concurrency_limit": ("gauge", ()),
    "worker_paused": ("gauge", ("queue",)),
    "worker_pollers": ("gauge", ()),
    "worker_visibility_extensions": ("counter", ("outcome",)),
    "worker_ack_failures": ("counter", ("code",)),
    "worker_queue_messages": ("gauge", ("queue", "state")),
    "worker_dlq_messages": ("gauge", ("queue",)),
    "worker_messages_processed": ("counter", ("handler", "outcome")),
    "worker_job_state": ("gauge", ("handler",)),
    "worker_message_duration_seconds": ("histogram", ("handler",)),
    "worker_message_age_seconds": ("histogram", ()),
    "worker_event_age_seconds": ("histogram", ("handler",)),
    "worker_last_success_timestamp_seconds": ("gauge", ()),
    "worker_idempotency_outcomes": ("counter", ("outcome",)),
    "worker_sentiment_escalations": ("counter", ()),
    "worker_dependency_requests": ("counter", ("dependency", "result")),
    "worker_dependency_duration_seconds": ("histogram", ("dependency",)),
    "worker_dependency_retries": ("counter", ("dependency",)),
    "worker_breaker_state": ("gauge", ("dependency",)),
    "worker_breaker_transitions": ("counter", ("dependency", "to")),
    "worker_ratelimit_wait_seconds": ("histogram", ("dependency",)),
    "worker_ratelimit_remaining_ratio": ("gauge", ("dependency",)),
    "worker_ratelimit_throttled": ("counter", ("dependency",)),
    "worker_fleet_budget_draws": ("counter", ("outcome",)),
    "worker_fleet_budget_shared": ("gauge", ()),
    "worker_replicas_useful": ("gauge", ()),
    "worker_asked_pause_seconds": ("gauge", ("dependency",)),
    "worker_cache_requests": ("counter", ("cache", "result")),
    "worker_cache_entries": ("gauge", ("cache",)),
    "worker_token_refresh": ("counter", ("outcome",)),
    "worker_token_expires_seconds": ("gauge", ()),
    "worker_best_effort_failures": ("counter", ("effect",)),
    "worker_loop_lag_seconds": ("histogram", ()),
    "worker_log_lines_dropped": ("counter", ("kind",)),
    "worker_drain_messages": ("gauge", ("disposition",)),
}
"""Name (counters without `_total`) → kind and labels."""


def declared():
    return {
        metric.name: (metric, collector)
        for collector in vars(metrics).values()
        if isinstance(collector, MetricWrapperBase | Tally | TallyHistogram)
        for metric in collector.describe()
    }


def labels_of(collector):
    tally = isinstance(collector, Tally | TallyHistogram)
    return collector.label_names if tally else collector._labelnames


def test_every_metric_has_the_kind_and_labels_pinned_here():
    found = {
        (f"{name}_info" if metric.type == "info" else name): (metric.type, labels_of(collector))
        for name, (metric, collector) in declared().items()
    }

    assert found == PINNED


def test_every_metric_says_what_it_counts():
    assert [name for name, (m, _) in declared().items() if not m.documentation.endswith(".")] == []


def test_no_metric_is_labelled_by_something_without_bounds():
    labels = {label for _, names in PINNED.values() for label in names}

    assert labels == {
        "queue",
        "reason",
        "outcome",
        "code",
        "state",
        "handler",
        "dependency",
        "result",
    } | {
        "to",
        "cache",
        "effect",
        "disposition",
        "kind",
        "queue",
    }


def test_metrics_are_named_by_the_rules_of_prometheus():
    assert [name for name in PINNED if not re.fullmatch(r"worker_[a-z_]+", name)] == []


def test_values_that_wait_get_into_the_buckets_that_each_alone_would_get_into():
    values = [0.0, 5.0, 0.5, 1.0, 1.0, 0.3, 2.0, 9.0]
    one_by_one, folded = Distribution((0.5, 1.0, 2.0)), Distribution((0.5, 1.0, 2.0))
    folded.observe(2.0)
    one_by_one.observe(2.0)
    for value in values:
        one_by_one.observe(value)

    folded.pending += values
    folded.fold()
    folded.fold()

    assert folded.counts == one_by_one.counts == [3, 2, 2, 2]
    assert folded.sum == one_by_one.sum
