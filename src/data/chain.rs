//! The order of a network's layers, which a file of named tensors does not state.

use std::cmp::Ordering;

/// Most layers that are put in order by their shapes; a file with more has names that can be trusted, or is refused.
const MOST_LAYERS: usize = 64;

/// Most steps of the search, so that a file made to be hard cannot stall it.
const MOST_STEPS: usize = 100_000;

/// Compares names as a person does: runs of digits by their number, so that `layers.2` comes before `layers.10`.
pub(super) fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a, b);
    while !a_rest.is_empty() && !b_rest.is_empty() {
        let (a_run, a_next) = split_run(a_rest);
        let (b_run, b_next) = split_run(b_rest);
        let both_numbers = is_number(a_run) && is_number(b_run);
        let order = if both_numbers { compare_numbers(a_run, b_run) } else { a_run.cmp(b_run) };
        if order.is_ne() {
            return order;
        }
        (a_rest, b_rest) = (a_next, b_next);
    }
    // Equal up to leading zeros, or one is the start of the other.
    a_rest.len().cmp(&b_rest.len()).then_with(|| a.cmp(b))
}

/// The longest start of only digits or only other characters, and what follows it.
fn split_run(text: &str) -> (&str, &str) {
    let digits = is_number(text);
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

fn is_number(run: &str) -> bool {
    run.starts_with(|c: char| c.is_ascii_digit())
}

/// By value, whatever the number of digits.
fn compare_numbers(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Whether each layer, given as (outputs, inputs), takes what the one before gives.
pub(super) fn chains(shapes: &[(usize, usize)]) -> bool {
    shapes.windows(2).all(|pair| pair[0].0 == pair[1].1)
}

/// The one order in which layers of these shapes, (outputs, inputs), chain; `None` where there is none, or more than one.
///
/// Two layers of one shape can always be swapped, so that only layers of distinct shapes have a unique order; finding it is a search for
/// a trail that takes each layer once.
pub(super) fn unique_chain(shapes: &[(usize, usize)]) -> Option<Vec<usize>> {
    let mut sorted = shapes.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() < shapes.len() || shapes.len() > MOST_LAYERS {
        return None;
    }
    let mut search = Search { shapes, taken: vec![false; shapes.len()], trail: Vec::new(), found: None, steps: 0 };
    search.extend().then_some(search.found).flatten()
}

struct Search<'a> {
    shapes: &'a [(usize, usize)],
    taken: Vec<bool>,
    trail: Vec<usize>,
    found: Option<Vec<usize>>,
    steps: usize,
}

impl Search<'_> {
    /// Tries all continuations of the trail; false as soon as a second chain is found or the steps are used up.
    fn extend(&mut self) -> bool {
        self.steps += 1;
        if self.trail.len() == self.shapes.len() {
            return self.found.replace(self.trail.clone()).is_none();
        }
        for next in 0..self.shapes.len() {
            let fits = self.trail.last().is_none_or(|&last| self.shapes[last].0 == self.shapes[next].1);
            if !fits || self.taken[next] {
                continue;
            }
            self.taken[next] = true;
            self.trail.push(next);
            let go_on = self.extend() && self.steps < MOST_STEPS;
            self.trail.pop();
            self.taken[next] = false;
            if !go_on {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count() {
        let mut names = ["net.10.", "net.2.", "net.1.", "fc1", "net.02.", "fc10", "fc2", "", "net.99999999999999999999999."];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, ["", "fc1", "fc2", "fc10", "net.1.", "net.02.", "net.2.", "net.10.", "net.99999999999999999999999."]);
    }

    #[test]
    fn shapes_give_the_order_where_it_is_unique() {
        assert_eq!(unique_chain(&[(10, 32), (32, 64), (8, 10)]), Some(vec![1, 0, 2]));
        assert_eq!(unique_chain(&[(64, 32), (32, 64)]), None, "either may come first");
        assert_eq!(unique_chain(&[(10, 64), (64, 64), (64, 64)]), None, "the two equal layers may be swapped");
        assert_eq!(unique_chain(&[(10, 32), (33, 64)]), None, "no chain");
    }

    #[test]
    fn a_hard_case_is_given_up() {
        // A complete graph of eight widths without its last edge: many trails, none of which takes all layers.
        let mut shapes: Vec<_> = (1..=8).flat_map(|a| (1..=8).filter(move |&b| b != a).map(move |b| (a, b))).collect();
        shapes.push((100, 200));
        assert_eq!(unique_chain(&shapes), None);
    }
}
