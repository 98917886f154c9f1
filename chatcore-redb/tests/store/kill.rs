//! What was acknowledged survives SIGKILL: a child process writes, and is killed in mid-load, again and again.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chatcore::store::{Append, AppendBody, Directory, EventKind, EventStore, PageLimit, Replay, Unread};
use chatcore::{ChannelId, ChannelName, Nonce, Position, Seq, User};
use chatcore_redb::RedbStore;

const CHILD: &str = "CHATCORE_REDB_TEST_KILL";
const CHANNELS: usize = 3;
const KILLS: usize = 10;

/// Who reads what Ann writes.
fn bob() -> User {
    User::new("u_bob", "Bob").unwrap()
}

fn ann() -> User {
    User::new("u_ann", "Ann").unwrap()
}

async fn channels(store: &RedbStore) -> Vec<ChannelId> {
    let mut ids = Vec::new();
    for i in 0..CHANNELS {
        let name = ChannelName::new(&format!("c{i}")).unwrap();
        ids.push(store.create_channel(&name, "", &ann()).await.unwrap().into_channel().id);
    }
    ids
}

#[tokio::test]
async fn acknowledged_messages_survive_ten_kills() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    drop(channels(&RedbStore::open(&path).unwrap()).await);
    let mut acknowledged = Vec::new();
    for round in 0..KILLS {
        // From just after the first acknowledgements to some hundred batches later.
        acknowledged.extend(write_and_kill(&path, round, 20 + 60 * round));
        let began = Instant::now();
        let store = RedbStore::open(&path).unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "opening took {:?}", began.elapsed());
        check(&store, &acknowledged).await;
    }
    assert!(acknowledged.len() > KILLS * 20);
}

/// Runs the writing child until it has acknowledged so many, kills it, and returns all that it acknowledged.
fn write_and_kill(path: &Path, round: usize, enough: usize) -> Vec<(usize, Seq, String)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child_that_writes_until_killed", "--ignored", "--nocapture"])
        .env(CHILD, format!("{round} {}", path.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // The last line may be cut, and the test harness says things of its own.
        let Ok(line) = line else { break };
        let Some(rest) = line.strip_prefix("ack ") else { continue };
        let mut parts = rest.strip_suffix(" .").into_iter().flat_map(|r| r.split(' '));
        if let (Some(channel), Some(seq), Some(nonce)) = (parts.next(), parts.next(), parts.next()) {
            acknowledged.push((channel.parse().unwrap(), seq.parse().unwrap(), nonce.to_owned()));
        }
        if acknowledged.len() == enough {
            // What the pipe still holds is read to its end: it was acknowledged too.
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success(), "the child ended by itself");
    assert!(acknowledged.len() >= enough, "the child died after {} of {enough}", acknowledged.len());
    acknowledged
}

async fn check(store: &RedbStore, acknowledged: &[(usize, Seq, String)]) {
    for (i, channel) in channels(store).await.into_iter().enumerate() {
        let head = store.heads(&[channel]).await.unwrap().remove(0).unwrap();
        let start = Position::new(head.epoch, 0);
        let Replay::Events { events: log, .. } =
            store.after(channel, &start, PageLimit::items(usize::MAX)).await.unwrap()
        else {
            panic!("reset")
        };
        assert_eq!(log.len() as u64, head.seq);
        assert!(log.iter().zip(1..).all(|(event, seq)| event.seq == seq), "the log has a gap");
        let mut places: HashMap<String, Seq> = HashMap::new();
        for event in &log {
            let EventKind::Message(content) = &event.kind else { panic!("{event:?}") };
            let again = places.insert(content.nonce.to_string(), event.seq);
            assert_eq!(again, None, "{content:?} is stored twice");
        }
        let expected: BTreeMap<Seq, &String> =
            acknowledged.iter().filter(|(c, ..)| *c == i).map(|(_, seq, nonce)| (*seq, nonce)).collect();
        for (seq, nonce) in expected {
            assert_eq!(places.get(nonce), Some(&seq), "{nonce} was acknowledged at {seq}");
        }
        let unread = store.unread(&bob().id, &[channel]).await.unwrap().remove(0);
        assert!(unread.read <= head.seq, "{unread:?} is past {}", head.seq);
        assert_eq!(unread.messages, (head.seq - unread.read).min(Unread::scan(unread.read)));
        let page = store.messages_before(channel, Seq::MAX, PageLimit::items(usize::MAX)).await.unwrap();
        assert_eq!(page.messages.len(), log.len(), "the messages are not those of the log");
    }
}

#[test]
#[ignore = "the child process of another test"]
fn child_that_writes_until_killed() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let (round, path) = order.split_once(' ').unwrap();
    let (round, store) = (round.to_owned(), RedbStore::open(path).unwrap());
    println!();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let channels = channels(&store).await;
        let writers = (0..4_usize).map(|writer| {
            let (store, channels, round) = (store.clone(), channels.clone(), round.clone());
            tokio::spawn(async move {
                for batch in 0_usize.. {
                    let size = 1 + (batch + writer) % 7;
                    let item =
                        |i: usize| ((writer + batch + i) % CHANNELS, format!("{round}-{writer}-{batch}-{i}"));
                    let appends =
                        (0..size).map(item).map(|(c, nonce)| publish(channels[c], &nonce)).collect();
                    let answers = store.append(appends).await;
                    // A commit without a sync, which the kill may lose and must not let harm others.
                    store.mark_read(&bob().id, channels[batch % CHANNELS], Seq::MAX).await.unwrap();
                    let mut lines = String::new();
                    for (i, taken) in answers.into_iter().enumerate() {
                        let (channel, nonce) = item(i);
                        lines += &format!("ack {channel} {} {nonce} .\n", taken.unwrap().seq);
                    }
                    std::io::stdout().lock().write_all(lines.as_bytes()).unwrap();
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
    });
}

fn publish(channel: ChannelId, nonce: &str) -> Append {
    let body = AppendBody::Message {
        nonce: Nonce::new(nonce).unwrap(),
        text: format!("text of {nonce}").into(),
        reply_to: None,
        attachments: Vec::new(),
        extras: None,
    };
    Append::new(channel, ann(), body)
}
