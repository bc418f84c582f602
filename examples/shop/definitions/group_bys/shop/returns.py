"""What a user sent back, as of the midnight before: a nightly load is good enough here."""
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

windows = [Window(7, TimeUnit.DAYS), Window(14, TimeUnit.DAYS)]

v1 = GroupBy(
    sources=[
        Source(
            events=EventSource(
                table="shop.returns",
                query=Query(
                    selects=select("user_id", "refund_cents"),
                    time_column="returned_ms",
                ),
            )
        )
    ],
    keys=["user_id"],
    aggregations=[
        Aggregation("refund_cents", Operation.SUM, windows),
        Aggregation("refund_cents", Operation.COUNT, windows),
        Aggregation("refund_cents", Operation.TOP_K(2), windows),
    ],
    accuracy=Accuracy.SNAPSHOT,
)
