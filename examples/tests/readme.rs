//! The programs in the READMEs are the example that the other tests run.
#![allow(clippy::unwrap_used)] // The helpers are tests too.

const EXAMPLE: &str = include_str!("../axum.rs");

/// Returns the first program of a page.
fn program(page: &str) -> &str {
    let (_, rest) = page.split_once("```rust,no_run\n").unwrap();
    rest.split_once("```").unwrap().0
}

#[test]
fn the_first_program_of_each_readme_is_the_example() {
    let (_, example) = EXAMPLE.split_once("\n\n").unwrap();
    assert_eq!(program(include_str!("../../README.md")), example);
    assert_eq!(program(include_str!("../../chatcore-hyper/README.md")), example);
}

#[test]
fn the_first_program_has_under_40_lines_of_code() {
    let is_code = |line: &&str| !line.trim().is_empty() && !line.starts_with("//");
    let lines = EXAMPLE.lines().filter(is_code).count();
    assert!(lines < 40, "{lines} lines");
}
