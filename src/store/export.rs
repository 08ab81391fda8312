//! Export format v2: what snapshots and restore are made of. It does not depend on the engine.
//!
//! UTF-8, one JSON object a line:
//! ```text
//! {"format":"doorward-export","version":2,"created":"…","app":"0.1.0","schema":1,"instance":"…","key":"0a1b2c3d"}
//! {"t":"user","k":"<row, base64url>","v":"<stored value, base64url>"}
//! {"end":true,"counts":{"user":123},"left_out":0,"sha256":"<hex, of every byte before this line>","mac":"<hex>"}
//! ```
//! `key` is the fingerprint of the master key. `mac` is HMAC-SHA256 of the last line with an empty `mac`, under a key that
//! is derived from the master key for this alone: users, roles and rules are readable in an export, and whoever can write
//! one must not make themselves an owner by it (BAK-02). Version 1 had neither.
//!
//! Lines are in key order. Values are copied as they are stored, so what is sealed stays sealed with the master key.
//! Rows of the expiry index have `"t":"expiry"` and their whole key after its tag.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Read as _, Write};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::check::{self, Soundness};
use super::engine::{Pair, StoreError};
use super::tables::{EXPIRY_TAG, Table};
use crate::crypto::sealed::Sealer;
use crate::kernel::ids::InstanceId;
use crate::kernel::secret::ct_eq;
use crate::kernel::time::Timestamp;

const FORMAT: &str = "doorward-export";
const VERSION: u32 = 2;
/// The version that proves nothing of who wrote it.
const UNSIGNED: u32 = 1;
/// The name of the expiry index in exports.
pub(super) const EXPIRY: &str = "expiry";
/// No line is longer: the largest pair in base64 with its frame, and room for a header of later versions.
const LONGEST_LINE: u64 = 16 * 1024;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    format: String,
    version: u32,
    /// When it was made (RFC 3339).
    pub created: String,
    /// The version of the program that made it.
    pub app: String,
    /// The schema of its records.
    pub schema: u32,
    /// The installation that it belongs to.
    pub instance: String,
    /// The fingerprint of its master key.
    #[serde(default)]
    key: String,
}

impl Header {
    /// Returns the fingerprint of the master key that it was made under.
    pub fn key_fingerprint(&self) -> &str {
        &self.key
    }

    pub(super) fn new(created: Timestamp, schema: u32, instance: InstanceId, key: &str) -> Self {
        Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            created: created.to_rfc3339(),
            app: env!("CARGO_PKG_VERSION").to_owned(),
            schema,
            instance: instance.to_string(),
            key: key.to_owned(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    t: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    k: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    v: std::borrow::Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct End {
    end: bool,
    counts: BTreeMap<String, u64>,
    left_out: u64,
    sha256: String,
    #[serde(default)]
    mac: String,
}

impl End {
    /// Returns what a holder of the master key writes as `mac`.
    fn mac(&self, sealer: &Sealer) -> Result<[u8; 32], ExportError> {
        let End { end, counts, left_out, sha256, .. } = self;
        let (counts, sha256) = (counts.clone(), sha256.clone());
        let unsigned = End { end: *end, counts, left_out: *left_out, sha256, mac: String::new() };
        Ok(sealer.export_mac(json(&unsigned)?.as_bytes()))
    }

    fn is_authentic(&self, sealer: Option<&Sealer>) -> Result<bool, ExportError> {
        let Some(sealer) = sealer else { return Ok(false) };
        let claimed = HEXLOWER.decode(self.mac.as_bytes()).unwrap_or_default();
        Ok(ct_eq(&claimed, &self.mac(sealer)?))
    }
}

/// Records by table.
pub type Counts = BTreeMap<String, u64>;

/// Why an export cannot be read or is not whole.
#[derive(Debug)]
pub enum ExportError {
    /// The file could not be read or written.
    Io(io::Error),
    /// The store could not be read.
    Store(StoreError),
    /// The text is not an export, or a line of it (counted from 1) is damaged.
    Malformed {
        /// The line.
        line: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A table that this program does not know.
    UnknownTable(String),
    /// The end line is missing: the file was cut off.
    CutOff,
    /// The end line does not fit what is before it.
    WrongHash,
    /// It is whole, but nobody who has the master key wrote it so.
    NotAuthentic,
    /// It was made under another master key, of this fingerprint.
    OtherKey(String),
    /// It is from before exports were signed.
    Unsigned,
    /// The records were written by a newer program.
    NewerSchema(u32),
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExportError::Io(error) => error.fmt(f),
            ExportError::Store(error) => error.fmt(f),
            ExportError::Malformed { line, why } => write!(f, "line {line}: {why}"),
            ExportError::UnknownTable(name) => write!(f, "it holds records of an unknown kind ({name})"),
            ExportError::CutOff => f.write_str("it is cut off: the end line is missing"),
            ExportError::WrongHash => f.write_str("its checksum does not fit its contents"),
            ExportError::NotAuthentic => {
                f.write_str("its signature does not fit its contents: somebody has changed it. Take another one")
            }
            ExportError::OtherKey(key) => write!(
                f,
                "it was made under another master key (fingerprint {key}). Bring the key file of the installation that \
                 made it along, in place of the one here, and try again"
            ),
            ExportError::Unsigned => f.write_str(
                "it is from before exports were signed, so nothing proves who wrote it. Make a new one with this \
                 version; or, if you are sure where it comes from, add --salvage, and check administrators and access \
                 rules afterwards",
            ),
            ExportError::NewerSchema(schema) => {
                write!(
                    f,
                    "it was written by a newer Doorward (schema {schema}); install that version or a later one"
                )
            }
        }
    }
}

impl std::error::Error for ExportError {}

impl From<io::Error> for ExportError {
    fn from(error: io::Error) -> Self {
        ExportError::Io(error)
    }
}

impl From<StoreError> for ExportError {
    fn from(error: StoreError) -> Self {
        ExportError::Store(error)
    }
}

/// Writes an export of `pairs` to `out` and returns the counts. The end line comes last, so a file without it is
/// known to be cut off. Values that are damaged or do not open with `sealer` are left out, logged and counted.
///
/// # Errors
/// If a pair cannot be read or written; the text is then without an end line.
pub fn write(
    out: &mut dyn Write,
    header: &Header,
    pairs: impl Iterator<Item = Result<Pair, StoreError>>,
    sealer: &Sealer,
) -> Result<Counts, ExportError> {
    let mut hash = Sha256::new();
    let mut counts = Counts::new();
    let mut put = |line: String| {
        hash.update(line.as_bytes());
        out.write_all(line.as_bytes())
    };
    let mut left_out = 0;
    put(json(header)?)?;
    for pair in pairs {
        let (key, value) = pair?;
        let (Some((name, row)), Soundness::Sound) =
            (name_of(&key), check::soundness(&key, &value, Some(sealer)))
        else {
            left_out += 1;
            continue;
        };
        let row = BASE64URL_NOPAD.encode(row);
        let value = BASE64URL_NOPAD.encode(&value);
        put(json(&Line { t: name.into(), k: row.into(), v: value.into() })?)?;
        match counts.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                counts.insert(name.to_owned(), 1);
            }
        }
    }
    if left_out > 0 {
        tracing::error!(left_out, "damaged values were left out of an export");
    }
    let sha256 = HEXLOWER.encode(&hash.finalize());
    let mut end = End { end: true, counts: counts.clone(), left_out, sha256, mac: String::new() };
    end.mac = HEXLOWER.encode(&end.mac(sealer)?);
    out.write_all(json(&end)?.as_bytes())?;
    out.flush()?;
    Ok(counts)
}

fn json(value: &impl Serialize) -> Result<String, ExportError> {
    let mut line = serde_json::to_string(value).map_err(io::Error::from)?;
    line.push('\n');
    Ok(line)
}

fn name_of(key: &[u8]) -> Option<(&'static str, &[u8])> {
    let (tag, row) = key.split_first()?;
    if *tag == EXPIRY_TAG { Some((EXPIRY, row)) } else { Table::by_tag(*tag).map(|table| (table.name, row)) }
}

fn tag_of(name: &str) -> Option<u8> {
    if name == EXPIRY { Some(EXPIRY_TAG) } else { Table::by_name(name).map(|table| table.tag) }
}

/// How forgiving a reader is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leniency {
    /// Keeps every record that is sound in itself, even if others are damaged, out of order or missing, and whoever
    /// wrote them.
    pub salvage: bool,
    /// Leaves out records of unknown tables.
    pub skip_unknown: bool,
}

/// What a reader found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// Records that were kept, by table.
    pub counts: Counts,
    /// Lines that were left out because they are damaged; only with [`Leniency::salvage`].
    pub damaged: u64,
    /// Records of unknown tables that were left out.
    pub unknown: u64,
    /// Values that were damaged in the store already when the export was made, and are not in it.
    pub left_out: u64,
    /// Whether the end line was there and fits.
    pub is_whole: bool,
    /// Whether it is whole and was proven to be written by a holder of the master key.
    pub is_authentic: bool,
}

/// Reads an export from its header on.
pub struct Reader<R> {
    input: R,
    header: Header,
    leniency: Leniency,
    hash: Sha256,
    line: u64,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// If this is no export.
    pub fn new(input: R, leniency: Leniency) -> Result<Self, ExportError> {
        let mut reader = Reader {
            input,
            header: Header::new(Timestamp::ZERO, 0, InstanceId([0; 16]), ""),
            leniency,
            hash: Sha256::new(),
            line: 0,
        };
        let line = reader.next_line()?.ok_or(ExportError::CutOff)?;
        reader.hash.update(&line);
        let header: Header = serde_json::from_slice(&line)
            .map_err(|_| ExportError::Malformed { line: 1, why: "this is not a Doorward export" })?;
        if header.format != FORMAT {
            return Err(ExportError::Malformed { line: 1, why: "this is not a Doorward export" });
        }
        if header.version == UNSIGNED && !leniency.salvage {
            return Err(ExportError::Unsigned);
        }
        if header.version != VERSION && header.version != UNSIGNED {
            return Err(ExportError::Malformed {
                line: 1,
                why: "this version of the export format is not known",
            });
        }
        reader.header = header;
        Ok(reader)
    }

    /// Refuses an export whose records this program does not know.
    ///
    /// # Errors
    /// [`ExportError::NewerSchema`].
    pub fn require_known_schema(self) -> Result<Self, ExportError> {
        if self.header.schema > super::meta::SCHEMA_VERSION {
            return Err(ExportError::NewerSchema(self.header.schema));
        }
        Ok(self)
    }

    /// The first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads to the end, checks every value (with `sealer`, also that sealed ones open and that a holder of the master
    /// key wrote all of it) and gives each sound pair to `take`. That it is authentic is known at the end alone.
    ///
    /// # Errors
    /// At the first fault, unless the reader is lenient about it; and whatever `take` returns.
    pub fn read(
        mut self,
        sealer: Option<&Sealer>,
        take: &mut dyn FnMut(Vec<u8>, Vec<u8>) -> Result<(), ExportError>,
    ) -> Result<ReadReport, ExportError> {
        self.require_own_key(sealer)?;
        let mut report = ReadReport::default();
        let mut last_key: Option<Vec<u8>> = None;
        loop {
            let line = match self.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(ExportError::Malformed { .. }) if self.leniency.salvage => {
                    report.damaged += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Ok(end) = serde_json::from_slice::<End>(&line) {
                let hash = HEXLOWER.encode(&self.hash.clone().finalize());
                let fits =
                    end.end && end.sha256 == hash && (report.unknown > 0 || end.counts == report.counts);
                report.left_out = end.left_out;
                report.is_whole = fits && self.next_line()?.is_none();
                report.is_authentic = report.is_whole && end.is_authentic(sealer)?;
                if !report.is_whole && !self.leniency.salvage {
                    return Err(ExportError::WrongHash);
                }
                if sealer.is_some() && !report.is_authentic && !self.leniency.salvage {
                    return Err(ExportError::NotAuthentic);
                }
                return Ok(report);
            }
            self.hash.update(&line);
            match self.parse(&line, sealer) {
                Ok((name, key, value)) => {
                    if last_key.as_ref().is_some_and(|last| *last >= key) && !self.leniency.salvage {
                        return Err(self.malformed("the records are out of order"));
                    }
                    last_key = Some(key.clone());
                    take(key, value)?;
                    match report.counts.get_mut(&name) {
                        Some(count) => *count += 1,
                        None => {
                            report.counts.insert(name, 1);
                        }
                    }
                }
                Err(ExportError::UnknownTable(_)) if self.leniency.skip_unknown || self.leniency.salvage => {
                    report.unknown += 1;
                }
                Err(_) if self.leniency.salvage => report.damaged += 1,
                Err(error) => return Err(error),
            }
        }
        if self.leniency.salvage { Ok(report) } else { Err(ExportError::CutOff) }
    }

    fn require_own_key(&self, sealer: Option<&Sealer>) -> Result<(), ExportError> {
        match sealer {
            Some(sealer)
                if self.header.version != UNSIGNED && self.header.key != sealer.key_fingerprint() =>
            {
                Err(ExportError::OtherKey(self.header.key.chars().filter(char::is_ascii_hexdigit).collect()))
            }
            _ => Ok(()),
        }
    }

    fn parse(&self, line: &[u8], sealer: Option<&Sealer>) -> Result<(String, Vec<u8>, Vec<u8>), ExportError> {
        let line: Line<'_> =
            serde_json::from_slice(line).map_err(|_| self.malformed("this is not a record"))?;
        let tag = tag_of(&line.t).ok_or_else(|| ExportError::UnknownTable(line.t.to_string()))?;
        let decode = |text: &str| {
            BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| self.malformed("this is not base64url"))
        };
        let mut key = vec![tag];
        key.extend_from_slice(&decode(&line.k)?);
        let value = decode(&line.v)?;
        match check::soundness(&key, &value, sealer) {
            Soundness::Sound => Ok((line.t.into_owned(), key, value)),
            Soundness::UnknownTable => Err(ExportError::UnknownTable(line.t.into_owned())),
            Soundness::Damaged => Err(self.malformed("the value does not pass its checksum")),
            Soundness::DoesNotOpen => Err(self.malformed("the value does not open with this master key")),
        }
    }

    fn malformed(&self, why: &'static str) -> ExportError {
        ExportError::Malformed { line: self.line, why }
    }

    /// Returns the next line with its line end; `None` at the end of the text.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, ExportError> {
        self.line += 1;
        let mut line = Vec::new();
        self.input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') {
            let is_long = line.len() as u64 == LONGEST_LINE;
            // Skips the rest, so that a salvage goes on at the next line.
            while is_long && !self.skip_to_line_end()? {}
            return Err(if is_long {
                self.malformed("the line is too long")
            } else {
                self.malformed("the line is cut off")
            });
        }
        Ok(Some(line))
    }

    fn skip_to_line_end(&mut self) -> Result<bool, ExportError> {
        let mut rest = Vec::new();
        self.input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut rest)?;
        Ok(rest.is_empty() || rest.last() == Some(&b'\n'))
    }
}

/// Reads an export whole and keeps nothing: this is how one is verified.
///
/// # Errors
/// As [`Reader::read`].
pub fn verify(input: impl BufRead, sealer: Option<&Sealer>) -> Result<(Header, ReadReport), ExportError> {
    let reader = Reader::new(input, Leniency::default())?;
    let header = reader.header().clone();
    let report = reader.read(sealer, &mut |_, _| Ok(()))?;
    Ok((header, report))
}
