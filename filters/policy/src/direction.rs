//! On which side of a service a filter sees an exchange. A sidecar runs every filter twice, once per side.

/// Where an exchange passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards the service that this proxy stands beside.
    Inbound,
    /// From that service to another.
    Outbound,
    /// Through a proxy that belongs to no service, such as an ingress gateway.
    Gateway,
}

impl Direction {
    /// The names that a policy uses.
    pub(crate) const NAMES: [(&str, Direction); 3] =
        [("inbound", Direction::Inbound), ("outbound", Direction::Outbound), ("gateway", Direction::Gateway)];

    /// The name that a policy uses: `inbound`, `outbound` or `gateway`.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
            Direction::Gateway => "gateway",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Direction::Inbound => 1,
            Direction::Outbound => 2,
            Direction::Gateway => 4,
        }
    }
}

/// The directions in which a filter works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Directions(u8);

impl Directions {
    /// None of them; the start of a set: `Directions::NONE.with(Direction::Inbound)`.
    pub const NONE: Directions = Directions(0);

    /// All three.
    pub const ALL: Directions = Directions(7);

    /// This set and `direction`.
    #[must_use]
    pub const fn with(self, direction: Direction) -> Directions {
        Directions(self.0 | direction.bit())
    }

    /// Whether `direction` is in the set.
    pub const fn contains(self, direction: Direction) -> bool {
        self.0 & direction.bit() != 0
    }
}

impl FromIterator<Direction> for Directions {
    fn from_iter<I: IntoIterator<Item = Direction>>(directions: I) -> Directions {
        directions.into_iter().fold(Directions::NONE, Directions::with)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::{accepted, rejected};

    const EACH: [Direction; 3] = [Direction::Inbound, Direction::Outbound, Direction::Gateway];

    #[test]
    fn a_set_contains_what_was_put_in_and_nothing_else() {
        for direction in EACH {
            let only = Directions::NONE.with(direction);
            for other in EACH {
                assert_eq!(only.contains(other), direction == other);
            }
            assert!(Directions::ALL.contains(direction));
            assert!(!Directions::NONE.contains(direction));
        }
        assert_eq!(EACH.into_iter().collect::<Directions>(), Directions::ALL);
    }

    #[test]
    fn the_name_of_a_direction_is_the_one_a_policy_uses() {
        for (name, direction) in Direction::NAMES {
            assert_eq!(direction.as_str(), name);
        }
    }

    #[test]
    fn a_policy_names_one_direction_or_a_list() {
        let table = [
            (r#""direction": "inbound""#, Some(Directions::NONE.with(Direction::Inbound))),
            (
                r#""direction": ["gateway", "outbound"]"#,
                Some(Directions::NONE.with(Direction::Outbound).with(Direction::Gateway)),
            ),
            (r#""direction": null"#, None),
            ("", None),
        ];
        for (fields, directions) in table {
            assert_eq!(accepted(fields, |section| section.directions("direction")), directions, "{fields}");
        }
    }

    #[test]
    fn no_direction_at_all_and_an_unknown_one_are_errors() {
        let read = |fields| rejected(fields, |section| section.directions("direction"));
        assert_eq!(
            read(r#""direction": []"#),
            "trace.direction: found an empty list, accepted: at least one direction"
        );
        assert_eq!(
            read(r#""direction": ["inbound", "sideways"]"#),
            r#"trace.direction[1]: found "sideways", accepted: one of "inbound", "outbound", "gateway""#
        );
    }
}
