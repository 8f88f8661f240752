"""The metrics of the buckets, read from the server: every web process shows the same."""

import logging
from collections.abc import Callable, Iterator, Mapping, Set

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from redis import RedisError

from spigot.jobs.bucket.metrics import BucketMetrics, BucketMetricsReader, Histogram
from spigot.jobs.budgets.state import BudgetState

log = logging.getLogger(__name__)

SAME_EVERYWHERE = "Read from the server, the same on every web: use max without(instance)."

Gauge = tuple[str, Callable[[BucketMetrics], float | None]]

GAUGES: Mapping[str, Gauge] = {
    "spigot_bucket_capacity_jobs": ("Jobs that may wait.", lambda b: b.capacity),
    "spigot_bucket_waiting_jobs": ("Jobs that wait.", lambda b: b.waiting),
    "spigot_bucket_oldest_waiting_seconds": (
        "How long the job that waits longest has waited.",
        lambda b: b.oldest_waiting,
    ),
    "spigot_bucket_since_last_start_seconds": (
        "How long ago the last job was started; no sample if none was.",
        lambda b: b.since_last_start,
    ),
    "spigot_bucket_delayed_jobs": (
        "Jobs that wait for a time, such as that of a retry.",
        lambda b: b.delayed,
    ),
    "spigot_bucket_running_jobs": (
        "Attempts that were started and have not ended.",
        lambda b: b.running,
    ),
    "spigot_bucket_max_running_jobs": (
        "Jobs that may run at once; no sample if there is no bound.",
        lambda b: b.max_running,
    ),
    "spigot_bucket_workers": ("Worker processes that are alive.", lambda b: b.workers),
    "spigot_bucket_concurrency": (
        "Jobs that the living worker processes run at once.",
        lambda b: b.concurrency,
    ),
    "spigot_bucket_rate_configured": (
        "Jobs per second that the file or an operator allows.",
        lambda b: b.rate_configured,
    ),
    "spigot_bucket_rate_effective": (
        "Jobs per second that may start now: 0 while the bucket is paused or held, asks its"
        " downstream with one job at a time, or its next job waits for a budget.",
        lambda b: b.rate_effective,
    ),
    "spigot_bucket_hold_seconds": (
        "How much longer the bucket waits because its downstream said too many.",
        lambda b: b.held_for,
    ),
    "spigot_bucket_quota_spent": (
        "1 while the downstream's quota is spent: the bucket is held, or asks with one job at a"
        " time.",
        lambda b: b.quota_spent,
    ),
    "spigot_bucket_paused": ("1 while an operator has paused it.", lambda b: b.paused),
    "spigot_bucket_draining": ("1 while it takes no new jobs.", lambda b: b.draining),
    "spigot_bucket_unlogged_lines": (
        "Ended attempts whose line is not in a result log yet.",
        lambda b: b.unlogged,
    ),
}

BUDGET_GAUGES: Mapping[str, tuple[str, Callable[[BudgetState], float]]] = {
    "spigot_bucket_budget_limit": (
        "What a budget grants a second, as it was written.",
        lambda budget: budget.limit_per_second,
    ),
    "spigot_bucket_budget_burst": ("What may be spent at once.", lambda budget: budget.burst),
    "spigot_bucket_budget_level": (
        "What was spent of a budget and has not drained yet.",
        lambda budget: budget.level,
    ),
    "spigot_bucket_budget_held": (
        "What running jobs have reserved of a budget until they end.",
        lambda budget: budget.held,
    ),
}

COUNTERS = {
    "spigot_jobs_enqueued": ("enqueued", "Jobs taken in."),
    "spigot_jobs_started": ("started", "Slots given out: attempts that were started."),
    "spigot_jobs_finished": ("finished", "Jobs that finished."),
    "spigot_jobs_failed": ("failed", "Jobs that failed for good."),
    "spigot_jobs_retried": ("retrying", "Attempts that failed and are made again."),
    "spigot_jobs_rate_limited": ("rate_limited", "Attempts that the downstream refused."),
    "spigot_jobs_refused_for_good": (
        "refused",
        "Jobs that failed because their downstream would never serve them.",
    ),
    "spigot_jobs_abandoned": ("abandoned", "Jobs given up: their workers died too often."),
    "spigot_jobs_reaped": ("reaped", "Attempts taken back from workers that died or stopped."),
    "spigot_jobs_brought_back": (
        "brought_back",
        "Jobs that were found in no place, because something failed, and put back.",
    ),
    "spigot_jobs_not_replicated": (
        "not_replicated",
        "Attempts whose end too few replicas had in time; a failover then may run them again.",
    ),
    "spigot_jobs_cancelled": ("cancelled", "Jobs that were cancelled while they ran."),
}

REFUSALS = ("full", "draining")
"""Why a bucket takes no job: the reasons that ``enqueue.lua`` counts."""

HISTOGRAMS = {
    "spigot_job_waiting_seconds": ("waiting", "From taking a job in to its first slot.", True),
    "spigot_job_run_seconds": ("run", "From the slot to the end of an attempt.", True),
    "spigot_start_lateness_seconds": ("late", "From the slot to the call of the function.", False),
    "spigot_start_gap_seconds": ("gap", "Between two starts, while jobs waited.", False),
}
"""What ``bucket_stats.lua`` calls each, and whether it tells job types apart."""


class TapMetrics(Collector):
    """Reads the buckets at each scrape; costs a few commands whatever waits in them.

    Args:
        reader: Of the server of the queue side; its timeout bounds a scrape.
        types: The catalog's job types by bucket: shown as 0 before they are first seen, so that
            the first event is an increase.
    """

    def __init__(self, reader: BucketMetricsReader, types: Mapping[str, Set[str]]) -> None:
        self._reader = reader
        self._types = types

    def describe(self) -> list[Metric]:
        """Return nothing: registering must not ask the server."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; without a server only the one that says so."""
        try:
            buckets = self._reader.read_all()
        except RedisError as error:
            log.warning("the metrics lack the buckets: %s", error)
            yield _server_up(0)
            return
        yield _server_up(1)
        yield from _gauges(buckets)
        yield from _budget_gauges(buckets)
        yield from self._counters(buckets)
        yield self._refusals(buckets)
        yield from _histograms(buckets)

    def _counters(self, buckets: list[BucketMetrics]) -> Iterator[Metric]:
        for name, (event, help) in COUNTERS.items():
            family = CounterMetricFamily(name, _help(help), labels=("bucket", "type"))
            for bucket in buckets:
                for type in self._types_of(bucket):
                    family.add_metric((bucket.name, type), bucket.counts.get((event, type), 0))
            yield family

    def _refusals(self, buckets: list[BucketMetrics]) -> Metric:
        help = _help("Jobs that a bucket did not take.")
        family = CounterMetricFamily(
            "spigot_jobs_refused", help, labels=("bucket", "type", "reason")
        )
        for bucket in buckets:
            for type in self._types_of(bucket):
                for reason in REFUSALS:
                    count = bucket.counts.get((reason, type), 0)
                    family.add_metric((bucket.name, type, reason), count)
        return family

    def _types_of(self, bucket: BucketMetrics) -> list[str]:
        seen = {type for _, type in bucket.counts}
        return sorted(seen | self._types.get(bucket.name, set()))


def _help(text: str) -> str:
    return f"{text} {SAME_EVERYWHERE}"


def _server_up(value: int) -> Metric:
    return GaugeMetricFamily(
        "spigot_server_up", "1 if the server of the queue side answered this scrape.", value
    )


def _gauges(buckets: list[BucketMetrics]) -> Iterator[Metric]:
    for name, (help, value_of) in GAUGES.items():
        family = GaugeMetricFamily(name, _help(help), labels=("bucket",))
        for bucket in buckets:
            value = value_of(bucket)
            if value is not None:
                family.add_metric((bucket.name,), value)
        yield family


def _budget_gauges(buckets: list[BucketMetrics]) -> Iterator[Metric]:
    found = [(bucket, *item) for bucket in buckets for item in bucket.budgets.items()]
    for metric, (help, value_of) in BUDGET_GAUGES.items():
        family = GaugeMetricFamily(metric, _help(help), labels=("bucket", "budget"))
        for bucket, name, budget in found:
            family.add_metric((bucket.name, name), value_of(budget))
        yield family
    help = _help("1 while the next job of the bucket waits for this budget.")
    waiting = GaugeMetricFamily("spigot_bucket_budget_waiting", help, labels=("bucket", "budget"))
    for bucket, name, _ in found:
        waiting.add_metric((bucket.name, name), bucket.waits_for == name)
    yield waiting


def _histograms(buckets: list[BucketMetrics]) -> Iterator[Metric]:
    for name, (event, help, by_type) in HISTOGRAMS.items():
        labels = ("bucket", "type") if by_type else ("bucket",)
        family = HistogramMetricFamily(name, _help(help), labels=labels)
        for bucket in buckets:
            for (found, type), histogram in bucket.histograms.items():
                if found == event:
                    values = (bucket.name, type) if by_type else (bucket.name,)
                    family.add_metric(values, _cumulative(histogram), histogram.sum)
        yield family


def _cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = ("+Inf" if bound == float("inf") else f"{bound:g}" for bound in histogram.bounds)
    return list(zip(bounds, histogram.counts, strict=True))
