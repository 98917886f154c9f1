//! Writes the table of all emoji, which `src/emoji.rs` includes.

use std::path::PathBuf;
use std::{env, fs};

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let toned = emojis::iter().filter_map(emojis::Emoji::skin_tones).flatten();
    let mut all: Vec<&str> = emojis::iter().chain(toned).map(emojis::Emoji::as_str).collect();
    all.sort_by(|a, b| signs(a).cmp(signs(b)));
    all.dedup();
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(std::io::ErrorKind::NotFound)?);
    fs::write(out.join("emoji.rs"), format!("static ALL: &[&str] = &{all:?};\n"))
}

/// Leaves out what only asks for a colourful picture, as `src/emoji.rs` does.
fn signs(emoji: &str) -> impl Iterator<Item = char> + '_ {
    emoji.chars().filter(|c| *c != '\u{fe0f}')
}
