//! Changes of single rules in a list. Pure.

use super::ChangeError;
use super::rules::Rule;

/// In which direction a rule moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One place towards the start.
    Up,
    /// One place towards the end.
    Down,
}

/// A change of one rule. Numbers count from 1.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Adds a rule before the one with the number, or at the end.
    Add(Rule, Option<usize>),
    /// Puts another rule in the place of the one with the number.
    Change(usize, Rule),
    /// Removes the rule with the number.
    Remove(usize),
    /// Moves the rule with the number by one place; at the end of the list nothing changes.
    Move(usize, Step),
}

impl Edit {
    /// Returns the list with the change, and the rule it was about.
    ///
    /// # Errors
    /// [`ChangeError::NoSuchRule`].
    pub fn apply(self, rules: &[Rule]) -> Result<(Vec<Rule>, Rule), ChangeError> {
        let mut rules = rules.to_vec();
        let place = |number: usize, most: usize| {
            number.checked_sub(1).filter(|index| *index < most).ok_or(ChangeError::NoSuchRule(number))
        };
        let rule = match self {
            Edit::Add(rule, number) => {
                let index = match number {
                    None => rules.len(),
                    Some(number) => place(number, rules.len() + 1)?,
                };
                rules.insert(index, rule.clone());
                rule
            }
            Edit::Change(number, rule) => {
                let index = place(number, rules.len())?;
                if let Some(place) = rules.get_mut(index) {
                    *place = rule.clone();
                }
                rule
            }
            Edit::Remove(number) => rules.remove(place(number, rules.len())?),
            Edit::Move(number, step) => {
                let index = place(number, rules.len())?;
                let other = match step {
                    Step::Up => index.checked_sub(1),
                    Step::Down => Some(index + 1).filter(|next| *next < rules.len()),
                };
                let rule = rules.get(index).cloned().ok_or(ChangeError::NoSuchRule(number))?;
                if let Some(other) = other {
                    rules.swap(index, other);
                }
                rule
            }
        };
        Ok((rules, rule))
    }
}
