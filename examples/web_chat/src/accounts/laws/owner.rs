//! Laws of the owner and of invitations.

use super::*;
use crate::accounts::record::INVITATIONS;

on_every_store!(
    the_first_person_is_the_owner,
    the_named_person_is_the_owner,
    the_owners_name_is_kept_for_the_owner,
    an_owner_without_devices_gets_a_link,
    a_new_name_needs_an_invitation,
    an_invitation_is_used_up_by_concurrent_callers,
    invitations_are_bounded_and_withdrawn,
);

async fn the_first_person_is_the_owner(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    assert_eq!(accounts.owner().await.unwrap(), None);
    let (ann, _) = take(&accounts, "ann", now).await.unwrap();
    take(&accounts, "bob", now).await.unwrap();
    assert_eq!(accounts.owner().await.unwrap(), Some(ann.id));
}

async fn the_named_person_is_the_owner(store: Shared) {
    let named =
        |store: &Shared, text| Accounts::new(Arc::clone(store), Rules { owner: Some(name(text)), ..rules() });
    let (accounts, now) = (named(&store, "Bob"), Timestamp::now());
    accounts.settle_owner().await.unwrap();
    let (ann, _) = take(&accounts, "ann", now).await.unwrap();
    assert_eq!(accounts.owner().await.unwrap(), None, "not the first one");
    let (bob, _) = take(&accounts, "BOB", now).await.unwrap();
    assert_eq!(accounts.owner().await.unwrap(), Some(bob.id));
    let accounts = named(&store, "Ann");
    accounts.settle_owner().await.unwrap();
    assert_eq!(accounts.owner().await.unwrap(), Some(ann.id), "the next start names another");
}

async fn the_owners_name_is_kept_for_the_owner(store: Shared) {
    let accounts = Accounts::new(store, Rules { owner: Some(name("Ann")), ..rules() });
    let now = Timestamp::now();
    let (ann, _) = take(&accounts, "Ann", now).await.unwrap();
    let (bob, _) = take(&accounts, "bob", now).await.unwrap();
    assert!(matches!(accounts.rename(&ann.id, &name("Anna"), now).await.unwrap(), Renamed::Yes(..)));
    assert!(take(&accounts, "ann", now).await.is_none());
    assert_eq!(accounts.rename(&bob.id, &name("ANN"), now).await.unwrap(), Renamed::NameTaken);
    accounts.settle_owner().await.unwrap();
    assert_eq!(accounts.owner().await.unwrap(), Some(ann.id.clone()));
    assert!(matches!(accounts.rename(&ann.id, &name("Ann"), now).await.unwrap(), Renamed::Yes(..)));
}

async fn an_owner_without_devices_gets_a_link(store: Shared) {
    let now = Timestamp::now();
    assert!(open(Arc::clone(&store)).owner_link(now).await.unwrap().is_none(), "nobody is to be the owner");
    let accounts = Accounts::new(store, Rules { owner: Some(name("Ann")), join: Join::Invite, ..rules() });
    let (ann, _) = accounts.owner_link(now).await.unwrap().unwrap();
    assert!(take(&accounts, "Ann", now).await.is_none());
    let (again, code) = accounts.owner_link(now).await.unwrap().unwrap();
    assert_eq!(again, ann);
    let signed_in = accounts.enter(&code, arrival(None, now)).await.unwrap().unwrap();
    assert_eq!(accounts.owner().await.unwrap(), Some(signed_in.user.id));
}

async fn a_new_name_needs_an_invitation(store: Shared) {
    let accounts = Accounts::new(store, Rules { join: Join::Invite, ..rules() });
    let (now, day) = (Timestamp::now(), Duration::from_secs(86_400));
    assert!(take(&accounts, "ann", now).await.is_some(), "the owner needs none");
    let by = async |text: &str, code: Option<&Code>, now| {
        accounts.take(random_id(), &name(text), code, arrival(None, now)).await.unwrap()
    };
    let Invited::Yes(code, _) = accounts.invite(2, day, now).await.unwrap() else {
        panic!("it is the first")
    };
    assert_eq!(accounts.kind_of(&code, now).await.unwrap(), Some(Kind::Invitation));
    assert!(
        matches!(by("ann", None, now).await, Entered::NotInvited),
        "nobody learns that the name is taken"
    );
    assert!(matches!(by("bob", Some(&Code::random()), now).await, Entered::NotInvited));
    assert!(matches!(by("Ann", Some(&code), now).await, Entered::NameTaken));
    assert!(matches!(by("bob", Some(&code), now.plus(day)).await, Entered::Yes(_)), "to the second");
    assert!(matches!(by("carl", Some(&code), now.plus(day + MILLISECOND)).await, Entered::NotInvited));
    assert!(matches!(by("carl", Some(&code), now).await, Entered::Yes(_)));
    assert!(matches!(by("dora", Some(&code), now).await, Entered::NotInvited), "it was for two");
    assert_eq!(accounts.kind_of(&code, now).await.unwrap(), None);
}

async fn an_invitation_is_used_up_by_concurrent_callers(store: Shared) {
    let accounts = Accounts::new(store, Rules { join: Join::Invite, ..rules() });
    let now = Timestamp::now();
    take(&accounts, "ann", now).await.unwrap();
    let invited = accounts.invite(3, Duration::from_secs(60), now).await.unwrap();
    let Invited::Yes(code, _) = invited else { panic!("it is the first") };
    let names: Vec<_> = (0..8).map(|n| name(&format!("name {n}"))).collect();
    let taking = names.iter().map(|name| accounts.take(random_id(), name, Some(&code), arrival(None, now)));
    let taken = futures::future::join_all(taking).await;
    assert_eq!(taken.iter().filter(|one| matches!(one, Ok(Entered::Yes(_)))).count(), 3);
}

async fn invitations_are_bounded_and_withdrawn(store: Shared) {
    let (accounts, now, life) = (open(store), Timestamp::now(), Duration::from_secs(60));
    let mut codes = Vec::new();
    for _ in 0..INVITATIONS {
        let Invited::Yes(code, _) = accounts.invite(1, life, now).await.unwrap() else {
            panic!("within the limit")
        };
        codes.push(code);
    }
    assert!(matches!(accounts.invite(1, life, now).await.unwrap(), Invited::TooMany));
    assert!(accounts.withdraw(&codes[0].hash()).await.unwrap());
    assert!(!accounts.withdraw(&codes[0].hash()).await.unwrap());
    assert_eq!(accounts.kind_of(&codes[0], now).await.unwrap(), None);
    let listed = accounts.invitations(now).await.unwrap();
    assert_eq!(
        (listed.len(), listed[0].hash),
        (INVITATIONS - 1, codes[INVITATIONS - 1].hash()),
        "the newest first"
    );
    let over = now.plus(life + MILLISECOND);
    assert_eq!(accounts.invitations(over).await.unwrap(), []);
    assert!(
        matches!(accounts.invite(1, life, over).await.unwrap(), Invited::Yes(..)),
        "expired ones take no room"
    );
}
