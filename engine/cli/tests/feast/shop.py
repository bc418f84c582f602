"""Feast as a client: the shop example's features, asked for through the Feast SDK's own Chronon stores.

    shop.py UNSKEWED EXAMPLE FOLDER

UNSKEWED is the command, EXAMPLE the folder of the shop example, FOLDER an empty one to work in. Feast knows no time of a
request but now, so the example's thirty days end today: what happens after the last full hour is left out, and each asking
user stands at the till at that hour. Until the next hour begins, no window of theirs moves. What the online store, which
asks `serve`, and the offline store, which reads the warehouse, give for a user must be what the training table has.
"""
import datetime
import importlib.util
import json
import math
import os
import subprocess
import sys

os.environ["NO_PROXY"] = "127.0.0.1"

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import ChrononSource, Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.types import Array, Bool, Float64, Int64, Map, String

JOIN, TABLE = "shop/training_set.v1", "training.db/shop_training_set_v1"
ASKING = 60
OF_JOIN = {
    "shop_purchases_v1_price_sum_3d": Float64, "shop_purchases_v1_price_sum_14d": Float64,
    "shop_purchases_v1_price_average_14d": Float64, "shop_purchases_v1_price_last3": Array(Float64),
    "shop_purchases_v1_price_count_14d_by_payment_method": Map,
    "shop_purchases_v1_payment_method_histogram_3d": Map,
    "shop_returns_v1_refund_cents_sum_14d": Int64, "shop_returns_v1_refund_cents_top2_14d": Array(Int64),
    "shop_users_v1_account_created_ms": Int64, "shop_users_v1_country": String,
    "shop_users_v1_email_verified": Bool, "part_of_3d": Float64,
}
OF_GROUP_BY = {"price_sum_14d": Float64, "price_last3": Array(Float64), "payment_method_histogram_3d": Map}
PREFIX = "shop_purchases_v1_"


def lay_tables(example, warehouse, hour):
    """The example's tables, of the thirty days that end today; returns the users who ask."""
    spec = importlib.util.spec_from_file_location("make_input", f"{example}/make_input.py")
    make_input = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_input)
    make_input.FIRST_DAY = hour.date() - datetime.timedelta(days=make_input.DAYS - 1)
    midnight = datetime.datetime.combine(make_input.FIRST_DAY, datetime.time(), datetime.timezone.utc)
    make_input.START_MILLIS = int(midnight.timestamp() * 1000)
    own, sys.argv = sys.argv, ["make_input.py", warehouse]
    make_input.main()
    sys.argv = own
    today = f"{warehouse}/shop.db/{{}}/ds={hour.date()}/part-0.parquet"
    hour_millis = int(hour.timestamp() * 1000)
    for table, time in (("purchases", "purchased_ms"), ("returns", "returned_ms")):
        rows = pq.ParquetFile(today.format(table)).read()
        pq.write_table(rows.filter(pc.less(rows[time], hour_millis)), today.format(table))
    users = [f"user-{number:04d}" for number in range(ASKING)] + ["nobody"]
    schema = pq.ParquetFile(today.format("checkouts")).schema_arrow
    rows = [{"user_id": user, "basket_cents": 999, "checkout_id": number, "at_ms": hour_millis}
            for number, user in enumerate(users)]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), today.format("checkouts"))
    return users


def lay_definitions(example, folder, first_day):
    """The join, with the time of a checkout as a timestamp, which Feast needs, and a derivation that is known online;
    and its group-bys."""
    with open(f"{example}/definitions/production/joins/{JOIN}") as file:
        join = json.load(file)
    query = join["left"]["events"]["query"]
    query["selects"]["checkout_at"] = "timestamp_millis(at_ms)"
    query["startPartition"] = str(first_day)
    part = "shop_purchases_v1_price_sum_3d / shop_purchases_v1_price_sum_14d"
    join["derivations"].append({"name": "part_of_3d", "expression": part})
    paths = {f"joins/{JOIN}": join}
    for part in join["joinParts"]:
        definition = json.loads(json.dumps(part["groupBy"]))
        definition["metaData"]["outputNamespace"] = join["metaData"]["outputNamespace"]
        paths["group_bys/" + definition["metaData"]["name"].replace(".", "/", 1)] = definition
    for path, definition in paths.items():
        os.makedirs(os.path.dirname(f"{folder}/{path}"), exist_ok=True)
        with open(f"{folder}/{path}", "w") as file:
            json.dump(definition, file)
    return f"{folder}/joins/{JOIN}", [f"{folder}/{path}" for path in paths if path.startswith("group_bys/")]


def run_jobs(words, join, group_bys, definitions, today):
    def command(*more):
        subprocess.run([*words, *more], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    yesterday = str(today - datetime.timedelta(days=1))
    command("join", "--conf-path", join, "--end-date", str(today))
    for path in group_bys:
        command("run", "--mode", "upload", "--conf", path, "--ds", yesterday)
        command("bulk-load", "--conf-path", path)
        if path.endswith("purchases.v1"):
            command("group-by-streaming", "--conf-path", path, "--replay-from", str(today))
    command("metadata-upload", "--conf-path", definitions)


def feature_store(folder, warehouse, address):
    """A Feast repository whose views are the join and one of its group-bys."""
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)

    def view(name, features, **source):
        source = ChrononSource(name=f"{name}_source", materialization_path=f"{warehouse}/{TABLE}",
                               timestamp_field="checkout_at", **source)
        schema = [Field(name=name, dtype=dtype) for name, dtype in {"user_id": String, **features}.items()]
        return FeatureView(name=name, entities=[user], schema=schema, source=source, ttl=None)

    config = RepoConfig(project="shop", provider="chronon", registry=f"{folder}/registry.db", repo_path=folder,
                        online_store={"type": "chronon", "path": address}, offline_store={"type": "chronon"},
                        entity_key_serialization_version=3)
    store = FeatureStore(config=config)
    renamed = {PREFIX + name: name for name in OF_GROUP_BY}
    store.apply([user, view("checkouts", OF_JOIN, chronon_join=JOIN),
                 view("purchases", OF_GROUP_BY, chronon_group_by="shop.purchases.v1", field_mapping=renamed)])
    return store


def plain(value):
    """A value without what tells its way apart: maps are dictionaries, missing numbers nothing."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        pairs = value and all(isinstance(item, tuple) for item in value)
        return {name: plain(item) for name, item in value} if pairs else [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def same(left, right):
    """Equal; floating sums may differ in their last digits, since they are added up in another order."""
    left, right = plain(left), plain(right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) or isinstance(right, float):
        return None not in (left, right) and math.isclose(left, right, rel_tol=1e-12) or left == right
    return left == right


def differences(expected, answers, features, prefix, way):
    found = []
    for row, keys in enumerate(expected):
        for name in features:
            value, wanted = answers[name][row], keys[prefix + name]
            if not same(value, wanted):
                found.append(f"{way}, {keys['user_id']}: {name} is {value!r}, in the training table {wanted!r}")
    return found


def check(store, users, expected, hour):
    """What differs, online and offline."""
    asking = [{"user_id": user} for user in users]
    references = [f"checkouts:{name}" for name in OF_JOIN]
    online = store.get_online_features(features=references, entity_rows=asking).to_dict()
    found = differences(expected, online, OF_JOIN, "", "online")
    references = [f"purchases:{name}" for name in OF_GROUP_BY]
    online = store.get_online_features(features=references, entity_rows=asking).to_dict()
    found += differences(expected, online, OF_GROUP_BY, PREFIX, "online, group-by")
    # Feast's offline store cannot take maps out of a Parquet file, whoever wrote it.
    taken = [name for name, dtype in OF_JOIN.items() if dtype is not Map]
    references = [f"checkouts:{name}" for name in taken]
    frame = pd.DataFrame(asking)
    frame["event_timestamp"] = pd.Series([hour] * len(frame)).astype("datetime64[us, UTC]")
    offline = store.get_historical_features(entity_df=frame, features=references).to_df()
    return found + differences(expected, offline, taken, "", "offline")


def main():
    unskewed, example, folder = sys.argv[1:]
    hour = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)
    folder = f"{folder}/{hour:%H}"
    warehouse, definitions, kv = (f"{folder}/{name}" for name in ("warehouse", "definitions", "kv"))
    users = lay_tables(example, warehouse, hour)
    join, group_bys = lay_definitions(example, definitions, hour.date())
    words = [unskewed, "--warehouse", warehouse, "--kv", f"embedded:{kv}", "--quiet", "--no-progress"]
    run_jobs(words, join, group_bys, definitions, hour.date())
    rows = pq.read_table(f"{warehouse}/{TABLE}").to_pylist()
    expected = {row["user_id"]: row for row in rows}
    service = subprocess.Popen([unskewed, "--kv", f"embedded:{kv}", "serve", "--listen", "127.0.0.1:0"],
                               stderr=subprocess.PIPE, text=True)
    try:
        address = next(line for line in service.stderr if "listening on" in line).split()[-1]
        store = feature_store(folder, warehouse, address)
        wrong = check(store, users, [expected[user] for user in users], hour)
    finally:
        service.terminate()
        service.wait(timeout=30)
    if datetime.datetime.now(datetime.timezone.utc) >= hour + datetime.timedelta(hours=1):
        return main()
    known = sum(plain(expected[user][name]) is not None for user in users for name in OF_JOIN)
    if wrong or 2 * known < len(users) * len(OF_JOIN):
        sys.exit("\n".join([*wrong, f"{known} values are known"]))
    print(f"{len(users)} users asked of Feast: {len(OF_JOIN)} features of a join online and offline, "
          f"{len(OF_GROUP_BY)} of a group-by online, all as in the training table")


if __name__ == "__main__":
    main()
