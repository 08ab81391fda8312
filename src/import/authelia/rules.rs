//! `access_control`: rules with the names and the meaning that they have there.

use std::collections::HashMap;

use super::template::UNREAD;
use crate::access::RuleParts;
use crate::access::query::QueryParts;
use crate::import::yaml::{Fields, Node};

/// Named networks.
pub(super) type Networks = HashMap<String, Vec<String>>;

/// Adds what `definitions.network` or `access_control.networks` names.
pub(super) fn read_networks(into: &mut Networks, node: Node) -> Option<()> {
    match node {
        // definitions.network: {internal: [...]}
        Node::Map(fields) => {
            for (name, list) in fields.rest() {
                into.insert(name, list.texts()?);
            }
        }
        // access_control.networks: [{name: internal, networks: [...]}]
        other => {
            for entry in other.list()? {
                let mut fields = entry.fields()?;
                into.insert(fields.text("name")?, fields.texts("networks")?);
            }
        }
    }
    Some(())
}

/// Reads one rule.
///
/// # Errors
/// A sentence that says what cannot be carried over.
pub(super) fn read_rule(node: Node, networks: &Networks) -> Result<RuleParts, String> {
    let malformed = |what: &str| format!("its {what} is not in the form that Authelia reads");
    let mut fields = node.fields().ok_or_else(|| malformed("content"))?;
    let mut texts = |name: &str| fields.texts(name).ok_or_else(|| malformed(name));
    let mut parts = RuleParts {
        domains: texts("domain")?,
        domain_regex: texts("domain_regex")?,
        resources: texts("resources")?,
        methods: texts("methods")?,
        ..RuleParts::default()
    };
    for name in texts("networks")? {
        match networks.get(&name) {
            // A rule without a network is for all of them.
            Some(list) if list.is_empty() => return Err(format!("its network {name} is empty")),
            Some(list) => parts.networks.extend(list.iter().cloned()),
            None => parts.networks.push(name),
        }
    }
    parts.policy = fields.text("policy").ok_or_else(|| malformed("policy"))?;
    if let Some(subject) = fields.take("subject") {
        parts.subjects = subjects(subject).ok_or_else(|| malformed("subject"))?;
    }
    if let Some(query) = fields.take("query") {
        parts.query = query_of(query).ok_or_else(|| malformed("query"))?;
    }
    if let Some((key, _)) = fields.rest().first() {
        return Err(format!("it has the key {key}, which is not known here"));
    }
    // A refusal for a value that nobody has would never hold.
    if texts_of(&parts).any(|text| text.contains(UNREAD)) {
        return Err("it holds a value from a template that cannot be read here".to_owned());
    }
    Ok(parts)
}

fn texts_of(parts: &RuleParts) -> impl Iterator<Item = &String> {
    let lists = [&parts.domains, &parts.domain_regex, &parts.resources, &parts.methods, &parts.networks];
    let in_query = parts.query.iter().flatten().flat_map(|test| [&test.operator, &test.key, &test.value]);
    lists.into_iter().flatten().chain(parts.subjects.iter().flatten()).chain(in_query).chain([&parts.policy])
}

/// One subject, or a list of subjects and of lists of subjects: any of the outer, all of an inner one.
fn subjects(node: Node) -> Option<Vec<Vec<String>>> {
    match node {
        Node::List(list) => list.iter().map(Node::texts).collect(),
        node => Some(vec![node.texts()?]),
    }
}

fn query_of(node: Node) -> Option<Vec<Vec<QueryParts>>> {
    node.list()?.into_iter().map(|all| all.list()?.into_iter().map(condition).collect()).collect()
}

fn condition(node: Node) -> Option<QueryParts> {
    let mut fields: Fields = node.fields()?;
    // An empty text is a value, nothing is none.
    let value = match fields.take("value").filter(|node| !node.is_nothing()) {
        Some(node) => Some(node.text()?.to_owned()),
        None => None,
    };
    let operator = match (fields.text("operator")?.as_str(), &value) {
        ("", None) => "present".to_owned(),
        ("", Some(_)) => "equal".to_owned(),
        (other, _) => other.to_owned(),
    };
    let parts = QueryParts { operator, key: fields.text("key")?, value: value.unwrap_or_default() };
    fields.rest().is_empty().then_some(parts)
}
