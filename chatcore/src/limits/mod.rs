//! The limits of the engine, each with its default.

pub(crate) mod moment;
pub(crate) mod pace;
pub(crate) mod share;
pub(crate) mod turns;

use std::time::Duration;

/// Limits that bound memory, time and the growth of the log, whatever clients do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Newest messages of a channel in memory, and the most in one answer. Default 100.
    pub history: usize,
    /// Messages in one answer to a search. Default 50.
    pub search_results: usize,
    /// Channels in one answer to `channels`. Default 1,000.
    pub channels_page: usize,
    /// Channels that one `channels` command checks to find visible ones. Default 10,000.
    pub channels_scan: usize,
    /// Searches at once, over all users. Others wait in order, up to `store_timeout`. Default 2.
    pub searches: usize,
    /// Searches of one user at once. Default 1.
    pub searches_per_user: usize,
    /// Encoded events of a channel in memory, for cursors and resume. Default 1,024.
    pub ring_events: usize,
    /// Bytes of a channel's messages in memory, and bytes of its events. Default 1 MiB each.
    pub ring_bytes: usize,
    /// Bytes of all channels' messages, events and lists in memory. Beyond it, the least recently used channels
    /// keep only a few, and slow readers of them read from the store. Default 256 MiB.
    pub rings_bytes_total: usize,
    /// Events that a resume replays. A position further back gets a reset. Default 500.
    pub resume_events: usize,
    /// Bytes of one command. Default 65,536.
    pub frame_bytes: usize,
    /// Characters of one message. Default 8,000.
    pub text_chars: usize,
    /// Characters of a channel's topic. Default 250.
    pub topic_chars: usize,
    /// Bytes of one emoji. Default 64.
    pub emoji_bytes: usize,
    /// Reactions on one message, over all emoji and people. Default 1,000.
    pub reactions: usize,
    /// Kinds of reactions of one user on one message. Default 20.
    pub reactions_per_user: usize,
    /// Attachments of one message. Default 10.
    pub attachments: usize,
    /// Bytes of one attachment. Default 25 MiB.
    pub attachment_bytes: u64,
    /// Characters of an attachment's file name. Default 255.
    pub file_name_chars: usize,
    /// Uploads at once, over all users. Default 64.
    pub uploads: usize,
    /// Uploads of one user at once. Default 8.
    pub uploads_per_user: usize,
    /// Bytes that one user can upload per day. They become available again over 24 hours. Default 2 GiB.
    pub upload_bytes_per_day: u64,
    /// Bytes that all users together can upload per day. They become available again over 24 hours. Default
    /// `u64::MAX`, which is no bound.
    pub upload_bytes_per_day_total: u64,
    /// How long an upload may stay unused before it is removed. Default 1 hour.
    pub upload_ttl: Duration,
    /// Bytes of one user's stored files. A further file is refused with `storage_full`. The store counts them, so
    /// a restart does not reset the count. A file counts until its bytes are removed, soon after its message was
    /// deleted. Uploads in progress ([`uploads`](Self::uploads)) may exceed the limit until they end, and are then
    /// refused. Default 10 GiB.
    pub file_bytes_per_user: u64,
    /// Bytes of all users' stored files. Default 100 GiB.
    pub file_bytes_total: u64,
    /// Pictures whose previews are made at once. Others wait in order, up to `preview_wait`. 0 turns previews off.
    /// Default 2.
    pub previews: usize,
    /// Pictures of one user's requests whose previews are made at once. Default 1.
    pub previews_per_user: usize,
    /// Bytes of memory for making previews, over all pictures. A picture that alone needs more has no preview.
    /// Default 152 MiB, enough for a JPEG of 48 megapixels.
    pub preview_memory: u64,
    /// How long a request waits for a preview before it is refused with `unavailable`. Work that has begun is
    /// finished and kept. Default 20 s.
    pub preview_wait: Duration,
    /// Channels that can exist. The store counts them, including those of
    /// [`Chat::ensure_channel`](crate::Chat::ensure_channel). Default 10,000.
    pub channels: usize,
    /// Channels that one user can create at once. Default 60.
    pub channels_at_once: u32,
    /// After that, the time until a user can create one more channel. Default 1 minute.
    pub channel_interval: Duration,
    /// Channels in memory. Default 10,000.
    pub loaded_channels: usize,
    /// How long an unused channel stays in memory. Default 60 s.
    pub channel_idle: Duration,
    /// Connections at once. Default 20,000.
    pub connections: usize,
    /// Connections of one user. Default 64.
    pub connections_per_user: usize,
    /// Subscriptions of one connection. Default 1,000.
    pub subscriptions: usize,
    /// Subscriptions of one user, over all connections. Default 16,000.
    pub subscriptions_per_user: usize,
    /// Subscriptions of all connections. A further one is refused with `unavailable`. Default 400,000.
    pub subscriptions_total: usize,
    /// Unanswered commands of one connection. At this number the transport stops reading. Default 64.
    pub commands_in_flight: usize,
    /// Bytes of one connection's unanswered commands. At this number the transport stops reading. Default 256 KiB.
    pub command_bytes: usize,
    /// Bytes of all connections' unanswered commands. Beyond it, a connection has one command at a time, and a
    /// command of more than 4 KiB is refused with `unavailable`. Default 128 MiB.
    pub command_bytes_total: usize,
    /// Bytes of the list of messages, events or channels in one answer, as they are sent. The list ends before it
    /// is exceeded, and the answer says where to go on. One message, event or channel is sent whatever its size.
    /// Default 512 KiB.
    pub answer_bytes: usize,
    /// Bytes that a connection is given to write at once, or one frame of any size. Its next command and further
    /// log events wait until they are written. Default 48 KiB.
    pub outgoing_bytes: usize,
    /// Bytes of all large answers (to `channels`, `subscribe`, `history` and `search`) that are being made or not
    /// yet written. Such a command waits for its turn. An answer being made counts as three times
    /// [`answer_bytes`](Self::answer_bytes). Default 256 MiB.
    pub outgoing_bytes_total: usize,
    /// Bytes of one user's large answers, over all connections. Default 32 MiB.
    pub outgoing_bytes_per_user: usize,
    /// How long a client may take to read a large answer while others wait for
    /// [`outgoing_bytes_total`](Self::outgoing_bytes_total). Then it is closed as too slow. Default 5 s.
    pub answer_patience: Duration,
    /// Frames outside of any log (presence, typing …) that wait for one connection. Default 1,024.
    pub mailbox: usize,
    /// Bytes of these frames for one connection. Default 256 KiB.
    pub mailbox_bytes: usize,
    /// Bytes of these frames for all connections. Beyond it, a connection for which more than 8 KiB wait is closed
    /// as too slow. Default 128 MiB.
    pub mailbox_bytes_total: usize,
    /// Commands of one connection per second, sustained, each counted with its weight. Default 50.
    ///
    /// Twice as many frames are read in total, including refused commands, pings, pongs, and the fragments of a
    /// message. Beyond that the transport stops reading until the pace allows it.
    pub commands_per_second: u32,
    /// Commands of one connection at once, before the sustained rate applies. Default 500.
    pub command_burst: u32,
    /// The pace of a user over all connections, as a multiple of a connection's. Default 4.
    pub pace_per_user: u32,
    /// Bytes of one user's frames per second, sustained, over all connections. Default 1 MiB.
    pub bytes_per_second: u64,
    /// Bytes of one user's frames at once, before the sustained rate applies. Default 32 MiB.
    pub byte_burst: u64,
    /// Bytes of one user's frames that add to the log, per day. They are available at once, and again over 24
    /// hours. A restart resets the count, as for `upload_bytes_per_day`. Default 1 GiB.
    pub message_bytes_per_day: u64,
    /// Bytes of all users' frames that add to the log, per day. They become available again over 24 hours. This
    /// bounds how fast a disk fills. Default `u64::MAX`, which is no bound.
    pub message_bytes_per_day_total: u64,
    /// Users without a connection whose paces are remembered until they are full. If there are more, all are
    /// forgotten. Default 20,000.
    pub paces_remembered: usize,
    /// Malformed frames per minute. Beyond it the connection is closed. Default 20.
    pub bad_frames_per_minute: u32,
    /// Waiting appends per append group. Further ones are refused. Default 4,096.
    pub append_queue: usize,
    /// Waiting appends of one user, over all connections and groups. Default 1,024.
    pub appends_per_user: usize,
    /// Bytes of waiting appends per append group. Further ones are refused. Default 16 MiB.
    pub append_queue_bytes: usize,
    /// Appends in one batch. Default 512.
    pub append_batch: usize,
    /// Approximate bytes of one batch. Default 4 MiB.
    pub append_batch_bytes: usize,
    /// Append groups: the number of batches in flight at once. Each channel belongs to one group. Default 4.
    pub append_groups: usize,
    /// How long to wait for a store's answer, and for an append's turn. Default 15 s.
    pub store_timeout: Duration,
    /// The time over which clients come back after a drain. Default 10 s.
    pub drain_spread: Duration,
    /// How long an upload may continue after a drain began. Then it is refused with `draining`. Default 5 s.
    pub drain_uploads: Duration,
    /// How long a person without a connection still counts as online, for each absence. Default 5 s.
    pub presence_grace: Duration,
    /// People listed as online in one channel, whose coming and going is announced. 0 turns the list off. Default
    /// 1,000.
    pub presence_members: usize,
    /// Bytes of that list, as it is sent. People who come when it is full are added and announced as others leave,
    /// in the order of their arrival. Default 128 KiB.
    pub presence_bytes: usize,
    /// The shortest time between two `typing` of one user in one channel that others are told. Default 2 s.
    pub typing_interval: Duration,
    /// Channels in which others are told that one user is typing, within `typing_interval`. Default 100.
    pub typing_channels: usize,
}

impl Limits {
    /// The weight of a command that needs little: `publish`, `edit`, `delete`, `react`, `read`, `typing`,
    /// `unsubscribe`, `ping`. A frame that is no command weighs as much.
    pub const LIGHT: u32 = 1;
    /// The weight of `subscribe`, which may be answered with a page or a replay.
    pub const SUBSCRIBE: u32 = 2;
    /// The weight of `history`, which reads the store.
    pub const HISTORY: u32 = 3;
    /// The weight of `search`, `channels` and `create_channel`, which look at much or at everything.
    pub const HEAVY: u32 = 5;

    /// Returns the most bytes of a message as it is sent, if the app's user names have at most 64 characters: with
    /// each character of its text escaped, all attachments and all reactions.
    #[must_use]
    pub fn message_bytes(&self) -> usize {
        const FIXED: usize = 1_024;
        // A character is 4 bytes in a name and 12 in its URL. A user id is 64 bytes.
        let attachments = self.attachments.saturating_mul(self.file_name_chars.saturating_mul(16) + 512);
        let reactions = self.reactions.saturating_mul(self.emoji_bytes + 128);
        self.text_chars.saturating_mul(6).saturating_add(attachments).saturating_add(reactions) + FIXED
    }

    /// Returns the most bytes of a message's text as JSON, including escapes, so that its command fits into
    /// [`frame_bytes`](Self::frame_bytes) with any other fields: 4,096 less.
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

impl Default for Limits {
    fn default() -> Self {
        Self {
            history: 100,
            search_results: 50,
            channels_page: 1_000,
            channels_scan: 10_000,
            searches: 2,
            searches_per_user: 1,
            ring_events: 1_024,
            ring_bytes: 1 << 20,
            rings_bytes_total: 256 << 20,
            resume_events: 500,
            frame_bytes: 65_536,
            text_chars: 8_000,
            topic_chars: 250,
            emoji_bytes: 64,
            reactions: 1_000,
            reactions_per_user: 20,
            attachments: 10,
            attachment_bytes: 25 << 20,
            file_name_chars: 255,
            uploads: 64,
            uploads_per_user: 8,
            upload_bytes_per_day: 2 << 30,
            upload_bytes_per_day_total: u64::MAX,
            upload_ttl: Duration::from_secs(3_600),
            file_bytes_per_user: 10 << 30,
            file_bytes_total: 100 << 30,
            previews: 2,
            previews_per_user: 1,
            preview_memory: 152 << 20,
            preview_wait: Duration::from_secs(20),
            channels: 10_000,
            channels_at_once: 60,
            channel_interval: Duration::from_secs(60),
            loaded_channels: 10_000,
            channel_idle: Duration::from_secs(60),
            connections: 20_000,
            connections_per_user: 64,
            subscriptions: 1_000,
            subscriptions_per_user: 16_000,
            subscriptions_total: 400_000,
            commands_in_flight: 64,
            command_bytes: 256 << 10,
            command_bytes_total: 128 << 20,
            answer_bytes: 512 << 10,
            outgoing_bytes: 48 << 10,
            outgoing_bytes_total: 256 << 20,
            outgoing_bytes_per_user: 32 << 20,
            answer_patience: Duration::from_secs(5),
            mailbox: 1_024,
            mailbox_bytes: 256 << 10,
            mailbox_bytes_total: 128 << 20,
            commands_per_second: 50,
            command_burst: 500,
            pace_per_user: 4,
            bytes_per_second: 1 << 20,
            byte_burst: 32 << 20,
            message_bytes_per_day: 1 << 30,
            message_bytes_per_day_total: u64::MAX,
            paces_remembered: 20_000,
            bad_frames_per_minute: 20,
            append_queue: 4_096,
            appends_per_user: 1_024,
            append_queue_bytes: 16 << 20,
            append_batch: 512,
            append_batch_bytes: 4 << 20,
            append_groups: 4,
            store_timeout: Duration::from_secs(15),
            drain_spread: Duration::from_secs(10),
            drain_uploads: Duration::from_secs(5),
            presence_grace: Duration::from_secs(5),
            presence_members: 1_000,
            presence_bytes: 128 << 10,
            typing_interval: Duration::from_secs(2),
            typing_channels: 100,
        }
    }
}
