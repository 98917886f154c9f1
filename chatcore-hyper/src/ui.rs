//! The browser client's files, under `{base}/ui/`.

use std::path::PathBuf;

use http::{HeaderMap, Method, Response};

use crate::body::Body;
use crate::files::StaticFiles;

/// Made by `build.rs` from the folder `ui`.
const EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/ui_files.rs"));

/// The browser client that a [`ChatService`](crate::ChatService) serves: modules, elements and their style.
#[derive(Clone, Debug)]
pub struct Ui(StaticFiles);

impl Ui {
    /// Serves the files that are part of this crate.
    #[must_use]
    pub fn embedded() -> Self {
        Self(StaticFiles::embedded(EMBEDDED))
    }

    /// Serves the files of `folder`, and this crate's own where the folder has none of that name: an app may
    /// replace a single one.
    #[must_use]
    pub fn dir(folder: impl Into<PathBuf>) -> Self {
        Self(Self::embedded().0.overlay(folder))
    }

    /// Serves no files, for an app that brings its own client.
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
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/ui")).unwrap();
        let mut expected: Vec<String> =
            folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        expected.sort();
        let ui = Ui::embedded();
        let mut names: Vec<&str> = ui.names().collect();
        names.sort_unstable();
        assert_eq!(names, expected);
        assert!(!names.is_empty());
        assert_eq!(Ui::none().names().count(), 0);
    }
}
