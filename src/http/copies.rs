//! Work that takes long, such as copies of the whole store on their way to and from browsers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use super::Problem;
use crate::words::{Said, Words};

/// Does it: one piece at a time, on a thread where nobody waits (RES-01). Cheap to clone; clones share the turn.
#[derive(Clone)]
pub struct Copies {
    turn: Arc<Semaphore>,
    busy: fn(Words) -> &'static str,
}

impl Default for Copies {
    fn default() -> Self {
        Copies::new(Words::setup_backup_busy)
    }
}

impl Copies {
    /// Makes a turn of its own; `busy` is said to who comes while it is taken.
    pub fn new(busy: fn(Words) -> &'static str) -> Self {
        Copies { turn: Arc::new(Semaphore::new(1)), busy }
    }

    /// Does one piece of work and returns what came of it.
    ///
    /// # Errors
    /// 503 while another one is done.
    pub async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = |_| Problem::unavailable("busy", Said::of(self.busy), Duration::from_secs(5));
        let turn = self.turn.clone().try_acquire_owned().map_err(busy)?;
        let (done, result) = oneshot::channel();
        let started = std::thread::Builder::new().name("copies".to_owned()).spawn(move || {
            let result = work();
            // Before the answer, so that who asks again right after it is not refused.
            drop(turn);
            // Nobody waits any more if the browser went away.
            let _ = done.send(result);
        });
        started.map_err(|error| Problem::internal(error.to_string()))?;
        result.await.map_err(|error| Problem::internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_whoever_asks() {
        let (one, other) = (Copies::default(), Copies::default());
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let shared = one.clone();
        let first = tokio::spawn(async move { shared.work(move || wait.recv().is_ok()).await });
        while one.turn.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = one.clone().work(|| ()).await.unwrap_err();
        assert_eq!((refused.status, refused.code), (http::StatusCode::SERVICE_UNAVAILABLE, "busy"));
        assert!(other.work(|| ()).await.is_ok());
        go.send(()).unwrap();
        assert!(first.await.unwrap().unwrap());
        assert_eq!(one.work(|| 7).await.unwrap(), 7);
    }
}
