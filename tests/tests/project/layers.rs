//! The parts of a crate are the folders and files right below its `src`. Each part is in a layer, and imports only from
//! parts in lower layers. So no two parts import from each other.

#![allow(clippy::unwrap_used)] // The helpers are tests too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The parts of each crate, the lowest layer first. Parts of one layer do not import from each other.
const CRATES: &[(&str, &[&[&str]])] = &[
    (
        "chatcore",
        &[
            &["model"],
            &["limits"],
            &["bus"],
            &["store"],
            &["protocol"],
            &["runtime"],
            &["delivery"],
            &["channel"],
            &["engine"],
            &["connection"],
            &["chat"],
            &["testkit"],
        ],
    ),
    (
        "chatcore-hyper",
        &[
            &["body", "headers"],
            &["error"],
            &["limits", "origins", "files"],
            &["attachments", "socket"],
            &["server"],
            &["service"],
            &["testkit"],
        ],
    ),
];

#[test]
fn each_part_imports_only_from_lower_layers() {
    for (name, layers) in CRATES {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
        let rank: BTreeMap<&str, usize> =
            (0..).zip(*layers).flat_map(|(n, parts)| parts.iter().map(move |part| (*part, n))).collect();
        let mut found: Vec<String> = Vec::new();
        for file in rust_files(&src) {
            let part = part_of(file.strip_prefix(&src).unwrap());
            // The root re-exports from every part.
            if part == "lib" {
                continue;
            }
            let own =
                *rank.get(&*part).unwrap_or_else(|| panic!("{name}: the part {part} has no layer here"));
            for imported in imports(&fs::read_to_string(&file).unwrap()) {
                let other = *rank.get(&*imported).unwrap_or_else(|| {
                    panic!("{}: crate::{imported} names no part; import from the part itself", file.display())
                });
                assert!(
                    imported == part || other < own,
                    "{}: {part} imports from {imported}, which is in no lower layer",
                    file.display()
                );
            }
            found.push(part);
        }
        let gone: Vec<_> = rank.keys().filter(|part| !found.iter().any(|found| found == *part)).collect();
        assert!(gone.is_empty(), "{name} has no parts {gone:?}");
    }
}

#[test]
fn imports_are_read_as_the_compiler_reads_them() {
    let source = "//! See [crate::no].\nuse crate::one::Two;\nuse crate::{\n    three::{Four, five},\n    six,\n};\n\
                  #[cfg(test)]\nuse crate::no;\nfn f() { $crate::no::x(); crate::seven::x() }\n\
                  #[cfg(test)]\nmod tests {\n    use crate::no::Eight;\n}\n";
    assert_eq!(imports(source), ["one", "three", "six", "seven"]);
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => rust_files(&path),
            Some(ending) if ending == "rs" => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

fn part_of(path: &Path) -> String {
    let first = path.iter().next().expect("a file below src").to_str().expect("a name in UTF-8");
    first.trim_end_matches(".rs").to_owned()
}

/// Returns the parts after each `crate::`, outside of comments and of what is for tests only.
fn imports(source: &str) -> Vec<String> {
    let code = without_tests(source);
    let mut parts = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|before: char| before == '$' || before == '_' || before.is_alphanumeric()) {
            continue;
        }
        let path = &code[at + "crate::".len()..];
        match path.strip_prefix('{') {
            Some(group) => parts.extend(group_of(group)),
            None => parts.push(word(path)),
        }
    }
    parts
}

/// Drops comments, each item that follows `#[cfg(test)]` on one line, and the module of tests, which is a file's last
/// item.
fn without_tests(source: &str) -> String {
    let mut code = String::new();
    let mut lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            code.push_str(line);
            code.push('\n');
        } else if lines.next().is_some_and(|item| item.trim_end().ends_with('{')) {
            break;
        }
    }
    code
}

/// Returns the first words of a group's elements: `a::{b, c}, d}` has `a` and `d`.
fn group_of(group: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut starts = vec![0];
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => starts.push(at + 1),
            _ => {}
        }
    }
    starts
        .into_iter()
        .map(|start| word(group[start..].trim_start()))
        .filter(|word| !word.is_empty())
        .collect()
}

fn word(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}
