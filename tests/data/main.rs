//! Reading files through the public interface: the committed fixtures, one data set in every format, networks, and hostile files.
//!
//! Files are made by the tests, byte by byte where it matters, so that no writer stands between what a test says and what is read.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod allocation;
mod fixtures;
mod formats;
mod hostile;
mod networks;
mod onnx;
mod options;
mod write;
