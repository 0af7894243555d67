//! What the options ask for, and what they cannot have.

use std::path::Path;

use hesper::data::{DataOptions, ModelHints, load_dataset};
use hesper::model::{Loss, Network, Targets};

use crate::write::{doubles, file, network, npy, singles, zip};

/// x [3, 2] and a y.
fn data(folder: &Path, descr: &str, shape: &[usize], y: &[u8]) -> DataOptions {
    let x = npy("<f8", &[3, 2], &doubles(&[0.0, 0.5, 1.0, 1.5, 2.0, 2.5]));
    let path = file(folder, "data.npz", &zip(&[("x.npy", &x), ("y.npy", &npy(descr, shape, y))]));
    DataOptions { data: Some(path), ..DataOptions::default() }
}

fn refused(options: &DataOptions, network: &Network) -> String {
    load_dataset(options, network).map(|dataset| dataset.samples()).unwrap_err().to_string()
}

#[test]
fn files_that_contradict_each_other_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = network(folder.path(), &[2, 3]);
    let good = data(folder.path(), "|u1", &[3], &[0, 1, 2]);
    let x = file(folder.path(), "x.npy", &npy("<f8", &[3, 2], &doubles(&[0.0; 6])));
    let y = file(folder.path(), "y.npy", &npy("|u1", &[2], &[0, 1]));
    let none = DataOptions::default();
    let cases = [
        (DataOptions { samples: Some(4), ..good.clone() }, "4 samples are asked for, but it holds 3"),
        (DataOptions { samples: Some(0), ..good.clone() }, "give 1 to 3"),
        (DataOptions { x_scale: f64::NAN, ..good.clone() }, "scale of x is NaN"),
        (DataOptions { x: Some(x.clone()), ..good }, "give either --data"),
        (DataOptions { y: Some(y.clone()), ..none.clone() }, "y without x"),
        (DataOptions { x: Some(x.clone()), ..none.clone() }, "there is no y: give the file with y as --y, or use --target x"),
        (DataOptions { x: Some(x.clone()), y: Some(y), ..none.clone() }, "y.npy: y has shape [2], but x has 3 samples"),
        (DataOptions { data: Some(x), ..none.clone() }, "give x and y as two files"),
        (DataOptions { data: Some("no/such.npz".into()), ..none.clone() }, "no/such.npz: "),
        (DataOptions { data: Some("no/such.csv".into()), ..none.clone() }, "no/such.csv: "),
        (DataOptions { data: Some("no/such.safetensors".into()), ..none.clone() }, "no/such.safetensors: "),
        (none, "digits (embedded): x has 64 numbers a sample, but the network takes 2"),
    ];
    for (options, expected) in cases {
        let error = refused(&options, &model.network);
        assert!(error.contains(expected) && !error.contains('\n'), "{options:?}: {error}");
    }
}

#[test]
fn the_loss_is_the_asked_one_then_the_hinted_then_what_y_is() {
    let folder = tempfile::tempdir().unwrap();
    let (classifier, single) = (network(folder.path(), &[2, 3]), network(folder.path(), &[2, 1]));
    let integers = load_dataset(&data(folder.path(), "|u1", &[3], &[0, 1, 2]), &classifier.network).unwrap();
    let floats = load_dataset(&data(folder.path(), "<f8", &[3], &doubles(&[0.0, 1.0, 2.0])), &classifier.network).unwrap();
    let (none, mut mse) = (ModelHints::default(), ModelHints::default());
    mse.loss = Some(Loss::Mse);

    assert_eq!(integers.choose_loss(Some(Loss::BceWithLogits), &mse, &classifier.network).unwrap(), Loss::BceWithLogits);
    assert_eq!(integers.choose_loss(None, &mse, &classifier.network).unwrap(), Loss::Mse);
    assert_eq!(integers.choose_loss(None, &none, &classifier.network).unwrap(), Loss::CrossEntropy);
    // Softmax over one output is constant: integers must then mean something else.
    for error in [floats.choose_loss(None, &none, &classifier.network), integers.choose_loss(None, &none, &single.network)] {
        assert!(error.unwrap_err().to_string().contains("give --loss"));
    }
}

#[test]
fn y_is_read_as_the_loss_needs_it() {
    let folder = tempfile::tempdir().unwrap();
    let (classifier, single) = (network(folder.path(), &[2, 3]).network, network(folder.path(), &[2, 1]).network);
    let objective =
        |options: &DataOptions, network: &Network, loss| load_dataset(options, network).unwrap().into_objective(network.clone(), loss, 0.0);
    let whole = data(folder.path(), "<f4", &[3], &singles(&[0.0, 2.0, 1.0]));
    assert_eq!(objective(&whole, &classifier, Loss::CrossEntropy).unwrap().targets(), &Targets::Classes(vec![0, 2, 1]));
    assert_eq!(objective(&whole, &single, Loss::Mse).unwrap().targets(), &Targets::Values(vec![0.0, 2.0, 1.0]));

    let integers = data(folder.path(), "|b1", &[3, 1], &[1, 0, 1]);
    assert_eq!(objective(&integers, &single, Loss::BceWithLogits).unwrap().targets(), &Targets::Values(vec![1.0, 0.0, 1.0]));

    let third = [0.0, 1.0, 0.5];
    let infinite = [0.0, f64::INFINITY, 0.5];
    let cases = [
        ("|i1", &[3][..], vec![0, 255, 1], &classifier, Loss::CrossEntropy, "y[1] is -1"),
        ("|u1", &[3][..], vec![0, 1, 3], &classifier, Loss::CrossEntropy, "y[2] is 3, but the classes"),
        ("<f8", &[3][..], doubles(&third), &classifier, Loss::CrossEntropy, "y[2] is 0.5"),
        ("<f8", &[3, 1][..], doubles(&infinite), &single, Loss::Mse, "y[1, 0] is inf"),
    ];
    for (descr, shape, y, network, loss, expected) in cases {
        let error = objective(&data(folder.path(), descr, shape, &y), network, loss).unwrap_err().to_string();
        assert!(error.contains("data.npz: ") && error.contains(expected), "{error}");
    }
}

#[test]
fn a_csv_file_is_split_by_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let model = network(folder.path(), &[2, 2]);
    let path = file(folder.path(), "data.csv", b"1,2,0.5,3\n3,4,1,4\n");
    let options = DataOptions { data: Some(path), ..DataOptions::default() };
    let objective = load_dataset(&options, &model.network).unwrap().into_objective(model.network.clone(), Loss::Mse, 0.0).unwrap();
    assert_eq!(objective.inputs().to_vec::<f64>(), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(objective.targets(), &Targets::Values(vec![0.5, 3.0, 1.0, 4.0]));

    let path = file(folder.path(), "x.csv", b"1,2\n3,4\n");
    let options = DataOptions { data: Some(path), target_is_x: true, ..DataOptions::default() };
    let objective = load_dataset(&options, &model.network).unwrap().into_objective(model.network, Loss::Mse, 0.0).unwrap();
    assert_eq!(objective.targets(), &Targets::Inputs);
}

#[test]
fn weights_of_samples_are_cut_as_the_samples_are() {
    let folder = tempfile::tempdir().unwrap();
    let single = network(folder.path(), &[2, 1]).network;
    let weights = file(folder.path(), "w.npy", &npy("<f8", &[3], &doubles(&[1.0, 3.0, 5.0])));
    let all = data(folder.path(), "<f8", &[3], &doubles(&[0.5, 3.0, 1.0]));
    for (samples, expected) in [(None, vec![1.0 / 9.0, 3.0 / 9.0, 5.0 / 9.0]), (Some(2), vec![0.25, 0.75])] {
        let options = DataOptions { samples, sample_weights: Some(weights.clone()), ..all.clone() };
        let objective = load_dataset(&options, &single).unwrap().into_objective(single.clone(), Loss::Mse, 0.0).unwrap();
        let found: Vec<f64> = (0..objective.samples()).map(|sample| objective.sample_weight(sample)).collect();
        assert!(found.iter().zip(&expected).all(|(x, y): (&f64, &f64)| (x - y).abs() < 1e-15), "{found:?}");
    }
}

/// Negative labels are read; those that are ignored have no target and no weight.
#[test]
fn a_negative_label_is_ignored_where_it_is_the_ignored_one() {
    let folder = tempfile::tempdir().unwrap();
    let classifier = network(folder.path(), &[2, 3]).network;
    let labels: Vec<u8> = [2_i64, -100, 0].iter().flat_map(|label| label.to_le_bytes()).collect();
    let options = data(folder.path(), "<i8", &[3], &labels);
    let objective = load_dataset(&options, &classifier).unwrap().into_objective(classifier, Loss::CrossEntropy, 0.0).unwrap();
    assert_eq!(objective.targets(), &Targets::Classes(vec![2, Targets::IGNORED, 0]));
    assert_eq!([0, 1, 2].map(|sample| objective.sample_weight(sample)), [0.5, 0.0, 0.5]);
}
