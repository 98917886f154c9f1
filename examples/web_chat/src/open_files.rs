//! The limit of open files: raised as far as possible, with a reserve for the store.

/// Raises the limit of open files to the maximum, and returns it; `None` if there is no limit.
#[cfg(unix)]
pub(crate) fn raise() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if let Err(error) = raised {
        tracing::warn!(%error, ?current, ?maximum, "the limit of open files can't be raised");
        return current;
    }
    maximum
}

#[cfg(not(unix))]
pub(crate) fn raise() -> Option<u64> {
    None
}

/// Returns how many of the requested connections can be open at once, with `reserved` files for everything else.
pub(crate) fn connections(asked: u32, open_files: Option<u64>, reserved: u32) -> u32 {
    let Some(open_files) = open_files else { return asked };
    let most = open_files.saturating_sub(reserved.into()).max(1);
    asked.min(u32::try_from(most).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_reserved_files_free() {
        assert_eq!(connections(20_000, Some(20_256), 256), 20_000);
        assert_eq!(connections(20_000, Some(20_255), 256), 19_999);
        assert_eq!(connections(20_000, Some(10), 256), 1);
        assert_eq!(connections(20_000, None, 256), 20_000);
    }

    #[cfg(unix)]
    #[test]
    fn the_limit_is_raised_to_the_maximum() {
        use rustix::process::{Resource, getrlimit};

        raise();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
