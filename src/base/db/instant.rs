//! The SQL type of [`Instant`](crate::base::instant::Instant), for the tables of [`schema`](super::schema).

pub use crate::base::instant::sql;
