//! The links in the project's documents work, also in the README of a published crate, and the files and tests that
//! they name exist.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Folders with files of others or of the build.
const NOT_OURS: [&str; 3] = [".git", "node_modules", "target"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns the files of the project below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !NOT_OURS.contains(&name) {
            files.append(&mut self::files(&path));
        } else if path.is_file() {
            files.push(path);
        }
    }
    files
}

fn pages(folder: &Path) -> Vec<PathBuf> {
    files(folder).into_iter().filter(|file| file.extension().is_some_and(|ending| ending == "md")).collect()
}

/// Returns a page's lines without its code blocks.
fn lines(page: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// Returns a page without code blocks and inline code.
fn prose(page: &str) -> String {
    let mut prose = String::new();
    for line in lines(page) {
        prose.extend(line.split('`').step_by(2));
        prose.push('\n');
    }
    prose
}

/// Returns the names of source files and of folders of tests in a page's inline code. In a list, a name without a
/// folder is in the folder of the name before it.
fn named_files(page: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in lines(page) {
        let mut folder = None;
        let mut parts = line.split('`');
        while let (Some(before), Some(code)) = (parts.next(), parts.next()) {
            let name = code.trim_start_matches("./");
            if !is_file(name) {
                folder = None;
                continue;
            }
            let listed = [", ", " and ", ", and "].contains(&before);
            folder = match (name.rsplit_once('/'), folder) {
                (Some((folder, _)), _) => Some(folder),
                (None, Some(folder)) if listed => Some(folder),
                _ => None,
            };
            match folder {
                Some(folder) if !name.contains('/') => names.push(format!("{folder}/{name}")),
                _ => names.push(name.to_owned()),
            }
        }
    }
    names
}

/// Returns whether inline code is the name of a source file or of a folder of tests.
fn is_file(code: &str) -> bool {
    let ending = Path::new(code).extension().and_then(|ending| ending.to_str());
    code.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c))
        && (ending.is_some_and(|ending| ["rs", "js", "mjs", "sh", "sql"].contains(&ending))
            || code.contains("tests/"))
}

/// Returns the names in a page after each `--test `.
fn named_targets(page: &str) -> Vec<&str> {
    let rest = page.split("--test ").skip(1);
    rest.filter_map(|rest| rest.split(|c: char| c != '_' && !c.is_ascii_alphanumeric()).next()).collect()
}

/// Returns the targets of a page's links and images, in Markdown and in HTML.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let mut links = Vec::new();
    for (before, after) in [("](", ')'), ("href=\"", '"'), ("src=\"", '"'), ("srcset=\"", '"')] {
        let found = prose.split(before).skip(1).filter_map(|rest| rest.split_once(after));
        links.extend(found.map(|(link, _)| link.to_owned()));
    }
    let definitions =
        prose.lines().filter(|line| line.starts_with('[')).filter_map(|line| line.split_once("]: "));
    links.extend(definitions.map(|(_, link)| link.to_owned()));
    links
}

/// Returns the anchors that forges create for a page's headings.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    let anchor = |heading: &str| -> String {
        let kept = heading.to_lowercase();
        kept.chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .collect::<String>()
            .replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// Returns what is wrong with a link of a page.
fn fault(page: &Path, link: &str) -> Option<String> {
    if link.starts_with("https://") || link.starts_with("http://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    if !target.exists() {
        return Some(format!("{}: {link} does not exist", page.display()));
    }
    let known =
        anchor.is_empty() || anchors(&fs::read_to_string(&target).unwrap()).contains(&anchor.to_owned());
    (!known).then(|| format!("{}: {link} names no heading", page.display()))
}

/// Returns the README of each published crate.
fn published() -> Vec<PathBuf> {
    let crates = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let published = crates.filter(|folder| {
        fs::read_to_string(folder.join("Cargo.toml"))
            .is_ok_and(|manifest| !manifest.contains("publish = false") && manifest.contains("[package]"))
    });
    published.map(|folder| folder.join("README.md")).collect()
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let pages = pages(&root());
    assert!(pages.len() > 10, "only {} pages were found", pages.len());
    let faults: Vec<_> = pages
        .iter()
        .flat_map(|page| {
            let links = links(&fs::read_to_string(page).unwrap());
            links.into_iter().filter_map(move |link| fault(page, &link))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_page_names_only_files_that_exist() {
    let root = root();
    let files: Vec<String> = files(&root)
        .iter()
        .map(|file| format!("/{}", file.strip_prefix(&root).unwrap().to_str().unwrap()))
        .collect();
    let exists = |name: &str| {
        let (file, folder) = (format!("/{name}"), format!("/{}/", name.trim_end_matches('/')));
        files.iter().any(|known| known.ends_with(&file) || known.contains(&folder))
    };
    let target = |name: &str| exists(&format!("tests/{name}.rs")) || exists(&format!("tests/{name}/main.rs"));
    let (mut found, mut faults) = (0, Vec::new());
    for page in pages(&root) {
        let text = fs::read_to_string(&page).unwrap();
        let (named, targets) = (named_files(&text), named_targets(&text));
        found += named.len() + targets.len();
        let missing = named.iter().filter(|name| !exists(name));
        faults.extend(missing.map(|name| format!("{}: there is no {name}", page.display())));
        let missing = targets.into_iter().filter(|name| !target(name));
        faults.extend(missing.map(|name| format!("{}: there is no --test {name}", page.display())));
    }
    assert!(found > 100, "only {found} names were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_published_page_links_to_no_file_of_the_repository() {
    let pages = published();
    assert_eq!(pages.len(), 5);
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            let stands_alone = link.starts_with("https://") || link.starts_with('#');
            assert!(stands_alone, "{}: {link} is not in the package", page.display());
        }
    }
}

/// Forges and registries show Markdown without rustdoc: a name in brackets needs a definition, and a line of an
/// example that rustdoc hides is visible.
#[test]
fn a_published_page_reads_the_same_without_rustdoc() {
    for page in published() {
        let text = fs::read_to_string(&page).unwrap();
        for (_, rest) in text.match_indices("[`").map(|(at, _)| text.split_at(at)) {
            let (name, after) = rest.split_once(']').unwrap();
            let defined = after.starts_with('(') || text.contains(&format!("\n{name}]: https://"));
            assert!(defined, "{}: {name}] is a link for rustdoc alone", page.display());
        }
        let mut in_rust = false;
        for line in text.lines() {
            if line.starts_with("```") {
                in_rust = line.starts_with("```rust");
            }
            assert!(
                !(in_rust && line.starts_with("# ")),
                "{}: {line} is hidden from rustdoc alone",
                page.display()
            );
        }
    }
}

#[test]
fn links_and_headings_are_found() {
    let page = "# A *page*, of two\n[one](a.md#b) `[no](code)`\n```\n[no](block)\n```\n[`two`]: b.md\n<img src=\"c.png\">\n";
    assert_eq!(links(page), ["a.md#b", "c.png", "b.md"]);
    assert_eq!(anchors(page), ["a-page-of-two"]);
}

#[test]
fn names_of_files_and_of_tests_are_found() {
    let page = "`a/b.rs` and `./c.sh`, `x` `d.js`; `e.rs`, `tests/tests/web`, `no.md` `no = 1.rs`\n```\n`no.rs`\n\
                cargo test --test web x\n```\n";
    assert_eq!(named_files(page), ["a/b.rs", "a/c.sh", "d.js", "e.rs", "tests/tests/web"]);
    assert_eq!(named_targets(page), ["web"]);
}
