//! The users: their names, and how they are found by them.

use std::collections::HashMap;

use chatcore::store::{PageLimit, UserPage, name_words};
use chatcore::{Avatar, User, UserId, visible};
use tokio_postgres::Transaction;
use tokio_postgres::types::{ToSql, Type};

use crate::error::{ConnectError, Failure};
use crate::event::{profile, signed, user_id};
use crate::log::one_more;
use crate::page::{PageQuery, fill};
use crate::store::PostgresStore;

/// The most characters of a word in the index. What is typed beyond them is compared with the whole name.
const WORD: usize = 64;
/// The most names that are folded at once at the start.
const NAMES: i64 = 1_000;

/// A name as it is found: folded, and where each word begins.
#[derive(Debug, PartialEq, Eq)]
struct Folded {
    name: String,
    /// The first character of each word, from 1.
    places: Vec<i32>,
    /// The name from there on, at most [`WORD`] characters.
    words: Vec<String>,
}

impl Folded {
    fn new(name: &str) -> Self {
        let name = visible::fold(name);
        let all = i32::try_from(name.chars().count()).unwrap_or(i32::MAX);
        let place = |word: &str| all - i32::try_from(word.chars().count()).unwrap_or(i32::MAX) + 1;
        let places = name_words(&name).map(place).collect();
        let words = name_words(&name).map(beginning).collect();
        Self { name, places, words }
    }
}

fn beginning(word: &str) -> String {
    word.chars().take(WORD).collect()
}

/// Folds the names that no process has folded: those older than the columns, and those that processes of the version
/// before have stored since.
pub(crate) async fn enter_folded(transaction: &Transaction<'_>, schema: &str) -> Result<(), ConnectError> {
    let failed = |error: tokio_postgres::Error| Failure::from(error).on_connect();
    let select = format!(
        "SELECT id, name FROM {schema}.chat_user WHERE folded_of IS DISTINCT FROM name ORDER BY id LIMIT $1"
    );
    let enter = format!(
        "SELECT {schema}.chat_put_user($1, $2, $3, $4, $5) FROM {schema}.chat_user WHERE id = $1 AND name = $2"
    );
    loop {
        let rows = transaction.query_typed(&select, &[(&NAMES, Type::INT8)]).await.map_err(failed)?;
        for row in &rows {
            let (id, name): (&str, &str) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
            let folded = Folded::new(name);
            transaction.query_typed(&enter, &put_params(&id, &name, &folded)).await.map_err(failed)?;
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}

fn put_params<'a>(
    id: &'a &'a str,
    name: &'a &'a str,
    folded: &'a Folded,
) -> [(&'a (dyn ToSql + Sync), Type); 5] {
    [
        (id, Type::TEXT),
        (name, Type::TEXT),
        (&folded.name, Type::TEXT),
        (&folded.places, Type::INT4_ARRAY),
        (&folded.words, Type::TEXT_ARRAY),
    ]
}

/// Returns the query for a page of users whose names have a word that begins with what was typed. Its parameters: the id
/// before the page, items, bytes, the first and the last word that begins so, and what was typed if it is longer than a
/// word of the index.
pub(crate) fn find_sql(schema: &str) -> String {
    let found = format!(
        "SELECT id, name, avatar FROM ( \
             SELECT DISTINCT w.chat_user FROM {schema}.user_word AS w \
             WHERE w.word >= $4 AND w.word <= $5 AND w.chat_user > $1 AND ($6 IS NULL OR starts_with( \
                 substr((SELECT u.folded FROM {schema}.chat_user AS u WHERE u.id = w.chat_user), w.place), $6)) \
             ORDER BY w.chat_user LIMIT $2 \
         ) AS w CROSS JOIN LATERAL (SELECT * FROM {schema}.chat_user WHERE id = w.chat_user LIMIT 1) AS u \
         ORDER BY id"
    );
    page_of(&found)
}

/// Returns the query for a page of all users. Its parameters: the id before the page, items, bytes.
fn all_sql(schema: &str) -> String {
    page_of(&format!(
        "SELECT id, name, avatar FROM {schema}.chat_user WHERE id > $1 AND name <> {schema}.chat_erased_name() \
         ORDER BY id LIMIT $2"
    ))
}

fn page_of(found: &str) -> String {
    // Equal to `UserPage::weight_of`.
    let weight = "(64 + octet_length(id) + octet_length(name) + coalesce(octet_length(avatar), 0))";
    PageQuery { found, key: "id", weight, bytes: "$3" }.select("id, name, avatar")
}

impl PostgresStore {
    pub(crate) async fn remember(&self, user: &User) -> Result<(), Failure> {
        let sql = format!("SELECT {}.chat_put_user($1, $2, $3, $4, $5)", self.schema);
        let folded = Folded::new(&user.name);
        self.database.query(&sql, &put_params(&user.id.as_str(), &user.stored_name(), &folded)).await?;
        Ok(())
    }

    /// Stores a user's name and avatar. Without an avatar, it removes the stored one.
    pub(crate) async fn remember_profile(&self, user: &User) -> Result<(), Failure> {
        let sql = format!("SELECT {}.chat_put_profile($1, $2, $3, $4, $5, $6)", self.schema);
        let (id, name, folded) = (user.id.as_str(), user.stored_name(), Folded::new(&user.name));
        let avatar = user.avatar().map(Avatar::as_str);
        let [id, name, folded, places, words] = put_params(&id, &name, &folded);
        self.database.query(&sql, &[id, name, folded, places, words, (&avatar, Type::TEXT)]).await?;
        Ok(())
    }

    pub(crate) async fn remembered(&self, ids: &[UserId]) -> Result<HashMap<UserId, User>, Failure> {
        let sql = format!("SELECT id, name, avatar FROM {}.chat_user WHERE id = ANY ($1)", self.schema);
        let ids: Vec<&str> = ids.iter().map(UserId::as_str).collect();
        let rows = self.database.query(&sql, &[(&ids, Type::TEXT_ARRAY)]).await?;
        rows.iter()
            .map(|row| {
                Ok((user_id(row.try_get(0)?)?, profile(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)?))
            })
            .collect()
    }

    pub(crate) async fn people_named(
        &self,
        query: &str,
        after: Option<&UserId>,
        limit: PageLimit,
    ) -> Result<UserPage, Failure> {
        let query = visible::fold(query.trim());
        if query.contains('\0') {
            // PostgreSQL can't compare U+0000, and no stored name has it.
            return Ok(UserPage::new(Vec::new(), false));
        }
        // No id is empty, so '' is before all.
        let after = after.map_or("", UserId::as_str);
        let (items, bytes) = (one_more(limit), signed(limit.bytes as u64));
        let first = beginning(&query);
        // No word is longer, and no character is greater.
        let last = format!("{first}{}", char::MAX.to_string().repeat(WORD));
        let longer = Some(query.as_str()).filter(|query| query.len() > first.len());
        let params: [(&(dyn ToSql + Sync), Type); 6] = [
            (&after, Type::TEXT),
            (&items, Type::INT8),
            (&bytes, Type::INT8),
            (&first, Type::TEXT),
            (&last, Type::TEXT),
            (&longer, Type::TEXT),
        ];
        let rows = match query.is_empty() {
            true => self.database.query(&all_sql(&self.schema), &params[..3]).await?,
            false => self.database.query(&find_sql(&self.schema), &params).await?,
        };
        let read = |row: &tokio_postgres::Row| profile(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (users, more) = fill(&rows, limit, 3, read, UserPage::weight_of)?;
        Ok(UserPage::new(users, more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_folded_from_each_word_on() {
        let Folded { name, places, words } = Folded::new("Ann-Marie Straße");
        assert_eq!(name, "ann-marie strasse");
        assert_eq!(places, [1, 5, 11]);
        assert_eq!(words, ["ann-marie strasse", "marie strasse", "strasse"]);
        assert_eq!(Folded::new(&"Ä".repeat(50)).words[0].chars().count(), WORD);
        assert_eq!(Folded::new("").words, Vec::<String>::new());
    }
}
