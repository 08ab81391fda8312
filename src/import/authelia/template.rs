//! The templates that Authelia's file filter fills in. Only `secret "file"` and `fileContent "file"` are understood.

use crate::import::yaml::Node;

/// What stands for an expression in a text until it is filled in; nothing else in a configuration looks so.
const MARK: &str = "doorward-template-";
/// What a text becomes that could not be filled in.
pub(super) const UNREAD: &str = "{{template}}";
/// The most expressions of one file.
const MOST: usize = 1000;

/// A file whose expressions are marked.
pub(super) struct Prepared {
    pub(super) text: String,
    expressions: Vec<String>,
}

/// Puts marks in the place of all `{{ ... }}`.
///
/// # Errors
/// A sentence, if there are expressions that decide what is in the file.
pub(super) fn prepare(text: &str) -> Result<Prepared, String> {
    let mut prepared = Prepared { text: String::with_capacity(text.len()), expressions: Vec::new() };
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inside, behind)) = after.split_once("}}").filter(|(inside, _)| !inside.contains('\n'))
        else {
            // No expression, but YAML.
            prepared.text.push_str(before);
            prepared.text.push_str("{{");
            rest = after;
            continue;
        };
        let expression = inside.trim_matches(['-', ' ']);
        let first = expression.split_whitespace().next().unwrap_or_default();
        if matches!(first, "if" | "else" | "end" | "range" | "with" | "define" | "block" | "template")
            || expression.contains(":=")
            || prepared.expressions.len() >= MOST
        {
            return Err(
                "It is a template that decides what is in it. Write it out first: authelia config template \
                        --config configuration.yml --config.experimental.filters template > plain.yml"
                    .to_owned(),
            );
        }
        prepared.text.push_str(before);
        prepared.text.push_str(&format!("{MARK}{}", prepared.expressions.len()));
        prepared.expressions.push(expression.to_owned());
        rest = behind;
    }
    prepared.text.push_str(rest);
    Ok(prepared)
}

impl Prepared {
    /// Fills in what `secret` knows, and returns the expressions that it does not.
    pub(super) fn fill(&self, root: &mut Node, secret: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
        let values: Vec<Option<String>> = self
            .expressions
            .iter()
            .map(|expression| file_of(expression).and_then(secret).map(|text| text.trim_end().to_owned()))
            .collect();
        if !values.is_empty() {
            root.replace_texts(&|text| replaced(text, &values));
        }
        let unread = self.expressions.iter().zip(&values).filter(|(_, value)| value.is_none());
        unread.map(|(expression, _)| expression.clone()).collect()
    }
}

/// Returns the file that an expression names.
fn file_of(expression: &str) -> Option<&str> {
    let rest = expression.strip_prefix("secret").or_else(|| expression.strip_prefix("fileContent"))?;
    let rest = rest.trim_start();
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '`' | '\''))?;
    rest.strip_prefix(quote)?.split_once(quote).map(|(file, _)| file)
}

fn replaced(text: &str, values: &[Option<String>]) -> Option<String> {
    let (before, after) = text.split_once(MARK)?;
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let (number, behind) = after.split_at_checked(digits)?;
    let value = values.get(number.parse::<usize>().ok()?)?.as_deref();
    // What is part of a text and cannot be read makes all of it unreadable.
    let Some(value) = value else { return Some(UNREAD.to_owned()) };
    let behind = replaced(behind, values).unwrap_or_else(|| behind.to_owned());
    if behind.contains(UNREAD) { Some(behind) } else { Some(format!("{before}{value}{behind}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaml;

    #[test]
    fn files_are_filled_in_wherever_they_stand() {
        let text = "a: '{{ secret \"/config/a\" }}'\nkey: {{ secret \"/config/key.pem\" | mindent 10 \"|\" | msquote }}\n\
                    b: 'x-{{ fileContent `/config/a` }}-{{secret \"/config/a\"}}'\nc: {{ env \"C\" }}\nd: {e: {f: 1}}\n";
        let prepared = prepare(text).unwrap();
        let mut root = yaml::parse(&prepared.text).unwrap();
        let unread = prepared.fill(&mut root, &|file| match file {
            "/config/a" => Some("one\n".to_owned()),
            "/config/key.pem" => Some("-----BEGIN\nx\n-----END\n".to_owned()),
            _ => None,
        });
        assert_eq!(unread, ["env \"C\""]);
        let mut fields = root.fields().unwrap();
        assert_eq!(fields.text("a").unwrap(), "one");
        assert_eq!(fields.text("key").unwrap(), "-----BEGIN\nx\n-----END");
        assert_eq!(fields.text("b").unwrap(), "x-one-one");
        assert_eq!(fields.text("c").unwrap(), UNREAD);
        assert!(fields.has("d"));
    }

    #[test]
    fn a_template_that_decides_is_refused() {
        for bad in ["{{ if true }}\na: 1\n{{ end }}", "{{- range .x }}a{{ end }}", "{{ $x := 1 }}"] {
            assert!(prepare(bad).is_err(), "{bad}");
        }
    }
}
