//! Laws of [`Directory`]: channels and users.

use std::sync::Arc;

use super::{StoreFixture, ann, bob, channel, channels, head, name, put_texts};
use crate::model::id::{ChannelId, UserId};
use crate::model::message::User;
use crate::model::time::Timestamp;
use crate::store::{ChannelPage, Created, Directory, EventStore, PageLimit, Unread};

/// A channel is found by its name, in any spelling, with everything that it was created with.
pub async fn a_channel_reads_back_as_created<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let before = Timestamp::now();
    let topic = "what it's \"about\" – 你好";
    let created =
        store.create_channel(&name("Rust Beginners"), topic, &bob()).await.expect("creates a channel");
    let Created::New(info) = created else { panic!("{created:?} is not new") };
    assert_eq!((info.name.as_str(), info.topic.as_str()), ("rust-beginners", topic));
    assert_eq!(info.created_by, bob());
    assert!(info.created_at.as_millis() >= before.as_millis() - 60_000, "{info:?}");
    for handle in [&store, &other] {
        let found = handle.channel(&name(" RUST beginners ")).await.expect("the directory can be read");
        assert_eq!(found.as_ref(), Some(&info));
        assert_eq!(channels(handle).await, std::slice::from_ref(&info));
        assert_eq!(handle.channel(&name("rust")).await.expect("the directory can be read"), None);
    }
}

/// A new channel has an epoch, no events, no messages and nothing unread.
pub async fn a_new_channel_has_an_empty_log<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let id = channel(&store, "general").await;
    assert_eq!(head(&store, id).await.seq, 0);
    assert!(!head(&store, id).await.epoch.as_str().is_empty());
    let unread = store.unread(&ann().id, &[id]).await.expect("markers can be read");
    assert_eq!(unread, [Unread::new(0, 0, 0)]);
}

/// Creating a name again changes nothing, and returns the channel that has it.
pub async fn a_taken_name_gives_the_channel_that_has_it<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let first = store.create_channel(&name("General"), "first", &ann()).await.expect("creates a channel");
    let Created::New(info) = first else { panic!("{first:?} is not new") };
    put_texts(&store, info.id, 1..=2).await;
    for handle in [&store, &other] {
        let again =
            handle.create_channel(&name("gENERAL"), "second", &bob()).await.expect("finds the channel");
        assert_eq!(again, Created::Exists(info.clone()));
    }
    assert_eq!(head(&store, info.id).await.seq, 2);
    assert_ne!(channel(&store, "general2").await, info.id);
}

/// Names that differ only in case, composition or width are the same: the second creation returns the first one's
/// channel, and each name finds it.
pub async fn names_that_people_take_for_one_are_one<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    for (first, others) in [
        ("Straße", &["STRASSE", "strasse", "straẞe"][..]),
        ("ΣΑΣ", &["σασ", "σας", "Σας"]),
        ("Cafe\u{301}", &["CAFÉ"]),
        ("ｗｉｄｅ", &["wide", "Wide"]),
    ] {
        let id = channel(&store, first).await;
        for same in others {
            let found = other.channel(&name(same)).await.expect("the directory can be read");
            assert_eq!(found.map(|info| info.id), Some(id), "{same} is {first}");
            let created = other.create_channel(&name(same), "", &bob()).await.expect("finds the channel");
            assert!(matches!(&created, Created::Exists(info) if info.id == id), "{same} is {first}");
        }
    }
    assert_eq!(channels(&store).await.len(), 4);
}

/// A name that looks like another's is taken, but does not find that channel.
pub async fn a_name_that_imitates_another_is_taken<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let id = channel(&store, "paypal").await;
    let imitation = name("p\u{430}ypal");
    let created = store.create_channel(&imitation, "", &bob()).await.expect("finds the channel");
    assert!(matches!(&created, Created::Exists(info) if info.id == id), "{created:?}");
    assert_eq!(store.channel(&imitation).await.expect("the directory can be read"), None);
    assert_eq!(channels(&store).await.len(), 1);
    assert_ne!(channel(&store, "modern").await, channel(&store, "modem").await);
}

/// If one name is created many times at once, over two handles, one creation is new, and all return the same
/// channel.
pub async fn one_of_many_concurrent_creations_is_new<F: StoreFixture>(fixture: F) {
    const CALLERS: usize = 8;
    let first = Arc::new(fixture.open().await);
    let second = Arc::new(fixture.another(&first).await);
    for round in 0..4 {
        let tasks: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let store = Arc::clone(if caller % 2 == 0 { &first } else { &second });
                tokio::spawn(async move {
                    let topic = caller.to_string();
                    let spelling = if caller % 3 == 0 { "straße" } else { "Strasse" };
                    store
                        .create_channel(&name(&format!("{spelling}{round}")), &topic, &ann())
                        .await
                        .expect("creates or finds")
                })
            })
            .collect();
        let mut created = Vec::new();
        for task in tasks {
            created.push(task.await.expect("a caller ends well"));
        }
        assert_eq!(created.iter().filter(|c| matches!(c, Created::New(_))).count(), 1, "{created:?}");
        let mut infos: Vec<_> = created.into_iter().map(Created::into_channel).collect();
        infos.dedup();
        assert_eq!(infos.len(), 1, "{infos:?}");
    }
    assert_eq!(channels(&*first).await.len(), 4);
}

/// If many channels are created at once, over two handles, as many succeed as fit. A taken name needs no room.
pub async fn many_at_once_create_no_more_channels_than_there_may_be<F: StoreFixture>(fixture: F) {
    let first = Arc::new(fixture.open().await);
    let second = Arc::new(fixture.another(&first).await);
    channel(&*first, "one").await;
    channel(&*first, "two").await;
    let tasks: Vec<_> = (0..12)
        .map(|n| {
            let store = Arc::clone(if n % 2 == 0 { &first } else { &second });
            tokio::spawn(async move {
                let created = store.create_channel_within(&name(&format!("c{n}")), "", &ann(), 5).await;
                created.expect("the store can be written")
            })
        })
        .collect();
    let mut created = Vec::new();
    for task in tasks {
        created.extend(task.await.expect("a caller ends well"));
    }
    assert_eq!(created.len(), 3, "{created:?}");
    assert!(created.iter().all(|created| matches!(created, Created::New(_))), "{created:?}");
    assert_eq!(channels(&*second).await.len(), 5);
    let taken = second.create_channel_within(&name("One"), "", &bob(), 5).await;
    assert!(matches!(taken.expect("the store can be read"), Some(Created::Exists(_))));
    assert!(matches!(first.create_channel(&name("six"), "", &ann()).await, Ok(Created::New(_))));
}

/// Channels are listed by name, compared byte by byte, in any order of creation.
pub async fn channels_come_by_name<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    assert!(channels(&store).await.is_empty());
    for text in ["zoo", "a-b", "éclair", "ab", "a_b", "10", "9", "a.b", "नमस्ते", "a"] {
        channel(&store, text).await;
    }
    let listed: Vec<_> = channels(&store).await.into_iter().map(|c| c.name).collect();
    assert_eq!(listed.len(), 10);
    assert!(listed.is_sorted(), "{listed:?}");
}

/// A reader that asks again and again for the channels after the newest that it knows finds every channel that others
/// create meanwhile, over two handles, in the order of their ids. A store that is not shared may know no newest channel.
pub async fn every_later_channel_is_found_by_its_id<F: StoreFixture>(fixture: F) {
    const CALLERS: usize = 6;
    const EACH: usize = 5;
    let first = Arc::new(fixture.open().await);
    let second = Arc::new(fixture.another(&first).await);
    let newest = async |store: &F::Store| store.newest_channel().await.expect("the directory can be read");
    assert_eq!(newest(&first).await, None);
    let known = channel(&*first, "known").await;
    if !first.shared() && newest(&first).await.is_none() {
        return;
    }
    let tasks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let store = Arc::clone(if caller % 2 == 0 { &first } else { &second });
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for n in 0..EACH {
                    ids.push(channel(&*store, &format!("c{caller}-{n}")).await);
                }
                ids
            })
        })
        .collect();
    let (mut found, mut last) = (Vec::new(), known);
    loop {
        // Checked first, so that the last look is at everything.
        let ended = tasks.iter().all(tokio::task::JoinHandle::is_finished);
        let page = second.channels_after(last, PageLimit::items(4)).await.expect("the directory can be read");
        found.extend(page.channels.iter().map(|info| info.id));
        last = found.last().copied().unwrap_or(known);
        assert!(newest(&second).await.is_some_and(|newest| newest >= last), "it was visible before");
        if ended && !page.more {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut created = Vec::new();
    for task in tasks {
        created.extend(task.await.expect("a caller ends well"));
    }
    created.sort_unstable();
    assert_eq!((found.len(), &found), (CALLERS * EACH, &created));
    for handle in [&first, &second] {
        assert_eq!(newest(handle).await, Some(last));
        for beyond in [last, ChannelId(u64::MAX)] {
            let none = handle.channels_after(beyond, PageLimit::items(9)).await;
            assert_eq!(none.expect("the directory can be read"), ChannelPage::new(Vec::new(), false));
        }
    }
    let all = first.channels_after(ChannelId(0), PageLimit::items(1_000)).await;
    let mut all = all.expect("the directory can be read").channels;
    assert_eq!(all.first().map(|info| info.id), Some(known));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(all, channels(&*first).await, "each as it is listed by name");
}

/// A user has the last stored name. Users that were never stored are not in the answer.
pub async fn users_keep_their_last_name<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let stranger = UserId::new("u_stranger").expect("a valid id");
    for user in [ann(), bob(), User::from_id(ann().id, "Ann-Marie 你好")] {
        store.put_user(&user).await.expect("a user is remembered");
    }
    let asked = [ann().id, stranger, bob().id, ann().id];
    for handle in [&store, &other] {
        let found = handle.users(&asked).await.expect("users can be read");
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(&*found[&ann().id].name, "Ann-Marie 你好");
        assert_eq!(found[&bob().id], bob());
    }
    assert!(store.users(&[]).await.expect("users can be read").is_empty());
}
