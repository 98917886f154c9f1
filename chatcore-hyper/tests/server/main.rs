//! The service on real sockets, under its own server and under others.

mod common;
mod mounts;
mod serve;
mod sign_out;
mod times;
