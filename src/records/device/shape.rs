//! The sort of machine.

use crate::base::db::words;

words! {
    /// What sort of machine it is, for its picture.
    pub enum Shape {
        /// A computer.
        Desktop = "desktop",
        /// A phone.
        Phone = "phone",
        /// A tablet.
        Tablet = "tablet",
        /// Anything else, programs among them.
        Other = "other",
    }
}
