"""The plain features with exact windows by DuckDB: exact_duckdb.py WAREHOUSE OUTPUT THREADS"""
import os
import sys

import duckdb

warehouse, output, threads = sys.argv[1:4]
os.makedirs(output, exist_ok=True)
DAY_MILLIS = 86_400_000
windows, features = [], []
for days in (1, 7, 30):
    windows.append(f"w{days} AS (PARTITION BY user ORDER BY ts "
                   f"RANGE BETWEEN {days * DAY_MILLIS} PRECEDING AND 1 PRECEDING)")
    for name, call in (
        ("sum", "sum(amount)"),
        ("count", "count(amount)"),
        ("average", "avg(amount)"),
        ("max", "max(amount)"),
        ("last", "arg_max(amount, ts) FILTER (amount IS NOT NULL)"),
    ):
        features.append(f"{call} OVER w{days} AS {name}_{days}d")
connection = duckdb.connect()
connection.execute(f"SET threads = {int(threads)}")
connection.execute("SET preserve_insertion_order = false")
connection.execute(f"SET temp_directory = '{output}/spill'")
connection.execute(f"""
COPY (
  SELECT * EXCLUDE (is_query) FROM (
    SELECT user, request_id, ts, is_query, {', '.join(features)} FROM (
      SELECT user, NULL::BIGINT AS request_id, ts, amount, false AS is_query
      FROM '{warehouse}/perf.db/events/*/*.parquet'
      UNION ALL
      SELECT user, request_id, ts, NULL::DOUBLE, true
      FROM '{warehouse}/perf.db/queries/*/*.parquet'
    ) WINDOW {', '.join(windows)}
  ) WHERE is_query
) TO '{output}/part-0.parquet' (FORMAT parquet)""")
rows = connection.execute(f"SELECT count(*) FROM '{output}/part-0.parquet'").fetchone()[0]
print(f"{rows} rows by duckdb {duckdb.__version__}")
