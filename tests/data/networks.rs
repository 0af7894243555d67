//! Model files: names, orders, types, activations, and what is refused.

use hesper::Result;
use hesper::data::{Model, NetworkOptions, load_network};
use hesper::model::{Activation, Loss};

use crate::write::{Tensor, doubles, file, safetensors, singles};

fn tanh() -> NetworkOptions {
    NetworkOptions { activations: vec![Activation::Tanh], ..NetworkOptions::default() }
}

fn load(tensors: &[Tensor<'_>], metadata: &[(&str, &str)], options: &NetworkOptions) -> Result<Model> {
    let folder = tempfile::tempdir().unwrap();
    load_network(&file(folder.path(), "model.safetensors", &safetensors(tensors, metadata)), options)
}

/// A weight of zeros.
fn weight<'a>(name: &'a str, shape: &'a [usize]) -> Tensor<'a> {
    (name, "F32", shape, vec![0; 4 * shape.iter().product::<usize>()])
}

fn widths(model: &Model) -> Vec<usize> {
    let network = &model.network;
    network.widths().to_vec()
}

#[test]
fn any_prefix_in_natural_order() {
    let prefixes = [
        ["0.", "2.", "10."],
        ["net.0.", "net.2.", "net.10."],
        ["fc1.", "fc2.", "fc10."],
        ["module.layers.8.", "module.layers.9.", "module.layers.10."],
        ["fc1_", "fc2_", "fc10_"],
    ];
    for prefixes in prefixes {
        // Square layers, so that only the names tell the order; each weight is filled with its index.
        let names = prefixes.map(|prefix| format!("{prefix}weight"));
        let filled = |index: u8| singles(&[f32::from(index); 4]);
        let tensors = [2, 0, 1].map(|index| (names[index].as_str(), "F32", &[2, 2][..], filled(u8::try_from(index).unwrap())));
        let model = load(&tensors, &[], &tanh()).unwrap();
        assert_eq!(model.network.parameters(), [[0.0; 4], [1.0; 4], [2.0; 4]].concat(), "{prefixes:?}");
    }
    assert_eq!(widths(&load(&[weight("weight", &[3, 2])], &[], &NetworkOptions::default()).unwrap()), [2, 3]);
}

#[test]
fn shapes_decide_where_names_do_not_chain() {
    let tensors = [weight("decoder.weight", &[7, 3]), weight("encoder.weight", &[3, 5]), ("encoder.bias", "F32", &[3], singles(&[1.0; 3]))];
    let model = load(&tensors, &[], &tanh()).unwrap();
    assert_eq!(widths(&model), [5, 3, 7]);
    assert_eq!(model.network.layers()[0].op.parameters()[1].cloned(), Some(vec![1.0; 3]));
    assert_eq!(model.network.layers()[1].op.parameters()[1], None);
}

#[test]
fn all_floating_point_types_widen_exactly() {
    let values = [0.5_f32, -1.25, 3.0];
    let half: Vec<u8> = values.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect();
    let brain: Vec<u8> = values.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect();
    for (dtype, data) in [("F16", half), ("BF16", brain), ("F32", singles(&values)), ("F64", doubles(&values.map(f64::from)))] {
        let model = load(&[("0.weight", dtype, &[1, 3], data)], &[], &NetworkOptions::default()).unwrap();
        assert_eq!(model.network.parameters(), [0.5, -1.25, 3.0], "{dtype}");
    }
}

#[test]
fn activations_are_asked_for_or_hinted() {
    let tensors = [weight("0.weight", &[3, 2]), weight("2.weight", &[4, 3]), weight("4.weight", &[1, 4])];
    let names = |model: &Model| model.network.layers().iter().map(|layer| layer.activation.name()).collect::<Vec<_>>();
    let hints = [("activation", "relu"), ("output_activation", "sigmoid"), ("loss", "mse")];

    let hinted = load(&tensors, &hints, &NetworkOptions::default()).unwrap();
    assert_eq!(names(&hinted), ["relu", "relu", "sigmoid"]);
    assert_eq!(hinted.hints.loss, Some(Loss::Mse));

    let asked = NetworkOptions {
        activations: vec![Activation::Elu, Activation::Gelu],
        output_activation: Some(Activation::Identity),
        ..NetworkOptions::default()
    };
    assert_eq!(names(&load(&tensors, &hints, &asked).unwrap()), ["elu", "gelu", "identity"]);

    let three = NetworkOptions { activations: vec![Activation::Elu; 3], ..NetworkOptions::default() };
    let error = load(&tensors, &hints, &three).unwrap_err().to_string();
    assert!(error.contains("3 activations are given, but the network has 2 hidden layers"), "{error}");
    for useless in [&[][..], &[("activation", "swoosh")], &[("activation", "relu,relu,relu")]] {
        let error = load(&tensors, useless, &NetworkOptions::default()).unwrap_err().to_string();
        assert!(error.contains("give --activation, one of relu"), "{error}");
    }
}

#[test]
fn other_tensors_are_refused_by_name_and_shape() {
    let first = || weight("0.weight", &[3, 2]);
    let with = |tensor| vec![first(), tensor];
    let nan = singles(&[0.0, 1.0, 2.0, 3.0, f32::NAN, 5.0]);
    let cases: Vec<(Vec<Tensor<'_>>, &str)> = vec![
        (vec![], "holds no tensor"),
        (with(("1.num_batches_tracked", "I64", &[], vec![0; 8])), "'1.num_batches_tracked' of shape []"),
        (with(weight("1.weight", &[3])), "'1.weight' of shape [3] is the gain of an RMSNorm, or of a LayerNorm without bias: say which"),
        (with(weight("1.running_mean", &[3])), "'1.running_mean' of shape [3]"),
        (with(weight("1.in_proj", &[3, 3])), "'1.in_proj' of shape [3, 3] is no weight"),
        (vec![weight("conv.weight", &[8, 3, 5, 5])], "'conv.weight' of shape [8, 3, 5, 5]"),
        (with(weight("0.bias", &[3, 1])), "'0.bias' of shape [3, 1]"),
        (with(weight("0.bias", &[2])), "'0.bias' has 2 elements, but '0.weight' of shape [3, 2] has 3 rows"),
        (with(weight("1.bias", &[4])), "'1.bias' has no '1.weight'"),
        (with(weight("1.weight", &[4, 5])), "'0.weight' [3, 2], '1.weight' [4, 5]"),
        (vec![weight("0.weight", &[0, 2])], "shape [0, 2]"),
        (vec![("0.weight", "I32", &[1, 1], vec![0; 4])], "type I32: parameters are F32, F64, F16 or BF16"),
        (vec![("0.weight", "F8_E4M3", &[1, 1], vec![0])], "type F8_E4M3"),
        (vec![("0.weight", "F32", &[3, 2], nan)], "'0.weight' is NaN at [2, 0]"),
        (with(("0.bias", "F32", &[3], singles(&[0.0, f32::NEG_INFINITY, 0.0]))), "'0.bias' is -inf at [1]"),
        (with(weight("evil\n\u{1b}[2J.weight", &[3])), r"'evil\n\u{1b}[2J.weight'"),
    ];
    for (tensors, expected) in cases {
        let error = load(&tensors, &[], &tanh()).unwrap_err().to_string();
        assert!(error.contains("model.safetensors: ") && error.contains(expected) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn an_ambiguous_order_is_refused() {
    // b comes first, but nothing tells a from c.
    let tensors = [weight("a.weight", &[4, 4]), weight("b.weight", &[4, 2]), weight("c.weight", &[4, 4])];
    let error = load(&tensors, &[], &tanh()).unwrap_err().to_string();
    assert!(error.contains("no other single order: 'a.weight' [4, 4], 'b.weight' [4, 2], 'c.weight' [4, 4]"), "{error}");
}

/// Weights of zeros.
fn with<'a>(names: &[(&'a str, &'a [usize])]) -> Vec<Tensor<'a>> {
    names.iter().map(|&(name, shape)| weight(name, shape)).collect()
}

/// Where modules without tensors stand is told by the numbers of an `nn.Sequential`, or asked for.
#[test]
fn normalizations_are_told_or_asked_for() {
    let names = |model: &Model| model.network.layers().iter().map(|layer| layer.activation.name()).collect::<Vec<_>>();
    let after = with(&[("0.weight", &[3, 2]), ("2.weight", &[3]), ("2.bias", &[3]), ("3.weight", &[4, 3])]);
    assert_eq!(names(&load(&after, &[], &tanh()).unwrap()), ["tanh", "identity", "identity"], "between the layer and its normalization");
    let before = with(&[("net.0.weight", &[3, 2]), ("net.1.weight", &[3]), ("net.1.bias", &[3]), ("net.4.weight", &[4, 3])]);
    assert_eq!(names(&load(&before, &[], &tanh()).unwrap()), ["identity", "tanh", "identity"], "with a dropout beside it");
    let first = with(&[("0.weight", &[2]), ("0.bias", &[2]), ("1.weight", &[4, 2])]);
    assert_eq!(load(&first, &[], &NetworkOptions::default()).unwrap().network.layers()[0].op.name(), "layer-norm");

    let both = with(&[("0.weight", &[3, 2]), ("2.weight", &[3]), ("2.bias", &[3]), ("4.weight", &[4, 3])]);
    let unnumbered = with(&[("fc.weight", &[3, 2]), ("norm.weight", &[3]), ("norm.bias", &[3]), ("head.weight", &[4, 3])]);
    let misfit = with(&[("0.weight", &[3, 2]), ("1.weight", &[5]), ("1.bias", &[5]), ("3.weight", &[4, 3])]);
    for (tensors, expected) in [
        (both, "both after '0.' and after '2.', and only one of them can be the activation"),
        (unnumbered, "modules that are no numbered sequence"),
        (misfit, "layer 1: takes 5 inputs, but what it reads has 3"),
    ] {
        let error = load(&tensors, &[], &tanh()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// The two examples of docs/networks.md, with tensors that fit them.
#[test]
fn the_documented_descriptions_are_understood() {
    let text = include_str!("../../docs/networks.md");
    let examples: Vec<&str> = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let block = ["norm.weight", "norm.bias"].map(|name| weight(name, &[4]));
    let mut first =
        vec![weight("stem.weight", &[4, 3]), weight("fc1.weight", &[8, 4]), weight("fc2.weight", &[4, 8]), weight("head.weight", &[2, 4])];
    first.extend(block);
    let mut second =
        vec![weight("fc1.weight", &[4, 3]), weight("fc2.weight", &[5, 4]), weight("skip.weight", &[5, 3]), weight("head.weight", &[2, 5])];
    let batch = ["weight", "bias", "running_mean", "running_var"];
    let names: Vec<(String, usize)> = batch.iter().flat_map(|name| [(format!("bn1.{name}"), 4), (format!("bn2.{name}"), 5)]).collect();
    let shapes: Vec<[usize; 1]> = names.iter().map(|(_, width)| [*width]).collect();
    second.extend(names.iter().zip(&shapes).map(|((name, _), shape)| weight(name, shape)));
    for (tensors, example, summary) in
        [(first, examples[0], "3-2 (4 dense, 1 layer-norm, 1 add) gelu"), (second, examples[1], "3-2 (4 dense, 2 batch-norm, 1 add) relu")]
    {
        let model = load(&tensors, &[("network", example)], &NetworkOptions::default()).unwrap();
        assert_eq!(model.network.summary(), summary);
    }
    assert_eq!(examples.len(), 2);
}
