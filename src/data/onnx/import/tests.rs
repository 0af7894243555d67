//! The fixtures of `tests/fixtures/make_onnx.py`, layer by layer, and small graphs that are refused.

use std::path::{Path, PathBuf};

use prost::Message as _;

use super::super::function::NormKind;
use super::super::graph::Graph;
use super::super::layers::{Kind, Made, Op, fused};
use super::super::proto;
use super::layers;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx")
}

/// The layers of a fixture in one line each: sizes, sources and activation.
fn described(name: &str) -> Vec<String> {
    let model = proto::Model::decode(&std::fs::read(folder().join(name)).unwrap()[..]).unwrap();
    let layers = layers(&Graph::new(&model, &folder()).unwrap()).unwrap();
    let line = |made: &Made| {
        let op = match &made.op {
            Op::Dense { inputs, outputs, bias, .. } => {
                format!("dense {inputs}-{outputs}{}", if bias.is_some() { "" } else { " without bias" })
            }
            Op::Norm { kind, width, eps, gain, shift } => {
                let kind = match kind {
                    Kind::OfSample(NormKind::Layer) => "layer-norm",
                    Kind::OfSample(NormKind::Rms) => "rms-norm",
                    Kind::Batch { .. } => "batch-norm",
                };
                let count = [gain, shift].into_iter().flatten().map(Vec::len).sum::<usize>();
                format!("{kind} {width} eps {eps:.0e} {count} parameters")
            }
            Op::Add => "add".into(),
            Op::Same => "same".into(),
        };
        format!("{op} of {:?} {}", made.sources, made.activation)
    };
    fused(layers).iter().map(line).collect()
}

#[test]
fn normalizations_are_found_however_they_are_written() {
    let expected = [
        "dense 4-6 of [0] identity",
        "layer-norm 6 eps 1e-5 12 parameters of [1] gelu",
        "dense 6-5 of [2] gelu-tanh",
        "dense 5-3 of [3] identity",
    ];
    for export in ["script_13", "script_17", "dynamo_18", "dynamo_20"] {
        assert_eq!(described(&format!("gelu_norm_{export}.onnx")), expected, "{export}");
    }
    assert_eq!(described("rms_norm_dynamo_20.onnx")[1], "rms-norm 5 eps 1e-6 5 parameters of [1] tanh");
    assert_eq!(described("batch_norm_script_13.onnx")[1], "batch-norm 5 eps 1e-5 10 parameters of [1] relu");
}

#[test]
fn residual_connections_are_sums() {
    let expected =
        ["dense 4-6 of [0] relu", "dense 6-5 of [1] tanh", "dense 5-6 of [2] identity", "add of [1, 3] relu", "dense 6-3 of [4] identity"];
    for export in ["script_13", "dynamo_20"] {
        assert_eq!(described(&format!("residual_{export}.onnx")), expected, "{export}");
    }
}

#[test]
fn a_chain_keeps_its_activations() {
    for export in ["script_13", "script_17", "dynamo_18", "dynamo_20"] {
        let activations: Vec<String> = described(&format!("activations_{export}.onnx"))
            .iter()
            .map(|line| line.rsplit(' ').next().unwrap_or_default().to_owned())
            .collect();
        let expected = ["leaky-relu", "elu", "gelu", "gelu-tanh", "silu", "tanh", "sigmoid", "softplus", "identity"];
        assert_eq!(activations, expected, "{export}");
    }
}

fn tensor(name: &str, dims: &[i64]) -> proto::Tensor {
    let count = usize::try_from(dims.iter().product::<i64>()).unwrap();
    proto::Tensor { name: name.into(), dims: dims.to_vec(), data_type: 1, float_data: vec![0.5; count], ..Default::default() }
}

fn node(op: &str, inputs: &[&str], output: &str) -> proto::Node {
    let input = inputs.iter().map(ToString::to_string).collect();
    proto::Node { op_type: op.into(), input, output: vec![output.into()], ..Default::default() }
}

/// A graph from x [N, 3] to y.
fn refused(opset: i64, initializer: Vec<proto::Tensor>, node: Vec<proto::Node>) -> String {
    let value = |name: &str| proto::ValueInfo { name: name.into(), r#type: None };
    let graph = proto::Graph { node, initializer, input: vec![value("x")], output: vec![value("y")] };
    let opset_import = vec![proto::OperatorSet { domain: String::new(), version: opset }];
    let model = proto::Model { graph: Some(graph), opset_import };
    Graph::new(&model, Path::new(".")).and_then(|graph| layers(&graph)).unwrap_err()
}

#[test]
fn what_cannot_be_a_network_is_refused_with_its_node() {
    let w = || vec![tensor("w", &[3, 3])];
    let dense = |input: &str, output: &str| node("MatMul", &[input, "w"], output);
    for (opset, initializers, nodes, expected) in [
        (12, w(), vec![dense("x", "y")], "operator set 12: export with opset_version=13"),
        (13, w(), vec![dense("x", "h"), dense("h", "y")], "MatMul (output 'y'): parameters 'w' are used twice"),
        (13, w(), vec![dense("h", "y")], "input 'h' is made by no earlier node"),
        (13, w(), vec![dense("x", "h"), node("Mul", &["h", "x"], "y")], "Mul (output 'y'): it combines two values"),
        (13, w(), vec![dense("x", "h"), node("Softmax", &["h"], "y")], "the loss has it"),
        (13, w(), vec![dense("x", "h"), node("Mul", &["h", "h"], "y")], "output 'y': the function that it reads is no activation"),
        (13, vec![tensor("w", &[3, 3, 1])], vec![dense("x", "y")], "its weight has shape [3, 3, 1]"),
        (13, w(), vec![dense("x", "z")], "output 'y': it does not depend on the input"),
        (13, w(), vec![node("Gemm", &["w", "x"], "y")], "input 0 is constant"),
        (13, w(), vec![], "it does not depend on the input"),
        (13, [w(), vec![tensor("b", &[2])]].concat(), vec![dense("x", "h"), node("Add", &["h", "b"], "y")], "[3] is needed"),
        (13, [w(), vec![tensor("b", &[3])]].concat(), vec![dense("x", "h"), node("Mul", &["h", "b"], "y")], "only supported as the bias"),
    ] {
        let error = refused(opset, initializers, nodes);
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

/// A long run of elementwise nodes takes no time before it is refused.
#[test]
fn functions_of_many_nodes_are_refused() {
    let nodes = (0..5000).map(|at| {
        let name = |at: usize| if at == 5000 { "y".to_owned() } else { format!("h{at}") };
        node("Mul", &[&name(at), &name(at)], &name(at + 1))
    });
    let nodes = [vec![node("MatMul", &["x", "w"], "h0")], nodes.collect()].concat();
    assert!(refused(13, vec![tensor("w", &[3, 3])], nodes).contains("no activation"));
}
