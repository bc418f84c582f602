"""The weather at the airport as last observed.

An observation describes a whole hour, so it is known when that hour is over. Nothing older than six
hours is taken for the present weather.
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

recent = [Window(6, TimeUnit.HOURS)]

at_origin = GroupBy(
    sources=[
        Source(
            events=EventSource(
                table="flights.weather",
                query=Query(
                    selects=select(
                        "origin",
                        "temperature",
                        "wind_speed",
                        "visibility",
                        "precipitation",
                    ),
                    time_column="UNIX_TIMESTAMP(observed_hour) * 1000 + 3600000",
                ),
            )
        )
    ],
    keys=["origin"],
    aggregations=[
        Aggregation("temperature", Operation.LAST, recent),
        Aggregation("wind_speed", Operation.LAST, recent),
        Aggregation("visibility", Operation.LAST, recent),
        Aggregation("precipitation", Operation.SUM, recent + [Window(1, TimeUnit.DAYS)]),
    ],
    accuracy=Accuracy.TEMPORAL,
    online=True,
)
