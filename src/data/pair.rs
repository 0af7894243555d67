//! x and y as files hold them, before anyone asks what they mean.

use super::array::Array;

/// The arrays of a data set, each with the name of its file for messages.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) x: Array,
    pub(super) y: Option<Array>,
    pub(super) x_source: String,
    pub(super) y_source: String,
    /// Both files in one name.
    pub(super) source: String,
}
