//! The laws of the parts of a [`Store`], by subject.
//!
//! [`store_conformance!`](crate::store_conformance) makes a test of each. Every law takes a fixture with an empty
//! database, and panics if the store breaks it.

pub mod append;
pub mod attachments;
pub mod clock;
pub mod consumers;
pub mod dedupe;
pub mod directory;
pub mod erasures;
pub mod markers;
pub mod membership;
pub mod messages;
mod model;
pub mod pages;
pub mod profiles;
pub mod prune;
pub mod reopen;
pub mod replay;
pub mod revocations;
pub mod rulings;
pub mod search;
pub mod tombstones;

use async_trait::async_trait;

use crate::model::append::{Append, AppendBody};
use crate::model::attachment::Attachment;
use crate::model::event::Event;
use crate::model::id::{AttachmentId, ChannelId, Nonce, Position, Seq};
use crate::model::message::{Message, User};
use crate::model::name::ChannelName;
use crate::model::time::Timestamp;
use crate::store::{
    AppendError, Appended, ChannelInfo, Directory, EventStore, PageLimit, Replay, Store, Upload, UploadState,
};

/// One database for one law, empty at first, and the ways to open it.
///
/// Dropping the fixture, after every store, removes the database.
///
/// | store | `open` | `another` |
/// |---|---|---|
/// | in memory | a new store | a clone |
/// | in a file that one process may open once | opens the file | a clone of the open handle |
/// | behind a server | connects | connects again, with no cache in common |
#[async_trait]
pub trait StoreFixture: Send + Sync + 'static {
    /// The store under test.
    type Store: Store;

    /// Opens the database as a process does when it starts. It is called once at first, and again only after every
    /// handle was dropped. A store with [`Durability::Disk`](crate::store::Durability::Disk) must then find all
    /// its data.
    async fn open(&self) -> Self::Store;

    /// Returns another handle to the database that `open` has open, as independent of it as the store allows: like
    /// that of another node, process or task.
    async fn another(&self, open: &Self::Store) -> Self::Store;
}

/// Expands to one `#[tokio::test]` per law of the store traits. See [`testkit`](crate::testkit).
#[macro_export]
macro_rules! store_conformance {
    ($fixture:expr) => {
        $crate::__laws! { $fixture; store;
            append {
                an_append_dropped_at_any_point_is_whole_or_absent
                an_empty_batch_has_an_empty_answer
                an_append_at_once_is_an_append_or_nothing
                an_unknown_channel_refuses_its_items_alone
                any_text_reads_back_as_written
                heads_come_in_the_order_asked
                interleaved_channels_count_for_themselves
                many_writers_on_two_handles_leave_no_gap
                opposite_channel_orders_do_not_deadlock
                refused_items_take_no_seq_and_disturb_no_neighbour
                seq_starts_at_one_and_has_no_gap
                time_never_goes_back_in_a_channel
                what_a_reader_sees_has_no_gap
                zero_bytes_are_kept_or_rejected_alone
            }
            dedupe {
                a_duplicate_answers_the_first_seq_and_time
                a_duplicate_of_a_deleted_message_stays_one
                a_nonce_belongs_to_one_author_in_one_channel
                a_nonce_repeated_in_a_batch_is_stored_once
                a_refused_publish_leaves_its_nonce_free
                a_retry_answers_before_its_attachments_and_answer_are_checked
                nonces_differ_by_every_character
                one_of_many_concurrent_duplicates_is_stored
            }
            replay {
                a_foreign_epoch_resets
                a_position_beyond_the_head_resets
                a_position_with_another_check_resets
                after_many_answers_each_position_in_order
                after_pages_through_the_log_in_order
                an_empty_log_has_nothing_after_its_start
                an_unknown_channel_is_an_error
                at_the_head_there_is_nothing_more
            }
            messages {
                a_delete_takes_the_text_out_of_everything
                a_deleted_message_refuses_changes
                a_page_says_exactly_whether_there_is_more
                a_page_begins_above_its_bound
                a_page_ends_below_its_bound
                an_edit_racing_a_delete_leaves_no_text
                an_edit_shows_its_text_and_time
                an_item_sees_those_before_it_in_the_batch
                an_unknown_channel_has_no_messages
                folded_messages_equal_the_fold_of_the_log
                only_a_message_can_be_answered
                only_a_message_can_be_changed
                reactions_are_bounded_whoever_comes_first
                reactions_keep_their_order_and_count_each_user_once
            }
            pages {
                a_page_of_channels_ends_at_its_bytes
                a_page_of_events_ends_at_its_bytes
                a_page_of_later_messages_ends_at_its_bytes
                a_page_of_messages_ends_at_its_bytes
                a_search_ends_at_its_bytes
                pages_of_any_bytes_join_to_the_whole
            }
            search {
                a_long_log_is_searched_to_its_end
                edits_count_and_deleted_messages_do_not
                every_word_occurs_in_what_is_found
                only_texts_of_the_channel_are_found
                steps_find_each_message_once
                what_people_see_the_same_is_found
            }
            directory {
                a_channel_reads_back_as_created
                a_name_that_imitates_another_is_taken
                a_new_channel_has_an_empty_log
                a_taken_name_gives_the_channel_that_has_it
                channels_come_by_name
                every_later_channel_is_found_by_its_id
                many_at_once_create_no_more_channels_than_there_may_be
                names_that_people_take_for_one_are_one
                one_of_many_concurrent_creations_is_new
                users_keep_their_last_name
            }
            markers {
                a_marker_never_goes_back_nor_past_the_head
                a_marker_that_is_set_back_makes_messages_unread
                concurrent_markers_end_at_the_furthest
                markers_belong_to_one_user_in_one_channel
                unread_counts_messages_not_events
                unread_equals_brute_force
                unread_looks_at_the_newest_messages
                unread_is_counted_at_the_head_beside_it
                unread_is_one_view_while_others_write
            }
            membership {
                a_channel_is_not_counted_before_its_member_joined
                a_direct_channel_is_its_people
                a_message_keeps_its_mentions_kind_and_data
                a_private_channel_reads_back_as_created
                a_removed_member_is_gone_and_can_come_back
                a_user_sees_open_channels_and_their_own
                an_archived_channel_is_only_read
                an_owner_alone_changes_the_channel
                changes_of_a_channel_are_in_its_log
                data_of_any_form_is_read_as_it_was_written
                everybody_joins_and_leaves_an_open_channel
                members_come_by_id_and_with_their_last_name
                no_write_of_a_removed_member_is_after_the_removal
                one_of_many_concurrent_direct_channels_is_new
                people_are_found_by_name
                private_and_direct_channels_count_toward_the_bound
                strangers_write_to_open_channels_only
                the_last_owner_stays_while_others_do
                there_are_no_more_members_than_there_may_be
                what_a_member_wants_to_be_told_of_is_kept
            }
            profiles {
                an_avatar_stays_until_a_profile_has_none
                an_erased_person_has_no_avatar
                lists_of_people_have_the_last_avatar
                the_log_keeps_no_avatar
            }
            rulings {
                random_appends_end_as_in_the_memory_store
            }
            attachments {
                a_delete_discards_what_the_message_held
                a_message_takes_its_attachments
                a_refused_publish_leaves_its_attachments_ready
                an_attachment_is_for_its_owner_and_channel_only
                an_attachment_is_taken_once
                an_attachment_that_is_not_ready_is_refused
                an_upload_from_a_wrong_clock_is_dated_back
                discard_never_takes_what_a_message_holds
                files_take_no_more_bytes_than_they_may
                files_uploaded_at_once_take_no_more_bytes_than_they_may
                forget_removes_discarded_entries_only
                one_handle_of_a_shared_store_sweeps_at_a_time
                one_of_many_concurrent_takers_gets_it
                reclaimable_finds_what_nobody_needs
                uploads_read_back_and_are_replaced
            }
            erasures {
                a_readmitted_id_is_another_person
                an_ended_erasure_leaves_no_marker_and_no_unused_file
                an_erased_owner_hands_over_even_an_archive
                an_erased_person_has_no_name_at_once
                an_erased_person_leaves_nothing_any_more
                an_erasure_goes_on_on_another_handle
                an_erasure_outlives_the_process
                kept_texts_lose_only_the_name
                nothing_written_during_the_beginning_stays
                one_handle_of_a_shared_store_erases_at_a_time
                traces_are_found_once_and_covered
            }
            tombstones {
                edits_of_a_trimmed_message_go_with_who_wrote_them
            }
            prune {
                a_long_log_is_pruned_whole
                a_pruned_message_can_not_be_changed_or_answered
                a_trimmed_position_resets
                kept_messages_keep_their_old_nonces
                messages_and_unread_count_what_is_kept
                pruned_attachments_are_discarded
                pruned_nonces_last_a_day
                pruning_everything_keeps_the_count
                pruning_less_than_before_changes_nothing
                pruning_past_the_head_stops_at_the_head
                pruning_one_channel_leaves_others
            }
            consumers {
                a_consumer_misses_nothing_while_many_append
                a_consumer_starts_at_the_beginning_or_at_the_end
                a_lease_keeps_other_holders_out
                a_log_that_is_trimmed_stays_news
                a_removed_consumer_is_gone
                consumers_outlive_the_process
                every_event_is_news_until_it_is_passed
                only_the_last_lease_moves_positions
                pages_of_news_join_to_the_whole
                there_are_no_more_consumers_than_there_may_be
            }
            revocations {
                what_one_node_revokes_another_reads
            }
            reopen {
                a_nonce_outlives_the_process
                everything_outlives_the_process
                members_and_mentions_outlive_the_process
                the_bytes_of_files_outlive_the_process
            }
        }
    };
}

/// Makes the tests of [`store_conformance!`] and [`blob_conformance!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __laws {
    ($fixture:expr; $kind:ident; $($subject:ident { $($law:ident)* })*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                $crate::testkit::$kind::$subject::$law($fixture).await;
            }
        )*)*
    };
}

fn ann() -> User {
    User::new("u_ann", "Ann").expect("a valid id")
}

fn bob() -> User {
    User::new("u_bob", "Bob").expect("a valid id")
}

fn name(text: &str) -> ChannelName {
    ChannelName::new(text).expect("a valid name")
}

fn nonce(text: &str) -> Nonce {
    Nonce::new(text).expect("a valid nonce")
}

/// An id that no channel of a test has.
const NOWHERE: ChannelId = ChannelId(0x7fff_ffff_ffff_fff0);

async fn channel<S: Store>(store: &S, text: &str) -> ChannelId {
    store.create_channel(&name(text), "", &ann()).await.expect("creates a channel").into_channel().id
}

/// A publish whose nonce is its text.
fn say(channel: ChannelId, author: &User, text: &str) -> Append {
    publish(channel, author, text, text)
}

fn publish(channel: ChannelId, author: &User, key: &str, text: &str) -> Append {
    let body = AppendBody::Message {
        nonce: nonce(key),
        text: text.into(),
        reply_to: None,
        attachments: Vec::new(),
        extras: None,
    };
    Append::new(channel, author.clone(), body)
}

fn answer(channel: ChannelId, author: &User, key: &str, to: Seq) -> Append {
    let body = AppendBody::Message {
        nonce: nonce(key),
        text: key.into(),
        reply_to: Some(to),
        attachments: Vec::new(),
        extras: None,
    };
    Append::new(channel, author.clone(), body)
}

fn attach(channel: ChannelId, author: &User, key: &str, files: &[&Upload]) -> Append {
    let attachments = files.iter().map(|u| u.attachment.clone()).collect();
    let body = AppendBody::Message {
        nonce: nonce(key),
        text: key.into(),
        reply_to: None,
        attachments,
        extras: None,
    };
    Append::new(channel, author.clone(), body)
}

fn edit(channel: ChannelId, author: &User, target: Seq, text: &str) -> Append {
    Append::new(channel, author.clone(), AppendBody::Edit { target, text: text.into(), extras: None })
}

fn delete(channel: ChannelId, author: &User, target: Seq) -> Append {
    Append::new(channel, author.clone(), AppendBody::Delete { target })
}

fn react(channel: ChannelId, author: &User, target: Seq, emoji: &str, on: bool) -> Append {
    Append::new(
        channel,
        author.clone(),
        AppendBody::React { target, emoji: emoji.to_owned(), on, limits: Default::default() },
    )
}

/// Appends one item.
async fn add<S: EventStore>(store: &S, item: Append) -> Result<Appended, AppendError> {
    let mut answers = store.append(vec![item]).await;
    assert_eq!(answers.len(), 1, "an append of one item has one answer");
    answers.remove(0)
}

/// Appends one item that must be accepted.
async fn put<S: EventStore>(store: &S, item: Append) -> Appended {
    let what = format!("{item:?}");
    add(store, item).await.unwrap_or_else(|e| panic!("{what} was refused: {e:?}"))
}

/// Appends messages with these texts, which are also their nonces.
async fn put_texts<S: EventStore>(store: &S, channel: ChannelId, texts: std::ops::RangeInclusive<u64>) {
    let batch = texts.map(|i| say(channel, &ann(), &i.to_string())).collect();
    for taken in store.append(batch).await {
        taken.expect("a message is taken");
    }
}

async fn start<S: EventStore>(store: &S, channel: ChannelId) -> Position {
    let epoch = head(store, channel).await.epoch;
    Position::new(epoch, 0)
}

async fn head<S: EventStore>(store: &S, channel: ChannelId) -> crate::store::Head {
    let mut heads = store.heads(&[channel]).await.expect("heads can be read");
    assert_eq!(heads.len(), 1, "one channel has one head");
    heads.remove(0).expect("the channel exists")
}

/// Reads events after a valid position.
async fn events<S: EventStore>(
    store: &S,
    channel: ChannelId,
    position: &Position,
    limit: usize,
) -> Vec<Event> {
    match store.after(channel, position, PageLimit::items(limit)).await.expect("the log can be read") {
        Replay::Events { events, .. } => events,
        Replay::Reset(head) => panic!("{position:?} was reset; the head is {head:?}"),
    }
}

/// Reads an untrimmed log from its start to its end.
async fn log<S: EventStore>(store: &S, channel: ChannelId) -> Vec<Event> {
    let log = events(store, channel, &start(store, channel).await, usize::MAX).await;
    assert_gapless(&log);
    log
}

fn assert_gapless(log: &[Event]) {
    for (event, seq) in log.iter().zip(1..) {
        assert_eq!(event.seq, seq, "the log runs 1, 2, 3 …");
    }
}

/// Reads all messages of a channel.
async fn messages<S: EventStore>(store: &S, channel: ChannelId) -> Vec<Message> {
    let all = PageLimit::items(usize::MAX);
    store.messages_before(channel, Seq::MAX, all).await.expect("messages can be read").messages
}

/// Reads all channels.
async fn channels<S: Directory>(store: &S) -> Vec<ChannelInfo> {
    let page = store.channels(None, PageLimit::items(usize::MAX)).await.expect("the directory can be read");
    assert!(!page.more, "after all channels there are no more");
    page.channels
}

/// Reads one message that exists.
async fn message<S: EventStore>(store: &S, channel: ChannelId, seq: Seq) -> Message {
    store.message(channel, seq).await.expect("the message can be read").expect("the message is there")
}

/// Stores an upload in this state.
async fn upload<S: Store>(
    store: &S,
    channel: ChannelId,
    owner: &User,
    id: &str,
    state: UploadState,
) -> Upload {
    let info = channels(store).await.into_iter().find(|info| info.id == channel).expect("the channel exists");
    let upload = Upload {
        attachment: Attachment {
            id: AttachmentId::new(id).expect("a valid id"),
            name: format!("{id} plän.png"),
            size: 8_123,
            content_type: "image/png".to_owned(),
            width: Some(640),
            height: None,
            url: String::new(),
        },
        channel,
        channel_name: info.name,
        owner: owner.id.clone(),
        at: Timestamp::from_millis(1_700_000_000_123),
        state,
    };
    store.put_upload(&upload).await.expect("an upload is entered");
    upload
}

async fn state<S: Store>(store: &S, upload: &Upload) -> Option<UploadState> {
    store.upload(&upload.attachment.id).await.expect("an upload can be read").map(|u| u.state)
}

fn assert_no_message(outcome: &Result<Appended, AppendError>) {
    assert!(matches!(outcome, Err(AppendError::NoSuchMessage)), "{outcome:?} is not NoSuchMessage");
}

fn assert_no_attachment(outcome: &Result<Appended, AppendError>) {
    assert!(matches!(outcome, Err(AppendError::NoSuchAttachment)), "{outcome:?} is not NoSuchAttachment");
}
