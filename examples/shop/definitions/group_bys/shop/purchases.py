"""What a user bought lately, up to the millisecond of the checkout."""
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

windows = [Window(3, TimeUnit.DAYS), Window(14, TimeUnit.DAYS)]

v1 = GroupBy(
    sources=[
        Source(
            events=EventSource(
                table="shop.purchases",
                query=Query(
                    selects=select(
                        "user_id", "payment_method", price="price_cents / 100.0D"
                    ),
                    time_column="purchased_ms",
                ),
            )
        )
    ],
    keys=["user_id"],
    aggregations=[
        Aggregation("price", Operation.SUM, windows),
        Aggregation("price", Operation.COUNT, windows, buckets=["payment_method"]),
        Aggregation("price", Operation.AVERAGE, windows),
        Aggregation("price", Operation.LAST_K(3)),
        Aggregation("payment_method", Operation.HISTOGRAM, windows),
    ],
    accuracy=Accuracy.TEMPORAL,
)
