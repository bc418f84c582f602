//! The plan of definitions over a range of days, as a job would run it, without reading a row.

use unskewed_connectors::table::Warehouse;
use unskewed_planner::definition::Definition;
use unskewed_planner::outline::{Outline, Run, outline};

use super::catalog::WarehouseCatalog;
use super::error::Result;

/// The plan of all definitions together, with those of the joins before them and of labels after them.
pub fn plan(definitions: &[Definition], run: &Run, warehouse: &Warehouse) -> Result<Outline> {
    let catalog = WarehouseCatalog::new(warehouse);
    catalog.checked(outline(definitions, run, &catalog))
}
