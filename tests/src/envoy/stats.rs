//! Prometheus' text format, as `/stats/prometheus` writes it.

use std::str::FromStr;

use anyhow::{Context, Error, Result};

/// One line of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The name, without labels.
    pub name: String,
    /// The labels, in the order of the line.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}

/// A scrape.
#[derive(Clone, Debug, Default)]
pub struct Stats(pub Vec<Series>);

impl Stats {
    /// The sum over all series of this name that have all of these labels (and perhaps others); none when there is no
    /// such series.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let matching = self.named(name).filter(|series| {
            labels.iter().all(|(name, value)| series.labels.iter().any(|(n, v)| n == name && v == value))
        });
        matching.map(|series| series.value).reduce(|a, b| a + b)
    }

    /// All series of this name.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Series> {
        self.0.iter().filter(move |series| series.name == name)
    }
}

impl FromStr for Stats {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|line| series(line).with_context(|| format!("no Prometheus series: `{line}`")))
            .collect::<Result<_>>()
            .map(Self)
    }
}

/// `name{label="value",…} 1`, where the braces may be missing.
fn series(line: &str) -> Option<Series> {
    let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((label.to_owned(), value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = rest.strip_prefix('}')?;
    }
    Some(Series { name: name.to_owned(), labels, value: rest.trim().parse().ok()? })
}

/// A label's value up to its closing quote, and what comes after that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, text.get(at.checked_add(1)?..)?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            _ => value.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_read_and_summed() {
        let stats: Stats = concat!(
            "# TYPE continued counter\n",
            "continued{format=\"w3c\"} 2\n",
            "continued{format=\"b3\",odd=\"a\\\"b\\\\c,}=\\n\"} 3\n",
            "\n",
            "started{} 5\n",
            "bare 1.5e3\n",
        )
        .parse()
        .unwrap();
        assert_eq!(stats.sum("continued", &[]), Some(5.0));
        assert_eq!(stats.sum("continued", &[("format", "b3")]), Some(3.0));
        assert_eq!(stats.sum("continued", &[("format", "xray")]), None);
        assert_eq!(stats.0[1].labels[1], ("odd".into(), "a\"b\\c,}=\n".into()));
        assert_eq!(stats.sum("started", &[]), Some(5.0));
        assert_eq!(stats.sum("bare", &[]), Some(1500.0));
    }

    #[test]
    fn what_is_not_a_series_is_an_error() {
        for line in ["name", "name{label=\"open", "name{} seven", "<html>"] {
            assert!(line.parse::<Stats>().is_err(), "{line}");
        }
    }
}
