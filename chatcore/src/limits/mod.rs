//! The limits of the engine, each with its default.

pub(crate) mod pace;
#[macro_use]
mod settings;
pub(crate) mod share;
pub(crate) mod turns;

use std::time::Duration;

use crate::model::data::Data;

__settings! {
    /// Limits that bound memory, time and the growth of the log, whatever clients do.
    ///
    /// ```
    /// use chatcore::{Chat, Limits, MemoryStore};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let limits = Limits::default().with_text_chars(2_000).with_attachment_bytes(5 << 20);
    /// let chat = Chat::builder(MemoryStore::new()).limits(limits).build();
    /// assert_eq!(chat.limits().text_chars, 2_000);
    /// # }
    /// ```
    pub struct Limits {
        /// Messages in one page of a channel's history. Of each channel in use, the newest page is kept in memory.
        page_messages, with_page_messages: usize = 100;
        /// Messages in one answer to a search.
        search_results, with_search_results: usize = 50;
        /// Channels in one answer to `channels`.
        channels_page, with_channels_page: usize = 1_000;
        /// Channels that one `channels` command checks to find visible ones.
        channels_scan, with_channels_scan: usize = 10_000;
        /// Searches at once, over all users. Others wait in order, up to `store_timeout`.
        searches, with_searches: usize = 2;
        /// Searches of one user at once.
        searches_per_user, with_searches_per_user: usize = 1;
        /// Encoded events of a channel in memory, for cursors and resume.
        ring_events, with_ring_events: usize = 1_024;
        /// Bytes of a channel's messages in memory, and as many bytes of its events.
        ring_bytes, with_ring_bytes: usize = 1 << 20;
        /// Bytes of all channels' messages, events and lists in memory. Beyond it, the least recently used channels
        /// keep only a few, and slow readers of them read from the store.
        rings_bytes_total, with_rings_bytes_total: usize = 256 << 20;
        /// Events that a resume replays. A position further back gets a reset.
        resume_events, with_resume_events: usize = 500;
        /// Bytes of one command.
        frame_bytes, with_frame_bytes: usize = 65_536;
        /// Characters of one message.
        text_chars, with_text_chars: usize = 8_000;
        /// Characters of a channel's topic.
        topic_chars, with_topic_chars: usize = 250;
        /// Bytes of one emoji.
        emoji_bytes, with_emoji_bytes: usize = 64;
        /// Reactions on one message, over all emoji and people.
        reactions, with_reactions: usize = 1_000;
        /// Kinds of reactions of one user on one message.
        reactions_per_user, with_reactions_per_user: usize = 20;
        /// Attachments of one message.
        attachments, with_attachments: usize = 10;
        /// Bytes of one attachment.
        attachment_bytes, with_attachment_bytes: u64 = 25 << 20;
        /// Characters of an attachment's file name.
        file_name_chars, with_file_name_chars: usize = 255;
        /// Uploads at once, over all users.
        uploads, with_uploads: usize = 64;
        /// Uploads of one user at once.
        uploads_per_user, with_uploads_per_user: usize = 8;
        /// Bytes that one user can upload per day. They become available again over 24 hours.
        upload_bytes_per_day, with_upload_bytes_per_day: u64 = 2 << 30;
        /// Bytes that all users together can upload per day. They become available again over 24 hours. The default
        /// is no bound.
        upload_bytes_per_day_total, with_upload_bytes_per_day_total: u64 = u64::MAX;
        /// How long an upload may stay unused before it is removed.
        upload_ttl, with_upload_ttl: Duration = Duration::from_secs(3_600);
        /// Bytes of one user's stored files. A further file is refused with `storage_full`. The store counts them,
        /// so a restart does not reset the count. A file counts until its bytes are removed, soon after its message
        /// was deleted. Uploads in progress ([`uploads`](Self::uploads)) may exceed the limit until they end, and
        /// are then refused.
        file_bytes_per_user, with_file_bytes_per_user: u64 = 10 << 30;
        /// Bytes of all users' stored files.
        file_bytes_total, with_file_bytes_total: u64 = 100 << 30;
        /// Pictures whose previews are made at once. Others wait in order, up to `preview_wait`. 0 turns previews
        /// off.
        previews, with_previews: usize = 2;
        /// Pictures of one user's requests whose previews are made at once.
        previews_per_user, with_previews_per_user: usize = 1;
        /// Bytes of memory for making previews, over all pictures. A picture that alone needs more has no preview. The default is
        /// enough for a JPEG of 48 megapixels.
        preview_memory, with_preview_memory: u64 = 152 << 20;
        /// How long a request waits for a preview before it is refused with `unavailable`. Work that has begun is
        /// finished and kept.
        preview_wait, with_preview_wait: Duration = Duration::from_secs(20);
        /// Channels that can exist. The store counts them, including those of
        /// [`Chat::ensure_channel`](crate::Chat::ensure_channel).
        channels, with_channels: usize = 10_000;
        /// Channels that one user can create at once.
        channels_at_once, with_channels_at_once: u32 = 60;
        /// After that, the time until a user can create one more channel.
        channel_interval, with_channel_interval: Duration = Duration::from_secs(60);
        /// Members of one private channel, and people who have one open channel in their lists.
        members, with_members: usize = 5_000;
        /// Members in one answer.
        members_page, with_members_page: usize = 100;
        /// People in one answer to `users`.
        users_page, with_users_page: usize = 50;
        /// Characters of a channel's title.
        title_chars, with_title_chars: usize = 80;
        /// People whom one message mentions.
        mentions, with_mentions: usize = 50;
        /// Channels in memory.
        loaded_channels, with_loaded_channels: usize = 10_000;
        /// How long an unused channel stays in memory.
        channel_idle, with_channel_idle: Duration = Duration::from_secs(60);
        /// Connections at once.
        connections, with_connections: usize = 20_000;
        /// Connections of one user.
        connections_per_user, with_connections_per_user: usize = 64;
        /// Subscriptions of one connection.
        subscriptions, with_subscriptions: usize = 1_000;
        /// Subscriptions of one user, over all connections.
        subscriptions_per_user, with_subscriptions_per_user: usize = 16_000;
        /// Subscriptions of all connections. A further one is refused with `unavailable`.
        subscriptions_total, with_subscriptions_total: usize = 400_000;
        /// Unanswered commands of one connection. At this number the transport stops reading.
        commands_in_flight, with_commands_in_flight: usize = 64;
        /// Bytes of one connection's unanswered commands. At this number the transport stops reading.
        command_bytes, with_command_bytes: usize = 256 << 10;
        /// Bytes of all connections' unanswered commands. Beyond it, a connection has one command at a time, and a
        /// command of more than 4 KiB is refused with `unavailable`.
        command_bytes_total, with_command_bytes_total: usize = 128 << 20;
        /// Bytes of the list of messages, events or channels in one answer, as they are sent. The list ends before
        /// it is exceeded, and the answer says where to go on. One message, event or channel is sent whatever its
        /// size.
        answer_bytes, with_answer_bytes: usize = 512 << 10;
        /// Bytes that a connection is given to write at once, or one frame of any size. Its next command and
        /// further log events wait until they are written.
        outgoing_bytes, with_outgoing_bytes: usize = 48 << 10;
        /// Bytes of all large answers (to `channels`, `subscribe`, `history` and `search`) that are being made or
        /// not yet written. Such a command waits for its turn. An answer being made counts as three times
        /// [`answer_bytes`](Self::answer_bytes).
        outgoing_bytes_total, with_outgoing_bytes_total: usize = 256 << 20;
        /// Bytes of one user's large answers, over all connections.
        outgoing_bytes_per_user, with_outgoing_bytes_per_user: usize = 32 << 20;
        /// How long a client may take to read a large answer while others wait for
        /// [`outgoing_bytes_total`](Self::outgoing_bytes_total). Then it is closed as too slow.
        answer_patience, with_answer_patience: Duration = Duration::from_secs(5);
        /// Frames outside of any log (presence, typing …) that wait for one connection.
        mailbox, with_mailbox: usize = 1_024;
        /// Bytes of these frames for one connection.
        mailbox_bytes, with_mailbox_bytes: usize = 256 << 10;
        /// Bytes of these frames for all connections. Beyond it, a connection for which more than 8 KiB wait is
        /// closed as too slow.
        mailbox_bytes_total, with_mailbox_bytes_total: usize = 128 << 20;
        /// Commands of one connection per second, sustained, each counted with its weight.
        ///
        /// Twice as many frames are read in total, including refused commands, pings, pongs, and the fragments of a
        /// message. Beyond that the transport stops reading until the pace allows it.
        ///
        commands_per_second, with_commands_per_second: u32 = 50;
        /// Commands of one connection at once, before the sustained rate applies.
        command_burst, with_command_burst: u32 = 500;
        /// The pace of a user over all connections, as a multiple of a connection's.
        pace_per_user, with_pace_per_user: u32 = 4;
        /// Bytes of one user's frames per second, sustained, over all connections.
        bytes_per_second, with_bytes_per_second: u64 = 1 << 20;
        /// Bytes of one user's frames at once, before the sustained rate applies.
        byte_burst, with_byte_burst: u64 = 32 << 20;
        /// Bytes of one user's frames that add to the log, per day. They are available at once, and again over 24
        /// hours. A restart resets the count, as for `upload_bytes_per_day`.
        message_bytes_per_day, with_message_bytes_per_day: u64 = 1 << 30;
        /// Bytes of all users' frames that add to the log, per day. They become available again over 24 hours. This
        /// bounds how fast a disk fills. The default is no bound.
        message_bytes_per_day_total, with_message_bytes_per_day_total: u64 = u64::MAX;
        /// Users without a connection whose paces are remembered until they are full. If there are more, all are
        /// forgotten.
        paces_remembered, with_paces_remembered: usize = 20_000;
        /// Malformed frames per minute. Beyond it the connection is closed.
        bad_frames_per_minute, with_bad_frames_per_minute: u32 = 20;
        /// Waiting appends per append group. Further ones are refused.
        append_queue, with_append_queue: usize = 4_096;
        /// Waiting appends of one user, over all connections and groups.
        appends_per_user, with_appends_per_user: usize = 1_024;
        /// Bytes of waiting appends per append group. Further ones are refused.
        append_queue_bytes, with_append_queue_bytes: usize = 16 << 20;
        /// Appends in one batch.
        append_batch, with_append_batch: usize = 512;
        /// Approximate bytes of one batch.
        append_batch_bytes, with_append_batch_bytes: usize = 4 << 20;
        /// Append groups: the number of batches in flight at once. Each channel belongs to one group.
        append_groups, with_append_groups: usize = 4;
        /// Durable consumers that can exist ([`Chat::consumer`](crate::Chat::consumer)). Each costs every append a look.
        consumers, with_consumers: usize = 16;
        /// Events of one batch of a consumer.
        consumer_events, with_consumer_events: usize = 256;
        /// Bytes of one batch of a consumer, by their weight. Each of the up to 32 channels that it is read from may add
        /// one event.
        consumer_bytes, with_consumer_bytes: usize = 256 << 10;
        /// How long a process that has died keeps the others from reading for the same consumer, 1 s to 1 h. A process
        /// that lives extends this each third of it.
        consumer_lease, with_consumer_lease: Duration = Duration::from_secs(15);
        /// How often a consumer asks the store although nothing says that there is something new, at least 100 ms apart.
        consumer_poll, with_consumer_poll: Duration = Duration::from_secs(5);
        /// How long to wait for a store's answer, and for an append's turn.
        store_timeout, with_store_timeout: Duration = Duration::from_secs(15);
        /// How long the app's [review](crate::Policy::review) of a message may take. Beyond it the message is refused with
        /// `unavailable`. The whole command has `store_timeout`.
        review_timeout, with_review_timeout: Duration = Duration::from_secs(5);
        /// The time over which clients come back after a drain.
        drain_spread, with_drain_spread: Duration = Duration::from_secs(10);
        /// How long an upload may continue after a drain began. Then it is refused with `draining`.
        drain_uploads, with_drain_uploads: Duration = Duration::from_secs(5);
        /// How long a person without a connection still counts as online, for each absence.
        presence_grace, with_presence_grace: Duration = Duration::from_secs(5);
        /// People listed as online in one channel, whose coming and going is announced. 0 turns the list off.
        presence_members, with_presence_members: usize = 1_000;
        /// Bytes of that list, as it is sent. People who come when it is full are added and announced as others
        /// leave, in the order of their arrival.
        presence_bytes, with_presence_bytes: usize = 128 << 10;
        /// The shortest time between two `typing` of one user in one channel that others are told.
        typing_interval, with_typing_interval: Duration = Duration::from_secs(2);
        /// Channels in which others are told that one user is typing, within `typing_interval`.
        typing_channels, with_typing_channels: usize = 100;
    }
}

impl Limits {
    /// The weight of a command that needs little: every command but those of the other weights, such as `publish`, `edit`,
    /// `read` and `ping`. A frame that is no command weighs as much. [`weight`](Self::weight) has the weight of each.
    pub const LIGHT: u32 = 1;
    /// The weight of `subscribe`, which may be answered with a page or a replay.
    pub const SUBSCRIBE: u32 = 2;
    /// The weight of `history`, which reads the store.
    pub const HISTORY: u32 = 3;
    /// The weight of what looks at much or at everything: `search`, `channels`, `users`, `members`, `create_channel`,
    /// `open_direct`, `add_members`.
    pub const HEAVY: u32 = 5;

    /// Returns the most bytes of a message as it is sent, if the app's user names have at most 64 characters: with
    /// each character of its text escaped, all attachments, reactions and mentions, and the app's data.
    #[must_use]
    pub fn message_bytes(&self) -> usize {
        const FIXED: usize = 1_024 + Data::MAX_BYTES;
        // A character is 4 bytes in a name and 12 in its URL. A user id is 64 bytes.
        let attachments = self.attachments.saturating_mul(self.file_name_chars.saturating_mul(16) + 512);
        let reactions = self.reactions.saturating_mul(self.emoji_bytes + 128);
        let mentions = self.mentions.saturating_mul(131);
        let lists = attachments.saturating_add(reactions).saturating_add(mentions);
        self.text_chars.saturating_mul(6).saturating_add(lists) + FIXED
    }

    /// Returns the most bytes of a message's text as JSON, including escapes, so that its command fits into
    /// [`frame_bytes`](Self::frame_bytes) with any other fields but long data of an app and many mentions: 4,096 less.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.frame_bytes.saturating_sub(4_096)
    }

    /// Returns about the most bytes that one running command takes for its answer, whatever is stored: a store's
    /// page and the list encoded from it, or that list and the answer, each of
    /// [`answer_bytes`](Self::answer_bytes) and one more item, and the list of who is online.
    #[must_use]
    pub fn command_memory(&self) -> usize {
        2 * (self.answer_bytes + self.message_bytes()) + self.presence_bytes
    }
}
