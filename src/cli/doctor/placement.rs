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
    let Placements::Distributed { workers, inactive, counts: [accounts, keys], coordinator, missing } = placements
    else {
        return Ok("all tables are on one server".to_owned());
    };
    if !missing.is_empty() {
        return Err(format!(
            "the other tables are distributed, but these are on the coordinator: {}. Run `sessile distribute`",
            missing.join(", ")
        ));
    }
    if !inactive.is_empty() {
        return Err(format!(
            "the coordinator does not use these workers: {}. Run SELECT citus_activate_node('HOST', PORT) when a worker is \
             back",
            inactive.join(", ")
        ));
    }
    Ok(format!(
        "distributed over {}: {accounts} tables by account, {keys} by their own key; on the coordinator: {}",
        workers.join(", "),
        coordinator.join(", ")
    ))
}
