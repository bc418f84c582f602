//! What can be typed of the jobs that stream and fetch.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use unskewed_planner::time::Partition;
use unskewed_rest::Limits;

use super::JobArgs;

const STREAM_EXAMPLES: &str = "\
Examples:
  unskewed --kv embedded:./kv group-by-streaming --conf-path production/group_bys/team/spend.v1 --kafka-bootstrap k1:9092
  unskewed group-by-streaming --conf-path production/group_bys --kafka-properties client.properties --dead-letters ./dead
  unskewed group-by-streaming --conf-path production/group_bys/team/spend.v1 --topic-parameter path=events.jsonl
  unskewed group-by-streaming --conf-path production/group_bys/team/spend.v1 --replay-from 2024-03-02

Of a folder every group-by with a topic is streamed, in one process; group-bys of one topic read it once.
A stream that is killed and started again goes on where it was. Stop with Ctrl-C or SIGTERM.

A replay reads the days of the tables behind the group-by's topics, from the day given to the last, as if their rows had
come through the topic, and ends. A day before the batch's end does no harm: readers take what the batch lacks.";

const SERVE_EXAMPLES: &str = "\
Examples:
  unskewed --kv embedded:./kv serve
  unskewed serve --stream production/group_bys --kafka-bootstrap k1:9092
  unskewed serve --listen 0.0.0.0:8443 --tls-cert chain.pem --tls-key key.pem --token-file tokens
  curl -d '[{\"user\": \"u1\"}]' http://127.0.0.1:8080/v1/features/join/team%2Ftraining.v1

An embedded store has one owner: what loads into it asks for it while no service runs on it; what streams into it, the
service itself does, with --stream.
Stop with Ctrl-C or SIGTERM: requests at hand are answered first.";

const FETCH_EXAMPLES: &str = "\
Examples:
  unskewed fetch --type join --name team/training.v1 --key-json '{\"user\": \"u1\"}'
  unskewed fetch --type group-by --name team.spend.v1 --key-json '[{\"user\": \"u1\"}]' --at-millis 1709424000000
  unskewed fetch --requests requests.jsonl --responses responses.jsonl

A line of requests is {\"type\": \"join\" or \"group_by\", \"name\", \"keys\", \"ts\"}; without \"ts\", which is in
milliseconds, the answer is as of now. Each gets a line {\"request\", \"values\"} or {\"request\", \"error\"}, in the
same order. What of a join could not be had is the text of NAME_exception among its values.";

/// How topics are streamed.
#[derive(Clone, Debug, Args)]
pub(crate) struct StreamOptions {
    /// Kafka brokers, instead of those that topics name
    #[arg(long, value_name = "HOST:PORT,…")]
    pub(crate) kafka_bootstrap: Option<String>,
    /// A property of the Kafka client, by librdkafka's name
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) kafka_property: Vec<String>,
    /// A file of such properties, a line each
    #[arg(long, value_name = "FILE")]
    pub(crate) kafka_properties: Option<PathBuf>,
    /// Said of topics besides what definitions say: format, registry, schema, path and so on
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) topic_parameter: Vec<String>,
    /// Where the stream keeps what it has read [default: beside the embedded store]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) checkpoint: Option<String>,
    /// Where messages go that cannot be decoded: a folder, kafka:TOPIC, or none, which counts them
    #[arg(long, value_name = "PLACE", default_value = "none")]
    pub(crate) dead_letters: String,
    /// Longest time between an event's coming and its being published
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) epoch_millis: u64,
    /// Seconds between checkpoints
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) checkpoint_seconds: u64,
    /// Days before the end of the last batch that late events still count in
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) horizon_days: i32,
}

/// A stream of a group-by.
#[derive(Clone, Debug, Args)]
#[command(after_help = STREAM_EXAMPLES)]
pub(crate) struct StreamArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Read the tables behind the topics, from this day on, and end
    #[arg(long, value_name = "DS")]
    pub(crate) replay_from: Option<Partition>,
    #[command(flatten)]
    pub(crate) stream: StreamOptions,
    /// End once everything is read that is in the topics now
    #[arg(long)]
    pub(crate) until_end: bool,
    /// Read and compute, but write to no store
    #[arg(long)]
    pub(crate) mock_writes: bool,
    /// Accepted: how far events lag is measured anyway
    #[arg(long, value_name = "N", hide = true)]
    pub(crate) lag_millis: Option<u64>,
    /// Accepted: --log says how much is told
    #[arg(long, short = 'd', hide = true)]
    pub(crate) debug: bool,
}

/// A service that answers requests.
#[derive(Clone, Debug, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Certificate chain in PEM; plain HTTP without
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Bearer tokens that are let in, one a line; everybody without
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Bytes of one request's body
    #[arg(long, value_name = "N", default_value_t = Limits::default().body_bytes)]
    pub(crate) max_body_bytes: usize,
    /// Objects of keys in one request
    #[arg(long, value_name = "N", default_value_t = Limits::default().rows)]
    pub(crate) max_rows: usize,
    /// Milliseconds that one request may take
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) max_millis: u64,
    /// Requests answered at once; more are told to come again
    #[arg(long, value_name = "N", default_value_t = Limits::default().in_flight)]
    pub(crate) max_in_flight: usize,
    /// File to which answers of joins with a sample percent are added, a line of JSON each
    #[arg(long, value_name = "FILE")]
    pub(crate) log_responses: Option<PathBuf>,
    /// Table of the warehouse to which they are added instead
    #[arg(long, value_name = "DB.TABLE", conflicts_with = "log_responses")]
    pub(crate) log_table: Option<String>,
    /// Bytes of answers after which files of the table are written
    #[arg(long, value_name = "N", default_value_t = 64 << 20)]
    pub(crate) log_roll_bytes: usize,
    /// Seconds after which they are written at the latest
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub(crate) log_roll_seconds: u64,
    /// Where an external source is asked: its name and an address that speaks http://; may be repeated
    #[arg(long, value_name = "NAME=URL")]
    pub(crate) external: Vec<String>,
    /// Milliseconds that an external source may take
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) external_max_millis: u64,
    /// Requests under way at once to an external source; more wait for their turn
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) external_concurrency: usize,
    /// Also stream into the store: a compiled group-by, or a folder of them
    #[arg(long, value_name = "FILE")]
    pub(crate) stream: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) streaming: StreamOptions,
    /// Seconds between looks for new batches and definitions
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) refresh_seconds: u64,
}

/// What is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FetchType {
    /// A join
    Join,
    /// A group-by
    #[value(alias = "group_by")]
    GroupBy,
}

/// Requests for features.
#[derive(Clone, Debug, Args)]
#[command(after_help = FETCH_EXAMPLES)]
pub(crate) struct FetchArgs {
    /// What is fetched
    #[arg(
        long = "type",
        short = 't',
        value_name = "TYPE",
        default_value = "join"
    )]
    pub(crate) kind: FetchType,
    /// Its name
    #[arg(long, short = 'n', value_name = "NAME", required_unless_present_any = ["requests", "conf_path"])]
    pub(crate) name: Option<String>,
    /// Its compiled definition, instead of type and name
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    pub(crate) conf_path: Option<PathBuf>,
    /// Keys: an object, or a list of objects
    #[arg(long, short = 'k', value_name = "JSON", conflicts_with = "requests")]
    pub(crate) key_json: Option<String>,
    /// Keys: a file with an object a line
    #[arg(long, short = 'f', value_name = "FILE", conflicts_with_all = ["requests", "key_json"])]
    pub(crate) key_json_file: Option<PathBuf>,
    /// As of when, in milliseconds since 1970 [default: now]
    #[arg(long, value_name = "T", conflicts_with = "requests")]
    pub(crate) at_millis: Option<i64>,
    /// A file with a request a line; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) requests: Option<PathBuf>,
    /// Where answers go [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) responses: Option<PathBuf>,
    /// Accepted: run.py gives every mode a day
    #[arg(long, value_name = "DS", hide = true)]
    pub(crate) end_date: Option<Partition>,
}
