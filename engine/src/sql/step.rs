//! An operator of our own among DataFusion's: rows in, rows out.
//!
//! A [`Step`] is plain code over batches; [`StepExec`] is all that DataFusion has to know of it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{DataFusionError, Result};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion_physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt};

use crate::error::EngineError;

/// What a step gives.
pub(super) type Stepped<T> = std::result::Result<T, EngineError>;

/// Turns batches into batches.
pub(super) trait Step: Send {
    /// Takes the next rows, one at least; what is ready goes to `out`.
    fn push(&mut self, batch: &RecordBatch, out: &mut VecDeque<RecordBatch>) -> Stepped<()>;

    /// The input has ended.
    fn finish(&mut self, _out: &mut VecDeque<RecordBatch>) -> Stepped<()> {
        Ok(())
    }

    /// Whether more input would change nothing.
    fn is_done(&self) -> bool {
        false
    }
}

/// Makes the step of one run.
pub(super) type MakeStep = dyn Fn(&TaskContext) -> Stepped<Box<dyn Step>> + Send + Sync;

/// Makes the stream of one run of a leaf.
pub(super) type MakeStream = dyn Fn(SchemaRef) -> Result<SendableRecordBatchStream> + Send + Sync;

enum Source {
    Step(Arc<dyn ExecutionPlan>, Arc<MakeStep>),
    Leaf(Arc<MakeStream>),
    /// The rows of each, one after the other.
    Union(Vec<Arc<dyn ExecutionPlan>>),
}

/// A step or a leaf, as DataFusion sees it.
pub(super) struct StepExec {
    name: &'static str,
    source: Source,
    properties: Arc<PlanProperties>,
}

impl StepExec {
    /// A step over an input.
    pub(super) fn over(
        name: &'static str,
        input: Arc<dyn ExecutionPlan>,
        schema: SchemaRef,
        make: Arc<MakeStep>,
    ) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self {
            name,
            source: Source::Step(input, make),
            properties: properties(schema),
        })
    }

    /// A source of rows.
    pub(super) fn leaf(
        name: &'static str,
        schema: SchemaRef,
        make: Arc<MakeStream>,
    ) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self {
            name,
            source: Source::Leaf(make),
            properties: properties(schema),
        })
    }
}

impl StepExec {
    /// The rows of several inputs of one schema, one input after the other.
    pub(super) fn one_after_the_other(
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        schema: SchemaRef,
    ) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self {
            name: "union",
            source: Source::Union(inputs),
            properties: properties(schema),
        })
    }
}

fn properties(schema: SchemaRef) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(1),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

impl fmt::Debug for StepExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepExec")
            .field("name", &self.name)
            .finish()
    }
}

impl DisplayAs for StepExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl ExecutionPlan for StepExec {
    fn name(&self) -> &str {
        self.name
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        match &self.source {
            Source::Step(input, _) => vec![input],
            Source::Leaf(_) => vec![],
            Source::Union(inputs) => inputs.iter().collect(),
        }
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let source = match &self.source {
            Source::Step(input, make) => {
                let input = children.pop().unwrap_or_else(|| Arc::clone(input));
                Source::Step(input, Arc::clone(make))
            }
            Source::Leaf(make) => Source::Leaf(Arc::clone(make)),
            Source::Union(_) => Source::Union(children),
        };
        Ok(Arc::new(Self {
            name: self.name,
            source,
            properties: Arc::clone(&self.properties),
        }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let schema = Arc::clone(self.properties.eq_properties.schema());
        let (input, make) = match &self.source {
            Source::Leaf(make) => return make(schema),
            Source::Step(input, make) => (input, make),
            Source::Union(inputs) => {
                // An input is started when the one before it has ended.
                let inputs = futures::stream::iter(inputs.clone());
                let rows = inputs.map(move |input| input.execute(partition, Arc::clone(&context)));
                let stream = rows.try_flatten();
                return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)));
            }
        };
        let running = Running {
            step: make(&context).map_err(external)?,
            input: Some(input.execute(partition, context)?),
            ready: VecDeque::new(),
        };
        let stream = futures::stream::try_unfold(running, Running::next);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

struct Running {
    step: Box<dyn Step>,
    input: Option<SendableRecordBatchStream>,
    ready: VecDeque<RecordBatch>,
}

impl Running {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        loop {
            while let Some(batch) = self.ready.pop_front() {
                if batch.num_rows() > 0 {
                    return Ok(Some((batch, self)));
                }
            }
            if self.step.is_done() {
                self.input = None;
            }
            let Some(input) = &mut self.input else {
                return Ok(None);
            };
            match input.next().await {
                Some(batch) => {
                    let batch = batch?;
                    // A join may give batches of no rows; a step need not know.
                    if batch.num_rows() > 0 {
                        let pushed = self.step.push(&batch, &mut self.ready);
                        pushed.map_err(external)?;
                    }
                }
                None => {
                    self.input = None;
                    self.step.finish(&mut self.ready).map_err(external)?;
                }
            }
        }
    }
}

/// An error of ours on its way through DataFusion.
#[derive(Debug)]
pub(super) struct Broken(Mutex<Option<EngineError>>);

impl Broken {
    /// The error, the first time it is asked for.
    pub(super) fn take(&self) -> EngineError {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.take().unwrap_or_else(|| EngineError::Query {
            message: "the query stopped".into(),
        })
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(error) => write!(f, "{error}"),
            None => f.write_str("the query stopped"),
        }
    }
}

impl std::error::Error for Broken {}

pub(super) fn external(error: EngineError) -> DataFusionError {
    DataFusionError::External(Box::new(Broken(Mutex::new(Some(error)))))
}
