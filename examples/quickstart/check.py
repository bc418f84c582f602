"""Computes features of the quickstart's training table again and compares: check.py WAREHOUSE [LAST_DAY]

Plain Python over the input tables, sharing nothing with the engine: for a sample of rows it walks
the events of each key and applies the rule of docs/semantics.md,

    floor(asked - window, hop) <= event time < asked,    hop = 1 day if window >= 12 days,
                                                               1 hour if >= 12 hours, else 5 minutes

Exits with 1 and prints each difference if any value differs. Approximate percentiles are compared by
rank. Also checks that the table has exactly the scheduled flights asked for, once each.
"""
import bisect
import collections
import datetime
import functools
import glob
import math
import os
import random
import sys

import pyarrow as pa
import pyarrow.parquet as pq

HOUR, DAY = 3_600_000, 86_400_000
WINDOWS = {"1h": HOUR, "6h": 6 * HOUR, "1d": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
FIRST_DAY = "2013-02-01"
SAMPLE = 200
# KLL with k = 128 promises about 2 % of rank; this leaves room for chance over many comparisons.
RANK_TOLERANCE = 0.06


def millis(timestamp):
    return round(timestamp.timestamp() * 1000)


def read(warehouse, table, columns, first="", last="9999"):
    """Rows of the days from first to last, in the order of days and files."""
    paths = sorted(glob.glob(os.path.join(warehouse, "flights.db", table, "ds=*", "*.parquet")))
    rows = []
    for path in paths:
        ds = os.path.basename(os.path.dirname(path))[3:]
        if first <= ds <= last:
            rows += pq.ParquetFile(path).read(columns=columns).to_pylist()
    return rows


def shifted(ds, days):
    return (datetime.date.fromisoformat(ds) + datetime.timedelta(days=days)).isoformat()


def hop(window):
    return DAY if window >= 12 * DAY else HOUR if window >= 12 * HOUR else 5 * 60_000


class Log:
    """Events of one key in time order, equal times in the order of the input."""

    def __init__(self):
        self.times, self.rows = [], []

    def add(self, time, row):
        assert not self.times or self.times[-1] <= time, "events arrive in time order"
        self.times.append(time)
        self.rows.append(row)

    def window(self, asked, window):
        tail = (asked - window) // hop(window) * hop(window)
        start = bisect.bisect_left(self.times, tail)
        end = bisect.bisect_left(self.times, asked)
        return self.times[start:end], self.rows[start:end]


def index(rows, time, key):
    logs = collections.defaultdict(Log)
    for when, row in sorted(((time(row), row) for row in rows), key=lambda pair: pair[0]):
        if key(row) is not None:
            logs[key(row)].add(when, row)
    return logs


class Report:
    def __init__(self):
        self.compared, self.wrong = 0, []

    def check(self, row, column, equal, expected):
        self.compared += 1
        if not equal(row[column], expected):
            self.wrong.append(f"flight_id {row['flight_id']} {column}: "
                              f"table {row[column]!r}, computed {expected!r}")

    def equal(self, row, column, expected):
        self.check(row, column, lambda a, b: a == b, expected)

    def close(self, row, column, expected):
        self.check(row, column, lambda a, b: (a is None) == (b is None) and (
            a is None or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)), expected)


def last_k_agrees(times, delays, k):
    """The k most recent, newest first; among equal times any choice and order will do."""
    def agrees(got, _):
        if not delays:
            return got is None
        if got is None or len(got) != min(k, len(delays)):
            return False
        newest = sorted(zip(times, delays), key=lambda pair: -pair[0])
        place = 0
        while place < len(got):
            time = newest[place][0]
            choices = collections.Counter(d for t, d in newest if t == time)
            here = got[place:place + sum(choices.values())]
            if collections.Counter(here) - choices:
                return False
            place += len(here)
        return True
    return agrees


def percentiles_agree(delays, fractions):
    ordered = sorted(delays)

    def agrees(got, _):
        if not delays:
            return got is None
        if got is None or len(got) != len(fractions):
            return False
        for value, fraction in zip(got, fractions):
            low = bisect.bisect_left(ordered, value) / len(ordered)
            high = bisect.bisect_right(ordered, value) / len(ordered)
            slack = RANK_TOLERANCE + 1 / len(ordered)
            if not low - slack <= fraction <= high + slack:
                return False
        return True
    return agrees


def check_departures(report, row, prefix, log, counted):
    for name, window in WINDOWS.items():
        times, events = log.window(row["ts"], window)
        delays = [event["departure_delay"] for event in events]
        column = f"flights_departures_by_{prefix}_departure_delay_"
        report.equal(row, f"{column}count_{name}", len(delays) or None)
        report.close(row, f"{column}average_{name}", sum(delays) / len(delays) if delays else None)
        report.equal(row, f"{column}max_{name}", max(delays) if delays else None)
        newest = delays[bisect.bisect_left(times, times[-1])] if times else None
        report.equal(row, f"{column}last_{name}", newest)
        report.check(row, f"{column}last5_{name}", last_k_agrees(times, delays, 5), delays[-5:])
        report.check(row, f"{column}approx_percentile_{name}",
                     percentiles_agree(delays, [0.5, 0.9]), sorted(delays))
        report.equal(row, f"{column}unique_count_{name}", len(set(delays)) or None)
        late = sum(delay > 15 for delay in delays) if delays else None
        report.equal(row, f"flights_departures_by_{prefix}_late_sum_{name}", late)
        seen = {event[counted] for event in events if event[counted] is not None}
        report.equal(row, f"flights_departures_by_{prefix}_{counted}_unique_count_{name}",
                     len(seen) or None)


def check_weather(report, row, log):
    for measure in ("temperature", "wind_speed", "visibility"):
        _, events = log.window(row["ts"], WINDOWS["6h"])
        known = [event[measure] for event in events if event[measure] is not None]
        report.equal(row, f"flights_weather_at_origin_{measure}_last_6h",
                     known[-1] if known else None)
    for name in ("6h", "1d"):
        _, events = log.window(row["ts"], WINDOWS[name])
        rain = [event["precipitation"] for event in events]
        report.close(row, f"flights_weather_at_origin_precipitation_sum_{name}",
                     math.fsum(rain) if rain else None)


def check_plane(report, row, planes_of):
    asked = datetime.datetime.fromtimestamp(row["ts"] / 1000, datetime.timezone.utc)
    plane = planes_of(shifted(asked.date().isoformat(), -1)).get(row["tail_number"], {})
    for column in ("year_built", "manufacturer", "seats", "engine"):
        report.equal(row, f"flights_planes_register_{column}", plane.get(column))
    built = plane.get("year_built")
    report.equal(row, "aircraft_age_years", None if built is None else asked.year - built)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    warehouse, last_day = sys.argv[1], (sys.argv[2:] + ["2014-01-01"])[0]
    folder = os.path.join(warehouse, "quickstart.db", "flights_delays_v1")
    paths = sorted(glob.glob(os.path.join(folder, "ds=*", "*.parquet")))
    if not paths:
        sys.exit(f"no training table in {folder}: run `make quickstart` first")

    wanted = sorted(row["flight_id"] for row in read(
        warehouse, "schedule", ["flight_id"], FIRST_DAY, last_day))
    ids = pa.concat_tables([
        pq.ParquetFile(path).read(columns=["flight_id"]) for path in paths])["flight_id"]
    if sorted(ids.to_pylist()) != wanted:
        sys.exit(f"the table has {len(ids)} rows, {len(wanted)} flights were asked for, or some "
                 "flight is there twice")

    first = shifted(FIRST_DAY, -32)
    departures = read(warehouse, "departures", [
        "origin", "destination", "carrier", "tail_number", "departure_delay", "departure",
    ], first, last_day)
    for row in departures:
        row["route"] = f"{row['origin']}-{row['destination']}"
        row["time"] = millis(row["departure"])
    left = {key: index(departures, lambda row: row["time"], lambda row: row[key])
            for key in ("origin", "carrier", "tail_number", "route")}
    weather = index(read(warehouse, "weather", None, first, last_day),
                    lambda row: millis(row["observed_hour"]) + HOUR, lambda row: row["origin"])

    @functools.lru_cache(maxsize=4)
    def planes_of(day):
        return {row["tail_number"]: row for row in read(warehouse, "planes", None, day, day)}

    generator = random.Random(7)
    report = Report()
    sampled = 0
    for path in generator.sample(paths, min(40, len(paths))):
        table = pq.ParquetFile(path).read()
        share = max(1, SAMPLE // min(40, len(paths)))
        picked = generator.sample(range(table.num_rows), min(share, table.num_rows))
        for row in table.take(picked).to_pylist():
            sampled += 1
            for key, counted in (("origin", "tail_number"), ("carrier", "tail_number"),
                                 ("tail_number", "route"), ("route", "carrier")):
                log = left[key].get(row[key]) if row[key] is not None else None
                check_departures(report, row, key, log or Log(), counted)
            check_weather(report, row, weather[row["origin"]])
            check_plane(report, row, planes_of)
    for line in report.wrong[:50]:
        print(line)
    print(f"{report.compared} values of {sampled} rows compared with plain Python, "
          f"{len(report.wrong)} differ; {len(wanted)} rows, each flight once")
    sys.exit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()
