//! The laws of this crate's traits as tests for any implementation, and tools for tests.
//!
//! This is the feature `testkit`. It is outside of semantic versioning: any version may add a law, and change these
//! tools. The tests of a store, a blob store or a bus need one line each:
//!
//! ```ignore
//! chatcore::store_conformance!(MyFixture::new());
//! chatcore::blob_conformance!(MyBlobFixture::new());
//! chatcore::bus_conformance!(MyBusFixture::new());
//! ```
//!
//! Each expands to one named `#[tokio::test]` per law. The argument is an expression that returns a fixture
//! ([`StoreFixture`], [`BlobFixture`], [`BusFixture`]) with its own database. It is evaluated in each test's async body, so it may
//! `.await`. The calling crate needs `tokio` with the features `macros` and `rt-multi-thread` as a dev-dependency.
//! All of them may be in one module. To use the same one twice, use two modules.
//!
//! A law that uses chance prints its seed when it fails. The environment variable `CHATCORE_SEED` sets the seed.

pub mod blob;
pub mod bus;
mod envelope;
mod faults;
mod log;
mod memory;
mod random;
pub mod store;

pub use self::blob::BlobFixture;
pub use self::bus::BusFixture;
pub use self::envelope::rewrite_envelope;
pub use self::faults::{Faults, FaultyStore, Held};
pub use self::log::CapturedLog;
pub use self::memory::{burst_memory, bus_memory, consumer_memory, joined_memory, peer_memory};
pub use self::random::Random;
pub use self::store::StoreFixture;
