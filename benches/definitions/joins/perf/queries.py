"""The left rows of the workload with the plain, and with the rich, features."""
from ai.chronon.api.ttypes import EventSource, Source
from ai.chronon.join import Join, JoinPart
from ai.chronon.query import Query, select
from group_bys.perf.plain import v1 as plain_features
from group_bys.perf.rich import v1 as rich_features

left = Source(
    events=EventSource(
        table="perf.queries",
        query=Query(selects=select("user", "request_id"), time_column="ts"),
    )
)

plain = Join(left=left, right_parts=[JoinPart(group_by=plain_features)])
rich = Join(left=left, right_parts=[JoinPart(group_by=rich_features)])
