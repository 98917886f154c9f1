//! Signing in: by taking a new name, or by a link.

use std::sync::Arc;

use chatcore::{Timestamp, User, UserId};
use tokio::sync::oneshot;

use super::record::{Change, Found, Person, Service, Wanted};
use super::secret::{Code, Hash, Token};
use super::{Accounts, AccountsError, Ended, Rules, freed, is_kept};
use crate::name::DisplayName;
use crate::options::Join;

/// A device that wants to sign in.
#[derive(Clone, Copy)]
pub(crate) struct Arrival<'a> {
    /// What to call it in the list of devices.
    pub(crate) device: &'a str,
    /// The token that it has so far. It is no longer valid afterwards.
    pub(crate) old: Option<&'a Token>,
    pub(crate) now: Timestamp,
}

/// A device that has signed in.
#[derive(Debug)]
pub(crate) struct SignedIn {
    pub(crate) user: User,
    pub(crate) token: Token,
    /// The sign-ins that ended with that: the device's previous one, and one of too many devices.
    pub(crate) ended: Vec<Ended>,
    /// Those who did not use their name for so long that it was taken.
    pub(crate) freed: Vec<UserId>,
}

/// The result of taking a name.
#[derive(Debug)]
pub(crate) enum Entered {
    Yes(SignedIn),
    NameTaken,
    /// A new name needs an invitation, and this one is not valid.
    NotInvited,
    /// The maximum number of names is in use.
    Full,
    /// Somebody has the id.
    IdTaken,
}

/// A name to be taken.
struct Taking {
    rules: Arc<Rules>,
    name: DisplayName,
    person: Person,
    token: Hash,
    old: Option<Hash>,
    invitation: Option<Hash>,
    now: Timestamp,
}

/// What a change of sign-ins ended.
#[derive(Default)]
struct Gone {
    ended: Vec<Ended>,
    freed: Vec<UserId>,
}

enum Refusal {
    NameTaken,
    NotInvited,
    Full,
    IdTaken,
}

type Verdict = (Result<Gone, Refusal>, Vec<Change>);

impl Taking {
    fn decide(&self, found: &Found) -> Option<Verdict> {
        if found.by_token(&self.token).is_some() {
            return None;
        }
        Some(match self.try_decide(found) {
            Ok((gone, changes)) => (Ok(gone), changes),
            Err(refusal) => (Err(refusal), Vec::new()),
        })
    }

    fn try_decide(&self, found: &Found) -> Result<(Gone, Vec<Change>), Refusal> {
        let mut service = found.service.clone();
        let is_owner = self.becomes_owner(&service);
        // Before the name, so that without an invitation nobody learns which names are taken.
        if !is_owner && !self.is_invited(&mut service) {
            return Err(Refusal::NotInvited);
        }
        if is_kept(&self.rules, found, &self.name, None) {
            return Err(Refusal::NameTaken);
        }
        let others = freed(&self.rules, found, &self.person.keys, None, self.now);
        let others = others.ok_or(Refusal::NameTaken)?;
        if found.count.saturating_sub(others.len() as u64) >= self.rules.names {
            return Err(Refusal::Full);
        }
        if found.by_id(&self.person.user.id).is_some() {
            return Err(Refusal::IdTaken);
        }
        let mut gone = Gone::default();
        let mut changes: Vec<_> =
            others.iter().map(|person| Change::Remove(person.user.id.clone())).collect();
        gone.freed = others.into_iter().map(|person| person.user.id.clone()).collect();
        if let Some(old) = self.old
            && let Some((person, _)) = found.by_token(&old)
            && !gone.freed.contains(&person.user.id)
        {
            let mut person = person.clone();
            person.sign_out(&old);
            gone.ended.push(Ended { user: person.user.id.clone(), session: old.session() });
            changes.push(Change::put(person));
        }
        if is_owner {
            service.owner = Some(self.person.user.id.clone());
        }
        service.begun = true;
        if service != found.service {
            changes.push(Change::Service(service));
        }
        changes.push(Change::put(self.person.clone()));
        Ok((gone, changes))
    }

    /// Returns whether this person becomes the owner: there is none, and it is the first person, or the one that the
    /// rules name.
    fn becomes_owner(&self, service: &Service) -> bool {
        service.owner.is_none()
            && self.rules.owner.as_ref().map_or(!service.begun, |owner| owner.is_same(&self.name))
    }

    /// Returns whether a new name may be taken, and uses up the invitation if one is needed.
    fn is_invited(&self, service: &mut Service) -> bool {
        if self.rules.join == Join::Open {
            return true;
        }
        let mut valid = service.invitations.iter_mut().filter(|invitation| invitation.is_valid(self.now));
        let Some(invitation) = valid.find(|invitation| Some(invitation.hash) == self.invitation) else {
            return false;
        };
        invitation.uses -= 1;
        service.invitations.retain(|invitation| invitation.is_valid(self.now));
        true
    }
}

/// A link to be used.
struct Entering {
    link: Hash,
    token: Hash,
    old: Option<Hash>,
    device: String,
    now: Timestamp,
}

impl Entering {
    fn decide(&self, found: &Found) -> Option<((User, Gone), Vec<Change>)> {
        let mut person = found.by_link(&self.link, self.now)?.clone();
        let (mut gone, mut changes) = (Gone::default(), Vec::new());
        let id = person.user.id.clone();
        if let Some(old) = self.old
            && let Some((before, _)) = found.by_token(&old)
        {
            gone.ended.push(Ended { user: before.user.id.clone(), session: old.session() });
            if before.user.id == id {
                person.sign_out(&old);
            } else {
                let mut before = before.clone();
                before.sign_out(&old);
                changes.push(Change::put(before));
            }
        }
        person.link = None;
        if let Some(replaced) = person.sign_in(self.token, &self.device, self.now) {
            gone.ended.push(Ended { user: id, session: replaced.session() });
        }
        let user = person.user.clone();
        changes.push(Change::put(person));
        Some(((user, gone), changes))
    }
}

impl Accounts {
    /// Takes a name for a new person with this id, unless another person has the id, or a name that looks like it.
    pub(crate) async fn take(
        &self,
        id: UserId,
        name: &DisplayName,
        invitation: Option<&Code>,
        arrival: Arrival<'_>,
    ) -> Result<Entered, AccountsError> {
        let (token, old) = (Token::random(), arrival.old.map(Token::hash));
        let mut person = Person::new(id, name, arrival.now);
        person.sign_in(token.hash(), arrival.device, arrival.now);
        let user = person.user.clone();
        let wanted = Wanted {
            keys: person.keys.clone(),
            tokens: old.into_iter().chain([token.hash()]).collect(),
            ids: vec![person.user.id.clone()],
            count: true,
            ..Wanted::default()
        };
        let taking = Taking {
            rules: Arc::clone(&self.rules),
            name: name.clone(),
            person,
            token: token.hash(),
            old,
            invitation: invitation.map(Code::hash),
            now: arrival.now,
        };
        let decide = move |found: &Found| taking.decide(found);
        let taken = self.clone().finish(token.hash(), wanted, decide).await?;
        Ok(match taken.expect("invariant: the token is new") {
            Ok(Gone { ended, freed }) => Entered::Yes(SignedIn { user, token, ended, freed }),
            Err(Refusal::NameTaken) => Entered::NameTaken,
            Err(Refusal::NotInvited) => Entered::NotInvited,
            Err(Refusal::Full) => Entered::Full,
            Err(Refusal::IdTaken) => Entered::IdTaken,
        })
    }

    /// Signs a device in by a link, which can't be used again. Returns `None` if the link is not valid.
    pub(crate) async fn enter(
        &self,
        link: &Code,
        arrival: Arrival<'_>,
    ) -> Result<Option<SignedIn>, AccountsError> {
        let (token, old) = (Token::random(), arrival.old.map(Token::hash));
        let wanted = Wanted {
            link: Some(link.hash()),
            tokens: old.into_iter().chain([token.hash()]).collect(),
            ..Wanted::default()
        };
        let entering = Entering {
            link: link.hash(),
            token: token.hash(),
            old,
            device: arrival.device.to_owned(),
            now: arrival.now,
        };
        let decide = move |found: &Found| entering.decide(found);
        let entered = self.clone().finish(token.hash(), wanted, decide).await?;
        Ok(entered.map(|(user, Gone { ended, freed })| SignedIn { user, token, ended, freed }))
    }

    /// Makes a change that signs in a device. If the caller no longer waits, nobody will ever have the token: then the
    /// device is removed, and with it a name that it has taken.
    async fn finish<T: Send + 'static>(
        self,
        token: Hash,
        wanted: Wanted,
        decide: impl Fn(&Found) -> Option<(T, Vec<Change>)> + Send + Sync + 'static,
    ) -> Result<Option<T>, AccountsError> {
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            let changed = self.change(wanted, decide).await;
            if answer.send(changed).is_err() {
                // The store reports its own errors. The name is free again after a while anyway.
                let _ = self.give_back(&token, Timestamp::from_millis(0)).await;
            }
        });
        answered.await.unwrap_or_else(|error| Err(AccountsError::because(error)))
    }
}
