//! Laws of [`Directory::revocations`].

use std::time::Duration;

use super::StoreFixture;
use crate::store::{Directory, EventStore, Revocation};

const HOUR: Duration = Duration::from_secs(3_600);

/// What one handle of a shared store has put is read by another, as it was put and once, with about its age. A store that
/// is not shared may keep nothing.
pub async fn what_one_node_revokes_another_reads<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let another = fixture.another(&store).await;
    assert_eq!(another.revocations(HOUR).await.expect("revocations can be read"), []);
    let put = [(7, "{\"a\":\"ä 👍\"}"), (u64::MAX, ""), (1 << 63, "x"), (7, "again")];
    for (key, what) in put {
        store.put_revocation(key, what).await.expect("a revocation is put");
    }
    let mut read = another.revocations(HOUR).await.expect("revocations can be read");
    if !store.shared() && read.is_empty() {
        return;
    }
    read.sort_by_key(|revocation| revocation.key);
    let found: Vec<_> = read.iter().map(|Revocation { key, what, .. }| (*key, what.as_str())).collect();
    assert_eq!(found, [put[0], put[2], put[1]], "a key that is put again changes nothing");
    assert!(read.iter().all(|revocation| revocation.age < HOUR), "{read:?}");
    assert_eq!(another.revocations(Duration::ZERO).await.expect("revocations can be read"), []);
}
