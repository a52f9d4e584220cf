//! A YAML or JSON document as a tree in which every value and every field knows where it stands.
//!
//! One reader for both: JSON is YAML, and only one of the two tells positions.

use super::reader::Reading;

/// A value and its place. It has no `Debug`, so that no `{:?}` can print a secret.
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: Place,
}

/// A JSON value.
pub(crate) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    /// Finite.
    Float(f64),
    String(String),
    List(Vec<Node>),
    /// The fields in the order of the document, no name twice.
    Object(Vec<Field>),
}

/// A field of an object.
pub(crate) struct Field {
    pub(crate) name: String,
    /// Of the name.
    pub(crate) at: Place,
    pub(crate) node: Node,
}

/// Where something stands in its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// From 1.
    pub(crate) line: u64,
    /// In characters, from 1.
    pub(crate) column: u64,
    /// In bytes from the start of the file; `None` where the reader does not know.
    pub(crate) offset: Option<usize>,
    /// In bytes; 0 for an object or a list.
    pub(crate) length: usize,
}

/// What keeps a text from being YAML. The reader's messages name no values of the text, but for a single character or the
/// name of a field.
#[derive(Clone, Debug)]
pub(crate) struct SyntaxError {
    pub(crate) at: Option<Place>,
    pub(crate) message: String,
}

/// Reads the documents of a text: one, or several between `---`.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let documents = serde_saphyr::from_multiple::<Reading>(text).map_err(|error| SyntaxError::of(&error))?;
    Ok(documents.into_iter().map(Reading::into_node).collect())
}

impl Node {
    /// The value under `name`, where this is an object that has it. A null counts as absent, as it does to the filters.
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        let Value::Object(fields) = &self.value else { return None };
        let found = fields.iter().find(|field| field.name == name).map(|field| &field.node)?;
        (!matches!(found.value, Value::Null)).then_some(found)
    }

    /// The value at the end of this way through objects.
    pub(crate) fn dig(&self, way: &[&str]) -> Option<&Node> {
        way.iter().try_fold(self, |node, name| node.get(name))
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// An object or a list with nothing in it, or no structure at all: what is written on one line.
    pub(crate) fn is_scalar(&self) -> bool {
        !matches!(self.value, Value::List(_) | Value::Object(_))
    }

    /// A string that stands nowhere.
    pub(crate) fn of_text(text: impl Into<String>) -> Node {
        Node { value: Value::String(text.into()), at: Place::default() }
    }

    /// An object that stands nowhere.
    pub(crate) fn of_fields(fields: Vec<(&str, Node)>) -> Node {
        let field = |(name, node): (&str, Node)| Field { name: name.to_owned(), at: Place::default(), node };
        Node { value: Value::Object(fields.into_iter().map(field).collect()), at: Place::default() }
    }

    /// A list that stands nowhere.
    pub(crate) fn of_items(items: Vec<Node>) -> Node {
        Node { value: Value::List(items), at: Place::default() }
    }
}

/// As a copy that may be changed.
impl Clone for Node {
    fn clone(&self) -> Node {
        let value = match &self.value {
            Value::Null => Value::Null,
            Value::Bool(value) => Value::Bool(*value),
            Value::Unsigned(value) => Value::Unsigned(*value),
            Value::Negative(value) => Value::Negative(*value),
            Value::Float(value) => Value::Float(*value),
            Value::String(value) => Value::String(value.clone()),
            Value::List(items) => Value::List(items.clone()),
            Value::Object(fields) => {
                let field = |field: &Field| Field { name: field.name.clone(), at: field.at, node: field.node.clone() };
                Value::Object(fields.iter().map(field).collect())
            }
        };
        Node { value, at: self.at }
    }
}

impl Place {
    pub(super) fn of(location: &serde_saphyr::Location) -> Place {
        let span = location.span();
        let bytes = |number: Option<u64>| number.and_then(|number| usize::try_from(number).ok());
        Place {
            line: location.line(),
            column: location.column(),
            offset: bytes(span.byte_offset()),
            length: bytes(span.byte_len()).unwrap_or_default(),
        }
    }
}

impl SyntaxError {
    fn of(error: &serde_saphyr::Error) -> SyntaxError {
        let at = error.location().map(|location| Place::of(&location));
        let text = error.without_snippet().to_string();
        // The place is told apart from the message.
        let text = text.split(" at line ").next().unwrap_or_default();
        let message = match text {
            text if text.starts_with("duplicate mapping key") => "this field is given twice",
            text if text.starts_with("non-finite float") => "a number that is not finite, which JSON cannot carry",
            text if text.starts_with("recursion limit") || text.starts_with("budget") => "nested too deep, or too much",
            text => text,
        };
        SyntaxError { at, message: message.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        parse(text).map_err(|error| error.message).unwrap().remove(0)
    }

    #[test]
    fn values_and_names_know_where_they_stand() {
        let node = one("version: \"1.0\"\ntrace:\n  rules:\n    - match: { path: { prefix: /ä } }\n      x: 1\n");
        let prefix = node.dig(&["trace", "rules"]).unwrap().items()[0].dig(&["match", "path", "prefix"]).unwrap();
        assert_eq!((prefix.at.line, prefix.at.column, prefix.at.length), (4, 32, 3));
        let Value::Object(fields) = &node.value else { panic!("no object") };
        assert_eq!((fields[1].at.line, fields[1].at.column, fields[1].at.offset), (2, 1, Some(15)));
    }

    #[test]
    fn json_is_read_with_all_that_only_json_has() {
        let node = one("{\"a\":\t\"\\ud83d\\ude00\",\r\n\t\"b\\/c\": [1e3, -3, 18446744073709551615]}");
        assert_eq!(node.get("a").and_then(Node::text), Some("😀"));
        let numbers = node.get("b/c").unwrap().items();
        assert!(matches!(numbers[0].value, Value::Float(1000.0)));
        assert!(matches!(numbers[1].value, Value::Negative(-3)));
        assert!(matches!(numbers[2].value, Value::Unsigned(u64::MAX)));
        assert_eq!((numbers[0].at.line, numbers[0].at.column), (2, 11));
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_place_and_without_values() {
        let table = [
            ("a: 1\na: s3cr3t\n", 2, "this field is given twice"),
            ("a: .nan", 1, "a number that is not finite, which JSON cannot carry"),
            (&"[".repeat(100_000), 1, "nested too deep, or too much"),
            ("a: [s3cr3t\nb: s3cr3t\n", 2, ""),
            ("a: *s3cr3t", 1, ""),
            ("a: !!int s3cr3t", 1, ""),
            ("a: 'x' s3cr3t", 1, ""),
            ("- a\nb: s3cr3t", 2, ""),
        ];
        for (text, line, message) in table {
            let Err(error) = parse(text) else { panic!("{text:?} is YAML") };
            assert_eq!(error.at.map(|at| at.line), Some(line), "{text:?}");
            assert!(!error.message.contains(" at line "), "{error:?}");
            assert!(error.message.starts_with(message) && !error.message.contains("s3cr3t"), "{error:?}");
        }
    }

    #[test]
    fn aliases_that_multiply_without_end_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = n - 1;
            text.push_str(&format!("a{n}: &a{n} [{}]\n", vec![format!("*a{before}"); 10].join(", ")));
        }
        assert!(parse(&text).is_err());
    }
}
