//! Reads YAML into a tree, and settles where that stands which comes through an alias.
//!
//! `mode: *x` stands where the alias does. What is within the value that an alias refers to stands where it is written, at the
//! anchor: there is no such text at the alias.

use super::tree::{Field, Node, Place, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// A value with both of its places: where it is used, and where it is written.
pub(super) struct Reading(Spanned<Content>);

enum Content {
    /// Neither a list nor an object.
    Scalar(Value),
    List(Vec<Reading>),
    Object(Vec<(Spanned<String>, Reading)>),
}

impl Reading {
    /// The document that it is of.
    pub(super) fn into_node(self) -> Node {
        self.settle(false)
    }

    /// `is_written_elsewhere`: within what an alias refers to.
    fn settle(self, is_written_elsewhere: bool) -> Node {
        let at = place(&self.0, is_written_elsewhere);
        let within = is_written_elsewhere || is_aliased(&self.0);
        let value = match self.0.value {
            Content::Scalar(value) => value,
            Content::List(items) => Value::List(items.into_iter().map(|item| item.settle(within)).collect()),
            Content::Object(fields) => {
                Value::Object(fields.into_iter().map(|(name, value)| field(name, value, within)).collect())
            }
        };
        Node { value, at }
    }
}

fn field(name: Spanned<String>, value: Reading, within: bool) -> Field {
    // Of `<<: *x`, which names no field of its own.
    let is_merged = is_aliased(&name) && is_aliased(&value.0);
    let is_written_elsewhere = within || is_merged;
    let at = place(&name, is_written_elsewhere);
    Field { name: name.value, at, node: value.settle(is_written_elsewhere) }
}

fn place<T>(read: &Spanned<T>, is_written_elsewhere: bool) -> Place {
    Place::of(if is_written_elsewhere { &read.defined } else { &read.referenced })
}

fn is_aliased<T>(read: &Spanned<T>) -> bool {
    read.referenced != read.defined
}

impl<'de> Deserialize<'de> for Reading {
    fn deserialize<D: Deserializer<'de>>(yaml: D) -> Result<Reading, D::Error> {
        Spanned::deserialize(yaml).map(Reading)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(yaml: D) -> Result<Content, D::Error> {
        yaml.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Bool(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Unsigned(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(u64::try_from(value).map_or(Value::Negative(value), Value::Unsigned)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(Value::String(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Content, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = object.next_entry()? {
            fields.push(field);
        }
        Ok(Content::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use crate::document::locate;
    use crate::document::tree::parse;

    fn places(text: &str, messages: &[&str]) -> Vec<((u64, u64), (u64, u64))> {
        let root = parse(text).map_err(|error| error.message).unwrap().remove(0);
        let place = |message: &&str| {
            let found = locate(&root, message);
            assert!(found.is_exact, "{message}");
            let field = found.field.map(|field| (field.at.line, field.at.column)).unwrap_or_default();
            (field, (found.node.at.line, found.node.at.column))
        };
        messages.iter().map(place).collect()
    }

    #[test]
    fn what_is_within_an_aliased_value_stands_at_the_anchor() {
        let text = "x: &a {mode: forwrd, list: [a, b: 1]}\ntrace: *a\nother:\n  inner: *a\n";
        let found = places(
            text,
            &["trace: x", "trace.mode: x", "trace.list[0]: x", "trace.list[1].b: x", "other.inner.mode: x"],
        );
        let wanted = [((2, 1), (2, 8)), ((1, 8), (1, 14)), ((0, 0), (1, 29)), ((1, 32), (1, 35)), ((1, 8), (1, 14))];
        assert_eq!(found, wanted);
        let text = "x: &a [a, 1]\ntrace:\n  list: *a\n";
        assert_eq!(places(text, &["trace.list: x", "trace.list[1]: x"]), [((3, 3), (3, 9)), ((0, 0), (1, 11))]);
    }

    #[test]
    fn an_alias_itself_stands_where_it_is() {
        let text = "x: &a forwrd\ntrace:\n  mode: *a\n  list:\n    - *a\n";
        assert_eq!(places(text, &["trace.mode: x", "trace.list[0]: x"]), [((3, 3), (3, 9)), ((0, 0), (5, 7))]);
    }

    #[test]
    fn what_is_merged_stands_at_the_anchor() {
        let text = "x: &a {mode: forwrd}\ntrace:\n  <<: *a\n  more: 1\n";
        assert_eq!(places(text, &["trace.mode: x", "trace.more: x"]), [((1, 8), (1, 14)), ((4, 3), (4, 9))]);
    }
}
