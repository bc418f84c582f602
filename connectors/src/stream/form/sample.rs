//! Messages and rows for the tests of all forms.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, ListBuilder, MapBuilder,
    MapFieldNames, StringBuilder,
};
use arrow_array::{Array, ArrayRef, RecordBatch, StructArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{Field as ArrowField, Fields, Schema as ArrowSchema};
use proptest::prelude::*;

use crate::spawn::{Joined, spawn};
use crate::stream::Message;

/// Messages that hold these payloads.
pub(super) fn messages(payloads: &[&[u8]]) -> Vec<Message> {
    let message = |(offset, payload): (i64, &&[u8])| Message {
        offset,
        millis: None,
        key: None,
        payload: Some(payload.to_vec()),
    };
    (0..).zip(payloads).map(message).collect()
}

/// The values of an array as Arrow shows them.
pub(super) fn shown(array: &ArrayRef) -> Vec<String> {
    let options = FormatOptions::new();
    let formatter = ArrayFormatter::try_new(array, &options).unwrap();
    let rows = 0..array.len();
    rows.map(|row| formatter.value(row).to_string()).collect()
}

type Sample = (
    Option<i64>,
    Option<f64>,
    Option<String>,
    Option<bool>,
    Option<Vec<Option<i32>>>,
    Option<std::collections::BTreeMap<String, Option<i64>>>,
);

/// Rows of all shapes: plain columns, lists, maps, and a structure of them.
pub(super) fn rows() -> impl Strategy<Value = RecordBatch> {
    let row = (
        any::<Option<i64>>(),
        any::<Option<f64>>().prop_map(|f| f.filter(|f| f.is_finite())),
        any::<Option<String>>(),
        any::<Option<bool>>(),
        prop::option::of(prop::collection::vec(any::<Option<i32>>(), 0..4)),
        prop::option::of(prop::collection::btree_map(
            "[a-z]{0,3}",
            any::<Option<i64>>(),
            0..3,
        )),
    );
    prop::collection::vec(row, 0..8).prop_map(|rows| batch(&rows))
}

fn batch(rows: &[Sample]) -> RecordBatch {
    let mut longs = Int64Builder::new();
    let mut doubles = Float64Builder::new();
    let mut texts = StringBuilder::new();
    let mut booleans = BooleanBuilder::new();
    let item = ArrowField::new("element", arrow_schema::DataType::Int32, true);
    let mut lists = ListBuilder::new(Int32Builder::new()).with_field(item);
    let names = MapFieldNames {
        entry: "entries".into(),
        key: "key".into(),
        value: "value".into(),
    };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), Int64Builder::new());
    for (long, double, text, boolean, list, map) in rows {
        longs.append_option(*long);
        doubles.append_option(*double);
        texts.append_option(text.as_deref());
        booleans.append_option(*boolean);
        lists.append_option(list.clone());
        for (key, value) in map.iter().flatten() {
            maps.keys().append_value(key);
            maps.values().append_option(*value);
        }
        maps.append(map.is_some()).unwrap();
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("long", Arc::new(longs.finish())),
        ("double", Arc::new(doubles.finish())),
        ("text", Arc::new(texts.finish())),
        ("boolean", Arc::new(booleans.finish())),
        ("list", Arc::new(lists.finish())),
        ("map", Arc::new(maps.finish())),
    ];
    let field =
        |(name, array): &(&str, ArrayRef)| ArrowField::new(*name, array.data_type().clone(), true);
    let fields: Fields = columns.iter().map(field).collect();
    let arrays: Vec<ArrayRef> = columns.iter().map(|(_, array)| Arc::clone(array)).collect();
    let structure = match rows.is_empty() {
        true => StructArray::new_null(fields.clone(), 0),
        false => StructArray::new(fields.clone(), arrays.clone(), None),
    };
    let mut all: Vec<ArrowField> = fields.iter().map(|field| (**field).clone()).collect();
    all.push(ArrowField::new(
        "structure",
        structure.data_type().clone(),
        true,
    ));
    let mut arrays = arrays;
    arrays.push(Arc::new(structure));
    RecordBatch::try_new(Arc::new(ArrowSchema::new(all)), arrays).unwrap()
}

/// A server that gives the answers of a path in order, the last of them for ever.
pub(super) struct Answers {
    address: std::net::SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    server: Option<Joined<()>>,
}

impl Answers {
    /// Path, status and body.
    pub(super) fn of(answers: &[(&str, u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let owned = answers
            .iter()
            .map(|(path, status, body)| ((*path).to_owned(), *status, (*body).to_owned()));
        let mut answers: Vec<(String, u16, String)> = owned.collect();
        let heard = Arc::new(Mutex::new(vec![]));
        let hears = Arc::clone(&heard);
        let server = spawn("registry", move || {
            for stream in listener.incoming() {
                let Some(request) = stream.as_ref().ok().and_then(head) else {
                    continue;
                };
                if request.starts_with("END ") {
                    return;
                }
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                hears.lock().unwrap().push(request);
                answer(&stream.unwrap(), &path, &mut answers);
            }
        });
        Self {
            address,
            heard,
            server: Some(server.unwrap()),
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of the requests so far.
    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(b"END / HTTP/1.1\r\n\r\n").unwrap();
        self.server.take();
    }
}

fn head(stream: &TcpStream) -> Option<String> {
    let mut head = String::new();
    let mut lines = BufReader::new(stream);
    while lines.read_line(&mut head).ok()? > 2 {}
    Some(head)
}

fn answer(mut stream: &TcpStream, path: &str, answers: &mut Vec<(String, u16, String)>) {
    let found = answers.iter().position(|(of, ..)| of == path);
    let (status, body) = match found {
        None => (404, "nothing is there".to_owned()),
        Some(at) => {
            let is_last = !answers[at + 1..].iter().any(|(of, ..)| of == path);
            let (_, status, body) = answers[at].clone();
            if !is_last {
                answers.remove(at);
            }
            (status, body)
        }
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    // Who asked may be gone.
    stream.write_all(format!("{head}{body}").as_bytes()).ok();
}
