//! Events written down: the file that a server records, and that is replayed against another policy.
//!
//! ```text
//!   "LUGEREC1" │ length, 4 bytes │ header, JSON │ chunk │ chunk │ …
//!   chunk:  source │ count │ lost │ length │ events       numbers are LEB128
//!   event:  kind │ time since the one before │ request since the one before │ what its kind has more
//! ```
//!
//! Source 0 is the listener, worker n is n + 1. Chunks follow each other in the order of their writing, so that events
//! of different sources are in no order; within a chunk they are as their thread noted them. Differences are signed
//! (zigzag), and begin at the header's start and request 0 in every chunk: a chunk can be read without those before it.
//! An event takes some four to six bytes. `lost` events of the source were overwritten before they could be written.
//!
//! A file whose end is missing, as that of a server which was killed, is read up to its last whole chunk.

use std::fmt;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use crate::event::{Event, What};

const MAGIC: &[u8; 8] = b"LUGEREC1";

/// The source of the listener's events; worker n is source n + 1.
pub const LISTENER: u16 = 0;

/// Bytes of a header at most: of 65,535 routes with long names.
const HEADER_MAX_BYTES: u32 = 64 << 20;

/// Events of a chunk at most; what is more goes into another.
const CHUNK_EVENTS_MAX: usize = 1 << 20;

/// The longest number: of 64 bits, seven in each byte.
const NUMBER_MAX_BYTES: usize = 10;

/// Bytes of an event at least: its kind, and two numbers.
const EVENT_MIN_BYTES: usize = 3;

/// Bytes of an event at most: its kind, and four numbers.
const EVENT_MAX_BYTES: usize = 1 + 4 * NUMBER_MAX_BYTES;

/// What a recording is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of luge.
    pub luge: String,
    /// When it began, in nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// The same by the clock of the events.
    pub start_ns: u64,
    /// The number of workers.
    pub workers: u16,
    /// The policy, by name.
    pub scheduler: String,
    /// Its quantum.
    pub quantum_ns: u64,
    /// How guests were preempted: `signal`, `epoch` or `off`; `simulated` in a simulation.
    pub preemption: String,
    /// Which worker got a request, by name.
    pub dispatch: String,
    /// By index.
    pub tenants: Vec<Tenant>,
    /// By index.
    pub routes: Vec<Route>,
}

/// A tenant, as the policy knew it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Its share against those of the others.
    pub weight: u32,
    /// What it is owed in every period by all workers together; 0 without a reservation.
    pub budget_ns: u64,
    /// The period.
    pub period_ns: u64,
}

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Its path, as configured.
    pub name: String,
    /// Index of its tenant.
    pub tenant: u16,
    /// From a request's arrival to its deadline; none without one.
    pub deadline_ns: Option<u64>,
}

/// Events of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// [`LISTENER`], or a worker's index + 1.
    pub source: u16,
    /// How many events before these were overwritten.
    pub lost: u64,
    /// As they were noted.
    pub events: Vec<Event>,
}

/// Why a recording cannot be read.
#[derive(Debug)]
pub enum RecordingError {
    /// What reading said.
    Io(io::Error),
    /// It does not begin as a recording does.
    NoRecording,
    /// Its header is not what it should be.
    Header(String),
    /// A chunk (the first is 1) makes no sense.
    Chunk(u64),
}

impl fmt::Display for RecordingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NoRecording => write!(f, "is no recording: it does not begin with LUGEREC1"),
            Self::Header(why) => write!(f, "its header is damaged: {why}"),
            Self::Chunk(which) => write!(f, "its chunk {which} is damaged"),
        }
    }
}

impl std::error::Error for RecordingError {}

impl From<io::Error> for RecordingError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes a recording.
pub struct Writer<W> {
    out: W,
    start_ns: u64,
    /// Scratch: a chunk.
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    ///
    /// # Errors
    ///
    /// What `out` says.
    pub fn new(mut out: W, header: &Header) -> io::Result<Self> {
        let text = serde_json::to_vec(header)?;
        let length = u32::try_from(text.len()).ok();
        let length = length.filter(|length| *length <= HEADER_MAX_BYTES);
        let length = length.ok_or_else(|| io::Error::other("the header is too long"))?;
        out.write_all(MAGIC)?;
        out.write_all(&length.to_le_bytes())?;
        out.write_all(&text)?;
        Ok(Self {
            out,
            start_ns: header.start_ns,
            buffer: Vec::new(),
        })
    }

    /// Writes events of a source, and that so many before them were lost. Nothing if there is neither.
    ///
    /// # Errors
    ///
    /// What `out` says.
    pub fn write(&mut self, source: u16, mut lost: u64, events: &[Event]) -> io::Result<()> {
        if lost > 0 && events.is_empty() {
            return self.write_chunk(source, lost, events);
        }
        for events in events.chunks(CHUNK_EVENTS_MAX) {
            self.write_chunk(source, lost, events)?;
            lost = 0;
        }
        Ok(())
    }

    fn write_chunk(&mut self, source: u16, lost: u64, events: &[Event]) -> io::Result<()> {
        let buffer = &mut self.buffer;
        buffer.clear();
        let (mut at_ns, mut request) = (self.start_ns, 0);
        for event in events {
            let (kind, small, large) = event.what.parts();
            buffer.push(kind);
            push_number(buffer, zigzag(event.at_ns.wrapping_sub(at_ns)));
            push_number(buffer, zigzag(event.request.wrapping_sub(request)));
            if has_small(kind) {
                push_number(buffer, u64::from(small));
            }
            if has_large(kind) {
                push_number(buffer, large);
            }
            (at_ns, request) = (event.at_ns, event.request);
        }
        let mut head = Vec::with_capacity(4 * NUMBER_MAX_BYTES);
        for number in [
            u64::from(source),
            events.len() as u64,
            lost,
            buffer.len() as u64,
        ] {
            push_number(&mut head, number);
        }
        self.out.write_all(&head)?;
        self.out.write_all(&self.buffer)
    }

    /// What it writes to.
    pub fn sink(&self) -> &W {
        &self.out
    }

    /// Hands on what is buffered below.
    ///
    /// # Errors
    ///
    /// What `out` says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Whether events of this kind have a small number.
#[inline]
fn has_small(kind: u8) -> bool {
    matches!(kind, 0 | 1 | 3 | 10 | 11 | 12)
}

/// Whether events of this kind have a large number.
#[inline]
fn has_large(kind: u8) -> bool {
    kind == 0
}

/// A difference with its sign in the lowest bit, so that small ones are short.
#[inline]
fn zigzag(difference: u64) -> u64 {
    let signed = difference as i64;
    ((signed << 1) ^ (signed >> 63)) as u64
}

fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

#[inline]
fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A recording that was read as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// What it is of.
    pub header: Header,
    /// What was recorded, in the order of the file.
    pub chunks: Vec<Chunk>,
    /// Whether the end of the file is missing.
    pub is_truncated: bool,
}

/// Reads a recording as a whole, into memory.
///
/// # Errors
///
/// [`RecordingError`].
pub fn read(input: impl Read) -> Result<Whole, RecordingError> {
    let mut reader = Reader::new(input)?;
    let chunks = reader.by_ref().collect::<Result<Vec<_>, _>>()?;
    Ok(Whole {
        chunks,
        is_truncated: reader.is_truncated(),
        header: reader.header,
    })
}

/// Reads a recording, chunk by chunk.
pub struct Reader<R> {
    input: R,
    header: Header,
    chunks: u64,
    /// Nothing more is to be had.
    over: bool,
    truncated: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// [`RecordingError`].
    pub fn new(mut input: R) -> Result<Self, RecordingError> {
        let mut magic = [0; MAGIC.len()];
        match input.read_exact(&mut magic) {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error.into()),
            Ok(()) if magic == *MAGIC => {}
            _ => return Err(RecordingError::NoRecording),
        }
        let short = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => RecordingError::Header("its end is missing".into()),
            _ => RecordingError::Io(error),
        };
        let mut length = [0; 4];
        input.read_exact(&mut length).map_err(short)?;
        let length = u32::from_le_bytes(length);
        if length > HEADER_MAX_BYTES {
            return Err(RecordingError::Header(format!("it has {length} bytes")));
        }
        let mut text = Vec::new();
        let got = input.by_ref().take(u64::from(length));
        { got }.read_to_end(&mut text)?;
        if text.len() < length as usize {
            return Err(RecordingError::Header("its end is missing".into()));
        }
        let header = serde_json::from_slice(&text);
        let header = header.map_err(|error| RecordingError::Header(error.to_string()))?;
        Ok(Self {
            input,
            header,
            chunks: 0,
            over: false,
            truncated: false,
        })
    }

    /// What it is of.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether the end of the file is missing; known when the chunks are read.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    fn chunk(&mut self) -> Result<Option<Chunk>, RecordingError> {
        let Some(source) = self.number()? else {
            return Ok(None);
        };
        let numbers = [self.number()?, self.number()?, self.number()?];
        let [Some(count), Some(lost), Some(length)] = numbers else {
            return Ok(self.cut_off());
        };
        let source = u16::try_from(source).ok();
        let source = source.filter(|source| *source <= self.header.workers);
        let is_sound = count <= CHUNK_EVENTS_MAX as u64
            && (count * EVENT_MIN_BYTES as u64..=count * EVENT_MAX_BYTES as u64).contains(&length);
        let Some(source) = source.filter(|_| is_sound) else {
            return Err(self.damaged());
        };
        let mut bytes = Vec::new();
        let got = self.input.by_ref().take(length);
        { got }.read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < length {
            return Ok(self.cut_off());
        }
        let events = self.events(count, &bytes).ok_or(self.damaged())?;
        self.chunks += 1;
        Ok(Some(Chunk {
            source,
            lost,
            events,
        }))
    }

    fn cut_off(&mut self) -> Option<Chunk> {
        self.truncated = true;
        None
    }

    fn events(&self, count: u64, mut bytes: &[u8]) -> Option<Vec<Event>> {
        let mut events = Vec::with_capacity(count as usize);
        let (mut at_ns, mut request) = (self.header.start_ns, 0_u64);
        for _ in 0..count {
            let (&kind, rest) = bytes.split_first()?;
            bytes = rest;
            at_ns = at_ns.wrapping_add(unzigzag(take_number(&mut bytes)?));
            request = request.wrapping_add(unzigzag(take_number(&mut bytes)?));
            let small = match has_small(kind) {
                true => u16::try_from(take_number(&mut bytes)?).ok()?,
                false => 0,
            };
            let large = match has_large(kind) {
                true => take_number(&mut bytes)?,
                false => 0,
            };
            events.push(Event {
                at_ns,
                request,
                what: What::from_parts((kind, small, large))?,
            });
        }
        bytes.is_empty().then_some(events)
    }

    /// `None` at the end of the file, where it is cut off if that is within a number.
    fn number(&mut self) -> Result<Option<u64>, RecordingError> {
        let mut bytes = [0; NUMBER_MAX_BYTES];
        for at in 0..NUMBER_MAX_BYTES {
            match self.input.read_exact(&mut bytes[at..=at]) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.truncated |= at > 0;
                    return Ok(None);
                }
                read => read?,
            }
            if bytes[at] < 0x80 {
                // One that is too large is damage, and no end.
                let number = take_number(&mut &bytes[..=at]);
                return number.map(Some).ok_or(self.damaged());
            }
        }
        Err(self.damaged())
    }

    /// The chunk that is being read makes no sense.
    fn damaged(&self) -> RecordingError {
        RecordingError::Chunk(self.chunks + 1)
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Chunk, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let chunk = self.chunk().transpose();
        self.over = !matches!(chunk, Some(Ok(_)));
        chunk
    }
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..NUMBER_MAX_BYTES as u32).map(|at| at * 7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            return None;
        }
        number |= part << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::one_of_each;

    fn header() -> Header {
        Header {
            luge: "1".into(),
            start_ns: 1_000,
            workers: 2,
            routes: vec![Route {
                name: "/a".into(),
                tenant: 0,
                deadline_ns: Some(5),
            }],
            ..Header::default()
        }
    }

    fn chunks() -> Vec<Chunk> {
        let requests = [7, 0, u64::MAX, 1 << 40];
        let events = |seed: u64| {
            let each = (0..).zip(one_of_each());
            each.map(move |(at, what)| Event {
                // Neither in order nor after the start.
                at_ns: (seed + at).wrapping_mul(0x9e37_79b9_7f4a_7c15),
                request: requests[at as usize % 4],
                what,
            })
        };
        let chunk = |source, lost, seed| Chunk {
            source,
            lost,
            events: events(seed).collect(),
        };
        let nothing_but_loss = Chunk {
            events: Vec::new(),
            ..chunk(1, 3, 0)
        };
        vec![chunk(2, 0, 1), nothing_but_loss, chunk(0, u64::MAX, 2)]
    }

    fn written() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, &header()).expect("a vector takes all");
        for chunk in chunks() {
            let written = writer.write(chunk.source, chunk.lost, &chunk.events);
            written.expect("a vector takes all");
        }
        writer.write(1, 0, &[]).expect("there is nothing to write");
        bytes
    }

    fn read(bytes: &[u8]) -> Result<(Vec<Chunk>, bool), RecordingError> {
        let whole = super::read(bytes)?;
        assert_eq!(whole.header, header());
        Ok((whole.chunks, whole.is_truncated))
    }

    #[test]
    fn what_was_written_is_read() {
        let (read, truncated) = read(&written()).expect("a recording");
        assert_eq!(read, chunks());
        assert!(!truncated);
    }

    /// A server that is killed leaves any prefix.
    #[test]
    fn of_every_prefix_the_whole_chunks_are_read() {
        let whole = written();
        let mut counts = Vec::new();
        for length in 0..whole.len() {
            match read(&whole[..length]) {
                Ok((got, truncated)) => {
                    assert_eq!(got, chunks()[..got.len()]);
                    counts.push((got.len(), truncated));
                }
                Err(RecordingError::NoRecording | RecordingError::Header(_)) => {
                    assert!(counts.is_empty(), "{length}");
                }
                Err(error) => panic!("{length}: {error}"),
            }
        }
        // Between two chunks nothing tells that there were to be more.
        let ends = counts.iter().filter(|(_, truncated)| !truncated);
        let ends: Vec<usize> = ends.map(|&(count, _)| count).collect();
        assert_eq!(ends, [0, 1, 2]);
        assert!(counts.is_sorted_by_key(|&(count, _)| count));
    }

    /// Nothing that is changed makes a panic or an endless loop.
    #[test]
    fn damage_is_an_error_or_another_recording() {
        let whole = written();
        let body_at = whole.len() - 200;
        let mut damaged = 0;
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let read = Reader::new(&bytes[..])
                    .and_then(|reader| reader.collect::<Result<Vec<_>, _>>());
                damaged += u32::from(at >= body_at && read.is_err());
            }
        }
        assert!(damaged > 50, "{damaged}");
    }

    /// Else what comes after it would be left out, and nobody told.
    #[test]
    fn a_number_that_is_too_large_is_damage_and_no_end() {
        let whole = written();
        let nothing = {
            let mut bytes = Vec::new();
            Writer::new(&mut bytes, &header()).expect("a vector takes all");
            bytes.len()
        };
        let too_large = [&[0xff; 9][..], &[0x7f]].concat();
        for at in 0..4 {
            // The heads of the chunks begin with numbers of a byte each.
            let (before, after) = whole.split_at(nothing + at);
            let bytes = [before, &too_large, &after[1..]].concat();
            let error = read(&bytes).expect_err("a number of 70 bits");
            assert!(matches!(error, RecordingError::Chunk(1)), "{at}: {error}");
        }
    }

    #[test]
    fn what_is_no_recording_is_an_error() {
        let long = [&MAGIC[..], &u32::MAX.to_le_bytes()].concat();
        assert!(matches!(
            Reader::new(&long[..]),
            Err(RecordingError::Header(_))
        ));
        assert!(matches!(
            Reader::new(&b"{}"[..]),
            Err(RecordingError::NoRecording)
        ));
    }

    #[test]
    fn an_event_takes_few_bytes() {
        let whats = [
            What::Arrived {
                route: 3,
                expected_ns: 25_000,
            },
            What::Dispatched { worker: 0 },
            What::Taken,
            What::Resumed,
            What::Finished { status: 200 },
            What::Answered { status: 200 },
            What::Sent,
        ];
        let events = (0..7_000_u64).map(|at| Event {
            at_ns: 1_000 + at * 5_000,
            request: 1_000_000 + at / 7,
            what: whats[at as usize % 7],
        });
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, &header()).expect("a vector takes all");
        let events: Vec<_> = events.collect();
        writer.write(0, 0, &events).expect("a vector takes all");
        let each = bytes.len() as f64 / events.len() as f64;
        assert!(each < 6.0, "{each}");
    }
}
