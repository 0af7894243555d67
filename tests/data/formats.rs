//! One data set in every format and type gives one objective.

use std::path::Path;

use hesper::data::{DataOptions, Dataset, Model, Values, load_array, load_dataset, load_named_array};
use hesper::model::Loss;

use crate::write::{doubles, file, gzip, idx, network, npy, npy_with_header, safetensors, singles, stored_zip, zip};

const SAMPLES: usize = 6;
const WIDTH: usize = 4;
const CLASSES: [u8; SAMPLES] = [0, 2, 1, 1, 0, 2];

/// Grey levels, which are sixteenths as numbers.
fn levels() -> Vec<u8> {
    (0..SAMPLES * WIDTH).map(|at| u8::try_from(at * 7 % 17).unwrap()).collect()
}

fn sixteenths() -> Vec<f64> {
    levels().into_iter().map(|level| f64::from(level) / 16.0).collect()
}

fn as_singles() -> Vec<f32> {
    levels().into_iter().map(|level| f32::from(level) / 16.0).collect()
}

/// x and targets of the objective, in double precision.
fn numbers(dataset: Dataset, model: &Model) -> (Vec<f64>, Vec<f64>) {
    let loss = dataset.choose_loss(None, &model.hints, &model.network).unwrap();
    assert_eq!(loss, Loss::CrossEntropy);
    let objective = dataset.into_objective(model.network.clone(), loss, 0.0).unwrap();
    let outputs = model.network.outputs();
    let targets = (0..SAMPLES).flat_map(|sample| (0..outputs).map(move |output| (sample, output)));
    (objective.inputs().to_vec(), targets.map(|(sample, output)| objective.target(sample, output)).collect())
}

fn expected() -> (Vec<f64>, Vec<f64>) {
    let one_hot = CLASSES.iter().flat_map(|&class| (0..3).map(move |output| f64::from(u8::from(class == output))));
    (sixteenths(), one_hot.collect())
}

fn together(folder: &Path, name: &str, bytes: &[u8]) -> DataOptions {
    DataOptions { data: Some(file(folder, name, bytes)), ..DataOptions::default() }
}

fn apart(folder: &Path, x: (&str, &[u8]), y: (&str, &[u8])) -> DataOptions {
    DataOptions { x: Some(file(folder, x.0, x.1)), y: Some(file(folder, y.0, y.1)), ..DataOptions::default() }
}

#[test]
fn every_format_gives_the_same_objective() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = network(folder, &[WIDTH, 5, 3]);
    let shape = [SAMPLES, WIDTH];
    let x4 = singles(&as_singles());
    let x4_big: Vec<u8> = as_singles().into_iter().flat_map(f32::to_be_bytes).collect();
    let x2: Vec<u8> = as_singles().into_iter().flat_map(|x| half::f16::from_f32(x).to_le_bytes()).collect();
    let xb: Vec<u8> = as_singles().into_iter().flat_map(|x| half::bf16::from_f32(x).to_le_bytes()).collect();
    let columns: Vec<_> = (0..WIDTH).flat_map(|column| (0..SAMPLES).map(move |row| sixteenths()[row * WIDTH + column])).collect();
    let y8: Vec<u8> = CLASSES.iter().flat_map(|&class| i64::from(class).to_le_bytes()).collect();
    let y4_big: Vec<u8> = CLASSES.iter().flat_map(|&class| i32::from(class).to_be_bytes()).collect();
    let fortran = npy_with_header("{'descr': '<f8', 'fortran_order': True, 'shape': (6, 4), }", &doubles(&columns));
    let (x_npy, y_npy) = (npy("<f4", &shape, &x4), npy("<i8", &[SAMPLES], &y8));
    let rows: Vec<_> = sixteenths().chunks(WIDTH).map(|row| format!("{},{},{},{}", row[0], row[1], row[2], row[3])).collect();
    let csv: String = rows.iter().zip(CLASSES).map(|(row, class)| format!("{row},{class}\n")).collect();
    let named: String = rows.iter().zip(CLASSES).map(|(row, class)| format!("{class},{row}\r\n")).collect();

    let cases = [
        together(folder, "a.npz", &zip(&[("x.npy", &x_npy), ("y.npy", &y_npy)])),
        together(folder, "b.npz", &zip(&[("y.npy", &npy("|u1", &[SAMPLES, 1], &CLASSES)), ("x.npy", &fortran)])),
        together(folder, "c.npz", &zip(&[("x.npy", &npy("<f4", &[SAMPLES, 2, 2], &x4)), ("y.npy", &npy(">i4", &[SAMPLES], &y4_big))])),
        together(folder, "a.safetensors", &safetensors(&[("x", "F32", &shape, x4.clone()), ("y", "I64", &[SAMPLES], y8.clone())], &[])),
        together(folder, "b.safetensors", &safetensors(&[("x", "F16", &shape, x2.clone()), ("y", "U8", &[SAMPLES], CLASSES.into())], &[])),
        together(folder, "c.safetensors", &safetensors(&[("x", "BF16", &shape, xb), ("y", "U8", &[SAMPLES], CLASSES.into())], &[])),
        together(folder, "a.csv", csv.as_bytes()),
        together(folder, "b.CSV", format!("y,a,b,c,d\n{named}").as_bytes()),
        apart(folder, ("x.npy", &x_npy), ("y.npy", &y_npy)),
        apart(folder, ("x16.npy", &npy("<f2", &shape, &x2)), ("y.npy", &y_npy)),
        apart(folder, ("xbe.npy", &npy(">f4", &shape, &x4_big)), ("y.npy", &y_npy)),
        apart(folder, ("x.npy.gz", &gzip(&x_npy)), ("y.npy.gz", &gzip(&y_npy))),
        apart(folder, ("x-idx2", &idx(0x0d, &[6, 4], &x4_big)), ("y-idx1", &idx(8, &[6], &CLASSES))),
        apart(folder, ("x-idx3.gz", &gzip(&idx(0x0d, &[6, 2, 2], &x4_big))), ("y-idx1.gz", &gzip(&idx(0x0c, &[6], &y4_big)))),
        DataOptions { x_scale: 0.0625, ..apart(folder, ("xu8", &idx(8, &[6, 4], &levels())), ("y.npy", &y_npy)) },
    ];
    for options in cases {
        let dataset = load_dataset(&options, &model.network).unwrap_or_else(|error| panic!("{options:?}: {error}"));
        assert_eq!(dataset.samples(), SAMPLES);
        assert_eq!(numbers(dataset, &model), expected(), "{options:?}");
    }
}

#[test]
fn several_gzip_members_are_one_stream() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = npy("<f8", &[2], &doubles(&[1.0, 2.0]));
    let (start, end) = bytes.split_at(70);
    let path = file(folder.path(), "x.npy.gz", &[gzip(start), gzip(end)].concat());
    assert_eq!(load_array(&path).unwrap().values.into_f64(), [1.0, 2.0]);
}

#[test]
fn the_ending_of_a_name_does_not_matter_where_the_content_says_more() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = npy("<f8", &[1], &doubles(&[0.5]));
    for (name, bytes) in [("plain.gz", bytes.clone()), ("packed.npy", gzip(&bytes)), ("none", bytes)] {
        assert_eq!(load_array(&file(folder.path(), name, &bytes)).unwrap().shape, [1], "{name}");
    }
}

#[test]
fn npy_versions_and_scalars() {
    let folder = tempfile::tempdir().unwrap();
    let header = b"{'descr': '<f8', 'fortran_order': False, 'shape': ()}\n";
    for version in [2, 3] {
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        bytes.extend(u32::try_from(header.len()).unwrap().to_le_bytes());
        bytes.extend(header);
        bytes.extend(2.5_f64.to_le_bytes());
        let array = load_array(&file(folder.path(), "scalar.npy", &bytes)).unwrap();
        assert_eq!((array.shape, array.values.into_f64()), (vec![], vec![2.5]));
    }
}

/// A large array is left in its file, whatever the format, and its numbers are those that are there.
#[test]
fn large_arrays_stay_in_their_files() {
    const ROWS: usize = 64;
    const COLUMNS: usize = 1 << 18;
    let folder = tempfile::tempdir().unwrap();
    let mut x = vec![0; 4 * ROWS * COLUMNS];
    x[4 * (5 * COLUMNS + 7)..][..4].copy_from_slice(&1.5_f32.to_le_bytes());
    let npy = npy("<f4", &[ROWS, COLUMNS], &x);
    let y = ("y", "U8", &[ROWS][..], vec![0; ROWS]);
    let files = [
        file(folder.path(), "x.npz", &stored_zip("x.npy", &npy)),
        file(folder.path(), "x.npy", &npy),
        file(folder.path(), "x.safetensors", &safetensors(&[("x", "F32", &[ROWS, COLUMNS], x), y], &[])),
    ];
    for path in files {
        let array = if path.ends_with("x.npy") { load_array(&path) } else { load_named_array(&path, "x") }.unwrap();
        let Values::Packed(values) = array.values else { panic!("{}: was read", path.display()) };
        assert_eq!((array.shape, values.len()), (vec![ROWS, COLUMNS], ROWS * COLUMNS), "{}", path.display());
        let mut nonzero = Vec::new();
        let mut at = 0;
        values.for_each(0..values.len(), |value| {
            if value != 0.0 {
                nonzero.push((at, value));
            }
            at += 1;
        });
        assert_eq!(nonzero, [(5 * COLUMNS + 7, 1.5)], "{}", path.display());
    }
}
