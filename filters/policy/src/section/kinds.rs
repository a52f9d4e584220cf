//! What a field is, where a policy may write it in more than one way: `per: route` or `per: { header: x-tenant }`,
//! `slow_call: { … }` or `slow_call: false`.

use super::Section;
use crate::value::Value;

impl Section<'_> {
    /// Whether `name` is `false`: how a policy takes back what would hold otherwise. To be asked before the field is read as
    /// what it is when it is not.
    pub fn is_false(&self, name: &'static str) -> bool {
        note!(self, name, False);
        matches!(self.field(name).value, Some(Value::Bool(false)))
    }

    /// Whether the list under `name` has this string in it; `None` where there is no list. For a neighbour's list, whose owner
    /// says what else may be in it.
    pub fn lists(&self, name: &'static str, text: &str) -> Option<bool> {
        let Some(Value::Array(items)) = self.field(name).value else { return None };
        Some(items.iter().any(|item| matches!(item, Value::String(item) if **item == *text)))
    }

    /// Whether `name` is an object.
    pub fn is_object(&self, name: &'static str) -> bool {
        note!(self, name, AnyObject);
        matches!(self.field(name).value, Some(Value::Object(_)))
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use crate::testing::accepted;

    #[test]
    fn a_list_is_asked_for_what_is_in_it() {
        for (fields, lists) in [
            ("", None),
            (r#""x": "a""#, None),
            (r#""x": []"#, Some(false)),
            (r#""x": ["b", 1, null]"#, Some(false)),
            (r#""x": ["b", "a"]"#, Some(true)),
        ] {
            assert_eq!(accepted(fields, |section| section.lists("x", "a")), lists, "{fields}");
        }
    }

    #[test]
    fn a_field_is_asked_for_its_kind_and_is_known_from_then_on() {
        for (fields, is_false, is_object) in [
            ("", false, false),
            (r#""x": null"#, false, false),
            (r#""x": false"#, true, false),
            (r#""x": true"#, false, false),
            (r#""x": 0"#, false, false),
            (r#""x": "false""#, false, false),
            (r#""x": {}"#, false, true),
            (r#""x": []"#, false, false),
        ] {
            assert_eq!(accepted(fields, |section| section.is_false("x")), is_false, "{fields}");
            assert_eq!(accepted(fields, |section| section.is_object("x")), is_object, "{fields}");
        }
    }
}
