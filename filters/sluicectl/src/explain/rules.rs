//! Which rule of which list matches a request: the policy crate's own matching, over the lists of all sections.

use sluicegate_host::HeaderMap;
use sluicegate_policy::{Directions, Document, Section, Statuses};

/// A list of rules.
pub(super) struct List {
    pub(super) section: &'static str,
    pub(super) field: &'static str,
    /// Whether it sees the request as its caller sent it, and not as the filters before have left it.
    sees_original: bool,
}

/// Every list of rules that a policy has.
pub(super) const LISTS: [List; 6] = [
    List { section: "trace", field: "rules", sees_original: true },
    List { section: "sampling", field: "rules", sees_original: false },
    List { section: "breaker", field: "rules", sees_original: false },
    List { section: "access_log", field: "routes", sees_original: true },
    List { section: "access_log", field: "severity", sees_original: true },
    List { section: "access_log", field: "drop", sees_original: true },
];

/// An exchange, as rules look at it.
pub(super) struct Seen<'e> {
    /// As the caller sent it.
    pub(super) original: &'e HeaderMap,
    /// As it went on.
    pub(super) upstream: &'e HeaderMap,
    pub(super) cluster: &'e str,
    pub(super) route: &'e str,
    pub(super) status: u16,
}

/// What a list says of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hit {
    /// There are no rules.
    Empty,
    /// None of so many matches.
    None(usize),
    /// The first that matches, by its place in the list.
    Rule(usize),
}

/// What a rule asks for beside its match.
struct Rule {
    number: usize,
    clusters: Vec<String>,
    routes: Vec<String>,
    statuses: Vec<Statuses>,
}

impl List {
    /// The first rule that matches; of the sections of a document that has been checked.
    pub(super) fn first(&self, document: &Document<'_>, seen: &Seen<'_>) -> Hit {
        let mut number = 0usize;
        let rules = document.section(self.section).rules(self.field, |rule| {
            let read = Rule::read(rule, number);
            number = number.saturating_add(1);
            read
        });
        let request = if self.sees_original { seen.original } else { seen.upstream };
        let hit = rules.all(request).find(|rule| rule.holds(seen)).map(|rule| Hit::Rule(rule.number));
        match hit {
            Some(hit) => hit,
            None if rules.is_empty() => Hit::Empty,
            None => Hit::None(rules.len()),
        }
    }
}

impl Rule {
    fn read(rule: &Section<'_>, number: usize) -> Rule {
        let names = |field| -> Vec<String> {
            let names = rule.strings_where(field, |_| true, "a name").unwrap_or_default();
            names.into_iter().map(str::to_owned).collect()
        };
        let statuses = rule.strings_where("status", |_| true, Statuses::ACCEPTED).unwrap_or_default();
        Rule {
            number,
            clusters: names("cluster"),
            routes: names("route"),
            statuses: statuses.into_iter().filter_map(Statuses::parse).collect(),
        }
    }

    fn holds(&self, seen: &Seen<'_>) -> bool {
        let has = |names: &[String], name: &str| names.is_empty() || names.iter().any(|known| known == name);
        has(&self.clusters, seen.cluster)
            && has(&self.routes, seen.route)
            && (self.statuses.is_empty() || self.statuses.iter().any(|statuses| statuses.contains(seen.status)))
    }
}

/// Why a section has no say in an exchange; `None` where it has.
pub(super) fn absence(document: &Document<'_>, section: &'static str, side: super::Side) -> Option<&'static str> {
    let read = document.section(section);
    if read.boolean("enabled") == Some(false) {
        return Some("is off");
    }
    let directions = read.directions("direction").unwrap_or_else(|| default_directions(section));
    (!directions.contains(side.direction())).then_some("is not for this direction")
}

/// Where a section acts that does not say.
fn default_directions(section: &str) -> Directions {
    use sluicegate_policy::Direction::{Gateway, Inbound, Outbound};
    match section {
        "breaker" => [Outbound, Gateway].into_iter().collect(),
        "access_log" => [Inbound, Gateway].into_iter().collect(),
        _ => Directions::ALL,
    }
}
