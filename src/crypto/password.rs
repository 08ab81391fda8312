//! Password hashing on threads of its own, with a bounded queue (PWD-05, RES-01).
//!
//! One hash costs tens of milliseconds and megabytes, so a flood of sign-ins must neither grow memory nor slow
//! other requests down. Each thread owns one buffer for its whole life and runs at low priority. Whoever finds the
//! queue full is told to come back; one place cannot fill it, and half of it is kept for known devices.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use argon2::{Algorithm, Version};
use parking_lot::{Condvar, Mutex};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};
use tokio::sync::oneshot;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::argon::{Cost, HASH_LENGTH, Memory, SALT_LENGTH, StoredHash};
use super::foreign::ForeignHash;
use super::mac;
use crate::kernel::random::Random;
use crate::kernel::secret::{SecretKey, SecretText};

/// How many jobs of one place may wait at a time.
const JOBS_PER_PLACE: u32 = 2;
const THREAD_NAME: &str = "password-hasher";

/// Brings a password to Unicode normalization form KC, so that it matches however a keyboard composed it (PWD-08).
/// This is the one place where a password is altered; hashing and verifying call it themselves.
pub fn normalize(password: &str) -> Zeroizing<String> {
    let mut normalized = Zeroizing::new(String::with_capacity(password.len() * 4));
    normalized.extend(password.nfkc());
    normalized
}

/// Tells whether `phc` is an argon2id hash in PHC format whose cost is within what this program computes.
pub fn is_argon2id(phc: &str) -> bool {
    phc.starts_with("$argon2id$") && StoredHash::parse(phc).is_some()
}

/// How to hash, and with how much of the machine.
#[derive(Clone)]
pub struct HashSettings {
    /// Memory of one hash in KiB (argon2's m).
    pub memory_kib: u32,
    /// Passes over the memory (argon2's t).
    pub passes: u32,
    /// Threads; each holds `memory_kib` all the time.
    pub threads: usize,
    /// Jobs that may wait, for each thread.
    pub queue_per_thread: usize,
    /// How long a job may wait before it starts.
    pub max_wait: Duration,
    /// Whether the threads run only while a core has nothing else to do. Without it they are merely nicer than others.
    pub is_idle_priority: bool,
    /// A key that is mixed into every hash and never stored with it (PWD-07).
    pub pepper: Option<SecretKey>,
}

impl Default for HashSettings {
    fn default() -> Self {
        HashSettings {
            memory_kib: 19_456,
            passes: 2,
            threads: std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2)),
            queue_per_thread: 16,
            max_wait: Duration::from_secs(2),
            is_idle_priority: true,
            pepper: None,
        }
    }
}

/// Why hashing could not start.
#[derive(Debug)]
pub enum StartError {
    /// A setting is outside what argon2 or this machine can do: a sentence.
    Settings(&'static str),
    /// There is no memory for the buffers.
    Memory {
        /// What was asked for, in KiB, by each thread.
        memory_kib: u32,
    },
    /// A thread did not start.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Settings(sentence) => f.write_str(sentence),
            StartError::Memory { memory_kib } => write!(
                f,
                "There is no memory for password hashing: each thread needs {memory_kib} KiB. Lower the number of threads or the memory of a hash."
            ),
            StartError::Thread(error) => write!(f, "A thread for password hashing did not start: {error}."),
        }
    }
}

impl std::error::Error for StartError {}

/// The hasher has no room for one more job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// When to try again.
    pub retry_after: Duration,
}

/// Who asks, so that one place cannot own the queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ticket {
    /// A hash of the asker's address prefix.
    pub place: u64,
    /// Whether the asker proved to be a device the account already signed in with.
    pub is_known_device: bool,
}

/// Whether a password is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Correct {
        /// Whether the stored hash was made with other parameters than the present ones and should be replaced now,
        /// while the password is at hand (PWD-06).
        needs_rehash: bool,
    },
    /// It is not, or there is no such user, or the stored hash cannot be used.
    Wrong,
}

/// What the hasher has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HasherStats {
    /// Jobs that wait now.
    pub queued: usize,
    /// Jobs that run now.
    pub running: usize,
    /// Jobs that were done.
    pub done: u64,
    /// Jobs that were turned away or waited too long.
    pub refused: u64,
    /// Jobs whose asker had gone before they started.
    pub abandoned: u64,
    /// Memory written by all jobs, in KiB: what they cost, whatever their outcome.
    pub work_kib: u64,
}

enum Work {
    Hash {
        salt: [u8; SALT_LENGTH],
    },
    Verify {
        stored: Option<StoredHash>,
    },
    VerifyForeign {
        stored: ForeignHash,
    },
    /// Keeps the thread until the test lets it go.
    #[cfg(test)]
    Hold {
        let_go: std::sync::mpsc::Receiver<()>,
    },
}

enum Outcome {
    Hashed(String),
    Verified(Verdict),
}

const WAITING: u8 = 0;
const RUNNING: u8 = 1;
const LEFT: u8 = 2;

struct Job {
    password: Zeroizing<String>,
    work: Work,
    ticket: Ticket,
    /// Decided once, by whoever is first: the worker that starts it or the asker that stops waiting.
    state: Arc<AtomicU8>,
    answer: oneshot::Sender<Outcome>,
}

#[derive(Default)]
struct Queue {
    known: VecDeque<Job>,
    unknown: VecDeque<Job>,
    per_place: HashMap<(u64, bool), u32>,
    is_closed: bool,
}

impl Queue {
    fn len(&self) -> usize {
        self.known.len() + self.unknown.len()
    }

    fn pop(&mut self) -> Option<Job> {
        let job = self.known.pop_front().or_else(|| self.unknown.pop_front())?;
        self.leave(job.ticket);
        Some(job)
    }

    fn leave(&mut self, ticket: Ticket) {
        let key = (ticket.place, ticket.is_known_device);
        if let Some(count) = self.per_place.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.per_place.remove(&key);
            }
        }
    }

    /// Removes the jobs nobody waits for any more and returns how many there were.
    fn sweep(&mut self) -> u64 {
        let mut gone = Vec::new();
        for jobs in [&mut self.known, &mut self.unknown] {
            jobs.retain(|job| {
                let is_wanted = !job.answer.is_closed();
                if !is_wanted {
                    gone.push(job.ticket);
                }
                is_wanted
            });
        }
        gone.iter().for_each(|ticket| self.leave(*ticket));
        gone.len() as u64
    }

    fn has_room(&self, ticket: Ticket, capacity: usize) -> bool {
        let of_place = self.per_place.get(&(ticket.place, ticket.is_known_device)).copied().unwrap_or(0);
        let is_roomy = if ticket.is_known_device {
            self.len() < capacity
        } else {
            // The other half is for known devices: a flood of strangers leaves the household its sign-in.
            self.unknown.len() < capacity.div_ceil(2) && self.len() < capacity
        };
        is_roomy && of_place < JOBS_PER_PLACE
    }

    fn push(&mut self, job: Job) {
        *self.per_place.entry((job.ticket.place, job.ticket.is_known_device)).or_default() += 1;
        if job.ticket.is_known_device { self.known.push_back(job) } else { self.unknown.push_back(job) }
    }
}

struct Shared {
    cost: Cost,
    pepper: Option<SecretKey>,
    pepper_id: Vec<u8>,
    capacity: usize,
    queue: Mutex<Queue>,
    wake: Condvar,
    running: AtomicUsize,
    done: AtomicU64,
    refused: AtomicU64,
    abandoned: AtomicU64,
    work_kib: AtomicU64,
}

/// Stops the threads when the last handle goes.
struct Owner {
    shared: Arc<Shared>,
    random: Random,
    max_wait: Duration,
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock();
        queue.is_closed = true;
        queue.known.clear();
        queue.unknown.clear();
        drop(queue);
        self.shared.wake.notify_all();
    }
}

/// A handle to the hasher threads. Clones share them; dropping the last one stops them.
#[derive(Clone)]
pub struct PasswordHasher(Arc<Owner>);

impl fmt::Debug for PasswordHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PasswordHasher").field(&self.stats()).finish()
    }
}

impl PasswordHasher {
    /// Allocates the buffers and starts the threads.
    ///
    /// # Errors
    /// [`StartError`] with a sentence for the operator.
    pub fn start(settings: HashSettings, random: Random) -> Result<Self, StartError> {
        let cost = Cost { memory_kib: settings.memory_kib, passes: settings.passes, lanes: 1 };
        if !(8..=super::argon::MAX_MEMORY_KIB).contains(&cost.memory_kib) {
            return Err(StartError::Settings("The memory of a password hash is from 8 to 65536 KiB."));
        }
        if !(1..=10).contains(&cost.passes) {
            return Err(StartError::Settings("A password hash makes from 1 to 10 passes."));
        }
        if !(1..=64).contains(&settings.threads) || !(1..=1024).contains(&settings.queue_per_thread) {
            return Err(StartError::Settings(
                "Password hashing has from 1 to 64 threads, each with room for 1 to 1024 waiting jobs.",
            ));
        }
        let pepper_id = settings.pepper.as_ref().map_or_else(Vec::new, pepper_id);
        let shared = Arc::new(Shared {
            cost,
            pepper: settings.pepper,
            pepper_id,
            capacity: settings.threads * settings.queue_per_thread,
            queue: Mutex::default(),
            wake: Condvar::new(),
            running: AtomicUsize::new(0),
            done: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            work_kib: AtomicU64::new(0),
        });
        let owner = Owner { shared, random, max_wait: settings.max_wait };
        for _ in 0..settings.threads {
            let memory = Memory::allocate(cost.blocks())
                .ok_or(StartError::Memory { memory_kib: settings.memory_kib })?;
            let shared = Arc::clone(&owner.shared);
            std::thread::Builder::new()
                .name(THREAD_NAME.to_owned())
                .spawn(move || {
                    step_back(settings.is_idle_priority);
                    shared.work(memory);
                })
                .map_err(StartError::Thread)?;
        }
        Ok(PasswordHasher(Arc::new(owner)))
    }

    /// Hashes a new password. Returns the PHC string to store.
    ///
    /// # Errors
    /// [`Busy`] if there is no room in the queue or the job waited longer than `max_wait`.
    pub async fn hash(&self, password: &SecretText, ticket: Ticket) -> Result<String, Busy> {
        let work = Work::Hash { salt: self.0.random.bytes() };
        match self.run(normalize(password.expose()), work, ticket).await? {
            Outcome::Hashed(phc) => Ok(phc),
            Outcome::Verified(_) => Err(self.busy()),
        }
    }

    /// Compares a password with a stored hash. Without one (`phc` is `None`: no such user, or no password) and with
    /// an unusable one, the same work is done and the answer is [`Verdict::Wrong`] (ENU-01).
    ///
    /// # Errors
    /// [`Busy`] if there is no room in the queue or the job waited longer than `max_wait`.
    pub async fn verify(
        &self,
        password: &SecretText,
        phc: Option<&str>,
        ticket: Ticket,
    ) -> Result<Verdict, Busy> {
        let work = Work::Verify { stored: phc.and_then(StoredHash::parse) };
        self.judge(normalize(password.expose()), work, ticket).await
    }

    /// Compares a password, byte for byte as it was typed, with a hash that another program made. The work of one hash
    /// of our own is done as well, so that the answer takes longer than one about a stranger, never less (ENU-01). A
    /// right password always asks for a hash of our own.
    ///
    /// # Errors
    /// [`Busy`] if there is no room in the queue or the job waited longer than `max_wait`.
    pub async fn verify_foreign(
        &self,
        password: &SecretText,
        stored: &ForeignHash,
        ticket: Ticket,
    ) -> Result<Verdict, Busy> {
        let work = Work::VerifyForeign { stored: stored.clone() };
        self.judge(Zeroizing::new(password.expose().clone()), work, ticket).await
    }

    async fn judge(&self, password: Zeroizing<String>, work: Work, ticket: Ticket) -> Result<Verdict, Busy> {
        match self.run(password, work, ticket).await? {
            Outcome::Verified(verdict) => Ok(verdict),
            Outcome::Hashed(_) => Err(self.busy()),
        }
    }

    /// Returns what the hasher does and has done.
    pub fn stats(&self) -> HasherStats {
        let shared = &self.0.shared;
        HasherStats {
            queued: shared.queue.lock().len(),
            running: shared.running.load(Ordering::Relaxed),
            done: shared.done.load(Ordering::Relaxed),
            refused: shared.refused.load(Ordering::Relaxed),
            abandoned: shared.abandoned.load(Ordering::Relaxed),
            work_kib: shared.work_kib.load(Ordering::Relaxed),
        }
    }

    async fn run(&self, password: Zeroizing<String>, work: Work, ticket: Ticket) -> Result<Outcome, Busy> {
        let (answer, mut receiver) = oneshot::channel();
        let state = Arc::new(AtomicU8::new(WAITING));
        self.enqueue(Job { password, work, ticket, state: Arc::clone(&state), answer })?;
        let Ok(outcome) = tokio::time::timeout(self.0.max_wait, &mut receiver).await else {
            // Too long in the queue. A job that has started is worth waiting for; it takes milliseconds more.
            if state.compare_exchange(WAITING, LEFT, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                self.0.shared.refused.fetch_add(1, Ordering::Relaxed);
                return Err(self.busy());
            }
            return receiver.await.map_err(|_| self.busy());
        };
        outcome.map_err(|_| self.busy())
    }

    fn enqueue(&self, job: Job) -> Result<(), Busy> {
        let shared = &self.0.shared;
        let mut queue = shared.queue.lock();
        if !queue.has_room(job.ticket, shared.capacity) {
            let gone = queue.sweep();
            shared.abandoned.fetch_add(gone, Ordering::Relaxed);
            if !queue.has_room(job.ticket, shared.capacity) {
                shared.refused.fetch_add(1, Ordering::Relaxed);
                return Err(self.busy());
            }
        }
        queue.push(job);
        drop(queue);
        shared.wake.notify_one();
        Ok(())
    }

    /// Two to three seconds, so that those turned away together do not come back together. Nobody gains by foreseeing
    /// it, and in a flood real randomness costs more than the rest of the refusal.
    fn busy(&self) -> Busy {
        let spread = self.0.shared.refused.load(Ordering::Relaxed).wrapping_mul(617) % 1000;
        Busy { retry_after: Duration::from_millis(2000 + spread) }
    }
}

/// Names a pepper without revealing it, so that a stored hash says which one it needs.
fn pepper_id(pepper: &SecretKey) -> Vec<u8> {
    let name = mac::hmac_sha256(pepper.expose(), &[b"doorward pepper id v1"]);
    let (start, _) = name.split_at(4);
    start.to_vec()
}

/// Added to the niceness of a thread that may not or shall not be idle.
const NICENESS: i32 = 10;

/// Lets other threads go first. With idle priority the kernel takes the core from a hasher the moment a request arrives,
/// where a merely nicer thread keeps it for milliseconds. Sandboxes may refuse either; then the threads are merely
/// nicer, or compete as equals.
pub fn step_back(is_idle: bool) {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if !is_idle || set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle).is_err() {
        let _ = rustix::process::nice(NICENESS);
    }
}

impl Shared {
    /// The life of one thread.
    fn work(&self, mut memory: Memory) {
        while let Some(job) = self.next_job() {
            let is_first =
                job.state.compare_exchange(WAITING, RUNNING, Ordering::AcqRel, Ordering::Acquire).is_ok();
            if !is_first || job.answer.is_closed() {
                self.abandoned.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            self.running.fetch_add(1, Ordering::Relaxed);
            let outcome = catch_unwind(AssertUnwindSafe(|| self.compute(&job, &mut memory)));
            self.running.fetch_sub(1, Ordering::Relaxed);
            self.done.fetch_add(1, Ordering::Relaxed);
            match outcome {
                Ok(Some(outcome)) => drop(job.answer.send(outcome)),
                // The asker sees a closed channel and answers "busy".
                Ok(None) => tracing::error!("a password hash could not be computed: out of memory"),
                Err(_) => tracing::error!("a password hash could not be computed: internal error"),
            }
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        loop {
            if queue.is_closed {
                return None;
            }
            if let Some(job) = queue.pop() {
                return Some(job);
            }
            self.wake.wait(&mut queue);
        }
    }

    fn compute(&self, job: &Job, memory: &mut Memory) -> Option<Outcome> {
        let password = job.password.as_bytes();
        match &job.work {
            Work::Hash { salt } => {
                self.count(self.cost);
                let mut fresh = self.blank(self.cost, salt);
                let mut hash = vec![0; HASH_LENGTH];
                fresh.compute(password, self.pepper.as_ref(), memory, &mut hash)?;
                fresh.hash = hash;
                Some(Outcome::Hashed(fresh.to_phc()))
            }
            Work::Verify { stored } => self.verify(password, stored.as_ref(), memory).map(Outcome::Verified),
            Work::VerifyForeign { stored } => {
                let is_correct = stored.matches(password, memory)?;
                self.spend(self.cost, password, memory)?;
                let verdict =
                    if is_correct { Verdict::Correct { needs_rehash: true } } else { Verdict::Wrong };
                Some(Outcome::Verified(verdict))
            }
            #[cfg(test)]
            Work::Hold { let_go } => {
                let _ = let_go.recv();
                Some(Outcome::Verified(Verdict::Wrong))
            }
        }
    }

    fn blank(&self, cost: Cost, salt: &[u8]) -> StoredHash {
        StoredHash {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            cost,
            key_id: self.pepper_id.clone(),
            salt: salt.to_vec(),
            hash: Vec::new(),
        }
    }

    /// Answers after the work of one hash of the present cost, whatever is stored (ENU-01).
    fn verify(&self, password: &[u8], stored: Option<&StoredHash>, memory: &mut Memory) -> Option<Verdict> {
        let usable = stored.filter(|stored| stored.key_id.is_empty() || stored.key_id == self.pepper_id);
        let Some(stored) = usable else {
            self.spend(self.cost, password, memory)?;
            return Some(Verdict::Wrong);
        };
        let pepper = if stored.key_id.is_empty() { None } else { self.pepper.as_ref() };
        let is_correct = stored.matches(password, pepper, memory)?;
        self.count(stored.cost);
        // A hash from elsewhere may be cheaper; the rest is spent, so that its user does not stand out.
        let missing = self.cost.work().saturating_sub(stored.cost.work()) / u64::from(self.cost.passes);
        if let Ok(memory_kib @ 8..) = u32::try_from(missing) {
            self.spend(Cost { memory_kib, ..self.cost }, password, memory)?;
        }
        if !is_correct {
            return Some(Verdict::Wrong);
        }
        let is_current = stored.algorithm == Algorithm::Argon2id
            && stored.version == Version::V0x13
            && stored.cost == self.cost
            && stored.key_id == self.pepper_id
            && stored.salt.len() >= SALT_LENGTH
            && stored.hash.len() >= HASH_LENGTH;
        Some(Verdict::Correct { needs_rehash: !is_current })
    }

    fn count(&self, cost: Cost) {
        self.work_kib.fetch_add(cost.work(), Ordering::Relaxed);
    }

    /// Does the work of a hash for nothing. What comes out is thrown away, so any salt will do.
    fn spend(&self, cost: Cost, password: &[u8], memory: &mut Memory) -> Option<()> {
        self.count(cost);
        let mut unused = Zeroizing::new([0; HASH_LENGTH]);
        self.blank(cost, &[0; SALT_LENGTH]).compute(password, self.pepper.as_ref(), memory, unused.as_mut())
    }
}

#[cfg(test)]
mod tests;
