//! The IDX format of the MNIST files.
//!
//! By hand: the header is two zero bytes, a type, the number of extents, and each extent as a big-endian u32, after which only
//! big-endian numbers follow; a dependency would be longer than this. Reference: <https://yann.lecun.org/exdb/mnist/>.

use std::io::Read;

use super::decode::{ByteOrder, Element, fill};
use super::stored::Stored;

/// Reads what comes before the numbers.
pub(super) fn read_head(reader: &mut dyn Read) -> Result<Stored, String> {
    let mut word = || {
        let mut bytes = [0; 4];
        match fill(reader, &mut bytes) {
            Ok(4) => Ok(bytes),
            Ok(_) => Err("the file ends inside the IDX header: it is truncated".to_owned()),
            Err(error) => Err(format!("damaged data: {error}")),
        }
    };
    let [zero, zero_too, kind, extents] = word()?;
    if [zero, zero_too] != [0, 0] {
        return Err("no IDX file: it does not start with two zero bytes".into());
    }
    let element = match kind {
        0x08 => Element::U8,
        0x09 => Element::I8,
        0x0b => Element::I16,
        0x0c => Element::I32,
        0x0d => Element::F32,
        0x0e => Element::F64,
        _ => return Err(format!("IDX has no number type {kind:#04x}: the file is damaged or of another format")),
    };
    if extents == 0 {
        return Err("the IDX header declares no extent: at least the number of samples is needed".into());
    }
    let shape = (0..extents).map(|_| word().map(|bytes| u32::from_be_bytes(bytes) as usize)).collect::<Result<Vec<_>, _>>()?;
    let header = 4 * (1 + u64::from(extents));
    Ok(Stored { element, byte_order: ByteOrder::Big, fortran_order: false, shape, header })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Array, Values};

    fn read(mut bytes: &[u8]) -> Result<Array, String> {
        read_head(&mut bytes)?.read(&mut bytes)
    }

    #[test]
    fn bytes_and_big_endian_numbers() {
        let array = read(&[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6][..]);
        assert_eq!(array, Ok(Array { shape: vec![2, 3], values: Values::U8(vec![1, 2, 3, 4, 5, 6]) }));
        let array = read(&[0, 0, 0x0b, 1, 0, 0, 0, 2, 0xff, 0xfe, 1, 0][..]);
        assert_eq!(array, Ok(Array { shape: vec![2], values: Values::I64(vec![-2, 256]) }));
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let cases: [(&[u8], &str); 6] = [
            (&[0, 0, 8], "truncated"),
            (&[0, 0, 7, 1, 0, 0, 0, 1, 1], "number type 0x07"),
            (&[0, 0, 8, 0, 1], "no extent"),
            (&[0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], "larger than any memory"),
            (&[0, 0, 0x0e, 1, 255, 255, 255, 255, 1], "only 1 bytes"),
            (&[0, 0, 8, 1, 0, 0, 0, 1, 1, 2], "more bytes follow"),
        ];
        for (bytes, expected) in cases {
            let error = read(bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
