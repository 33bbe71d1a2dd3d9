//! Delivers notifications of session ends and other changes to the open streams of this node. `serve` runs the [`Hub`];
//! the `events` page subscribes to it.

mod mailbox;
mod node;
mod streams;
mod subscription;

pub use self::{
    mailbox::Notices,
    node::{Ends, Hub},
    streams::Listener,
    subscription::Subscription,
};
