//! Limits for clients: times, sizes, and what one address may request.

pub(crate) mod address;
pub(crate) mod addresses;
pub(crate) mod allowance;
pub(crate) mod config;
pub(crate) mod incoming;
pub(crate) mod least_rate;
pub(crate) mod permits;
