//! What things are: ids, names, messages, events, rights, errors, and moments. No lock, no I/O.

pub(crate) mod append;
pub(crate) mod attachment;
pub(crate) mod avatar;
pub(crate) mod check;
pub(crate) mod data;
pub(crate) mod emoji;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod id;
pub(crate) mod membership;
pub(crate) mod message;
pub(crate) mod moment;
pub(crate) mod name;
pub(crate) mod new_message;
pub(crate) mod policy;
pub(crate) mod query;
pub(crate) mod review;
pub(crate) mod time;
pub mod visible;
