//! YAML as configuration files of other programs use it, read into a tree whose size is bounded: what is repeated by
//! reference counts as often as it is repeated, so a small file cannot become a large tree.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// The most values of one file, repeated ones included.
pub const MOST_NODES: usize = 400_000;
/// How deep values may lie in each other.
const DEEPEST: usize = 24;
/// The largest file, in bytes.
pub const LARGEST: usize = 8 * 1024 * 1024;
/// The key that takes over the values of another mapping.
const MERGE: &str = "<<";

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A text, number, truth value or nothing; quoted ones are always texts.
    Scalar {
        /// As it is written, without quotes.
        text: String,
        /// Whether it was quoted.
        is_quoted: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Fields),
}

/// The fields of a mapping that nobody took yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, Node)>);

/// Why a file was refused: a sentence. It repeats nothing of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError(String);

impl std::fmt::Display for YamlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn refuse<T>(sentence: &str) -> Result<T, YamlError> {
    Err(YamlError(sentence.to_owned()))
}

/// Reads the one document of a file.
///
/// # Errors
/// [`YamlError`] if it is no YAML, too large, too deep, or holds a key twice.
pub fn parse(text: &str) -> Result<Node, YamlError> {
    if text.len() > LARGEST {
        return refuse("It is too large.");
    }
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            YamlError(format!("Line {} is no YAML that can be read.", error.marker().line()))
        })?;
        builder.take(event, span.start.line())?;
    }
    Ok(builder.root.unwrap_or_else(Node::nothing))
}

/// A list or mapping that is not complete yet.
struct Open {
    anchor: usize,
    size: usize,
    line: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map { fields: Vec<(String, Node)>, key: Option<String>, merged: Vec<Node> },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    documents: usize,
    root: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), YamlError> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return refuse("It holds more than one document.");
                }
            }
            Event::Scalar(text, style, anchor, _) => {
                let is_quoted = !matches!(style, ScalarStyle::Plain);
                self.count(1)?;
                self.close(Node::Scalar { text: text.into_owned(), is_quoted }, anchor, 1, line)?;
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, line, OpenKind::List(Vec::new()))?,
            Event::MappingStart(anchor, _) => {
                let map = OpenKind::Map { fields: Vec::new(), key: None, merged: Vec::new() };
                self.begin(anchor, line, map)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(line)?,
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return refuse("It refers to something that is not there yet.");
                };
                let (node, size) = (node, *size);
                // Counted before it is copied.
                self.nodes = self.nodes.saturating_add(size);
                if self.nodes > MOST_NODES {
                    return refuse("It holds too many values.");
                }
                let node = node.clone();
                self.close(node, 0, size, line)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, size: usize) -> Result<(), YamlError> {
        self.nodes = self.nodes.saturating_add(size);
        if self.nodes > MOST_NODES { refuse("It holds too many values.") } else { Ok(()) }
    }

    fn begin(&mut self, anchor: usize, line: usize, kind: OpenKind) -> Result<(), YamlError> {
        self.count(1)?;
        if self.open.len() >= DEEPEST {
            return refuse("Its values lie too deep in each other.");
        }
        self.open.push(Open { anchor, size: 1, line, kind });
        Ok(())
    }

    fn end(&mut self, line: usize) -> Result<(), YamlError> {
        let Some(Open { anchor, size, kind, line: start }) = self.open.pop() else {
            return refuse("It ends too early.");
        };
        let node = match kind {
            OpenKind::List(list) => Node::List(list),
            OpenKind::Map { fields, merged, .. } => Node::Map(merge(fields, merged, start)?),
        };
        self.close(node, anchor, size, line)
    }

    /// Puts a complete value where it belongs.
    fn close(&mut self, node: Node, anchor: usize, size: usize, line: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            // A copy that a reference may be to: it takes memory, so it counts.
            self.count(size)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.size = open.size.saturating_add(size);
        match &mut open.kind {
            OpenKind::List(list) => list.push(node),
            OpenKind::Map { fields, key, merged } => match key.take() {
                None => match node {
                    Node::Scalar { text, .. } => *key = Some(text),
                    _ => return Err(YamlError(format!("Line {line} has a key that is no text."))),
                },
                Some(name) if name == MERGE => merged.push(node),
                Some(name) => fields.push((name, node)),
            },
        }
        Ok(())
    }
}

/// Adds the fields of merged mappings that are not there already.
fn merge(mut fields: Vec<(String, Node)>, merged: Vec<Node>, line: usize) -> Result<Fields, YamlError> {
    let mut names: std::collections::HashSet<String> = std::collections::HashSet::with_capacity(fields.len());
    for (name, _) in &fields {
        if !names.insert(name.clone()) {
            return Err(YamlError(format!("The mapping that begins at line {line} has a key twice.")));
        }
    }
    let sources = merged.into_iter().flat_map(|node| match node {
        Node::List(list) => list,
        node => vec![node],
    });
    for source in sources {
        let Node::Map(Fields(more)) = source else {
            return Err(YamlError(format!(
                "The mapping that begins at line {line} merges what is no mapping."
            )));
        };
        fields.extend(more.into_iter().filter(|(name, _)| names.insert(name.clone())));
    }
    Ok(Fields(fields))
}

impl Node {
    fn nothing() -> Self {
        Node::Scalar { text: String::new(), is_quoted: false }
    }

    /// Tells whether nothing is given.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Node::Scalar { text, is_quoted: false } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Returns the text of a scalar; nothing is the empty text.
    pub fn text(&self) -> Option<&str> {
        match self {
            _ if self.is_nothing() => Some(""),
            Node::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Returns a truth value.
    pub fn truth(&self) -> Option<bool> {
        match self.text()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" | "" => Some(false),
            _ => None,
        }
    }

    /// Returns the texts of a list of scalars; one scalar is a list of one, nothing an empty one.
    pub fn texts(&self) -> Option<Vec<String>> {
        match self {
            _ if self.is_nothing() => Some(Vec::new()),
            Node::Scalar { text, .. } => Some(vec![text.clone()]),
            Node::List(list) => list.iter().map(|node| node.text().map(str::to_owned)).collect(),
            Node::Map(_) => None,
        }
    }

    /// Returns the fields of a mapping; nothing is an empty one.
    pub fn fields(self) -> Option<Fields> {
        match self {
            Node::Map(fields) => Some(fields),
            node if node.is_nothing() => Some(Fields::default()),
            _ => None,
        }
    }

    /// Returns the values of a list; nothing is an empty one.
    pub fn list(self) -> Option<Vec<Node>> {
        match self {
            Node::List(list) => Some(list),
            node if node.is_nothing() => Some(Vec::new()),
            _ => None,
        }
    }

    /// Replaces every text by what `change` makes of it.
    pub fn replace_texts(&mut self, change: &impl Fn(&str) -> Option<String>) {
        match self {
            Node::Scalar { text, is_quoted } => {
                if let Some(changed) = change(text) {
                    *text = changed;
                    *is_quoted = true;
                }
            }
            Node::List(list) => list.iter_mut().for_each(|node| node.replace_texts(change)),
            Node::Map(Fields(fields)) => fields.iter_mut().for_each(|(_, node)| node.replace_texts(change)),
        }
    }
}

impl Fields {
    /// Takes a field out.
    pub fn take(&mut self, name: &str) -> Option<Node> {
        let at = self.0.iter().position(|(own, _)| own == name)?;
        Some(self.0.remove(at).1)
    }

    /// Takes a text out; a missing one is empty. `None` if it is none.
    pub fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name) {
            None => Some(String::new()),
            Some(node) => node.text().map(str::to_owned),
        }
    }

    /// Takes a list of texts out; a missing one is empty. `None` if it is none.
    pub fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        match self.take(name) {
            None => Some(Vec::new()),
            Some(node) => node.texts(),
        }
    }

    /// Takes a truth value out; a missing one is false. `None` if it is none.
    pub fn truth(&mut self, name: &str) -> Option<bool> {
        match self.take(name) {
            None => Some(false),
            Some(node) => node.truth(),
        }
    }

    /// Takes a number out; `None` if it is missing or none.
    pub fn number(&mut self, name: &str) -> Option<u64> {
        self.take(name)?.text()?.parse().ok()
    }

    /// Tells whether a field is there.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own == name)
    }

    /// Returns what is left: names and values.
    pub fn rest(self) -> Vec<(String, Node)> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        parse(text).unwrap().fields().unwrap()
    }

    #[test]
    fn texts_lists_and_mappings_are_read() {
        let mut root = fields("a: 1\nb: [x, 'y z']\nc:\n  d: yes\n  e: ~\nf: |\n  one\n  two\ng: '~'\n");
        assert_eq!(root.text("a").unwrap(), "1");
        assert_eq!(root.texts("b").unwrap(), ["x", "y z"]);
        let mut inner = root.take("c").unwrap().fields().unwrap();
        assert_eq!(inner.truth("d"), Some(true));
        assert!(inner.take("e").unwrap().is_nothing());
        assert_eq!(root.text("f").unwrap(), "one\ntwo\n");
        assert_eq!(root.text("g").unwrap(), "~");
        assert!(root.rest().is_empty());
    }

    #[test]
    fn references_and_merges_are_followed() {
        let mut root = fields("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nlist: [*b, *b]\n");
        let mut used = root.take("use").unwrap().fields().unwrap();
        assert_eq!((used.text("x").unwrap(), used.text("y").unwrap()), ("1".to_owned(), "3".to_owned()));
        assert_eq!(root.take("list").unwrap().list().unwrap().len(), 2);
    }

    /// A few lines that would be a thousand million values.
    #[test]
    fn a_bomb_of_references_does_not_go_off() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let before = level - 1;
            let list = vec![format!("*a{before}"); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{list}]\n"));
        }
        assert_eq!(parse(&bomb).unwrap_err().to_string(), "It holds too many values.");
        let merges = format!("a: &a {{x: 1}}\nb:\n{}", "  - <<: [*a, *a, *a, *a]\n".repeat(1000));
        assert!(parse(&merges).is_ok());
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for bad in [
            "a: 1\na: 2\n".to_owned(),
            "a: [1, 2\n".to_owned(),
            "a: *nothing\n".to_owned(),
            "a: &a [*a]\n".to_owned(),
            "a: 1\n---\nb: 2\n".to_owned(),
            "? [a, b]\n: c\n".to_owned(),
            "a:\n  <<: text\n".to_owned(),
            "[".repeat(10_000),
            "{a: ".repeat(1000),
            "a: ".to_owned() + &"x".repeat(LARGEST),
        ] {
            let shown: String = bad.chars().take(40).collect();
            assert!(parse(&bad).is_err(), "{shown}");
        }
        assert!(parse("").unwrap().is_nothing());
    }

    /// The sentence about a broken file repeats nothing of it: there may be secrets in the line.
    #[test]
    fn errors_repeat_nothing_of_the_file() {
        let error = parse("password: 'hunter2\nx: [").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
