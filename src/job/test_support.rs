//! The test operators of [`crate::krylov::test_support`] as curvature operators, with surroundings to run jobs in.

use super::context::{JobContext, Subject};
use super::progress::Silent;
use super::record::{DataRecord, LayerRecord, ModelRecord};
use crate::curvature::{BackendInfo, Curvature, CurvatureOperator, Reach, Schedule};
use crate::error::Result;
use crate::krylov::test_support::{Columns, MatrixOperator};
use crate::krylov::{LinearOperator as _, Slot, VectorSpace as _};
use crate::model::{Layout, Loss, Tensor};
use crate::numeric::Precision;

/// f(θ) = ½ θᵀAθ at θ = (1, ..., 1): its gradient is A·1, its Hessian A.
impl CurvatureOperator for MatrixOperator {
    fn loss_and_gradient(&self, gradient: &mut Columns, s: &mut Vec<Vec<f64>>, loss: Slot) -> Result<()> {
        gradient[0] = self.product(&vec![1.0; self.space().dim()]);
        s[loss.0][0] = 0.5 * gradient[0].iter().sum::<f64>();
        Ok(())
    }

    fn products(&self) -> u64 {
        MatrixOperator::products(self)
    }

    fn bytes(&self) -> usize {
        1000
    }

    fn info(&self) -> BackendInfo {
        BackendInfo {
            kind: "test".into(),
            adapter: None,
            driver: None,
            precision: Precision::F64,
            threads: 1,
            linearization: Schedule::cached(1),
            variants: None,
        }
    }

    fn is_synchronous(&self) -> bool {
        true
    }
}

pub(super) fn context() -> JobContext<'static> {
    let layer = LayerRecord { r#in: 3, out: 2, activation: "identity".into(), bias: false, kind: "dense", sources: vec![0] };
    let subject = Subject {
        model: ModelRecord { layers: vec![layer], parameters: 6, ..ModelRecord::default() },
        data: DataRecord { samples: 10, source: "nowhere".into() },
        criterion: Loss::Mse.into(),
        weight_decay: 0.0.into(),
        curvature: Curvature::Hessian,
        parameters: Vec::new(),
        reach: Reach::whole(&Layout::new([[6, 0]])),
        tensors: vec![Tensor { name: "0.weight".into(), shape: vec![2, 3], range: 0..6, layer: 0 }],
        view: None,
        notices: Vec::new(),
    };
    JobContext::new(subject, &Silent)
}
