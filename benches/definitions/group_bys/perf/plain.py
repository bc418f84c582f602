"""The plain features: five operations over three windows. The limit program answers the same."""
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

windows = [Window(1, TimeUnit.DAYS), Window(7, TimeUnit.DAYS), Window(30, TimeUnit.DAYS)]

v1 = GroupBy(
    sources=[
        Source(
            events=EventSource(
                table="perf.events",
                query=Query(selects=select("user", "amount"), time_column="ts"),
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
            Operation.MAX,
            Operation.LAST,
        )
    ],
    accuracy=Accuracy.TEMPORAL,
)
