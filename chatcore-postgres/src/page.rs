//! A page of rows, bounded in number and in bytes.

use chatcore::store::PageLimit;
use tokio_postgres::Row;

use crate::error::Failure;

/// The query for a page. It reads at most one row more than a page has.
#[derive(Clone, Copy)]
pub(crate) struct PageQuery<'a> {
    /// The query for the rows, in the order of `key`. It finds one more than the page has, if there are more.
    pub(crate) found: &'a str,
    /// The column that orders the rows. None of its values is null.
    pub(crate) key: &'a str,
    /// The weight of a row in bytes.
    pub(crate) weight: &'a str,
    /// The parameter with the most bytes of all rows.
    pub(crate) bytes: &'a str,
}

impl PageQuery<'_> {
    /// Selects these columns, and `more`: whether there is a row after this one.
    pub(crate) fn select(self, columns: &str) -> String {
        let Self { found, key, weight, bytes } = self;
        format!(
            "SELECT {columns}, more FROM ( \
                 SELECT *, sum({weight}) OVER page - {weight} AS ahead, lead({key}) OVER page IS NOT NULL AS more \
                 FROM ({found}) AS found WINDOW page AS (ORDER BY {key} ROWS UNBOUNDED PRECEDING) \
             ) AS weighed WHERE ahead <= {bytes} ORDER BY {key}"
        )
    }
}

/// Reads the rows of [`PageQuery::select`]: what the page takes, and whether there is more after it. `more` is the index of
/// that column.
pub(crate) fn fill<T>(
    rows: &[Row],
    limit: PageLimit,
    more: usize,
    read: impl Fn(&Row) -> Result<T, Failure>,
    weight: impl Fn(&T) -> usize,
) -> Result<(Vec<T>, bool), Failure> {
    let mut page = limit.fill();
    let mut taken = Vec::with_capacity(rows.len());
    for row in rows {
        let item = read(row)?;
        if !page.take(weight(&item)) {
            return Ok((taken, true));
        }
        taken.push(item);
    }
    let more = rows.last().map(|row| row.try_get(more)).transpose()?.unwrap_or(false);
    Ok((taken, more))
}
