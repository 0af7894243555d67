//! An operator that remembers its products.
//!
//! A key design decision: a job is resumed by running it again from its start, with the products that were already made taken from the
//! journal. All else that a job does is cheap and follows from them, so that the bits are the same by construction, whatever the job,
//! and no solver knows of it. Where a job has a result for which it needs the products no more, it says so
//! ([`LinearOperator::milestone`]), and the result takes their place; so does the state of a search at each of its restarts
//! ([`LinearOperator::supersede`]).
//!
//! Outputs stay where they are made until [`ROOM`] of them are fetched at once, or the interval is over: a device runs ahead of the host
//! as it does without a journal. Beside each output the journal keeps a digest of the input's scalar product with a random vector, made
//! where the vectors live as well: by it a run that goes another way than the one before is found out, and ends with an error.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::identity::Identity;
use super::log::{Head, Log, Stored, write_whole};
use super::{IDENTITY, State};
use crate::curvature::{BackendInfo, CurvatureOperator, KernelTime, Peaks, Resumed};
use crate::error::{Error, Result};
use crate::krylov::{Block, LanczosSeconds, LinearOperator, Mark, Scalars, Slot, VectorSpace as _};
use crate::numeric::{Precision, Real as _};
use crate::rng::Distribution;

/// Outputs that are fetched at once.
const ROOM: usize = 8;

/// Vectors that the journal keeps for each column: the outputs, and the random vector.
pub(super) const VECTORS: usize = ROOM + 1;

/// The random vector's seed: any will do.
const SEED: u64 = 0x6865_7370_6572;

const PRODUCT: u64 = 0;
const RESULT: u64 = 1;

/// `operator`, with a journal where there is a state to keep.
pub(super) struct Journal<'a, A: CurvatureOperator> {
    operator: &'a A,
    book: Option<RefCell<Book<A>>>,
}

struct Book<A: CurvatureOperator> {
    folder: PathBuf,
    identity: Identity,
    interval: Duration,
    /// None where it could not be written: the job goes on without.
    log: Option<Log>,
    /// The identity as it was last written.
    written: Option<Value>,
    /// What an earlier run has left and this one has not come to yet.
    replay: VecDeque<Stored>,
    /// Of the next record.
    place: u64,
    pending: Option<Pending<A>>,
    /// Of the earlier runs.
    resumed: Resumed,
    /// Products that were not made but taken from the state.
    answered: u64,
    /// Readbacks of the journal's own, and those of results that were taken from the state.
    own_readbacks: u64,
    skipped_readbacks: u64,
    started: Instant,
    saved: Instant,
}

/// Products whose outputs have not been fetched, or whose inputs have not been compared yet; all of one width.
struct Pending<A: CurvatureOperator> {
    columns: usize,
    random: Block<A>,
    /// The inputs' scalar products with it, a row each.
    along: Scalars<A>,
    /// One for each row that has had a product made.
    outputs: Vec<Option<Block<A>>>,
    entries: Vec<Entry>,
}

/// One of them: a product that was made, or the mark of one that was taken from the state.
struct Entry {
    place: u64,
    expected: Option<u64>,
}

impl<'a, A: CurvatureOperator> Journal<'a, A> {
    /// `operator` with the journal of `state`, from where an earlier run left it.
    ///
    /// # Errors
    /// [`Error::Input`] where the earlier run was on another device, [`Error::File`] where the folder cannot be written.
    pub(super) fn new(operator: &'a A, state: Option<&State>) -> Result<Self> {
        let book = state.map(|state| Book::open(state, &operator.info())).transpose()?.map(RefCell::new);
        Ok(Self { operator, book })
    }

    /// Ends the job: all that an earlier run left must have been used and found the same.
    ///
    /// # Errors
    /// [`Error::Input`] where it was not; device failure.
    pub(super) fn finish(&self) -> Result<()> {
        let Some(book) = &self.book else { return Ok(()) };
        let mut book = book.borrow_mut();
        book.settle(self.operator, 0)?;
        if book.replay.is_empty() { Ok(()) } else { Err(book.diverged(book.place)) }
    }

    fn now(&self, book: &RefCell<Book<A>>) -> Mark {
        Mark { place: book.borrow().place, products: self.products(), readbacks: self.readbacks() }
    }

    /// Puts `value` in the place of all that was done from `since` to `now`.
    fn replace<T: Serialize>(&self, book: &RefCell<Book<A>>, name: &str, since: Mark, now: Mark, value: &T) -> Result<()> {
        let mut content = Vec::new();
        ciborium::into_writer(value, &mut content).map_err(|error| Error::Input(format!("{name}: {error}")))?;
        let counts = (now.products - since.products, now.readbacks - since.readbacks);
        let mut book = book.borrow_mut();
        book.settle(self.operator, since.place)?;
        book.append(RESULT, since.place, xxh3_64(name.as_bytes()), counts, &content);
        book.place = since.place + 1;
        book.save(self.operator)
    }

    fn vector_bytes(&self) -> usize {
        self.operator.space().dim() * self.operator.space().precision().bytes()
    }
}

impl<A: CurvatureOperator> Book<A> {
    fn open(state: &State, info: &BackendInfo) -> Result<Self> {
        let (log, replay) = match state.saved.take() {
            Some((log, records, then)) => {
                state.compare(info, then)?;
                (log, VecDeque::from(records))
            }
            None => (state.begin()?, VecDeque::new()),
        };
        let products = replay.iter().map(|record| record.head.products).sum();
        let seconds = replay.iter().map(|record| record.head.seconds).fold(0.0, f64::max);
        let now = Instant::now();
        Ok(Self {
            folder: state.folder.clone(),
            identity: state.identity.clone(),
            interval: state.interval,
            log: Some(log),
            written: None,
            replay,
            place: 0,
            pending: None,
            resumed: Resumed { products, seconds },
            answered: 0,
            own_readbacks: 0,
            skipped_readbacks: 0,
            started: now,
            saved: now,
        })
    }

    fn diverged(&self, place: u64) -> Error {
        Error::Input(format!(
            "{}: record {place} is of another course than this run takes: program, driver or processor have changed; start anew without \
             --resume",
            self.folder.display()
        ))
    }

    /// What could not be read or written.
    fn failed(&self, error: io::Error) -> Error {
        Error::file(&self.folder, error)
    }

    /// The saved product of `x`, if there is one.
    fn answer(&mut self, operator: &A, x: &Block<A>, y: &mut Block<A>) -> Result<bool> {
        let Some(record) = self.replay.pop_front() else { return Ok(false) };
        let space = operator.space();
        let columns = space.columns(x);
        let content = record.content().map_err(|error| self.failed(error))?;
        let values = decoded(&content, space.precision());
        if record.head.kind != PRODUCT || record.head.products != columns as u64 || values.len() != columns * space.dim() {
            return Err(self.diverged(self.place));
        }
        space.upload(&values, y)?;
        self.answered += columns as u64;
        self.note(operator, x, Some(record.head.mark))?;
        if self.replay.is_empty() {
            self.settle(operator, u64::MAX)?;
        }
        Ok(true)
    }

    /// Takes up a product with `x`, whose output is the last one to be fetched where nothing is expected of it.
    fn note(&mut self, operator: &A, x: &Block<A>, expected: Option<u64>) -> Result<()> {
        let space = operator.space();
        let pending = self.pending_of(operator, space.columns(x))?;
        let row = Slot(pending.entries.len());
        space.dot(x, &pending.random, &mut pending.along, row)?;
        let place = self.place;
        self.place += 1;
        if let Some(pending) = &mut self.pending {
            pending.entries.push(Entry { place, expected });
        }
        Ok(())
    }

    /// Room for one more product of `columns` columns.
    fn pending_of(&mut self, operator: &A, columns: usize) -> Result<&mut Pending<A>> {
        if self.pending.as_ref().is_some_and(|pending| pending.columns != columns || pending.entries.len() == ROOM) {
            self.settle(operator, u64::MAX)?;
        }
        let space = operator.space();
        let pending = match self.pending.take().filter(|pending| pending.columns == columns) {
            Some(pending) => pending,
            None => {
                let mut random = space.block(columns)?;
                space.fill(&mut random, Distribution::Rademacher, SEED, 0)?;
                Pending { columns, random, along: space.scalars(ROOM, columns)?, outputs: Vec::new(), entries: Vec::new() }
            }
        };
        Ok(self.pending.insert(pending))
    }

    /// Copies a product that was made to where it waits.
    fn keep(&mut self, operator: &A, x: &Block<A>, y: &Block<A>) -> Result<()> {
        let space = operator.space();
        let pending = self.pending_of(operator, space.columns(x))?;
        let at = pending.entries.len();
        if pending.outputs.len() <= at {
            pending.outputs.resize_with(at, || None);
            pending.outputs.push(Some(space.block(pending.columns)?));
        }
        let output = match &mut pending.outputs[at] {
            Some(output) => output,
            none => none.insert(space.block(pending.columns)?),
        };
        space.copy(y, output)?;
        self.note(operator, x, None)
    }

    /// Compares what was taken from the state, and appends what was made to the log where its place is below `end`.
    fn settle(&mut self, operator: &A, end: u64) -> Result<()> {
        let Some(mut pending) = self.pending.take() else { return Ok(()) };
        let space = operator.space();
        let wanted = |entry: &Entry| entry.expected.is_some() || entry.place < end;
        if pending.entries.iter().any(wanted) {
            let before = space.readbacks();
            let along = space.read(&pending.along)?;
            for (row, entry) in pending.entries.iter().enumerate().filter(|(_, entry)| wanted(entry)) {
                let mark = xxh3_64(bytemuck::cast_slice(&along[row * pending.columns..(row + 1) * pending.columns]));
                match (entry.expected, &pending.outputs.get(row)) {
                    (Some(expected), _) if expected != mark => return Err(self.diverged(entry.place)),
                    (None, Some(Some(output))) => {
                        let content = encoded(&space.download(output)?, space.precision());
                        self.append(PRODUCT, entry.place, mark, (pending.columns as u64, 0), &content);
                    }
                    _ => {}
                }
            }
            self.own_readbacks += space.readbacks() - before;
        }
        pending.entries.clear();
        self.pending = Some(pending);
        Ok(())
    }

    fn append(&mut self, kind: u64, place: u64, mark: u64, (products, readbacks): (u64, u64), content: &[u8]) {
        let seconds = self.resumed.seconds + self.started.elapsed().as_secs_f64();
        let head = Head { place, kind, mark, products, readbacks, seconds, length: content.len() as u64 };
        self.attempt(|log| log.append(head, content));
    }

    /// Writing the state must not end the job that it is for: a log that fails is told and given up; what it has saved stays.
    fn attempt(&mut self, write: impl FnOnce(&mut Log) -> io::Result<()>) {
        if let Some(Err(error)) = self.log.as_mut().map(write) {
            tracing::warn!("{}: {error}: the state cannot be written any more, the job goes on without", self.folder.display());
            if let Some(log) = self.log.take() {
                log.abandon();
            }
        }
    }

    /// Makes everything safe, once an interval.
    fn save(&mut self, operator: &A) -> Result<()> {
        if self.saved.elapsed() < self.interval || self.log.is_none() {
            return Ok(());
        }
        self.settle(operator, u64::MAX)?;
        // The tiles of a GPU are known for all shapes only when each has been used.
        let identity = self.identity.on(&operator.info());
        if self.written.as_ref() != Some(&identity) {
            let path = self.folder.join(IDENTITY);
            self.attempt(|_| write_whole(&path, format!("{identity:#}").as_bytes()));
            self.written = Some(identity);
        }
        self.attempt(Log::save);
        self.saved = Instant::now();
        Ok(())
    }

    /// The saved result `name`, if it is next.
    fn recall<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>> {
        let mark = xxh3_64(name.as_bytes());
        let is_next = self.replay.front().is_some_and(|record| record.head.kind == RESULT && record.head.mark == mark);
        let Some(record) = is_next.then(|| self.replay.pop_front()).flatten() else { return Ok(None) };
        let content = record.content().map_err(|error| self.failed(error))?;
        let value = ciborium::from_reader(&content[..]).map_err(|_| self.diverged(self.place))?;
        self.place += 1;
        self.answered += record.head.products;
        self.skipped_readbacks += record.head.readbacks;
        Ok(Some(value))
    }
}

impl<A: CurvatureOperator> LinearOperator for Journal<'_, A> {
    type Space = A::Space;

    fn space(&self) -> &A::Space {
        self.operator.space()
    }

    fn apply(&self, x: &Block<Self>, y: &mut Block<Self>) -> Result<()> {
        let Some(book) = &self.book else { return self.operator.apply(x, y) };
        let mut book = book.borrow_mut();
        if book.answer(self.operator, x, y)? {
            return Ok(());
        }
        self.operator.apply(x, y)?;
        book.keep(self.operator, x, y)?;
        book.save(self.operator)
    }

    fn under_way(&self) -> u64 {
        self.operator.under_way()
    }

    fn milestone<T: Serialize + DeserializeOwned>(&self, name: &'static str, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let Some(book) = &self.book else { return make() };
        if let Some(value) = book.borrow_mut().recall(name)? {
            return Ok(value);
        }
        let since = self.now(book);
        let value = make()?;
        self.replace(book, name, since, self.now(book), &value)?;
        Ok(value)
    }

    fn begin<T: DeserializeOwned>(&self, name: &'static str) -> Result<(Mark, Option<T>)> {
        let Some(book) = &self.book else { return Ok((Mark::default(), None)) };
        let now = self.now(book);
        let state = book.borrow_mut().recall(name)?;
        Ok((now, state))
    }

    fn supersede<T: Serialize>(&self, name: &'static str, since: Mark, state: impl FnOnce() -> Result<T>) -> Result<()> {
        let Some(book) = &self.book else { return Ok(()) };
        let (now, before) = (self.now(book), self.operator.space().readbacks());
        let state = state()?;
        book.borrow_mut().own_readbacks += self.operator.space().readbacks() - before;
        self.replace(book, name, since, now, &state)
    }
}

impl<A: CurvatureOperator> CurvatureOperator for Journal<'_, A> {
    fn loss_and_gradient(&self, gradient: &mut Block<Self>, s: &mut Scalars<Self>, loss: Slot) -> Result<()> {
        self.operator.loss_and_gradient(gradient, s, loss)
    }

    fn loss_at(&self, parameters: &[f64]) -> Result<Option<f64>> {
        self.operator.loss_at(parameters)
    }

    fn products(&self) -> u64 {
        self.operator.products() + self.book.as_ref().map_or(0, |book| book.borrow().answered)
    }

    fn readbacks(&self) -> u64 {
        let of = |book: &RefCell<Book<A>>| (book.borrow().skipped_readbacks, book.borrow().own_readbacks);
        let (skipped, own) = self.book.as_ref().map_or((0, 0), of);
        self.operator.readbacks() + skipped - own
    }

    fn resumed(&self) -> Resumed {
        self.book.as_ref().map_or_else(Resumed::default, |book| book.borrow().resumed)
    }

    fn bytes(&self) -> usize {
        self.operator.bytes()
    }

    fn column_bytes(&self) -> usize {
        let kept = if self.book.is_some() { VECTORS * self.vector_bytes() } else { 0 };
        self.operator.column_bytes() + kept
    }

    fn max_columns(&self) -> usize {
        self.operator.max_columns()
    }

    fn peaks(&self) -> Result<Peaks> {
        self.operator.peaks()
    }

    fn device_seconds(&self) -> Option<LanczosSeconds> {
        self.operator.device_seconds()
    }

    fn kernel_times(&self, work: impl FnOnce() -> Result<()>) -> Result<Option<Vec<KernelTime>>> {
        self.operator.kernel_times(work)
    }

    fn warnings(&self) -> Vec<String> {
        self.operator.warnings()
    }

    fn info(&self) -> BackendInfo {
        self.operator.info()
    }

    fn is_synchronous(&self) -> bool {
        self.operator.is_synchronous()
    }
}

/// Numbers in the precision that they were made in, so that none is lost.
fn encoded(values: &[f64], precision: Precision) -> Vec<u8> {
    match precision {
        Precision::F32 => values.iter().flat_map(|&value| f32::from_f64(value).to_le_bytes()).collect(),
        Precision::F64 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

fn decoded(bytes: &[u8], precision: Precision) -> Vec<f64> {
    match precision {
        Precision::F32 => bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes).into()).collect(),
        Precision::F64 => bytes.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect(),
    }
}
