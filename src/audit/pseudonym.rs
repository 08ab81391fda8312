//! Addresses as they may be stored: a shortened prefix for people and a keyed pseudonym for comparing (PRI-01).
//!
//! The pseudonym is an HMAC of the /24 (IPv4) or /48 (IPv6) prefix under a key that changes every week and is deleted
//! when the last event that used it is gone (PRI-02): from then on nobody can try out addresses, not even we.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use parking_lot::Mutex;

use super::records::PseudonymKeyRecord;
use crate::crypto::mac::hmac_sha256;
use crate::kernel::random::Random;
use crate::kernel::secret::SecretKey;
use crate::kernel::time::{SharedClock, Timestamp};
use crate::store::{Batch, Store, StoreError};
use crate::words::Words;

/// The place of this machine itself, as it is stored.
const HERE: &str = "this machine";
/// How the place of an IPv6 address that means nothing outside begins, as it is stored.
const LOCAL: &str = "local network";

/// How long one key is used.
const EPOCH: Duration = Duration::from_secs(7 * 86_400);

/// The key of one epoch.
#[derive(Clone)]
struct EpochKey {
    key: SecretKey,
    is_stored: Arc<AtomicBool>,
}

/// Makes pseudonyms of addresses. Cheap to clone.
#[derive(Clone)]
pub struct Pseudonyms {
    keys: Arc<Mutex<BTreeMap<u64, EpochKey>>>,
    clock: SharedClock,
    random: Random,
}

impl Pseudonyms {
    /// Reads the keys that are still kept.
    pub(super) fn open(store: &Store, clock: SharedClock, random: Random) -> Result<Self, StoreError> {
        let mut keys = BTreeMap::new();
        store.for_each::<PseudonymKeyRecord>(|row, record| {
            let epoch: [u8; 8] =
                row.try_into().map_err(|_| StoreError::Corrupt { table: "pseudonym_key" })?;
            let key =
                EpochKey { key: SecretKey::new(record.key), is_stored: Arc::new(AtomicBool::new(true)) };
            keys.insert(u64::from_be_bytes(epoch), key);
            Ok(())
        })?;
        Ok(Pseudonyms { keys: Arc::new(Mutex::new(keys)), clock, random })
    }

    /// Returns what may be stored of `address`: at most 40 characters, such as `203.0.x.x (k7q2mf4x)`. The same prefix
    /// gives the same text for up to a week; nothing more precise can be learned from it.
    pub fn place(&self, address: IpAddr) -> String {
        self.place_at(address, self.clock.now())
    }

    fn place_at(&self, address: IpAddr, now: Timestamp) -> String {
        let address = address.to_canonical();
        if address.is_loopback() {
            return HERE.to_owned();
        }
        let key = self.key_of(epoch_of(now));
        let mac = hmac_sha256(key.key.expose(), &[b"doorward place v1", &network(address)]);
        let tag = BASE32_NOPAD.encode(mac.get(..5).unwrap_or_default()).to_ascii_lowercase();
        format!("{} ({tag})", shortened(address))
    }

    /// Like [`Pseudonyms::place`], and makes sure that the key is stored with, or before, what `batch` writes.
    pub(super) fn place_in(&self, batch: &mut Batch, address: IpAddr, now: Timestamp) -> String {
        let epoch = epoch_of(now);
        let key = self.key_of(epoch);
        if !key.is_stored.load(Ordering::Acquire) {
            batch.put(&epoch.to_be_bytes(), &PseudonymKeyRecord { key: *key.key.expose() });
            let is_stored = key.is_stored;
            batch.after(move || is_stored.store(true, Ordering::Release));
        }
        self.place_at(address, now)
    }

    fn key_of(&self, epoch: u64) -> EpochKey {
        let fresh = || EpochKey {
            key: SecretKey::new(self.random.bytes()),
            is_stored: Arc::new(AtomicBool::new(false)),
        };
        self.keys.lock().entry(epoch).or_insert_with(fresh).clone()
    }

    /// Adds the removal of every key whose last event is older than `retention` to `batch`. Returns how many.
    pub(super) fn remove_old(&self, batch: &mut Batch, now: Timestamp, retention: Duration) -> usize {
        let oldest_kept = epoch_of(now.minus(retention));
        let old: Vec<u64> = self.keys.lock().range(..oldest_kept).map(|(epoch, _)| *epoch).collect();
        for epoch in &old {
            batch.remove::<PseudonymKeyRecord>(&epoch.to_be_bytes());
        }
        let (keys, removed) = (self.keys.clone(), old.clone());
        batch.after(move || {
            let mut keys = keys.lock();
            for epoch in removed {
                keys.remove(&epoch);
            }
        });
        old.len()
    }
}

fn epoch_of(at: Timestamp) -> u64 {
    at.as_secs() / EPOCH.as_secs()
}

/// Returns the bytes of the /24 or /48 that the address lies in.
fn network(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().iter().take(3).copied().collect(),
        IpAddr::V6(address) => address.octets().iter().take(6).copied().collect(),
    }
}

/// Returns the part of the address that people are shown: the /16 or /32 of a public address, the /24 of one that
/// means nothing outside the home.
fn shortened(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            if is_home(address) { format!("{a}.{b}.{c}.x") } else { format!("{a}.{b}.x.x") }
        }
        IpAddr::V6(address) if is_local(address) => LOCAL.to_owned(),
        IpAddr::V6(address) => {
            let [a, b, ..] = address.segments();
            format!("{a:x}:{b:x}:x")
        }
    }
}

/// Says a place in a language; it is stored in English.
pub fn place_in_words(place: &str, t: Words) -> String {
    match (place, place.strip_prefix(LOCAL)) {
        (HERE, _) => t.ui_place_here().to_owned(),
        (_, Some(tag)) => format!("{}{tag}", t.ui_place_local()),
        _ => place.to_owned(),
    }
}

fn is_home(address: Ipv4Addr) -> bool {
    address.is_private() || address.is_link_local()
}

fn is_local(address: Ipv6Addr) -> bool {
    address.is_unique_local() || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_short() {
        for (address, text) in [
            ("203.0.113.77", "203.0.x.x"),
            ("192.168.1.5", "192.168.1.x"),
            ("10.1.2.3", "10.1.2.x"),
            ("2001:db8:1234:5678::9", "2001:db8:x"),
            ("fd00::1", "local network"),
            ("fe80::1", "local network"),
        ] {
            assert_eq!(shortened(address.parse().unwrap()), text, "{address}");
        }
    }

    #[test]
    fn one_network_is_one_place() {
        let of = |text: &str| network(text.parse::<IpAddr>().unwrap().to_canonical());
        assert_eq!(of("203.0.113.1"), of("203.0.113.255"));
        assert_eq!(of("203.0.113.1"), of("::ffff:203.0.113.9"));
        assert_ne!(of("203.0.113.1"), of("203.0.114.1"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:ffff::2"));
        assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
    }
}
