//! One error type for the library: what happened, where, with the numbers, and what to do next.
//!
//! Every message is a single line, since the command line prints it as it is (exit code 2). A result that is valid but less
//! accurate than asked is not an error: it is data (`converged`, `warnings`).

use std::io;
use std::path::Path;

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a computation could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read or written.
    #[error("{path}: not accessible")]
    File {
        /// The file as the user named it.
        path: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file is not what its format promises: truncated, a size that lies, an unsupported type.
    #[error("{path}: {problem}")]
    Format {
        /// The file as the user named it.
        path: String,
        /// What is wrong, with the numbers and the remedy.
        problem: String,
    },
    /// Network, data, loss and options do not fit together.
    #[error("{0}")]
    Input(String),
    /// A NaN or an infinity, in the input or met on the way.
    #[error("{0}")]
    NonFinite(String),
    /// The device or its driver refused, failed or is not there.
    #[error("{0}")]
    Device(String),
    /// The job does not fit into the memory that it may use.
    #[error("{0}")]
    Memory(String),
}

impl Error {
    /// A failed operation on the file at `path`.
    pub fn file(path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::File { path: path.as_ref().display().to_string(), source }
    }

    /// Content of the file at `path` that its format does not allow.
    pub fn format(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::Format { path: path.as_ref().display().to_string(), problem: problem.into() }
    }
}
