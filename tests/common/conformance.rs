//! What every [`VectorSpace`] must do, tested on the space of a curvature operator.

use hesper::curvature::{CurvatureOperator, Objective};
use hesper::krylov::{Slot, VectorSpace};
use hesper::numeric::{Precision, Real};
use hesper::rng::{self, Distribution};

use super::{Case, assert_close, normal};

/// All of it, on a space that is longer than any chunk or workgroup and no multiple of one.
pub(crate) fn space_conformance<A: CurvatureOperator>(make: impl Fn(&Objective) -> A) {
    let case = Case { widths: vec![33, 65, 29, 10], samples: 3, ..Case::default() };
    let operator = make(&case.objective());
    let space = operator.space();
    assert_eq!(space.dim(), case.objective().dim());
    layout(space);
    fills_are_the_generators_bits(space);
    dots_and_norms(space);
    a_zero_vector_stays_zero(space);
    sub_scaled_and_copy(space);
    orthogonal_to_machine_precision(space);
    combinations(space);
    products_by_element(space);
    columns_are_gathered_and_scattered(space);
    a_truncated_basis_takes_new_blocks(space);
    parts_are_taken_and_put_back(space);
    readbacks_are_counted(space);
}

/// What `values` become in the space.
fn rounded(precision: Precision, values: &[f64]) -> Vec<f64> {
    match precision {
        Precision::F32 => values.iter().map(|&x| f32::from_f64(x).to_f64()).collect(),
        Precision::F64 => values.to_vec(),
    }
}

/// A block of the numbers.
fn block<S: VectorSpace>(space: &S, values: &[f64]) -> S::Block {
    let mut block = space.block(values.len() / space.dim()).unwrap();
    space.upload(values, &mut block).unwrap();
    block
}

/// Error of a sum over a vector, by a random walk with four standard deviations.
fn tolerance<S: VectorSpace>(space: &S) -> f64 {
    4.0 * (space.dim() as f64).sqrt() * space.precision().epsilon()
}

fn layout<S: VectorSpace>(space: &S) {
    let values = normal(3 * space.dim(), 1);
    assert_eq!(space.download(&block(space, &values)).unwrap(), rounded(space.precision(), &values));
    assert!(space.download(&space.block(2).unwrap()).unwrap().iter().all(|&x| x == 0.0), "a new block is zero");
    assert_eq!(space.read(&space.scalars(5, 2).unwrap()).unwrap(), [0.0; 10], "new scalars are zero");
}

fn fills_are_the_generators_bits<S: VectorSpace>(space: &S) {
    for distribution in [Distribution::Rademacher, Distribution::Gaussian] {
        let (seed, first_probe) = (0x1234_5678_9abc_def0, 5);
        let mut x = space.block(3).unwrap();
        space.fill(&mut x, distribution, seed, first_probe).unwrap();
        let expected: Vec<f64> = (first_probe..first_probe + 3)
            .flat_map(|probe| {
                let mut column = vec![0.0_f64; space.dim()];
                rng::fill(distribution, seed, probe, &mut column);
                rounded(space.precision(), &column)
            })
            .collect();
        assert!(space.download(&x).unwrap() == expected, "{distribution:?}");
    }
}

fn dots_and_norms<S: VectorSpace>(space: &S) {
    let n = space.dim();
    let (x, y) = (rounded(space.precision(), &normal(2 * n, 2)), rounded(space.precision(), &normal(2 * n, 3)));
    let (mut x_block, y_block) = (block(space, &x), block(space, &y));
    let mut s = space.scalars(3, 2).unwrap();
    space.dot(&x_block, &y_block, &mut s, Slot(2)).unwrap();
    space.normalize(&mut x_block, &mut s, Slot(0)).unwrap();
    let read = space.read(&s).unwrap();
    let normalized = space.download(&x_block).unwrap();
    for (column, (x, y)) in x.chunks(n).zip(y.chunks(n)).enumerate() {
        let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let dot: f64 = x.iter().zip(y).map(|(x, y)| x * y).sum();
        // A dot of unrelated vectors is small; its error is relative to the product of the norms.
        let scale = norm * y.iter().map(|y| y * y).sum::<f64>().sqrt();
        assert!((read[4 + column] - dot).abs() <= tolerance(space) * scale, "dot {column}: {} and {dot}", read[4 + column]);
        assert_close("norm", &[read[column]], &[norm], tolerance(space));
        assert_eq!(read[2 + column], 0.0, "a slot that was not named changed");
        let expected: Vec<f64> = x.iter().map(|x| x / norm).collect();
        assert_close("normalized", &normalized[column * n..(column + 1) * n], &expected, tolerance(space));
    }
}

fn a_zero_vector_stays_zero<S: VectorSpace>(space: &S) {
    let n = space.dim();
    let mut values = vec![0.0; 2 * n];
    values[n + 3] = 2.0;
    let mut x = block(space, &values);
    let mut s = space.scalars(1, 2).unwrap();
    space.normalize(&mut x, &mut s, Slot(0)).unwrap();
    assert_eq!(space.read(&s).unwrap(), [0.0, 2.0]);
    values[n + 3] = 1.0;
    assert!(space.download(&x).unwrap() == values);
}

fn sub_scaled_and_copy<S: VectorSpace>(space: &S) {
    let n = space.dim();
    let (x, mut expected) = (rounded(space.precision(), &normal(2 * n, 4)), rounded(space.precision(), &normal(2 * n, 5)));
    let (x_block, y_block) = (block(space, &x), block(space, &expected));
    let mut s = space.scalars(2, 2).unwrap();
    space.dot(&x_block, &x_block, &mut s, Slot(1)).unwrap();
    let mut copy = space.block(2).unwrap();
    space.copy(&y_block, &mut copy).unwrap();
    space.sub_scaled(&mut copy, &s, Slot(1), &x_block).unwrap();
    let a = space.read(&s).unwrap();
    for (at, y) in expected.iter_mut().enumerate() {
        *y -= a[2 + at / n] * x[at];
    }
    assert_close("y − a·x", &space.download(&copy).unwrap(), &expected, 4.0 * space.precision().epsilon());
}

fn orthogonal_to_machine_precision<S: VectorSpace>(space: &S) {
    let (n, columns, size) = (space.dim(), 2, 9);
    let mut basis = space.basis(size, columns).unwrap();
    let mut s = space.scalars(size + 1, columns).unwrap();
    let mut pushed: Vec<Vec<f64>> = Vec::new();
    // Nearly parallel vectors, of which one pass of Gram-Schmidt would leave far more than rounding; in the other column, which may do with
    // one, only every other time.
    let common = normal(n * columns, 6);
    for step in 0..size {
        let own = normal(n * columns, 100 + step as u64);
        let mix = |(at, (own, common)): (usize, (&f64, &f64))| if at < n || step % 2 == 0 { common + 1e-3 * own } else { *own };
        let mixed: Vec<f64> = own.iter().zip(&common).enumerate().map(mix).collect();
        let mut y = block(space, &mixed);
        space.orthogonalize(&basis, &mut y).unwrap();
        space.normalize(&mut y, &mut s, Slot(step)).unwrap();
        space.push(&mut basis, &y).unwrap();
        pushed.push(space.download(&y).unwrap());
    }
    let allowed = 10.0 * space.precision().epsilon();
    for i in 0..size {
        for j in 0..i {
            for column in 0..columns {
                let range = column * n..(column + 1) * n;
                let dot: f64 = pushed[i][range.clone()].iter().zip(&pushed[j][range]).map(|(x, y)| x * y).sum();
                assert!(dot.abs() <= allowed, "q{i}·q{j} of column {column} is {dot:e}, allowed {allowed:e}");
            }
        }
    }
}

fn combinations<S: VectorSpace>(space: &S) {
    let (n, columns) = (space.dim(), 2);
    let mut basis = space.basis(4, columns).unwrap();
    let blocks: Vec<Vec<f64>> = (0..4).map(|i| rounded(space.precision(), &normal(n * columns, 20 + i))).collect();
    for values in &blocks {
        space.push(&mut basis, &block(space, values)).unwrap();
    }
    // One vector for each column; with three rows of coefficients only the first three blocks take part.
    for rows in [3, 4] {
        let coefficients = normal(rows * columns, 30);
        let mut x = block(space, &normal(n * columns, 31));
        space.combine(&basis, &coefficients, &mut x).unwrap();
        let expected: Vec<f64> =
            (0..n * columns).map(|at| (0..rows).map(|i| coefficients[i * columns + at / n] * blocks[i][at]).sum()).collect();
        assert_close("Q S", &space.download(&x).unwrap(), &expected, 4.0 * space.precision().epsilon());
    }
}

fn products_by_element<S: VectorSpace>(space: &S) {
    let n = space.dim();
    let (d, x) = (rounded(space.precision(), &normal(n, 40)), rounded(space.precision(), &normal(3 * n, 41)));
    let mut product = block(space, &x);
    space.multiply(&block(space, &d), &mut product).unwrap();
    let expected: Vec<f64> = x.iter().enumerate().map(|(at, x)| d[at % n] * x).collect();
    assert_close("d ∘ x", &space.download(&product).unwrap(), &expected, space.precision().epsilon());
}

fn columns_are_gathered_and_scattered<S: VectorSpace>(space: &S) {
    let columns: Vec<Vec<f64>> = (0..3).map(|j| rounded(space.precision(), &normal(space.dim(), 40 + j))).collect();
    let mut singles: Vec<S::Block> = columns.iter().map(|values| block(space, values)).collect();
    let mut x = space.block(3).unwrap();
    space.gather(&singles, &mut x).unwrap();
    assert!(space.download(&x).unwrap() == columns.concat());
    singles.rotate_left(1);
    space.scatter(&x, &mut singles).unwrap();
    for (single, values) in singles.iter().zip(&columns) {
        assert!(space.download(single).unwrap() == *values);
    }
}

fn a_truncated_basis_takes_new_blocks<S: VectorSpace>(space: &S) {
    let blocks: Vec<Vec<f64>> = (0..4).map(|i| rounded(space.precision(), &normal(space.dim(), 50 + i))).collect();
    let mut basis = space.basis(3, 1).unwrap();
    blocks[..3].iter().for_each(|values| space.push(&mut basis, &block(space, values)).unwrap());
    space.truncate(&mut basis, 1);
    space.push(&mut basis, &block(space, &blocks[3])).unwrap();
    let mut x = space.block(1).unwrap();
    for (coefficients, expected) in [(&[1.0][..], &blocks[0]), (&[0.0, 1.0], &blocks[3])] {
        space.combine(&basis, coefficients, &mut x).unwrap();
        assert!(space.download(&x).unwrap() == *expected);
    }
}

/// Ranges that begin and end anywhere, in a space of their own, which fills and multiplies like any other.
fn parts_are_taken_and_put_back<S: VectorSpace>(space: &S) {
    let n = space.dim();
    let ranges = [0..1, 7..n / 3, n / 2 + 3..n - 5];
    let chosen: Vec<usize> = ranges.iter().cloned().flatten().collect();
    let part = space.of_length(chosen.len()).unwrap();
    assert_eq!((part.dim(), part.precision()), (chosen.len(), space.precision()));
    let x = rounded(space.precision(), &normal(3 * n, 60));
    let mut taken = part.block(3).unwrap();
    assert_eq!(part.columns(&taken), 3);
    space.take(&block(space, &x), &ranges, &part, &mut taken).unwrap();
    let expected: Vec<f64> = x.chunks(n).flat_map(|column| chosen.iter().map(|&at| column[at])).collect();
    assert!(part.download(&taken).unwrap() == expected);
    let mut probes = part.block(3).unwrap();
    part.fill(&mut probes, Distribution::Rademacher, 9, 2).unwrap();
    let signs = part.download(&probes).unwrap();
    let mut first = vec![0.0_f64; chosen.len()];
    rng::fill(Distribution::Rademacher, 9, 2, &mut first);
    assert!(signs[..chosen.len()] == first);
    let mut whole = block(space, &x);
    space.put(&probes, &part, &ranges, &mut whole).unwrap();
    let mut expected = x;
    for (column, signs) in expected.chunks_mut(n).zip(signs.chunks(chosen.len())) {
        chosen.iter().zip(signs).for_each(|(&at, sign)| column[at] = *sign);
    }
    assert!(space.download(&whole).unwrap() == expected);
}

fn readbacks_are_counted<S: VectorSpace>(space: &S) {
    let before = space.readbacks();
    let (mut x, mut y) = (space.block(1).unwrap(), space.block(1).unwrap());
    let mut s = space.scalars(1, 1).unwrap();
    space.fill(&mut x, Distribution::Rademacher, 0, 0).unwrap();
    space.normalize(&mut x, &mut s, Slot(0)).unwrap();
    space.copy(&x, &mut y).unwrap();
    space.multiply(&x, &mut y).unwrap();
    assert_eq!(space.readbacks(), before, "an operation fetched something");
    space.read(&s).unwrap();
    space.download(&x).unwrap();
    assert_eq!(space.readbacks(), before + 2);
}
