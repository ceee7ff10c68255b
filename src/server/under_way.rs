//! What the listener's thread keeps of every request that is under way, beside the request itself: the capacity that
//! it holds, and who has it.
//!
//! An exchange carries the number of its entry. Entries are reused, the last one first, so that a warm table does not
//! grow.

use listener::ConnectionKey;
use sched::admission::Receipt;

/// One request that was admitted and has not come back.
pub(super) struct Entry {
    pub receipt: Receipt,
    /// Names the request: numbers of entries are used again.
    pub sequence: u64,
    pub connection: ConnectionKey,
    /// Who has it; `None`: it waits at the dispatcher.
    pub worker: Option<u16>,
}

/// See the module's text.
#[derive(Default)]
pub(super) struct UnderWay {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
}

impl UnderWay {
    /// Enters a request; the number of its entry.
    pub fn enter(&mut self, entry: Entry) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() as u32 - 1
        });
        self.entries[number as usize] = Some(entry);
        number
    }

    /// Takes out a request that is over.
    ///
    /// # Panics
    ///
    /// If it is not there.
    pub fn leave(&mut self, number: u32) -> Entry {
        let entry = self.entries[number as usize].take();
        self.free.push(number);
        entry.expect("a request leaves once")
    }

    /// The request of this number, if it still is that one.
    pub fn entry(&mut self, number: u32, sequence: u64) -> Option<&mut Entry> {
        let entry = self.entries[number as usize].as_mut();
        entry.filter(|entry| entry.sequence == sequence)
    }

    /// The request of a client. A search: clients rarely go away.
    pub fn of_client(&self, connection: ConnectionKey) -> Option<&Entry> {
        let mut entries = self.entries.iter().flatten();
        entries.find(|entry| entry.connection == connection)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.entries.len() - self.free.len()
    }
}
