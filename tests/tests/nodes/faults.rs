//! Every kind of fault in turn: a short run of `soak --nodes`.

use std::time::Duration;

use chatcore::testkit::Random;
use chatcore_tests::BusKind;
use chatcore_tests::soak::nodes::{Fault, soak_nodes};
use chatcore_tests::soak::{Plan, Row};

async fn survive(kind: BusKind) {
    let plan = Plan {
        users: 4,
        sockets: 36,
        channels: 4,
        history: 0,
        followed: 2,
        publishes: 30.0,
        stay: Duration::from_secs(6),
        time: Duration::ZERO,
        life: Duration::from_secs(2),
        settle: Duration::from_secs(120),
    };
    let random = Random::from_env();
    println!("CHATCORE_SEED={}\n{}", random.seed(), Row::HEAD);
    let report = soak_nodes(&plan, kind, Duration::from_secs(3), &random, |fault, row| {
        println!("{row}  {fault:?}");
    })
    .await;
    report.check().unwrap();
    assert_eq!((report.rows.len(), report.checked), (Fault::all(kind).len() + 1, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_on_postgres_lose_and_repeat_nothing() {
    survive(BusKind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_on_nats_lose_and_repeat_nothing() {
    survive(BusKind::Nats).await;
}
