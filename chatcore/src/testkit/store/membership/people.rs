//! Laws of mentions, and of finding people.

use crate::model::append::{Append, AppendBody, EditExtras, Extras};
use crate::model::data::Data;
use crate::model::event::EventKind;
use crate::model::id::UserId;
use crate::model::membership::{Mention, Mentions};
use crate::model::message::{MessageKind, User};
use crate::store::{Directory, Membership, PageLimit};
use crate::testkit::store::{
    StoreFixture, ann, bob, channel, delete, edit, log, message, messages, nonce, put,
};

/// The app's data is read as it was written, before an edit and after it: the deepest that a client can send, the
/// longest, with a number whose text gets longer if it is not read exactly, and texts and numbers that JSON can hardly have.
pub async fn data_of_any_form_is_read_as_it_was_written<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let id = channel(&store, "general").await;
    let nested =
        |depth: usize| (1..depth).fold(serde_json::json!({}), |inner, _| serde_json::json!({"a": inner}));
    let padded = |pad: usize| serde_json::json!({"n": 4.621_637_696_230_708e-194, "pad": "x".repeat(pad)});
    let deepest = (1..127).rev().find_map(|depth| Data::new(&nested(depth)).ok()).expect("some depth");
    let longest =
        (0..Data::MAX_BYTES).rev().find_map(|pad| Data::new(&padded(pad)).ok()).expect("some length");
    let odd = serde_json::json!({"\0": "\0\u{7f}\u{2028}\"\\", "": [-0.0, 1e300, u64::MAX, i64::MIN, null]});
    let odd = Data::new(&odd).expect("an object");
    for (n, data) in [deepest, longest, odd].into_iter().enumerate() {
        let body = AppendBody::Message {
            nonce: nonce(&n.to_string()),
            text: "hello".into(),
            reply_to: None,
            attachments: Vec::new(),
            extras: Extras::default().with_data(data.clone()).boxed(),
        };
        let said = put(&store, Append::new(id, ann(), body)).await.seq;
        for _ in 0..2 {
            assert_eq!(message(&store, id, said).await.data, Some(data.clone()));
            let events = log(&store, id).await;
            let EventKind::Message(content) = &events[said as usize - 1].kind else { panic!("a message") };
            assert_eq!(content.data, Some(data.clone()));
            put(&store, edit(id, &ann(), said, "edited")).await;
        }
    }
}

/// A message keeps its mentions, its kind and the app's data. An edit replaces what it names, and a delete takes all.
pub async fn a_message_keeps_its_mentions_kind_and_data<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let id = channel(&store, "general").await;
    let data =
        |value: u32| Data::new(&serde_json::json!({"ticket": value, "über": "\u{1}\"x\""})).expect("data");
    let mentions = Mentions::new(vec![Mention::User(bob().id), Mention::Here], vec![ann().id, bob().id]);
    let extras =
        Extras::default().with_mentions(mentions.clone()).with_kind(MessageKind::System).with_data(data(7));
    let body = AppendBody::Message {
        nonce: nonce("1"),
        text: "hello".into(),
        reply_to: None,
        attachments: Vec::new(),
        extras: extras.boxed(),
    };
    put(&store, Append::new(id, ann(), body)).await;
    let said = message(&other, id, 1).await;
    assert_eq!(
        (said.mentions, said.kind, said.data),
        (mentions.clone(), Some(MessageKind::System), Some(data(7)))
    );
    let EventKind::Message(content) = log(&other, id).await.remove(0).kind else { panic!("a message") };
    assert_eq!(
        (content.mentions, content.kind, content.data),
        (mentions, Some(MessageKind::System), Some(data(7)))
    );

    put(&store, edit(id, &ann(), 1, "only the text")).await;
    assert_eq!(message(&other, id, 1).await.data, Some(data(7)));
    let anew = Mentions::new(vec![Mention::Channel], Vec::new());
    let extras = EditExtras::boxed(Some(anew.clone()), Some(data(8)));
    put(&store, Append::new(id, ann(), AppendBody::Edit { target: 1, text: "all".into(), extras })).await;
    let edited = message(&other, id, 1).await;
    assert_eq!((edited.mentions, edited.data), (anew.clone(), Some(data(8))));
    let page = messages(&other, id).await;
    assert_eq!((&page[0].mentions, &page[0].data), (&anew, &Some(data(8))));
    let found = log(&other, id).await.remove(2).kind;
    let by = ann();
    let expected =
        EventKind::Edited { target: 1, text: "all".into(), by, mentions: Some(anew), data: Some(data(8)) };
    assert_eq!(found, expected);

    put(&store, delete(id, &ann(), 1)).await;
    let gone = message(&other, id, 1).await;
    assert_eq!((gone.mentions, gone.data), (Mentions::default(), None));
    for event in log(&other, id).await {
        let left = serde_json::to_string(&event).expect("an event is JSON");
        assert!(!left.contains("ticket") && !left.contains("@channel") && !left.contains("@here"), "{left}");
    }
}

/// People are found by the beginning of a word of their name, by id, page by page.
pub async fn people_are_found_by_name<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let people = [
        ("u_1", "Ann Lee"),
        ("u_2", "Lee"),
        ("u_3", "Bob"),
        ("u_4", "Annika"),
        ("U_5", "Straße 100%_x"),
        ("u_6", "Jörg Müller"),
    ];
    for (id, name) in people {
        store.put_user(&User::new(id, name).expect("a user")).await.expect("a user is stored");
    }
    let find = async |query: &str, after: Option<&str>, items| {
        let after = after.map(|after| UserId::new(after).expect("an id"));
        let page =
            other.find_users(query, after.as_ref(), PageLimit::items(items)).await.expect("can be read");
        let ids: Vec<_> = page.users.iter().map(|user| user.id.as_str().to_owned()).collect();
        (ids.join(" "), page.more)
    };
    assert_eq!(find("", None, 9).await, ("U_5 u_1 u_2 u_3 u_4 u_6".to_owned(), false));
    assert_eq!(find("ANN", None, 9).await, ("u_1 u_4".to_owned(), false));
    assert_eq!(find("ann", None, 1).await, ("u_1".to_owned(), true));
    assert_eq!(find("ann", Some("u_1"), 1).await, ("u_4".to_owned(), false));
    assert_eq!(find("lee", None, 9).await, ("u_1 u_2".to_owned(), false));
    assert_eq!(find("STRASSE", None, 9).await, ("U_5".to_owned(), false));
    assert_eq!(find("100%_", None, 9).await, ("U_5".to_owned(), false), "no sign has a meaning");
    assert_eq!(find("MÜL", None, 9).await, ("u_6".to_owned(), false));
    for nobody in ["%", "_", "zoe", "nn", "ller"] {
        assert_eq!(find(nobody, None, 9).await, (String::new(), false), "{nobody}");
    }
}
