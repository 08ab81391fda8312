//! The model engine: a map in memory. Property tests compare the real engine with it.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::engine::{
    CommitError, CommitFuture, Engine, Pair, Precondition, RawBatch, Snapshot, StoreError, Write, span,
};

/// An engine that keeps everything in memory and forgets it when dropped.
#[derive(Default)]
pub struct MemoryEngine {
    map: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Engine for MemoryEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.map.lock().get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, StoreError> {
        let Some(span) = span(prefix, after) else { return Ok(Vec::new()) };
        let map = self.map.lock();
        Ok(map.range(span).take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
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

    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Box::new(self.map.lock().clone().into_iter().map(Ok)))
    }
}
