"""One row per checkout, with what the shop knew of the user at that moment."""
from ai.chronon.api.ttypes import EventSource, Source
from ai.chronon.join import Derivation, Join, JoinPart
from ai.chronon.query import Query, select
from group_bys.shop.purchases import v1 as purchases
from group_bys.shop.returns import v1 as returns
from group_bys.shop.users import v1 as users

v1 = Join(
    left=Source(
        events=EventSource(
            table="shop.checkouts",
            query=Query(
                selects=select("checkout_id", "user_id", "basket_cents"),
                time_column="at_ms",
                start_partition="2024-03-16",
            ),
        )
    ),
    right_parts=[
        JoinPart(group_by=purchases),
        JoinPart(group_by=returns),
        JoinPart(group_by=users),
    ],
    derivations=[
        Derivation(name="*", expression="*"),
        Derivation(
            name="basket_to_average",
            expression="basket_cents / 100.0D / shop_purchases_v1_price_average_14d",
        ),
    ],
)
