//! A running chat, through the in-process client and the app's own calls.

mod answers;
mod app;
mod budgets;
mod client;
mod consumers;
mod data;
mod erasure;
mod faults;
mod files;
mod limits;
mod membership;
mod nodes;
mod outlet;
mod presence;
mod previews;
mod profiles;
mod review;
mod rights;
mod search;
mod seeing;
mod session;
mod shares;
