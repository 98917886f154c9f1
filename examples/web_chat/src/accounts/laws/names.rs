//! Laws of names: who has one, and how it becomes another's.

use super::*;

on_every_store!(
    a_name_stays_its_persons_after_signing_out,
    a_name_can_be_given_back_by_its_receipt_for_a_while,
    a_browser_that_takes_another_name_keeps_the_first_one_taken,
    names_are_bounded,
    an_id_that_somebody_has_is_not_given_again,
    one_of_many_concurrent_callers_gets_a_name,
    the_limit_of_names_holds_for_concurrent_callers,
    a_name_is_taken_in_every_spelling,
    a_rename_keeps_the_person_and_frees_the_name,
    a_name_is_renamed_to_only_once,
    a_removed_person_is_gone_and_the_name_free,
    people_are_listed_by_name_in_pages,
);

async fn a_name_stays_its_persons_after_signing_out(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    let (ann, token) = take(&accounts, "ann", now).await.unwrap();
    assert_eq!(user(&accounts, &token, now).await, Some(ann.clone()));
    assert!(take(&accounts, "ANN", now).await.is_none());
    assert_eq!(accounts.sign_out(&token.hash()).await.unwrap(), Some(ann.clone()));
    assert_eq!(user(&accounts, &token, now).await, None);
    assert_eq!(accounts.sign_out(&token.hash()).await.unwrap(), None);
    assert!(take(&accounts, "ann", now).await.is_none(), "it is still theirs");
    let again = link_device(&accounts, &ann, now).await;
    assert_eq!(user(&accounts, &again.token, now).await, Some(ann), "and a link leads back to it");
}

async fn a_name_can_be_given_back_by_its_receipt_for_a_while(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    let (ann, token) = take(&accounts, "ann", now).await.unwrap();
    assert_eq!(accounts.give_back(&token.hash(), now.plus(MILLISECOND)).await.unwrap(), None, "too late");
    assert_eq!(user(&accounts, &token, now).await, Some(ann.clone()));
    assert_eq!(accounts.give_back(&token.hash(), now).await.unwrap(), Some(ann));
    assert_eq!(user(&accounts, &token, now).await, None);
    let (ann, first) = take(&accounts, "ann", now).await.unwrap();
    assert_eq!(accounts.owner().await.unwrap().as_ref(), Some(&ann.id), "as if nobody had been there");
    let second = link_device(&accounts, &ann, now).await;
    assert_eq!(accounts.give_back(&second.token.hash(), now).await.unwrap(), Some(ann.clone()));
    assert_eq!(user(&accounts, &second.token, now).await, None);
    assert_eq!(user(&accounts, &first, now).await, Some(ann), "only the device was given back");
}

async fn a_browser_that_takes_another_name_keeps_the_first_one_taken(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    let (ann, old) = take(&accounts, "ann", now).await.unwrap();
    take(&accounts, "bob", now).await.unwrap();
    let refused = accounts.take(random_id(), &name("Bob"), None, arrival(Some(&old), now)).await.unwrap();
    assert!(matches!(refused, Entered::NameTaken));
    assert_eq!(user(&accounts, &old, now).await, Some(ann.clone()), "a refusal changes nothing");
    let taken = accounts.take(random_id(), &name("Carl"), None, arrival(Some(&old), now)).await.unwrap();
    let Entered::Yes(carl) = taken else { panic!("the name is free") };
    assert_eq!(carl.ended, [Ended { user: ann.id.clone(), session: old.session() }]);
    assert_eq!(user(&accounts, &old, now).await, None);
    assert!(take(&accounts, "ann", now).await.is_none());
    assert_eq!(accounts.make_link(&ann.id, now).await.unwrap().unwrap().0, ann);
}

async fn names_are_bounded(store: Shared) {
    let accounts = Accounts::new(store, Rules { names: 2, ..rules() });
    let now = Timestamp::now();
    assert!(take(&accounts, "a", now).await.is_some());
    assert!(take(&accounts, "b", now).await.is_some());
    let full = accounts.take(random_id(), &name("c"), None, arrival(None, now)).await.unwrap();
    assert!(matches!(full, Entered::Full));
}

async fn an_id_that_somebody_has_is_not_given_again(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    let (ann, token) = take(&accounts, "ann", now).await.unwrap();
    let second = accounts.take(ann.id.clone(), &name("bob"), None, arrival(None, now)).await.unwrap();
    assert!(matches!(second, Entered::IdTaken));
    assert_eq!(user(&accounts, &token, now).await, Some(ann), "and nothing of hers has changed");
    assert!(take(&accounts, "bob", now).await.is_some(), "the name is free");
}

async fn one_of_many_concurrent_callers_gets_a_name(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    let (one, two, three) =
        tokio::join!(take(&accounts, "ann", now), take(&accounts, "Ann", now), take(&accounts, "ANN", now));
    assert_eq!([one, two, three].iter().flatten().count(), 1);
}

async fn the_limit_of_names_holds_for_concurrent_callers(store: Shared) {
    let accounts = Accounts::new(store, Rules { names: 3, ..rules() });
    let now = Timestamp::now();
    let names: Vec<String> = (0..12).map(|n| format!("name {n}")).collect();
    let taken = futures::future::join_all(names.iter().map(|name| take(&accounts, name, now))).await;
    assert_eq!(taken.iter().flatten().count(), 3);
}

async fn a_name_is_taken_in_every_spelling(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    take(&accounts, "owner", now).await.unwrap();
    for (text, others) in [
        ("Straße", ["STRASSE", "strasse"]),
        ("ΣΑΣ", ["σασ", "Σας"]),
        ("José", ["JOSE\u{301}", "ｊｏｓé"]),
        ("paypal", ["p\u{430}ypal", "PayPaI"]),
    ] {
        let (user, _) = take(&accounts, text, now).await.unwrap();
        for other in others {
            assert!(take(&accounts, other, now).await.is_none(), "{other} is {text}");
        }
        assert_eq!(accounts.remove(&user.id).await.unwrap(), Removed::Yes(user));
        assert!(take(&accounts, others[0], now).await.is_some(), "{text} is free again");
    }
}

async fn a_rename_keeps_the_person_and_frees_the_name(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    let (ann, token) = take(&accounts, "ann", now).await.unwrap();
    let (bob, _) = take(&accounts, "bob", now).await.unwrap();
    assert_eq!(accounts.rename(&ann.id, &name("Bob"), now).await.unwrap(), Renamed::NameTaken);
    let anna = User::new(ann.id.as_str(), "Anna").unwrap();
    let renamed = accounts.rename(&ann.id, &name("Anna"), now).await.unwrap();
    assert_eq!(renamed, Renamed::Yes(anna.clone(), Vec::new()));
    assert_eq!(user(&accounts, &token, now).await, Some(anna.clone()));
    assert_eq!(accounts.rename(&ann.id, &name("Anna"), now).await.unwrap(), Renamed::Yes(anna, Vec::new()));
    let capital = accounts.rename(&ann.id, &name("ANNA"), now).await.unwrap();
    assert!(
        matches!(capital, Renamed::Yes(user, _) if &*user.name == "ANNA"),
        "one's own name in another case"
    );
    assert!(take(&accounts, "Anna", now).await.is_none());
    let renamed = accounts.rename(&bob.id, &name("Ann"), now).await.unwrap();
    assert!(matches!(renamed, Renamed::Yes(user, _) if user.id == bob.id), "the name is free");
    let nobody = User::new("u_nobody", "nobody").unwrap();
    assert_eq!(accounts.rename(&nobody.id, &name("x"), now).await.unwrap(), Renamed::NoSuchUser);
}

async fn a_name_is_renamed_to_only_once(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    let (one, _) = take(&accounts, "one", now).await.unwrap();
    let (two, _) = take(&accounts, "two", now).await.unwrap();
    let wanted = name("ann");
    let (first, second, third) = tokio::join!(
        accounts.rename(&one.id, &wanted, now),
        accounts.rename(&two.id, &wanted, now),
        take(&accounts, "ANN", now)
    );
    let renamed =
        [first.unwrap(), second.unwrap()].iter().filter(|one| matches!(one, Renamed::Yes(..))).count();
    assert_eq!(renamed + usize::from(third.is_some()), 1);
}

async fn a_removed_person_is_gone_and_the_name_free(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    let (owner, _) = take(&accounts, "owner", now).await.unwrap();
    let (ann, token) = take(&accounts, "ann", now).await.unwrap();
    assert_eq!(accounts.remove(&owner.id).await.unwrap(), Removed::Owner);
    assert_eq!(accounts.remove(&ann.id).await.unwrap(), Removed::Yes(ann.clone()));
    assert_eq!(user(&accounts, &token, now).await, None);
    assert_eq!(accounts.remove(&ann.id).await.unwrap(), Removed::NoSuchUser);
    assert_eq!(accounts.make_link(&ann.id, now).await.unwrap(), None);
    assert_ne!(take(&accounts, "ann", now).await.unwrap().0.id, ann.id);
}

async fn people_are_listed_by_name_in_pages(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    for text in ["Émile", "bob", "Ann", "anna", "Mary", "ZOE", "Ärzte"] {
        take(&accounts, text, now).await.unwrap();
    }
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let page = accounts.people("", &after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.sort_key();
        names.extend(page.iter().map(|person| person.user.name.to_string()));
    }
    assert_eq!(names, ["Ann", "anna", "Ärzte", "bob", "Émile", "Mary", "ZOE"]);
    let with = async |prefix: &str| -> Vec<String> {
        let people = accounts.people(prefix, "", 9).await.unwrap();
        people.iter().map(|person| person.user.name.to_string()).collect()
    };
    assert_eq!(with("AN").await, ["Ann", "anna"]);
    assert_eq!(with("É").await, ["Émile"]);
    assert_eq!(with("x").await, [""; 0]);
    let ann = accounts.people("ann", "", 1).await.unwrap().remove(0);
    accounts.rename(&ann.user.id, &name("Xaver"), now).await.unwrap();
    assert_eq!((with("ann").await, with("x").await), (vec!["anna".to_owned()], vec!["Xaver".to_owned()]));
}
