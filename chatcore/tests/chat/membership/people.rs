//! People, their names, and mentions of them.

use chatcore::protocol::{ChatEvent, Command, DirectOpened, Logged, MemberList, People, Published};
use chatcore::{
    Action, ChannelName, Chat, Denied, ErrorCode, HistoryAccess, Identity, MemoryStore, Mention, NewMessage,
    OpenPolicy, Policy, Seq, User,
};

use super::{add, chat, code, id, join, private, until, user};

/// Mentions are kept for those who can read the channel, and counted. A deleted message counts no more (trap 8).
#[tokio::test]
async fn mentions_are_counted_for_those_who_can_read() {
    let chat = chat();
    let (ann, mut bob, cid) = (join(&chat, "ann").await, join(&chat, "bob").await, join(&chat, "cid").await);
    let channel = private(&ann, &["bob"], HistoryAccess::All).await;
    let hello = NewMessage::text("hello")
        .mention(Mention::User(id("bob")))
        .mention(Mention::User(id("cid")))
        .mention(Mention::User(id("bob")));
    let said: Published = ann.send(&channel, hello).await.unwrap();
    let counts = |event: &ChatEvent| match event {
        ChatEvent::Counts { unread, mentions, .. } => Some((*unread, *mentions)),
        _ => None,
    };
    assert_eq!(until(&mut bob, counts).await, (1, 1));
    let page = bob.history(&channel, Seq::MAX, 10).await.unwrap();
    assert_eq!(page.messages[0].mentions.list, [Mention::User(id("bob"))], "cid can't read it");
    let mut phone = join(&chat, "bob").await;
    bob.read(&channel, said.seq).await.unwrap();
    assert_eq!(until(&mut phone, counts).await, (0, 0), "the other device agrees");
    let edit = |mentions| Command::Edit {
        channel: channel.clone(),
        seq: said.seq,
        text: "hello all".to_owned(),
        mentions,
        data: None,
    };
    bob.unread(&channel, said.seq).await.unwrap();
    assert_eq!(until(&mut phone, counts).await, (1, 1));
    ann.call::<Logged>(edit(Some(Vec::new()))).await.unwrap();
    assert_eq!(chat.unread(&id("bob"), &ChannelName::new(&channel).unwrap()).await.unwrap().mentions, 0);
    ann.call::<Logged>(edit(Some(vec![Mention::Channel]))).await.unwrap();
    assert_eq!(chat.unread(&id("bob"), &ChannelName::new(&channel).unwrap()).await.unwrap().mentions, 1);
    ann.delete(&channel, said.seq).await.unwrap();
    let left = chat.unread(&id("bob"), &ChannelName::new(&channel).unwrap()).await.unwrap();
    assert_eq!((left.messages, left.mentions), (0, 0));
    drop(cid);
}

/// By default nobody mentions more than a hundred people at once.
#[tokio::test]
async fn a_mention_of_everybody_is_refused_above_a_hundred_people() {
    let chat = chat();
    let ann = join(&chat, "ann").await;
    let channel = private(&ann, &[], HistoryAccess::All).await;
    let name = ChannelName::new(&channel).unwrap();
    for n in 0..99 {
        chat.add_member(&user("ann"), &name, &user(&format!("m{n}"))).await.unwrap();
    }
    let everybody = || NewMessage::text("all").mention(Mention::Channel);
    ann.send(&channel, everybody()).await.unwrap();
    chat.add_member(&user("ann"), &name, &user("one-more")).await.unwrap();
    assert_eq!(code(ann.send(&channel, everybody()).await), ErrorCode::NotAllowed);
    ann.send(&channel, NewMessage::text("here").mention(Mention::Here)).await.unwrap();
}

/// People are found by name, in all and among those who can read a channel.
#[tokio::test]
async fn people_are_found_by_name() {
    let chat = chat();
    let (ann, _bob, _bea) = (join(&chat, "ann").await, join(&chat, "bob").await, join(&chat, "bea").await);
    let channel = private(&ann, &["bob"], HistoryAccess::All).await;
    let find = async |query: &str, channel: Option<&str>| {
        let command = Command::Users {
            query: Some(query.to_owned()),
            channel: channel.map(str::to_owned),
            after: None,
            limit: None,
        };
        let people: People = ann.call(command).await.unwrap();
        assert!(!people.more);
        people.users.iter().map(|user| user.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(find("b", None).await, ["bea", "bob"]);
    assert_eq!(find("B", Some(&channel)).await, ["bob"]);
    assert_eq!(find("x", None).await, Vec::<String>::new());
}

/// Trap 9: a rename changes no link, no mention and no membership, and everybody hears of it.
#[tokio::test]
async fn a_renamed_person_is_the_same_person() {
    let chat = chat();
    let (mut ann, bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    let channel = private(&ann, &["bob"], HistoryAccess::All).await;
    ann.send(&channel, NewMessage::text("hello").mention(Mention::User(id("bob")))).await.unwrap();
    let robert = User::new("u_bob", "Robert").unwrap();
    chat.remember_user(&robert).await.unwrap();
    let told = until(&mut ann, |event| match event {
        ChatEvent::UserChanged { user, .. } => Some(user.clone()),
        _ => None,
    });
    assert_eq!(told.await, robert);
    let members: MemberList =
        ann.call(Command::Members { channel: channel.clone(), after: None, limit: None }).await.unwrap();
    assert!(members.members.iter().any(|member| member.user == robert));
    assert_eq!(chat.unread(&id("bob"), &ChannelName::new(&channel).unwrap()).await.unwrap().mentions, 1);
    bob.publish(&channel, "still here").await.unwrap();
}

/// A person whom the policy keeps apart can be neither found, nor added, nor written to.
#[tokio::test]
async fn a_policy_keeps_people_apart() {
    struct Apart;
    impl Policy for Apart {
        fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied> {
            match action {
                Action::Meet(user) if *user == id("bob") && identity.user.id == id("ann") => Err(Denied),
                other => OpenPolicy.authorize(identity, other),
            }
        }
    }
    let chat = Chat::builder(MemoryStore::new()).policy(Apart).build();
    let (ann, _bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    let channel = private(&ann, &[], HistoryAccess::All).await;
    let users = Command::Users { query: None, channel: None, after: None, limit: None };
    assert_eq!(ann.call::<People>(users).await.unwrap().users, [user("ann")]);
    for (name, apart) in [("bob", true), ("nobody", false)] {
        let users = vec![id(name).to_string()];
        let opened = ann.call::<DirectOpened>(Command::OpenDirect { users }).await;
        assert_eq!(code(opened), ErrorCode::NoSuchUser, "{name}: {apart}");
        assert_eq!(code(add(&ann, &channel, name).await), ErrorCode::NoSuchUser);
    }
}
