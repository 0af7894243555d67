//! The numbers of a tensor, wherever the file has them: in fields of their type, as bytes, or in another file beside the model.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

use super::super::array::{widen_bf16, widen_f16};
use super::super::file::quoted;
use super::proto;

/// Numbers and their shape, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f64>,
}

/// `TensorProto.DataType`, as far as numbers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Float,
    Int32,
    Int64,
    Bool,
    Float16,
    Double,
    Bfloat16,
}

impl Type {
    fn new(data_type: i32) -> Result<Self, String> {
        match data_type {
            1 => Ok(Self::Float),
            6 => Ok(Self::Int32),
            7 => Ok(Self::Int64),
            9 => Ok(Self::Bool),
            10 => Ok(Self::Float16),
            11 => Ok(Self::Double),
            16 => Ok(Self::Bfloat16),
            other => Err(format!(
                "has numbers of type {other}: float, double, float16, bfloat16, int32, int64 and bool are read (1, 11, 10, 16, 6, 7, 9)"
            )),
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Float16 | Self::Bfloat16 => 2,
            Self::Float | Self::Int32 => 4,
            Self::Int64 | Self::Double => 8,
        }
    }
}

impl Tensor {
    /// A single number.
    pub(super) fn scalar(value: f64) -> Self {
        Self { shape: Vec::new(), values: vec![value] }
    }

    /// The numbers of `tensor`, those in another file read from `folder`. What is allocated is bounded by the bytes that are there.
    pub(super) fn read(tensor: &proto::Tensor, folder: &Path) -> Result<Self, String> {
        let of = |problem: String| format!("tensor {} {problem}", quoted(&tensor.name));
        let shape = tensor.dims.iter().map(|&extent| usize::try_from(extent)).collect::<Result<Vec<_>, _>>();
        let shape = shape.map_err(|_| of(format!("has shape {:?}: no extent is negative", tensor.dims)))?;
        let count = shape.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent));
        let count = count.ok_or_else(|| of(format!("has shape {shape:?}: more numbers than can be counted")))?;
        let values = values(tensor, count, folder).map_err(of)?;
        if values.len() != count {
            return Err(of(format!("has {} numbers for shape {shape:?}", values.len())));
        }
        Ok(Self { shape, values })
    }

    /// The only number of a tensor that has one.
    pub(super) fn number(&self) -> Option<f64> {
        match self.values[..] {
            [number] => Some(number),
            _ => None,
        }
    }

    /// The numbers where they are one row, [n] or [1, n].
    pub(super) fn row(&self) -> Option<&[f64]> {
        let row = self.shape.iter().rev().skip(1).all(|&extent| extent == 1);
        (row && !self.shape.is_empty()).then_some(&self.values)
    }

    /// The transpose of a matrix.
    pub(super) fn transposed(&self) -> Option<Self> {
        let &[rows, columns] = &self.shape[..] else { return None };
        let values = (0..columns).flat_map(|j| (0..rows).map(move |i| i * columns + j)).map(|at| self.values[at]).collect();
        Some(Self { shape: vec![columns, rows], values })
    }
}

fn values(tensor: &proto::Tensor, count: usize, folder: &Path) -> Result<Vec<f64>, String> {
    let kind = Type::new(tensor.data_type)?;
    if tensor.data_location == 1 {
        return Ok(decode(kind, &read_external(tensor, count.checked_mul(kind.bytes()), folder)?));
    }
    if !tensor.raw_data.is_empty() {
        if Some(tensor.raw_data.len()) != count.checked_mul(kind.bytes()) {
            return Err(format!("has {} bytes for {count} numbers of {} bytes", tensor.raw_data.len(), kind.bytes()));
        }
        return Ok(decode(kind, &tensor.raw_data));
    }
    // Half precision lies in the low bits of integers.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the low bits are what is wanted")]
    let half = |bits: &i32| *bits as u16;
    #[expect(clippy::cast_precision_loss, reason = "axes and extents are far below 2⁵³")]
    Ok(match kind {
        Type::Float => tensor.float_data.iter().copied().map(f64::from).collect(),
        Type::Double => tensor.double_data.clone(),
        Type::Int64 => tensor.int64_data.iter().map(|&x| x as f64).collect(),
        Type::Int32 | Type::Bool => tensor.int32_data.iter().copied().map(f64::from).collect(),
        Type::Float16 => tensor.int32_data.iter().map(|bits| f64::from(widen_f16(half(bits)))).collect(),
        Type::Bfloat16 => tensor.int32_data.iter().map(|bits| f64::from(widen_bf16(half(bits)))).collect(),
    })
}

/// Little-endian numbers, exactly.
#[expect(clippy::cast_precision_loss, reason = "axes and extents are far below 2⁵³")]
fn decode(kind: Type, bytes: &[u8]) -> Vec<f64> {
    match kind {
        Type::Float => bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes).into()).collect(),
        Type::Double => bytes.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect(),
        Type::Int32 => bytes.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes).into()).collect(),
        Type::Int64 => bytes.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as f64).collect(),
        Type::Bool => bytes.iter().map(|&byte| byte.into()).collect(),
        Type::Float16 => bytes.as_chunks().0.iter().map(|&bytes| widen_f16(u16::from_le_bytes(bytes)).into()).collect(),
        Type::Bfloat16 => bytes.as_chunks().0.iter().map(|&bytes| widen_bf16(u16::from_le_bytes(bytes)).into()).collect(),
    }
}

/// The bytes of a tensor in another file, which must lie in the model's folder: a model that somebody sent must not read others' files.
fn read_external(tensor: &proto::Tensor, expected: Option<usize>, folder: &Path) -> Result<Vec<u8>, String> {
    let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    let number = |key: &str| match entry(key) {
        None => Ok(None),
        Some(text) => {
            text.parse::<u64>().map(Some).map_err(|_| format!("has {key} {} in its external data: no count of bytes", quoted(text)))
        }
    };
    let location = entry("location").ok_or("is in another file, which is not named")?;
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    let inside = Path::new(location).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let path = folder.join(location);
    let within = || Some(path.canonicalize().ok()?.starts_with(folder.canonicalize().ok()?));
    if !inside || within() == Some(false) {
        return Err(format!("is in {}, outside the model's folder: put the file beside the model", quoted(location)));
    }
    let at = |error: std::io::Error| format!("is in {}: {error}", quoted(location));
    let mut file = File::open(&path).map_err(at)?;
    let available = file.metadata().map_err(at)?.len().saturating_sub(offset);
    let expected = expected.ok_or("has more bytes than can be counted")?;
    if length.is_some_and(|length| length != expected as u64) || available < expected as u64 {
        let found = length.unwrap_or(available).min(available);
        return Err(format!("needs {expected} bytes of {} from byte {offset} on, but {found} are given", quoted(location)));
    }
    let mut bytes = vec![0; expected];
    file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut bytes)).map_err(at)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn external(location: &str, offset: &str) -> proto::Tensor {
        let entry = |key: &str, value: &str| proto::Entry { key: key.into(), value: value.into() };
        let external_data = vec![entry("location", location), entry("offset", offset), entry("length", "8")];
        proto::Tensor { dims: vec![2], data_type: 1, name: "w".into(), data_location: 1, external_data, ..Default::default() }
    }

    #[test]
    fn external_data_are_read_from_the_models_folder_alone() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("model");
        std::fs::create_dir(&folder).unwrap();
        let bytes: Vec<u8> = [1.5_f32, -2.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(folder.join("w.data"), &bytes).unwrap();
        std::fs::write(outer.path().join("secret"), &bytes).unwrap();
        assert_eq!(Tensor::read(&external("w.data", "4"), &folder).unwrap().values, [-2.0, 4.0]);
        let refused = |location: &str, offset: &str| Tensor::read(&external(location, offset), &folder).unwrap_err();
        assert!(refused("w.data", "8").contains("needs 8 bytes of 'w.data' from byte 8 on, but 4 are given"));
        assert!(refused("w.data", "-1").contains("offset '-1'"));
        assert!(refused("none.data", "0").contains("none.data"));
        for location in ["../secret", "/etc/passwd", "./../secret"] {
            assert!(refused(location, "0").contains("outside the model's folder"), "{location}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(outer.path().join("secret"), folder.join("link")).unwrap();
            assert!(refused("link", "0").contains("outside the model's folder"));
        }
    }

    #[test]
    fn sizes_that_lie_are_refused_before_anything_is_allocated() {
        let tensor = |dims: Vec<i64>| proto::Tensor { dims, data_type: 1, float_data: vec![1.0], name: "w".into(), ..Default::default() };
        let refused = |dims: Vec<i64>| Tensor::read(&tensor(dims), Path::new(".")).unwrap_err();
        assert!(refused(vec![3]).contains("tensor 'w' has 1 numbers for shape [3]"));
        assert!(refused(vec![-1]).contains("negative"));
        assert!(refused(vec![i64::MAX, i64::MAX]).contains("more numbers than can be counted"));
        let lying = proto::Tensor { raw_data: vec![0; 4], ..tensor(vec![1 << 60]) };
        assert!(Tensor::read(&lying, Path::new(".")).unwrap_err().contains("has 4 bytes for"));
        assert!(Tensor::read(&proto::Tensor { data_type: 8, ..tensor(vec![1]) }, Path::new(".")).unwrap_err().contains("type 8"));
    }
}
