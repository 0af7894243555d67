//! A spectral density in plain text: a column chart of how many eigenvalues lie where, on a logarithmic scale.
//!
//! Hessian spectra have thousands of eigenvalues near zero and a few far out: on a linear scale those few, which matter most,
//! would not be seen. So heights are decades, from a tenth of an eigenvalue a column up to all of them.

/// Columns of the chart.
const COLUMNS: usize = 64;
/// Rows of the chart; a row is drawn in eighths.
const ROWS: usize = 8;
/// Eigenvalues in a column from which it is drawn.
const LEAST: f64 = 0.1;
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The lines of the chart of `density` over the ascending `grid` for an operator of `dim` eigenvalues; none for an empty grid.
pub fn lines(grid: &[f64], density: &[f64], dim: usize) -> Vec<String> {
    let (Some(&low), Some(&high)) = (grid.first(), grid.last()) else { return Vec::new() };
    if grid.len() != density.len() || high <= low {
        return Vec::new();
    }
    let columns = eigenvalues_per_column(grid, density, dim);
    let most = columns.iter().copied().fold(1.0, f64::max);
    let decades = (most / LEAST).log10();
    let height = |value: f64| if value < LEAST { 0.0 } else { ((value / LEAST).log10() / decades).max(0.0) * to_f64(ROWS) };
    let mut lines = Vec::new();
    for row in (0..ROWS).rev() {
        let label = match row {
            _ if row + 1 == ROWS => format!("{most:.0}"),
            0 => format!("{LEAST}"),
            _ => String::new(),
        };
        let bars: String = columns.iter().map(|&value| block(height(value) - to_f64(row))).collect();
        lines.push(format!("{label:>9} │{bars}").trim_end().to_owned());
    }
    lines.push(axis(low, high));
    lines.push(axis_labels(low, high));
    lines
}

/// The integral of the density over each column, by the trapezoidal rule on pieces of the grid, times `dim`.
fn eigenvalues_per_column(grid: &[f64], density: &[f64], dim: usize) -> Vec<f64> {
    let (low, high) = (grid[0], grid[grid.len() - 1]);
    let width = (high - low) / to_f64(COLUMNS);
    let mut columns = vec![0.0; COLUMNS];
    for (points, values) in grid.windows(2).zip(density.windows(2)) {
        let mass = 0.5 * (values[0] + values[1]) * (points[1] - points[0]) * to_f64(dim);
        // A piece may cross borders of columns; its mass is spread evenly over it.
        let piece = points[1] - points[0];
        for (at, column) in columns.iter_mut().enumerate() {
            let (left, right) = (low + width * to_f64(at), low + width * to_f64(at + 1));
            let overlap = points[1].min(right) - points[0].max(left);
            if overlap > 0.0 {
                *column += mass * overlap / piece;
            }
        }
    }
    columns
}

/// Where zero is, if the grid contains it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 64 columns")]
fn zero_column(low: f64, high: f64) -> Option<usize> {
    (low < 0.0 && high > 0.0).then(|| ((-low / (high - low) * to_f64(COLUMNS)) as usize).min(COLUMNS - 1))
}

fn axis(low: f64, high: f64) -> String {
    let zero = zero_column(low, high);
    let line: String = (0..COLUMNS).map(|at| if Some(at) == zero { '┼' } else { '─' }).collect();
    format!("{:>9} └{line}", "")
}

fn axis_labels(low: f64, high: f64) -> String {
    let (left, right) = (short(low), short(high));
    let mut labels = format!("{left:<width$}{right}", width = COLUMNS - right.chars().count()).into_bytes();
    if let Some(at) = zero_column(low, high)
        && at > left.len()
        && at + right.len() + 1 < COLUMNS
    {
        labels[at] = b'0';
    }
    format!("{:>9}  {}", "", String::from_utf8_lossy(&labels))
}

fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        0.01..1e4 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}

/// The block that fills `level` of a row, from none (≤ 0) to all (≥ 1).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 8")]
fn block(level: f64) -> char {
    BLOCKS[(level.clamp(0.0, 1.0) * 8.0).round() as usize]
}

#[expect(clippy::cast_precision_loss, reason = "a drawing needs no 53 bits")]
fn to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A unit of mass near 0 and a hundredth near 4, on [−1, 5].
    fn two_bumps() -> (Vec<f64>, Vec<f64>) {
        let gaussian = |x: f64, mean: f64| (-0.5 * ((x - mean) / 0.1).powi(2)).exp() / (0.1 * (2.0 * std::f64::consts::PI).sqrt());
        let grid: Vec<f64> = (0..=600).map(|i| -1.0 + 0.01 * f64::from(i)).collect();
        let density = grid.iter().map(|&x| 0.99 * gaussian(x, 0.0) + 0.01 * gaussian(x, 4.0)).collect();
        (grid, density)
    }

    #[test]
    fn the_columns_hold_all_eigenvalues() {
        let (grid, density) = two_bumps();
        let total: f64 = eigenvalues_per_column(&grid, &density, 1000).iter().sum();
        assert!((total - 1000.0).abs() < 1e-3, "{total}");
    }

    #[test]
    fn the_chart_fits_a_terminal_and_shows_both_bumps() {
        let (grid, density) = two_bumps();
        let lines = lines(&grid, &density, 1000);
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        let bottom: Vec<char> = lines[ROWS - 1].chars().skip(11).collect();
        assert_eq!(bottom[10], '█');
        assert_eq!(bottom[53], '█');
        assert_eq!(bottom[30], ' ');
        assert!(lines[ROWS].contains('┼') && lines[ROWS + 1].contains("5.000"));
    }

    #[test]
    fn nothing_to_draw_is_nothing() {
        assert!(lines(&[], &[], 5).is_empty());
        assert!(lines(&[1.0, 1.0], &[0.0, 0.0], 5).is_empty());
    }
}
