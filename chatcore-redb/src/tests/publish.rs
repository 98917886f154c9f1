//! What a publish costs the transaction that it is in.

use chatcore::store::{Append, AppendBody};
use chatcore::{ChannelName, Nonce, Timestamp, User};
use redb::Database;
use redb::backends::InMemoryBackend;

use crate::log::Changes;
use crate::upgrade;

/// Opening a table and closing it costs about as much as storing a row in it.
#[test]
fn a_publish_opens_the_tables_of_its_rows_alone() {
    let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
    upgrade::prepare(&database).unwrap();
    let ann = User::new("u_ann", "Ann").unwrap();
    let (name, now) = (ChannelName::new("general").unwrap(), Timestamp::now());
    let txn = database.begin_write().unwrap();
    let mut changes = Changes::open(&txn);
    let made = changes.create_channel(name, String::new(), ann.clone(), now, 9).unwrap().unwrap().unwrap();
    changes.finish().unwrap();
    txn.commit().unwrap();

    let txn = database.begin_write().unwrap();
    let mut changes = Changes::open(&txn);
    let hello = AppendBody::message(Nonce::random(), "hello");
    let hello = Append::new(made.into_channel().id, ann, hello).checked();
    changes.append(vec![hello], now).unwrap().remove(0).unwrap();
    assert_eq!(changes.tables.opened(), ["restricted", "logs", "messages", "authors", "nonces", "erased"]);
    drop(changes);
    txn.abort().unwrap();
}
