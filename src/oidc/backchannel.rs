//! Telling apps that a signed-in stay is over (OpenID Connect Back-Channel Logout 1.0, section 2.5).
//!
//! A notice is written in the commit that ends the stay, so neither exists without the other, and delivered by a worker
//! until the app has taken it, has refused it, or a day has passed: at least once, also over a kill. How many wait, how
//! many calls are under way and how many of them go to one app is bounded, so an app that is slow or gone holds up
//! nobody but itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use url::Url;

use crate::audit::{Audit, Event, Kind, Outcome};
use crate::http::outgoing::Outgoing;
use crate::kernel::random::Random;
use crate::kernel::time::{SharedClock, Timestamp};
use crate::store::{Batch, CommitError, Record, Store, StoreError, Table, Versioned};

/// The most notices that wait; beyond it the oldest give way.
pub const MOST_WAITING: usize = 10_000;
/// How long an app is tried.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Calls under way at the same time, and of them to one app.
const CALLS: usize = 8;
const CALLS_OF_ONE: usize = 2;
/// How often the clock is asked whether a notice has become due.
const PULSE: Duration = Duration::from_secs(1);
/// How many notices give way in one commit.
const DROPPED_AT_ONCE: usize = 256;
/// The longest texts that a notice holds; larger ones were never registered.
const LONGEST_URI: usize = 2048;
const LONGEST_NAME: usize = 255;

/// A notice that waits for its app. Row: 16 random bytes.
#[derive(Clone, Serialize, Deserialize)]
pub struct LogoutNotice {
    /// Which app.
    pub client_id: String,
    /// Where it wants to be told: its `backchannel_logout_uri`.
    pub uri: String,
    /// The `sub` by which it knows the person.
    pub subject: String,
    /// The stay that is over; `None` for all of the person's.
    pub sid: Option<String>,
    /// When the stay ended.
    pub created_at: Timestamp,
    /// How often the app has been called in vain.
    pub attempts: u32,
    /// When to call it next.
    pub next_at: Timestamp,
    /// The `jti` of its token: the same at each try, so that the app recognises what it has seen.
    pub token_jti: [u8; 16],
}

impl Record for LogoutNotice {
    const TABLE: Table = Table::LOGOUT_NOTICE;
    const VERSION: u8 = 1;
}

impl LogoutNotice {
    /// Makes a notice for the app `client_id`, which wants to be told at `uri` and knows the person by `subject`, of a
    /// stay that ends now.
    pub fn new(
        random: &Random,
        client_id: String,
        uri: String,
        subject: String,
        sid: Option<String>,
        now: Timestamp,
    ) -> Self {
        LogoutNotice {
            client_id,
            uri,
            subject,
            sid,
            created_at: now,
            attempts: 0,
            next_at: now,
            token_jti: random.bytes(),
        }
    }
}

/// Makes logout tokens, at the time of delivery: they live two minutes at most (OA-20).
pub trait LogoutTokens: Send + Sync {
    /// Returns the signed token of a notice; `None` if the app is gone or wants to be told no more, which drops the
    /// notice. Must not wait.
    fn make(&self, notice: &LogoutNotice) -> Option<String>;

    /// Tells whether the app entered its address itself (OA-12).
    fn is_of_stranger(&self, _notice: &LogoutNotice) -> bool {
        false
    }
}

type Row = [u8; 16];

/// A notice as the worker sees it.
struct Waiting {
    client_id: Arc<str>,
    created_at: Timestamp,
    next_at: Timestamp,
    is_under_way: bool,
}

/// The notices that wait, and their delivery. Cheap to clone.
#[derive(Clone)]
pub struct Backchannel(Arc<Inner>);

struct Inner {
    store: Store,
    audit: Audit,
    clock: SharedClock,
    random: Random,
    outgoing: Outgoing,
    to_strangers: Outgoing,
    waiting: Mutex<HashMap<Row, Waiting>>,
    has_news: Notify,
}

/// What became of one call.
enum Answered {
    /// The app has taken it, or there is nothing to tell any more.
    Done,
    /// The app has refused it for good, or it has waited long enough.
    GivenUp(String),
    /// To be tried again.
    NotYet(String),
}

/// Returns how long to wait after this many calls in vain.
fn pause_after(attempts: u32) -> Duration {
    Duration::from_secs(match attempts {
        0 | 1 => 5,
        2 => 30,
        3 => 120,
        4 => 600,
        _ => 3600,
    })
}

/// Judges an answer (section 2.8): 200, or 204 as some frameworks send it, is taken; 400 is refused.
fn judge(status: StatusCode) -> Answered {
    match status {
        StatusCode::OK | StatusCode::NO_CONTENT => Answered::Done,
        StatusCode::BAD_REQUEST => Answered::GivenUp(format!("The app refused it: {status}.")),
        _ => Answered::NotYet(format!("The app answered {status}.")),
    }
}

/// Tells whether a notice is due. One that is further away than any pause was written before the clock was set back.
fn is_due(next_at: Timestamp, now: Timestamp) -> bool {
    next_at <= now || next_at > now.plus(pause_after(u32::MAX))
}

impl Backchannel {
    /// Reads the notices that wait.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn open(
        store: Store,
        audit: Audit,
        clock: SharedClock,
        random: Random,
        outgoing: Outgoing,
    ) -> Result<Self, StoreError> {
        let mut waiting = HashMap::new();
        store.for_each::<LogoutNotice>(|row, notice| {
            let row = row.try_into().map_err(|_| StoreError::Corrupt { table: LogoutNotice::TABLE.name })?;
            waiting.insert(row, Waiting::from(&notice));
            Ok(())
        })?;
        Ok(Backchannel(Arc::new(Inner {
            store,
            audit,
            clock,
            random,
            to_strangers: outgoing.for_strangers(),
            outgoing,
            waiting: Mutex::new(waiting),
            has_news: Notify::new(),
        })))
    }

    /// Adds a notice to the batch that ends the stay; the worker starts once the batch is on disk. A notice whose texts
    /// are longer than any that can be registered is left out, so that it cannot keep the stay from ending.
    pub fn stage(&self, batch: &mut Batch, notice: LogoutNotice) {
        let names = [Some(&notice.client_id), Some(&notice.subject), notice.sid.as_ref()];
        if notice.uri.len() > LONGEST_URI || names.into_iter().flatten().any(|name| name.len() > LONGEST_NAME)
        {
            tracing::error!("a logout notice is too long and was left out");
            return;
        }
        let row: Row = self.0.random.bytes();
        batch.insert_new(&row, &notice);
        let (own, waiting) = (self.clone(), Waiting::from(&notice));
        batch.after(move || {
            own.0.waiting.lock().insert(row, waiting);
            own.0.has_news.notify_one();
        });
    }

    /// Returns how many notices wait.
    pub fn waiting(&self) -> usize {
        self.0.waiting.lock().len()
    }

    /// Delivers notices with tokens that `tokens` makes until `stopping` says so. Run once. Calls under way are then cut off and made again at the next start.
    pub async fn run(self, tokens: Arc<dyn LogoutTokens>, mut stopping: watch::Receiver<bool>) {
        let mut calls = JoinSet::new();
        loop {
            self.drop_oldest().await;
            while calls.len() < CALLS {
                let Some(call) = self.take_due() else { break };
                calls.spawn(call.deliver(tokens.clone()));
            }
            let has_waiting = !self.0.waiting.lock().is_empty();
            tokio::select! {
                biased;
                _ = stopping.wait_for(|is_stopping| *is_stopping) => return,
                Some(_) = calls.join_next(), if !calls.is_empty() => {}
                () = self.0.has_news.notified() => {}
                () = tokio::time::sleep(PULSE), if has_waiting => {}
            }
        }
    }

    /// Takes the notice that has been due longest of an app that is not busy.
    fn take_due(&self) -> Option<Call> {
        let now = self.0.clock.now();
        let mut waiting = self.0.waiting.lock();
        let mut busy: HashMap<&str, usize> = HashMap::new();
        for notice in waiting.values().filter(|notice| notice.is_under_way) {
            *busy.entry(&notice.client_id).or_default() += 1;
        }
        let is_free = |notice: &Waiting| {
            busy.get(&*notice.client_id).is_none_or(|calls| *calls < CALLS_OF_ONE)
                && is_due(notice.next_at, now)
        };
        let due = waiting.iter().filter(|(_, notice)| !notice.is_under_way && is_free(notice));
        let row = *due.min_by_key(|(_, notice)| notice.next_at)?.0;
        waiting.get_mut(&row)?.is_under_way = true;
        Some(Call { channel: self.clone(), row, next_at: now.plus(pause_after(u32::MAX)) })
    }

    /// Lets the oldest notices give way while too many wait.
    async fn drop_oldest(&self) {
        loop {
            let rows = {
                let waiting = self.0.waiting.lock();
                let surplus = waiting.len().saturating_sub(MOST_WAITING).min(DROPPED_AT_ONCE);
                let idle = waiting.iter().filter(|(_, notice)| !notice.is_under_way);
                let mut idle: Vec<_> = idle.map(|(row, notice)| (notice.created_at, *row)).collect();
                if surplus == 0 || idle.is_empty() {
                    return;
                }
                idle.sort_unstable();
                idle.into_iter().take(surplus).map(|(_, row)| row).collect::<Vec<_>>()
            };
            let mut batch = self.0.store.batch();
            for row in &rows {
                batch.remove::<LogoutNotice>(row);
            }
            let why = "Too many notices wait; the oldest gave way.";
            let event = Event::new(Kind::ClientLogoutFailed, Outcome::Failed).by_system("logout");
            self.0.audit.write(&mut batch, event.detail("why", why).detail("count", rows.len()));
            let own = self.clone();
            batch.after(move || {
                let mut waiting = own.0.waiting.lock();
                for row in &rows {
                    waiting.remove(row);
                }
            });
            if let Err(error) = self.0.store.commit(batch).await {
                tracing::warn!(%error, "old logout notices could not be dropped");
                return;
            }
        }
    }
}

impl From<&LogoutNotice> for Waiting {
    fn from(notice: &LogoutNotice) -> Self {
        Waiting {
            client_id: notice.client_id.as_str().into(),
            created_at: notice.created_at,
            next_at: notice.next_at,
            is_under_way: false,
        }
    }
}

/// A notice that is being delivered. When it is dropped, whatever happened, the notice waits until `next_at`, unless it
/// is done with.
struct Call {
    channel: Backchannel,
    row: Row,
    next_at: Timestamp,
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(notice) = self.channel.0.waiting.lock().get_mut(&self.row) {
            notice.is_under_way = false;
            notice.next_at = self.next_at;
        }
    }
}

impl Call {
    async fn deliver(mut self, tokens: Arc<dyn LogoutTokens>) {
        let inner = self.channel.0.clone();
        let done = match inner.store.get::<LogoutNotice>(&self.row) {
            Ok(Some(seen)) => self.tell(&inner, &*tokens, seen).await,
            Ok(None) => {
                inner.waiting.lock().remove(&self.row);
                Ok(())
            }
            Err(error) => Err(CommitError::Store(error)),
        };
        if let Err(error) = done {
            // It stays as it is, and the app may hear of it once more.
            tracing::warn!(%error, "what became of a logout notice could not be written down");
            self.next_at = inner.clock.now().plus(pause_after(2));
        }
    }

    /// Calls the app and writes down what became of it.
    async fn tell(
        &mut self,
        inner: &Inner,
        tokens: &dyn LogoutTokens,
        seen: Versioned<LogoutNotice>,
    ) -> Result<(), CommitError> {
        let notice = &seen.value;
        let answered = if inner.clock.now().since(notice.created_at) >= GIVE_UP_AFTER {
            Answered::GivenUp("A day has passed.".to_owned())
        } else {
            call(inner, tokens, notice).await
        };
        let mut batch = inner.store.batch();
        match answered {
            Answered::NotYet(why) => {
                tracing::info!(client = %notice.client_id, attempts = notice.attempts + 1, %why, "an app could not be told of a sign-out; it will be tried again");
                let mut later = notice.clone();
                later.attempts = later.attempts.saturating_add(1);
                later.next_at = inner.clock.now().plus(pause_after(later.attempts));
                batch.replace(&self.row, &seen, &later);
                self.next_at = later.next_at;
                return inner.store.commit(batch).await;
            }
            Answered::Done => tracing::debug!(client = %notice.client_id, "an app was told of a sign-out"),
            Answered::GivenUp(why) => {
                let event = Event::new(Kind::ClientLogoutFailed, Outcome::Failed).by_system("logout");
                let event = event.on(&notice.client_id).detail("why", why);
                inner.audit.write(&mut batch, event.detail("attempts", notice.attempts.saturating_add(1)));
            }
        }
        batch.take(&self.row, &seen);
        let (channel, row) = (self.channel.clone(), self.row);
        batch.after(move || {
            channel.0.waiting.lock().remove(&row);
        });
        inner.store.commit(batch).await
    }
}

/// Sends the token as a form (section 2.5).
async fn call(inner: &Inner, tokens: &dyn LogoutTokens, notice: &LogoutNotice) -> Answered {
    let Some(token) = tokens.make(notice) else {
        tracing::debug!(client = %notice.client_id, "an app that is gone is not told of a sign-out");
        return Answered::Done;
    };
    let Ok(url) = Url::parse(&notice.uri) else {
        return Answered::GivenUp("The address of the app is no URL.".to_owned());
    };
    let body = form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", &token).finish();
    let outgoing = if tokens.is_of_stranger(notice) { &inner.to_strangers } else { &inner.outgoing };
    match outgoing.post_form(&url, body.into()).await {
        Ok(status) => judge(status),
        Err(error) => Answered::NotYet(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_tried_soon_and_then_hourly() {
        let pauses: Vec<u64> = (1..=7).map(|attempts| pause_after(attempts).as_secs()).collect();
        assert_eq!(pauses, [5, 30, 120, 600, 3600, 3600, 3600]);
        let now = Timestamp::from_secs(1_800_000_000);
        assert!(is_due(now, now) && !is_due(now.plus(Duration::from_secs(1)), now));
        assert!(is_due(now.plus(Duration::from_secs(3601)), now), "the clock was set back");
    }

    #[test]
    fn only_a_refusal_of_the_app_itself_is_final() {
        let outcome = |status: u16| match judge(StatusCode::from_u16(status).unwrap()) {
            Answered::Done => "done",
            Answered::GivenUp(_) => "given up",
            Answered::NotYet(_) => "not yet",
        };
        assert_eq!([200, 204].map(outcome), ["done"; 2]);
        assert_eq!(outcome(400), "given up");
        assert_eq!([201, 401, 403, 404, 429, 500, 501, 502, 503].map(outcome), ["not yet"; 9]);
    }
}
