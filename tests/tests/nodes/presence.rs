//! Who is online, while one of the services dies, and while each is restarted.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chatcore_tests::{BusKind, Client, Group};
use serde_json::{Value, json};

/// The channel that everybody is in.
const CHANNEL: &str = "general";

/// How soon everybody knows that the people of a killed node are gone. It is a promise to people, and so it is measured:
/// the node's lease of 8 s, the grace of 5 s, and what a busy machine adds.
const GONE: Duration = Duration::from_secs(20);

/// Somebody in the channel, and what they were told of the others since they have begun to listen.
struct Person {
    name: String,
    /// The number of the node.
    at: usize,
    cookie: String,
    client: Client,
    /// Who is online, as this person was told.
    known: BTreeSet<String>,
    told: Vec<(String, bool)>,
}

impl Person {
    async fn join(group: &Group, at: usize, name: &str) -> Self {
        Self::join_with(group, at, name, group.node(at).sign_in(name).await).await
    }

    async fn join_with(group: &Group, at: usize, name: &str, cookie: String) -> Self {
        let (client, known) = subscribe(group.node(at).addr, &cookie).await;
        Self { name: name.to_owned(), at, cookie, client, known, told: Vec::new() }
    }

    /// Joins again, at another node.
    async fn move_to(&mut self, group: &Group, at: usize) {
        let frames = self.client.take_waiting();
        frames.iter().filter(|frame| frame["type"] == "presence").for_each(|frame| self.take(frame));
        (self.client, self.known) = subscribe(group.node(at).addr, &self.cookie).await;
        self.at = at;
    }

    /// Reads until this person knows that somebody is online, or is not.
    async fn knows(&mut self, name: &str, online: bool) {
        while self.known.contains(name) != online {
            let event = self.client.event("presence").await;
            self.take(&event);
        }
    }

    fn take(&mut self, event: &Value) {
        let name = event["user"]["name"].as_str().unwrap().to_owned();
        let online = event["online"].as_bool().unwrap();
        if online {
            self.known.insert(name.clone())
        } else {
            self.known.remove(&name)
        };
        self.told.push((name, online));
    }
}

/// Returns a subscribed client, and who is online.
async fn subscribe(addr: SocketAddr, cookie: &str) -> (Client, BTreeSet<String>) {
    let mut client = Client::connect_with_cookie(addr, cookie).await;
    let answer = client.ok(json!({"type": "subscribe", "channel": CHANNEL})).await;
    let members = answer["members"].as_array().unwrap().iter();
    let known = members.map(|user| user["name"].as_str().unwrap().to_owned()).collect();
    (client, known)
}

/// Has everybody join at their nodes, and waits until all know of all.
async fn gather(group: &Group, places: &[(&str, usize)]) -> Vec<Person> {
    let mut people = Vec::new();
    for (name, node) in places {
        let known = people.iter().find(|person: &&Person| person.name == *name);
        let person = match known.map(|person| person.cookie.clone()) {
            Some(cookie) => Person::join_with(group, *node, name, cookie).await,
            None => Person::join(group, *node, name).await,
        };
        people.push(person);
    }
    for person in &mut people {
        for (name, _) in places {
            person.knows(name, true).await;
        }
        person.told.clear();
    }
    people
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_people_of_a_killed_node_leave() {
    let mut group = Group::start(BusKind::Postgres, 3).await;
    // Eve is at the node that dies and at another one.
    let places = [("ann", 0), ("bob", 1), ("cid", 2), ("dan", 2), ("eve", 2), ("eve", 0)];
    let mut people = gather(&group, &places).await;
    let killed = Instant::now();
    group.take(2).kill().await;
    let mut staying = people.split_off(4);
    staying.remove(0);
    let [ann, bob, ..] = <[Person; 4]>::try_from(people).ok().unwrap();
    staying.extend([ann, bob]);
    for person in &mut staying {
        for name in ["cid", "dan"] {
            person.knows(name, false).await;
        }
    }
    assert!(killed.elapsed() <= GONE, "after {:?}", killed.elapsed());
    for node in [0, 1] {
        let (_, listed) = subscribe(group.node(node).addr, &staying[0].cookie).await;
        assert_eq!(listed, BTreeSet::from(["ann", "bob", "eve"].map(str::to_owned)), "node {node}");
    }
    // What was told before a newcomer arrives comes before the newcomer.
    let _zoe = Person::join(&group, 1, "zoe").await;
    for person in &mut staying {
        person.knows("zoe", true).await;
        person.told.sort();
        let expected = [("cid", false), ("dan", false), ("zoe", true)];
        let expected = expected.map(|(name, online)| (name.to_owned(), online));
        assert_eq!(person.told, expected, "{} was told", person.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_flickers_while_each_node_is_restarted() {
    let mut group = Group::start(BusKind::Postgres, 3).await;
    let stay = [("ann", 0), ("bob", 0), ("cid", 1), ("dan", 1), ("eve", 2), ("fay", 2)];
    // One of each node leaves when it is restarted, and does not come back.
    let leave = [("gus", 0), ("hal", 1), ("ivy", 2)];
    let places: Vec<_> = stay.into_iter().chain(leave).collect();
    let mut people = gather(&group, &places).await;
    let mut leaving = people.split_off(stay.len());
    for node in 0..group.len() {
        let service = group.take(node);
        service.signal("TERM");
        for (n, person) in people.iter_mut().enumerate().filter(|(_, person)| person.at == node) {
            person.client.closed().await;
            let next = (node + 1 + n % 2) % group.len();
            person.move_to(&group, next).await;
            let missing = stay.iter().find(|(name, _)| !person.known.contains(*name));
            assert_eq!(missing, None, "{} does not see everybody at node {next}", person.name);
        }
        leaving.remove(0).client.closed().await;
        assert!(service.ended().await.success(), "node {node} drains");
        group.start_node(node).await;
        group.ready(node).await;
    }
    // Ivy leaves when the lease of her node is over. So are those of the other nodes, and all that begins with them.
    for person in &mut people {
        person.knows("ivy", false).await;
    }
    let _zoe = Person::join(&group, 2, "zoe").await;
    for person in &mut people {
        person.knows("zoe", true).await;
        let of_others = |(name, online): &&(String, bool)| {
            !(name == "zoe" || (!online && leave.iter().any(|(leaving, _)| leaving == name)))
        };
        let flickers: Vec<_> = person.told.iter().filter(of_others).collect();
        assert!(flickers.is_empty(), "{} was told {flickers:?} of {:?}", person.name, person.told);
    }
}
