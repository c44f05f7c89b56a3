"""Counters of requests, over all workers of the machine."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import REGISTRY

from app.logs import AccessRecord

__all__ = ("CONTENT_TYPE", "count", "exposition")

CONTENT_TYPE = CONTENT_TYPE_LATEST

_requests = Counter("irontrack_requests_total", "Requests answered.", ["method", "route", "status"])
_seconds = Histogram(
    "irontrack_request_seconds",
    "Seconds until the answer was sent.",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_counters: dict[tuple[str, str, int], Counter] = {}
_histograms: dict[tuple[str, str], Histogram] = {}


def count(record: AccessRecord) -> None:
    """Count a request. Called off the event loop, by the thread that writes the log."""
    route = record.route or "unmatched"
    method = record.method if record.method in _METHODS else "other"
    counter = _counters.get((method, route, record.status))
    if counter is None:
        counter = _counters[method, route, record.status] = _requests.labels(method, route, str(record.status))
    counter.inc()
    histogram = _histograms.get((method, route))
    if histogram is None:
        histogram = _histograms[method, route] = _seconds.labels(method, route)
    histogram.observe(record.seconds)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def exposition(shared_folder: str) -> bytes:
    """The counters in Prometheus' text format: of all workers that share a folder, else of this one."""
    if not shared_folder:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, path=shared_folder)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
