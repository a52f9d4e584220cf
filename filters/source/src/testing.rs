//! What the tests of sessions share.

use crate::{Action, Delivery, Event, Moment, Session, Settings};
use sluicegate_policy::Document;
use std::rc::Rc;

/// The environment: one variable.
pub(crate) fn environment(name: &str) -> Option<String> {
    (name == "ETCD_PASSWORD").then(|| "correct horse".to_owned())
}

/// What is read of the section `policy_source`, and the warnings; or the errors, one a line.
pub(crate) fn read(section: &str) -> Result<(Option<Settings>, String), String> {
    let text = format!(r#"{{"version": "1.0", "policy_source": {section}}}"#);
    let document = Document::parse(text.as_bytes(), &environment).unwrap();
    let settings = Settings::read(&document);
    let warnings = document.finish().map_err(|errors| errors.to_string())?;
    Ok((settings, warnings.join("\n")))
}

/// A session and its time.
pub(crate) struct Bench {
    pub(crate) session: Session,
    pub(crate) now: u64,
    /// Draws the longest wait there is; 0 would draw none.
    entropy: u64,
}

impl Bench {
    pub(crate) fn new(section: &str) -> Bench {
        Bench::after(section, None)
    }

    /// After a session that delivered a document of this revision.
    pub(crate) fn after(section: &str, in_force: Option<u64>) -> Bench {
        let settings = read(section).unwrap().0.unwrap();
        let longest = (0..100_000).max_by_key(|entropy| Moment { now: 0, entropy: *entropy }.up_to(SECOND));
        Bench {
            session: Session::new(Rc::new(settings), in_force),
            now: 1_800_000_000_000_000_000,
            entropy: longest.unwrap(),
        }
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now, entropy: self.entropy }
    }

    /// So many milliseconds pass, and there is one tick.
    pub(crate) fn tick(&mut self, millis: u64) -> Vec<Action> {
        self.now += millis * 1_000_000;
        let moment = self.moment();
        self.session.on_tick(moment)
    }

    /// So many milliseconds pass with a tick every 50, as long as nothing is to be done.
    pub(crate) fn wait(&mut self, millis: u64) -> Vec<Action> {
        let actions = (0..millis / 50).map(|_| self.tick(50)).find(|actions| !actions.is_empty());
        actions.unwrap_or_default()
    }

    pub(crate) fn event(&mut self, event: Event<'_>) -> Vec<Action> {
        let moment = self.moment();
        self.session.on_event(event, moment)
    }

    pub(crate) fn answer(&mut self, message: &[u8]) -> Vec<Action> {
        self.event(Event::CallAnswered(message))
    }

    pub(crate) fn message(&mut self, message: &[u8]) -> Vec<Action> {
        self.event(Event::StreamMessage(message))
    }
}

const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

pub(crate) fn delivery(revision: u64, document: &[u8]) -> Action {
    Action::Deliver(Delivery { revision, document: Some(document.to_vec()) })
}

pub(crate) fn removal(revision: u64) -> Action {
    Action::Deliver(Delivery { revision, document: None })
}

/// The one trouble among these actions.
pub(crate) fn trouble(actions: &[Action]) -> &str {
    let lines: Vec<_> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Trouble(line) => Some(line.as_str()),
            _ => None,
        })
        .collect();
    let [line] = lines.as_slice() else { panic!("{actions:?}") };
    line
}
