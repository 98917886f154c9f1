//! What does compression cost, and what does it save?
//!
//! Prints a table: the bytes of frames on the wire, without and with permessage-deflate, the time to compress one, once
//! for all its recipients, and the time to inflate it, as a client's message would be. The texts are prose, by three
//! people. A time is the least of 20 rounds. Each frame is measured in the lean form, which our clients read, and in the
//! full form. It does not show the sockets, nor the time that a client takes.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use chatcore::protocol::Form;
use chatcore::{Chat, MemoryStore};
use chatcore_benches::{CREATE, Driven, FOLLOW, OPEN, chat, publish};
use chatcore_hyper::testkit::{deflate, inflate};

const ROUNDS: usize = 20;

/// How long a round takes at least.
const ROUND: Duration = Duration::from_millis(20);

/// Returns prose of `chars` ASCII characters: the words of this project's design, from the `n`-th part on.
fn prose(n: usize, chars: usize) -> String {
    let design = include_str!("../../docs/design.md");
    let letters = design.chars().filter(|c| c.is_ascii_alphabetic() || ".,' \n".contains(*c));
    let words = letters.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().cycle().skip(n * chars).take(chars).collect()
}

/// Creates a channel with `count` messages of `chars` characters, by three people who read this form.
async fn conversation(form: Form, count: usize, chars: usize) -> (Chat, Vec<Driven>) {
    let chat = chat(MemoryStore::new());
    let mut people = vec![Driven::reading(form, &chat, "ann", &[CREATE]).await];
    for name in ["bob", "cid"] {
        people.push(Driven::reading(form, &chat, name, &[FOLLOW]).await);
    }
    for n in 0..count {
        people[n * n % 3].ask(&publish(&prose(n, chars))).await;
    }
    (chat, people)
}

/// Returns the time of one call.
fn time<T>(mut call: impl FnMut() -> T) -> Duration {
    let round = || {
        let (began, mut calls) = (Instant::now(), 0);
        while began.elapsed() < ROUND {
            black_box(call());
            calls += 1;
        }
        began.elapsed() / calls
    };
    std::iter::repeat_with(round).take(ROUNDS).min().unwrap()
}

fn row(what: &str, frame: &[u8]) {
    let deflated = deflate(frame);
    let micros = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e6);
    let deflating = micros(time(|| deflate(black_box(frame))));
    let inflating = micros(time(|| inflate(black_box(&deflated), 1 << 20).unwrap()));
    let header = |len: usize| if len > 0xffff { 10 } else { 2 + 2 * usize::from(len > 125) };
    let (plain, small) = (frame.len() + header(frame.len()), deflated.len() + header(deflated.len()));
    println!(
        "| {what} | {plain} | {small} | {:.1} | {deflating} | {inflating} |",
        plain as f64 / small as f64
    );
}

/// The `message` event of a text of somebody else.
async fn event(form: Form, chars: usize) -> Vec<u8> {
    let (_chat, mut people) = conversation(form, 0, 0).await;
    people.iter_mut().for_each(Driven::drain);
    let [ann, bob, ..] = &mut people[..] else { unreachable!("three people") };
    ann.ask(&publish(&prose(1, chars))).await;
    bob.until(|frame| frame.starts_with(br#"{"type":"message""#)).await.to_vec()
}

/// Prints the rows of a form.
async fn measure(form: Form) {
    let named = |what: &str| format!("{what}, {}", if form == Form::Lean { "lean" } else { "full" });
    for chars in [100, 1_000] {
        row(&named(&format!("event of {chars} characters")), &event(form, chars).await);
    }
    let (chat, _people) = conversation(form, 100, 100).await;
    let mut reader = Driven::reading(form, &chat, "dan", &[]).await;
    row(&named("snapshot of 100 messages"), reader.ask(OPEN).await);
    let history = r#"{"type":"history","id":4,"channel":"a","before":51,"limit":50}"#;
    row(&named("page of history, 50 messages"), reader.ask(history).await);
    let (chat, _people) = conversation(form, 60, 8_000).await;
    let mut reader = Driven::reading(form, &chat, "dan", &[]).await;
    row(&named("60 messages of 8,000 characters"), reader.ask(OPEN).await);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!(
        "| frame | bytes | compressed | ratio | to compress, µs | to inflate, µs |\n|---|---|---|---|---|---|"
    );
    measure(Form::Lean).await;
    measure(Form::Full).await;
}
