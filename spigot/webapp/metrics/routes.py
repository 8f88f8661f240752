"""``/metrics``: everything that is counted, as Prometheus reads it."""

from collections import defaultdict
from collections.abc import Set

from flask import Blueprint, Flask, Response, current_app
from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector
from redis import Redis

from spigot.jobs.bucket.metrics import BucketMetricsReader
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.webapp.http.description import Answer, described

from .tap_metrics import TapMetrics
from .web_metrics import WebMetrics

blueprint = Blueprint("metrics", __name__)


def init_app(app: Flask, redis: Redis, catalog: JobCatalog) -> WebMetrics:
    """Count what the app does and show it; called by ``create_app``.

    Args:
        app: Its requests are counted.
        redis: Connection to the server of the queue side; its timeout bounds a scrape.
        catalog: Its job types are shown from the start.
    """
    registry = CollectorRegistry()
    registry.register(TapMetrics(BucketMetricsReader(redis), _types_by_bucket(catalog)))
    if values.ValueClass._multiprocess:
        MultiProcessCollector(registry)
        web = WebMetrics(None)
    else:
        web = WebMetrics(registry)
    web.init_app(app)
    app.extensions["metrics_registry"] = registry
    app.register_blueprint(blueprint)
    return web


@blueprint.get("/metrics")
@described(
    {200: Answer("The metrics, as Prometheus reads them.", str, "text/plain")}, needs_server=False
)
def show() -> Response:
    """Show all metrics; without the server, those of the web alone."""
    registry: CollectorRegistry = current_app.extensions["metrics_registry"]
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _types_by_bucket(catalog: JobCatalog) -> dict[str, Set[str]]:
    types: dict[str, set[str]] = defaultdict(set)
    for job_type in catalog:
        types[job_type.bucket].add(job_type.name)
    return dict(types)
