//! Lists of attributes, which our modules have the proxy compile into one expression (Envoy's foreign functions
//! `expr_create`, `expr_evaluate` and `expr_delete`), and evaluate for an exchange.
//!
//! Of the Common Expression Language this knows what `sluicegate_host::AttributeList` writes and nothing else.

use crate::pairs;
use sluicegate_host::{Host, HostError};
use std::collections::BTreeMap;

/// The expressions that the proxy keeps, by their tokens.
#[derive(Default)]
pub(crate) struct Expressions {
    kept: BTreeMap<u32, Vec<Item>>,
    last: u32,
}

/// A value of a list.
#[derive(Debug, PartialEq)]
enum Item {
    /// `a.b`: without it, there is no list.
    Needed(String),
    /// `has(a.b) ? a.b : ''`
    Attribute(String),
    /// `'a' in filter_state ? filter_state['a'] : ''`
    FilterState(String),
    /// `"a" in request.headers ? request.headers["a"] : ''`
    Header(String),
    /// `"a" in request.headers`
    HasHeader(String),
}

impl Expressions {
    /// Compiles an expression: its token, as the proxy hands it over. `None` for one that this does not know.
    pub(crate) fn create(&mut self, expression: &str) -> Option<Vec<u8>> {
        let items = expression.strip_prefix('[')?.strip_suffix(']')?;
        // None of the names holds a comma and a space.
        let items = items.split(", ").filter(|item| !item.is_empty()).map(Item::parse).collect::<Option<Vec<_>>>()?;
        self.last = self.last.wrapping_add(1);
        self.kept.insert(self.last, items);
        Some(self.last.to_le_bytes().to_vec())
    }

    /// Evaluates an expression. `None` for one that there is not, and where an attribute is absent that it needs.
    ///
    /// # Errors
    /// Those of the proxy.
    pub(crate) fn evaluate(&self, token: &[u8], proxy: &dyn Host) -> Result<Option<Vec<u8>>, HostError> {
        let Some(items) = id(token).and_then(|id| self.kept.get(&id)) else { return Ok(None) };
        let mut values = Vec::new();
        for item in items {
            let Some(value) = item.value(proxy)? else { return Ok(None) };
            values.push((value, []));
        }
        Ok(Some(pairs::write(&values)))
    }

    /// Lets go of an expression. `false` where there is none.
    pub(crate) fn delete(&mut self, token: &[u8]) -> bool {
        id(token).and_then(|id| self.kept.remove(&id)).is_some()
    }

    /// How many the proxy keeps.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }
}

fn id(token: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(token.try_into().ok()?))
}

impl Item {
    fn parse(item: &str) -> Option<Item> {
        let is = |written: String| item == written;
        if let Some(rest) = item.strip_prefix("has(") {
            let (name, _) = rest.split_once(')')?;
            return is(format!("has({name}) ? {name} : ''")).then(|| Item::Attribute(name.to_owned()));
        }
        if let Some((name, _)) = item.strip_prefix('\'').and_then(|rest| rest.split_once('\'')) {
            let left = name.strip_prefix("wasm.")?;
            let whole = format!("'{name}' in filter_state ? filter_state['{name}'] : ''");
            return is(whole).then(|| Item::FilterState(left.to_owned()));
        }
        if let Some((name, _)) = item.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
            let has = format!("\"{name}\" in request.headers");
            if is(format!("{has} ? request.headers[\"{name}\"] : ''")) {
                return Some(Item::Header(name.to_owned()));
            }
            return is(has).then(|| Item::HasHeader(name.to_owned()));
        }
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_');
        item.chars().all(is_name).then(|| Item::Needed(item.to_owned()))
    }

    fn value(&self, proxy: &dyn Host) -> Result<Option<Vec<u8>>, HostError> {
        let header = |name: &str| proxy.property(&format!("request\0headers\0{name}"));
        Ok(match self {
            Item::Needed(name) => proxy.property(&name.replace('.', "\0"))?,
            Item::Attribute(name) => Some(proxy.property(&name.replace('.', "\0"))?.unwrap_or_default()),
            Item::FilterState(name) => Some(proxy.property(name)?.unwrap_or_default()),
            Item::Header(name) => Some(header(name)?.unwrap_or_default()),
            Item::HasHeader(name) => Some(vec![u8::from(header(name)?.is_some())]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_host::MapKind;
    use sluicegate_host::double::Double;

    const ALL: &str = "[response.code, has(response.grpc_status) ? response.grpc_status : '', \
        'wasm.left' in filter_state ? filter_state['wasm.left'] : '', \
        \"x-a\" in request.headers, \"x-a\" in request.headers ? request.headers[\"x-a\"] : '']";

    #[test]
    fn every_form_has_its_value_or_none() {
        let (proxy, mut expressions) = (Double::new(), Expressions::default());
        let token = expressions.create(ALL).unwrap();
        assert_eq!(expressions.evaluate(&token, proxy), Ok(None));
        let list = |values: &[&[u8]]| {
            let pairs: Vec<_> = values.iter().map(|value| (value, [])).collect();
            Ok(Some(pairs::write(&pairs)))
        };
        proxy.set("response\0code", 200i64.to_le_bytes());
        let code = &200i64.to_le_bytes()[..];
        assert_eq!(expressions.evaluate(&token, proxy), list(&[code, b"", b"", &[0], b""]));
        proxy.set("response\0grpc_status", 3i64.to_le_bytes());
        proxy.set("left", *b"state");
        proxy.put_headers(MapKind::RequestHeaders, &[("x-a", "1"), ("x-a", "2")]);
        let status = &3i64.to_le_bytes()[..];
        assert_eq!(expressions.evaluate(&token, proxy), list(&[code, status, b"state", &[1], b"1,2"]));
        assert!(expressions.delete(&token) && !expressions.delete(&token));
        assert_eq!(expressions.evaluate(&token, proxy), Ok(None));
    }

    #[test]
    fn what_it_does_not_know_is_not_taken_for_something_else() {
        let mut expressions = Expressions::default();
        for unknown in [
            "response.code",
            "[Response]",
            "[has(a) ? b : '']",
            "[has(a]",
            "['left' in filter_state ? filter_state['left'] : '']",
            "['wasm.a' in filter_state]",
            "[\"a\" in request.headers ? 1 : 2]",
        ] {
            assert_eq!(expressions.create(unknown), None, "{unknown}");
        }
        assert_eq!(expressions.len(), 0);
    }
}
