"""The plain features with exact windows by Polars: exact_polars.py WAREHOUSE OUTPUT THREADS"""
import os
import sys

warehouse, output, threads = sys.argv[1:4]
os.environ["POLARS_MAX_THREADS"] = threads
import polars as pl  # noqa: E402  (the number of threads is read on import)

DAY_MILLIS = 86_400_000
events = pl.scan_parquet(f"{warehouse}/perf.db/events/*/*.parquet", hive_partitioning=False)
queries = pl.scan_parquet(f"{warehouse}/perf.db/queries/*/*.parquet", hive_partitioning=False)
rows = pl.concat([
    events.select("user", pl.lit(None, pl.Int64).alias("request_id"), "ts", "amount"),
    queries.select("user", "request_id", "ts", pl.lit(None, pl.Float64).alias("amount")),
]).sort("user", "ts").collect()
amount = pl.col("amount")
parts = [rows]
for days in (1, 7, 30):
    part = rows.rolling(
        index_column="ts", period=f"{days * DAY_MILLIS}i", closed="left", group_by="user"
    ).agg(
        amount.sum().alias(f"sum_{days}d"),
        amount.count().alias(f"count_{days}d"),
        amount.mean().alias(f"average_{days}d"),
        amount.max().alias(f"max_{days}d"),
        amount.drop_nulls().last().alias(f"last_{days}d"),
    )
    parts.append(part.drop("user", "ts"))
answers = pl.concat(parts, how="horizontal").filter(pl.col("request_id").is_not_null())
os.makedirs(output, exist_ok=True)
answers.write_parquet(f"{output}/part-0.parquet")
print(f"{answers.height} rows by polars {pl.__version__}")
