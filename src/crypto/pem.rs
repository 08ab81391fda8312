//! Reading one PEM block (RFC 7468), as private keys are handed over.

use data_encoding::BASE64;
use zeroize::Zeroizing;

/// The longest text that is looked at: an RSA key of 4096 bits has 3,300 characters.
pub(super) const MAX_TEXT: usize = 16 * 1024;

/// What a block says it is, and its bytes.
pub(super) struct Block<'a> {
    pub(super) label: &'a str,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

/// Reads the one block of `text`. Blank lines around it and spaces at the ends of lines are skipped; anything else
/// beside it, a second block, or headers inside it (as encrypted keys of old have them) are not read. `None` then.
pub(super) fn read(text: &str) -> Option<Block<'_>> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let mut lines = text.trim().lines().map(str::trim_end);
    let label = lines.next()?.strip_prefix("-----BEGIN ")?.strip_suffix("-----")?;
    let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
    let mut ended = false;
    for line in lines {
        if ended {
            return None;
        }
        if let Some(end) = line.strip_prefix("-----END ") {
            if end.strip_suffix("-----") != Some(label) {
                return None;
            }
            ended = true;
        } else {
            base64.push_str(line);
        }
    }
    let bytes = Zeroizing::new(BASE64.decode(base64.as_bytes()).ok()?);
    (ended && !bytes.is_empty()).then_some(Block { label, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_block_is_read_and_nothing_beside_it() {
        let good = "-----BEGIN PRIVATE KEY-----\nAQID\nBAU=\n-----END PRIVATE KEY-----";
        for text in [
            good.to_owned(),
            format!("\n{good}\n\n"),
            good.replace('\n', "\r\n"),
            good.replace("AQID", "AQID  "),
        ] {
            let block = read(&text).unwrap();
            assert_eq!((block.label, block.bytes.as_slice()), ("PRIVATE KEY", &[1, 2, 3, 4, 5][..]));
        }
        for bad in [
            String::new(),
            "AQID".to_owned(),
            format!("{good}\n{good}"),
            format!("name: x\n{good}"),
            good.replace("END PRIVATE", "END PUBLIC"),
            good.replace("-----END PRIVATE KEY-----", ""),
            good.replace("AQID", "Proc-Type: 4,ENCRYPTED\n\nAQID"),
            good.replace("BAU=", "BAU"),
            good.replace("AQID\nBAU=\n", ""),
            format!("{good}{}", " ".repeat(MAX_TEXT) + "x"),
        ] {
            assert!(read(&bad).is_none(), "{bad}");
        }
    }
}
