//! Numbers that are written in groups of digits.

/// The most digits that are read: what has more of them is none of ours.
const MAX_DIGITS: usize = 20;
const MAX_GROUPS: usize = 12;

/// Groups of digits with a mark or two between them, such as `4111 1111-1111`.
#[derive(Default)]
pub(super) struct Groups {
    digits: [u8; MAX_DIGITS],
    groups: [Group; MAX_GROUPS],
    count: usize,
}

#[derive(Clone, Copy, Default)]
struct Group {
    /// The number of digits up to the end of this group.
    digits: usize,
    /// Where in the text the group ends.
    end: usize,
    /// What stands before the group; 0 at the first one.
    mark: Mark,
    /// Whether another group follows at once after `-` or `.`.
    continues: bool,
}

/// A mark between two groups and how many bytes it takes with the spaces around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) byte: u8,
    pub(super) width: usize,
}

/// The first groups of a number.
#[derive(Clone, Copy)]
pub(super) struct Number<'g> {
    pub(super) digits: &'g [u8],
    groups: &'g [Group],
    pub(super) end: usize,
}

impl Groups {
    /// Reads the groups at the beginning of `text`, none of them where they can be neither a card, a national number nor a
    /// telephone number without `+`.
    pub(super) fn read(text: &[u8]) -> Groups {
        match may_matter(text) {
            true => Groups::read_any(text),
            false => Groups::default(),
        }
    }

    /// Reads the groups at the beginning of `text`. A group that a letter follows is none.
    pub(super) fn read_any(text: &[u8]) -> Groups {
        let mut read = Groups::default();
        let mut position = 0;
        let mut digits = 0;
        let mut mark = Mark::default();
        for slot in &mut read.groups {
            let rest = text.get(position..).unwrap_or_default();
            let length = rest.iter().take(MAX_DIGITS).take_while(|byte| byte.is_ascii_digit()).count();
            let (group, after) = rest.split_at_checked(length).unwrap_or_default();
            let Some(room) = read.digits.get_mut(digits..).and_then(|room| room.get_mut(..length)) else { break };
            if group.is_empty() || !super::ends_word(after) {
                break;
            }
            for (digit, byte) in room.iter_mut().zip(group) {
                *digit = byte.wrapping_sub(b'0');
            }
            position = position.saturating_add(length);
            digits = digits.saturating_add(length);
            let width = after.iter().take(3).take_while(|byte| b" -./()+".contains(byte)).count();
            let between = after.get(..width).unwrap_or_default();
            let goes_on = after.get(width).is_some_and(u8::is_ascii_digit);
            let shown = between.iter().find(|byte| **byte != b' ').or(between.first());
            let continues = goes_on && width == 1 && matches!(shown, Some(b'-' | b'.'));
            *slot = Group { digits, end: position, mark, continues };
            read.count = read.count.saturating_add(1);
            if !goes_on || !(1..=2).contains(&width) {
                break;
            }
            mark = Mark { byte: shown.copied().unwrap_or_default(), width };
            position = position.saturating_add(width);
        }
        read
    }

    /// All of the groups, then all but the last, and so on.
    pub(super) fn numbers(&self) -> impl Iterator<Item = Number<'_>> {
        (1..=self.count).rev().filter_map(|count| {
            let groups = self.groups.get(..count)?;
            let last = groups.last()?;
            Some(Number { digits: self.digits.get(..last.digits)?, groups, end: last.end })
        })
    }
}

impl<'g> Number<'g> {
    /// The lengths of the groups.
    pub(super) fn lengths(self) -> impl Iterator<Item = usize> + 'g {
        let mut before = 0;
        self.groups.iter().map(move |group| group.digits.saturating_sub(std::mem::replace(&mut before, group.digits)))
    }

    /// The marks between the groups.
    pub(super) fn marks(self) -> impl Iterator<Item = Mark> + 'g {
        self.groups.iter().skip(1).map(|group| group.mark)
    }

    /// Whether all marks are the same single byte, one of `allowed`; so they are where there are none.
    pub(super) fn has_one_mark_of(self, allowed: &[u8]) -> bool {
        let mut marks = self.marks();
        marks
            .next()
            .is_none_or(|first| first.width == 1 && allowed.contains(&first.byte) && marks.all(|mark| mark == first))
    }

    pub(super) fn has_lengths(self, lengths: &[usize]) -> bool {
        self.lengths().eq(lengths.iter().copied())
    }

    /// Whether nothing of the number follows: neither `-` nor `.` with digits behind.
    pub(super) fn is_all(self) -> bool {
        !self.groups.last().is_some_and(|group| group.continues)
    }

    pub(super) fn value(self, start: usize, length: usize) -> u64 {
        value(self.digits.iter().skip(start).take(length))
    }
}

/// Whether the lengths of the first two groups are those of any number that is looked for. Text of nothing but short
/// groups, each of which may begin a number, would else be read a dozen times.
fn may_matter(text: &[u8]) -> bool {
    let length = |text: &[u8]| text.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    let first = length(text);
    let second = || {
        let rest = text.get(first..).unwrap_or_default();
        let marks = rest.iter().take(2).take_while(|byte| !byte.is_ascii_digit()).count();
        length(rest.get(marks..).unwrap_or_default())
    };
    match first {
        0 => false,
        // 1-212-555-0123
        1 => text.starts_with(b"1") && second() == 3,
        // 030 1234567, 12 345 678 901
        2 => text.starts_with(b"0") || second() == 3,
        // 0171 1234567, 123-45-6789, 212-555-0123
        3 => text.starts_with(b"0") || matches!(second(), 2 | 3),
        _ => true,
    }
}

/// The number that decimal digits make; it wraps beyond 19 of them.
pub(super) fn value<'d>(digits: impl Iterator<Item = &'d u8>) -> u64 {
    digits.fold(0, |value: u64, digit| value.wrapping_mul(10).wrapping_add(u64::from(*digit)))
}

/// The check of ISO/IEC 7812-1 Annex B, the last digit being the check digit.
pub(super) fn is_luhn(digits: &[u8]) -> bool {
    let sum = digits.iter().rev().enumerate().fold(0_u32, |sum, (place, digit)| {
        let doubled = digit.wrapping_mul(2);
        let part = match place % 2 {
            0 => *digit,
            _ if doubled > 9 => doubled.wrapping_sub(9),
            _ => doubled,
        };
        sum.wrapping_add(u32::from(part))
    });
    sum.is_multiple_of(10)
}

/// The sum of the digits, each times its weight.
pub(super) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).fold(0, |sum, (digit, weight)| sum.wrapping_add(u32::from(*digit).wrapping_mul(*weight)))
}
