//! The laws of the traits in this crate as tests for any implementation, and tools to test with.
//!
//! Feature `testkit`. A store's or a blob store's own test file says, in one line, what it promises:
//!
//! ```ignore
//! chatcore::store_conformance!(MyFixture::new());
//! chatcore::blob_conformance!(MyBlobFixture::new());
//! ```
//!
//! Each expands to one named `#[tokio::test]` per law. The argument is an expression that makes a fixture
//! ([`StoreFixture`], [`BlobFixture`]) on a database of its own; it is evaluated anew inside each test's
//! async body, so it may `.await`. The calling crate needs `tokio` with the features `macros` and
//! `rt-multi-thread` among its dev-dependencies. Both macros may stand side by side; twice the same one needs
//! two modules.
//!
//! A law that uses chance prints its seed when it fails; the environment variable `CHATCORE_SEED` sets it.

pub mod blob;
mod faults;
mod log;
mod random;
pub mod store;

pub use self::blob::BlobFixture;
pub use self::faults::{Faults, FaultyStore, Held};
pub use self::log::CapturedLog;
pub use self::random::Random;
pub use self::store::StoreFixture;
