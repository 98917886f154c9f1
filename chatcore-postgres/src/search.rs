//! The search index of messages' texts.
//!
//! It has trigrams, since a search must find any part of any word. A `tsvector` finds only whole words, as a
//! dictionary splits them, and no words in scripts without spaces.

use chatcore::store::{Filling, Found, Page, PageLimit, StoreError, search_by_scan};
use chatcore::{ChannelId, SearchQuery, Seq};
use tokio_postgres::Transaction;
use tokio_postgres::types::{ToSql, Type};

use crate::error::{ConnectError, Failure};
use crate::event::{Rows, message_page, signed};
use crate::log::one_more;
use crate::store::PostgresStore;

/// The script that creates the index, with `@schema@` for the schema's name. It folds texts as [`SearchQuery`] does.
const SCRIPT: &str = include_str!("../migrations/search_index.sql");

/// The channel, written as in no other index. Otherwise a planner with young statistics uses another index, and reads
/// the whole log for a rare word.
const CHANNEL: &str = "-channel";
/// The condition for a message, written as in no other index.
const MESSAGES: &str = "kind < 1 AND NOT deleted";

/// The shortest run of letters and digits that the index contains.
const TRIGRAM: usize = 3;

/// The search index, and what it can find.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SearchIndex {
    /// Whether the database's locale knows non-ASCII letters. In the locale `C` they are in no trigram.
    every_script: bool,
}

impl SearchIndex {
    /// Looks for the index. If it is missing and `apply` is true, creates it.
    pub(crate) async fn open(
        transaction: &Transaction<'_>,
        schema: &str,
        apply: bool,
    ) -> Result<Self, ConnectError> {
        let failed = |error: tokio_postgres::Error| Failure::from(error).on_connect();
        let index = format!("{schema}.event_folded");
        let params: [(&(dyn ToSql + Sync), Type); 1] = [(&index, Type::TEXT)];
        let found =
            transaction.query_typed("SELECT to_regclass($1) IS NULL", &params).await.map_err(failed)?;
        if first(&found).map_err(failed)?.unwrap_or(true) {
            if !apply {
                return Err(ConnectError::NoSearchIndex { schema: schema.to_owned() });
            }
            let missing = transaction.query_typed(MISSING, &[]).await.map_err(failed)?;
            if let Some(what) = first(&missing).map_err(failed)? {
                return Err(ConnectError::SearchIndexNeeds { what });
            }
            transaction.batch_execute(&script(schema)).await.map_err(failed)?;
        }
        let every_script = "SELECT cardinality(show_trgm('äöü')) > 0";
        let every_script = transaction.query_typed(every_script, &[]).await.map_err(failed)?;
        Ok(Self { every_script: first(&every_script).map_err(failed)?.unwrap_or(false) })
    }

    /// Returns whether the index narrows the search for a query. If not, reading the log is faster.
    fn helps(self, query: &SearchQuery) -> bool {
        let in_trigrams = |c: char| c.is_ascii_alphanumeric() || (self.every_script && c.is_alphanumeric());
        let long = |run: &str| run.chars().count() >= TRIGRAM;
        // PostgreSQL can't compare U+0000, and no stored text has it.
        !query.words().iter().any(|word| word.contains('\0'))
            && query.words().iter().any(|word| word.split(|c| !in_trigrams(c)).any(long))
    }
}

/// The query for what the server lacks for the index.
const MISSING: &str = "SELECT 'the extension ' || name FROM unnest(ARRAY['pg_trgm', 'btree_gin']) AS name \
     WHERE name NOT IN (SELECT name FROM pg_available_extensions) \
     UNION ALL SELECT 'the collations of ICU' \
     WHERE NOT EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu')";

fn first<T: for<'a> tokio_postgres::types::FromSql<'a>>(
    rows: &[tokio_postgres::Row],
) -> Result<Option<T>, tokio_postgres::Error> {
    rows.first().map(|row| row.try_get(0)).transpose()
}

/// Returns the script that creates the index.
pub(crate) fn script(schema: &str) -> String {
    SCRIPT.replace("@schema@", schema)
}

/// Returns the query for the newest messages before a `seq` that have each word. Its parameters: channel, `seq`,
/// items, bytes, and a pattern per word.
pub(crate) fn search_sql(schema: &str, words: usize) -> String {
    let folded = format!("{schema}.chat_fold(coalesce(edited_text, text))");
    let like = |i| format!(" AND {folded} LIKE {schema}.chat_fold(${i})");
    let likes: String = (5..).take(words).map(like).collect();
    // The bound on `seq` matches no other index, for the same reason.
    let condition = format!("{CHANNEL} = -$1 AND {MESSAGES} AND seq + 0 < $2{likes}");
    Rows { schema, condition: &condition, order: "seq DESC", items: "$3", bytes: "$4" }.messages()
}

/// Returns the pattern of a text that contains `word`, with the word's own special characters escaped.
fn pattern(word: &str) -> String {
    let mut pattern = String::from("%");
    for c in word.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

impl PostgresStore {
    /// Searches. It first reads the newest part of the log, where a common word is found at once, and then uses
    /// the index for the rest.
    pub(crate) async fn find_messages(
        &self,
        channel: ChannelId,
        query: &SearchQuery,
        before: Seq,
        limit: PageLimit,
    ) -> Result<Found, StoreError> {
        let newest = search_by_scan(self, channel, query, before, limit).await?;
        let mut page = limit.fill();
        newest.messages.iter().for_each(|message| _ = page.take(message.weight()));
        match (self.search_index, newest.before) {
            (Some(index), Some(before)) if page.left().items > 0 && index.helps(query) => {
                let older = self.find_by_index(channel, query, before, page).await;
                let mut found = older.map_err(|failure| failure.during("the messages can't be searched"))?;
                found.messages.extend(newest.messages);
                Ok(found)
            }
            _ => Ok(newest),
        }
    }

    async fn find_by_index(
        &self,
        channel: ChannelId,
        query: &SearchQuery,
        before: Seq,
        mut page: Filling,
    ) -> Result<Found, Failure> {
        let (channel, below) = (signed(channel.0), signed(before));
        let (items, bytes) = (one_more(page.left()), signed(page.left().bytes as u64));
        let patterns: Vec<String> = query.words().iter().map(|word| pattern(word)).collect();
        let mut params: Vec<(&(dyn ToSql + Sync), Type)> =
            vec![(&channel, Type::INT8), (&below, Type::INT8), (&items, Type::INT8), (&bytes, Type::INT8)];
        params.extend(patterns.iter().map(|pattern| (pattern as &(dyn ToSql + Sync), Type::TEXT)));
        let rows = self.database.query(&search_sql(&self.schema, patterns.len()), &params).await?;
        let query = query.clone();
        // Texts are compared off the async threads.
        let look = move || {
            let Page { mut messages, more, .. } = message_page(&rows, &mut page)?;
            let reached = messages.last().map_or(before, |oldest| oldest.seq);
            messages.retain(|message| query.matches(&message.text));
            messages.reverse();
            Ok(Found::new(messages, more.then_some(reached)))
        };
        let looked = tokio::task::spawn_blocking(look).await;
        looked.map_err(|_| Failure::Broken("the texts can't be compared"))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_needs_three_letters_that_the_locale_knows() {
        let helps = |every_script, query| {
            SearchIndex { every_script }.helps(&SearchQuery::new(query).expect("a query"))
        };
        for (query, ascii, every) in [
            ("foo", true, true),
            ("fo", false, false),
            ("a fo%foo", true, true),
            ("f.o.o", false, false),
            ("会議は", false, true),
            ("会議", false, false),
            ("foo a\0", false, false),
        ] {
            assert_eq!((helps(false, query), helps(true, query)), (ascii, every), "{query:?}");
        }
    }

    #[test]
    fn a_word_is_escaped_in_its_pattern() {
        assert_eq!(pattern("50%_\\"), "%50\\%\\_\\\\%");
    }
}
