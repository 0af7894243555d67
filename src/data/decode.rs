//! Bytes to numbers, for every binary format.
//!
//! A header is only a claim. Nothing here allocates by it: numbers are read in chunks and the vector grows with what is really
//! there, so that a 60-byte file that claims 10¹² numbers costs one chunk. What goes wrong is returned as text; who knows the file's
//! name makes the error of it.

use std::fmt::{self, Display};
use std::io::{ErrorKind, Read};

use super::array::{Values, widen_bf16, widen_f16};

/// Numbers read at a time.
const CHUNK: usize = 8192;

/// A type of number in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    Bf16,
    F32,
    F64,
}

impl Element {
    /// Bytes of one number.
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }
}

impl Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", format!("{self:?}").to_lowercase())
    }
}

/// Which byte of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

/// The number of elements of an array, where its bytes can be addressed at all.
pub(super) fn checked_count(shape: &[usize], element: Element) -> Result<usize, String> {
    let count = shape.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent));
    let addressable = |count: &usize| count.checked_mul(element.bytes()).is_some_and(|bytes| isize::try_from(bytes).is_ok());
    count.filter(addressable).ok_or_else(|| format!("shape {shape:?} of {element} is larger than any memory: the header is damaged"))
}

/// Reads `count` numbers and no byte more.
pub(super) fn read_values(reader: &mut dyn Read, count: usize, element: Element, order: ByteOrder) -> Result<Values, String> {
    let mut source = Source { reader, count, element, order };
    Ok(match element {
        Element::Bool => Values::U8(source.read(|[byte]| u8::from(byte != 0))?),
        Element::U8 => Values::U8(source.read(|[byte]| byte)?),
        Element::I8 => Values::I64(source.read(|bytes| i8::from_le_bytes(bytes).into())?),
        Element::U16 => Values::I64(source.read(|bytes| u16::from_le_bytes(bytes).into())?),
        Element::I16 => Values::I64(source.read(|bytes| i16::from_le_bytes(bytes).into())?),
        Element::U32 => Values::I64(source.read(|bytes| u32::from_le_bytes(bytes).into())?),
        Element::I32 => Values::I64(source.read(|bytes| i32::from_le_bytes(bytes).into())?),
        Element::I64 => Values::I64(source.read(i64::from_le_bytes)?),
        Element::U64 => {
            let values = source.read(u64::from_le_bytes)?;
            let narrow = |(at, value)| i64::try_from(value).map_err(|_| format!("element {at} is {value}, beyond 2^63 - 1"));
            Values::I64(values.into_iter().enumerate().map(narrow).collect::<Result<_, _>>()?)
        }
        Element::F16 => Values::F32(source.read(|bytes| widen_f16(u16::from_le_bytes(bytes)))?),
        Element::Bf16 => Values::F32(source.read(|bytes| widen_bf16(u16::from_le_bytes(bytes)))?),
        Element::F32 => Values::F32(source.read(f32::from_le_bytes)?),
        Element::F64 => Values::F64(source.read(f64::from_le_bytes)?),
    })
}

/// Checks that nothing follows; in a compressed stream this is also what makes the checksum be compared.
pub(super) fn expect_end(reader: &mut dyn Read) -> Result<(), String> {
    match fill(reader, &mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err("more bytes follow than the header's shape accounts for: the header is damaged".into()),
        Err(error) => Err(format!("damaged data: {error}")),
    }
}

/// Fills `buffer` as far as the data goes; the number of bytes that were there.
pub(super) fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Numbers of one type to come from a reader.
struct Source<'a> {
    reader: &'a mut dyn Read,
    count: usize,
    element: Element,
    order: ByteOrder,
}

impl Source<'_> {
    fn read<T, const WIDTH: usize>(&mut self, decode: impl Fn([u8; WIDTH]) -> T) -> Result<Vec<T>, String> {
        let mut values = Vec::new();
        let mut buffer = vec![[0; WIDTH]; CHUNK.min(self.count)];
        while values.len() < self.count {
            let chunk = buffer[..CHUNK.min(self.count - values.len())].as_flattened_mut();
            let filled = fill(self.reader, chunk).map_err(|error| format!("damaged data: {error}"))?;
            if filled < chunk.len() {
                let (expected, found) = (self.count * WIDTH, values.len() * WIDTH + filled);
                return Err(format!(
                    "the header's shape asks for {} numbers of type {} ({expected} bytes), but only {found} bytes are there: \
                     the file is truncated or its header is damaged",
                    self.count, self.element
                ));
            }
            if self.order == ByteOrder::Big {
                chunk.as_chunks_mut::<WIDTH>().0.iter_mut().for_each(|bytes| bytes.reverse());
            }
            values.extend(chunk.as_chunks::<WIDTH>().0.iter().map(|&bytes| decode(bytes)));
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_orders_give_the_same_numbers() {
        let numbers = [1.5_f32, -0.1, f32::MIN_POSITIVE];
        let little: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let big: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        for (bytes, order) in [(little, ByteOrder::Little), (big, ByteOrder::Big)] {
            assert_eq!(read_values(&mut &bytes[..], 3, Element::F32, order), Ok(Values::F32(numbers.to_vec())));
        }
    }

    #[test]
    fn chunks_join_without_a_seam() {
        let count = 2 * CHUNK + 17;
        let bytes: Vec<u8> = (0..count).flat_map(|number| (number as u64).to_le_bytes()).collect();
        let values = read_values(&mut &bytes[..], count, Element::U64, ByteOrder::Little).unwrap();
        assert_eq!(values, Values::I64((0..count as i64).collect()));
    }

    #[test]
    fn a_claim_without_data_is_refused_with_the_numbers() {
        let count = checked_count(&[1_000_000, 1_000_000], Element::F64).unwrap();
        let error = read_values(&mut &[0; 12][..], count, Element::F64, ByteOrder::Little).unwrap_err();
        assert!(error.contains("8000000000000 bytes") && error.contains("only 12 bytes"), "{error}");
    }

    #[test]
    fn sizes_beyond_memory_are_refused() {
        assert!(checked_count(&[usize::MAX, 2], Element::U8).is_err());
        assert!(checked_count(&[usize::MAX / 4], Element::F64).is_err());
        assert_eq!(checked_count(&[], Element::F64), Ok(1));
        assert_eq!(checked_count(&[0, 7], Element::F64), Ok(0));
    }

    #[test]
    fn unsigned_integers_beyond_the_signed_range_are_refused() {
        let error = read_values(&mut &[0xff; 8][..], 1, Element::U64, ByteOrder::Little).unwrap_err();
        assert!(error.contains("18446744073709551615"), "{error}");
    }
}
