//! Who the service is that this proxy stands beside: section `service`.

use crate::section::Section;

/// The longest value of the section, in characters.
const LONGEST: usize = 256;

/// The identity of the service, as OpenTelemetry's resource attributes `service.name`, `service.version`,
/// `service.namespace` and `deployment.environment.name` have it. What is absent, the host may know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// The logical name, the same for all instances: `checkout`.
    pub name: Option<String>,
    /// The version that runs: `2.3.0`.
    pub version: Option<String>,
    /// What groups services whose names are only unique within it: `shop`.
    pub namespace: Option<String>,
    /// The deployment environment: `prod`.
    pub environment: Option<String>,
}

impl Service {
    pub(crate) fn read(section: Section<'_>) -> Service {
        let text = |name| section.string_where(name, is_label, LABEL).map(str::to_owned);
        Service {
            name: text("name"),
            version: text("version"),
            namespace: text("namespace"),
            environment: text("environment"),
        }
    }
}

const LABEL: &str = "a string of 1 to 256 characters without control characters";

fn is_label(text: &str) -> bool {
    (1..=LONGEST).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::parse;

    #[test]
    fn the_identity_is_read_as_it_stands() {
        let text = r#"{"version":"1.0","service":{"name":"checkout","version":"2.3.0","namespace":"shop","environment":"prod"}}"#;
        let document = parse(text).unwrap();
        let service = document.service();
        document.finish().unwrap();
        assert_eq!(
            service,
            Service {
                name: Some("checkout".into()),
                version: Some("2.3.0".into()),
                namespace: Some("shop".into()),
                environment: Some("prod".into()),
            }
        );
    }

    #[test]
    fn what_is_absent_stays_open() {
        for text in [
            "",
            r#"{"version":"1.0"}"#,
            r#"{"version":"1.0","service":null}"#,
            r#"{"version":"1.0","service":{"name":null}}"#,
        ] {
            let document = parse(text).unwrap();
            assert_eq!(document.service(), Service::default());
            assert_eq!(document.finish(), Ok(vec![]), "{text}");
        }
    }

    #[test]
    fn labels_are_short_strings_without_control_characters() {
        let long = "é".repeat(257);
        let shown = format!("\"{}…\"", "é".repeat(64));
        let table = [
            (r#""""#, r#""""#, ""),
            (r#""a\nb""#, r#""a\nb""#, ""),
            (&format!("\"{long}\""), &shown, ""),
            ("2.3", "2.3", " (in quotes)"),
            ("{}", "an object", ""),
        ];
        for (value, found, quotes) in table {
            let document = parse(&format!(r#"{{"version":"1.0","service":{{"version":{value}}}}}"#)).unwrap();
            document.service();
            assert_eq!(
                document.finish().unwrap_err().to_string(),
                format!("service.version: found {found}, accepted: {LABEL}{quotes}")
            );
        }
        let document = parse(&format!(r#"{{"version":"1.0","service":{{"name":"{}"}}}}"#, "é".repeat(256))).unwrap();
        assert!(document.service().name.is_some());
        assert_eq!(document.finish(), Ok(vec![]));
    }
}
