//! `sluicectl explain`: what a policy does to a request.

mod answer;
mod breaker;
mod message;
mod rules;
mod run;

use crate::cli::ExplainArgs;
use crate::console::{Answer, Console};
use crate::document::{File, Policy, json, locate, tree};
use crate::report::{self, Format};
use crate::verdict::{self, Judging};
use answer::Answered;
use anyhow::Result;
use clap::ValueEnum;
use message::Headers;
use owo_colors::OwoColorize;
use rules::{Hit, LISTS, Seen};
use run::{Came, Scene};
use sluicegate_host::{HeaderMap, Origin, SamplingFacts};
use sluicegate_policy::{Direction, Document};
use std::io::Write;

/// Which side of a service the proxy is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    /// In front of the service
    Inbound,
    /// Behind it: its calls to others
    Outbound,
    /// On neither: a proxy of its own
    #[default]
    Gateway,
}

impl Side {
    fn direction(self) -> Direction {
        match self {
            Side::Inbound => Direction::Inbound,
            Side::Outbound => Direction::Outbound,
            Side::Gateway => Direction::Gateway,
        }
    }
}

pub(crate) fn run(args: &ExplainArgs, console: &mut Console) -> Result<Answer> {
    let request = message::request(&args.request, &args.headers)?;
    let (status, response) = message::response(&args.response)?;
    let file = File::read(&args.policy)?;
    let judging = Judging { strict: false, environment: args.env };
    let judged = verdict::of_file(&file, judging);
    if !judged.is_accepted() {
        report::write(Format::Text, &[(file.name, judged)], &mut console.err)?;
        return Ok(Answer::No);
    }
    let Ok(policy) = file.only()? else { return Ok(Answer::No) };
    let scene = Scene {
        request: &request,
        response: &response,
        status,
        side: args.direction,
        duration: args.duration,
        cluster: &args.cluster,
        route: &args.route,
        judging,
    };
    let came = run::run(policy, &scene)?;
    Explanation { file: &file.name, policy, scene: &scene, came: &came }.write(&mut console.out)?;
    Ok(Answer::Yes)
}

struct Explanation<'e> {
    file: &'e str,
    policy: &'e Policy,
    scene: &'e Scene<'e>,
    came: &'e Came,
}

impl Explanation<'_> {
    fn write(&self, out: &mut dyn Write) -> Result<()> {
        let environment = |name: &str| verdict::variable(name, self.scene.judging);
        let document = Document::parse(&self.policy.bytes, &environment)?;
        let original = HeaderMap::from_pairs(self.scene.request);
        let seen = Seen {
            original: &original,
            upstream: &self.came.outcome.upstream,
            cluster: self.scene.cluster,
            route: self.scene.route,
            status: self.came.answer.status,
        };
        title("rules", out)?;
        self.write_rules(&document, &seen, out)?;
        title("request, as the upstream gets it", out)?;
        self.write_changes(self.scene.request, &self.came.outcome.upstream, out)?;
        if self.came.outcome.reply.is_some() {
            let Answered { status, grpc_status, .. } = self.came.answer;
            let grpc = if self.is_grpc() { format!(", grpc-status {grpc_status}") } else { String::new() };
            writeln!(out, "  the upstream gets nothing: a filter answers {status}{grpc}")?;
        }
        title("response, as the caller gets it", out)?;
        self.write_response(out)?;
        title("trace", out)?;
        self.write_trace(&document, out)?;
        title("sampling", out)?;
        self.write_sampling(&document, out)?;
        title("breaker", out)?;
        self.write_breaker(&document, &seen, out)?;
        title("log record", out)?;
        self.write_record(&document, out)?;
        writeln!(
            out,
            "\nTrace ids, span ids, request ids and times are made up; the load is none, and no upstream has failed."
        )?;
        Ok(())
    }

    fn is_grpc(&self) -> bool {
        answer::is_grpc_request(self.scene.request)
    }

    fn write_rules(&self, document: &Document<'_>, seen: &Seen<'_>, out: &mut dyn Write) -> Result<()> {
        let root = self.policy.root();
        for list in &LISTS {
            let path = format!("{}.{}", list.section, list.field);
            let said = match (rules::absence(document, list.section, self.scene.side), list.first(document, seen)) {
                (_, Hit::Empty) => continue,
                (Some(absence), _) => format!("{} {absence}", list.section),
                (None, Hit::None(number)) => format!("none of {number}"),
                (None, Hit::Rule(number)) => {
                    let line = locate(&root, &format!("{path}[{number}]: ")).node.at.line;
                    format!("{path}[{number}]").green().to_string() + &format!("  ({}:{line})", self.file)
                }
            };
            writeln!(out, "  {path:<21} {said}")?;
        }
        Ok(())
    }

    /// What was added, changed and taken away.
    fn write_changes(&self, before: &Headers, after: &HeaderMap, out: &mut dyn Write) -> Result<()> {
        let before = HeaderMap::from_pairs(before);
        let mut is_same = true;
        for name in names(after) {
            let (old, new) = (values(&before, &name), values(after, &name));
            if old == new {
                continue;
            }
            is_same = false;
            if old.is_empty() {
                new.iter().try_for_each(|value| writeln!(out, "  {} {name}: {value}", "+".green()))?;
            } else {
                writeln!(out, "  {} {name}: {}  (was {})", "~".yellow(), new.join(", "), old.join(", "))?;
            }
        }
        for name in names(&before).iter().filter(|name| after.get(name).is_none()) {
            // Not its value: what is taken away may be a secret.
            writeln!(out, "  {} {name}", "-".red())?;
            is_same = false;
        }
        if is_same {
            writeln!(out, "  as it came")?;
        }
        Ok(())
    }

    fn write_response(&self, out: &mut dyn Write) -> Result<()> {
        let outcome = &self.came.outcome;
        let Some(reply) = &outcome.reply else {
            self.write_changes(self.scene.response, &outcome.downstream, out)?;
            if self.came.answer.is_taken_to_be_ok {
                writeln!(out, "  its grpc-status is taken to be 0, as --response names none")?;
            }
            return Ok(());
        };
        let (headers, body) = answer::sent(self.scene.request, reply, &outcome.downstream);
        headers.iter().try_for_each(|(name, value)| writeln!(out, "  {name}: {value}"))?;
        if !body.is_empty() {
            writeln!(out, "\n  {}", String::from_utf8_lossy(body))?;
        }
        Ok(())
    }

    fn write_trace(&self, document: &Document<'_>, out: &mut dyn Write) -> Result<()> {
        let Some(trace) = &self.came.outcome.facts.trace else {
            return self.write_absence(document, "trace", out);
        };
        let origin = match (trace.origin, trace.own_span) {
            (Origin::Started, _) => "begins here",
            (Origin::Continued, true) => "continues the caller's, as a span of this hop's own",
            (Origin::Continued, false) => "continues the caller's, as it came",
            (Origin::Proxy, _) => "is that of the proxy's own tracer",
        };
        writeln!(out, "  {origin}")?;
        if trace.outside.is_some() {
            writeln!(out, "  the caller's context is not continued: it is not trusted")?;
        }
        Ok(())
    }

    fn write_sampling(&self, document: &Document<'_>, out: &mut dyn Write) -> Result<()> {
        let Some(SamplingFacts { sampled, threshold, reason }) = &self.came.outcome.facts.sampling else {
            return self.write_absence(document, "sampling", out);
        };
        let decision = if *sampled { "recorded".green().to_string() } else { "not recorded".red().to_string() };
        let probability = threshold.map(|threshold| format!(", probability {}", threshold.probability()));
        writeln!(out, "  {decision}: {}{}", reason.as_str(), probability.unwrap_or_default())?;
        Ok(())
    }

    fn write_breaker(&self, document: &Document<'_>, seen: &Seen<'_>, out: &mut dyn Write) -> Result<()> {
        if rules::absence(document, "breaker", self.scene.side).is_some() {
            return self.write_absence(document, "breaker", out);
        }
        let list = LISTS.iter().find(|list| list.section == "breaker");
        let hit = list.map_or(Hit::Empty, |list| list.first(document, seen));
        let shed = self.came.outcome.facts.breaker.is_some_and(|breaker| breaker.shed);
        let verdict = if shed { "sheds it".red().to_string() } else { "lets it pass".green().to_string() };
        writeln!(out, "  that of {}: {verdict}", breaker::key(document, hit, seen))?;
        Ok(())
    }

    fn write_record(&self, document: &Document<'_>, out: &mut dyn Write) -> Result<()> {
        if let Some(record) = &self.came.record {
            let record = tree::parse(record).ok().and_then(|nodes| nodes.first().map(json::pretty));
            for line in record.as_deref().unwrap_or_default().lines() {
                writeln!(out, "  {line}")?;
            }
            return Ok(());
        }
        let why = match self.came.not_kept {
            Some("drop") => "access_log.drop calls it noise",
            Some("severity") => "it is milder than access_log.min_severity",
            Some("sampling") => "it is not sampled, and neither an error nor slow",
            Some(_) => "too many of its kind were logged already",
            None => return self.write_absence(document, "access_log", out),
        };
        writeln!(out, "  none: {why}")?;
        Ok(())
    }

    fn write_absence(&self, document: &Document<'_>, section: &'static str, out: &mut dyn Write) -> Result<()> {
        let why = rules::absence(document, section, self.scene.side).unwrap_or("leaves it alone");
        writeln!(out, "  {section} {why}")?;
        Ok(())
    }
}

/// The names in the order of their first appearance.
fn names(headers: &HeaderMap) -> Vec<String> {
    let mut names = Vec::new();
    for (name, _) in headers.iter() {
        let name = String::from_utf8_lossy(name).into_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.all(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

fn title(text: &str, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{}", text.bold())
}
