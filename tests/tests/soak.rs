//! A short run of the soak in `src/bin/soak.rs`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Duration;

use chatcore::testkit::Random;
use chatcore_tests::soak::{Plan, soak};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_reconnect_over_a_kill_lose_and_repeat_nothing() {
    let plan = Plan {
        users: 4,
        sockets: 60,
        channels: 6,
        history: 20,
        followed: 3,
        publishes: 60.0,
        stay: Duration::from_secs(4),
        time: Duration::from_secs(12),
        life: Duration::from_secs(6),
        settle: Duration::from_secs(120),
    };
    let random = Random::from_env();
    println!("CHATCORE_SEED={}", random.seed());
    let report = soak(&plan, &random, |row| println!("{row}")).await;
    report.check().unwrap();
    assert_eq!((report.rows.len(), report.checked), (2, 6));
}
