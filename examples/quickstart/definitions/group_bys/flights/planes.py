"""The register of aircraft: a snapshot a day, taken over as it is (no aggregation)."""
from ai.chronon.api.ttypes import EntitySource, Source
from ai.chronon.group_by import GroupBy
from ai.chronon.query import Query, select

register = GroupBy(
    sources=[
        Source(
            entities=EntitySource(
                snapshotTable="flights.planes",
                query=Query(
                    selects=select(
                        "tail_number", "year_built", "manufacturer", "seats", "engine"
                    )
                ),
            )
        )
    ],
    keys=["tail_number"],
    aggregations=None,
    online=True,
)
