//! Connections out of a pool: when there is no place for another one, and when those that exist are stale.

use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Pool, PoolError};
use tokio::time::sleep;
use tokio_postgres::error::SqlState;

/// How often to look whether a connection came back.
const LOOK: Duration = Duration::from_millis(5);
/// How long to wait before the server is asked for another connection again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Takes a connection out of `pool`. While the server has no place for another one (`53300`), it waits for one
/// of the pool's own to come back, or for a place, as long as the pool waits for a connection.
///
/// Dropped before it is ready, it has taken none.
///
/// # Errors
/// [`PoolError`], as [`Pool::get`] has it.
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

/// Takes a connection that is made after the call, and closes the older ones that it finds. For what failed on
/// an older one because of what that one remembers: a failover leaves connections to a server that is read-only
/// (`25006`) by now, or gone.
///
/// Dropped before it is ready, it has taken none.
///
/// # Errors
/// [`PoolError`], as [`Pool::get`] has it.
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
