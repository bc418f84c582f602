"""What `run.py --workload NAME` measures besides joins, and what each is held against.

  upload       the states of a group-by over EVENTS events, for a key-value store; beside the plain
               scan of the columns it reads
  staging      a staging query (two windows, a join, two groupings) over EVENTS rows; beside DuckDB,
               which is given the same statement and must give the same answer
  consistency  metrics of ROWS logged rows, each computed again; beside the plain scan of what is read

Definitions come from the compiled join. Also a program, for those who are measured beside:

  jobs.py scan WAREHOUSE THREADS TABLE:COLUMN,COLUMN…      reads columns by DuckDB
  jobs.py staging WAREHOUSE THREADS OUTPUT                 the staging query by DuckDB
"""
import glob
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
COMPILED = os.path.join(HERE, "definitions", "production", "joins", "perf", "queries.plain")
LAST_DAY = "2024-01-30"
WORKLOADS = ("upload", "staging", "consistency")
EVENT_COLUMNS = "events:user,amount,ts"
STATEMENT = """
WITH placed AS (
  SELECT e.user, e.ds, e.amount,
         row_number() OVER (PARTITION BY e.user, e.ds ORDER BY e.ts, e.amount) AS place,
         sum(e.amount) OVER (PARTITION BY e.user, e.ds ORDER BY e.ts, e.amount
                             ROWS BETWEEN 9 PRECEDING AND CURRENT ROW) AS recent
  FROM {events} e WHERE e.amount IS NOT NULL
), asked AS (
  SELECT q.user, q.ds, count(*) AS requests FROM {queries} q GROUP BY q.user, q.ds
)
SELECT p.user, count(*) AS events, sum(p.amount) AS amount, max(p.place) AS places,
       max(p.recent) AS recent, CAST(sum(a.requests) AS BIGINT) AS requests{day}
FROM placed p JOIN asked a ON p.user = a.user AND p.ds = a.ds
GROUP BY p.user
"""


def compiled():
    with open(COMPILED) as stream:
        return json.load(stream)


def group_by():
    """The group-by of the join, as one that stands alone."""
    found = compiled()["joinParts"][0]["groupBy"]
    found["metaData"].update(outputNamespace="perf_out", online=1)
    return found


def staging_query():
    statement = STATEMENT.format(events="perf.events", queries="perf.queries",
                                 day=f", '{LAST_DAY}' AS ds")
    return {"metaData": {"name": "perf.staging", "outputNamespace": "perf_out", "team": "perf"},
            "query": statement}


def written(scratch, name, definition):
    path = f"{scratch}/{name}.json"
    with open(path, "w") as stream:
        json.dump(definition, stream)
    return path


def command(binary, warehouse, workers, words):
    return [binary, "--warehouse", warehouse, "--workers", str(workers), "--no-progress", *words]


def beside(what, warehouse, *more):
    return [sys.executable, os.path.abspath(__file__), what, warehouse, *more]


def make_log(binary, warehouse):
    """The table of logged requests: what the join gives, as if it had been served."""
    output = f"{warehouse}/perf_out.db/perf_queries_plain"
    logged = f"{warehouse}/perf_log.db/logged"
    if os.path.exists(f"{logged}/.done"):
        return logged
    import pyarrow as pa
    import pyarrow.parquet as pq
    shutil.rmtree(f"{warehouse}/perf_out.db", ignore_errors=True)
    words = ["join", "--conf-path", COMPILED, "--end-date", LAST_DAY]
    subprocess.run(command(binary, warehouse, 2, words), check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(logged, ignore_errors=True)
    for path in sorted(glob.glob(f"{output}/ds=*/*.parquet")):
        rows = pq.ParquetFile(path).read().drop_columns(["request_id"])
        hashes = pa.array(["bench"] * rows.num_rows)
        folder = f"{logged}/{os.path.basename(os.path.dirname(path))}"
        os.makedirs(folder, exist_ok=True)
        pq.write_table(rows.append_column("schema_hash", hashes), f"{folder}/part-0.parquet")
    open(f"{logged}/.done", "w").close()
    return logged


def same_answer(ours, theirs):
    """Differences between the answers of the staging query."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def rows(pattern):
        found = pa.concat_tables([pq.ParquetFile(path).read() for path in sorted(glob.glob(pattern))])
        types = {name: pa.float64() if name in ("amount", "recent") else pa.int64()
                 for name in ("user", "events", "amount", "places", "recent", "requests")}
        found = found.select(list(types)).cast(pa.schema(list(types.items())))
        return found.combine_chunks().sort_by("user")
    left, right = rows(f"{ours}/ds=*/*.parquet"), rows(f"{theirs}/*.parquet")
    return [] if left.equals(right) else [f"{left.num_rows} rows differ from {right.num_rows}"]


def no_discrepancy(log):
    """What was logged is what the join gives, so nothing may differ."""
    with open(log) as stream:
        text = stream.read()
    found, _ = json.JSONDecoder().raw_decode(text[text.index("{"):])
    return [f"{row['column']} differs in {row['differing']} rows"
            for row in found["columns"] if row["differing"]]


def contenders(workload, binary, warehouse, scratch):
    """Name → (command, what to do before it, what finds differences in its answer or None)."""
    clean = f"{warehouse}/perf_out.db"
    if workload == "upload":
        path = written(scratch, "upload", group_by())
        words = ["group-by-upload", "--conf-path", path, "--end-date", LAST_DAY]
        found = ours("upload", binary, warehouse, words, clean, None)
        scans = [EVENT_COLUMNS]
    elif workload == "staging":
        path = written(scratch, "staging", staging_query())
        words = ["staging-query-backfill", "--conf-path", path, "--end-date", LAST_DAY]
        theirs = f"{scratch}/staging-duckdb"

        def cleaned():
            shutil.rmtree(theirs, ignore_errors=True)
        found = {f"duckdb, {threads} thread(s)": (
            beside("staging", warehouse, str(threads), theirs), cleaned, None) for threads in (1, 2)}
        # SQL runs on one thread whatever the workers: its scans read ahead on another.
        found["unskewed, staging"] = (
            command(binary, warehouse, 1, words), lambda: shutil.rmtree(clean, ignore_errors=True),
            lambda _: same_answer(f"{clean}/perf_staging", theirs))
        return found
    else:
        logged = make_log(binary, warehouse)
        table = f"{clean}/perf_queries_plain_logged"
        join = compiled()
        path = written(scratch, "consistency", join)
        words = ["consistency-metrics-compute", "--conf-path", path, "--end-date", LAST_DAY,
                 "--format", "json"]
        found = ours("consistency", binary, warehouse, words, clean, no_discrepancy,
                     lambda: shutil.copytree(logged, table))
        scans = [EVENT_COLUMNS, "../perf_log.db/logged:*"]
    found.update({f"scan by duckdb, {threads} thread(s)": (
        beside("scan", warehouse, str(threads), *scans), lambda: None, None) for threads in (1, 2)})
    return found


def ours(name, binary, warehouse, words, clean, check, prepare=None):
    def cleaned():
        shutil.rmtree(clean, ignore_errors=True)
        if prepare:
            prepare()
    return {f"unskewed, {name}, {workers} worker(s)": (
        command(binary, warehouse, workers, words), cleaned, check) for workers in (1, 2)}


def connect(threads):
    import duckdb
    connection = duckdb.connect()
    connection.execute(f"SET threads = {int(threads)}")
    connection.execute("SET preserve_insertion_order = false")
    return connection


def files(warehouse, table):
    return f"read_parquet('{warehouse}/perf.db/{table}/*/*.parquet', hive_partitioning = true)"


def scan(warehouse, threads, *tables):
    connection = connect(threads)
    for table, columns in (word.split(":") for word in tables):
        source = files(warehouse, table)
        names = columns.split(",")
        if columns == "*":
            names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
        reads = ", ".join(f'max("{name}")' for name in names)
        print(table, connection.execute(f"SELECT count(*), {reads} FROM {source}").fetchone()[0])


def staging(warehouse, threads, output):
    os.makedirs(output, exist_ok=True)
    statement = STATEMENT.format(events=files(warehouse, "events"),
                                 queries=files(warehouse, "queries"), day="")
    connection = connect(threads)
    connection.execute(f"SET temp_directory = '{output}/spill'")
    connection.execute(f"COPY ({statement}) TO '{output}/part-0.parquet' (FORMAT parquet)")


if __name__ == "__main__":
    {"scan": scan, "staging": staging}[sys.argv[1]](*sys.argv[2:])
