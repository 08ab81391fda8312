//! A bounded hash table for short-lived entries: open addressing, entries in the order of their keys.
//!
//! Keys are uniformly distributed (they are keyed hashes), and the home slot grows with the key. So linear probing
//! can keep all entries sorted: a search ends at the first larger key, at loads where plain probing would still run,
//! and a rebuild is one pass in order. The number of slots need not be a power of two, which keeps the memory per
//! key within narrow bounds. When the table is full, only entries that have expired make room.

/// A key: a word of a keyed hash. Nobody can look for two that are equal, and by chance one in 2^25 tables of a million
/// keys has such a pair. A second word would only make entries larger, and what a look-up costs is waiting for memory.
pub(super) type Id = u64;

/// What a table holds. The empty entry marks a free slot.
pub(super) trait Entry: Copy {
    /// A free slot.
    const EMPTY: Self;
    /// Whether this is a free slot.
    fn is_empty(&self) -> bool;
    /// The key.
    fn id(&self) -> Id;
    /// The first tick at which the entry means nothing any more.
    fn expires(&self) -> u32;
}

/// Full slots of a hundred beyond which a table grows.
const MAX_LOAD: usize = 85;
const FIRST_HOMES: usize = 8;

/// One shard of a table.
pub(super) struct Table<E> {
    /// `homes` slots that are the home of some key, and a tail for those that found theirs taken.
    slots: Vec<E>,
    homes: usize,
    len: usize,
    max: usize,
    /// The earliest tick at which a sweep can find something.
    next_sweep: u32,
}

impl<E: Entry> Table<E> {
    /// Makes an empty table that holds at most `max` entries.
    pub(super) fn new(max: usize) -> Self {
        Table { slots: Vec::new(), homes: 0, len: 0, max, next_sweep: u32::MAX }
    }

    /// Returns the number of entries, expired ones included.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the memory of the slots in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<E>()
    }

    /// Returns the entry of `id`.
    pub(super) fn get(&self, id: Id) -> Option<&E> {
        self.find(id).ok().and_then(|index| self.slots.get(index))
    }

    /// Returns the entry of `id` for changing all but its key. It must not come to expire any sooner; for that there is
    /// [`Table::shorten`].
    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut E> {
        self.find(id).ok().and_then(|index| self.slots.get_mut(index))
    }

    /// Changes the entry of `id`, if there is one, in a way that may let it expire sooner.
    pub(super) fn shorten(&mut self, id: Id, change: impl FnOnce(&mut E)) {
        let Some(entry) = self.get_mut(id) else { return };
        change(entry);
        let expires = entry.expires();
        self.next_sweep = self.next_sweep.min(expires);
    }

    /// Inserts an entry whose key is not in the table. `false` if the table is full of entries that still count at
    /// tick `now`.
    pub(super) fn insert(&mut self, entry: E, now: u32) -> bool {
        if (self.len >= self.max || self.is_crowded()) && !self.make_room(now) {
            return false;
        }
        while !self.place(entry) {
            // The tail is full; rare, and more homes thin it out.
            self.rebuild(self.homes + self.homes / 8 + 8, None);
        }
        self.next_sweep = self.next_sweep.min(entry.expires());
        self.len += 1;
        true
    }

    /// Removes the entry of `id`, if there is one.
    pub(super) fn remove(&mut self, id: Id) {
        let Ok(index) = self.find(id) else { return };
        // Those behind it that are not at home move one slot nearer to it.
        let moved = self.slots.iter().enumerate().skip(index + 1);
        let end = moved
            .take_while(|(at, slot)| !slot.is_empty() && self.home(slot.id()) < *at)
            .last()
            .map_or(index + 1, |(at, _)| at + 1);
        self.slots.copy_within(index + 1..end, index);
        if let Some(slot) = self.slots.get_mut(end - 1) {
            *slot = E::EMPTY;
        }
        self.len -= 1;
    }

    fn is_crowded(&self) -> bool {
        (self.len + 1) * 100 > self.homes * MAX_LOAD
    }

    fn home(&self, id: Id) -> usize {
        // Scales the whole range of the word to the slots, so that order is kept.
        usize::try_from((u128::from(id) * self.homes as u128) >> 64).unwrap_or(0)
    }

    /// Finds `id`, or the slot where it would stand.
    fn find(&self, id: Id) -> Result<usize, usize> {
        let mut index = self.home(id);
        while let Some(slot) = self.slots.get(index) {
            if slot.is_empty() {
                break;
            }
            let found = slot.id();
            if found >= id {
                return if found == id { Ok(index) } else { Err(index) };
            }
            index += 1;
        }
        Err(index)
    }

    /// Puts an entry where it belongs and moves those behind it by one slot. `false` if no slot is free there.
    fn place(&mut self, entry: E) -> bool {
        let (Ok(index) | Err(index)) = self.find(entry.id());
        let free =
            self.slots.iter().enumerate().skip(index).find(|(_, slot)| slot.is_empty()).map(|(at, _)| at);
        let Some(free) = free else { return false };
        self.slots.copy_within(index..free, index + 1);
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = entry;
        }
        true
    }

    /// Drops what has expired, then grows if that was little. `false` if the table stays full.
    fn make_room(&mut self, now: u32) -> bool {
        let before = self.len;
        if now >= self.next_sweep {
            self.rebuild(self.homes, Some(now));
        }
        if self.len >= self.max {
            return false;
        }
        let is_emptied = self.len * 4 < self.homes && self.homes > FIRST_HOMES;
        let is_relieved = before - self.len > before / 8 && !self.is_crowded();
        if is_emptied {
            self.rebuild((self.len * 2).max(FIRST_HOMES), None);
        } else if !is_relieved {
            let largest = self.max * 100 / MAX_LOAD + 2;
            let wanted = (self.homes + self.homes * 2 / 5).max(FIRST_HOMES);
            self.rebuild(wanted.min(largest).max(self.homes), None);
        }
        true
    }

    /// Moves all entries into a table of `homes` homes; with `now`, leaves out those that have expired.
    fn rebuild(&mut self, homes: usize, now: Option<u32>) {
        let mut slots = Vec::new();
        slots.reserve_exact(homes + homes / 32 + 16);
        slots.resize(homes + homes / 32 + 16, E::EMPTY);
        let old = std::mem::replace(&mut self.slots, slots);
        (self.homes, self.len, self.next_sweep) = (homes, 0, u32::MAX);
        let mut next = 0;
        for entry in old {
            if entry.is_empty() || now.is_some_and(|now| entry.expires() <= now) {
                continue;
            }
            let index = self.home(entry.id()).max(next);
            if index >= self.slots.len() {
                self.slots.resize(index + 16, E::EMPTY);
            }
            if let Some(slot) = self.slots.get_mut(index) {
                *slot = entry;
            }
            next = index + 1;
            self.len += 1;
            self.next_sweep = self.next_sweep.min(entry.expires());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Item {
        id: Id,
        value: u32,
        expires: u32,
    }

    impl Entry for Item {
        const EMPTY: Self = Item { id: 0, value: 0, expires: 0 };
        fn is_empty(&self) -> bool {
            self.value == 0
        }
        fn id(&self) -> Id {
            self.id
        }
        fn expires(&self) -> u32 {
            self.expires
        }
    }

    fn check_order(table: &Table<Item>) {
        let full: Vec<(usize, Id)> = table
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| !slot.is_empty())
            .map(|(at, slot)| (at, slot.id))
            .collect();
        assert!(full.is_sorted_by(|a, b| a.1 < b.1), "out of order");
        assert_eq!(full.len(), table.len);
        for (at, id) in full {
            let home = table.home(id);
            assert!(
                home <= at && table.slots[home..at].iter().all(|slot| !slot.is_empty()),
                "a gap before {at}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Against a tree map: the same entries are found, and only expired ones are ever lost.
        #[test]
        fn the_table_behaves_like_a_map(steps in proptest::collection::vec((0_u8..10, 0_u64..60, 1_u32..40), 1..400)) {
            let max = 40;
            let mut table = Table::<Item>::new(max);
            let mut model: BTreeMap<Id, Item> = BTreeMap::new();
            let mut now = 0;
            for (action, key, number) in steps {
                // Few distinct homes, so that runs are long and the tail is used.
                let id = if key % 3 == 0 { u64::MAX - key } else { (key / 4) << 59 | key };
                match action {
                    0..6 if !model.contains_key(&id) => {
                        let item = Item { id, value: number, expires: now + number };
                        if table.insert(item, now) {
                            model.insert(id, item);
                        } else {
                            prop_assert!(model.values().filter(|item| item.expires > now).count() >= max);
                        }
                    }
                    6 | 7 => {
                        table.remove(id);
                        model.remove(&id);
                    }
                    8 => now += number / 4,
                    _ => {
                        table.shorten(id, |item| {
                            item.value = number;
                            item.expires = now + number;
                            model.insert(id, *item);
                        });
                    }
                }
                check_order(&table);
                prop_assert!(table.len() <= max);
                for item in model.values() {
                    let found = table.get(item.id);
                    prop_assert!(found == Some(item) || (found.is_none() && item.expires <= now), "{item:?} at {now}");
                }
                model.retain(|id, _| table.get(*id).is_some());
                prop_assert_eq!(model.len(), table.len());
            }
        }
    }

    /// An entry that did not fit into the tail at first makes room in time all the same.
    #[test]
    fn whatever_expires_first_makes_room_first() {
        let max = 40;
        for early in 0..max as u64 {
            let mut table = Table::<Item>::new(max);
            for number in 0..max as u64 {
                let expires = if number == early { 1 } else { 20 };
                assert!(table.insert(Item { id: u64::MAX - number, value: 1, expires }, 0));
            }
            assert!(!table.insert(Item { id: 7, value: 1, expires: 20 }, 0));
            assert!(table.insert(Item { id: 7, value: 1, expires: 20 }, 1), "{early}");
        }
    }

    /// What was given back makes room in time.
    #[test]
    fn an_entry_that_expires_sooner_than_it_did_makes_room_sooner() {
        let max = 40;
        let mut table = Table::<Item>::new(max);
        for number in 1..=max as u64 {
            assert!(table.insert(Item { id: number << 50, value: 1, expires: 20 }, 0));
        }
        table.shorten(3 << 50, |item| item.expires = 2);
        assert!(!table.insert(Item { id: 7, value: 1, expires: 20 }, 1));
        assert!(table.insert(Item { id: 7, value: 1, expires: 20 }, 2));
    }

    #[test]
    fn a_swept_table_gives_memory_back() {
        let mut table = Table::<Item>::new(10_000);
        let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for number in 0..10_000 {
            assert!(table.insert(Item { id: spread(number), value: 1, expires: 10 }, 0));
        }
        assert!(!table.insert(Item { id: spread(10_001), value: 1, expires: 20 }, 9));
        let full = table.bytes();
        assert!(full < 10_000 * size_of::<Item>() * 3 / 2, "{full}");
        assert!(table.insert(Item { id: spread(10_001), value: 1, expires: 20 }, 10));
        assert_eq!(table.len(), 1);
        assert!(table.bytes() < full / 20);
        check_order(&table);
    }
}
