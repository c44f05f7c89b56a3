"""Counters of requests, over all workers of the machine."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import REGISTRY, Collector

from app.gauges import drop_dead
from app.logs import AccessRecord

__all__ = ("CONTENT_TYPE", "count", "exposition")

CONTENT_TYPE = CONTENT_TYPE_LATEST

_requests = Counter("irontrack_requests_total", "Requests answered.", ["method", "route", "status"])
_seconds = Histogram(
    "irontrack_request_seconds",
    "Seconds until the answer was sent.",
    ["method", "route", "status_class"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}


def count(record: AccessRecord) -> None:
    """Count a request. Called off the event loop, by the thread that writes the log."""
    key = record.method, record.route, record.status
    known = _known.get(key)
    if known is None:
        method = record.method if record.method in _METHODS else "other"
        route = record.route or "unmatched"
        known = (
            _requests.labels(method, route, str(record.status)),
            _seconds.labels(method, route, f"{record.status // 100}xx"),
        )
        if method != "other":
            # Else whoever invents methods fills the memory.
            _known[key] = known
    counter, histogram = known
    counter.inc()
    histogram.observe(record.seconds)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Scraped(Collector):
    """What was looked up for this scrape."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


async def exposition(shared_folder: str, looked_up: Iterable[Metric]) -> bytes:
    """All metrics in Prometheus' text format: of all workers that share a folder, else of this one.

    Args:
        looked_up: further metrics, for this scrape alone.
    """
    # In a thread: adding up hundreds of series of several workers takes longer than requests should wait.
    return await asyncio.to_thread(_exposition, shared_folder, looked_up)


def _exposition(shared_folder: str, looked_up: Iterable[Metric]) -> bytes:
    further = CollectorRegistry()
    further.register(_Scraped(looked_up))
    registry = REGISTRY
    if shared_folder:
        drop_dead(Path(shared_folder))
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, path=shared_folder)  # type: ignore[no-untyped-call]
    return generate_latest(registry) + generate_latest(further)
