//! The programs in the READMEs are the example that the other tests run, and the examples are short.
#![allow(clippy::unwrap_used)] // The helpers are tests too.

use std::fs;
use std::path::Path;

const EXAMPLE: &str = include_str!("../axum.rs");

/// Returns the first program of a page.
fn program(page: &str) -> &str {
    let (_, rest) = page.split_once("```rust,no_run\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// Returns the number of lines that are neither empty nor a comment.
fn lines_of_code(source: &str) -> usize {
    source.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[test]
fn the_first_program_of_each_readme_is_the_example() {
    let (_, example) = EXAMPLE.split_once("\n\n").unwrap();
    assert_eq!(program(include_str!("../../README.md")), example);
    assert_eq!(program(include_str!("../../chatcore-hyper/README.md")), example);
    assert!(lines_of_code(example) < 40, "{} lines", lines_of_code(example));
}

#[test]
fn each_example_has_10_to_40_lines_of_code() {
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let files = folder.map(|entry| entry.unwrap().path());
    let sources = files.filter(|file| file.extension().is_some_and(|ending| ending == "rs"));
    let lines: Vec<_> =
        sources.map(|file| (lines_of_code(&fs::read_to_string(&file).unwrap()), file)).collect();
    assert!(lines.len() >= 7, "{lines:?}");
    for (lines, file) in lines {
        assert!((10..=40).contains(&lines), "{}: {lines} lines", file.display());
    }
}
