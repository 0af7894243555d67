//! How much memory a job takes, known before it runs, and how the linearization is held so that it fits.
//!
//! Each backend states the bytes of its buffers for a [`Schedule`]; [`MemoryPlan::choose`] takes the fastest schedule that fits.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::numeric::human_bytes;

/// Bytes that a job may use where nothing is said.
pub const DEFAULT_BUDGET: u64 = 4 << 30;

/// Columns beyond which a wider batch hardly lowers the cost of making the linearization again.
const AMORTIZED: usize = 8;

/// Fewest samples of a micro-batch that makes products nearly as fast as all samples: before a smaller one, the data are streamed
/// (measured on 784-512-512-10: a product takes 1.5 times as long as with a kept linearization where it is made again for 512 samples or
/// more at a time, 1.6 times for 256, 1.7 for 128 and 2.8 for 32; streaming adds less than can be measured).
const FAST_MICRO_BATCH: usize = 256;

/// Fewest samples of a micro-batch that is worth trying: below, products are too thin for any device.
const SMALLEST_MICRO_BATCH: usize = 16;

/// How an operator holds its linearization from one product to the next. From fast and large to slow and small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Kept for all samples.
    #[default]
    Cached,
    /// Made again, micro-batch by micro-batch, in each product; the data stay where the products are computed.
    Recomputed,
    /// Made again as well, and the data are brought in for it, micro-batch by micro-batch.
    Streamed,
}

impl Mode {
    /// All modes, the fastest first.
    pub const ALL: [Self; 3] = [Self::Cached, Self::Recomputed, Self::Streamed];

    /// The name on the command line and in the JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Recomputed => "recomputed",
            Self::Streamed => "streamed",
        }
    }
}

impl Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| format!("unknown mode '{text}': one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// A mode and its micro-batch. It decides the order of sums, and so the last bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// How the linearization is held.
    pub mode: Mode,
    /// Samples that are linearized at once; all of them where it is cached.
    pub micro_batch: usize,
}

impl Schedule {
    /// The linearization of all `samples` samples is kept.
    pub const fn cached(samples: usize) -> Self {
        Self { mode: Mode::Cached, micro_batch: samples }
    }
}

/// Bytes of the buffers of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferClass {
    /// What they hold.
    pub name: &'static str,
    /// Bytes whatever the number of columns.
    pub fixed: u64,
    /// Bytes that each column adds.
    pub per_column: u64,
}

/// All that an operator allocates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// By kind.
    pub classes: Vec<BufferClass>,
}

impl Footprint {
    /// Adds the buffers of one kind.
    #[must_use]
    pub fn with(mut self, name: &'static str, fixed: u64, per_column: u64) -> Self {
        self.classes.push(BufferClass { name, fixed, per_column });
        self
    }

    /// Bytes whatever the number of columns.
    pub fn fixed(&self) -> u64 {
        self.classes.iter().map(|class| class.fixed).sum()
    }

    /// Bytes that each column adds.
    pub fn per_column(&self) -> u64 {
        self.classes.iter().map(|class| class.per_column).sum()
    }
}

/// What a job keeps beside its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Columns that it would like to multiply at once.
    pub columns: usize,
    /// Vectors that each column keeps: blocks and basis.
    pub vectors: u64,
    /// Bytes that it keeps on the host whatever the columns: eigenvectors in double precision.
    pub kept_bytes: u64,
}

/// What a job will take, exactly, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryPlan {
    /// How the linearization is held.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// Columns at once.
    pub columns: usize,
    /// Bytes by kind.
    pub classes: Vec<PlannedBytes>,
    /// Their sum.
    pub total: u64,
    /// Bytes that the job may use.
    pub budget: u64,
}

/// One kind of buffers of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedBytes {
    /// What they hold.
    pub name: &'static str,
    /// How many bytes.
    pub bytes: u64,
}

/// What a job and its user want of the memory.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// What the job keeps.
    pub workload: Workload,
    /// Bytes that may be used; none for [`DEFAULT_BUDGET`].
    pub budget: Option<u64>,
    /// The mode that the user insists on.
    pub mode: Option<Mode>,
}

/// What a backend can do for an objective.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// N.
    pub samples: usize,
    /// Bytes of one vector as the backend pads it.
    pub vector_bytes: u64,
    /// The micro-batch that the backend is fastest with.
    pub micro_batch: usize,
    /// Most columns that it multiplies at once.
    pub max_columns: usize,
}

impl MemoryPlan {
    /// The fastest schedule that fits: cached with as many columns as fit, else a micro-batch as large as leaves room for eight columns
    /// (they share what is made again), else one that leaves room for one.
    ///
    /// `footprint` states what the operator takes with a schedule.
    ///
    /// # Errors
    /// [`Error::Memory`] where none fits, with the least that would.
    pub fn choose(demand: &Demand, capacity: &Capacity, footprint: impl Fn(Schedule) -> Footprint) -> Result<Self> {
        let budget = demand.budget.unwrap_or(DEFAULT_BUDGET);
        let wanted = demand.workload.columns.min(capacity.max_columns).max(1);
        let vectors = demand.workload.vectors.saturating_mul(capacity.vector_bytes);
        let footprint = |schedule| match demand.workload.kept_bytes {
            0 => footprint(schedule),
            bytes => footprint(schedule).with("eigenvectors", bytes, 0),
        };
        let fitting = |footprint: &Footprint| {
            let column = footprint.per_column().saturating_add(vectors).max(1);
            usize::try_from(budget.saturating_sub(footprint.fixed()) / column).unwrap_or(usize::MAX)
        };
        let schedules = capacity.schedules(demand.mode);
        for least in [wanted.min(AMORTIZED), 1] {
            for &schedule in &schedules {
                let least = if schedule.mode == Mode::Cached { 1 } else { least };
                let footprint = footprint(schedule);
                let columns = fitting(&footprint);
                if columns >= least {
                    return Ok(Self::new(schedule, &footprint, vectors, columns.min(wanted), budget));
                }
            }
        }
        let least = schedules.iter().map(|&schedule| Self::new(schedule, &footprint(schedule), vectors, 1, budget));
        Err(match least.min_by_key(|plan| plan.total) {
            Some(plan) => plan.does_not_fit(demand.workload.vectors),
            None => Error::Input("there is no sample".into()),
        })
    }

    fn new(schedule: Schedule, footprint: &Footprint, vectors: u64, columns: usize, budget: u64) -> Self {
        let columns_u64 = columns as u64;
        let bytes = |class: &BufferClass| class.fixed.saturating_add(class.per_column.saturating_mul(columns_u64));
        let mut classes: Vec<_> = footprint.classes.iter().map(|class| PlannedBytes { name: class.name, bytes: bytes(class) }).collect();
        classes.push(PlannedBytes { name: "vectors", bytes: vectors.saturating_mul(columns_u64) });
        let total = classes.iter().fold(0_u64, |total, class| total.saturating_add(class.bytes));
        Self { schedule, columns, classes, total, budget }
    }

    fn does_not_fit(&self, vectors: u64) -> Error {
        let parts: Vec<_> = self.classes.iter().map(|class| format!("{} {}", class.name, human_bytes(class.bytes))).collect();
        Error::Memory(format!(
            "{} at least ({}; one column, linearization {} in micro-batches of {}), but the budget is {}: use --memory-budget {}, or a \
             job that keeps fewer than {} vectors (fewer --steps, --reorthogonalize none)",
            human_bytes(self.total),
            parts.join(", "),
            self.schedule.mode,
            self.schedule.micro_batch,
            human_bytes(self.budget),
            mebibytes(self.total),
            vectors,
        ))
    }
}

impl Capacity {
    /// What can be tried, the fastest first.
    fn schedules(&self, mode: Option<Mode>) -> Vec<Schedule> {
        let modes = mode.map_or_else(|| Mode::ALL.to_vec(), |mode| vec![mode]);
        let micro_batches: Vec<_> = std::iter::successors(Some(self.micro_batch.min(self.samples)), |&batch| Some(batch / 2))
            .take_while(|&batch| batch >= SMALLEST_MICRO_BATCH.min(self.samples).max(1))
            .collect();
        let of_mode = |mode| match mode {
            Mode::Cached => vec![Schedule::cached(self.samples)],
            mode => micro_batches.iter().map(|&micro_batch| Schedule { mode, micro_batch }).collect(),
        };
        let mut schedules: Vec<_> = modes.into_iter().flat_map(of_mode).collect();
        schedules.sort_by_key(|schedule| schedule.micro_batch < FAST_MICRO_BATCH.min(self.samples));
        schedules
    }
}

/// A size that the command line takes and that is not below `bytes`.
fn mebibytes(bytes: u64) -> String {
    format!("{}MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// 1000 samples of 1 MiB of linearization and 4 KiB of data each; a column takes 1 MiB beside its vectors.
    fn footprint(schedule: Schedule) -> Footprint {
        let data = if schedule.mode == Mode::Streamed { schedule.micro_batch } else { 1000 } as u64 * 4096;
        Footprint::default().with("data", data, 0).with("linearization", schedule.micro_batch as u64 * MIB, 0).with("scratch", 0, MIB)
    }

    fn plan(budget: u64, columns: usize, mode: Option<Mode>) -> Result<MemoryPlan> {
        let demand = Demand { workload: Workload { columns, vectors: 4, kept_bytes: 0 }, budget: Some(budget * MIB), mode };
        let capacity = Capacity { samples: 1000, vector_bytes: MIB, micro_batch: 512, max_columns: 16 };
        MemoryPlan::choose(&demand, &capacity, footprint)
    }

    fn chosen(budget: u64, columns: usize, mode: Option<Mode>) -> (Mode, usize, usize) {
        let plan = plan(budget, columns, mode).unwrap();
        assert!(plan.total <= plan.budget);
        assert_eq!(plan.total, plan.classes.iter().map(|class| class.bytes).sum::<u64>());
        (plan.schedule.mode, plan.schedule.micro_batch, plan.columns)
    }

    #[test]
    fn less_memory_makes_smaller_schedules() {
        assert_eq!(chosen(2000, 32, None), (Mode::Cached, 1000, 16));
        assert_eq!(chosen(1010, 32, None), (Mode::Cached, 1000, 1));
        assert_eq!(chosen(1000, 32, None), (Mode::Recomputed, 512, 16));
        assert_eq!(chosen(540, 32, None), (Mode::Recomputed, 256, 16));
        assert_eq!(chosen(76, 32, None), (Mode::Recomputed, 32, 8));
        assert_eq!(chosen(60, 32, None), (Mode::Recomputed, 16, 8));
        assert_eq!(chosen(25, 32, None), (Mode::Recomputed, 16, 1));
        assert_eq!(chosen(24, 32, None), (Mode::Streamed, 16, 1));
        assert_eq!(chosen(2000, 32, Some(Mode::Streamed)), (Mode::Streamed, 512, 16));
    }

    /// Where most of the memory would go to the data, they are streamed before micro-batches become slow ones.
    #[test]
    fn data_are_streamed_before_micro_batches_become_small() {
        let capacity = Capacity { samples: 1000, vector_bytes: MIB, micro_batch: 512, max_columns: 1 };
        let of = |budget: u64| {
            let demand = Demand { workload: Workload { columns: 1, vectors: 4, kept_bytes: 0 }, budget: Some(budget * MIB), mode: None };
            let heavy = |schedule: Schedule| {
                let samples = if schedule.mode == Mode::Streamed { schedule.micro_batch } else { 1000 } as u64;
                Footprint::default().with("data", samples * MIB, 0).with("linearization", schedule.micro_batch as u64 * MIB, 0)
            };
            MemoryPlan::choose(&demand, &capacity, heavy).unwrap().schedule
        };
        assert_eq!(of(1300), Schedule { mode: Mode::Recomputed, micro_batch: 256 });
        assert_eq!(of(1200), Schedule { mode: Mode::Streamed, micro_batch: 512 });
        assert_eq!(of(520), Schedule { mode: Mode::Streamed, micro_batch: 256 });
        assert_eq!(of(500), Schedule { mode: Mode::Streamed, micro_batch: 128 });
    }

    #[test]
    fn what_does_not_fit_is_told_with_the_bytes_and_a_remedy() {
        let message = plan(20, 32, None).unwrap_err().to_string();
        for part in ["21.1 MiB at least", "linearization 16.0 MiB", "vectors 4.0 MiB", "the budget is 20.0 MiB", "--memory-budget 22MiB"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(plan(22, 32, None).is_ok());
        // What is kept beside takes from the same budget.
        let demand = |budget: u64| Demand {
            workload: Workload { columns: 1, vectors: 4, kept_bytes: 3 * MIB },
            budget: Some(budget * MIB),
            mode: Some(Mode::Streamed),
        };
        let capacity = Capacity { samples: 1000, vector_bytes: MIB, micro_batch: 16, max_columns: 16 };
        assert!(MemoryPlan::choose(&demand(24), &capacity, footprint).is_err());
        let kept = MemoryPlan::choose(&demand(25), &capacity, footprint).unwrap();
        assert!(kept.classes.contains(&PlannedBytes { name: "eigenvectors", bytes: 3 * MIB }) && kept.total <= kept.budget, "{kept:?}");
    }
}
