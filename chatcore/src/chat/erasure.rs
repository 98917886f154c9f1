//! Erasing people, for the app's own code.

use crate::chat::Chat;
use crate::chat::app::in_time;
use crate::engine::nodes::notice::Notice;
use crate::model::error::Error;
use crate::model::id::UserId;
use crate::model::message::Erasure;
use crate::store::ErasedUser;

/// For the app's own code, which is trusted.
impl Chat {
    /// Erases a person: their name, and by choice their messages.
    ///
    /// When the call returns, the store has it, and this holds at all nodes, within 6 seconds even if the bus carries
    /// nothing:
    ///
    /// - Their connections are closed, with [`CloseReason::SignedOut`](crate::protocol::CloseReason::SignedOut). New ones
    ///   are refused with it. If the erasure was done more than a minute ago, a new one is closed as soon as the store was
    ///   asked. What they were writing or uploading at that moment is not stored, or is taken away with the rest.
    /// - They are found by nobody, and added to nothing. People who may know of them get `user_changed` with
    ///   [`User::erased`](crate::User::erased), and no event or message is sent with their name any more.
    ///
    /// The rest follows part by part, at one node, which takes at most half of its time for it. It goes on after a crash:
    ///
    /// - They leave open and private channels. If they were the last owner, the member who has been there for the
    ///   longest time becomes owner. A channel without other members stays, with nobody. A direct channel keeps its
    ///   people, under [`User::ERASED`](crate::User::ERASED), and the others keep what they wrote.
    /// - With [`Erasure::Tombstones`] their messages are deleted, with their files. If the log's beginning was trimmed, their
    ///   edits of messages that are no longer there are emptied, too. With [`Erasure::KeepTexts`] all of it stays. What they
    ///   wrote into other people's messages is a part of those.
    /// - Their reactions, read markers and unused uploads are removed.
    /// - Their name is taken out of every stored row: messages, events, members, channels that they created. Their id stays.
    ///   So choose ids that say nothing of a person. What people wrote in texts and titles stays, too.
    ///
    /// [`erasure`](Self::erasure) says whether it is done. The app removes its own data of the person, such as accounts.
    ///
    /// The cost grows with what the person wrote: a step has 64 events. In PostgreSQL an index finds them. redb reads once
    /// the logs of the channels in which they have been.
    ///
    /// ```
    /// use chatcore::{ChannelName, Chat, Erasure, MemoryStore, NewMessage, User};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let chat = Chat::builder(MemoryStore::new()).build();
    /// let (ann, general) = (User::new("u_ann", "Ann")?, ChannelName::new("general")?);
    /// chat.ensure_channel(&general, "", &ann).await?;
    /// chat.publish(&ann, &general, NewMessage::text("Hello!")).await?;
    /// chat.erase_user(&ann.id, Erasure::Tombstones).await?;
    /// assert!(chat.publish(&ann, &general, NewMessage::text("Still here?")).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `unavailable` if the store fails. Then call it again: it may have begun.
    ///
    /// # Cancel safety
    /// If the future is dropped, the erasure may have begun. Then it is carried out within seconds.
    pub async fn erase_user(&self, user: &UserId, erasure: Erasure) -> Result<(), Error> {
        self.engine().erase(user, erasure).await
    }

    /// Returns a person who was erased and not [readmitted](Self::readmit), with whether that is done.
    ///
    /// # Errors
    /// `unavailable` if the store fails.
    pub async fn erasure(&self, user: &UserId) -> Result<Option<ErasedUser>, Error> {
        let engine = self.engine();
        in_time(engine, async { Ok(engine.store.erased_user(user).await?) }).await
    }

    /// Lets somebody have the id of a person again whose erasure is done, and returns true. Returns false if it is under
    /// way, or if they were not erased. What that person left stays under [`User::ERASED`](crate::User::ERASED). If the bus
    /// carries nothing, other nodes refuse the new person for a minute after the end of the erasure.
    ///
    /// # Errors
    /// `unavailable` if the store fails.
    pub async fn readmit(&self, user: &UserId) -> Result<bool, Error> {
        let engine = self.engine();
        let readmitted = in_time(engine, async { Ok(engine.store.readmit(user).await?) }).await?;
        if readmitted {
            engine.let_in_again(user.clone());
            engine.tell_nodes(|| Notice::Readmitted { user: user.clone() });
        }
        Ok(readmitted)
    }
}
