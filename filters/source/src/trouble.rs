//! What the proxy's log hears of trouble.

use crate::Action;

/// Which kinds of trouble were told since all was well: each is told once, however often it is tried again.
#[derive(Default)]
pub(crate) struct Troubles(u64);

impl Troubles {
    /// Tells of trouble of this kind, a number below 64, unless that was done.
    pub(crate) fn tell(&mut self, kind: u32, text: impl FnOnce() -> String) -> Option<Action> {
        let bit = 1_u64.checked_shl(kind).unwrap_or_default();
        let is_told = self.0 & bit != 0;
        self.0 |= bit;
        (!is_told).then(|| Action::Trouble(text()))
    }

    /// All is well, but for trouble of these kinds.
    pub(crate) fn settle_but(&mut self, kinds: &[u32]) {
        self.0 &= kinds.iter().fold(0, |bits, kind| bits | 1_u64.checked_shl(*kind).unwrap_or_default());
    }
}

/// How much of a message from outside is shown, in characters.
const SHOWN: usize = 200;

/// A message from outside as it may stand in a log: on one line, short, and not at all where it repeats a secret.
pub(crate) fn quoted(message: &str, secrets: &[&[u8]]) -> String {
    let repeats =
        |secret: &&[u8]| !secret.is_empty() && message.as_bytes().windows(secret.len()).any(|window| window == *secret);
    if secrets.iter().any(repeats) {
        return "(a message with a secret in it)".to_owned();
    }
    let shown = |character: char| if character.is_control() { ' ' } else { character };
    let mut text: String = message.trim().chars().take(SHOWN).map(shown).collect();
    if text.is_empty() {
        text.push_str("no message");
    }
    text
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn each_kind_is_told_once_until_all_is_well() {
        let mut troubles = Troubles::default();
        let tell = |troubles: &mut Troubles, kind| troubles.tell(kind, || kind.to_string()).is_some();
        assert!(tell(&mut troubles, 0) && tell(&mut troubles, 63) && !tell(&mut troubles, 0));
        troubles.settle_but(&[63]);
        assert!(tell(&mut troubles, 0) && !tell(&mut troubles, 63));
        troubles.settle_but(&[]);
        assert!(tell(&mut troubles, 63));
    }

    #[test]
    fn a_message_from_outside_is_one_short_line_without_secrets() {
        assert_eq!(quoted("a\nb\u{1b}[31m ", &[]), "a b [31m");
        assert_eq!(quoted(&"ü".repeat(1_000), &[b""]).chars().count(), SHOWN);
        assert_eq!(quoted("", &[b"secret"]), "no message");
        assert_eq!(quoted("it says secret!", &[b"other", b"secret"]), "(a message with a secret in it)");
        assert_eq!(quoted("secret", &[b"secret and more"]), "secret");
    }
}
