"""The names of all metrics, to hold pages and dashboards against."""

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from spigot.webapp.metrics.tap_metrics import BUDGET_GAUGES, COUNTERS, GAUGES, HISTOGRAMS
from spigot.webapp.metrics.web_metrics import WebMetrics


def metrics() -> set[str]:
    """Return the names of all metrics, as they are shown."""
    registry = CollectorRegistry()
    WebMetrics(registry)
    counters = {f"{name}_total" for name in COUNTERS}
    own = {_shown_name(metric) for metric in registry.collect()}
    tap = {"spigot_server_up", "spigot_jobs_refused_total", *GAUGES, *HISTOGRAMS}
    return counters | own | tap | {*BUDGET_GAUGES, "spigot_bucket_budget_waiting"}


def _shown_name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name
