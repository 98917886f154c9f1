//! What goes wrong, and who notices: clients that misbehave or read slowly, rights that end, a database that fails.

mod database_away;
mod failing_network;
mod failures;
mod hostile;
mod members;
mod postgres;
mod restored;
mod rights;
mod shares;
mod slow_consumer;
