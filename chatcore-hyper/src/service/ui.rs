//! The browser client's files, under `{base}/ui/`.

use std::path::PathBuf;

use http::{HeaderMap, Method, Response};

use crate::body::Body;
use crate::files::StaticFiles;

/// Files by their names, each plain and compressed with brotli.
type Files = &'static [(&'static str, &'static [u8], &'static [u8])];

/// The files of the folder `ui`, and `emoji.json`, prepared by `build/main.rs`.
static EMBEDDED: Files = include!(concat!(env!("OUT_DIR"), "/ui_files.rs"));

/// `chat.js` and `chat.css` as they are in the folder: they import the other files, while the ones above contain
/// them.
static ENTRIES: Files = include!(concat!(env!("OUT_DIR"), "/ui_entries.rs"));

/// The browser client that a [`ChatService`](crate::ChatService) serves: modules, elements and their style.
#[derive(Clone, Debug)]
pub struct Ui(StaticFiles);

impl Ui {
    /// Serves the files of this crate: those of its folder `ui`, without comments and white space, and
    /// `emoji.json`, the names of emoji: `{"groups":[{"name":"…","signs":"😀 😄","codes":"grinning,smile happy"},…]}`.
    /// `codes` has the short codes of each of the `signs`, in the same order, separated by commas, the preferred one
    /// first.
    ///
    /// `chat.js` and `chat.css` are the whole client in two files. The modules are also served under their own paths,
    /// for a page that imports some of them. A page that imports `chat.js` should import everything from it, since a
    /// module with its own path would be a second copy.
    #[must_use]
    pub fn embedded() -> Self {
        Self(StaticFiles::default().with_compressed(EMBEDDED))
    }

    /// Serves the files of `folder`, and this crate's own if the folder has none of that name, so an app can
    /// replace single files. Therefore `chat.js` and `chat.css` import the other files here instead of containing
    /// them.
    #[must_use]
    pub fn dir(folder: impl Into<PathBuf>) -> Self {
        Self(Self::embedded().0.with_compressed(ENTRIES).overlay(folder))
    }

    /// Serves no files, for an app with its own client.
    #[must_use]
    pub fn none() -> Self {
        Self(StaticFiles::default())
    }

    /// Returns the names of this crate's files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names()
    }

    pub(crate) async fn answer(&self, method: &Method, headers: &HeaderMap, name: &str) -> Response<Body> {
        self.0.answer(method, headers, name).await
    }
}

impl Default for Ui {
    fn default() -> Self {
        Self::embedded()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use http::HeaderValue;
    use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
    use http_body_util::BodyExt;

    use super::*;

    /// Adds the paths of all files in a folder of `ui`, each after `prefix`.
    fn add_paths(folder: &Path, prefix: &str, paths: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = format!("{prefix}{}", entry.file_name().into_string().unwrap());
            if entry.path().is_dir() {
                add_paths(&entry.path(), &format!("{path}/"), paths);
            } else {
                paths.push(path);
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let mut expected = vec!["emoji.json".to_owned()];
        add_paths(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/ui")), "", &mut expected);
        expected.sort();
        let ui = Ui::embedded();
        let mut names: Vec<&str> = ui.names().collect();
        names.sort_unstable();
        assert_eq!(names, expected);
        assert!(!names.is_empty());
        assert_eq!(Ui::none().names().count(), 0);
    }

    /// Returns a file's bytes in the coding that its answer names, the only one that the request accepts.
    async fn get(ui: &Ui, name: &str, coding: &'static str) -> Bytes {
        let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(coding))]);
        let answer = ui.answer(&Method::GET, &headers, name).await;
        assert_eq!(
            answer.headers().get(CONTENT_ENCODING).map_or("identity", |it| it.to_str().unwrap()),
            coding
        );
        answer.into_body().collect().await.unwrap().to_bytes()
    }

    fn decoded(brotli: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut brotli::Decompressor::new(brotli, 4096), &mut plain).unwrap();
        plain
    }

    #[tokio::test]
    async fn each_file_is_served_as_the_build_made_it_in_each_coding() {
        for (ui, files) in [(Ui::embedded(), EMBEDDED), (Ui::dir("none"), ENTRIES)] {
            for &(name, plain, brotli) in files {
                assert!(decoded(brotli) == plain, "{name}");
                assert_eq!(get(&ui, name, "identity").await, plain, "{name}");
                assert_eq!(get(&ui, name, "br").await.as_ptr(), brotli.as_ptr(), "{name}: the very bytes");
            }
        }
        let (_, plain, brotli) = EMBEDDED.iter().find(|(name, ..)| *name == "chat.js").unwrap();
        assert!(brotli.len() < plain.len() / 2, "what every page requests is compressed well");
    }

    #[test]
    fn the_names_of_emoji_are_as_a_picker_wants_them() {
        let (_, json, _) = EMBEDDED.iter().find(|(name, ..)| *name == "emoji.json").unwrap();
        let json: serde_json::Value = serde_json::from_slice(json).unwrap();
        let names = json["names"].as_array().unwrap();
        assert_eq!((names.len(), names[0].as_str()), (9, Some("Smileys & Emotion")));
        let text = |field: &str| json[field].as_str().unwrap().to_owned();
        let (signs, codes) = (text("signs"), text("codes").replace(' ', "_"));
        assert_eq!(signs.split('|').count(), 9);
        let (signs, codes): (Vec<_>, Vec<_>) =
            (signs.split(['|', ' ']).collect(), codes.split('.').collect());
        assert_eq!(signs.len(), codes.len());
        let all: Vec<_> = signs.into_iter().zip(codes).collect();
        assert_eq!(all[0], ("😀", "grinning"));
        assert!(all.contains(&("👍", "+1,thumbsup")));
        assert!(all.len() > 1500, "{}", all.len());
        let is_code = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+');
        for (emoji, codes) in all {
            assert!(!emoji.contains(|c| ('\u{1f3fb}'..='\u{1f3ff}').contains(&c)), "{emoji} has a skin tone");
            assert!(codes.split(',').all(|code| !code.is_empty() && code.chars().all(is_code)), "{codes}");
        }
    }
}
