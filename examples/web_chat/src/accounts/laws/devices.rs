//! Laws of devices and the links that sign them in.

use super::*;
use crate::accounts::record::{DEVICES, LINK_LIFE};

on_every_store!(
    a_link_signs_in_another_device_once,
    one_of_many_concurrent_devices_uses_a_link,
    a_link_expires_after_ten_minutes,
    a_newer_link_replaces_the_one_before,
    one_device_too_many_signs_out_the_least_used,
    a_device_is_signed_out_by_its_person_only,
    all_other_devices_are_signed_out_at_once,
);

async fn a_link_signs_in_another_device_once(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    let (ann, token) = take(&accounts, "ann", now).await.unwrap();
    let (of, code) = accounts.make_link(&ann.id, now).await.unwrap().unwrap();
    assert_eq!(of, ann);
    for _ in 0..2 {
        let kind = accounts.kind_of(&code, now).await.unwrap();
        assert_eq!(kind, Some(Kind::SignIn(ann.clone())), "looking does not use it up");
    }
    let phone = accounts.enter(&code, arrival(None, now)).await.unwrap().unwrap();
    assert_eq!((&phone.user, phone.ended), (&ann, Vec::new()));
    for token in [&token, &phone.token] {
        assert_eq!(user(&accounts, token, now).await, Some(ann.clone()));
    }
    assert!(accounts.enter(&code, arrival(None, now)).await.unwrap().is_none());
    assert_eq!(accounts.kind_of(&code, now).await.unwrap(), None);
    assert_eq!(accounts.kind_of(&Code::random(), now).await.unwrap(), None);
    let (_, bob) = take(&accounts, "bob", now).await.unwrap();
    let (_, code) = accounts.make_link(&ann.id, now).await.unwrap().unwrap();
    let moved = accounts.enter(&code, arrival(Some(&bob), now)).await.unwrap().unwrap();
    assert_eq!(moved.ended.iter().map(|ended| &ended.session).collect::<Vec<_>>(), [&bob.session()]);
    assert_eq!(user(&accounts, &bob, now).await, None, "a browser is one person");
}

async fn one_of_many_concurrent_devices_uses_a_link(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    let (ann, _) = take(&accounts, "ann", now).await.unwrap();
    let (_, code) = accounts.make_link(&ann.id, now).await.unwrap().unwrap();
    let entering = (0..8).map(|_| accounts.enter(&code, arrival(None, now)));
    let entered = futures::future::join_all(entering).await;
    assert_eq!(entered.into_iter().filter_map(Result::unwrap).count(), 1);
    assert_eq!(accounts.devices(&ann.id, now).await.unwrap().len(), 2);
}

async fn a_link_expires_after_ten_minutes(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    let (ann, _) = take(&accounts, "ann", now).await.unwrap();
    let (_, code) = accounts.make_link(&ann.id, now).await.unwrap().unwrap();
    let end = now.plus(LINK_LIFE);
    assert!(accounts.kind_of(&code, end).await.unwrap().is_some(), "to the second");
    let late = end.plus(MILLISECOND);
    assert_eq!(accounts.kind_of(&code, late).await.unwrap(), None);
    assert!(accounts.enter(&code, arrival(None, late)).await.unwrap().is_none());
    let early = now.minus(MILLISECOND);
    assert_eq!(
        accounts.kind_of(&code, early).await.unwrap(),
        None,
        "a clock that was ahead makes none last longer"
    );
    assert!(accounts.enter(&code, arrival(None, end)).await.unwrap().is_some());
}

async fn a_newer_link_replaces_the_one_before(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    let (ann, _) = take(&accounts, "ann", now).await.unwrap();
    let (_, older) = accounts.make_link(&ann.id, now).await.unwrap().unwrap();
    let (_, newer) = accounts.make_link(&ann.id, now).await.unwrap().unwrap();
    assert!(accounts.enter(&older, arrival(None, now)).await.unwrap().is_none());
    assert!(accounts.enter(&newer, arrival(None, now)).await.unwrap().is_some());
}

async fn one_device_too_many_signs_out_the_least_used(store: Shared) {
    let (accounts, begin) = (open(store), Timestamp::now());
    let at = |n: usize| begin.plus(Duration::from_secs(n as u64));
    let (ann, first) = take(&accounts, "ann", begin).await.unwrap();
    let mut tokens = vec![first.clone()];
    for n in 1..DEVICES {
        let linked = link_device(&accounts, &ann, at(n)).await;
        assert_eq!(linked.ended, [], "device {n} is within the limit");
        tokens.push(linked.token);
    }
    accounts.store_use(first.hash(), at(DEVICES)).await.unwrap();
    let more = link_device(&accounts, &ann, at(DEVICES + 1)).await;
    assert_eq!(more.ended, [Ended { user: ann.id.clone(), session: tokens[1].session() }]);
    let now = at(DEVICES + 1);
    assert_eq!(user(&accounts, &tokens[1], now).await, None);
    assert_eq!(user(&accounts, &first, now).await, Some(ann.clone()));
    assert_eq!(accounts.devices(&ann.id, now).await.unwrap().len(), DEVICES);
}

async fn a_device_is_signed_out_by_its_person_only(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    let (ann, laptop) = take(&accounts, "ann", now).await.unwrap();
    let (bob, _) = take(&accounts, "bob", now).await.unwrap();
    let phone = link_device(&accounts, &ann, now).await.token;
    assert_eq!(accounts.sign_out_device(&bob.id, &phone.hash()).await.unwrap(), None);
    assert_eq!(user(&accounts, &phone, now).await, Some(ann.clone()));
    let ended = accounts.sign_out_device(&ann.id, &phone.hash()).await.unwrap();
    assert_eq!(ended, Some(Ended { user: ann.id.clone(), session: phone.session() }));
    assert_eq!(user(&accounts, &phone, now).await, None);
    assert_eq!(user(&accounts, &laptop, now).await, Some(ann.clone()));
    assert_eq!(accounts.sign_out_device(&ann.id, &phone.hash()).await.unwrap(), None);
}

async fn all_other_devices_are_signed_out_at_once(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    let (ann, own) = take(&accounts, "ann", now).await.unwrap();
    let (one, two) = (link_device(&accounts, &ann, now).await, link_device(&accounts, &ann, now).await);
    let (_, code) = accounts.make_link(&ann.id, now).await.unwrap().unwrap();
    let (whose, ended) = accounts.sign_out_others(&ann.id, Some(own.hash())).await.unwrap().unwrap();
    let sessions: Vec<_> = ended.into_iter().map(|ended| ended.session).collect();
    assert_eq!((whose, sessions), (ann.clone(), vec![one.token.session(), two.token.session()]));
    assert!(
        accounts.enter(&code, arrival(None, now)).await.unwrap().is_none(),
        "nor does an open link sign in"
    );
    assert_eq!(user(&accounts, &own, now).await, Some(ann.clone()));
    let (_, ended) = accounts.sign_out_others(&ann.id, None).await.unwrap().unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!(user(&accounts, &own, now).await, None);
}
