"""What is known of recent departures per airport, carrier, aircraft and route.

An event is a departure and happens when the aircraft leaves: only then is its delay known, so that
is the time column. A cancelled flight never leaves and is no event.
"""
from ai.chronon.api.ttypes import EventSource, Source
from ai.chronon.group_by import (
    Accuracy,
    Aggregation,
    GroupBy,
    Operation,
    TimeUnit,
    Window,
)
from ai.chronon.query import Query, select

source = Source(
    events=EventSource(
        table="flights.departures",
        query=Query(
            selects=select(
                "origin",
                "carrier",
                "tail_number",
                "departure_delay",
                route="CONCAT(origin, '-', destination)",
                late="IF(departure_delay > 15, 1, 0)",
            ),
            time_column="UNIX_TIMESTAMP(departure) * 1000",
        ),
    )
)

windows = [
    Window(1, TimeUnit.HOURS),
    Window(6, TimeUnit.HOURS),
    Window(1, TimeUnit.DAYS),
    Window(7, TimeUnit.DAYS),
    Window(30, TimeUnit.DAYS),
]


def departures_by(key, counted):
    """Delay features per `key`; `counted` is the column whose distinct values are counted."""
    return GroupBy(
        sources=[source],
        keys=[key],
        aggregations=[
            Aggregation("departure_delay", Operation.COUNT, windows),
            Aggregation("departure_delay", Operation.AVERAGE, windows),
            Aggregation("departure_delay", Operation.MAX, windows),
            Aggregation("departure_delay", Operation.LAST, windows),
            Aggregation("departure_delay", Operation.LAST_K(5), windows),
            Aggregation(
                "departure_delay",
                Operation.APPROX_PERCENTILE([0.5, 0.9]),
                windows,
            ),
            Aggregation("departure_delay", Operation.UNIQUE_COUNT, windows),
            Aggregation("late", Operation.SUM, windows),
            Aggregation(counted, Operation.UNIQUE_COUNT, windows),
        ],
        accuracy=Accuracy.TEMPORAL,
        online=True,
    )


by_origin = departures_by("origin", counted="tail_number")
by_carrier = departures_by("carrier", counted="tail_number")
by_tail_number = departures_by("tail_number", counted="route")
by_route = departures_by("route", counted="carrier")
