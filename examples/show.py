"""Prints a sample of a table: show.py WAREHOUSE TABLE [--rows N] [--columns PREFIX,PREFIX,…]

Reads Hive-layout Parquet; needs only pyarrow.
"""
import argparse
import glob
import os
import sys

import pyarrow as pa
import pyarrow.parquet as pq


def text(value):
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return "{" + ", ".join(f"{text(k)}: {text(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(text(item) for item in value) + "]"
    return "null" if value is None else str(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("warehouse")
    parser.add_argument("table", help="database.table")
    parser.add_argument("--rows", type=int, default=3)
    parser.add_argument("--columns", default="", help="only columns that begin so, comma-separated")
    options = parser.parse_args()
    database, name = options.table.split(".")
    folder = os.path.join(options.warehouse, f"{database}.db", name)
    files = sorted(glob.glob(os.path.join(folder, "ds=*", "*.parquet")))
    if not files:
        sys.exit(f"no rows: {folder} has no Parquet file in a folder ds=…")
    rows = sum(pq.read_metadata(path).num_rows for path in files)
    last = pq.ParquetFile(files[-1])
    # A row group in the middle of the table says more than its first rows.
    middle = pq.ParquetFile(files[len(files) // 2])
    sample = next(middle.iter_batches(batch_size=4096), pa.RecordBatch.from_pylist([]))
    step = max(1, sample.num_rows // (options.rows + 1))
    picked = [sample.slice(step * (1 + n), 1).to_pylist() for n in range(options.rows)]
    picked = [rows_[0] for rows_ in picked if rows_]
    prefixes = tuple(filter(None, options.columns.split(",")))
    names = [n for n in last.schema_arrow.names if not prefixes or n.startswith(prefixes)]
    width = max(map(len, names), default=0)
    day = os.path.basename(os.path.dirname(files[len(files) // 2]))
    print(f"{options.table}: {rows} rows, {len(last.schema_arrow.names)} columns, "
          f"{len(files)} files; sample of {day}, one column a line:")
    for column in names:
        values = "  ".join(f"{text(row.get(column))[:26]:<26}" for row in picked)
        print(f"  {column:<{width}}  {values.rstrip()}")
    print(f"The table lies in {folder}")


if __name__ == "__main__":
    main()
