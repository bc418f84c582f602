"""For each scheduled flight, what was known one hour before it should leave.

January only fills the windows: the longest is thirty days, so asking begins with February.
"""
from ai.chronon.api.ttypes import EventSource, Source
from ai.chronon.join import Derivation, Join, JoinPart
from ai.chronon.query import Query, select
from group_bys.flights.departures import (
    by_carrier,
    by_origin,
    by_route,
    by_tail_number,
)
from group_bys.flights.planes import register
from group_bys.flights.weather import at_origin

v1 = Join(
    left=Source(
        events=EventSource(
            table="flights.schedule",
            query=Query(
                selects=select(
                    "flight_id",
                    "origin",
                    "carrier",
                    "tail_number",
                    "destination",
                    route="CONCAT(origin, '-', destination)",
                    label="departure_delay",
                ),
                time_column="UNIX_TIMESTAMP(scheduled_departure) * 1000 - 3600000",
                start_partition="2013-02-01",
            ),
        )
    ),
    right_parts=[
        JoinPart(group_by=by_origin),
        JoinPart(group_by=by_carrier),
        JoinPart(group_by=by_tail_number),
        JoinPart(group_by=by_route),
        JoinPart(group_by=at_origin),
        JoinPart(group_by=register),
    ],
    online=True,
    derivations=[
        Derivation(name="*", expression="*"),
        Derivation(
            name="aircraft_age_years",
            expression="YEAR(FROM_UNIXTIME(ts / 1000)) - flights_planes_register_year_built",
        ),
    ],
)
