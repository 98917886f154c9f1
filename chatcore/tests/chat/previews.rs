//! Previews with a counting maker: made once, few concurrently, within memory, stored, and removed with the file.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chatcore::attachments::{FileKind, Preview, PreviewFile, PreviewMaker, PreviewType};
use chatcore::blob::{BlobError, BlobStore, ByteStream};
use chatcore::protocol::{Command, Published};
use chatcore::{Attachment, AttachmentId, Chat, Client, ErrorCode, Identity, Limits, MemoryStore, User};
use futures::{FutureExt, StreamExt, TryStreamExt};

fn identity(name: &str) -> Identity {
    Identity::new(User::new(&format!("u_{name}"), name).unwrap())
}

/// A blob store in memory that counts its writes.
#[derive(Clone, Default)]
struct Blobs(Arc<Mutex<(HashMap<AttachmentId, Bytes>, usize)>>);

impl Blobs {
    fn puts(&self) -> usize {
        self.0.lock().unwrap().1
    }

    fn keys(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.0.lock().unwrap().0.keys().map(ToString::to_string).collect();
        keys.sort();
        keys
    }
}

#[async_trait]
impl BlobStore for Blobs {
    async fn put(&self, id: &AttachmentId, bytes: ByteStream, _: u64) -> Result<u64, BlobError> {
        let all: Vec<u8> =
            bytes.map_ok(|chunk| chunk.to_vec()).try_concat().await.map_err(BlobError::Stream)?;
        let mut place = self.0.lock().unwrap();
        let size = all.len() as u64;
        let before = place.0.insert(id.clone(), all.into());
        assert!(before.is_none(), "{id} was put twice");
        place.1 += 1;
        Ok(size)
    }

    async fn get(&self, id: &AttachmentId, range: Range<u64>) -> Result<ByteStream, BlobError> {
        let all = self.0.lock().unwrap().0.get(id).cloned().ok_or(BlobError::NotFound)?;
        let (start, end) = (range.start.min(all.len() as u64), range.end.min(all.len() as u64));
        let part = all.slice(start as usize..end.max(start) as usize);
        Ok(futures::stream::iter([Ok(part)]).boxed())
    }

    async fn delete(&self, id: &AttachmentId) -> Result<(), BlobError> {
        self.0.lock().unwrap().0.remove(id);
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Work {
    held: bool,
    running: usize,
    most: usize,
    made: usize,
}

/// Makes previews that name their original. It can be held, and counts.
#[derive(Debug, Default)]
struct Maker {
    work: Mutex<Work>,
    changed: Condvar,
}

impl Maker {
    fn hold(&self, held: bool) {
        self.work.lock().unwrap().held = held;
        self.changed.notify_all();
    }

    fn made(&self) -> usize {
        self.work.lock().unwrap().made
    }

    /// Waits until this many previews are being made.
    async fn running(&self, count: usize) {
        while self.work.lock().unwrap().running != count {
            tokio::task::yield_now().await;
        }
    }
}

impl PreviewMaker for Maker {
    fn memory(&self, picture: &Attachment, head: &[u8]) -> Option<u64> {
        assert_eq!(head.len() as u64, picture.size);
        picture.width.map(u64::from)
    }

    fn make(&self, picture: &Attachment, file: Vec<u8>) -> Option<[Preview; 2]> {
        let mut work = self.work.lock().unwrap();
        work.made += 1;
        work.running += 1;
        work.most = work.most.max(work.running);
        while work.held {
            work = self.changed.wait(work).unwrap();
        }
        work.running -= 1;
        drop(work);
        assert_eq!(file.len() as u64, picture.size);
        match &*picture.name {
            "broken" => None,
            // Without the panic hook, which would print the panic.
            "panics" => std::panic::resume_unwind(Box::new("a decoder panics on purpose")),
            "tiny" => Some([(); 2].map(|()| preview(PreviewType::Png, "tiny"))),
            name => Some([
                preview(PreviewType::Png, &format!("{name} small")),
                preview(PreviewType::Jpeg, &format!("{name} large")),
            ]),
        }
    }
}

fn preview(encoding: PreviewType, text: &str) -> Preview {
    Preview::new(encoding, Bytes::copy_from_slice(text.as_bytes()))
}

struct World {
    chat: Chat,
    blobs: Blobs,
    maker: Arc<Maker>,
    ann: Client,
}

impl World {
    async fn new(edit: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        edit(&mut limits);
        let (blobs, store) = (Blobs::default(), MemoryStore::new());
        let chat = Chat::builder(store).blobs(blobs.clone()).limits(limits).build();
        let ann = chat.connect(identity("ann")).unwrap();
        ann.create_channel("a", "").await.unwrap();
        Self { chat, blobs, maker: Arc::default(), ann }
    }

    /// Uploads a picture that needs `memory` bytes for its preview, and sends it.
    async fn picture(&mut self, name: &str, memory: u32) -> AttachmentId {
        let id = self.unsent(name, memory).await;
        let draft = Command::Publish {
            channel: "a".into(),
            nonce: name.into(),
            text: String::new(),
            attachments: vec![id.to_string()],
            reply_to: None,
            mentions: Vec::new(),
            data: None,
        };
        self.ann.call::<Published>(draft).await.unwrap();
        id
    }

    async fn unsent(&self, name: &str, memory: u32) -> AttachmentId {
        let file = futures::stream::iter([Ok(Bytes::from_static(b"picture"))]).boxed();
        let kind = FileKind::new("image/png").with_pixels(memory, 1);
        self.chat.upload(&identity("ann"), "a", name, file, |_: &[u8]| kind).await.unwrap().id
    }

    async fn ask(&self, who: &str, id: &AttachmentId, side: u32) -> Result<Option<PreviewFile>, ErrorCode> {
        let maker = Arc::clone(&self.maker) as Arc<dyn PreviewMaker>;
        let asked = self.chat.preview(&identity(who), id.as_str(), side, maker).await;
        asked.map_err(|error| error.code())
    }

    async fn text(&self, preview: &PreviewFile, range: Range<u64>) -> String {
        let bytes = self.chat.preview_bytes(&identity("ann"), preview, range).await.unwrap();
        String::from_utf8(bytes.map_ok(|chunk| chunk.to_vec()).try_concat().await.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn a_preview_is_made_once_and_kept() {
    let mut world = World::new(|_| ()).await;
    let id = world.picture("x", 1).await;
    assert_eq!((world.maker.made(), world.blobs.puts()), (0, 1), "none that nobody asked for");
    for who in ["ann", "bob", "ann"] {
        let small = world.ask(who, &id, 360).await.unwrap().unwrap();
        let large = world.ask(who, &id, 720).await.unwrap().unwrap();
        assert_eq!((small.encoding, large.encoding), (PreviewType::Png, PreviewType::Jpeg));
        assert_eq!((small.size, large.size), (7, 7));
        assert_eq!(world.text(&small, 0..u64::MAX).await, "x small");
        assert_eq!(world.text(&large, 0..u64::MAX).await, "x large");
        assert_eq!(world.text(&large, 2..4).await, "la");
        assert_eq!(world.text(&small, 6..99).await, "l", "it ends before the next one");
    }
    assert_eq!(world.ask("ann", &id, 500).await.unwrap(), None);
    assert_eq!((world.maker.made(), world.blobs.puts()), (1, 2));
}

#[tokio::test]
async fn a_small_picture_stores_one_preview_for_both_sizes() {
    let mut world = World::new(|_| ()).await;
    let id = world.picture("tiny", 1).await;
    for side in [360, 720] {
        let preview = world.ask("ann", &id, side).await.unwrap().unwrap();
        assert_eq!(world.text(&preview, 0..u64::MAX).await, "tiny");
    }
    let previews = AttachmentId::new(format!("p_{id}")).unwrap();
    assert_eq!(world.blobs.0.lock().unwrap().0[&previews].len(), 28 + 4);
}

#[tokio::test]
async fn a_failed_preview_is_not_tried_again() {
    let mut world = World::new(|_| ()).await;
    for name in ["broken", "panics"] {
        let id = world.picture(name, 1).await;
        let before = world.maker.made();
        for side in [360, 720, 720] {
            assert_eq!(world.ask("ann", &id, side).await, Ok(None), "{name}");
        }
        assert_eq!(world.maker.made(), before + 1, "{name}");
        assert!(world.chat.attachment(&identity("ann"), id.as_str()).await.is_ok(), "the file is there");
    }
}

#[tokio::test]
async fn previews_in_progress_are_bounded_in_memory() {
    let mut world = World::new(|l| l.preview_memory = 8 << 10).await;
    let (at, past) = (world.picture("at", 8 << 10).await, world.picture("past", (8 << 10) + 1).await);
    assert!(world.ask("ann", &at, 360).await.unwrap().is_some());
    assert_eq!(world.ask("ann", &past, 360).await, Ok(None));
    assert_eq!(world.maker.made(), 1);
    // Two previews that fit one by one are not made concurrently.
    let [one, two] = [world.picture("one", 5 << 10).await, world.picture("two", 5 << 10).await];
    world.maker.hold(true);
    let mut both =
        std::pin::pin!(futures::future::join(world.ask("ann", &one, 360), world.ask("bob", &two, 360)));
    assert!(both.as_mut().now_or_never().is_none());
    world.maker.running(1).await;
    assert!(both.as_mut().now_or_never().is_none());
    world.maker.hold(false);
    let (one, two) = both.await;
    assert!(one.unwrap().is_some() && two.unwrap().is_some());
    assert_eq!(world.maker.work.lock().unwrap().most, 1);
}

#[tokio::test]
async fn previews_in_progress_are_bounded_per_user() {
    let mut world = World::new(|_| ()).await;
    let mut ids = Vec::new();
    for i in 0..6 {
        ids.push(world.picture(&format!("{i}"), 1).await);
    }
    world.maker.hold(true);
    let ask = |who: &'static str, at: usize| world.ask(who, &ids[at], 720);
    let asked = [ask("ann", 0), ask("ann", 1), ask("bob", 2), ask("bob", 3), ask("eve", 4), ask("eve", 5)];
    let mut all = std::pin::pin!(futures::future::join_all(asked));
    assert!(all.as_mut().now_or_never().is_none());
    world.maker.running(2).await;
    assert!(all.as_mut().now_or_never().is_none());
    world.maker.hold(false);
    assert!(all.await.into_iter().all(|made| made.unwrap().is_some()));
    assert_eq!(world.maker.work.lock().unwrap().most, 2);

    // A single user has one slot.
    let mut world = World::new(|_| ()).await;
    let ids = [world.picture("a", 1).await, world.picture("b", 1).await];
    world.maker.hold(true);
    let mut both =
        std::pin::pin!(futures::future::join(world.ask("ann", &ids[0], 720), world.ask("ann", &ids[1], 360)));
    assert!(both.as_mut().now_or_never().is_none());
    world.maker.running(1).await;
    assert!(both.as_mut().now_or_never().is_none());
    world.maker.hold(false);
    let (one, two) = both.await;
    assert!(one.unwrap().is_some() && two.unwrap().is_some());
    assert_eq!(world.maker.work.lock().unwrap().most, 1);
}

#[tokio::test]
async fn a_preview_with_many_readers_is_made_once() {
    let mut world = World::new(|_| ()).await;
    let id = world.picture("x", 1).await;
    let names: Vec<String> = (0..100).map(|i| format!("reader{i}")).collect();
    let made = futures::future::join_all(names.iter().map(|name| world.ask(name, &id, 720))).await;
    assert!(made.into_iter().all(|made| made.unwrap().is_some()));
    assert_eq!((world.maker.made(), world.blobs.puts()), (1, 2));
}

#[tokio::test]
async fn a_preview_is_finished_if_its_reader_leaves() {
    let mut world = World::new(|_| ()).await;
    let id = world.picture("x", 1).await;
    world.maker.hold(true);
    {
        let mut asked = std::pin::pin!(world.ask("ann", &id, 720));
        while asked.as_mut().now_or_never().is_none() && world.maker.made() == 0 {
            tokio::task::yield_now().await;
        }
    }
    world.maker.hold(false);
    assert!(world.ask("ann", &id, 720).await.unwrap().is_some());
    assert_eq!(world.maker.made(), 1, "what was begun is ended and kept");
}

#[tokio::test]
async fn a_reader_waits_for_a_preview_up_to_the_limit() {
    let mut world = World::new(|l| l.preview_wait = Duration::ZERO).await;
    let id = world.picture("x", 1).await;
    world.maker.hold(true);
    assert_eq!(world.ask("ann", &id, 720).await, Err(ErrorCode::Unavailable));
    world.maker.hold(false);
}

#[tokio::test]
async fn a_limit_of_zero_turns_previews_off() {
    let edits: [fn(&mut Limits); 3] =
        [|l| l.previews = 0, |l| l.previews_per_user = 0, |l| l.preview_memory = 0];
    for edit in edits {
        let mut world = World::new(edit).await;
        let id = world.picture("x", 1).await;
        assert_eq!(world.ask("ann", &id, 720).await, Ok(None));
        assert_eq!(world.maker.made(), 0);
    }
}

#[tokio::test]
async fn a_preview_needs_the_right_to_its_picture() {
    let mut world = World::new(|_| ()).await;
    let unsent = world.unsent("x", 1).await;
    assert!(world.ask("ann", &unsent, 720).await.unwrap().is_some());
    assert_eq!(world.ask("bob", &unsent, 720).await, Err(ErrorCode::NoSuchAttachment));
    // The key of its blob is not an attachment's.
    let key = format!("p_{unsent}");
    let refused = world.chat.attachment(&identity("ann"), &key).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NoSuchAttachment);
    let sent = world.picture("y", 1).await;
    let preview = world.ask("ann", &sent, 720).await.unwrap().unwrap();
    world.ann.delete("a", 1).await.unwrap();
    assert_eq!(world.ask("ann", &sent, 720).await, Err(ErrorCode::NoSuchAttachment));
    let refused = world.chat.preview_bytes(&identity("ann"), &preview, 0..9).await.map(drop).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NoSuchAttachment);
}

#[tokio::test(start_paused = true)]
async fn a_preview_is_removed_with_its_picture() {
    let mut world = World::new(|_| ()).await;
    let deleted = world.picture("x", 1).await;
    let unused = world.unsent("y", 1).await;
    for id in [&deleted, &unused] {
        world.ask("ann", id, 720).await.unwrap().unwrap();
    }
    assert_eq!(world.blobs.keys().len(), 4);
    world.ann.delete("a", 1).await.unwrap();
    while world.blobs.keys().len() > 2 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut left = [unused.to_string(), format!("p_{unused}")];
    left.sort();
    assert_eq!(world.blobs.keys(), left);
}

#[tokio::test]
async fn a_picture_removed_during_its_preview_leaves_nothing() {
    let mut world = World::new(|_| ()).await;
    let id = world.picture("x", 1).await;
    world.maker.hold(true);
    let World { chat, blobs, maker, ann } = world;
    let asked = tokio::spawn({
        let (chat, id, maker) = (chat.clone(), id.clone(), Arc::clone(&maker));
        async move { chat.preview(&identity("bob"), id.as_str(), 720, maker).await }
    });
    maker.running(1).await;
    ann.delete("a", 1).await.unwrap();
    maker.hold(false);
    let refused = asked.await.unwrap().unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NoSuchAttachment);
    assert!(!blobs.keys().contains(&format!("p_{id}")), "{:?}", blobs.keys());
}
