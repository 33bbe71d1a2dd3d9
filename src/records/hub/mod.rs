//! What a node hears of ends and changes, on its way to the open streams.

mod mailbox;
mod node;
mod streams;
mod subscription;

pub use self::{mailbox::Notices, node::Hub, streams::Listener, subscription::Subscription};
