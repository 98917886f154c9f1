//! Short runs of the attacks. Only the release build measures how long the second client waits: `--bin attack`.
#![cfg(target_os = "linux")]

use std::time::Duration;

use chatcore_tests::attack::{ATTACKS, MEMORY, Outcome, attack};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacks_neither_crash_the_service_nor_fill_its_memory() {
    println!("{}", Outcome::HEAD);
    for name in ["answers", "anonymous", "half-closed", "messages"] {
        let one = ATTACKS.iter().find(|attack| attack.name == name).expect("an attack");
        let outcome = attack(*one, Duration::from_secs(2)).await;
        println!("{outcome}");
        assert!(outcome.lives, "the attack '{name}' ended the process");
        assert!(outcome.grown <= MEMORY, "the attack '{name}' took {} MiB", outcome.grown >> 20);
    }
}
