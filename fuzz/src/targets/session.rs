//! A whole session on a store in memory: each line of the input is a frame.

use std::future::poll_fn;
use std::sync::LazyLock;
use std::task::Poll;

use chatcore::{Chat, Identity, Limits, MemoryStore, User};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use super::outcome;

pub(super) use super::commands::WORDS;

/// The most frames of one input.
const FRAMES: usize = 64;

/// A runtime whose clock stands still while there is work, and jumps to the next timer when there is none.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
});

/// Each frame is answered once, in order and with its own `id` if it is JSON, or the session is closed. All output
/// is JSON with a `type`.
pub(super) fn run(input: &[u8]) -> u64 {
    let frames: Vec<_> =
        input.split(|byte| *byte == b'\n').take(FRAMES).map(String::from_utf8_lossy).collect();
    let answers = RUNTIME.block_on(answers(&frames));
    for (frame, answer) in frames.iter().zip(&answers) {
        let id = answer["id"].as_i64();
        match serde_json::from_str::<Value>(frame) {
            Ok(frame) => assert_eq!(id, frame["id"].as_i64(), "{frame} is answered with {answer}"),
            // An id is found even in a frame that is not JSON.
            Err(_) => {
                let stands = id.is_none_or(|id| frame.contains(&id.to_string()));
                assert!(stands, "{frame} is answered with {answer}");
            }
        }
        let known = answer["type"] == "ok" || answer["code"].as_str().is_some_and(|code| !code.is_empty());
        assert!(known, "{frame} is answered with {answer}");
    }
    let kinds: Vec<String> = answers.iter().map(|answer| answer["code"].to_string()).collect();
    outcome(kinds)
}

/// Returns the responses to the frames; fewer if the session is closed.
async fn answers(frames: &[std::borrow::Cow<'_, str>]) -> Vec<Value> {
    let mut limits = Limits::default();
    limits.bad_frames_per_minute = 16;
    let chat = Chat::builder(MemoryStore::new()).limits(limits).build();
    let identity = Identity::new(User::new("u_ann", "ann").expect("a user"));
    let mut connection = chat.open(identity).expect("an open chat");
    let (mut frames, mut given) = (frames.iter(), 0);
    let mut answers = Vec::new();
    loop {
        while !connection.is_full() {
            let Some(frame) = frames.next() else { break };
            connection.receive(frame);
            given += 1;
        }
        if answers.len() == given {
            return answers;
        }
        let mut out = Vec::new();
        let closed = poll_fn(|cx| match connection.poll_outgoing(cx, &mut out) {
            Poll::Ready(closed) => Poll::Ready(closed),
            Poll::Pending => Poll::Pending,
        })
        .await;
        for frame in out {
            let frame: Value = serde_json::from_slice(&frame).expect("a frame is JSON");
            match frame["type"].as_str().expect("a frame has a type") {
                "ok" | "error" => answers.push(frame),
                _ => {}
            }
        }
        if closed.is_some() {
            return answers;
        }
    }
}
