//! How it looks: headings, what went in and what came out in columns, and what holds. Colours only on a terminal, and
//! not where `NO_COLOR` is set.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use owo_colors::{OwoColorize, Stream, Style};
use serde_json::Value;
use sluicegate_tests::seen::Seen;

use super::stage::Header;

/// Envoy and HTTP/1.1 add these to every request, whatever the filters do.
const EVERY_REQUEST_HAS: [&str; 3] = ["host", "x-forwarded-proto", "x-envoy-expected-rq-timeout-ms"];

/// Prints a line. Where nobody reads any more (`| head`) the demo goes on: its exit code still tells.
macro_rules! say {
    ($($text:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}
pub(super) use say;

/// The printed page, and how many checks failed on it.
#[derive(Default)]
pub(crate) struct Page {
    failed: usize,
}

impl Page {
    pub(super) fn opening(&mut self, envoy: &str, url: &str) {
        say!();
        say!("{}", styled("Sluicegate", Style::new().bold()));
        say!("Envoy {envoy} from envoy/envoy.yaml, on a free port ({url}), in front of a sample service.");
        say!("Below: what a caller sent, and what the service saw of it.");
    }

    pub(super) fn heading(&mut self, number: usize, title: &str, why: &str) {
        say!();
        say!("{} {}", styled(format_args!("{number:>2}"), accent()), styled(title, Style::new().bold()));
        say!("   {}", styled(why, Style::new().dimmed()));
    }

    /// Whether everything was as it should be.
    pub(super) fn closing(&self, parts: usize, requests: u64, took: Duration) -> bool {
        say!();
        let took = format!("{parts} parts, {requests} requests, {:.1} s", took.as_secs_f64());
        match self.failed {
            0 => say!("{} {took}: all as it should be", good("✓")),
            failed => say!("{} {took}: {failed} not as it should be", bad("✗")),
        }
        self.failed == 0
    }

    /// A request and what the service saw of it.
    pub(crate) fn exchange(&mut self, sent: &[Header<'_>], seen: &Seen) {
        let outcome = outcome(sent, seen);
        let sent: Vec<_> = sent.iter().map(|(name, value)| Row { name, value, change: None }).collect();
        say!();
        say!("   {} {}", seen.method, seen.path);
        let width = sent.iter().chain(&outcome).map(|row| row.name.len()).max().unwrap_or_default();
        let none = [Row { name: "", value: "(no header of ours)", change: None }];
        if sent.is_empty() {
            rows("sent", &none, 0);
        }
        rows("sent", &sent, width);
        rows("saw", &outcome, width);
    }

    /// A request alone.
    pub(crate) fn sent(&mut self, path: &str, sent: &[Header<'_>]) {
        say!();
        say!("   GET {path}");
        let sent: Vec<_> = sent.iter().map(|(name, value)| Row { name, value, change: None }).collect();
        let width = sent.iter().map(|row| row.name.len()).max().unwrap_or_default();
        rows("sent", &sent, width);
    }

    /// A line of JSON, for people.
    pub(crate) fn json(&mut self, line: &Value) {
        say!();
        for text in format!("{line:#}").lines() {
            match text.split_once("\": ") {
                Some((key, value)) => say!("   {}: {value}", styled(format_args!("{key}\""), accent())),
                None => say!("   {text}"),
            }
        }
    }

    /// Names and values that belong together.
    pub(crate) fn facts<V: Display>(&mut self, label: &str, facts: &[(&str, V)]) {
        let texts: Vec<_> = facts.iter().map(|(name, value)| (*name, value.to_string())).collect();
        let facts: Vec<_> = texts.iter().map(|(name, value)| Row { name, value, change: None }).collect();
        let width = facts.iter().map(|row| row.name.len()).max().unwrap_or_default();
        say!();
        rows(label, &facts, width);
    }

    /// A command, as it was given, and what is of note about it.
    pub(crate) fn command(&mut self, command: impl Display, note: Option<&str>) {
        let note = note.map(|note| format!("    # {note}")).unwrap_or_default();
        say!();
        say!("   {} {command}{}", styled("$", Style::new().dimmed()), styled(note, Style::new().dimmed()));
    }

    /// A line as it came from elsewhere.
    pub(crate) fn quote(&mut self, line: &str) {
        say!("   {} {line}", styled("│", Style::new().dimmed()));
    }

    /// What the columns of a table are. The rows that follow are padded by whoever shows them.
    pub(crate) fn columns(&mut self, names: impl Display) {
        say!();
        say!("   {}", styled(names, Style::new().dimmed()));
    }

    /// A line of a table.
    pub(crate) fn row(&mut self, cells: impl Display) {
        say!("   {cells}");
    }

    /// Something that should hold.
    pub(crate) fn check(&mut self, holds: bool, claim: impl Display) {
        if holds {
            say!("   {} {claim}", good("✓"));
        } else {
            self.failed = self.failed.saturating_add(1);
            say!("   {} NOT SO: {claim}", bad("✗"));
        }
    }
}

#[derive(Clone, Copy)]
struct Row<'a> {
    name: &'a str,
    value: &'a str,
    change: Option<Change>,
}

/// What became of a header on its way.
#[derive(Clone, Copy)]
enum Change {
    Same,
    Added,
    Rewritten,
    Removed,
}

/// What the service saw: first what became of the headers that were sent, then what is new.
fn outcome<'a>(sent: &[Header<'a>], seen: &'a Seen) -> Vec<Row<'a>> {
    let seen: Vec<Header<'a>> = seen.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let seen_as = |wanted: &str| seen.iter().copied().filter(move |(name, _)| *name == wanted).collect::<Vec<_>>();
    let mut rows: Vec<Row<'a>> = Vec::new();
    for (name, _) in sent {
        if rows.iter().any(|row| row.name == *name) {
            continue;
        }
        match seen_as(name).as_slice() {
            [] => rows.push(Row { name, value: "—", change: Some(Change::Removed) }),
            headers => rows.extend(headers.iter().map(|header| {
                let change = if sent.contains(header) { Change::Same } else { Change::Rewritten };
                Row { name: header.0, value: header.1, change: Some(change) }
            })),
        }
    }
    for (name, value) in seen {
        if !EVERY_REQUEST_HAS.contains(&name) && !sent.iter().any(|(sent, _)| *sent == name) {
            rows.push(Row { name, value, change: Some(Change::Added) });
        }
    }
    rows
}

fn rows(label: &str, rows: &[Row<'_>], width: usize) {
    for (number, Row { name, value, change }) in rows.iter().enumerate() {
        let label = if number == 0 { label } else { "" };
        let (note, style) = match change {
            None => ("", Style::new()),
            Some(Change::Same) => ("as sent", Style::new().dimmed()),
            Some(Change::Added) => ("added", Style::new().green()),
            Some(Change::Rewritten) => ("rewritten", Style::new().green()),
            Some(Change::Removed) => ("removed", Style::new().yellow()),
        };
        let label = styled(format_args!("{label:<5}"), Style::new().dimmed());
        let name = styled(format_args!("{name:<width$}"), accent());
        match note {
            "" if name.is_empty() => say!("   {label} {value}"),
            "" => say!("   {label} {name}  {value}"),
            note => say!("   {label} {name}  {value}  {}", styled(format_args!("({note})"), style)),
        }
    }
}

fn accent() -> Style {
    Style::new().cyan()
}

fn good(mark: &str) -> String {
    styled(mark, Style::new().green().bold())
}

fn bad(mark: &str) -> String {
    styled(mark, Style::new().red().bold())
}

/// Styled where standard output shows colours.
pub(super) fn styled(text: impl Display, style: Style) -> String {
    let text = text.to_string();
    text.if_supports_color(Stream::Stdout, |text| text.style(style)).to_string()
}
