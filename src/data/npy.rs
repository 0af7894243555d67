//! NumPy's npy format.
//!
//! The header is parsed by hand. npyz 0.9, which reads the zip container for [`super::npz`], would do, but for hostile files: it
//! allocates a header of up to 4 GiB because a length field says so, multiplies the extents without an overflow check, and parses
//! nested brackets by unbounded recursion. What is needed of the Python literal is three keys with flat values.
//!
//! Reference: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::io::Read;

use super::decode::{ByteOrder, Element, fill};
use super::stored::Stored;

/// The first bytes of every npy file.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Longest header that is read, as in NumPy (`max_header_size`); an array of plain numbers needs about a hundred bytes.
const MAX_HEADER: usize = 10_000;

/// Reads what comes before the numbers.
pub(super) fn read_head(reader: &mut dyn Read) -> Result<Stored, String> {
    let (text, header) = read_header(reader)?;
    let Header { element, byte_order, fortran_order, shape } = Header::parse(&text)?;
    Ok(Stored { element, byte_order, fortran_order, shape, header })
}

/// The header's text, and how many bytes it took with all that precedes it.
fn read_header(reader: &mut dyn Read) -> Result<(String, u64), String> {
    let mut take = |buffer: &mut [u8]| match fill(reader, buffer) {
        Ok(filled) if filled == buffer.len() => Ok(()),
        Ok(_) => Err("the file ends inside the npy header: it is truncated".to_owned()),
        Err(error) => Err(format!("damaged data: {error}")),
    };
    let mut start = [0; 8];
    take(&mut start)?;
    if !start.starts_with(MAGIC) {
        return Err("no npy file: it does not start with \\x93NUMPY".into());
    }
    let mut length = [0; 4];
    let width = match start[6] {
        1 => 2,
        2 | 3 => 4,
        major => return Err(format!("npy version {major} is not supported: save it again with numpy.save")),
    };
    take(&mut length[..width])?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER {
        return Err(format!("the npy header claims {length} bytes, more than the {MAX_HEADER} that any array of numbers needs"));
    }
    let mut text = vec![0; length];
    take(&mut text)?;
    let header = (start.len() + width + length) as u64;
    String::from_utf8(text).map(|text| (text, header)).map_err(|_| "the npy header is not text: the file is damaged".into())
}

/// What the header's dict says.
#[derive(Debug, PartialEq)]
struct Header {
    element: Element,
    byte_order: ByteOrder,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, the keys in any order.
    fn parse(text: &str) -> Result<Self, String> {
        let mut scanner = Scanner { rest: text };
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        scanner.expect('{')?;
        while !scanner.eat('}') {
            let key = scanner.string()?;
            scanner.expect(':')?;
            match key {
                "descr" if scanner.peek() == Some('[') => {
                    return Err("arrays of records are not supported: save x and y as arrays of their own".into());
                }
                "descr" => descr = Some(scanner.string()?),
                "fortran_order" => fortran_order = Some(scanner.boolean()?),
                "shape" => shape = Some(scanner.shape()?),
                _ => return Err(format!("unknown key '{}' in the npy header", key.escape_debug())),
            }
            if !scanner.eat(',') && scanner.peek() != Some('}') {
                return Err(scanner.unexpected("',' or '}'"));
            }
        }
        let missing = |key: &str| format!("the npy header has no '{key}': the file is damaged");
        let (element, byte_order) = parse_descr(descr.ok_or_else(|| missing("descr"))?)?;
        Ok(Self {
            element,
            byte_order,
            fortran_order: fortran_order.ok_or_else(|| missing("fortran_order"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
        })
    }
}

fn parse_descr(descr: &str) -> Result<(Element, ByteOrder), String> {
    let byte_order = if descr.starts_with('>') { ByteOrder::Big } else { ByteOrder::Little };
    let element = match descr.strip_prefix(['<', '>', '|', '=']).unwrap_or(descr) {
        "b1" => Element::Bool,
        "u1" => Element::U8,
        "i1" => Element::I8,
        "u2" => Element::U16,
        "i2" => Element::I16,
        "u4" => Element::U32,
        "i4" => Element::I32,
        "u8" => Element::U64,
        "i8" => Element::I64,
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        kind => {
            let what = match kind.chars().next() {
                Some('O') => " (Python objects)",
                Some('c') => " (complex numbers)",
                Some('S' | 'U' | 'a') => " (strings)",
                _ => "",
            };
            let descr = descr.escape_debug();
            return Err(format!(
                "numbers of type '{descr}'{what} are not supported: convert with numpy's astype to float32, float64, uint8 or int64"
            ));
        }
    };
    Ok((element, byte_order))
}

/// Reads the few tokens of a header's dict from left to right.
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn eat(&mut self, token: char) -> bool {
        self.peek();
        self.rest.strip_prefix(token).map(|rest| self.rest = rest).is_some()
    }

    fn expect(&mut self, token: char) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(self.unexpected(&format!("'{token}'"))) }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = self.peek().filter(|quote| matches!(quote, '\'' | '"')).ok_or_else(|| self.unexpected("a string"))?;
        let (text, rest) = self.rest[1..].split_once(quote).ok_or_else(|| self.unexpected("a closed string"))?;
        self.rest = rest;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        self.peek();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(self.unexpected("True or False"))
    }

    fn shape(&mut self) -> Result<Vec<usize>, String> {
        let mut shape = Vec::new();
        self.expect('(')?;
        while !self.eat(')') {
            shape.push(self.integer()?);
            if !self.eat(',') && self.peek() != Some(')') {
                return Err(self.unexpected("',' or ')'"));
            }
        }
        Ok(shape)
    }

    fn integer(&mut self) -> Result<usize, String> {
        self.peek();
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        let integer = digits.parse().map_err(|_| self.unexpected("an extent that fits into memory"))?;
        self.rest = rest;
        Ok(integer)
    }

    fn unexpected(&self, wanted: &str) -> String {
        let found: String = self.rest.chars().take(24).collect();
        format!("damaged npy header: {wanted} expected, '{}' found", found.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Header, String> {
        Header::parse(text)
    }

    #[test]
    fn headers_as_numpy_writes_them() {
        let header = parse("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }      \n").unwrap();
        let expected = Header { element: Element::F32, byte_order: ByteOrder::Little, fortran_order: false, shape: vec![2, 3] };
        assert_eq!(header, expected);
        assert_eq!(parse("{'descr': '>i8', 'fortran_order': True, 'shape': (5,)}").unwrap().shape, [5]);
        assert_eq!(parse(r#"{"shape": (), "descr": "|u1", "fortran_order": False}"#).unwrap().shape, [0; 0]);
    }

    #[test]
    fn damaged_headers_are_refused() {
        let cases = [
            ("", "'{' expected"),
            ("{'descr': '<f4'}", "no 'fortran_order'"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3)}", "extent"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "extent"),
            ("{'descr': '<f4', 'fortran_order': 1, 'shape': (2,)}", "True or False"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", "Python objects"),
            ("{'descr': '<c8', 'fortran_order': False, 'shape': (2,)}", "complex"),
            ("{'descr': '<U5', 'fortran_order': False, 'shape': (2,)}", "strings"),
            ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", "records"),
            ("{'descr': '<f4', 'shape': (2, 3", "',' or ')'"),
            ("{'descr': 'é", "closed string"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected) && !error.contains('\n'), "{text}: {error}");
        }
        assert!(parse(&"(".repeat(9000)).is_err());
        assert!(parse(&"{".repeat(9000)).is_err());
    }
}
