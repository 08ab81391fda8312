//! The server: accepts connections within limits, and stops in order (INP-01, INP-09).

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::connection;
use super::socket::Socket;
use super::wire::Patience;
use super::{Problem, Reply, Request, TrustedProxies};
use crate::kernel::ids::RequestId;
use crate::kernel::random::Random;
use crate::kernel::time::SharedClock;

/// What [`Handler::route`] found, as the handler numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteId(pub usize);

/// An answer in the making.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;

/// What answers requests. `front` implements it once. Behind a pointer, so that the server is compiled here, where it
/// is compiled to be fast.
///
/// HEAD must be answered like GET; the body is left out on the way.
pub trait Handler: Send + Sync {
    /// Finds the route of a request, and its limits.
    fn route(&self, method: &Method, path: &str) -> (RouteId, RouteLimits);

    /// Answers a request before its body is read, where a stranger's large body would be a burden; `None` lets it in.
    fn admit(&self, _route: RouteId, _request: &Request) -> Option<Reply> {
        None
    }

    /// Answers a request that needs no body and nothing to wait for; `None` if it does need it. Asked only if there is
    /// no body, or the route ignores it.
    fn handle_at_once(&self, route: RouteId, request: &Request) -> Option<Reply>;

    /// Answers a request whose body has been read.
    fn handle<'a>(&'a self, route: RouteId, request: &'a mut Request) -> Answering<'a>;

    /// Turns a refusal of the server itself (body too large, deadline passed, panic) into an answer.
    fn refuse(&self, route: RouteId, request: &Request, problem: Problem) -> Reply;
}

/// The limits of one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteLimits {
    /// The largest body, in bytes. More is 413.
    pub body: usize,
    /// Whether the body is read at all. Forward-auth checks carry the headers of somebody else's request, so their
    /// Content-Length and Content-Encoding mean nothing.
    pub is_body_ignored: bool,
    /// How long the handler may take. More is 503.
    pub deadline: Duration,
}

impl RouteLimits {
    /// Takes a largest body, with ten seconds for the handler.
    pub const fn body(bytes: usize) -> Self {
        RouteLimits { body: bytes, is_body_ignored: false, deadline: Duration::from_secs(10) }
    }

    /// Gives the handler more time.
    pub const fn within(self, deadline: Duration) -> Self {
        RouteLimits { deadline, ..self }
    }

    /// Ignores the body.
    pub const fn without_body() -> Self {
        RouteLimits { body: 0, is_body_ignored: true, deadline: Duration::from_secs(10) }
    }
}

/// Bounds and time-outs of a server.
#[derive(Clone)]
pub struct ServerSettings {
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// Connections at the same time; trusted proxies have as many again for themselves.
    pub max_connections: usize,
    /// Connections of one address (of one /64 for IPv6); trusted proxies are not held to it.
    pub max_connections_per_address: usize,
    /// For a head to arrive, from its first byte.
    pub head_timeout: Duration,
    /// For the next request to begin on an open connection. Trusted proxies get twice as long and five seconds, so
    /// that they close first and never race us.
    pub idle_timeout: Duration,
    /// For a body to arrive, plus one second for each 16 KiB that the route allows.
    pub body_timeout: Duration,
    /// For the peer to take some bytes of an answer.
    pub write_timeout: Duration,
    /// For requests under way to finish when the server stops.
    pub drain_timeout: Duration,
    /// The clock that stamps requests.
    pub clock: SharedClock,
    /// Where request ids come from.
    pub random: Random,
}

impl ServerSettings {
    /// The limits of security.md: 1024 connections, 128 of one address, 10 s for a head, 60 s idle.
    pub fn new(trusted_proxies: TrustedProxies, clock: SharedClock, random: Random) -> Self {
        ServerSettings {
            trusted_proxies,
            max_connections: 1024,
            max_connections_per_address: 128,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(5),
            clock,
            random,
        }
    }

    fn patience(&self, is_proxy: bool, is_crowded: bool) -> Patience {
        let idle = if is_proxy {
            self.idle_timeout * 2 + Duration::from_secs(5)
        } else if is_crowded {
            self.idle_timeout.min(Duration::from_secs(5))
        } else {
            self.idle_timeout
        };
        Patience { head: self.head_timeout, idle, write: self.write_timeout }
    }
}

/// Bodies larger than this wait for one of [`LARGE_BODIES`] places while they arrive, so that slow ones cannot fill the
/// memory.
pub(super) const LARGE_BODY: usize = 16 * 1024;
/// The most that strangers may send anywhere. Such bodies have places of their own, so that those of administrators find
/// some whatever strangers do.
pub(super) const STRANGERS_BODY: usize = 64 * 1024;
const LARGE_BODIES: usize = 16;

/// What all connections of a server share.
pub(super) struct Shared {
    pub handler: Arc<dyn Handler>,
    pub settings: ServerSettings,
    pub large_bodies: Semaphore,
    pub strangers_bodies: Semaphore,
    id_prefix: [u8; 8],
    next_id: AtomicUsize,
    places: Places,
}

impl Shared {
    /// Request ids are a random prefix per process and a count: unique and cheap, and no secret.
    pub(super) fn request_id(&self) -> RequestId {
        let count = u64::try_from(self.next_id.fetch_add(1, Ordering::Relaxed)).unwrap_or(u64::MAX);
        let mut id = [0; 16];
        let (prefix, suffix) = id.split_at_mut(8);
        prefix.copy_from_slice(&self.id_prefix);
        suffix.copy_from_slice(&count.to_be_bytes());
        RequestId(id)
    }
}

/// Serves `handler` on `listener` until `shutdown` completes, then stops accepting, lets requests under way finish
/// within the drain time-out, and returns. In a box, because the body of an `async fn` is compiled where it is awaited:
/// so it is here, where it is fast, with all of hyper that it uses.
pub fn serve(
    listener: TcpListener,
    settings: ServerSettings,
    handler: Arc<dyn Handler>,
    shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(serve_until(listener, settings, handler, shutdown))
}

async fn serve_until(
    listener: TcpListener,
    settings: ServerSettings,
    handler: Arc<dyn Handler>,
    mut shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
) {
    let shared = Arc::new(Shared {
        handler,
        id_prefix: settings.random.bytes(),
        next_id: AtomicUsize::new(0),
        large_bodies: Semaphore::new(LARGE_BODIES),
        strangers_bodies: Semaphore::new(LARGE_BODIES),
        places: Places::default(),
        settings,
    });
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    let Some(place) = Place::take(&shared, peer) else { continue };
                    connections.spawn(hold(socket, peer, shared.clone(), place, stopped.clone()));
                }
                Err(error) => {
                    // Usually out of file descriptors: connections that end will free some.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    drop(stop);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(shared.settings.drain_timeout, drained).await.is_err() {
        tracing::warn!("some requests did not finish in time and were cut off");
        connections.shutdown().await;
    }
}

async fn hold(
    socket: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    place: Place,
    stopped: watch::Receiver<()>,
) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let patience = shared.settings.patience(place.is_proxy, place.is_crowded);
    connection::run(Socket::new(socket), peer, shared, patience, stopped).await;
    drop(place);
}

/// The connections that are open.
#[derive(Default)]
struct Places {
    direct: AtomicUsize,
    proxied: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// The right to hold one connection; given back on drop.
struct Place {
    shared: Arc<Shared>,
    address: IpAddr,
    is_proxy: bool,
    is_crowded: bool,
}

impl Place {
    /// Takes a place, or `None` if there is none left: the connection is closed at once. Proxies have places of their
    /// own, so a flood of direct connections cannot shut them out.
    fn take(shared: &Arc<Shared>, peer: SocketAddr) -> Option<Self> {
        let is_proxy = shared.settings.trusted_proxies.contains(peer.ip());
        let address = network_of(peer.ip().to_canonical());
        let limit = shared.settings.max_connections;
        let count = if is_proxy { &shared.places.proxied } else { &shared.places.direct };
        let before = count.fetch_add(1, Ordering::Relaxed);
        // From here on dropping `place` gives everything back.
        let place = Place { shared: shared.clone(), address, is_proxy, is_crowded: before >= limit / 4 * 3 };
        let held = if is_proxy {
            0
        } else {
            let mut by_address = shared.places.by_address.lock();
            let held = by_address.entry(address).or_insert(0);
            *held += 1;
            *held
        };
        let fits = before < limit && held <= shared.settings.max_connections_per_address;
        if !fits {
            tracing::debug!(is_proxy, "too many connections; closed a new one");
        }
        fits.then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let places = &self.shared.places;
        if self.is_proxy {
            places.proxied.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        places.direct.fetch_sub(1, Ordering::Relaxed);
        let mut by_address = places.by_address.lock();
        if let Some(held) = by_address.get_mut(&self.address) {
            *held -= 1;
            if *held == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// One v4 address, or the /64 that one v6 customer owns (LIM-01).
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    }
}
