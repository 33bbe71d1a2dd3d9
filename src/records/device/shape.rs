//! The form factor of a device. Used by [`client`](super::client) and the pages.
//!
//! Invariant: the words are stored in the database and stay as they are.

use crate::base::db::words;

words! {
    /// The form factor of a device, for its icon.
    pub enum Shape {
        /// A computer.
        Desktop = "desktop",
        /// A phone.
        Phone = "phone",
        /// A tablet.
        Tablet = "tablet",
        /// Anything else, including programs.
        Other = "other",
    }
}
