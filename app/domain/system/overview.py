"""What no worker knows by itself: looked up for whoever scrapes the metrics, and not by each worker all the time."""

import asyncio
from collections.abc import Mapping
from time import monotonic

import asyncpg
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from app.db.reader import Reader
from app.domain.imports.queue import ImportQueue, import_queue
from app.domain.system.services import HealthService
from app.settings import VERSION

__all__ = ("Overview",)

_COUNT_AGAIN_AFTER = 5.0
_ANSWER_WITHIN = 1.0


class Overview:
    """Looks at what the service stands on, and at what there is to do."""

    def __init__(self, health: HealthService, reader: Reader) -> None:
        self._health = health
        self._reader = reader
        self._looking = asyncio.Lock()
        self._looked_at = -_COUNT_AGAIN_AFTER
        self._imports: ImportQueue | None = None

    async def look(self) -> list[Metric]:
        """The state of the service as metrics; imports are counted at most every five seconds.

        While PostgreSQL is away nothing is said about imports.
        """
        health = await self._health.look()
        dependencies = {"database": health.database == "connected", "valkey": health.cache_status == "online"}
        async with self._looking:
            if monotonic() - self._looked_at >= _COUNT_AGAIN_AFTER:
                self._imports = await self._count() if dependencies["database"] else None
                self._looked_at = monotonic()
        return [
            _gauge("build_info", "The version that answers.", "version", {VERSION: 1}),
            _gauge("dependency_up", "Whether the worker that was scraped reaches it.", "dependency", dependencies),
            *(_import_metrics(self._imports) if self._imports else ()),
        ]

    async def _count(self) -> ImportQueue | None:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                return await import_queue(self._reader)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return None


def _import_metrics(queue: ImportQueue) -> list[Metric]:
    runs = {"leased": queue.leased, "waiting": queue.waiting}
    return [
        GaugeMetricFamily("irontrack_import_archives", "Archives that are being imported.", queue.archives),
        _gauge("import_runs", "Runs of these archives that are still to be stored.", "state", runs),
        GaugeMetricFamily("irontrack_import_oldest_seconds", "Seconds since the first of them came.", queue.oldest),
    ]


def _gauge(name: str, description: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"irontrack_{name}", description, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
