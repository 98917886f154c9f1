//! Laws of [`Membership`](crate::store::Membership), and of the appends that change members and channels.

mod channels;
mod members;
mod people;

pub use self::channels::*;
pub use self::members::*;
pub use self::people::*;

use crate::model::append::{Append, AppendBody};
use crate::model::id::ChannelId;
use crate::model::membership::{HistoryAccess, Member, MemberOp, Role};
use crate::model::message::User;
use crate::store::{AppendError, ChannelInfo, Created, NewPrivate, PageLimit, Store};
use crate::testkit::store::{add, ann, name};

const ALL: PageLimit = PageLimit::items(usize::MAX);

fn cid() -> User {
    User::new("u_cid", "Cid").expect("a user")
}

async fn private<S: Store>(store: &S, key: &str) -> ChannelInfo {
    private_with(store, key, HistoryAccess::All).await
}

async fn private_with<S: Store>(store: &S, key: &str, history: HistoryAccess) -> ChannelInfo {
    let new = NewPrivate::new(name(key), format!("The {key}")).with_history(history);
    let made = store.create_private_within(&new, &ann(), usize::MAX).await.expect("creates a channel");
    made.expect("there is no bound")
}

pub(super) async fn direct<S: Store>(store: &S, key: &str, people: &[User]) -> Created {
    let by = people.first().expect("somebody").clone();
    let opened = store.open_direct_within(&name(key), people, &by, usize::MAX).await;
    opened.expect("opens a channel").expect("there is no bound")
}

/// A change of a member, checked.
fn change(channel: ChannelId, by: &User, op: MemberOp, user: &User, role: Role) -> Append {
    let body = AppendBody::Member { op, user: user.clone(), role, most: 1_000 };
    Append::new(channel, by.clone(), body).checked()
}

pub(super) fn adding(channel: ChannelId, by: &User, user: &User) -> Append {
    change(channel, by, MemberOp::Added, user, Role::Member)
}

fn removing(channel: ChannelId, by: &User, user: &User) -> Append {
    change(channel, by, MemberOp::Removed, user, Role::Member)
}

fn leaving(channel: ChannelId, user: &User) -> Append {
    change(channel, user, MemberOp::Left, user, Role::Member)
}

fn naming(channel: ChannelId, by: &User, title: &str) -> Append {
    let body = AppendBody::Change { title: Some(title.to_owned()), topic: None, archived: None };
    Append::new(channel, by.clone(), body).checked()
}

fn archiving(channel: ChannelId, by: &User, archived: bool) -> Append {
    let body = AppendBody::Change { title: None, topic: None, archived: Some(archived) };
    Append::new(channel, by.clone(), body).checked()
}

async fn member<S: Store>(store: &S, channel: ChannelId, user: &User) -> Option<Member> {
    store.member(channel, &user.id).await.expect("members can be read")
}

async fn members<S: Store>(store: &S, channel: ChannelId) -> Vec<Member> {
    store.members(channel, None, ALL).await.expect("members can be read").members
}

async fn seen<S: Store>(store: &S, user: &User) -> Vec<String> {
    let page = store.channels_of(&user.id, None, false, ALL).await.expect("channels can be read");
    assert!(!page.more);
    page.channels.into_iter().map(|listed| listed.info.name.to_string()).collect()
}

async fn refusal<S: Store>(store: &S, item: Append) -> AppendError {
    let what = format!("{item:?}");
    add(store, item).await.expect_err(&what)
}
