//! From a compiled definition to a checked, typed, explained plan. Pure: text in, plan out.
//!
//! The story of a definition: [`definition`] reads what the user compiled; [`resolve`] holds it against a
//! [`catalog`] of tables and makes everything implicit explicit ([`logical`]), with [`expr`] for its
//! Spark SQL, [`aggregation`] for what is computed and [`naming`] for what it is called; [`lower`]
//! turns it and the days of a run into a dataflow plan ([`physical`]); [`explain`] prints the plan,
//! [`outline`] with those of the joins and jobs around it.
//! [`query`] does the same for the whole statements of staging queries.
//! [`metrics`] says what is measured of tables, [`validate`] what is doubtful, [`semantic_hash`] what
//! a change of it makes worthless, and all of them say what is wrong as [`diagnostic`]s. [`avro`] says
//! how rows are stored. [`schema`] and [`time`] are the words it is told in.
//!
//! Never does IO, never reads a clock, never starts a thread.

pub mod aggregation;
pub mod avro;
pub mod catalog;
pub mod definition;
pub mod diagnostic;
pub mod explain;
pub mod expr;
pub mod logical;
pub mod lower;
pub mod metrics;
pub mod naming;
pub mod outline;
pub mod physical;
pub mod query;
pub mod resolve;
pub mod schema;
pub mod semantic_hash;
pub mod serving;
pub mod time;
pub mod validate;
