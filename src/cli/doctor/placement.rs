//! The check of where the tables are. Called by [`doctor`](super).
//!
//! Invariant: it changes nothing.

use super::inputs::{Patient, away, unseen};
use crate::{
    base::db::{Schema, citus::Placements},
    serve::risks::Finding,
};

/// Checks that the tables are all on one server, or all distributed to workers that are there.
pub async fn placement(patient: &mut Patient) -> Finding {
    let Some(database) = patient.database.as_mut().map_err(|_| unseen())? else {
        return Ok("not checked: there is no database yet".to_owned());
    };
    if !matches!(patient.schema, Ok(Schema::Current(_))) {
        return Ok("not checked: the schema is not current".to_owned());
    }
    let placements = database.placements().await.map_err(|error| away(&error))?;
    let Placements::Distributed { workers, away, clocks, counts: [accounts, keys], coordinator, missing } = placements
    else {
        return Ok("all tables are on one server".to_owned());
    };
    if !missing.is_empty() {
        return Err(format!(
            "the other tables are distributed, but these are on the coordinator: {}. Run `sessile distribute`",
            missing.join(", ")
        ));
    }
    if !away.is_empty() {
        return Err(format!(
            "these workers do not answer the coordinator, so the accounts on them cannot be used: {}. Start them; a worker \
             that was switched off comes back with SELECT citus_activate_node('HOST', PORT)",
            away.join(", ")
        ));
    }
    if let Some((worker, seconds)) = clocks.first() {
        return Err(format!(
            "the clock of the worker {worker} is {seconds:.1} s from the coordinator's: keep both in step with NTP"
        ));
    }
    Ok(format!(
        "distributed over {}: {accounts} tables by account, {keys} by their own key; on the coordinator: {}",
        workers.join(", "),
        coordinator.join(", ")
    ))
}
