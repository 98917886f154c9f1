//! The example's store follows the laws of [`BlobStore`](chatcore::blob::BlobStore).

#[expect(dead_code, reason = "its `main` is run as a program by the tests beside this one")]
#[path = "../store.rs"]
mod store;

use chatcore::testkit::blob::BlobFixture;
use chatcore_hyper::async_trait;

use self::store::MemoryBlobs;

struct InMemory;

#[async_trait]
impl BlobFixture for InMemory {
    type Blobs = MemoryBlobs;

    async fn open(&self) -> MemoryBlobs {
        MemoryBlobs::default()
    }

    fn keeps(&self) -> bool {
        false
    }
}

chatcore::blob_conformance!(InMemory);
