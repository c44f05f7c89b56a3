"""What completed sessions add up to. Warm-ups never count."""

from datetime import date
from typing import Final

import msgspec

from app.db.reader import Fetching
from app.domain.history.dto import TrainingStatistics
from app.domain.history.models import SessionStatus, SetType
from app.domain.history.reading import SINCE_DATE, UNTIL_DATE
from app.security.principal import Principal

__all__ = ("StatisticsReader",)

# ruff: noqa: S608 (statements are put together from the constants of this module alone; values are parameters)

_MOST_REPS: Final = 12
"""With more reps, a set says little of what can be lifted once."""

_SUMS: Final = """
    'sets', coalesce(sum({row}.sets), 0), 'repsCompleted', coalesce(sum({row}.reps), 0),
    'timeSeconds', coalesce(sum({row}.seconds), 0), 'distanceKm', coalesce(sum({row}.km), 0)::float8,
    'volumeKg', coalesce(sum({row}.volume), 0)::float8
"""

# By the exercise; what is a name alone goes by its name, as it does for the last time.
_ADD_UP: Final = f"""
WITH done AS MATERIALIZED (
    SELECT s.id, s.start_time, s.local_date, s.duration_seconds FROM training_sessions s WHERE {{conditions}}
), work AS (
    SELECT done.id AS session_id, done.start_time, done.local_date, e.exercise_id, e.exercise_name_snapshot AS name,
        coalesce(e.exercise_id::text, lower(e.exercise_name_snapshot)) AS key, t.*
    FROM done JOIN training_session_exercises e ON e.training_session_id = done.id
    CROSS JOIN LATERAL (
        SELECT count(*) AS sets, sum(t.reps_completed) AS reps, sum(t.time_seconds) AS seconds,
            sum(t.distance_km) AS km, sum(t.weight * t.reps_completed) AS volume,
            max(t.weight) FILTER (WHERE t.reps_completed > 0 OR t.mode <> 'reps') AS heaviest,
            max(t.weight * CASE t.reps_completed WHEN 1 THEN 1 ELSE 1 + t.reps_completed / 30.0 END)
                FILTER (WHERE t.reps_completed BETWEEN 1 AND {_MOST_REPS}) AS one_rep_max
        FROM training_session_sets t
        WHERE t.session_exercise_id = e.id AND t.set_type IS DISTINCT FROM '{SetType.WARM_UP}'
    ) t
    WHERE t.sets > 0
), exercise AS (
    SELECT sum(work.sets) AS sets, max(work.name) AS name, json_build_object(
        'exerciseId', (array_agg(work.exercise_id))[1],
        'exerciseName', (array_agg(work.name ORDER BY work.start_time DESC, work.session_id DESC))[1],
        'sessions', count(DISTINCT work.session_id), {_SUMS.format(row="work")},
        'heaviestKg', max(work.heaviest)::float8, 'oneRepMaxKg', round(max(work.one_rep_max), 2)::float8,
        'lastDate', max(work.local_date)) AS document
    FROM work GROUP BY work.key
)
SELECT json_build_object(
    'sessions', (SELECT count(*) FROM done),
    'durationSeconds', (SELECT coalesce(sum(done.duration_seconds), 0) FROM done), {_SUMS.format(row="work")},
    'exercises', (
        SELECT coalesce(json_agg(exercise.document ORDER BY exercise.sets DESC, exercise.name), '[]'::json)
        FROM exercise))::text
FROM work
"""

_statistics = msgspec.json.Decoder(TrainingStatistics)


class StatisticsReader:
    """Adds up the caller's history, each time in one statement."""

    def __init__(self, reader: Fetching) -> None:
        self._reader = reader

    async def add_up(self, principal: Principal, since: date | None, until: date | None) -> TrainingStatistics:
        """What was done between two local dates, both inclusive; None: without an end.

        An exercise that was renamed is one, under the name of the last time.
        """
        values: list[object] = [principal.user_id]
        conditions = ["s.user_id = $1", f"s.status = '{SessionStatus.COMPLETED}'"]
        for condition, day in ((SINCE_DATE, since), (UNTIL_DATE, until)):
            if day:
                values.append(day)
                conditions.append(condition.format(len(values)))
        [row] = await self._reader.fetch(_ADD_UP.format(conditions=" AND ".join(conditions)), *values)
        return _statistics.decode(row[0])
