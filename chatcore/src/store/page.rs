//! How much a store reads at once: a page, bounded in number and in bytes.

/// The most that one page of a store's answer has.
///
/// A page is filled in order. It ends before the first item that is one too many, or that would make all items
/// together weigh more than `bytes`. The first item is taken whatever it weighs, so that a reader always gets on;
/// only a page of no items is empty. An item's weight is about its bytes in memory: [`Message::weight`],
/// [`Event::weight`] and [`ChannelInfo::weight`].
///
/// A store reads little more from its database than the page that it returns. It is never called with a bound above
/// [`MAX`](Self::MAX), so it may add to a bound, and hand it to a database as an `i64`.
///
/// [`Message::weight`]: crate::Message::weight
/// [`Event::weight`]: crate::store::Event::weight
/// [`ChannelInfo::weight`]: super::ChannelInfo::weight
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageLimit {
    /// The most messages, events or channels.
    pub items: usize,
    /// The most bytes of all items together, by their weight.
    pub bytes: usize,
}

impl PageLimit {
    /// The largest bound, of items and of bytes.
    pub const MAX: usize = i32::MAX as usize;

    /// Returns a limit in number and in bytes, each at most [`MAX`](Self::MAX).
    #[must_use]
    pub const fn new(items: usize, bytes: usize) -> Self {
        Self { items: bounded(items), bytes: bounded(bytes) }
    }

    /// Returns a limit in number only, for tools and tests that know what is stored.
    #[must_use]
    pub const fn items(items: usize) -> Self {
        Self::new(items, Self::MAX)
    }

    /// Starts an empty page.
    #[must_use]
    pub const fn fill(self) -> Filling {
        Filling { left: self, empty: true }
    }
}

const fn bounded(bound: usize) -> usize {
    if bound < PageLimit::MAX { bound } else { PageLimit::MAX }
}

/// A page that is being filled.
#[derive(Clone, Copy, Debug)]
pub struct Filling {
    left: PageLimit,
    empty: bool,
}

impl Filling {
    /// Counts the next item, and returns whether the page takes it. After an item that it does not take, the page
    /// takes no other.
    pub fn take(&mut self, weight: usize) -> bool {
        let fits = self.left.items > 0 && (self.empty || weight <= self.left.bytes);
        if fits {
            self.left.items -= 1;
            self.left.bytes = self.left.bytes.saturating_sub(weight);
            self.empty = false;
        } else {
            self.left.items = 0;
        }
        fits
    }

    /// Returns what the page can still take. If the page has an item already, `bytes` also bounds the next one.
    #[must_use]
    pub const fn left(&self) -> PageLimit {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills a page with items of these weights. Returns how many it takes.
    fn taken(limit: PageLimit, weights: &[usize]) -> usize {
        let mut page = limit.fill();
        weights.iter().take_while(|weight| page.take(**weight)).count()
    }

    #[test]
    fn a_page_takes_its_bounds_and_nothing_past_them() {
        for (items, bytes, expected) in
            [(9, 30, 3), (9, 29, 2), (2, 30, 2), (9, 0, 1), (1, 0, 1), (0, 99, 0), (0, 0, 0)]
        {
            assert_eq!(
                taken(PageLimit::new(items, bytes), &[10, 10, 10]),
                expected,
                "{items} of {bytes} bytes"
            );
        }
    }

    #[test]
    fn a_bound_has_room_above_it() {
        let most = PageLimit::new(usize::MAX, usize::MAX);
        assert_eq!((most.items, most.bytes), (PageLimit::MAX, PageLimit::MAX));
        let one_less = PageLimit::MAX - 1;
        assert_eq!(PageLimit::new(one_less, one_less), PageLimit { items: one_less, bytes: one_less });
        assert_eq!(PageLimit::items(3), PageLimit { items: 3, bytes: PageLimit::MAX });
    }

    #[test]
    fn the_first_item_is_taken_whatever_it_weighs() {
        assert_eq!(taken(PageLimit::new(9, 5), &[usize::MAX, 0, 1]), 2, "what weighs nothing still fits");
    }

    #[test]
    fn a_full_page_takes_nothing_smaller() {
        let mut page = PageLimit::new(9, 10).fill();
        assert!(page.take(6) && !page.take(6) && !page.take(1));
    }
}
