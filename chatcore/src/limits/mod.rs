//! Every bound of the engine, by name, with its default.

pub(crate) mod moment;
pub(crate) mod pace;
pub(crate) mod share;
pub(crate) mod turns;

use std::time::Duration;

/// The bounds that keep memory, time and the log's growth finite, whatever clients do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Newest messages of a channel kept in memory, and the most that one answer carries. Default 100.
    pub history: usize,
    /// Messages in one answer to a search. Default 50.
    pub search_results: usize,
    /// Channels in one answer to `channels`. Default 1,000.
    pub channels_page: usize,
    /// Channels that one `channels` looks at for those that its user may see. Default 10,000.
    pub channels_scan: usize,
    /// Searches that run at once, over all users; others wait in order, up to `store_timeout`. Default 2.
    pub searches: usize,
    /// Searches of one user that run at once. Default 1.
    pub searches_per_user: usize,
    /// Encoded events of a channel kept in memory for cursors and resume. Default 1,024.
    pub ring_events: usize,
    /// Bytes of a channel's messages, and of its events, kept in memory. Default 1 MiB each.
    pub ring_bytes: usize,
    /// Bytes of all channels' messages, events and lists in memory. Beyond it the channels used least lately keep
    /// a few; who was behind in them reads from the store. Default 256 MiB.
    pub rings_bytes_total: usize,
    /// Events that a resume replays; a position further back is reset. Default 500.
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
    /// Uploads running at once, over all users. Default 64.
    pub uploads: usize,
    /// Uploads of one user running at once. Default 8.
    pub uploads_per_user: usize,
    /// Bytes that one user uploads in a day. Default 2 GiB; they come back over 24 hours.
    pub upload_bytes_per_day: u64,
    /// Bytes that all users together upload in a day; they come back over 24 hours. Default no bound, which is
    /// `u64::MAX`.
    pub upload_bytes_per_day_total: u64,
    /// How long an upload may stay unused before it is removed. Default 1 hour.
    pub upload_ttl: Duration,
    /// Bytes of the files that one user has uploaded and that are still stored; one more is refused with
    /// `storage_full`. The store counts them, so a restart changes nothing. A file counts until its bytes are gone, soon
    /// after its message was deleted. While [`uploads`](Self::uploads) run they may take their bytes beyond it; each is
    /// refused at its end then. Default 10 GiB.
    pub file_bytes_per_user: u64,
    /// The same, of all users. Default 100 GiB.
    pub file_bytes_total: u64,
    /// Pictures whose previews are made at once; others wait in order, up to `preview_wait`. At 0 there are no
    /// previews. Default 2.
    pub previews: usize,
    /// Pictures whose previews are made at once for one user. Default 1.
    pub previews_per_user: usize,
    /// Bytes of memory that making previews takes, over all pictures. One that needs more by itself has no preview.
    /// Default 152 MiB, enough for a JPEG of 48 megapixels.
    pub preview_memory: u64,
    /// How long a request waits for a preview to be made; then it is refused with `unavailable`. What was begun is
    /// ended and kept. Default 20 s.
    pub preview_wait: Duration,
    /// Channels that can exist. The store counts them, those of [`Chat::ensure_channel`](crate::Chat::ensure_channel)
    /// too. Default 10,000.
    pub channels: usize,
    /// Channels that one user creates at once. Default 60.
    pub channels_at_once: u32,
    /// The time in which a user may create one more channel, after those at once. Default 1 minute.
    pub channel_interval: Duration,
    /// Channels held in memory at once. Default 10,000.
    pub loaded_channels: usize,
    /// How long a channel that nobody uses stays in memory. Default 60 s.
    pub channel_idle: Duration,
    /// Connections at once. Default 20,000.
    pub connections: usize,
    /// Connections of one user at once. Default 64.
    pub connections_per_user: usize,
    /// Channels that one connection follows. Default 1,000.
    pub subscriptions: usize,
    /// Subscriptions of one user over all connections. Default 16,000.
    pub subscriptions_per_user: usize,
    /// Subscriptions of all connections; one more is refused with `unavailable`. Default 400,000.
    pub subscriptions_total: usize,
    /// Commands of one connection that wait for their answer; the transport stops reading at this many.
    /// Default 64.
    pub commands_in_flight: usize,
    /// Bytes of one connection's commands that wait for their answers; the transport stops reading at this
    /// many. Default 256 KiB.
    pub command_bytes: usize,
    /// Bytes of all connections' commands that wait for their answers. Beyond it a connection has one command
    /// at a time, and a command of more than 4 KiB is refused with `unavailable`. Default 128 MiB.
    pub command_bytes_total: usize,
    /// Bytes of one answer's list of messages, events or channels, as they are sent: it ends before, and the answer says
    /// where to go on. One message, event or channel is sent whatever its size. Default 512 KiB.
    pub answer_bytes: usize,
    /// Bytes that one connection is given to write at once, but one frame of any size; its next command and the
    /// log's next events wait until they are written. Default 48 KiB.
    pub outgoing_bytes: usize,
    /// Bytes of all large answers (to `channels`, `subscribe`, `history` and `search`) that are being made or
    /// not yet written. Such a command waits for its turn; one being made counts three times
    /// [`answer_bytes`](Self::answer_bytes). Default 256 MiB.
    pub outgoing_bytes_total: usize,
    /// The same, over all connections of one user. Default 32 MiB.
    pub outgoing_bytes_per_user: usize,
    /// How long a client may take to read a large answer while others wait for its place in
    /// [`outgoing_bytes_total`](Self::outgoing_bytes_total); then it is closed as too slow. Default 5 s.
    pub answer_patience: Duration,
    /// Frames outside any log (presence, typing …) that wait for one connection. Default 1,024.
    pub mailbox: usize,
    /// Bytes of them. Default 256 KiB.
    pub mailbox_bytes: usize,
    /// Bytes of them, over all connections. Beyond it a connection for which more than 8 KiB wait is closed as
    /// too slow. Default 128 MiB.
    pub mailbox_bytes_total: usize,
    /// Commands of one connection a second, sustained, as [`weight`](Self::weight) counts them. Default 50.
    ///
    /// Twice as many frames are read in all, whatever becomes of them: refused commands, pings, pongs, and the
    /// fragments of a message. Beyond that the transport reads no further until the pace allows it.
    pub commands_per_second: u32,
    /// Commands of one connection at once, before the sustained rate holds. Default 500.
    pub command_burst: u32,
    /// How many times a connection's pace a user has, over all connections. Default 4.
    pub pace_per_user: u32,
    /// Bytes of one user's frames a second, sustained, over all connections. Default 1 MiB.
    pub bytes_per_second: u64,
    /// Bytes of one user's frames at once, before the sustained rate holds. Default 32 MiB.
    pub byte_burst: u64,
    /// Bytes of the frames by which one user adds to the log in a day. Default 1 GiB. A day's bytes are there
    /// at once and come back over 24 hours. A restart forgets what was taken, here and in `upload_bytes_per_day`.
    pub message_bytes_per_day: u64,
    /// Bytes of the frames by which all users together add to the log in a day; they come back over 24 hours. It
    /// bounds how fast a disk fills. Default no bound, which is `u64::MAX`.
    pub message_bytes_per_day_total: u64,
    /// Users without a connection whose paces are remembered until they are full again. Default 20,000; of
    /// more, all are forgotten.
    pub paces_remembered: usize,
    /// Malformed frames in a minute after which the connection is closed. Default 20.
    pub bad_frames_per_minute: u32,
    /// Appends that wait for the store, in each append group; more are refused. Default 4,096.
    pub append_queue: usize,
    /// Appends of one user that wait for the store, over all connections and groups. Default 1,024.
    pub appends_per_user: usize,
    /// Bytes of the appends that wait for the store, in each append group; more are refused. Default 16 MiB.
    pub append_queue_bytes: usize,
    /// Appends in one batch. Default 512.
    pub append_batch: usize,
    /// Bytes of one batch, about. Default 4 MiB.
    pub append_batch_bytes: usize,
    /// Batches in flight at once; each channel belongs to one group. Default 4.
    pub append_groups: usize,
    /// How long a store's answer is waited for, and how long an append waits for its turn. Default 15 s.
    pub store_timeout: Duration,
    /// The time over which clients come back after a drain. Default 10 s.
    pub drain_spread: Duration,
    /// How long an upload under way has to end after a drain began; then it is refused with `draining`. Default 5 s.
    pub drain_uploads: Duration,
    /// How long somebody without a connection still counts as online, at each absence anew. Default 5 s.
    pub presence_grace: Duration,
    /// People listed as online in one channel, whose coming and going is announced. With 0, nobody is. Default 1,000.
    pub presence_members: usize,
    /// Bytes of that list, as it is sent. People who come when it is full are listed and announced as others leave it,
    /// in the order in which they came. Default 128 KiB.
    pub presence_bytes: usize,
    /// The shortest time between two `typing` of one user in one channel that others are told of. Default 2 s.
    pub typing_interval: Duration,
    /// Channels in which others are told that one user is typing, within that time. Default 100.
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

    /// Returns how many bytes the largest message takes as it is sent, if the app's names of users have at most 64
    /// characters: each character of its text escaped, all its attachments, all its reactions.
    #[must_use]
    pub fn message_bytes(&self) -> usize {
        const FIXED: usize = 1_024;
        // A character is 4 bytes in a name and 12 in its URL; a user's id is 64.
        let attachments = self.attachments.saturating_mul(self.file_name_chars.saturating_mul(16) + 512);
        let reactions = self.reactions.saturating_mul(self.emoji_bytes + 128);
        self.text_chars.saturating_mul(6).saturating_add(attachments).saturating_add(reactions) + FIXED
    }

    /// Returns how many bytes a message's text may take as JSON, escapes included, so that its command fits in
    /// [`frame_bytes`](Self::frame_bytes) whatever its other fields are: 4,096 less.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.frame_bytes.saturating_sub(4_096)
    }

    /// Returns how many bytes one running command takes for its answer at the most, about, whatever is stored: a
    /// store's page and the list that is written from it, or that list and the answer, each of
    /// [`answer_bytes`](Self::answer_bytes) and one item more, and the list of who is online.
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
