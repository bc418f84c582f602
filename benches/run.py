"""Measures the engine beside the limit and beside others, in one run: run.py [--sizes …] [--rounds N]

With --workload it is another job than the join that is measured; jobs.py says which and beside what.

Every contender runs as its own process, in turn, round after round, so that a slow minute of the
machine hits all of them. Counted are CPU seconds (user and system), wall seconds and peak resident
memory as the kernel reports them for the process. The answers of `unskewed join` are compared with
the limit's, column by column and bit by bit; a difference fails the run.

Prints one table and archives it as benches/runs/<date>-<machine>/{summary.md,raw.csv}.
"""
import argparse
import csv
import datetime
import glob
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time

import jobs
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
COMPILED = os.path.join(HERE, "definitions", "production", "joins", "perf")
KEYS = 200_000
LAST_DAY = "2024-01-30"
# Others are quadratic in places or too big for a small machine beyond this many events.
EVENTS_MAX = {"duckdb": 2_000_000, "naive": 200_000}
COUNTED_ONCE = ("duckdb", "polars", "naive")


def limit(arguments, warehouse, output):
    return [f"{ROOT}/target/release/limit", warehouse, output] + arguments


def unskewed(workers, join, warehouse):
    return [f"{ROOT}/target/release/unskewed", "--warehouse", warehouse, "--workers", str(workers),
            "--no-progress", "join", "--conf-path", f"{COMPILED}/queries.{join}",
            "--end-date", LAST_DAY]


def other(name, threads, warehouse, output):
    return [sys.executable, f"{HERE}/exact_{name}.py", warehouse, output, str(threads)]


def contenders(warehouse, scratch):
    """Name → (command, folder of the answers)."""
    ours = f"{warehouse}/perf_out.db/perf_queries_"
    found = {}
    for threads in (1, 2):
        out = f"{scratch}/limit-{threads}"
        found[f"limit, {threads} thread(s)"] = (
            limit(["--threads", str(threads)], warehouse, out), out)
    for workers in (1, 2):
        found[f"unskewed, {workers} worker(s)"] = (
            unskewed(workers, "plain", warehouse), f"{ours}plain")
    for workers in (1, 2):
        found[f"unskewed, rich, {workers} worker(s)"] = (
            unskewed(workers, "rich", warehouse), f"{ours}rich")
    found["polars, 2 threads"] = (other("polars", 2, warehouse, f"{scratch}/polars"),
                                  f"{scratch}/polars")
    found["duckdb, 2 threads"] = (other("duckdb", 2, warehouse, f"{scratch}/duckdb"),
                                  f"{scratch}/duckdb")
    found["naive, 1 thread"] = (limit(["--naive"], warehouse, f"{scratch}/naive"),
                                f"{scratch}/naive")
    return found


def measure(command, log):
    started = time.perf_counter()
    with open(log, "wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode:
        with open(log, errors="replace") as stream:
            tail = stream.read()[-2000:]
        return None, f"exit {process.returncode}: {tail}"
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": wall,
            "peak_mb": usage.ru_maxrss / 1024}, None


def read_answers(folder):
    paths = sorted(glob.glob(f"{folder}/ds=*/*.parquet"))
    if not paths:
        raise SystemExit(f"no answers in {folder}")
    return pa.concat_tables([pq.ParquetFile(path).read() for path in paths]).sort_by("request_id")


def compare(ours_folder, limit_folder):
    """Differences, found in a process of its own: what the driver holds in memory counts into the
    peak that the kernel reports for the processes it starts."""
    found = subprocess.run([sys.executable, __file__, "--compare", ours_folder, limit_folder],
                           stdout=subprocess.PIPE, text=True)
    lines = found.stdout.splitlines()
    return lines if found.returncode in (0, 1) and bool(lines) == bool(found.returncode) else [
        f"the comparison failed: {found.stdout}"]


def differences(ours_folder, limit_folder):
    """What differs between two answers, or nothing. Doubles are compared by their bits."""
    ours, expected = read_answers(ours_folder), read_answers(limit_folder)
    if ours.num_rows != expected.num_rows:
        return [f"{ours.num_rows} rows, {expected.num_rows} expected"]
    found = []
    for name in expected.column_names:
        if name not in ours.column_names:
            found.append(f"no column {name}")
            continue
        left, right = ours[name], expected[name]
        if left.type != right.type:
            found.append(f"{name} is {left.type}, {right.type} expected")
            continue
        if pa.types.is_floating(left.type):
            left, right = (column.combine_chunks().view(pa.int64()) if hasattr(
                column.combine_chunks(), "view") else column for column in (left, right))
        same = pc.fill_null(pc.equal(left, right), False)
        both_null = pc.and_(pc.is_null(left), pc.is_null(right))
        wrong = pc.sum(pc.invert(pc.or_(same, both_null))).as_py() or 0
        if wrong:
            found.append(f"{name} differs in {wrong} of {ours.num_rows} rows")
    return found


def machine():
    model = platform.machine()
    try:
        with open("/proc/cpuinfo") as stream:
            for line in stream:
                if line.startswith("model name"):
                    model = line.split(":", 1)[1].strip()
                    break
    except OSError:
        pass
    return model, os.cpu_count()


def ratio(records, size, name, base, field):
    values = [median(records, size, other_name, field) for other_name in (name, base)]
    return values[0] / values[1] if all(values) else None


def median(records, size, name, field):
    values = [r[field] for r in records if r["size"] == size and r["name"] == name]
    return statistics.median(values) if values else None


def summarise(records, sizes, notes):
    model, cores = machine()
    lines = [f"{model}, {cores} logical cores, {platform.system()} {platform.machine()}; "
             "medians of the rounds; the limit is the one with as many threads.", ""]
    for size in sizes:
        names = list(dict.fromkeys(r["name"] for r in records if r["size"] == size))
        if not names:
            continue
        events, rows = size
        lines += [f"## {events:,} events, {rows:,} rows", "",
                  "| who | rounds | CPU s | wall s | peak MB | CPU / limit | memory / limit |",
                  "|---|---|---|---|---|---|---|"]
        for name in names:
            base = f"limit, {'2' if ' 2 ' in name else '1'} thread(s)"
            shown = [f"{median(records, size, name, field):.{digits}f}"
                     for field, digits in (("cpu", 2), ("wall", 2), ("peak_mb", 0))]
            # The limit answers the plain features only; nothing else is measured against it.
            ratios = [None if "rich" in name else ratio(records, size, name, base, field)
                      for field in ("cpu", "peak_mb")]
            rounds = sum(r["size"] == size and r["name"] == name for r in records)
            lines.append(f"| {name} | {rounds} | " + " | ".join(shown) + " | " + " | ".join(
                "–" if value is None else f"{value:.2f}" for value in ratios) + " |")
        lines.append("")
        gains = [(who, ratio(records, size, f"{who}, 1 {word}", f"{who}, 2 {word}", "wall"))
                 for who, word in (("limit", "thread(s)"), ("unskewed", "worker(s)"))]
        if all(gain for _, gain in gains):
            lines.append("Wall-time gain from the second thread: " + ", ".join(
                f"{who} {gain:.2f}×" for who, gain in gains) + ".")
        saved = ratio(records, size, "polars, 2 threads", "unskewed, 1 worker(s)", "cpu")
        if saved:
            lines.append(f"Polars takes {saved:.1f}× the CPU of `unskewed join` with one worker.")
        lines.append("")
    return "\n".join(lines + [f"- {note}" for note in notes]).rstrip() + "\n"


def warehouse_of(size, scratch):
    """The workload of this size, made once."""
    events, rows = size
    warehouse = f"{scratch}/{events}x{rows}"
    if not os.path.exists(f"{warehouse}/.done"):
        subprocess.run([sys.executable, f"{HERE}/generate.py", warehouse, str(events), str(KEYS),
                        str(rows)], check=True)
        open(f"{warehouse}/.done", "w").close()
    return warehouse


def run_job(size, options, scratch, records, notes):
    """Another job than the join, beside what jobs.py holds it against."""
    events, warehouse, log = size[0], warehouse_of(size, scratch), f"{scratch}/log.txt"
    found = jobs.contenders(options.workload, options.binary, warehouse, scratch)
    for round_number in range(options.rounds):
        for name, (command, before, differs) in found.items():
            if options.only and not any(name.startswith(only) for only in options.only):
                continue
            before()
            result, error = measure(command, log)
            if error:
                notes.append(f"{name} at {events:,} events did not finish: {error.strip()}")
                print(f"{events:>10} {name:<28} FAILED {error.strip()[-300:]}", flush=True)
                continue
            record(records, size, name, round_number, result)
            wrong = differs(log) if differs and not round_number else []
            if wrong:
                notes.append(f"WRONG ANSWER of {name} at {events:,} events: {'; '.join(wrong)}")
                print("WRONG ANSWER:", *wrong, sep="\n  ", flush=True)


def sizes_of(text):
    return [tuple(int(number) for number in size.split("x")) for size in text.split(",")]


def record(records, size, name, round_number, result):
    records.append({"size": size, "name": name, "round": round_number, **result})
    print(f"{size[0]:>10} {name:<36} {result['cpu']:8.2f} CPU s {result['wall']:8.2f} s "
          f"{result['peak_mb']:8.0f} MB", flush=True)


def run_size(size, options, scratch, records, notes):
    events, warehouse = size[0], warehouse_of(size, scratch)
    failed, compared = set(), set()
    for round_number in range(options.rounds):
        for name, (command, output) in contenders(warehouse, scratch).items():
            kind = name.split(",")[0]
            chosen = not options.only or any(name.startswith(only) for only in options.only)
            if not chosen or name in failed or events > EVENTS_MAX.get(kind, events):
                continue
            if round_number and (kind in COUNTED_ONCE or "rich" in name):
                continue
            if kind == "unskewed":
                shutil.rmtree(f"{warehouse}/perf_out.db", ignore_errors=True)
            else:
                shutil.rmtree(output, ignore_errors=True)
            result, error = measure(command, f"{scratch}/log.txt")
            if error:
                failed.add(name)
                notes.append(f"{name} at {events:,} events did not finish: {error.strip()}")
                print(f"{events:>10} {name:<28} FAILED {error.strip()[-300:]}", flush=True)
                continue
            record(records, size, name, round_number, result)
            is_plain = name.startswith("unskewed, 1") or name.startswith("unskewed, 2")
            if (is_plain or kind == "naive") and name not in compared:
                compared.add(name)
                wrong = compare(output, f"{scratch}/limit-1")
                if wrong:
                    notes.append(f"WRONG ANSWER of {name} at {events:,} events: {'; '.join(wrong)}")
                    print("WRONG ANSWER:", *wrong, sep="\n  ", flush=True)
                else:
                    print(f"{'':>10} answers of {name} equal the limit's, bit for bit", flush=True)
            if is_plain and ", 1 " in name:
                # What a scheduler does every day: all but the newest day is there.
                for folder in glob.glob(f"{warehouse}/perf_out.db/*/ds={LAST_DAY}"):
                    shutil.rmtree(folder)
                result, error = measure(command, f"{scratch}/log.txt")
                if error:
                    notes.append(f"computing the last day again failed: {error.strip()}")
                else:
                    record(records, size, "unskewed, last day only, 1 worker(s)", round_number,
                           result)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=sizes_of,
                        default=sizes_of("200000x20000,2000000x200000,5000000x500000,20000000x2000000"),
                        help="EVENTSxROWS, comma-separated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", help="contenders whose name begins so")
    parser.add_argument("--workload", choices=jobs.WORKLOADS, help="a job that is not the join")
    parser.add_argument("--binary", default=f"{ROOT}/target/release/unskewed",
                        help="the command that --workload measures")
    parser.add_argument("--scratch", default=f"{ROOT}/target/bench")
    parser.add_argument("--no-archive", action="store_true")
    parser.add_argument("--compare", nargs=2, metavar="FOLDER", help="only compare two answers")
    options = parser.parse_args()
    if options.compare:
        wrong = differences(*options.compare)
        print("\n".join(wrong), end="")
        sys.exit(1 if wrong else 0)
    os.makedirs(options.scratch, exist_ok=True)
    records, notes = [], []
    run_one = run_job if options.workload else run_size
    for size in options.sizes:
        run_one(size, options, options.scratch, records, notes)
    summary = summarise(records, options.sizes, notes)
    print("\n" + summary)
    if records and not options.no_archive:
        slug = re.sub(r"[^a-z0-9]+", "-", machine()[0].lower()).strip("-")[:40]
        folder = f"{HERE}/runs/{datetime.date.today()}-{slug}-{machine()[1]}"
        os.makedirs(folder, exist_ok=True)
        workload = options.workload
        of, prefix = (f", {workload}", f"{workload}-") if workload else ("", "")
        with open(f"{folder}/{prefix}summary.md", "w") as stream:
            stream.write(f"# Bench of {datetime.date.today()}{of}\n\n{summary}")
        with open(f"{folder}/{prefix}raw.csv", "w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["events", "rows", "who", "round", "cpu_s", "wall_s", "peak_mb"])
            for r in records:
                writer.writerow([*r["size"], r["name"], r["round"], f"{r['cpu']:.3f}",
                                 f"{r['wall']:.3f}", f"{r['peak_mb']:.1f}"])
        print(f"archived in {os.path.relpath(folder, ROOT)}")
    sys.exit(1 if any(note.startswith("WRONG") for note in notes) else 0)


if __name__ == "__main__":
    main()
