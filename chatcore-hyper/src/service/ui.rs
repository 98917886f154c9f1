//! The browser client's files, under `{base}/ui/`.

use std::path::PathBuf;

use http::{HeaderMap, Method, Response};

use crate::body::Body;
use crate::files::StaticFiles;

/// The files of the folder `ui`, and `emoji.json`, prepared by `build/main.rs`.
const EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/ui_files.rs"));

/// Those that every page requests, compressed with brotli.
const COMPRESSED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/ui_brotli.rs"));

/// `chat.js` and `chat.css` as they are in the folder: they import the other files, while the ones above contain
/// them.
const ENTRIES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/ui_entries.rs"));

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
        let files = StaticFiles::embedded(EMBEDDED);
        Self(COMPRESSED.iter().fold(files, |files, &(name, brotli)| files.with_brotli(name, brotli)))
    }

    /// Serves the files of `folder`, and this crate's own if the folder has none of that name, so an app can
    /// replace single files. Therefore `chat.js` and `chat.css` import the other files here instead of containing
    /// them.
    #[must_use]
    pub fn dir(folder: impl Into<PathBuf>) -> Self {
        let files = ENTRIES.iter().fold(Self::embedded().0, |files, &(name, bytes)| files.with(name, bytes));
        Self(files.overlay(folder))
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

    #[test]
    fn what_every_page_requests_is_compressed_by_the_build() {
        for &(name, compressed) in COMPRESSED {
            let (_, plain) = EMBEDDED.iter().find(|(embedded, _)| *embedded == name).unwrap();
            let mut back = Vec::new();
            std::io::Read::read_to_end(&mut brotli::Decompressor::new(compressed, 4096), &mut back).unwrap();
            assert!(back == *plain && compressed.len() < plain.len() / 2, "{name}");
        }
        assert_eq!(COMPRESSED.len(), 3);
    }

    #[tokio::test]
    async fn the_builds_bytes_are_served_and_not_those_of_another_file() {
        let brotli = [(http::header::ACCEPT_ENCODING, http::HeaderValue::from_static("br"))];
        let length = async |ui: &Ui| {
            let answer = ui.answer(&Method::GET, &HeaderMap::from_iter(brotli.clone()), "chat.css").await;
            answer.headers()[http::header::CONTENT_LENGTH].to_str().unwrap().parse::<usize>().unwrap()
        };
        let (_, compressed) = COMPRESSED.iter().find(|(name, _)| *name == "chat.css").unwrap();
        assert_eq!(length(&Ui::embedded()).await, compressed.len());
        assert!(length(&Ui::dir("none")).await < 606, "its own entry");
    }

    #[test]
    fn the_names_of_emoji_are_as_a_picker_wants_them() {
        let (_, json) = EMBEDDED.iter().find(|(name, _)| *name == "emoji.json").unwrap();
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
