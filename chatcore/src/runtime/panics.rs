//! Panics of the app's own code, contained in a task that serves everyone: a panic fails only that call.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::FutureExt;

/// The call panicked. The panic hook has reported it.
#[derive(Debug, thiserror::Error)]
#[error("the call panicked; the panic's message is on standard error")]
pub(crate) struct Panicked;

/// Calls the app's code. After a panic the caller must drop whatever the call was working on (unwind safety).
pub(crate) fn contain<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| Panicked)
}

/// Awaits the app's code, as [`contain`] does.
pub(crate) async fn contain_async<T>(call: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(call).catch_unwind().await.map_err(|_| Panicked)
}
