//! The model engine: a map in memory. Property tests compare the real engine with it.

use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::Mutex;

use super::engine::{CommitError, CommitFuture, Engine, Precondition, RawBatch, StoreError, Write};

/// An engine that keeps everything in memory and forgets it when dropped.
#[derive(Default)]
pub struct MemoryEngine {
    map: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Engine for MemoryEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.map.lock().get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: Option<&[u8]>,
        limit: usize,
        descending: bool,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let map = self.map.lock();
        let pair = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        let in_prefix = |(key, _): &(&Vec<u8>, &Vec<u8>)| key.starts_with(prefix);
        if descending {
            let upper = match from {
                Some(from) => Bound::Excluded(from.to_vec()),
                None => Bound::Unbounded,
            };
            Ok(map
                .range((Bound::Included(prefix.to_vec()), upper))
                .rev()
                .skip_while(|entry| !in_prefix(entry))
                .take_while(in_prefix)
                .take(limit)
                .map(pair)
                .collect())
        } else {
            let lower = match from {
                Some(from) if from >= prefix => Bound::Excluded(from.to_vec()),
                _ => Bound::Included(prefix.to_vec()),
            };
            Ok(map.range((lower, Bound::Unbounded)).take_while(in_prefix).take(limit).map(pair).collect())
        }
    }

    fn commit(&self, batch: RawBatch) -> CommitFuture {
        let mut map = self.map.lock();
        let holds = batch.preconditions.iter().all(|precondition| match precondition {
            Precondition::Absent(key) => !map.contains_key(key),
            Precondition::Equals(key, value) => map.get(key) == Some(value),
        });
        if !holds {
            return Box::pin(std::future::ready(Err(CommitError::Conflict)));
        }
        for write in batch.writes {
            match write {
                Write::Put(key, value) => map.insert(key, value),
                Write::Remove(key) => map.remove(&key),
            };
        }
        for update in batch.after {
            update();
        }
        Box::pin(std::future::ready(Ok(())))
    }
}
