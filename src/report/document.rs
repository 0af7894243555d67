//! A report as the document that is written of it.
//!
//! A key design decision: pages and figures are drawn from the JSON, not from the structs behind it. Each number on a page then knows
//! its path in the document, no page can show another number than the file beside it, and a part that a report does not have is a part
//! that the page leaves out.

use serde::Serialize;
use serde_json::Value;

/// The JSON of a report.
#[derive(Clone, Debug)]
pub struct Document {
    json: Value,
}

/// A number of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// Where it is: keys and indices, joined by dots.
    pub path: String,
    /// As the document writes it.
    pub written: String,
    /// What it is.
    pub value: f64,
}

impl Document {
    /// The document of `report`.
    ///
    /// # Errors
    /// Where the report does not serialize, which is a mistake in the program.
    pub fn new(report: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self { json: serde_json::to_value(report)? })
    }

    /// What is at `path`; none where there is nothing, or null.
    pub fn at(&self, path: &str) -> Option<&Value> {
        find(&self.json, path)
    }

    /// The number at `path`.
    pub fn number(&self, path: &str) -> Option<Number> {
        let number = self.at(path)?.as_number()?;
        Some(Number { path: path.to_owned(), written: number.to_string(), value: number.as_f64()? })
    }

    /// The value of the number at `path`.
    pub fn value(&self, path: &str) -> Option<f64> {
        self.at(path)?.as_f64()
    }

    /// The whole number at `path`.
    pub fn count(&self, path: &str) -> Option<usize> {
        self.at(path)?.as_u64().and_then(|count| usize::try_from(count).ok())
    }

    /// The list of numbers at `path`, or of those at the same place in each element of a list: `checkpoints.*.loss`. NaN stands for
    /// null, and for what an element does not have.
    pub fn values(&self, path: &str) -> Option<Vec<f64>> {
        let number = |value: Option<&Value>| value.and_then(Value::as_f64).unwrap_or(f64::NAN);
        let list = |path: &str| self.at(path)?.as_array();
        Some(match path.split_once(".*.") {
            Some((path, place)) => list(path)?.iter().map(|element| number(find(element, place))).collect(),
            None => list(path)?.iter().map(|element| number(Some(element))).collect(),
        })
    }

    /// The text at `path`.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.at(path)?.as_str()
    }

    /// The list of texts at `path`; empty where there is none.
    pub fn texts(&self, path: &str) -> Vec<&str> {
        self.at(path).and_then(Value::as_array).map_or_else(Vec::new, |list| list.iter().filter_map(Value::as_str).collect())
    }

    /// The length of the list at `path`; 0 where there is none.
    pub fn len(&self, path: &str) -> usize {
        self.at(path).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// The document in one line, for a script element: no `<` that could end it.
    pub fn in_script(&self) -> String {
        self.json.to_string().replace('<', "\\u003c")
    }
}

fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let step = |value: &'a Value, key: &str| match key.parse::<usize>() {
        Ok(index) if value.is_array() => value.get(index),
        _ => value.get(key),
    };
    path.split('.').try_fold(value, step).filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_values() {
        let document = Document::new(&serde_json::json!({"a": [{"b": 0.1}, null], "name": "</script>", "list": [1, null]})).unwrap();
        assert_eq!(document.number("a.0.b").unwrap(), Number { path: "a.0.b".into(), written: "0.1".into(), value: 0.1 });
        assert!(document.at("a.1").is_none() && document.at("a.2").is_none() && document.at("no.thing").is_none());
        assert!(document.values("list").unwrap()[1].is_nan());
        let each = document.values("a.*.b").unwrap();
        assert!(each[0] == 0.1 && each[1].is_nan() && document.values("x.*.b").is_none());
        assert_eq!((document.len("a"), document.len("x"), document.count("list.0")), (2, 0, Some(1)));
        assert!(!document.in_script().contains('<'));
    }
}
