//! Taking connections from a pool when the server has no room for another, or when the pool's are stale.

use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Pool, PoolError};
use tokio::time::sleep;
use tokio_postgres::error::SqlState;

/// The time between two checks for a returned connection.
const LOOK: Duration = Duration::from_millis(5);
/// The time between two attempts to open another connection.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Takes a connection from `pool`. While the server has no room for another one (`53300`), waits for room or for
/// one of the pool's connections to come back, up to the pool's own timeout.
///
/// # Errors
/// [`PoolError`], as from [`Pool::get`].
///
/// # Cancel safety
/// If the future is dropped, no connection is taken.
pub async fn take_connection(pool: &Pool) -> Result<Object, PoolError> {
    let began = Instant::now();
    let over = |pause| pool.timeouts().wait.is_some_and(|wait| began.elapsed() + pause >= wait);
    loop {
        match pool.get().await {
            Err(PoolError::Backend(error)) if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) => {
                if over(ASK_AGAIN) {
                    return Err(PoolError::Backend(error));
                }
            }
            taken => return taken,
        }
        let asked = Instant::now();
        while pool.status().available == 0 && asked.elapsed() < ASK_AGAIN {
            sleep(LOOK).await;
        }
    }
}

/// Takes a connection that was opened after this call, and closes older ones that it finds. Use it after a statement
/// failed because its connection was stale: after a failover, the pool has connections to a server that is read-only
/// (`25006`) or gone.
///
/// # Errors
/// [`PoolError`], as from [`Pool::get`].
///
/// # Cancel safety
/// If the future is dropped, no connection is taken.
pub async fn take_new_connection(pool: &Pool) -> Result<Object, PoolError> {
    let began = Instant::now();
    loop {
        let connection = take_connection(pool).await?;
        if Object::metrics(&connection).created >= began {
            return Ok(connection);
        }
        drop(Object::take(connection));
    }
}
