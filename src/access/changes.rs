//! How two lists of rules differ, for whoever is about to put one in the place of the other. Pure.

use std::collections::HashMap;

use super::rules::Rule;

/// One difference. Numbers count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The new list has a rule at this place that the old one does not have.
    Added(usize),
    /// The old list has a rule at this place that the new one does not have.
    Removed(usize),
    /// A rule stands at another place among those that both have.
    Moved {
        /// Where it was.
        from: usize,
        /// Where it is.
        to: usize,
    },
}

/// Returns how `new` differs from `old`: what is gone in the order of the old list, then the rest in the order of the new
/// one. As few rules as possible count as moved.
pub fn changes(old: &[Rule], new: &[Rule]) -> Vec<Change> {
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (number, rule) in (1..).zip(old) {
        places.entry(rule.to_string()).or_default().push(number);
    }
    for numbers in places.values_mut() {
        numbers.reverse();
    }
    // For each rule of the new list: where it was.
    let origins: Vec<Option<usize>> =
        new.iter().map(|rule| places.get_mut(&rule.to_string()).and_then(Vec::pop)).collect();
    let mut gone: Vec<usize> = places.into_values().flatten().collect();
    gone.sort_unstable();
    let known: Vec<usize> = origins.iter().copied().flatten().collect();
    let stays = longest_rising(&known);
    let mut found: Vec<Change> = gone.into_iter().map(Change::Removed).collect();
    for (to, origin) in (1..).zip(origins) {
        match origin {
            None => found.push(Change::Added(to)),
            Some(from) if stays.binary_search(&from).is_err() => found.push(Change::Moved { from, to }),
            Some(_) => {}
        }
    }
    found
}

/// Returns a longest rising part of numbers that are all different (patience sorting).
fn longest_rising(numbers: &[usize]) -> Vec<usize> {
    // The smallest number that ends a rising part of each length, and what stands before each number in such a part.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: HashMap<usize, usize> = HashMap::new();
    for number in numbers {
        let place = ends.partition_point(|end| end < number);
        if let Some(previous) = place.checked_sub(1).and_then(|index| ends.get(index)) {
            before.insert(*number, *previous);
        }
        match ends.get_mut(place) {
            Some(end) => *end = *number,
            None => ends.push(*number),
        }
    }
    let mut part = Vec::new();
    let mut next = ends.last().copied();
    while let Some(number) = next {
        part.push(number);
        next = before.get(&number).copied();
    }
    part.reverse();
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::rule_text::parse_line;

    fn list(hosts: &str) -> Vec<Rule> {
        hosts.chars().map(|host| parse_line(&format!("deny domain={host}.example")).unwrap()).collect()
    }

    #[test]
    fn lists_differ_by_what_was_added_removed_and_moved() {
        let cases: [(&str, &str, &[Change]); 7] = [
            ("abc", "abc", &[]),
            ("abc", "abxc", &[Change::Added(3)]),
            ("abc", "ac", &[Change::Removed(2)]),
            ("abc", "axc", &[Change::Removed(2), Change::Added(2)]),
            ("abcd", "bcda", &[Change::Moved { from: 1, to: 4 }]),
            ("abcd", "dabc", &[Change::Moved { from: 4, to: 1 }]),
            ("aab", "aba", &[Change::Moved { from: 3, to: 2 }]),
        ];
        for (old, new, expected) in cases {
            assert_eq!(changes(&list(old), &list(new)), expected, "{old} {new}");
        }
    }
}
