#!/usr/bin/env python3
"""Asks a real Spark 3.5 for the answers in queries.jsonl: each line's `sql`, run over the tables of queries/tables.

Needs pyspark 3.5.3 and Java 17. Usage: ask_spark.py queries.sql queries.jsonl, where queries.sql holds statements, each
after a line `=== name`; one that opens with `-- ordered` keeps the order of its rows.
"""
import base64
import datetime
import decimal
import json
import math
import pathlib
import sys

from pyspark.sql import SparkSession
from pyspark.sql import types

TABLES = pathlib.Path(__file__).parent / "queries" / "tables"


def session():
    builder = SparkSession.builder.master("local[1]")
    for name, value in {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.legacy.timeParserPolicy": "LEGACY",
        "spark.sql.ansi.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.default.parallelism": "2",
        "spark.ui.enabled": "false",
        "spark.driver.extraJavaOptions": "-Duser.timezone=UTC",
    }.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    for name in ["users", "events", "items", "t"]:
        spark.read.parquet(str(TABLES / f"{name}.parquet")).createOrReplaceTempView(name)
    return spark


def number(value):
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def moment(value):
    epoch = datetime.datetime(1970, 1, 1)
    return (value - epoch) // datetime.timedelta(microseconds=1)


def cell(value, kind):
    if value is None:
        return None
    if isinstance(kind, (types.FloatType, types.DoubleType)):
        return number(value)
    if isinstance(kind, types.DecimalType):
        scale = decimal.Decimal(1).scaleb(-kind.scale)
        return format(value.quantize(scale, context=decimal.Context(prec=60)), "f")
    if isinstance(kind, types.DateType):
        return (value - datetime.date(1970, 1, 1)).days
    if isinstance(kind, types.TimestampType):
        return moment(value)
    if isinstance(kind, types.DayTimeIntervalType):
        return value // datetime.timedelta(microseconds=1)
    if isinstance(kind, types.BinaryType):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(kind, types.ArrayType):
        return [cell(item, kind.elementType) for item in value]
    if isinstance(kind, types.StructType):
        return [cell(value[i], field.dataType) for i, field in enumerate(kind.fields)]
    if isinstance(kind, types.MapType):
        pairs = [[cell(k, kind.keyType), cell(v, kind.valueType)] for k, v in value.items()]
        return sorted(pairs, key=lambda pair: json.dumps(pair[0]))
    return value


def answer(spark, name, sql):
    record = {"id": f"q-{name}", "sql": sql, "ordered": sql.startswith("-- ordered")}
    try:
        frame = spark.sql(sql)
        fields = frame.schema.fields
        rows = [[cell(row[i], f.dataType) for i, f in enumerate(fields)] for row in frame.collect()]
    except Exception as error:
        phase = {"ParseException": "parse", "AnalysisException": "analysis"}
        kind = type(error).__name__
        record["error"] = {"phase": phase.get(kind, "runtime"), "class": kind}
        return record
    record["columns"] = [[f.name, f.dataType.simpleString()] for f in fields]
    if not record["ordered"]:
        rows.sort(key=lambda row: json.dumps(row, ensure_ascii=False))
    record["rows"] = rows
    return record


def main(source, target):
    spark = session()
    blocks = ("\n" + pathlib.Path(source).read_text()).split("\n=== ")[1:]
    with open(target, "w") as out:
        for block in blocks:
            name, sql = block.strip().split("\n", 1)
            out.write(json.dumps(answer(spark, name, sql.strip()), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
