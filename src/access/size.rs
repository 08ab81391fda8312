//! How large the parts of a rule are, told before anything of them is compiled. Pure.

use super::rules::RuleParts;

impl RuleParts {
    /// Returns how many bytes the texts have that end up in the line of the rule as they are.
    pub(super) fn text_length(&self) -> usize {
        let lists = [
            &self.domains,
            &self.domain_regex,
            &self.resources,
            &self.methods,
            &self.networks,
            &self.groups,
            &self.users,
            &self.clients,
        ];
        let texts = lists.into_iter().flatten().chain(self.subjects.iter().flatten()).chain(&self.path);
        let in_query = self.query.iter().flatten().map(|test| test.key.len() + test.value.len());
        texts.map(String::len).chain(in_query).sum::<usize>() + self.note.trim().len()
    }

    /// Returns how many expressions would be compiled.
    pub(super) fn patterns(&self) -> usize {
        let in_query = self.query.iter().flatten().filter(|test| test.is_pattern()).count();
        self.domain_regex.len() + usize::from(self.path.is_some()) + self.resources.len() + in_query
    }
}
