//! Policies as people keep them: files of YAML or JSON, or the manifests that carry a policy.

mod carriers;
mod excerpt;
pub(crate) mod json;
mod locate;
mod reader;
pub(crate) mod secrets;
pub(crate) mod tree;

pub(crate) use excerpt::Excerpt;
pub(crate) use locate::{Found, locate};

use anyhow::{Context, Result, bail};
use sluicegate_policy::Document;
use std::io::Read;
use tree::{Node, SyntaxError};

/// The name that stands for standard input.
pub(crate) const STDIN: &str = "-";

/// The filters read JSON behind it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A policy, and where it stands.
pub(crate) struct Policy {
    /// The document as the filters get it: JSON.
    pub(crate) bytes: Vec<u8>,
    /// The same with places; `None` where the text is no document at all, or JSON that is broken.
    pub(crate) tree: Option<Node>,
    /// What the file holds: the places are its.
    pub(crate) text: String,
}

/// A file of policies.
pub(crate) struct File {
    /// As it is shown.
    pub(crate) name: String,
    /// What it holds: one, or several where it is a manifest of several filters.
    pub(crate) policies: std::result::Result<Vec<Policy>, SyntaxError>,
}

impl File {
    /// Reads a file; `-` is standard input.
    ///
    /// # Errors
    /// Where it cannot be read, or is a manifest without a policy.
    pub(crate) fn read(name: &str) -> Result<File> {
        let mut bytes = Vec::new();
        if name == STDIN {
            std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
        } else {
            bytes = std::fs::read(name).with_context(|| format!("cannot read {name}"))?;
        }
        let shown = if name == STDIN { "<stdin>" } else { name };
        File::of(shown, bytes)
    }

    /// Reads what a file of this name holds. `.json` is JSON to the letter, as the filters read it; anything else may be YAML.
    pub(crate) fn of(name: &str, bytes: Vec<u8>) -> Result<File> {
        let is_json = name.ends_with(".json") || (!is_yaml(name) && holds_json(&bytes));
        let file = |policies| Ok(File { name: name.to_owned(), policies });
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            // The filters say what they think of it.
            Err(error) if is_json => {
                return file(Ok(vec![Policy { bytes: error.into_bytes(), tree: None, text: String::new() }]));
            }
            Err(_) => return file(Err(SyntaxError { at: None, message: "not valid UTF-8".to_owned() })),
        };
        let documents = match tree::parse(&text) {
            Ok(documents) => documents,
            Err(_) if is_json => Vec::new(),
            Err(error) => return file(Err(error)),
        };
        if documents.iter().any(carriers::is_manifest) {
            let policies: Vec<_> = documents.iter().flat_map(|node| carriers::policies(node, &text)).collect();
            if policies.is_empty() {
                bail!("{name} is a manifest without a policy in it");
            }
            return file(Ok(policies));
        }
        if documents.len() > 1 {
            bail!("{name} holds {} documents, and a policy is one", documents.len());
        }
        // What is no JSON may be YAML, and say something else there.
        let is_of_text = !is_json || holds_json(text.as_bytes());
        let tree = documents.into_iter().next().filter(|_| is_of_text);
        let bytes = match &tree {
            Some(tree) if !is_json => json::compact(tree).into_bytes(),
            _ if is_json => text.clone().into_bytes(),
            _ => Vec::new(),
        };
        file(Ok(vec![Policy { bytes, tree, text }]))
    }

    /// The only policy of the file; a syntax error is one that leaves nothing to go on with.
    ///
    /// # Errors
    /// Where it holds several.
    pub(crate) fn only(&self) -> Result<std::result::Result<&Policy, &SyntaxError>> {
        match &self.policies {
            Ok(policies) => match policies.as_slice() {
                [policy] => Ok(Ok(policy)),
                several => bail!("{} carries {} policies, and this takes one", self.name, several.len()),
            },
            Err(error) => Ok(Err(error)),
        }
    }
}

impl Policy {
    /// Whether it has no field at all. A plugin without configuration has such a policy; nobody who puts one into etcd means
    /// it.
    pub(crate) fn says_nothing(&self) -> bool {
        Document::parse(&self.bytes, &|_| None).is_ok_and(|document| document.says_nothing())
    }

    /// The document with places; nothing at all is an object without fields.
    pub(crate) fn root(&self) -> Node {
        self.tree.clone().unwrap_or_else(|| Node::of_fields(Vec::new()))
    }
}

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}

/// Whether text without a telling name is JSON. YAML may begin with a brace as well.
fn holds_json(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(name: &str, text: &str) -> String {
        let file = File::of(name, text.into()).unwrap();
        let policy = file.only().unwrap().map_err(|error| error.message.clone()).unwrap();
        String::from_utf8(policy.bytes.clone()).unwrap()
    }

    #[test]
    fn json_stays_as_it_is_and_yaml_becomes_json() {
        let text = "{ \"version\": \"1.0\" }\n";
        for name in ["policy.json", "<stdin>", "policy"] {
            assert_eq!(bytes(name, text), text, "{name}");
        }
        for text in ["version: '1.0'", "{version: \"1.0\"}", "--- # a policy\nversion: \"1.0\"\n", text] {
            assert_eq!(bytes("policy.yaml", text), r#"{"version":"1.0"}"#, "{text}");
        }
        // Whatever it is, the filters are asked.
        assert_eq!(bytes("policy.json", "{version: 1"), "{version: 1");
        assert_eq!(bytes("policy.yaml", ""), "");
    }

    #[test]
    fn a_file_of_several_documents_is_no_policy() {
        assert!(File::of("x.yaml", b"version: '1.0'\n---\nversion: '1.0'\n".to_vec()).is_err());
    }

    #[test]
    fn what_is_no_text_is_left_to_the_filters_where_it_is_json() {
        assert!(File::of("x.json", vec![b'{', 0xff]).unwrap().only().unwrap().is_ok());
        assert!(File::of("x.yaml", vec![b'{', 0xff]).unwrap().only().unwrap().is_err());
    }
}
