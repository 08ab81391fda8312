//! Stylesheet, scripts and icons: an exact map from hashed path to bytes, built once (WEB-13).

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::OnceLock;

use data_encoding::{BASE64, HEXLOWER};
use rust_embed::RustEmbed;
use sha2::{Digest as _, Sha256, Sha384};

#[derive(RustEmbed)]
#[folder = "../../web/css"]
struct Css;

#[derive(RustEmbed)]
#[folder = "../../web/js"]
struct Js;

#[derive(RustEmbed)]
#[folder = "../../web/icons"]
struct Icons;

/// One file as it goes to the browser. Its path contains its hash, so it may be cached for ever.
#[derive(Debug)]
pub struct Asset {
    /// Such as `/assets/app.0123456789ab.css`.
    pub path: String,
    /// The bytes as they are.
    pub body: Cow<'static, [u8]>,
    /// The bytes gzip-compressed (RFC 1952).
    pub gzip: Vec<u8>,
    /// Media type with charset.
    pub content_type: &'static str,
    /// Strong entity tag, with quotes (RFC 9110 section 8.8.3).
    pub etag: String,
    /// Value for an `integrity` attribute: `sha384-…`.
    pub integrity: String,
}

/// All files.
#[derive(Debug)]
pub struct Assets {
    by_path: HashMap<String, Asset>,
    path_of: HashMap<String, String>,
}

impl Assets {
    /// Returns the path of a file by its plain name (`app.css`), or an empty string for an unknown name.
    pub fn url(&self, name: &str) -> &str {
        self.path_of.get(name).map_or("", String::as_str)
    }

    /// Returns the `integrity` value of a file by its plain name, or an empty string for an unknown name.
    pub fn integrity(&self, name: &str) -> &str {
        self.path_of
            .get(name)
            .and_then(|path| self.by_path.get(path))
            .map_or("", |asset| asset.integrity.as_str())
    }

    /// Returns every file.
    pub fn iter(&self) -> impl Iterator<Item = &Asset> {
        self.by_path.values()
    }

    fn build() -> Self {
        let mut all = Assets { by_path: HashMap::new(), path_of: HashMap::new() };
        all.add::<Css>();
        all.add::<Js>();
        all.add::<Icons>();
        all
    }

    fn add<E: RustEmbed>(&mut self) {
        for name in E::iter() {
            // The folders may also hold notes and configuration for developers.
            if !matches!(name.rsplit_once('.'), Some((_, "css" | "js" | "svg"))) || name.contains('/') {
                continue;
            }
            let Some(file) = E::get(&name) else { continue };
            let asset = Asset::new(&name, file.data);
            self.path_of.insert(name.into_owned(), asset.path.clone());
            self.by_path.insert(asset.path.clone(), asset);
        }
    }
}

impl Asset {
    fn new(name: &str, body: Cow<'static, [u8]>) -> Self {
        let hash: String = HEXLOWER.encode(&Sha256::digest(&body)).chars().take(12).collect();
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "bin"));
        let content_type = match extension {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "application/octet-stream",
        };
        Asset {
            path: format!("/assets/{stem}.{hash}.{extension}"),
            gzip: gzip(&body),
            content_type,
            etag: format!("\"{hash}\""),
            integrity: format!("sha384-{}", BASE64.encode(&Sha384::digest(&body))),
            body,
        }
    }
}

pub(super) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    // Writing to a Vec cannot fail; were it to, an empty body would show at once.
    encoder.write_all(body).and_then(|()| encoder.finish()).unwrap_or_default()
}

/// Returns all files; the first call reads and compresses them.
pub fn assets() -> &'static Assets {
    static ASSETS: OnceLock<Assets> = OnceLock::new();
    ASSETS.get_or_init(Assets::build)
}

/// Returns the file with exactly this path (`/assets/NAME.HASH.EXT`), or `None`.
pub fn asset(path: &str) -> Option<&'static Asset> {
    assets().by_path.get(path)
}

/// Returns the path of a file by its plain name (`app.css`), or an empty string for an unknown name.
pub fn asset_url(name: &str) -> &'static str {
    assets().url(name)
}
