"""The same features online: loads a batch, streams the day after it, serves, and holds answers against the table.

    online.py UNSKEWED FOLDER

UNSKEWED is the command, FOLDER that of the example, whose training table is there. The batch ends with 30 December; the
departures of 31 December come after it. A service answers for some flights of that day as of one hour before each, and
every feature must be the one that the training table has for the flight. Everything it starts it stops.
"""
import datetime
import json
import math
import os
import shutil
import subprocess
import sys
import urllib.request

import pyarrow.parquet as pq

BATCH_DAY, NEXT_DAY = "2013-12-30", "2013-12-31"
JOIN = "flights/delays.v1"
FLIGHTS = 200
SHOWN = ("flights_departures_by_route_departure_delay_average_7d",
         "flights_departures_by_tail_number_departure_delay_last_1d",
         "flights_weather_at_origin_temperature_last_6h", "aircraft_age_years")


def command(words, *more):
    print("$ unskewed", *more, flush=True)
    subprocess.run([*words, *more], check=True, stdout=subprocess.DEVNULL)


def load(words, definitions):
    """A batch of each group-by, and what came after it for those that are as of the millisecond."""
    folder = f"{definitions}/production/group_bys/flights"
    for name in sorted(os.listdir(folder)):
        path = f"{folder}/{name}"
        command(words, "run", "--mode", "upload", "--conf", path, "--ds", BATCH_DAY)
        command(words, "bulk-load", "--conf-path", path)
        with open(path) as stream:
            temporal = json.load(stream).get("accuracy") == 0
        if temporal:
            command(words, "group-by-streaming", "--conf-path", path, "--replay-from", NEXT_DAY)
    command(words, "metadata-upload", "--conf-path", f"{definitions}/production")


def expected(warehouse):
    """Rows of the training table that ask on the day after the batch."""
    start = datetime.datetime.fromisoformat(f"{NEXT_DAY}T00:00:00+00:00").timestamp() * 1000
    table = pq.read_table(f"{warehouse}/quickstart.db/flights_delays_v1/ds={NEXT_DAY}")
    rows = [row for row in table.to_pylist() if start <= row["ts"] < start + 86_400_000]
    step = max(1, len(rows) // FLIGHTS)
    return rows[::step]


def same(left, right):
    """Equal; floating sums may differ in their last digits, since they are added up in another order."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) or isinstance(right, float):
        return None not in (left, right) and math.isclose(left, right, rel_tol=1e-12)
    return left == right


def ask(address, row):
    keys = {key: row[key] for key in ("origin", "carrier", "tail_number", "route")}
    url = f"{address}/v1/features/join/{JOIN.replace('/', '%2F')}?at_millis={row['ts']}"
    with urllib.request.urlopen(url, json.dumps([keys]).encode(), timeout=30) as answer:
        found = json.load(answer)["results"][0]
    if found["status"] != "Success":
        sys.exit(f"{keys}: {found}")
    return found["features"]


def compared(row):
    """Every feature but percentiles: those are sketches, equal within their error and not to the last digit."""
    return [name for name in row if "percentile" not in name
            and (name.startswith("flights_") or name == "aircraft_age_years")]


def differences(row, features):
    failed = [name for name in features if name.endswith("_exception")]
    return failed + [name for name in compared(row) if not same(row[name], features.get(name))]


def main():
    unskewed, folder = sys.argv[1:]
    warehouse, store = f"{folder}/warehouse", f"{folder}/kv"
    shutil.rmtree(store, ignore_errors=True)
    words = [unskewed, "--warehouse", warehouse, "--kv", f"embedded:{store}", "--quiet", "--no-progress"]
    load(words, f"{folder}/definitions")
    serve = [unskewed, "--kv", f"embedded:{store}", "serve", "--listen", "127.0.0.1:0"]
    print("$ unskewed", *serve[3:], flush=True)
    service = subprocess.Popen(serve, stderr=subprocess.PIPE, text=True)
    try:
        address = next(line for line in service.stderr if "listening on" in line).split()[-1]
        rows = expected(warehouse)
        wrong = 0
        for number, row in enumerate(rows):
            features = ask(address, row)
            for name in differences(row, features):
                wrong += 1
                print(f"{row['flight_id']}: {name} is {features.get(name)!r}, {row.get(name)!r} in the table")
            if number < 3:
                shown = "\n".join(f"    {name} = {features.get(name)}" for name in SHOWN)
                print(f"{row['flight_id']} {row['route']}:\n{shown}")
    finally:
        service.terminate()
        service.wait(timeout=30)
    if wrong or not rows:
        sys.exit(f"{wrong} features of {len(rows)} flights differ from the training table")
    print(f"{len(rows)} flights of {NEXT_DAY} asked of the service as of one hour before each: "
          f"all {len(compared(rows[0]))} features equal the training table's, sketches of percentiles aside")


if __name__ == "__main__":
    main()
