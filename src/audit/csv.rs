//! Events as CSV (RFC 4180), made so that a spreadsheet takes no text for a formula.

use super::AuditRow;

/// The first line.
pub const HEADER: &str =
    "at,sequence,kind,sentence,outcome,actor,actor_id,user,user_id,target,place,request,details\r\n";

/// Appends one event as one line.
pub fn write(row: &AuditRow, out: &mut Vec<u8>) {
    let details: Vec<String> = row.details.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let id = |id: Option<crate::kernel::ids::UserId>| id.map(|id| id.to_string()).unwrap_or_default();
    let (actor_id, user_id) = (id(row.actor_id), id(row.user_id));
    let cells = [
        row.at.to_rfc3339(),
        row.sequence.to_string(),
        row.kind.clone(),
        row.sentence.to_owned(),
        row.outcome.as_str().to_owned(),
        row.actor.clone(),
        actor_id,
        row.user.clone().unwrap_or_default(),
        user_id,
        row.target.clone().unwrap_or_default(),
        row.place.clone().unwrap_or_default(),
        row.request.clone().unwrap_or_default(),
        details.join("; "),
    ];
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_cell(cell, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Quotes a cell. One that a spreadsheet would run is led by an apostrophe (OWASP, CSV injection); spaces before it hide
/// nothing, and what begins a cell anew inside of it is quoted.
fn push_cell(text: &str, out: &mut Vec<u8>) {
    let is_formula = text
        .trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '"')
        .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '|', '%']);
    let is_control = text.starts_with(|c: char| c.is_control());
    out.push(b'"');
    if is_formula || is_control {
        out.push(b'\'');
    }
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str) -> String {
        let mut out = Vec::new();
        push_cell(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_spreadsheet_takes_no_cell_for_a_formula() {
        for bad in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "  =cmd|' /C calc'!A0",
            "＝1",
            "\"=1",
            "\n@a",
            "%0A-1",
        ] {
            assert!(cell(bad).starts_with("\"'"), "{bad:?} became {}", cell(bad));
        }
        assert_eq!(cell("ada"), "\"ada\"");
        assert_eq!(cell("203.0.x.x (ab-cd)"), "\"203.0.x.x (ab-cd)\"");
        assert_eq!(cell("a\",=1,\"b"), "\"a\"\",=1,\"\"b\"");
        assert_eq!(cell(""), "\"\"");
    }
}
