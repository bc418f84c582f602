"""Makes the tables of a small shop: make_input.py WAREHOUSE [SEED]

  shop.users       who signed up, as a full snapshot per day
  shop.purchases   what was bought; prices are in cents, the payment method is sometimes unknown
  shop.returns     what came back, some days after the purchase
  shop.checkouts   who stands at the till now: the left side of the training table

Thirty days from 2024-03-01. The same seed gives the same rows on every machine.
"""
import datetime
import os
import random
import shutil
import sys

import pyarrow as pa
import pyarrow.parquet as pq

FIRST_DAY = datetime.date(2024, 3, 1)
DAYS = 30
DAY_MILLIS = 86_400_000
START_MILLIS = 1_709_251_200_000
USERS = 500


def day_name(index):
    return (FIRST_DAY + datetime.timedelta(days=index)).isoformat()


def write(warehouse, table, schema, rows_by_day):
    folder = os.path.join(warehouse, "shop.db", table)
    shutil.rmtree(folder, ignore_errors=True)
    for index in range(DAYS):
        partition = os.path.join(folder, f"ds={day_name(index)}")
        os.makedirs(partition)
        rows = pa.Table.from_pylist(rows_by_day[index], schema=schema)
        pq.write_table(rows, os.path.join(partition, "part-0.parquet"), compression="zstd")
    print(f"shop.{table}: {sum(map(len, rows_by_day))} rows in {DAYS} days")


def moment(index, generator):
    return START_MILLIS + index * DAY_MILLIS + generator.randrange(DAY_MILLIS)


def users(generator):
    countries = ["DE", "FR", "NL", "PL", "IT"]
    everyone = [
        {
            "user_id": f"user-{number:04d}",
            "account_created_ms": START_MILLIS - generator.randrange(700 * DAY_MILLIS),
            "country": generator.choice(countries),
            "email_verified": generator.random() < 0.8,
        }
        for number in range(USERS)
    ]
    days = []
    for index in range(DAYS):
        if index:
            for user in everyone:
                if not user["email_verified"] and generator.random() < 0.05:
                    user["email_verified"] = True
        days.append([dict(user) for user in everyone])
    return days


def purchases_and_returns(generator):
    methods = ["card", "invoice", "wallet", None]
    purchases = [[] for _ in range(DAYS)]
    returns = [[] for _ in range(DAYS)]
    for index in range(DAYS):
        for number in range(400):
            # A few users buy much: squaring pushes the draw towards the first.
            user = f"user-{int(generator.random() ** 2 * USERS):04d}"
            at = moment(index, generator)
            price = generator.randrange(199, 25_000)
            order = f"{day_name(index)}-{number:03d}"
            purchases[index].append({
                "order_id": order,
                "user_id": user,
                "price_cents": price,
                "payment_method": generator.choice(methods),
                "purchased_ms": at,
            })
            if generator.random() < 0.12:
                back = at + generator.randrange(DAY_MILLIS, 9 * DAY_MILLIS)
                landed = (back - START_MILLIS) // DAY_MILLIS
                if landed < DAYS:
                    returns[landed].append({
                        "order_id": order,
                        "user_id": user,
                        "refund_cents": price,
                        "returned_ms": back,
                    })
    return purchases, returns


def checkouts(generator):
    days = []
    for index in range(DAYS):
        rows = [
            {
                "checkout_id": index * 1000 + number,
                # Someone who is not signed in has no user id.
                "user_id": None if generator.random() < 0.03
                else f"user-{int(generator.random() ** 2 * USERS):04d}",
                "basket_cents": generator.randrange(500, 40_000),
                "at_ms": moment(index, generator),
            }
            for number in range(150)
        ]
        days.append(rows)
    return days


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    warehouse = sys.argv[1]
    generator = random.Random(int(sys.argv[2]) if len(sys.argv) == 3 else 7)
    write(warehouse, "users", pa.schema([
        ("user_id", pa.string()), ("account_created_ms", pa.int64()),
        ("country", pa.string()), ("email_verified", pa.bool_())]), users(generator))
    purchases, returns = purchases_and_returns(generator)
    write(warehouse, "purchases", pa.schema([
        ("order_id", pa.string()), ("user_id", pa.string()), ("price_cents", pa.int64()),
        ("payment_method", pa.string()), ("purchased_ms", pa.int64())]), purchases)
    write(warehouse, "returns", pa.schema([
        ("order_id", pa.string()), ("user_id", pa.string()), ("refund_cents", pa.int64()),
        ("returned_ms", pa.int64())]), returns)
    write(warehouse, "checkouts", pa.schema([
        ("checkout_id", pa.int64()), ("user_id", pa.string()), ("basket_cents", pa.int64()),
        ("at_ms", pa.int64())]), checkouts(generator))


if __name__ == "__main__":
    main()
