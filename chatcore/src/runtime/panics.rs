//! The app's own code in a task that serves everybody: a panic in it is a failure of that one call.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::FutureExt;

/// The call panicked; the panic's hook has told what happened.
#[derive(Debug, thiserror::Error)]
#[error("the call panicked; the panic's message is on standard error")]
pub(crate) struct Panicked;

/// Calls what the app has given. What the call was about is of no use after a panic, and the caller lets go of it.
pub(crate) fn contain<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| Panicked)
}

/// Awaits what the app has given, as [`contain`] does.
pub(crate) async fn contain_async<T>(call: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(call).catch_unwind().await.map_err(|_| Panicked)
}
