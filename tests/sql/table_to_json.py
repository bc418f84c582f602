#!/usr/bin/env python3
"""Turns table.parquet, written by Spark, into table.json: the same 24 rows in the value encoding of README.md.

The kernel's tests read the JSON, so that they need no Parquet reader. Needs pyarrow.
Usage: table_to_json.py table.parquet table.json
"""
import base64
import json
import math
import sys

import pyarrow.parquet as parquet
import pyarrow.types as kinds

NAMES = {
    "bool": "boolean", "int8": "tinyint", "int16": "smallint", "int32": "int", "int64": "bigint",
    "float": "float", "double": "double", "string": "string", "binary": "binary", "date32[day]": "date",
}


def type_name(arrow):
    if kinds.is_decimal(arrow):
        return f"decimal({arrow.precision},{arrow.scale})"
    if kinds.is_timestamp(arrow):
        return "timestamp"
    if kinds.is_map(arrow):
        return f"map<{type_name(arrow.key_type)},{type_name(arrow.item_type)}>"
    if kinds.is_list(arrow):
        return f"array<{type_name(arrow.value_type)}>"
    if kinds.is_struct(arrow):
        fields = (arrow.field(i) for i in range(arrow.num_fields))
        return "struct<" + ",".join(f"{f.name}:{type_name(f.type)}" for f in fields) + ">"
    return NAMES[str(arrow)]


def encode(scalar):
    arrow = scalar.type
    if not scalar.is_valid:
        return None
    if kinds.is_timestamp(arrow) or kinds.is_date32(arrow):
        return scalar.value
    if kinds.is_decimal(arrow):
        return f"{scalar.as_py():f}"
    if kinds.is_floating(arrow):
        value = scalar.as_py()
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return value
    if kinds.is_binary(arrow):
        return base64.b64encode(scalar.as_py()).decode()
    if kinds.is_map(arrow):
        return [[encode(entry[0]), encode(entry[1])] for entry in scalar.values]
    if kinds.is_list(arrow):
        return [encode(item) for item in scalar.values]
    if kinds.is_struct(arrow):
        return [encode(scalar[i]) for i in range(arrow.num_fields)]
    return scalar.as_py()


def main():
    table = parquet.read_table(sys.argv[1])
    order = sorted(range(table.num_rows), key=lambda i: table.column("rid")[i].as_py())
    columns = [[field.name, type_name(field.type)] for field in table.schema]
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        out.write('{"columns": ' + json.dumps(columns) + ',\n"rows": [\n')
        rows = [json.dumps([encode(column[i]) for column in table.columns], ensure_ascii=False) for i in order]
        out.write(",\n".join(rows) + "\n]}\n")


if __name__ == "__main__":
    main()
