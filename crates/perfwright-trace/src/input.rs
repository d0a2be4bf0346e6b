//! From a path to a [`Store`]: plain or gzip, mapped or streamed, from the cache or from the file.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use xxhash_rust::xxh3::Xxh3;

use crate::cache;
use crate::error::TraceError;
use crate::scan::cursor::MAX_DEPTH;
use crate::scan::document::{Document, Refused};
use crate::store::Store;

/// Files up to this size are read; larger ones are mapped.
const MAP_FROM: u64 = 1 << 20;
/// Most that is read from a pipe, which cannot be mapped, bytes.
const PIPE_LIMIT: u64 = 2 << 30;
/// Inflated text is scanned in blocks of this size, bytes.
const BLOCK: usize = 8 << 20;
/// Largest single event or metadata value that an inflating stream may hold back, bytes.
const CARRY_LIMIT: usize = 512 << 20;
/// A cache entry is written only for traces whose reading takes noticeable time, bytes of file.
const CACHE_FROM: u64 = 1 << 20;

/// How to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadOptions<'a> {
    /// Folder of the column cache; `None` neither reads nor writes one.
    pub cache_dir: Option<&'a Path>,
}

/// A trace and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// The columns.
    pub store: Store,
    /// The file.
    pub path: PathBuf,
    /// Size of the file, bytes.
    pub bytes: u64,
    /// True for gzip.
    pub compressed: bool,
    /// True when the columns came from the cache.
    pub from_cache: bool,
    /// Why the cache could not be used, if it was asked for and failed.
    pub cache_note: Option<String>,
}

/// Reads one trace file.
///
/// # Errors
/// [`TraceError`] when nothing can be read; a file that can be read in part is `Ok` with
/// [`Store::partial`] set.
pub fn read(path: &Path, options: ReadOptions<'_>) -> Result<Loaded, TraceError> {
    let io = |source| TraceError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let meta = file.metadata().map_err(io)?;
    let bytes = if meta.is_file() { Bytes::of(&file, meta.len()) } else { Bytes::of_pipe(&file, &meta) }
        .map_err(io)?;
    if !meta.is_file() && bytes.get().len() as u64 > PIPE_LIMIT {
        let what = "the text of a pipe (bytes)";
        return Err(TraceError::TooLarge { path: path.to_owned(), what, limit: PIPE_LIMIT });
    }
    let raw = bytes.get();
    let compressed = raw.starts_with(&[0x1f, 0x8b]);
    let mut loaded = Loaded {
        store: Store::default(),
        path: path.to_owned(),
        bytes: raw.len() as u64,
        compressed,
        from_cache: false,
        cache_note: None,
    };
    let entry = options.cache_dir.filter(|_| loaded.bytes >= CACHE_FROM).map(|dir| dir.join(key(raw)));
    if let Some(store) = entry.as_deref().and_then(|e| std::fs::read(e).ok()).and_then(|b| cache::decode(&b))
    {
        loaded.store = store;
        loaded.from_cache = true;
        return Ok(loaded);
    }
    loaded.store = if compressed { inflate(raw) } else { plain(raw) }.map_err(|e| e.at(path))?;
    if let Some(entry) = entry
        && let Err(e) = save(&entry, &cache::encode(&loaded.store))
    {
        loaded.cache_note = Some(format!("the cache entry {} was not written: {e}", entry.display()));
    }
    Ok(loaded)
}

/// Reads a trace from text in memory, plain or gzip.
///
/// # Errors
/// As [`read`]; the path in the error is `<memory>`.
pub fn read_text(text: &[u8]) -> Result<Store, TraceError> {
    read_memory(text).map(|loaded| loaded.store)
}

/// [`read_text`] with the facts that a file would have.
pub(crate) fn read_memory(text: &[u8]) -> Result<Loaded, TraceError> {
    let path = Path::new("<memory>");
    let compressed = text.starts_with(&[0x1f, 0x8b]);
    let store = if compressed { inflate(text) } else { plain(text) }.map_err(|e| e.at(path))?;
    let bytes = text.len() as u64;
    Ok(Loaded { store, path: path.to_owned(), bytes, compressed, from_cache: false, cache_note: None })
}

/// The bytes of a file, mapped or read.
enum Bytes {
    Mapped(memmap2::Mmap),
    Read(Vec<u8>),
}

impl Bytes {
    fn of(file: &File, len: u64) -> std::io::Result<Self> {
        if len < MAP_FROM {
            let mut buf = Vec::with_capacity(len as usize + 1);
            // A file that grew meanwhile is read to where it would have been mapped.
            file.take(MAP_FROM).read_to_end(&mut buf)?;
            return Ok(Bytes::Read(buf));
        }
        // SAFETY: the map is read-only and lives as long as `Bytes`. Another process that truncates the file
        // meanwhile can end this one with SIGBUS, as it can any program that maps files; no memory is corrupted
        // and nothing was written. Text that changes under the scanner is handled like any other bytes.
        #[expect(unsafe_code, reason = "mapping a file; gigabyte traces are not copied")]
        let map = unsafe { memmap2::Mmap::map(file)? };
        // Advice is only that: a file system that does not take it changes nothing.
        let _ = map.advise(memmap2::Advice::Sequential);
        Ok(Bytes::Mapped(map))
    }

    /// A pipe tells no size and ends by itself; a device such as `/dev/zero` never does.
    fn of_pipe(file: &File, meta: &std::fs::Metadata) -> std::io::Result<Self> {
        let most = if meta.file_type().is_char_device() { MAP_FROM } else { PIPE_LIMIT + 1 };
        let mut buf = Vec::new();
        file.take(most).read_to_end(&mut buf)?;
        Ok(Bytes::Read(buf))
    }

    fn get(&self) -> &[u8] {
        match self {
            Bytes::Mapped(m) => m,
            Bytes::Read(v) => v,
        }
    }
}

/// What stopped a text, before the path is known.
enum Stopped {
    Refused(Refused),
    Gzip(String),
    Carry,
}

impl Stopped {
    fn at(self, path: &Path) -> TraceError {
        let path = path.to_owned();
        match self {
            Stopped::Refused(Refused::Empty) => TraceError::Empty { path },
            Stopped::Refused(Refused::NotJson(offset, cause)) => {
                TraceError::NotJson { path, offset, cause: cause.to_owned() }
            }
            Stopped::Refused(Refused::NotTrace(cause)) => {
                TraceError::NotTrace { path, cause: cause.to_owned() }
            }
            Stopped::Refused(Refused::Deep(offset)) => TraceError::TooDeep { path, offset, limit: MAX_DEPTH },
            Stopped::Gzip(cause) => TraceError::Gzip { path, cause },
            Stopped::Carry => TraceError::TooLarge {
                path,
                what: "one event or metadata value (bytes)",
                limit: CARRY_LIMIT as u64,
            },
        }
    }
}

fn plain(text: &[u8]) -> Result<Store, Stopped> {
    let mut doc = Document::new();
    doc.feed(text, true).map_err(Stopped::Refused)?;
    doc.finish(text.len() as u64, None).map_err(Stopped::Refused)
}

/// The text of all gzip members, one after the other.
struct Members<'a> {
    gz: Option<GzDecoder<&'a [u8]>>,
    /// Bytes after the last member; padding with zeros does not count.
    trailing: u64,
}

impl<'a> Members<'a> {
    fn new(raw: &'a [u8]) -> Self {
        Self { gz: Some(GzDecoder::new(raw)), trailing: 0 }
    }
}

impl Read for Members<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        while let Some(gz) = &mut self.gz {
            let n = gz.read(buf)?;
            if n > 0 || buf.is_empty() {
                return Ok(n);
            }
            let rest = self.gz.take().map_or(&[][..], GzDecoder::into_inner);
            if rest.starts_with(&[0x1f, 0x8b]) {
                self.gz = Some(GzDecoder::new(rest));
            } else if rest.iter().any(|&b| b != 0) {
                self.trailing = rest.len() as u64;
            }
        }
        Ok(0)
    }
}

/// Inflates block by block, so that a small file that inflates to terabytes costs time but no memory.
fn inflate(raw: &[u8]) -> Result<Store, Stopped> {
    let mut gz = Members::new(raw);
    let mut doc = Document::new();
    let mut buf = vec![0u8; BLOCK];
    let mut held = 0; // bytes at the front of `buf` that wait for more
    let mut total = 0u64;
    loop {
        let mut filled = held;
        let mut failed = None;
        let mut ended = false;
        while filled < buf.len() {
            match gz.read(&mut buf[filled..]) {
                Ok(0) => {
                    ended = true;
                    break;
                }
                Ok(n) => filled += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => {
                    let before = total + (filled - held) as u64;
                    filled += rest_before_damage(raw, before, &mut buf[filled..]);
                    failed = Some(e);
                    break;
                }
            }
        }
        total += (filled - held) as u64;
        if let Some(e) = &failed
            && total == 0
        {
            return Err(Stopped::Gzip(e.to_string()));
        }
        let last = ended || failed.is_some();
        let used = doc.feed(&buf[..filled], last).map_err(Stopped::Refused)?;
        if last {
            let cut = failed
                .map(|e| format!("the gzip data is damaged or cut off after byte {total} of text ({e})"));
            let mut store = doc.finish(total, cut).map_err(Stopped::Refused)?;
            store.anomalies.trailing_bytes += gz.trailing;
            return Ok(store);
        }
        buf.copy_within(used..filled, 0);
        held = filled - used;
        if held > buf.len() / 2 {
            if buf.len() >= CARRY_LIMIT {
                return Err(Stopped::Carry);
            }
            buf.resize(buf.len() * 2, 0);
        }
    }
}

/// Inflates again what lies between byte `from` of the text and the damage: a read that fails gives nothing of what
/// it had inflated before it came to the damage, which can be half a megabyte of good text.
fn rest_before_damage(raw: &[u8], from: u64, out: &mut [u8]) -> usize {
    let mut gz = Members::new(raw);
    if std::io::copy(&mut gz.by_ref().take(from), &mut std::io::sink()).ok() != Some(from) {
        return 0;
    }
    // Byte by byte, since only reads that do not reach the damage give anything.
    out.iter_mut().map_while(|byte| gz.read(std::slice::from_mut(byte)).ok().filter(|n| *n == 1)).count()
}

/// The name of a cache entry: the content decides, not the path or the time.
fn key(raw: &[u8]) -> String {
    let mut h = Xxh3::new();
    h.update(env!("CARGO_PKG_VERSION").as_bytes());
    h.update(&(raw.len() as u64).to_le_bytes());
    h.update(raw);
    format!("{:032x}.columns", h.digest128())
}

/// Writes under a temporary name first: a reader sees a whole entry or none.
fn save(entry: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(dir) = entry.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let temporary = entry.with_extension(format!("tmp{}", std::process::id()));
    let written = std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, entry));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
