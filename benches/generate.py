"""Makes the workload: generate.py WAREHOUSE EVENTS KEYS LEFT_ROWS [SEED]

  perf.events    30 days from 2024-01-01; keys by Zipf's law (exponent 1.05), times uniform in the
                 day, amounts in quarters from -1000 to 999.75, 5 % null, 20 categories
  perf.queries   left rows of the same keys on days 21 to 30

The same arguments give the same rows on every machine (numpy's default_rng).
"""
import os
import shutil
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FIRST_MILLIS, DAY_MILLIS = 1_704_067_200_000, 86_400_000
DAYS, LEFT_FROM = 30, 20
ROW_GROUP = 1 << 18


def day(index):
    return str(np.datetime64(FIRST_MILLIS + index * DAY_MILLIS, "ms"))[:10]


def main():
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    warehouse = sys.argv[1]
    events, keys, left_rows = (int(argument) for argument in sys.argv[2:5])
    random = np.random.default_rng(int(sys.argv[5]) if len(sys.argv) == 6 else 7)
    weights = 1.0 / np.arange(1, keys + 1) ** 1.05
    cumulative = np.cumsum(weights) / weights.sum()
    names = random.permutation(keys)
    categories = np.array([f"c{index:02d}" for index in range(20)])

    def draw(count):
        return names[np.searchsorted(cumulative, random.random(count))].astype(np.int64)

    def times(index, count):
        start = FIRST_MILLIS + index * DAY_MILLIS
        return (start + random.integers(0, DAY_MILLIS, count)).astype(np.int64)

    def write(table, index, columns):
        folder = os.path.join(warehouse, "perf.db", table, f"ds={day(index)}")
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        path = os.path.join(folder, "part-0.parquet")
        pq.write_table(pa.table(columns), path, row_group_size=ROW_GROUP)

    for index in range(DAYS):
        count = events // DAYS
        user, ts = draw(count), times(index, count)
        amount = random.integers(-4000, 4000, count) / 4.0
        missing = random.random(count) < 0.05
        write("events", index, {
            "user": user,
            "amount": pa.array(amount, mask=missing),
            "category": pa.array(categories[random.integers(0, 20, count)]),
            "ts": ts,
        })
    request = 0
    for index in range(LEFT_FROM, DAYS):
        count = left_rows // (DAYS - LEFT_FROM)
        write("queries", index, {
            "user": draw(count),
            "request_id": np.arange(request, request + count),
            "ts": times(index, count),
        })
        request += count


if __name__ == "__main__":
    main()
