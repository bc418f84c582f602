"""The rich features: every kind of state, from a counter to a sketch, over five windows."""
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

windows = [
    Window(1, TimeUnit.HOURS),
    Window(6, TimeUnit.HOURS),
    Window(1, TimeUnit.DAYS),
    Window(7, TimeUnit.DAYS),
    Window(30, TimeUnit.DAYS),
]

v1 = GroupBy(
    sources=[
        Source(
            events=EventSource(
                table="perf.events",
                query=Query(
                    selects=select("user", "amount", "category"), time_column="ts"
                ),
            )
        )
    ],
    keys=["user"],
    aggregations=[
        Aggregation("amount", operation, windows)
        for operation in (
            Operation.SUM,
            Operation.COUNT,
            Operation.AVERAGE,
            Operation.VARIANCE,
            Operation.MIN,
            Operation.MAX,
            Operation.LAST,
            Operation.LAST_K(5),
            Operation.APPROX_PERCENTILE([0.5, 0.95]),
        )
    ]
    + [
        Aggregation("category", Operation.UNIQUE_COUNT, windows),
        Aggregation("amount", Operation.COUNT, windows, buckets=["category"]),
    ],
    accuracy=Accuracy.TEMPORAL,
)
